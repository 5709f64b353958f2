//! Window functions that no bound turns into a group top-k.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{
    NullTreatment, Sort as SortKey, WindowFunction as Call, WindowFunctionDefinition,
};
use datafusion::logical_expr::{
    Expr, ExprSchemable, Window, WindowFrame, WindowFrameBound as Bound, WindowFrameUnits as Units,
};

use super::aggregate::is_known;
use super::expressions::{NoForm, unaliased};
use super::lowering::{Formed, Lowering};
use super::window_function::evaluated;
use crate::base::Result;
use crate::engine::operators::{self, Extent, Reach, WindowConfig};
use crate::planner::context::distance;

impl Lowering<'_> {
    pub(super) fn window(&mut self, window: &Window, depth: usize) -> Result<Formed> {
        let line = self.explain.current();
        let schema = window.input.schema();
        let Some(calls) = calls_of(window) else {
            return Ok(Err(NoForm::because("a window is not a function call")));
        };
        let Some((partition, order)) = one_order(&calls) else {
            return Ok(Err(NoForm::because(
                "the functions of this node have different windows",
            )));
        };
        for call in &calls {
            let params = &call.params;
            let exprs = params.args.iter().chain(params.filter.as_deref());
            if let Err(reason) = self.physical_all(exprs, schema)? {
                return Ok(Err(reason));
            }
        }
        let keyed = match self.keyed(partition, &order, schema)? {
            Ok(keyed) => keyed,
            Err(reason) => return Ok(Err(reason)),
        };
        let functions = evaluated(&window.window_expr, schema, &self.props)?;
        let key = match order.as_slice() {
            [key] => Some(key.expr.get_type(schema)?),
            _ => None,
        };
        let reaches = calls.iter().map(|call| reach_of(call, key.as_ref()));
        let reach = reaches.fold(Reach::ROW, Reach::and);
        self.explain.note(line, told(reach));
        let mut closing = self.closing_of(partition, &window.input)?;
        if let Some(closing) = &mut closing {
            self.explain.note(line, "closed partitions are let go");
            closing.key = keyed.group[closing.key];
        }
        let input = self.node(&window.input, depth + 1)?;
        let input = self.widened(input, &keyed);
        let rows = operators::Window::new(WindowConfig {
            input: keyed.wide,
            partition: keyed.group,
            order: keyed.order,
            functions,
            reach,
            schema: Arc::clone(window.schema.inner()),
        })?;
        let rows = rows.with_closing(closing);
        Ok(Ok(self.add(rows, &[input])))
    }
}

/// What a change costs, for EXPLAIN.
fn told(reach: Reach) -> &'static str {
    match (reach.back, reach.ahead) {
        (Extent::All, Extent::All) => "touched partitions are evaluated anew",
        (Extent::All, _) => "touched partitions are evaluated anew from the first change on",
        (_, Extent::All) => "touched partitions are evaluated anew up to the last change",
        _ => "rows near a change are evaluated anew",
    }
}

/// The calls behind the node's columns.
fn calls_of(window: &Window) -> Option<Vec<&Call>> {
    window.window_expr.iter().map(call_of).collect()
}

/// The call that `expr` is, perhaps under another name.
pub(super) fn call_of(expr: &Expr) -> Option<&Call> {
    match unaliased(expr) {
        Expr::WindowFunction(call) => Some(call),
        _ => None,
    }
}

/// The partition and the order of all of `calls`, when they have the same.
fn one_order<'c>(calls: &[&'c Call]) -> Option<(&'c [Expr], Vec<SortKey>)> {
    let (first, rest) = calls.split_first()?;
    let partition = first.params.partition_by.as_slice();
    let order = keys_that_count(first);
    let same = |call: &&Call| {
        let other = &call.params.partition_by;
        partition.iter().all(|key| other.contains(key))
            && other.iter().all(|key| partition.contains(key))
            && keys_that_count(call) == order
    };
    rest.iter().all(same).then_some((partition, order))
}

/// The keys of the order that are not constant within a partition, nor written before.
fn keys_that_count(call: &Call) -> Vec<SortKey> {
    let mut keys: Vec<SortKey> = Vec::new();
    for key in &call.params.order_by {
        let constant = call.params.partition_by.contains(&key.expr);
        if !constant && keys.iter().all(|known| known.expr != key.expr) {
            keys.push(key.clone());
        }
    }
    keys
}

/// Whether a call sees rows that the order puts behind its own, or may do.
pub(super) fn looks_ahead(call: &Call) -> bool {
    let sees_none = Extent::NONE;
    let ahead = reach_of(call, None).ahead;
    ahead != sees_none && ahead != Extent::groups(0)
}

/// The rows that a call looks at. `key` is the type of the order's only key.
fn reach_of(call: &Call, key: Option<&DataType>) -> Reach {
    let params = &call.params;
    let function = match &call.fun {
        // Another aggregate may depend on the rows that its frame has left.
        WindowFunctionDefinition::AggregateUDF(function) if is_known(function) => {
            return frame_reach(&params.window_frame, key);
        }
        WindowFunctionDefinition::AggregateUDF(_) => return Reach::ALL,
        WindowFunctionDefinition::WindowUDF(function) => function.name(),
    };
    let all_before = Reach {
        back: Extent::All,
        ahead: Extent::NONE,
    };
    match function {
        "row_number" | "rank" | "dense_rank" => all_before,
        "first_value" | "last_value" | "nth_value" => frame_reach(&params.window_frame, key),
        "lag" => shift_reach(call).unwrap_or(Reach::ALL),
        "lead" => match shift_reach(call) {
            Some(Reach { back, ahead }) => Reach {
                back: ahead,
                ahead: back,
            },
            None => Reach::ALL,
        },
        _ => Reach::ALL,
    }
}

/// The rows that lag looks at; `None` when that is not known.
fn shift_reach(call: &Call) -> Option<Reach> {
    let offset = match call.params.args.get(1) {
        None => 1,
        Some(Expr::Literal(offset, _)) => integer(offset)?,
        Some(_) => return None,
    };
    let rows = usize::try_from(offset.unsigned_abs()).ok()?;
    let ignores_nulls = call.params.null_treatment == Some(NullTreatment::IgnoreNulls);
    let far = if ignores_nulls {
        Extent::All
    } else {
        Extent::rows(rows)
    };
    Some(if offset < 0 {
        Reach {
            back: Extent::NONE,
            ahead: far,
        }
    } else {
        Reach {
            back: far,
            ahead: Extent::NONE,
        }
    })
}

fn integer(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::Int64(value) => *value,
        ScalarValue::Int32(value) => value.map(i64::from),
        ScalarValue::UInt64(value) => value.and_then(|value| i64::try_from(value).ok()),
        _ => None,
    }
}

/// The rows of a frame, and those that are needed to find it.
fn frame_reach(frame: &WindowFrame, key: Option<&DataType>) -> Reach {
    let far = |bound: &Bound, away: bool| {
        let offset = match bound {
            Bound::CurrentRow => None,
            Bound::Preceding(offset) | Bound::Following(offset) if offset.is_null() => {
                return Extent::All;
            }
            Bound::Preceding(offset) | Bound::Following(offset) => Some(offset),
        };
        // Where both bounds lie on one side of the row, the other side is not looked at.
        let count = |offset: &ScalarValue| usize::try_from(integer(offset)?).ok();
        let counted = |extent: fn(usize) -> Extent| match offset {
            Some(offset) if away => count(offset).map_or(Extent::All, extent),
            _ => extent(0),
        };
        match (frame.units, offset) {
            (Units::Rows, _) => counted(Extent::rows),
            (Units::Groups, _) => counted(Extent::groups),
            (Units::Range, None) => Extent::groups(0),
            (Units::Range, Some(offset)) => match key.and_then(|key| distance(offset, key)) {
                None => Extent::All,
                Some(distance) if away => Extent::distance_of(distance),
                Some(_) => Extent::groups(0),
            },
        }
    };
    let (start, end) = (&frame.start_bound, &frame.end_bound);
    Reach {
        back: far(start, matches!(start, Bound::Preceding(_))),
        ahead: far(end, matches!(end, Bound::Following(_))),
    }
}

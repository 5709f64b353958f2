//! Joins: keys, residual filter, and the kinds that the engine has.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError, JoinType, NullEquality, ScalarValue};
use datafusion::logical_expr::utils::{check_all_columns_from_schema, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Filter, Join, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use super::bounds::inner_join;
use super::expressions::{NoForm, columns_as, may_fail};
use super::lowering::{Formed, Lowering};
use crate::base::Result;
use crate::engine::operators::{self, Bound, JoinConfig, JoinKind, WaitingJoin};
use crate::engine::{Closing, NodeId};

type Keys = Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>;

impl Lowering<'_> {
    pub(super) fn join(&mut self, join: &Join, depth: usize) -> Result<Formed> {
        if join.null_aware {
            return self.not_in(join, depth);
        }
        let closing = self.closing_sides(join, None)?;
        self.join_closed(join, closing, depth)
    }

    /// The pairs of an inner join below a filter by which its rows are closed; `None` where they are closed without it too. It
    /// is not shared with an equal join elsewhere, which needs all pairs.
    pub(super) fn filtered_join(
        &mut self,
        filter: &Filter,
        depth: usize,
    ) -> Result<Option<NodeId>> {
        let Some(join) = inner_join(&filter.input) else {
            return Ok(None);
        };
        if self.closing_sides(join, None)?.iter().all(Option::is_some) {
            return Ok(None);
        }
        let closing = self.closing_sides(join, Some(&filter.predicate))?;
        if closing.iter().all(Option::is_none) {
            return Ok(None);
        }
        let line = self.explain.open(&filter.input, depth);
        match self.join_closed(join, closing, depth)? {
            Ok(node) => Ok(Some(node)),
            Err(NoForm(reason)) => {
                self.explain.recomputed(line, &reason);
                self.recompute(&filter.input, depth).map(Some)
            }
        }
    }

    fn join_closed(
        &mut self,
        join: &Join,
        mut closing: [Option<Closing>; 2],
        depth: usize,
    ) -> Result<Formed> {
        let Some(form) = form_of(join) else {
            return Ok(Err(NoForm::because(
                "this kind of join has no incremental form yet",
            )));
        };
        let swapped = matches!(form, Form::Swapped(_));
        let on = match self.join_keys(join)? {
            Ok(on) => on,
            Err(reason) => return Ok(Err(reason)),
        };
        let residual = match self.join_residual(join, swapped)? {
            Ok(residual) => residual,
            Err(reason) => return Ok(Err(reason)),
        };
        let bounds = self.join_bounds(join, swapped)?;
        let line = self.explain.current();
        if !bounds.is_empty() {
            self.explain.note(line, "pairs are found by order");
        }
        if closing.iter().any(Option::is_some) {
            self.explain.note(line, "closed rows are let go");
        }
        if swapped {
            closing.reverse();
        }
        let left = self.node(&join.left, depth + 1)?;
        let right = self.node(&join.right, depth + 1)?;
        self.note_fixed(line, [left, right]);
        let (left_schema, right_schema) = (join.left.schema().inner(), join.right.schema().inner());
        let config = JoinConfig {
            kind: JoinKind::Inner,
            left: Arc::clone(if swapped { right_schema } else { left_schema }),
            right: Arc::clone(if swapped { left_schema } else { right_schema }),
            on: if swapped {
                on.into_iter().map(|(l, r)| (r, l)).collect()
            } else {
                on
            },
            null_equals_null: join.null_equality == NullEquality::NullEqualsNull,
            residual,
            schema: Arc::clone(join.schema.inner()),
        };
        Ok(Ok(match form {
            Form::Plain(kind) => {
                let config = JoinConfig { kind, ..config };
                if closing.iter().all(Option::is_none) && WaitingJoin::fits(&config) {
                    return Ok(Ok(self.add(WaitingJoin::new(config), &[left, right])));
                }
                let operator = operators::Join::new(config).with_closing(closing);
                self.add(operator.with_bounds(&bounds), &[left, right])
            }
            Form::Swapped(kind) => {
                let config = JoinConfig { kind, ..config };
                let operator = operators::Join::new(config).with_closing(closing);
                self.add(operator.with_bounds(&bounds), &[right, left])
            }
            Form::Mark => self.mark_join(config, &bounds, &closing, [left, right]),
        }))
    }

    /// Says where a join keeps the rows of one side alone.
    fn note_fixed(&mut self, line: usize, inputs: [NodeId; 2]) {
        let note = match inputs.map(|input| self.builder.is_fixed(input)) {
            [true, false] => "the left side is static, so rows of the right one are not kept",
            [false, true] => "the right side is static, so rows of the left one are not kept",
            _ => return,
        };
        self.explain.note(line, note);
    }

    /// Every left row and whether it has a partner: the rows that have one, and those that have none. Two
    /// indexes of the same inputs, where one kernel with a mark of its own would need one.
    fn mark_join(
        &mut self,
        config: JoinConfig,
        bounds: &[Bound],
        closing: &[Option<Closing>; 2],
        inputs: [NodeId; 2],
    ) -> NodeId {
        let JoinConfig {
            left,
            right,
            on,
            null_equals_null,
            residual,
            schema,
            ..
        } = config;
        let mut sides = Vec::with_capacity(2);
        for (kind, mark) in [(JoinKind::LeftSemi, true), (JoinKind::LeftAnti, false)] {
            let config = JoinConfig {
                kind,
                left: Arc::clone(&left),
                right: Arc::clone(&right),
                on: on.clone(),
                null_equals_null,
                residual: residual.clone(),
                schema: Arc::clone(&left),
            };
            let operator = operators::Join::new(config).with_closing(closing.clone());
            let rows = self.add(operator.with_bounds(bounds), &inputs);
            let mut exprs = columns_as(&left, &left);
            exprs.push(Arc::new(Literal::new(ScalarValue::Boolean(Some(mark)))));
            sides.push(self.add(operators::Project::new(exprs, Arc::clone(&schema)), &[rows]));
        }
        self.add(operators::Union::new(schema), &sides)
    }

    fn join_keys(&self, join: &Join) -> Result<std::result::Result<Keys, NoForm>> {
        let mut on = Vec::with_capacity(join.on.len());
        for (left, right) in &join.on {
            if left.get_type(join.left.schema())? != right.get_type(join.right.schema())? {
                return Ok(Err(NoForm::because(
                    "the two sides of a join key differ in type",
                )));
            }
            let sides = [
                self.physical(left, join.left.schema())?,
                self.physical(right, join.right.schema())?,
            ];
            match sides {
                [Ok(left), Ok(right)] => on.push((left, right)),
                [Err(reason), _] | [_, Err(reason)] => return Ok(Err(reason)),
            }
        }
        Ok(Ok(on))
    }

    /// The rest of the condition, over the columns of both inputs in the order in which the engine has them.
    fn join_residual(
        &self,
        join: &Join,
        swapped: bool,
    ) -> Result<std::result::Result<Option<Arc<dyn PhysicalExpr>>, NoForm>> {
        let Some(filter) = &join.filter else {
            return Ok(Ok(None));
        };
        let (first, second) = if swapped {
            (join.right.schema(), join.left.schema())
        } else {
            (join.left.schema(), join.right.schema())
        };
        let Ok(pair) = first.join(second) else {
            return Ok(Err(NoForm::because(
                "the two sides of a join have a column of one name",
            )));
        };
        Ok(self.physical(filter, &pair)?.map(Some))
    }

    /// What the condition of a join without a key compares, in the order in which the engine has the inputs. A pair that is left out
    /// for it is not asked for the rest of the condition, which may not fail therefore.
    fn join_bounds(&self, join: &Join, swapped: bool) -> Result<Vec<Bound>> {
        let schemas = match swapped {
            true => [join.right.schema(), join.left.schema()],
            false => [join.left.schema(), join.right.schema()],
        };
        let (Some(filter), Ok(pair)) = (&join.filter, schemas[0].join(schemas[1])) else {
            return Ok(Vec::new());
        };
        if !join.on.is_empty() || may_fail(filter, &pair) {
            return Ok(Vec::new());
        }
        let mut bounds = Vec::new();
        for conjunct in split_conjunction(filter) {
            let Some((left, op, right)) = sides_of(conjunct, [schemas[0], schemas[1]])? else {
                continue;
            };
            let kind = left.get_type(schemas[0])?;
            if !is_order(op) || !is_in_order(&kind) || right.get_type(schemas[1])? != kind {
                continue;
            }
            let sides = [
                self.physical(left, schemas[0])?,
                self.physical(right, schemas[1])?,
            ];
            if let [Ok(left), Ok(right)] = sides {
                bounds.push(Bound { left, op, right });
            }
        }
        Ok(bounds)
    }
}

/// Whether two values are compared by which comes first.
pub(super) fn is_order(op: Operator) -> bool {
    matches!(
        op,
        Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
    )
}

/// The values of `conjunct`, an operation on one of each input, the first input's first; `None` where it is no such.
pub(super) fn sides_of<'a>(
    conjunct: &'a Expr,
    [first, second]: [&DFSchema; 2],
) -> Result<Option<(&'a Expr, Operator, &'a Expr)>, DataFusionError> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = conjunct else {
        return Ok(None);
    };
    let is_of = |expr: &Expr, schema: &DFSchema| {
        let columns = expr.column_refs();
        Ok::<_, DataFusionError>(
            !columns.is_empty() && check_all_columns_from_schema(&columns, schema)?,
        )
    };
    if is_of(left, first)? && is_of(right, second)? {
        return Ok(Some((left, *op, right)));
    }
    let swapped = is_of(left, second)? && is_of(right, first)?;
    Ok(op
        .swap()
        .filter(|_| swapped)
        .map(|op| (&**right, op, &**left)))
}

/// Whether arrow's rows of this type stand as DataFusion compares its values.
fn is_in_order(kind: &DataType) -> bool {
    let is_number = kind.is_primitive() && !matches!(kind, DataType::Interval(_));
    is_number
        || matches!(
            kind,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        )
}

/// How the engine computes a join.
enum Form {
    /// By a kind of its own.
    Plain(JoinKind),
    /// By a kind that wants the inputs the other way round; the output has the columns of one side alone.
    Swapped(JoinKind),
    /// By two joins.
    Mark,
}

fn form_of(join: &Join) -> Option<Form> {
    match join.join_type {
        JoinType::Inner => Some(Form::Plain(JoinKind::Inner)),
        JoinType::Left => Some(Form::Plain(JoinKind::Left)),
        JoinType::Right => Some(Form::Plain(JoinKind::Right)),
        JoinType::Full => Some(Form::Plain(JoinKind::Full)),
        JoinType::LeftSemi => Some(Form::Plain(JoinKind::LeftSemi)),
        JoinType::LeftAnti => Some(Form::Plain(JoinKind::LeftAnti)),
        JoinType::RightSemi => Some(Form::Swapped(JoinKind::LeftSemi)),
        JoinType::RightAnti => Some(Form::Swapped(JoinKind::LeftAnti)),
        JoinType::LeftMark => Some(Form::Mark),
        JoinType::RightMark => None,
    }
}

//! From a join with a marked condition to the node.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, DataFusionError, JoinType};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{
    Expr, ExprSchemable, Extension, Join, LogicalPlan, Operator, Projection, cast,
};

use super::node::{AsofNode, AsofOn};
use crate::base::{Error, Result};
use crate::engine::operators::AsofMatch;
use crate::planner::functions::ASOF_MARK;

type Outcome<T> = std::result::Result<T, DataFusionError>;

/// Makes a node of every join of `plan` whose condition is marked, subqueries included.
///
/// # Errors
/// When a condition compares anything but a column of each side.
pub fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if is_marked(&join) => Ok(Transformed::yes(build(join)?)),
        node => Ok(Transformed::no(node)),
    })?;
    Ok(rewritten.data)
}

fn is_marked(join: &Join) -> bool {
    let conditions = join.filter.iter().cloned();
    conditions
        .flat_map(split_conjunction_owned)
        .any(|condition| marked(&condition).is_some())
}

/// The condition below the mark.
fn marked(condition: &Expr) -> Option<&Expr> {
    match condition {
        Expr::ScalarFunction(call) if call.func.name() == ASOF_MARK => call.args.first(),
        _ => None,
    }
}

/// One side of the join, and what it needs beside its columns.
struct Side {
    plan: Arc<LogicalPlan>,
    prefix: &'static str,
    added: Vec<Expr>,
    on: Vec<Expr>,
}

impl Side {
    fn new(plan: Arc<LogicalPlan>, prefix: &'static str) -> Self {
        Self {
            plan,
            prefix,
            added: Vec::new(),
            on: Vec::new(),
        }
    }

    fn schema(&self) -> &DFSchema {
        self.plan.schema()
    }

    /// Whether `expr` reads columns of this side and no others.
    fn has(&self, expr: &Expr) -> bool {
        let columns = expr.column_refs();
        !columns.is_empty()
            && columns
                .into_iter()
                .all(|column| self.schema().maybe_index_of_column(column).is_some())
    }

    /// Compares `expr` as a `kind`: by itself where it is such a column, else by a column that a projection makes.
    fn compare(&mut self, expr: Expr, kind: &DataType) -> Outcome<()> {
        let is_column = matches!(expr, Expr::Column(_));
        let is_kind = expr.get_type(self.schema())? == *kind;
        if is_column && is_kind {
            self.on.push(expr);
            return Ok(());
        }
        let name = format!("{}_{}", self.prefix, self.added.len() + 1);
        let expr = if is_kind {
            expr
        } else {
            cast(expr, kind.clone())
        };
        self.on.push(Expr::Column(Column::from_name(name.clone())));
        self.added.push(expr.alias(name));
        Ok(())
    }

    fn finish(self) -> Outcome<(Arc<LogicalPlan>, Vec<Expr>)> {
        if self.added.is_empty() {
            return Ok((self.plan, self.on));
        }
        let mut exprs = columns_of(self.plan.schema());
        exprs.extend(self.added);
        let projection = Projection::try_new(exprs, self.plan)?;
        Ok((Arc::new(LogicalPlan::Projection(projection)), self.on))
    }
}

fn columns_of(schema: &DFSchema) -> Vec<Expr> {
    schema.columns().into_iter().map(Expr::Column).collect()
}

fn build(join: Join) -> Outcome<LogicalPlan> {
    let columns = columns_of(&join.schema);
    let mut left = Side::new(join.left, "__asof_left");
    let mut right = Side::new(join.right, "__asof_right");
    let mut times: Option<Expr> = None;
    let mut keys = join.on;
    for condition in join.filter.into_iter().flat_map(split_conjunction_owned) {
        if let Some(compared) = marked(&condition) {
            times = Some(compared.clone());
        } else {
            let (one, op, other) = compared(condition, &left, &right)?;
            if op != Operator::Eq {
                return Err(refused());
            }
            keys.push((one, other));
        }
    }
    let Some(times) = times else {
        return Err(Error::internal("an ASOF join without a condition").into());
    };
    let (from, op, to) = compared(times, &left, &right)?;
    let matching = match op {
        Operator::GtEq => AsofMatch::AtOrBefore,
        Operator::Gt => AsofMatch::Before,
        Operator::LtEq => AsofMatch::AtOrBehind,
        Operator::Lt => AsofMatch::Behind,
        _ => return Err(refused()),
    };
    keys.push((from, to));
    for (one, other) in keys {
        let types = (
            one.get_type(left.schema())?,
            other.get_type(right.schema())?,
        );
        let kind = common_type(&types.0, &types.1)?;
        left.compare(one, &kind)?;
        right.compare(other, &kind)?;
    }
    let ((left, left_on), (right, right_on)) = (left.finish()?, right.finish()?);
    let node = AsofNode::new(
        left,
        right,
        AsofOn {
            left: left_on,
            right: right_on,
            matching,
            outer: join.join_type == JoinType::Left,
        },
    )?;
    let wide = node.schema.fields().len() > columns.len();
    let node = LogicalPlan::Extension(Extension {
        node: Arc::new(node),
    });
    if !wide {
        return Ok(node);
    }
    let projection = Projection::try_new(columns, Arc::new(node))?;
    Ok(LogicalPlan::Projection(projection))
}

/// What `condition` compares, the left side's expression first.
fn compared(condition: Expr, left: &Side, right: &Side) -> Outcome<(Expr, Operator, Expr)> {
    let Expr::BinaryExpr(binary) = condition else {
        return Err(refused());
    };
    if left.has(&binary.left) && right.has(&binary.right) {
        return Ok((*binary.left, binary.op, *binary.right));
    }
    match binary.op.swap() {
        Some(op) if right.has(&binary.left) && left.has(&binary.right) => {
            Ok((*binary.right, op, *binary.left))
        }
        _ => Err(refused()),
    }
}

/// The type in which values of two types are compared: a float wins over a decimal, as everywhere.
fn common_type(left: &DataType, right: &DataType) -> Outcome<DataType> {
    if left == right {
        return Ok(left.clone());
    }
    if (left.is_floating() && right.is_decimal()) || (left.is_decimal() && right.is_floating()) {
        return Ok(DataType::Float64);
    }
    let common = comparison_coercion(left, right);
    common.ok_or_else(|| {
        Error::invalid(format!("an ASOF join cannot compare {left} with {right}")).into()
    })
}

fn refused() -> DataFusionError {
    Error::unsupported("this condition of an ASOF JOIN is not supported")
        .with_hint(
            "MATCH_CONDITION (a.t >= b.t) compares one value of each side by >=, >, <= or <, and ON has nothing \
             but equalities of such values",
        )
        .into()
}

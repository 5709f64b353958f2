//! Joins: keys, residual filter, and the kinds that the engine has.

use std::sync::Arc;

use datafusion::common::{JoinType, NullEquality};
use datafusion::logical_expr::{ExprSchemable, Join};
use datafusion::physical_expr::PhysicalExpr;

use super::expressions::NoForm;
use super::lowering::{Formed, Lowering};
use crate::base::Result;
use crate::engine::operators::{self, JoinConfig, JoinKind};

type Keys = Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>;

impl Lowering<'_> {
    pub(super) fn join(&mut self, join: &Join, depth: usize) -> Result<Formed> {
        let Some((kind, swapped)) = kind_of(join) else {
            return Ok(Err(NoForm::because(no_kind(join))));
        };
        let on = match self.join_keys(join)? {
            Ok(on) => on,
            Err(reason) => return Ok(Err(reason)),
        };
        let residual = match self.join_residual(join, swapped)? {
            Ok(residual) => residual,
            Err(reason) => return Ok(Err(reason)),
        };
        let left = self.node(&join.left, depth + 1)?;
        let right = self.node(&join.right, depth + 1)?;
        let (left_schema, right_schema) = (join.left.schema().inner(), join.right.schema().inner());
        let config = JoinConfig {
            kind,
            left: Arc::clone(if swapped { right_schema } else { left_schema }),
            right: Arc::clone(if swapped { left_schema } else { right_schema }),
            on: if swapped { on.into_iter().map(|(l, r)| (r, l)).collect() } else { on },
            null_equals_null: join.null_equality == NullEquality::NullEqualsNull,
            residual,
            schema: Arc::clone(join.schema.inner()),
        };
        let inputs = if swapped { [right, left] } else { [left, right] };
        Ok(Ok(self.add(operators::Join::new(config), &inputs)))
    }

    fn join_keys(&self, join: &Join) -> Result<std::result::Result<Keys, NoForm>> {
        let mut on = Vec::with_capacity(join.on.len());
        for (left, right) in &join.on {
            if left.get_type(join.left.schema())? != right.get_type(join.right.schema())? {
                return Ok(Err(NoForm::because("the two sides of a join key differ in type")));
            }
            let sides =
                [self.physical(left, join.left.schema())?, self.physical(right, join.right.schema())?];
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
            return Ok(Err(NoForm::because("the two sides of a join have a column of one name")));
        };
        Ok(self.physical(filter, &pair)?.map(Some))
    }
}

/// The engine's kind, and whether it wants the inputs the other way round.
fn kind_of(join: &Join) -> Option<(JoinKind, bool)> {
    if join.null_aware {
        return None;
    }
    match join.join_type {
        JoinType::Inner => Some((JoinKind::Inner, false)),
        JoinType::Left => Some((JoinKind::Left, false)),
        JoinType::Right => Some((JoinKind::Right, false)),
        JoinType::Full => Some((JoinKind::Full, false)),
        JoinType::LeftSemi => Some((JoinKind::LeftSemi, false)),
        JoinType::LeftAnti => Some((JoinKind::LeftAnti, false)),
        // Their output has the columns of one side alone, so that the swap shows nowhere else.
        JoinType::RightSemi => Some((JoinKind::LeftSemi, true)),
        JoinType::RightAnti => Some((JoinKind::LeftAnti, true)),
        JoinType::LeftMark | JoinType::RightMark => None,
    }
}

fn no_kind(join: &Join) -> &'static str {
    if join.null_aware {
        "NOT IN over values that may be NULL has no incremental form yet"
    } else {
        "a subquery inside OR or NOT has no incremental form yet"
    }
}

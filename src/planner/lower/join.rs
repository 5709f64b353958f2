//! Joins: keys, residual filter, and the kinds that the engine has.

use std::sync::Arc;

use datafusion::common::{JoinType, NullEquality, ScalarValue};
use datafusion::logical_expr::{ExprSchemable, Filter, Join};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use super::bounds::inner_join;
use super::expressions::{NoForm, columns_as};
use super::lowering::{Formed, Lowering};
use crate::base::Result;
use crate::engine::operators::{self, JoinConfig, JoinKind, WaitingJoin};
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
        let line = self.explain.current();
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
                self.add(operator, &[left, right])
            }
            Form::Swapped(kind) => {
                let config = JoinConfig { kind, ..config };
                let operator = operators::Join::new(config).with_closing(closing);
                self.add(operator, &[right, left])
            }
            Form::Mark => self.mark_join(config, &closing, [left, right]),
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
            let rows = self.add(operator, &inputs);
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

//! Session windows: a window node that computes nothing but bounds of sessions.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{Sort as SortKey, WindowFunction};
use datafusion::logical_expr::{Expr, LogicalPlan, Window};

use super::lowering::Lowering;
use crate::base::Result;
use crate::engine::NodeId;
use crate::engine::operators::{self, SessionBound, SessionConfig};
use crate::planner::functions::{SESSION_END, SESSION_START, session_gap};

impl Lowering<'_> {
    /// The rows of `plan` with their sessions; `None` when it is not about sessions, or about several kinds of them.
    pub(super) fn sessions(&mut self, plan: &LogicalPlan, depth: usize) -> Result<Option<NodeId>> {
        let LogicalPlan::Window(window) = plan else {
            return Ok(None);
        };
        let Some((calls, bounds)) = session_calls(window) else {
            return Ok(None);
        };
        let Some((first, others)) = calls.split_first() else {
            return Ok(None);
        };
        if others.iter().any(|call| call.params != first.params) {
            return Ok(None);
        }
        let [time, Expr::Literal(ScalarValue::Int64(Some(micros)), _)] =
            first.params.args.as_slice()
        else {
            return Ok(None);
        };
        let order = [SortKey::new(time.clone(), true, false)];
        let schema = window.input.schema();
        let Ok(keyed) = self.keyed(&first.params.partition_by, &order, schema)? else {
            return Ok(None);
        };
        let Some(time) = keyed.order.first().map(|key| key.column) else {
            return Ok(None);
        };
        let Some(gap) = session_gap(*micros, keyed.wide.field(time).data_type()) else {
            return Ok(None);
        };
        let times = std::slice::from_ref(&first.params.args[0]);
        let mut closing = self.closing_of(times, &window.input)?;
        if let Some(closing) = &mut closing {
            let line = self.explain.current();
            self.explain.note(line, "closed sessions are let go");
            closing.key = time;
        }
        let input = self.node(&window.input, depth + 1)?;
        let input = self.widened(input, &keyed);
        let rows = operators::Session::new(SessionConfig {
            input: keyed.wide,
            group: keyed.group,
            time,
            gap,
            bounds,
            schema: Arc::clone(window.schema.inner()),
        })?;
        Ok(Some(self.add(rows.with_closing(closing), &[input])))
    }
}

/// The calls of `window`, when all are bounds of sessions.
fn session_calls(window: &Window) -> Option<(Vec<WindowFunction>, Vec<SessionBound>)> {
    let mut calls = Vec::with_capacity(window.window_expr.len());
    let mut bounds = Vec::with_capacity(window.window_expr.len());
    for expr in &window.window_expr {
        let Expr::WindowFunction(call) = expr.clone().unalias() else {
            return None;
        };
        bounds.push(match call.fun.name() {
            SESSION_START => SessionBound::Start,
            SESSION_END => SessionBound::End,
            _ => return None,
        });
        if call.params.filter.is_some() || call.params.distinct {
            return None;
        }
        calls.push(*call);
    }
    Some((calls, bounds))
}

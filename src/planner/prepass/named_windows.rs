//! Names of windows written out: `OVER w`, `OVER (w ORDER BY a)` and `WINDOW v AS (w ORDER BY a)`.
//!
//! DataFusion drops the name inside the parentheses, and with it the partition; and it knows names in the columns of a
//! SELECT alone, not in its ORDER BY and QUALIFY.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, OrderByKind, Query, Select, SetExpr,
    VisitMut, VisitorMut, WindowSpec, WindowType,
};

use super::fetch::same;
use crate::base::{Error, Kind, Result};

/// Writes out the windows in the ORDER BY of `query`.
pub(super) fn rewrite_order(query: &mut Query) -> Result<()> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return Ok(());
    };
    let Some(OrderByKind::Expressions(keys)) =
        query.order_by.as_mut().map(|order_by| &mut order_by.kind)
    else {
        return Ok(());
    };
    let windows = definitions(&select.named_window)?;
    keys.iter_mut()
        .try_for_each(|key| write_out(&mut key.expr, &windows))
}

/// Writes out the windows of `select`, and their definitions too.
pub(super) fn rewrite(select: &mut Select) -> Result<()> {
    let windows = definitions(&select.named_window)?;
    write_out(&mut select.projection, &windows)?;
    write_out(&mut select.qualify, &windows)?;
    for (definition, (_, spec)) in select.named_window.iter_mut().zip(windows) {
        definition.1 = NamedWindowExpr::WindowSpec(spec);
    }
    Ok(())
}

type Windows = Vec<(Ident, WindowSpec)>;

/// What each name stands for; a definition may name those before it.
fn definitions(definitions: &[NamedWindowDefinition]) -> Result<Windows> {
    let mut windows = Windows::new();
    for NamedWindowDefinition(name, window) in definitions {
        if windows.iter().any(|(known, _)| same(known, name)) {
            return Err(wrong(format!("window \"{name}\" is already defined")));
        }
        let spec = match window {
            NamedWindowExpr::NamedWindow(other) => named(&windows, other)?.clone(),
            NamedWindowExpr::WindowSpec(spec) => whole(spec.clone(), &windows)?,
        };
        windows.push((name.clone(), spec));
    }
    Ok(windows)
}

fn named<'w>(windows: &'w Windows, name: &Ident) -> Result<&'w WindowSpec> {
    let found = windows.iter().find(|(known, _)| same(known, name));
    found.map(|(_, spec)| spec).ok_or_else(|| {
        Error::new(
            Kind::Missing,
            "42704",
            format!("window \"{name}\" does not exist"),
        )
    })
}

/// `spec` with what the window has that it names.
fn whole(mut spec: WindowSpec, windows: &Windows) -> Result<WindowSpec> {
    let Some(name) = spec.window_name.take() else {
        return Ok(spec);
    };
    let base = named(windows, &name)?;
    if !spec.partition_by.is_empty() {
        return Err(wrong(format!(
            "cannot override PARTITION BY clause of window \"{name}\""
        )));
    }
    if !spec.order_by.is_empty() && !base.order_by.is_empty() {
        return Err(wrong(format!(
            "cannot override ORDER BY clause of window \"{name}\""
        )));
    }
    if base.window_frame.is_some() {
        return Err(wrong(format!(
            "cannot copy window \"{name}\" because it has a frame clause"
        ))
        .with_hint(format!("write OVER {name} without parentheses")));
    }
    spec.partition_by.clone_from(&base.partition_by);
    if spec.order_by.is_empty() {
        spec.order_by.clone_from(&base.order_by);
    }
    Ok(spec)
}

fn wrong(message: String) -> Error {
    Error::new(Kind::Invalid, "42P20", message)
}

fn write_out(node: &mut impl VisitMut, windows: &Windows) -> Result<()> {
    match node.visit(&mut WriteOut { windows, depth: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Subqueries have windows of their own.
struct WriteOut<'w> {
    windows: &'w Windows,
    depth: usize,
}

impl VisitorMut for WriteOut<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Error> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::Function(function) = expr else {
            return ControlFlow::Continue(());
        };
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let spec = match function.over.take() {
            None => return ControlFlow::Continue(()),
            Some(WindowType::NamedWindow(name)) => named(self.windows, &name).cloned(),
            Some(WindowType::WindowSpec(spec)) => whole(spec, self.windows),
        };
        match spec {
            Ok(spec) => {
                function.over = Some(WindowType::WindowSpec(spec));
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

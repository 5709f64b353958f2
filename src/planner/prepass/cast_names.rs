//! Casts whose names say what they are casts to.
//!
//! DataFusion names a cast as what it casts, so to it `max(ts)` and `max(ts::date)` are two columns of one name. Where a query is
//! refused for that, it is planned again with a mark around every cast of anything but a constant.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, SchemaError};
use sqlparser::ast::{Expr, Query, Value, VisitMut, VisitorMut};

use super::from_functions::function;
use crate::planner::functions::CAST_MARK;

/// Whether `error` refuses two columns of one name.
pub fn is_of_names(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => matches!(
            **error,
            SchemaError::DuplicateUnqualifiedField { .. }
                | SchemaError::DuplicateQualifiedField { .. }
        ),
        DataFusionError::Plan(message) => message.contains("require unique expression names"),
        DataFusionError::Diagnostic(_, inner) => is_of_names(inner),
        _ => false,
    }
}

/// Marks the casts of `query`, and says whether there are any.
pub fn tell_casts_apart(query: &mut Query) -> bool {
    let mut mark = Mark(false);
    let ControlFlow::Continue(()) = query.visit(&mut mark);
    mark.0
}

struct Mark(bool);

impl VisitorMut for Mark {
    type Break = Infallible;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        if let Expr::Cast {
            expr: value,
            data_type,
            ..
        } = expr
            && !matches!(**value, Expr::Value(_))
        {
            let to = Value::SingleQuotedString(data_type.to_string());
            let cast = std::mem::replace(expr, Expr::Value(Value::Null.into()));
            *expr = function(CAST_MARK, vec![cast, Expr::Value(to.into())]);
            self.0 = true;
        }
        ControlFlow::Continue(())
    }
}

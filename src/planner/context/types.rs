//! Types in expressions (CASTs, literals) are the types of columns: one function maps both.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::planner::TypePlanner;
use sqlparser::ast;

use crate::base::Kind;
use crate::planner::parse::arrow_type;

/// Plans SQL types by `arrow_type`. What that does not know is left to DataFusion's own planner.
#[derive(Debug)]
pub(super) struct OwnTypes;

impl TypePlanner for OwnTypes {
    fn plan_type_field(&self, sql: &ast::DataType) -> Result<Option<FieldRef>, DataFusionError> {
        match arrow_type(sql) {
            Ok(data_type) => Ok(Some(Arc::new(Field::new("", data_type, true)))),
            Err(error) if error.kind() == Kind::Unsupported => {
                Ok(alias(sql).map(|data_type| Arc::new(Field::new("", data_type, true))))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// PostgreSQL's object identifiers, which clients cast to; their numbers are plain integers here.
fn alias(sql: &ast::DataType) -> Option<DataType> {
    match sql {
        ast::DataType::Custom(name, _) => match name.to_string().to_lowercase().as_str() {
            "oid" | "pg_catalog.oid" => Some(DataType::Int32),
            "pg_catalog.text"
            | "pg_catalog.name"
            | "pg_catalog.varchar"
            | "pg_catalog.\"char\"" => Some(DataType::Utf8View),
            _ => None,
        },
        _ => None,
    }
}

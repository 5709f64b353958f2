//! DEFAULT of columns: checked when a table is made, computed once a statement.
//!
//! A default is a constant expression or the clock. What it gives is kept as one value of its column's type
//! that every row of a statement shares.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan, Volatility};
use datafusion::physical_plan;
use sqlparser::ast::{self, Visit, Visitor};

use super::instance::Lotic;
use super::plan::{Planner, Purpose, query_of};
use super::values::strict_cast;
use crate::base::{Error, Kind, Result};
use crate::catalog::Object;

/// Functions of the clock: the same for all rows of a statement.
const CLOCK: [&str; 8] = [
    "current_date",
    "current_time",
    "current_timestamp",
    "localtimestamp",
    "now",
    "statement_timestamp",
    "today",
    "transaction_timestamp",
];

/// The values of one statement, by column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults(BTreeMap<usize, ArrayRef>);

impl Defaults {
    /// Columns of `schema` whose `rows` rows all have their defaults; NULL where there is none.
    pub(crate) fn columns(&self, schema: &SchemaRef, rows: usize) -> Result<Vec<ArrayRef>> {
        let columns = schema.fields().iter().enumerate().map(|(column, field)| {
            let Some(value) = self.0.get(&column) else {
                return Ok(new_null_array(field.data_type(), rows));
            };
            Ok(ScalarValue::try_from_array(value, 0)?.to_array_of_size(rows)?)
        });
        columns.collect()
    }

    /// The value of each column that has one, as an array of one row.
    pub(crate) fn by_column(&self) -> &BTreeMap<usize, ArrayRef> {
        &self.0
    }

    /// A VALUES list with every DEFAULT in it replaced by its value; none where it has no DEFAULT.
    pub(crate) fn in_values(
        &self,
        source: &ast::Query,
        targets: &[usize],
    ) -> Result<Option<ast::Query>> {
        let ast::SetExpr::Values(values) = source.body.as_ref() else {
            return Ok(None);
        };
        if !values.rows.iter().any(|row| row.iter().any(is_default)) {
            return Ok(None);
        }
        let mut replaced = source.clone();
        if let ast::SetExpr::Values(values) = replaced.body.as_mut() {
            for row in &mut values.rows {
                for (cell, target) in row.iter_mut().zip(targets) {
                    if is_default(cell) {
                        *cell = self.literal(*target)?;
                    }
                }
            }
        }
        Ok(Some(replaced))
    }

    /// The default of a column as a literal, which is cast to the column's type like any other.
    pub(crate) fn literal(&self, column: usize) -> Result<ast::Expr> {
        let value = match self.0.get(&column) {
            Some(value) if !value.is_null(0) => {
                let text = strict_cast(value, &DataType::Utf8)?;
                let text = arrow::array::AsArray::as_string::<i32>(&text)
                    .value(0)
                    .to_owned();
                ast::Value::SingleQuotedString(text)
            }
            _ => ast::Value::Null,
        };
        Ok(ast::Expr::Value(value.into()))
    }
}

/// Whether an expression is the word DEFAULT.
pub(crate) fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(name)
        if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default"))
}

impl Lotic {
    /// The defaults of an object's columns, computed now.
    ///
    /// # Errors
    /// When an expression fails.
    pub(super) async fn defaults_of(self: &Arc<Self>, object: &Object) -> Result<Defaults> {
        let Some(texts) = object.defaults().filter(|texts| !texts.is_empty()) else {
            return Ok(Defaults::default());
        };
        if let Some(known) = self.constant_defaults.lock().get(&object.id) {
            return Ok(known.clone());
        }
        let (defaults, constant) = self.compute_defaults(&object.schema, texts).await?;
        if constant {
            let mut known = self.constant_defaults.lock();
            known.insert(object.id, defaults.clone());
        }
        Ok(defaults)
    }

    /// Computes defaults, given as text by column name, and tells whether they never change.
    ///
    /// # Errors
    /// 0A000 for one that is neither constant nor the clock, 42804 and the like for one that does not
    /// fit its column.
    pub(super) async fn compute_defaults(
        self: &Arc<Self>,
        schema: &SchemaRef,
        texts: &BTreeMap<String, String>,
    ) -> Result<(Defaults, bool)> {
        let world = self.world();
        let mut constant = true;
        let mut columns = Vec::new();
        let mut query: Option<ast::Query> = None;
        for (name, text) in texts {
            let column = schema.index_of(name)?;
            check_type(name, schema.field(column).data_type())?;
            let one = query_of(&format!("SELECT {text}"))?;
            check_tree(name, &one)?;
            let planned = Planner::new(self, &world, Purpose::Read)
                .plan(one.clone())
                .await
                .map_err(|error| named(name, error))?;
            constant &= !check_plan(name, &planned.plan)?;
            columns.push((column, name));
            // all in one query, so that all read the clock at one moment
            match &mut query {
                None => query = Some(one),
                Some(query) => add_columns(query, one),
            }
        }
        let Some(query) = query else {
            return Ok((Defaults::default(), true));
        };
        let planned = Planner::new(self, &world, Purpose::Read)
            .plan(query)
            .await?;
        let state = planned.state;
        let plan = planned.plan;
        let computed = self.queries().spawn(async move {
            let physical = state.create_physical_plan(&plan).await?;
            physical_plan::collect(physical, state.task_ctx()).await
        });
        let batches = computed
            .await
            .map_err(|error| Error::internal(error.to_string()))??;
        let Some(batch) = batches.iter().find(|batch| batch.num_rows() == 1) else {
            return Err(Error::internal("defaults are one row"));
        };
        let mut values = BTreeMap::new();
        for ((column, name), value) in columns.into_iter().zip(batch.columns()) {
            let value = strict_cast(value, schema.field(column).data_type());
            values.insert(column, value.map_err(|error| named(name, error))?);
        }
        Ok((Defaults(values), constant))
    }
}

fn named(column: &str, error: Error) -> Error {
    error.at(format!("DEFAULT of column \"{column}\""))
}

fn not_constant(column: &str) -> Error {
    let text = format!("DEFAULT of column \"{column}\" is not a constant");
    Error::unsupported(text).with_hint("a default is made of constants, or is now()")
}

fn check_type(column: &str, data_type: &DataType) -> Result<()> {
    if data_type.is_primitive() && !matches!(data_type, DataType::Interval(_))
        || matches!(
            data_type,
            DataType::Boolean | DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8
        )
    {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "column \"{column}\" has a DEFAULT, which its type cannot have yet"
    )))
}

/// Refuses columns, subqueries and parameters.
fn check_tree(column: &str, query: &ast::Query) -> Result<()> {
    struct Search {
        queries: usize,
    }
    impl Visitor for Search {
        type Break = ();

        fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            self.queries += 1;
            if self.queries > 1 {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
            let is_placeholder = matches!(expr, ast::Expr::Value(value)
                if matches!(value.value, ast::Value::Placeholder(_)));
            let is_name = matches!(
                expr,
                ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_)
            );
            if is_name || is_placeholder {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    let one_item = matches!(query.body.as_ref(), ast::SetExpr::Select(select)
        if select.projection.len() == 1 && select.from.is_empty());
    match query.visit(&mut Search { queries: 0 }) {
        ControlFlow::Continue(()) if one_item => Ok(()),
        _ => Err(not_constant(column)),
    }
}

/// Refuses aggregates and functions that change from row to row; tells whether the clock is read.
fn check_plan(column: &str, plan: &LogicalPlan) -> Result<bool> {
    let (mut clock, mut bad) = (false, false);
    plan.apply(|node| {
        bad |= !matches!(
            node,
            LogicalPlan::Projection(_) | LogicalPlan::EmptyRelation(_)
        );
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let PlanExpr::ScalarFunction(call) = expr {
                    let is_clock = CLOCK.contains(&call.func.name());
                    clock |= is_clock;
                    bad |= !is_clock && call.func.signature().volatility != Volatility::Immutable;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    if bad {
        return Err(not_constant(column));
    }
    Ok(clock)
}

/// Adds the one column of `more` to `query`.
fn add_columns(query: &mut ast::Query, more: ast::Query) {
    if let (ast::SetExpr::Select(select), ast::SetExpr::Select(more)) =
        (query.body.as_mut(), *more.body)
    {
        select.projection.extend(more.projection);
    }
    // two columns of one name are no columns of one query
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        for (position, item) in select.projection.iter_mut().enumerate() {
            if let ast::SelectItem::UnnamedExpr(expr) = item {
                *item = ast::SelectItem::ExprWithAlias {
                    expr: expr.clone(),
                    alias: ast::Ident::with_quote('"', format!("__default_{position}")),
                };
            }
        }
    }
}

/// The defaults that a CREATE gives, by column name.
///
/// # Errors
/// 0A000 where the rows come from a connector alone.
pub(crate) fn only_where_written(defaults: &BTreeMap<String, String>, written: bool) -> Result<()> {
    match defaults.keys().next() {
        Some(column) if !written => Err(Error::new(
            Kind::Unsupported,
            "0A000",
            format!("column \"{column}\" has a DEFAULT, and its rows come from a connector"),
        )
        .with_hint("a default is for rows that statements and clients write")),
        _ => Ok(()),
    }
}

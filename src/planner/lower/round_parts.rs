//! LIMIT and UNION within a recursive term: the first rows of each round, and rows that every round has.

use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, FetchType, Filter, Limit, LogicalPlan, LogicalPlanBuilder, Projection,
    SkipType, Sort, SubqueryAlias, Union, lit,
};

use super::expressions::may_fail;
use super::rounds::{Outcome, Stop, Term, fixed, none, round_of, with_round};
use crate::base::Error;
use crate::engine::operators::ROUND;
use crate::planner::functions::row_number;

impl Term<'_> {
    /// LIMIT in each round. The Sort that it reads may stand below nodes that keep the order.
    pub(super) fn limit(&self, limit: &Limit) -> Outcome<LogicalPlan> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) =
            (limit.get_skip_type()?, limit.get_fetch_type()?)
        else {
            return none("a LIMIT that is no number within a recursive term");
        };
        let below = |input: &Arc<LogicalPlan>| {
            Arc::new(LogicalPlan::Limit(Limit {
                skip: limit.skip.clone(),
                fetch: limit.fetch.clone(),
                input: Arc::clone(input),
            }))
        };
        match limit.input.as_ref() {
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.first_rows(sort, skip, fetch),
            LogicalPlan::Projection(projection) => {
                let schema = projection.input.schema();
                if projection.expr.iter().any(|expr| may_fail(expr, schema)) {
                    return none("a column between the order and its limit can fail on a row");
                }
                let exprs = projection.expr.clone();
                let schema = Arc::clone(&projection.schema);
                let input = below(&projection.input);
                self.node(&LogicalPlan::Projection(Projection::try_new_with_schema(
                    exprs, input, schema,
                )?))
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let input = below(&alias.input);
                let alias = SubqueryAlias::try_new(input, alias.alias.clone())?;
                self.node(&LogicalPlan::SubqueryAlias(alias))
            }
            _ => none("a LIMIT without an order within a recursive term"),
        }
    }

    /// The rows behind the first `skip` of each round, at most `fetch` of them.
    pub(super) fn first_rows(
        &self,
        sort: &Sort,
        skip: usize,
        fetch: Option<usize>,
    ) -> Outcome<LogicalPlan> {
        let input = self.node(&sort.input)?;
        let round = Expr::Column(round_of(input.schema())?);
        let columns: Vec<Expr> = columns_of(input.schema());
        let number = row_number()
            .partition_by(vec![round])
            .order_by(sort.expr.clone())
            .build()?;
        let width = input.schema().fields().len();
        let node = LogicalPlanBuilder::from(input)
            .window(vec![number])?
            .build()?;
        let Some(number) = columns_of(node.schema()).into_iter().nth(width) else {
            return Err(Stop::Failed(Error::internal("a window without its column")));
        };
        let wide = |rows: usize| lit(i64::try_from(rows).unwrap_or(i64::MAX));
        let mut conditions = Vec::new();
        if skip > 0 {
            conditions.push(number.clone().gt(wide(skip)));
        }
        if let Some(fetch) = fetch {
            conditions.push(number.lt_eq(wide(skip.saturating_add(fetch))));
        }
        let node = match conjunction(conditions) {
            Some(kept) => LogicalPlan::Filter(Filter::try_new(kept, Arc::new(node))?),
            None => node,
        };
        Ok(LogicalPlan::Projection(Projection::try_new(
            columns,
            Arc::new(node),
        )?))
    }

    /// The inputs that do not read the recursion give their rows in every round.
    pub(super) fn union(&self, union: &Union) -> Outcome<LogicalPlan> {
        let round = Column::from_name(ROUND);
        let width = union.schema.fields().len();
        let schema = with_round(&union.schema, width, &round)?;
        let mut inputs = Vec::with_capacity(union.inputs.len());
        for input in &union.inputs {
            let input = if self.is_read_by(input) {
                self.node(input)?
            } else {
                LogicalPlanBuilder::from(fixed(input)?)
                    .cross_join(self.rounds()?)?
                    .build()?
            };
            inputs.push(Arc::new(round_behind(input)?));
        }
        Ok(LogicalPlan::Union(Union { inputs, schema }))
    }
}

/// `plan` with its round behind its other columns.
fn round_behind(plan: LogicalPlan) -> Outcome<LogicalPlan> {
    let round = round_of(plan.schema())?;
    let mut exprs = Vec::with_capacity(plan.schema().fields().len());
    let mut fields: Vec<(Option<TableReference>, FieldRef)> = Vec::with_capacity(exprs.capacity());
    for (place, (relation, field)) in plan.schema().iter().enumerate() {
        let column = Column::from((relation, field));
        if column == round {
            continue;
        }
        // Two inputs of a join may have a column of one name here, which nobody asks for by name.
        let name = format!("c{place}");
        exprs.push(Expr::Column(column).alias(&name));
        fields.push((None, Arc::new(Field::clone(field).with_name(name))));
    }
    let (relation, field) = plan.schema().qualified_field_from_column(&round)?;
    exprs.push(Expr::Column(round.clone()));
    fields.push((relation.cloned(), Arc::clone(field)));
    let schema = DFSchema::new_with_metadata(fields, plan.schema().metadata().clone())?;
    let projection = Projection::try_new_with_schema(exprs, Arc::new(plan), Arc::new(schema))?;
    Ok(LogicalPlan::Projection(projection))
}

fn columns_of(schema: &DFSchema) -> Vec<Expr> {
    schema.columns().into_iter().map(Expr::Column).collect()
}

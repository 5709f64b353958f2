//! LIMIT in a subquery: the first rows for each row of the domain, numbered by a window.

use std::sync::Arc;

use datafusion::logical_expr::expr::Sort as SortKey;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, FetchType, Filter, Limit, LogicalPlan, LogicalPlanBuilder, Projection,
    SkipType, Sort, lit,
};

use super::Outcome;
use super::domain::Domain;
use super::push::{bind, columns_from, project_as};
use super::rewriter::Rewriter;
use crate::base::Error;
use crate::planner::functions::row_number;

/// LIMIT for each row of `domain`. The Sort that it reads may stand below projections.
pub(super) fn push(rewriter: &mut Rewriter, node: Limit, domain: &Domain) -> Outcome<LogicalPlan> {
    let (SkipType::Literal(skip), FetchType::Literal(fetch)) =
        (node.get_skip_type()?, node.get_fetch_type()?)
    else {
        return Err(Error::unsupported(
            "a LIMIT that is not a number, in a subquery that reads the row outside, is not supported",
        )
        .into());
    };
    let first = Rows { skip, fetch };
    first.of(rewriter, Arc::unwrap_or_clone(node.input), domain)
}

/// The rows that are kept.
struct Rows {
    skip: usize,
    fetch: Option<usize>,
}

impl Rows {
    fn of(
        &self,
        rewriter: &mut Rewriter,
        input: LogicalPlan,
        domain: &Domain,
    ) -> Outcome<LogicalPlan> {
        match input {
            LogicalPlan::Sort(Sort { expr, input, .. }) => {
                let own = Arc::clone(input.schema());
                let keys = expr
                    .into_iter()
                    .map(|key| {
                        Ok(SortKey {
                            expr: bind(key.expr, &own, domain)?,
                            ..key
                        })
                    })
                    .collect::<Outcome<Vec<_>>>()?;
                let input = Arc::unwrap_or_clone(input);
                self.numbered(rewriter, input, keys, domain)
            }
            LogicalPlan::Projection(Projection {
                expr,
                input,
                schema,
                ..
            }) if leads_to_sort(&input) => {
                let own = Arc::clone(input.schema());
                let exprs = expr
                    .into_iter()
                    .map(|expr| bind(expr, &own, domain))
                    .collect::<Outcome<Vec<_>>>()?;
                let input = self.of(rewriter, Arc::unwrap_or_clone(input), domain)?;
                project_as(domain, exprs, &schema, input)
            }
            LogicalPlan::SubqueryAlias(alias) if leads_to_sort(&alias.input) => {
                let columns = columns_from(&alias.input, 0);
                let input = self.of(rewriter, Arc::unwrap_or_clone(alias.input), domain)?;
                project_as(domain, columns, &alias.schema, input)
            }
            input => self.numbered(rewriter, input, Vec::new(), domain),
        }
    }

    fn numbered(
        &self,
        rewriter: &mut Rewriter,
        input: LogicalPlan,
        keys: Vec<SortKey>,
        domain: &Domain,
    ) -> Outcome<LogicalPlan> {
        let schema = Arc::clone(input.schema());
        let input = super::push::push(rewriter, input, domain)?;
        // Without keys any choice would do; all columns in their order make it the same one each time.
        let keys = if keys.is_empty() {
            schema
                .columns()
                .into_iter()
                .map(|column| Expr::Column(column).sort(true, false))
                .collect()
        } else {
            keys
        };
        let number = row_number()
            .partition_by(domain.exprs())
            .order_by(keys)
            .build()?;
        let width = input.schema().fields().len();
        let node = LogicalPlanBuilder::from(input)
            .window(vec![number])?
            .build()?;
        let Some(number) = columns_from(&node, width).pop() else {
            return Err(Error::internal("a window without its column").into());
        };
        let mut conditions = Vec::new();
        if self.skip > 0 {
            conditions.push(number.clone().gt(lit(wide(self.skip))));
        }
        if let Some(fetch) = self.fetch {
            conditions.push(number.lt_eq(lit(wide(self.skip.saturating_add(fetch)))));
        }
        let node = match conjunction(conditions) {
            Some(kept) => LogicalPlan::Filter(Filter::try_new(kept, Arc::new(node))?),
            None => node,
        };
        let columns: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
        project_as(domain, columns, &schema, node)
    }
}

fn wide(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn leads_to_sort(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => leads_to_sort(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => leads_to_sort(&alias.input),
        _ => false,
    }
}

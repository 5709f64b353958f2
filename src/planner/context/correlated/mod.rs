//! Correlated subqueries that DataFusion does not plan, as joins.
//!
//! A subquery that looks at the row outside is one query a row. It depends on that row through few columns, so it
//! is enough to compute it once for each of their distinct values: the *domain*. `push` carries the domain down
//! into the subquery, until nothing in it looks outside any more: a filter on the outer row becomes
//! a join with the domain, an aggregate groups by the domain too. The outer rows then join the result, NULL
//! being equal to NULL there. All of it is joins and aggregates, so it is incremental.
//!
//! `scope` finds what a subquery reads of the rows outside, `domain` makes the distinct values, `push` carries them
//! down, `values` puts results in the place of subqueries in expressions, `join_conditions`
//! moves them out of joins first, with `outer_joins` where that takes a union; `lateral` does so for FROM, `row_wise` where no join is needed for it, `row_tests` holds values
//! against all rows of a subquery, and `simple`
//! says which subqueries DataFusion turns into cheaper joins by itself; these are left to it.

mod domain;
mod join_conditions;
mod lateral;
mod limit;
mod outer_joins;
mod push;
mod rewriter;
mod row_tests;
mod row_wise;
mod scope;
mod simple;
mod values;

pub(super) use rewriter::rewrite;
pub(super) use scope::free_columns;

/// What DataFusion's own interfaces answer.
type Outcome<T> = Result<T, datafusion::common::DataFusionError>;

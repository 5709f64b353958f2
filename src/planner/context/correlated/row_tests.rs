//! A value held against all rows of a subquery: `x IN (SELECT y ..)`, `x > ALL (SELECT y ..)`, as values.
//!
//! What the rows say of any `x` is little, and does not grow with the outer rows: how many there are, how many of them are not NULL, and
//! for an order the least and the greatest, for equality the distinct values, which the outer rows join. So the cost is that of the
//! two sides, where a comparison of each pair would cost their product.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::expr::{InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, ExprSchemable, LogicalPlan, Operator, Projection, lit,
    when,
};

use super::Outcome;
use super::domain::{Domain, with_fixed_choices};
use super::push::{columns_from, or_default, project_as, push};
use super::scope::has_subquery;
use super::values::Found;

/// `wanted op ANY (rows)`, or ALL.
struct Test {
    wanted: Expr,
    op: Operator,
    is_any: bool,
    rows: LogicalPlan,
}

/// What decides a test.
#[derive(Clone, Copy)]
enum By {
    /// Whether the value is among the distinct ones.
    Member,
    /// The least or the greatest value.
    Extreme { least: bool },
}

impl Test {
    /// The test that `expr` is; none for other expressions.
    fn of(expr: &Expr) -> Option<Self> {
        let (wanted, op, is_any, subquery) = match expr {
            Expr::InSubquery(InSubquery {
                expr,
                subquery,
                negated,
            }) => {
                let op = if *negated {
                    Operator::NotEq
                } else {
                    Operator::Eq
                };
                (expr, op, !negated, subquery)
            }
            Expr::SetComparison(SetComparison {
                expr,
                subquery,
                op,
                quantifier,
            }) => (expr, *op, *quantifier == SetQuantifier::Any, subquery),
            _ => return None,
        };
        Some(Self {
            wanted: wanted.as_ref().clone(),
            op,
            is_any,
            rows: subquery.subquery.as_ref().clone(),
        })
    }

    /// What decides it; none where that takes every pair: by the value's and the rows' types.
    fn by(&self, wanted: &DataType, value: &DataType) -> Option<By> {
        match (self.op, self.is_any) {
            (Operator::Eq, true) | (Operator::NotEq, false) => {
                one_to_one(wanted, value).then_some(By::Member)
            }
            (Operator::Gt | Operator::GtEq, _) => {
                let least = self.is_any;
                one_order(wanted, value).then_some(By::Extreme { least })
            }
            (Operator::Lt | Operator::LtEq, _) => {
                let least = !self.is_any;
                one_order(wanted, value).then_some(By::Extreme { least })
            }
            _ => None,
        }
    }
}

/// Whether different values of the second type stay different where they are compared with the first. Floats do not beside integers,
/// and equal intervals have several forms.
fn one_to_one(wanted: &DataType, value: &DataType) -> bool {
    let plain = |of: &DataType| {
        !of.is_nested() && !matches!(of, DataType::Interval(_) | DataType::Duration(_))
    };
    plain(value)
        && (wanted == value
            || (wanted.is_integer() && value.is_integer())
            || (wanted.is_string() && value.is_string()))
}

/// Whether min and max of the second type go by the order in which its values are compared with the first.
fn one_order(wanted: &DataType, value: &DataType) -> bool {
    let moment = |of: &DataType| matches!(of, DataType::Date32 | DataType::Timestamp(..));
    (wanted.is_numeric() && value.is_numeric())
        || (wanted.is_string() && value.is_string())
        || (moment(wanted) && moment(value))
}

/// Whether `plan` may have other rows when it is computed a second time.
fn is_volatile(plan: &LogicalPlan) -> Outcome<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found = found || expr.is_volatile();
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

impl Found<'_> {
    /// `expr` by what the rows of its subquery say, if it is a test that needs no pairs.
    pub(super) fn tested(&mut self, expr: &Expr) -> Outcome<Option<Expr>> {
        let Some(mut test) = Test::of(expr) else {
            return Ok(None);
        };
        let fits = test.rows.schema().fields().len() == 1
            && !has_subquery(&test.wanted)
            && !test.wanted.contains_outer()
            && !test.wanted.is_volatile()
            && !is_volatile(&test.rows)?;
        if !fits {
            return Ok(None);
        }
        let wanted = test.wanted.get_type(self.base.schema())?;
        let field = Arc::clone(test.rows.schema().field(0));
        let Some(by) = test.by(&wanted, field.data_type()) else {
            return Ok(None);
        };
        test.rows = with_fixed_choices(test.rows)?;
        let sure = !field.is_nullable() && !test.wanted.nullable(self.base.schema())?;
        self.keep_wanted(&mut test)?;
        let value = match by {
            By::Member => self.member(&test, sure)?,
            By::Extreme { least } => self.extreme(&test, least)?,
        };
        Ok(Some(value))
    }

    /// Computes the value once for each outer row, where that is any work.
    fn keep_wanted(&mut self, test: &mut Test) -> Outcome<()> {
        if matches!(test.wanted, Expr::Column(_) | Expr::Literal(..)) {
            return Ok(());
        }
        let name = self.rewriter.name();
        let mut exprs = columns_from(&self.joined, 0);
        let width = exprs.len();
        exprs.push(test.wanted.clone().alias_qualified(Some(name), "wanted"));
        let input = Arc::new(self.joined.clone());
        self.joined = LogicalPlan::Projection(Projection::try_new(exprs, input)?);
        if let Some(wanted) = columns_from(&self.joined, width).pop() {
            test.wanted = wanted;
        }
        Ok(())
    }

    /// Equality with one of the rows: `sure` says that nothing is NULL.
    fn member(&mut self, test: &Test, sure: bool) -> Outcome<Expr> {
        let domain = self.domain_of(&test.rows)?;
        let distinct = self.distinct(test.rows.clone(), &domain)?;
        let results = columns_from(&distinct, domain.outer().len());
        let equal = |results: &[Expr]| {
            let value = results.first().cloned();
            value.map(|value| test.wanted.clone().eq(value))
        };
        let found = self.join_where(distinct, results, &domain, &equal)?;
        let Some(found) = found.into_iter().next() else {
            return Ok(Expr::Literal(ScalarValue::Boolean(None), None));
        };
        let found = found.is_not_null();
        if sure {
            return Ok(if test.is_any { found } else { !found });
        }
        self.rewriter.copied(&test.rows)?;
        let domain = self.rewriter.again(&domain)?;
        let (rows, known, _) = self.counted(test, &domain, None)?;
        decided(test, found, rows, known)
    }

    /// The distinct rows of a subquery for each of the domain's.
    fn distinct(&mut self, rows: LogicalPlan, domain: &Domain) -> Outcome<LogicalPlan> {
        let (columns, schema) = (columns_from(&rows, 0), Arc::clone(rows.schema()));
        let pushed = push(self.rewriter, rows, domain)?;
        let plain = project_as(domain, columns, &schema, pushed)?;
        Ok(LogicalPlan::Distinct(Distinct::All(Arc::new(plain))))
    }

    /// A place in the order of the rows: above the least is above one, above the greatest is above all.
    fn extreme(&mut self, test: &Test, least: bool) -> Outcome<Expr> {
        let domain = self.domain_of(&test.rows)?;
        let (rows, known, bound) = self.counted(test, &domain, Some(least))?;
        let compared = Box::new(test.wanted.clone());
        let compared = Expr::BinaryExpr(BinaryExpr::new(compared, test.op, Box::new(bound)));
        let found = if test.is_any {
            compared
        } else {
            // no bound, no row that is not NULL: nothing speaks against it
            compared.is_false()
        };
        decided(test, found, rows, known)
    }

    /// How many rows a subquery has for an outer row, how many of them are not NULL, and the least or greatest.
    fn counted(
        &mut self,
        test: &Test,
        domain: &Domain,
        least: Option<bool>,
    ) -> Outcome<(Expr, Expr, Expr)> {
        let null = Expr::Literal(ScalarValue::Null, None);
        let Some(value) = columns_from(&test.rows, 0).pop() else {
            return Ok((lit(0_i64), lit(0_i64), null));
        };
        let pushed = push(self.rewriter, test.rows.clone(), domain)?;
        let calls = &self.rewriter.calls;
        let mut made = vec![
            calls.count.call(vec![lit(1_i64)]),
            calls.count.call(vec![value.clone()]),
        ];
        if let Some(least) = least {
            let call = if least { &calls.min } else { &calls.max };
            made.push(call.call(vec![value]));
        }
        let grouped =
            LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(pushed), domain.exprs(), made)?);
        let results = columns_from(&grouped, domain.outer().len());
        let results = self.join_where(grouped, results, domain, &|_| None)?;
        let mut results = results.into_iter();
        let mut count = || {
            let count = results.next().unwrap_or_else(|| lit(0_i64));
            or_default(count, Some(lit(0_i64)))
        };
        let (rows, known) = (count(), count());
        Ok((rows, known, results.next().unwrap_or(null)))
    }
}

/// ANY where `found` is true, else ALL where it is false: then NULL where the value or one of the rows is NULL.
fn decided(test: &Test, found: Expr, rows: Expr, known: Expr) -> Outcome<Expr> {
    let any_row = rows.clone().gt(lit(0_i64));
    let unknown = rows
        .gt(known)
        .or(test.wanted.clone().is_null().and(any_row));
    when(found, lit(test.is_any))
        .when(unknown, Expr::Literal(ScalarValue::Boolean(None), None))
        .otherwise(lit(!test.is_any))
}

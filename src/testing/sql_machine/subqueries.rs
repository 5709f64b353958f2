//! Random subqueries in expressions: EXISTS, IN, ANY and ALL, and scalar ones, correlated or not.

use super::generator::{Column, Generator};
use super::kinds::Kind;

impl Generator<'_> {
    /// A truth value that reads a subquery.
    pub(super) fn subquery_test(&mut self, scope: &[Column], depth: usize) -> String {
        let kind = self.kind();
        let left = self.value(scope, kind, 1);
        match self.choices.below(7) {
            0 => {
                let not = *self.choices.pick(&["", "NOT "]);
                format!("{left} {not}IN ({})", self.inner(scope, kind, depth))
            }
            1 => {
                let not = *self.choices.pick(&["", "NOT "]);
                format!("{not}EXISTS ({})", self.inner(scope, kind, depth))
            }
            2 => {
                let is = *self.choices.pick(&["IS NOT TRUE", "IS NULL", "IS TRUE"]);
                format!("({left} IN ({})) {is}", self.inner(scope, kind, depth))
            }
            3 | 4 => {
                let operator = *self.choices.pick(&["=", "<", ">=", "<>", ">"]);
                let every = *self.choices.pick(&["ANY", "ALL"]);
                format!(
                    "{left} {operator} {every} ({})",
                    self.inner(scope, kind, depth)
                )
            }
            5 => {
                let operator = *self.choices.pick(&["=", "<", "IS DISTINCT FROM"]);
                format!("{left} {operator} {}", self.scalar(scope, kind, depth))
            }
            _ => {
                let other = self.value(scope, Kind::Bool, 1);
                let word = *self.choices.pick(&["OR", "AND"]);
                let test = self.subquery_test(scope, depth.saturating_sub(1));
                format!("(({test}) {word} {other})")
            }
        }
    }

    /// A subquery of one row at most.
    pub(super) fn scalar(&mut self, scope: &[Column], kind: Kind, depth: usize) -> String {
        let (from, inner) = self.from(depth.min(1));
        let filter = self.correlated(scope, &inner);
        match self.choices.below(5) {
            0 => {
                let value = self.value(&inner, kind, 1);
                let order = self.key(&inner, kind);
                format!("(SELECT {value} FROM {from}{filter} ORDER BY {order} LIMIT 1)")
            }
            1 => {
                // A second row is an error of the row outside.
                let value = self.value(&inner, kind, 1);
                format!("(SELECT {value} FROM {from}{filter})")
            }
            _ => format!(
                "(SELECT {} FROM {from}{filter})",
                self.aggregate(kind, &inner)
            ),
        }
    }

    /// A query of one column.
    fn inner(&mut self, scope: &[Column], kind: Kind, depth: usize) -> String {
        if self.choices.below(3) == 0 {
            return self.query(&[kind], depth.min(1));
        }
        let (from, inner) = self.from(depth.min(1));
        let filter = self.correlated(scope, &inner);
        let value = self.value(&inner, kind, 1);
        format!("SELECT {value} AS c0 FROM {from}{filter}")
    }

    /// A condition that may read the row outside.
    pub(super) fn correlated(&mut self, outer: &[Column], inner: &[Column]) -> String {
        let kind = self.kind();
        let both = || [inner, outer].concat();
        match self.choices.below(5) {
            0 => String::new(),
            1 | 2 => {
                let (left, right) = (self.value(inner, kind, 0), self.value(outer, kind, 0));
                format!(" WHERE {left} = {right}")
            }
            3 => {
                let (left, right) = (self.value(inner, kind, 1), self.value(outer, kind, 1));
                let operator = *self.choices.pick(&["<", ">=", "<>"]);
                format!(" WHERE {left} {operator} {right}")
            }
            _ => format!(" WHERE {}", self.value(&both(), Kind::Bool, 1)),
        }
    }
}

//! The logical node of an ASOF join.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchemaRef, DataFusionError, FunctionalDependencies, JoinType, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore, build_join_schema};

use crate::base::Error;
use crate::engine::operators::AsofMatch;

/// What an ASOF join compares: columns of its inputs, of equal types on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct AsofOn {
    /// The keys of the left side, and then its time.
    pub left: Vec<Expr>,
    /// The keys of the right side, and then its time.
    pub right: Vec<Expr>,
    /// How the times compare.
    pub matching: AsofMatch,
    /// Whether left rows without a right one stay.
    pub outer: bool,
}

/// Each row of `left` beside the nearest one of `right`. All columns of both come out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AsofNode {
    /// The rows that come out.
    pub left: Arc<LogicalPlan>,
    /// The rows beside them.
    pub right: Arc<LogicalPlan>,
    /// What is compared.
    pub on: AsofOn,
    /// The columns of both sides.
    pub schema: DFSchemaRef,
}

impl AsofNode {
    /// A node over its inputs.
    ///
    /// # Errors
    /// When the sides have a column of one name.
    pub fn new(left: Arc<LogicalPlan>, right: Arc<LogicalPlan>, on: AsofOn) -> Result<Self> {
        let kind = join_type(&on);
        // A right row may come out many times, so nothing depends on its columns as before.
        let width = left.schema().fields().len() + right.schema().fields().len();
        let schema = build_join_schema(left.schema(), right.schema(), &kind)?
            .with_functional_dependencies(FunctionalDependencies::empty())?;
        if schema.fields().len() != width {
            return Err(Error::internal("an ASOF join lost a column").into());
        }
        Ok(Self {
            left,
            right,
            on,
            schema: Arc::new(schema),
        })
    }

    /// The pairs of columns that are compared for equality, and then those of the times, by place.
    ///
    /// # Errors
    /// When one is no column of its side: a defect.
    pub fn places(&self) -> Result<Vec<(usize, usize)>> {
        let place = |expr: &Expr, input: &LogicalPlan| {
            let found = match expr {
                Expr::Column(column) => input.schema().maybe_index_of_column(column),
                _ => None,
            };
            found.ok_or_else(|| {
                DataFusionError::from(Error::internal("an ASOF join over no column"))
            })
        };
        let pairs = self.on.left.iter().zip(&self.on.right);
        pairs
            .map(|(left, right)| Ok((place(left, &self.left)?, place(right, &self.right)?)))
            .collect()
    }
}

fn join_type(on: &AsofOn) -> JoinType {
    if on.outer {
        JoinType::Left
    } else {
        JoinType::Inner
    }
}

impl PartialOrd for AsofNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let order = (&self.left, &self.right, &self.on).partial_cmp(&(
            &other.left,
            &other.right,
            &other.on,
        ))?;
        // The schemas have no order.
        (order.is_ne() || self == other).then_some(order)
    }
}

impl UserDefinedLogicalNodeCore for AsofNode {
    fn name(&self) -> &str {
        "AsofJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.on.left.iter().chain(&self.on.right).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} AsofJoin:", join_type(&self.on))?;
        let op = match self.on.matching {
            AsofMatch::AtOrBefore => ">=",
            AsofMatch::Before => ">",
            AsofMatch::AtOrBehind => "<=",
            AsofMatch::Behind => "<",
        };
        // The times stand last, and are what the join is about.
        let mut pairs = self.on.left.iter().zip(&self.on.right).rev();
        if let Some((left, right)) = pairs.next() {
            write!(f, " {left} {op} {right}")?;
        }
        for (left, right) in pairs.rev() {
            write!(f, ", {left} = {right}")?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Ok([left, right]) = <[LogicalPlan; 2]>::try_from(inputs) else {
            return Err(Error::internal("an ASOF join has two inputs").into());
        };
        let mut left_on = exprs;
        let right_on = left_on.split_off(left_on.len() / 2);
        let on = AsofOn {
            left: left_on,
            right: right_on,
            ..self.on.clone()
        };
        Self::new(Arc::new(left), Arc::new(right), on)
    }

    /// Among right rows of one time all columns decide, so the right side keeps them.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.left.schema().fields().len();
        let left = output_columns.iter().copied();
        Some(vec![
            left.filter(|column| *column < width).collect(),
            (0..self.right.schema().fields().len()).collect(),
        ])
    }
}

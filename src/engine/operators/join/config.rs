//! What a join is told: kind, keys, residual condition.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;

/// Which rows come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Pairs.
    Inner,
    /// Pairs, and left rows without a partner beside NULLs.
    Left,
    /// Pairs, and right rows without a partner beside NULLs.
    Right,
    /// Pairs, and rows of either side without a partner beside NULLs.
    Full,
    /// Left rows that have a partner.
    LeftSemi,
    /// Left rows that have no partner.
    LeftAnti,
}

impl JoinKind {
    /// Whether pairs come out.
    pub(crate) fn gives_pairs(self) -> bool {
        !matches!(self, Self::LeftSemi | Self::LeftAnti)
    }

    /// Whether the output depends on the left rows' matches.
    pub(super) fn counts_left(self) -> bool {
        !matches!(self, Self::Inner | Self::Right)
    }

    /// Whether the output depends on the right rows' matches.
    pub(super) fn counts_right(self) -> bool {
        matches!(self, Self::Right | Self::Full)
    }
}

/// What to join, and how.
#[derive(Clone, Debug)]
pub struct JoinConfig {
    /// Which rows come out.
    pub kind: JoinKind,
    /// The left input's columns.
    pub left: SchemaRef,
    /// The right input's columns.
    pub right: SchemaRef,
    /// Pairs of equal keys, over the left and the right input. None: every pair is a candidate.
    pub on: Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>,
    /// Whether NULL keys match each other, as in set operations.
    pub null_equals_null: bool,
    /// What else must be true of a pair, over the left columns and then the right ones.
    pub residual: Option<Arc<dyn PhysicalExpr>>,
    /// The output's columns: left then right, or left alone for the semi and anti kinds.
    pub schema: SchemaRef,
}

//! `row_number`, `rank`, `dense_rank` and `ntile`, whole numbers as PostgreSQL has them.
//!
//! DataFusion's have no sign: `-rank()` is refused, and `rank() / 2` and `coalesce(rank(), 1)` become decimals.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_window::ntile::ntile_udwf;
use datafusion::functions_window::rank::{dense_rank_udwf, rank_udwf};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::function::{
    ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs,
};
use datafusion::logical_expr::window_state::WindowAggState;
use datafusion::logical_expr::{
    Documentation, Expr, LimitEffect, PartitionEvaluator, Signature, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;

/// The functions.
pub(super) fn rank_udwfs() -> Vec<Arc<WindowUDF>> {
    vec![
        signed(row_number_udwf(), DataType::Int64),
        signed(rank_udwf(), DataType::Int64),
        signed(dense_rank_udwf(), DataType::Int64),
        signed(ntile_udwf(), DataType::Int32),
    ]
}

/// `row_number()`, a bigint, without a window yet.
pub(crate) fn row_number() -> Expr {
    signed(row_number_udwf(), DataType::Int64).call(Vec::new())
}

fn signed(theirs: Arc<WindowUDF>, kind: DataType) -> Arc<WindowUDF> {
    Arc::new(WindowUDF::from(Signed { theirs, kind }))
}

/// One of them, of which no two differ in anything but the function within.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Signed {
    theirs: Arc<WindowUDF>,
    kind: DataType,
}

impl WindowUDFImpl for Signed {
    fn name(&self) -> &str {
        self.theirs.name()
    }

    fn signature(&self) -> &Signature {
        self.theirs.signature()
    }

    fn expressions(&self, args: ExpressionArgs<'_>) -> Vec<Arc<dyn PhysicalExpr>> {
        self.theirs.expressions(args)
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(SignedEvaluator {
            theirs: self.theirs.partition_evaluator_factory(args)?,
            kind: self.kind.clone(),
        }))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.theirs.field(args)?;
        Ok(Arc::new(
            field.as_ref().clone().with_data_type(self.kind.clone()),
        ))
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.theirs.sort_options()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.theirs.documentation()
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.theirs.inner().limit_effect(args)
    }
}

#[derive(Debug)]
struct SignedEvaluator {
    theirs: Box<dyn PartitionEvaluator>,
    kind: DataType,
}

impl PartitionEvaluator for SignedEvaluator {
    fn memoize(&mut self, state: &mut WindowAggState) -> Result<()> {
        self.theirs.memoize(state)
    }

    fn get_range(&self, idx: usize, n_rows: usize) -> Result<Range<usize>> {
        self.theirs.get_range(idx, n_rows)
    }

    fn is_causal(&self) -> bool {
        self.theirs.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let numbers = self.theirs.evaluate_all(values, num_rows)?;
        Ok(cast(&numbers, &self.kind)?)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        self.theirs.evaluate(values, range)?.cast_to(&self.kind)
    }

    fn evaluate_all_with_rank(
        &self,
        num_rows: usize,
        ranks_in_partition: &[Range<usize>],
    ) -> Result<ArrayRef> {
        let numbers = self
            .theirs
            .evaluate_all_with_rank(num_rows, ranks_in_partition)?;
        Ok(cast(&numbers, &self.kind)?)
    }

    fn supports_bounded_execution(&self) -> bool {
        self.theirs.supports_bounded_execution()
    }

    fn uses_window_frame(&self) -> bool {
        self.theirs.uses_window_frame()
    }

    fn include_rank(&self) -> bool {
        self.theirs.include_rank()
    }
}

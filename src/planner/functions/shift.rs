//! `lead` and `lag`, right where NULLs are ignored.
//!
//! DataFusion evaluates a window row by row where it can. Its count of the values ahead then goes wrong under IGNORE NULLS, and so does
//! its promise of how many rows a LIMIT leaves to be read. Here such a call gets its partition whole.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::FieldRef;
use datafusion::common::Result;
use datafusion::functions_window::lead_lag::{lag_udwf, lead_udwf};
use datafusion::logical_expr::function::{
    ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{
    Documentation, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;

/// `lead` and `lag`.
pub(super) fn shift_udwfs() -> Vec<Arc<WindowUDF>> {
    vec![shift(Direction::Lead), shift(Direction::Lag)]
}

fn shift(direction: Direction) -> Arc<WindowUDF> {
    let theirs = match direction {
        Direction::Lead => lead_udwf(),
        Direction::Lag => lag_udwf(),
    };
    Arc::new(WindowUDF::from(Shift { theirs, direction }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Direction {
    Lead,
    Lag,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Shift {
    theirs: Arc<WindowUDF>,
    direction: Direction,
}

impl WindowUDFImpl for Shift {
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
        let ignores_nulls = args.ignore_nulls();
        let theirs = self.theirs.partition_evaluator_factory(args)?;
        Ok(if ignores_nulls {
            Box::new(Whole(theirs))
        } else {
            theirs
        })
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        self.theirs.field(args)
    }

    /// The same function: its evaluator is told when rows come the other way round, and then looks the other way.
    fn reverse_expr(&self) -> ReversedUDWF {
        ReversedUDWF::Reversed(shift(self.direction))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.theirs.documentation()
    }
}

/// An evaluator that takes its partition whole.
#[derive(Debug)]
struct Whole(Box<dyn PartitionEvaluator>);

impl PartitionEvaluator for Whole {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        self.0.evaluate_all(values, num_rows)
    }
}

//! Aggregates over a frame that moves, where the function cannot take a value back: the frame's rows are kept and
//! aggregated anew.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};

use crate::base::Error;

/// What an accumulator is made from.
struct Recipe {
    function: Arc<AggregateUDF>,
    return_field: FieldRef,
    schema: Schema,
    ignore_nulls: bool,
    order_bys: Vec<PhysicalSortExpr>,
    is_reversed: bool,
    name: String,
    is_distinct: bool,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    expr_fields: Vec<FieldRef>,
}

impl Recipe {
    fn accumulator(&self) -> Result<Box<dyn Accumulator>> {
        self.function.accumulator(AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            ignore_nulls: self.ignore_nulls,
            order_bys: &self.order_bys,
            is_reversed: self.is_reversed,
            name: &self.name,
            is_distinct: self.is_distinct,
            exprs: &self.exprs,
            expr_fields: &self.expr_fields,
        })
    }
}

/// The rows of a frame: they come at its end and go at its beginning.
pub(super) struct Replay {
    recipe: Recipe,
    /// Pieces of the arguments, the oldest first.
    held: VecDeque<Vec<ArrayRef>>,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("function", &self.recipe.name)
            .finish_non_exhaustive()
    }
}

impl Replay {
    /// No rows yet.
    pub(super) fn new(function: &Arc<AggregateUDF>, args: &AccumulatorArgs<'_>) -> Self {
        Self {
            recipe: Recipe {
                function: Arc::clone(function),
                return_field: Arc::clone(&args.return_field),
                schema: args.schema.clone(),
                ignore_nulls: args.ignore_nulls,
                order_bys: args.order_bys.to_vec(),
                is_reversed: args.is_reversed,
                name: args.name.to_owned(),
                is_distinct: args.is_distinct,
                exprs: args.exprs.to_vec(),
                expr_fields: args.expr_fields.to_vec(),
            },
            held: VecDeque::new(),
        }
    }
}

fn rows_of(columns: &[ArrayRef]) -> usize {
    columns.first().map_or(0, |column| column.len())
}

impl Accumulator for Replay {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if rows_of(values) > 0 {
            self.held.push_back(values.to_vec());
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut gone = rows_of(values);
        while gone > 0 {
            let Some(oldest) = self.held.front_mut() else {
                return Err(Error::internal("a frame gives back more rows than it took").into());
            };
            let rows = rows_of(oldest);
            if rows <= gone {
                gone -= rows;
                self.held.pop_front();
            } else {
                for column in oldest {
                    *column = column.slice(gone, rows - gone);
                }
                gone = 0;
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut accumulator = self.recipe.accumulator()?;
        for piece in &self.held {
            accumulator.update_batch(piece)?;
        }
        accumulator.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(Error::internal("a frame's aggregate has no partial state").into())
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        Err(Error::internal("a frame's aggregate has no partial state").into())
    }

    fn size(&self) -> usize {
        let columns = self.held.iter().flatten();
        size_of::<Self>() + columns.map(Array::get_array_memory_size).sum::<usize>()
    }
}

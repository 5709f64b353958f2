//! Aggregates that collect values, refused when one group's result grows beyond the limit.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::{array_agg, string_agg};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, ReversedUDAF, Signature,
};
use datafusion::physical_expr::PhysicalSortExpr;

use super::guard::SizeLimits;
use super::replay::Replay;
use crate::base::Error;
use crate::zset::order::has_order;

/// `array_agg` and `string_agg` with a limit.
pub(super) fn guarded_udafs(limits: SizeLimits) -> Vec<Arc<AggregateUDF>> {
    let theirs = [array_agg::array_agg_udaf(), string_agg::string_agg_udaf()];
    let guarded = theirs
        .into_iter()
        .map(|inner| Arc::new(AggregateUDF::new_from_impl(Collecting { inner, limits })));
    guarded.collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Collecting {
    inner: Arc<AggregateUDF>,
    limits: SizeLimits,
}

impl AggregateUDFImpl for Collecting {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(one_text_type(self.inner.return_type(arg_types)?))
    }

    fn return_field(&self, arg_fields: &[FieldRef]) -> Result<FieldRef> {
        let field = self.inner.return_field(arg_fields)?;
        let data_type = one_text_type(field.data_type().clone());
        Ok(Arc::new(Field::clone(&field).with_data_type(data_type)))
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    // a GroupsAccumulator tells the size of all groups together, not of the one that grows: so an accumulator a group

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let order = distinct_order(&args);
        let inner = self.inner.accumulator(in_order(&args, &order))?;
        Ok(Box::new(Bounded {
            inner,
            bytes: 0,
            limit: self.limits.value,
            name: self.name().to_owned(),
        }))
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        let order = distinct_order(&args);
        let args = in_order(&args, &order);
        let mut inner = self.inner.create_sliding_accumulator(copied(&args))?;
        if !inner.supports_retract_batch() {
            inner = Box::new(Replay::new(&self.inner, &args));
        }
        Ok(Box::new(Bounded {
            inner,
            bytes: 0,
            limit: self.limits.value,
            name: self.name().to_owned(),
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    /// Both sort their rows themselves where the input does not come in order: `string_agg` is an `array_agg` within.
    /// Were the order required, two calls in different orders could not stand in one query.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        match self.inner.order_sensitivity() {
            AggregateOrderSensitivity::HardRequirement => {
                AggregateOrderSensitivity::SoftRequirement
            }
            other => other,
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        if self.inner.order_sensitivity().hard_requires() {
            return ReversedUDAF::NotSupported;
        }
        match self.inner.reverse_udf() {
            ReversedUDAF::Reversed(inner) => {
                let reversed = Self {
                    inner,
                    limits: self.limits,
                };
                ReversedUDAF::Reversed(Arc::new(AggregateUDF::new_from_impl(reversed)))
            }
            other => other,
        }
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        beneficial_ordering: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let inner = Arc::unwrap_or_clone(Arc::clone(&self.inner))
            .with_beneficial_ordering(beneficial_ordering)?;
        // one that makes no use of an order stays as it is
        let inner = inner.map_or_else(|| Arc::clone(&self.inner), Arc::new);
        Ok(Some(Arc::new(Self {
            inner,
            limits: self.limits,
        })))
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.inner.supports_within_group_clause()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// The order of distinct values where none is written: rising, as a grouping gives them. By themselves they come as they came into
/// the frame, which depends on where its evaluation began.
fn distinct_order(args: &AccumulatorArgs<'_>) -> Vec<PhysicalSortExpr> {
    let value = match (args.exprs, args.expr_fields) {
        ([value, ..], [field, ..]) if has_order(field.data_type()) => value,
        _ => return args.order_bys.to_vec(),
    };
    if !args.is_distinct || !args.order_bys.is_empty() {
        return args.order_bys.to_vec();
    }
    let rising = SortOptions {
        descending: false,
        nulls_first: false,
    };
    vec![PhysicalSortExpr::new(Arc::clone(value), rising)]
}

fn in_order<'a>(args: &AccumulatorArgs<'a>, order: &'a [PhysicalSortExpr]) -> AccumulatorArgs<'a> {
    AccumulatorArgs {
        order_bys: order,
        ..copied(args)
    }
}

/// DataFusion joins texts to `LargeUtf8`, which is JSON here.
fn one_text_type(data_type: DataType) -> DataType {
    match data_type {
        DataType::LargeUtf8 => DataType::Utf8View,
        other => other,
    }
}

fn copied<'a>(args: &AccumulatorArgs<'a>) -> AccumulatorArgs<'a> {
    AccumulatorArgs {
        return_field: Arc::clone(&args.return_field),
        ..*args
    }
}

/// An accumulator that counts what goes in.
#[derive(Debug)]
struct Bounded {
    inner: Box<dyn Accumulator>,
    bytes: usize,
    limit: usize,
    name: String,
}

impl Bounded {
    fn admit(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes(columns));
        if self.bytes > self.limit {
            let (name, limit) = (&self.name, self.limit);
            let error = Error::limit(format!(
                "a value made by {name}() would exceed the limit of {limit} bytes"
            ));
            return Err(error.with_hint("aggregate fewer rows a group").into());
        }
        Ok(())
    }
}

fn bytes(columns: &[ArrayRef]) -> usize {
    columns
        .iter()
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0))
        .sum()
}

impl Accumulator for Bounded {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.admit(values)?;
        self.inner.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.admit(states)?;
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.bytes = self.bytes.saturating_sub(bytes(values));
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.inner.evaluate()? {
            ScalarValue::LargeUtf8(text) => Ok(ScalarValue::Utf8View(text)),
            other => Ok(other),
        }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

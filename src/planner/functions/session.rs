//! The bounds of session windows, as window functions over the rows that share the session's keys.
//!
//! `SESSION(t, ts, gap, keys...)` is rewritten to calls of these. They sort the times themselves and so need no ORDER BY,
//! and no tie is left open. The gap is microseconds.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, new_empty_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, TimeUnit};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};

use crate::base::{Error, Kind};
use crate::engine::operators::{SessionBound, session_spans};

/// The first time of a row's session.
pub const SESSION_START: &str = "session_start";
/// The last time of a row's session, and the gap.
pub const SESSION_END: &str = "session_end";

/// The functions of this file.
pub(super) fn session_udwfs() -> Vec<Arc<WindowUDF>> {
    let all = [
        (SESSION_START, SessionBound::Start),
        (SESSION_END, SessionBound::End),
    ];
    let made = all.into_iter().map(|(name, bound)| {
        Arc::new(WindowUDF::from(SessionFunction {
            name,
            bound,
            signature: Signature::user_defined(Volatility::Immutable),
        }))
    });
    made.collect()
}

/// A gap of some microseconds in the unit of `time`; `None` where `time` has none that sessions know.
pub fn session_gap(micros: i64, time: &DataType) -> Option<i64> {
    match time {
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(micros),
        // More than time has: all are one session.
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(micros.saturating_mul(1_000)),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SessionFunction {
    name: &'static str,
    bound: SessionBound,
    signature: Signature,
}

impl WindowUDFImpl for SessionFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [time, _] = arg_types else {
            return Err(Error::syntax(format!("{} takes a time and a gap", self.name)).into());
        };
        // A gap may be shorter than a second, and a date is its midnight.
        let time = match time {
            DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
            }
            DataType::Timestamp(..) => time.clone(),
            DataType::Date32 | DataType::Date64 | DataType::Null => {
                DataType::Timestamp(TimeUnit::Microsecond, None)
            }
            // Refused with the field, where the refusal keeps its code.
            other => other.clone(),
        };
        Ok(vec![time, DataType::Int64])
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let time = args
            .get_input_field(0)
            .ok_or_else(|| DataFusionError::from(Error::internal("a session without a time")))?;
        let data_type = time.data_type().clone();
        if !matches!(data_type, DataType::Timestamp(..)) {
            return Err(Error::new(
                Kind::Invalid,
                "42804",
                format!("the time of a session must be a timestamp or a date, not {data_type}"),
            )
            .into());
        }
        Ok(Arc::new(Field::new(args.name(), data_type, true)))
    }

    fn partition_evaluator(
        &self,
        _args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Sessions { bound: self.bound }))
    }
}

/// The sessions of one partition.
#[derive(Debug)]
struct Sessions {
    bound: SessionBound,
}

impl PartitionEvaluator for Sessions {
    fn evaluate_all(&mut self, values: &[ArrayRef], _num_rows: usize) -> Result<ArrayRef> {
        let [times, gaps] = values else {
            return Err(Error::internal("a session takes two arguments").into());
        };
        let kind = times.data_type();
        if times.is_empty() {
            return Ok(new_empty_array(kind));
        }
        let micros = ScalarValue::try_from_array(gaps, 0)?;
        let gap = match micros {
            ScalarValue::Int64(Some(micros)) if micros > 0 => session_gap(micros, kind),
            _ => None,
        };
        let gap = gap.ok_or_else(|| {
            DataFusionError::from(Error::invalid("the gap of a session must be positive"))
        })?;
        let ints = cast(times, &DataType::Int64)?;
        let ints = ints.as_primitive::<Int64Type>();
        let mut rows: Vec<(i64, usize)> = ints
            .iter()
            .enumerate()
            .filter_map(|(row, time)| Some((time?, row)))
            .collect();
        rows.sort_unstable();
        let spans = session_spans(rows.iter().map(|(time, _)| Some(*time)), gap);
        let mut bounds = vec![None; ints.len()];
        for ((_, row), span) in rows.iter().zip(spans) {
            bounds[*row] = Some(span.bound(self.bound, gap));
        }
        Ok(cast(&Int64Array::from(bounds), kind)?)
    }
}

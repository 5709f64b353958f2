//! `timezone(zone, moment)`, which is `moment AT TIME ZONE zone`.
//!
//! Of a moment it makes what clocks in the zone show, a timestamp; of what they show, the moment.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::base::moments::Zone;
use crate::base::{Error, Kind};

/// The function.
pub(super) fn timezone() -> ScalarUDF {
    ScalarUDF::new_from_impl(Timezone {
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Timezone {
    signature: Signature,
}

impl ScalarUDFImpl for Timezone {
    fn name(&self) -> &str {
        "timezone"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [zone, moment] = arg_types else {
            return plan_err!("timezone takes a zone and a moment");
        };
        if !zone.is_string() && !zone.is_null() {
            return plan_err!("a time zone is a text, not {zone}");
        }
        let moment = match moment {
            DataType::Timestamp(_, None) => stamps(false),
            DataType::Timestamp(_, Some(_)) | DataType::Date32 | DataType::Null => stamps(true),
            text if text.is_string() => stamps(true),
            other => return plan_err!("{other} is not in a time zone"),
        };
        Ok(vec![DataType::Utf8View, moment])
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [_, DataType::Timestamp(_, zone)] => Ok(stamps(zone.is_none())),
            _ => Err(Error::internal("timezone is of a moment").into()),
        }
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        match &args.args[..] {
            [ColumnarValue::Scalar(zone), ColumnarValue::Scalar(moment)] => {
                let one = all(&zone.to_array()?, &moment.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?))
            }
            [zone, moment] => {
                let (zones, moments) = (zone.to_array(rows)?, moment.to_array(rows)?);
                Ok(ColumnarValue::Array(Arc::new(all(&zones, &moments)?)))
            }
            _ => Err(Error::internal("timezone is of a zone and a moment").into()),
        }
    }
}

/// Timestamps of microseconds, in UTC or of no zone.
fn stamps(in_utc: bool) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, in_utc.then(|| "UTC".into()))
}

fn all(zones: &ArrayRef, moments: &ArrayRef) -> Result<TimestampMicrosecondArray> {
    let is_local = matches!(moments.data_type(), DataType::Timestamp(_, None));
    let zones = cast(zones, &DataType::Utf8View)?;
    let zones: &StringViewArray = zones.as_string_view();
    let moments = cast(moments, &stamps(!is_local))?;
    let moments = moments.as_primitive::<TimestampMicrosecondType>();
    // most often there is one zone for all rows
    let mut last: Option<(&str, Zone)> = None;
    let mut found = Vec::with_capacity(moments.len());
    for (name, moment) in zones.iter().zip(moments) {
        let (Some(name), Some(moment)) = (name, moment) else {
            found.push(None);
            continue;
        };
        let zone = match &mut last {
            Some((known, zone)) if *known == name => &*zone,
            last => &last.insert((name, named(name)?)).1,
        };
        let other = if is_local {
            zone.moment_of(moment)
        } else {
            zone.shown_at(moment)
        };
        let other =
            other.ok_or_else(|| Error::new(Kind::Invalid, "22008", "timestamp out of range"))?;
        found.push(Some(other));
    }
    Ok(TimestampMicrosecondArray::from(found).with_data_type(stamps(is_local)))
}

/// The zone of this name. A bare offset is west of Greenwich where it is positive, as POSIX and PostgreSQL have it.
fn named(name: &str) -> Result<Zone> {
    let zone = match name.split_at_checked(1) {
        Some(("+", offset)) => Zone::named(&format!("-{offset}")),
        Some(("-", offset)) => Zone::named(&format!("+{offset}")),
        _ => Zone::named(name),
    };
    let zone = zone.ok_or_else(|| {
        let message = format!("time zone \"{name}\" not recognized");
        Error::new(Kind::Invalid, "22023", message)
            .with_hint("zones have names such as 'UTC' and 'Europe/Paris'")
    })?;
    Ok(zone)
}

//! Which rows of a source come too late for its watermark, decided in the order in which they come.
//!
//! The watermark is the newest time so far without the delay; a row whose time lies before it is late. The rule looks at
//! nothing but the rows and their order, so that rows which come in other pieces, or are read again, are judged alike.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;

use crate::base::{Error, Result};
use crate::catalog::WatermarkDefinition;

/// How far the time of a source has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lateness {
    column: usize,
    delay_us: i64,
    /// The present watermark, in microseconds since 1970; none before the first time.
    watermark_us: Option<i64>,
}

/// Rows of one batch, parted.
pub(crate) struct Sifted {
    pub(crate) on_time: RecordBatch,
    pub(crate) late: RecordBatch,
    /// The place in the batch of each late row, counted from 0.
    pub(crate) late_places: Vec<usize>,
}

impl Lateness {
    /// Before the first row.
    pub(crate) fn new(definition: &WatermarkDefinition) -> Self {
        Self {
            column: definition.column,
            delay_us: definition.delay_us,
            watermark_us: None,
        }
    }

    /// The present watermark, in microseconds since 1970.
    pub(crate) fn watermark_us(&self) -> Option<i64> {
        self.watermark_us
    }

    /// The position of the time's column.
    pub(crate) fn column(&self) -> usize {
        self.column
    }

    /// Brings the watermark forward; it never goes back.
    pub(crate) fn raise(&mut self, to_us: Option<i64>) {
        self.watermark_us = self.watermark_us.max(to_us);
    }

    /// As it was before the first row.
    pub(crate) fn from_start(&self) -> Self {
        Self {
            watermark_us: None,
            ..*self
        }
    }

    /// Passes rows that were judged on time before.
    ///
    /// # Errors
    /// When the column is not the time: a defect.
    pub(crate) fn pass(&mut self, batch: &RecordBatch) -> Result<()> {
        let times = self.times(batch)?;
        let newest = arrow::compute::max(times);
        self.raise(newest.map(|newest| newest.saturating_sub(self.delay_us)));
        Ok(())
    }

    /// Judges the rows of `batch`, one after the other. A row without a time is never late.
    ///
    /// # Errors
    /// When the column is not the time: a defect.
    pub(crate) fn sift(&mut self, batch: RecordBatch) -> Result<Sifted> {
        let times = self.times(&batch)?;
        let mut watermark = self.watermark_us.unwrap_or(i64::MIN);
        let mut late_places = Vec::new();
        for (place, time) in times.iter().enumerate() {
            match time {
                Some(time) if time < watermark => late_places.push(place),
                Some(time) => watermark = watermark.max(time.saturating_sub(self.delay_us)),
                None => {}
            }
        }
        if times.null_count() < times.len() {
            self.raise(Some(watermark));
        }
        if late_places.is_empty() {
            let late = batch.slice(0, 0);
            return Ok(Sifted {
                on_time: batch,
                late,
                late_places,
            });
        }
        let mut on_time = vec![true; batch.num_rows()];
        for place in &late_places {
            on_time[*place] = false;
        }
        let on_time = BooleanArray::from(on_time);
        let late = arrow::compute::not(&on_time)?;
        Ok(Sifted {
            late: filter_record_batch(&batch, &late)?,
            on_time: filter_record_batch(&batch, &on_time)?,
            late_places,
        })
    }

    fn times<'b>(
        &self,
        batch: &'b RecordBatch,
    ) -> Result<&'b arrow::array::TimestampMicrosecondArray> {
        batch
            .columns()
            .get(self.column)
            .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| Error::internal("the column of a watermark is not its time"))
    }
}

/// A moment of a watermark as people read it.
pub(crate) fn moment_text(at_us: i64) -> String {
    chrono::DateTime::from_timestamp_micros(at_us).map_or_else(
        || at_us.to_string(),
        |at| at.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::TimestampMicrosecondArray;

    use super::*;

    fn batch(times: &[Option<i64>]) -> RecordBatch {
        let times = TimestampMicrosecondArray::from(times.to_vec());
        RecordBatch::try_from_iter([("ts", Arc::new(times) as _)]).unwrap()
    }

    fn fresh() -> Lateness {
        Lateness::new(&WatermarkDefinition {
            column: 0,
            delay_us: 5,
            idle_us: None,
        })
    }

    #[test]
    fn a_row_before_the_watermark_is_late_and_one_at_it_is_not() {
        let mut state = fresh();
        let sifted = state
            .sift(batch(&[
                Some(10),
                Some(5),
                Some(4),
                None,
                Some(20),
                Some(14),
                Some(15),
            ]))
            .unwrap();
        assert_eq!(sifted.late_places, [2, 5]);
        assert_eq!(sifted.on_time.num_rows(), 5);
        assert_eq!(sifted.late.num_rows(), 2);
        assert_eq!(state.watermark_us(), Some(15));
    }

    #[test]
    fn rows_without_a_time_move_nothing() {
        let mut state = fresh();
        assert!(
            state
                .sift(batch(&[None, None]))
                .unwrap()
                .late_places
                .is_empty()
        );
        assert_eq!(state.watermark_us(), None);
    }

    #[test]
    fn pieces_are_judged_as_the_whole_and_passing_the_good_rows_gives_the_same_watermark() {
        let times: Vec<Option<i64>> = (0..60)
            .map(|at| (at % 7 != 3).then_some((at * 37) % 50 + at / 2))
            .collect();
        let mut whole = fresh();
        let all = whole.sift(batch(&times)).unwrap();
        for size in [1, 2, 5, 13] {
            let (mut pieces, mut again) = (fresh(), fresh());
            let mut late = Vec::new();
            for (piece, chunk) in times.chunks(size).enumerate() {
                let sifted = pieces.sift(batch(chunk)).unwrap();
                again.pass(&sifted.on_time).unwrap();
                late.extend(sifted.late_places.iter().map(|place| piece * size + place));
            }
            assert_eq!(late, all.late_places, "pieces of {size}");
            assert_eq!(again.watermark_us(), whole.watermark_us());
        }
    }
}

//! The time of one source as its writer keeps it: who may decide next, and what is durable of what was decided.
//!
//! Whether a row is late is decided once, under one lock, before the row goes to the log; what is late goes to the quarantine
//! and never enters the topic. The lock is held until the log has the group in its queue, and the log tells groups in the
//! order in which they came: so the driver gets rows in the order in which they were judged, and a watermark only from rows
//! that are durable. A group that the log refuses raised the watermark for those behind it; once all that are on
//! their way have ended, it is again what the durable rows say.

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use super::instance::blocking;
use super::lateness::{Lateness, Sifted, moment_text};
use super::model::row_as_json;
use super::quarantine::QuarantineLog;
use crate::base::Result;
use crate::base::clock::ClockRef;
use crate::catalog::Object;
use crate::sources::BadRecord;

/// The time of one source.
pub(crate) struct SourceTime {
    source: String,
    column: String,
    quarantine: Arc<QuarantineLog>,
    clock: ClockRef,
    decided: Arc<tokio::sync::Mutex<Lateness>>,
    settled: Arc<Mutex<Settled>>,
}

#[derive(Debug)]
struct Settled {
    /// By the rows that are durable.
    durable: Lateness,
    /// Groups that the log has and has not told of.
    in_flight: usize,
    /// When a row came last, by the machine's clock.
    heard_us: i64,
}

/// The right to write next, with what was decided.
pub(crate) struct Turn {
    decided: OwnedMutexGuard<Lateness>,
    next: Lateness,
    settled: Arc<Mutex<Settled>>,
    clock: ClockRef,
    /// The watermark that the rows of this turn make by themselves.
    own: Lateness,
    has_rows: bool,
}

/// A group that is on its way.
pub(crate) struct OnItsWay {
    settled: Arc<Mutex<Settled>>,
    own_us: Option<i64>,
    heard_us: Option<i64>,
}

/// What the judging of a write gave.
pub(crate) struct Judged {
    pub(crate) turn: Turn,
    pub(crate) on_time: Vec<RecordBatch>,
    pub(crate) late: u64,
}

impl SourceTime {
    /// The time of `object` after the rows of `durable`; none when it has no watermark.
    pub(crate) fn new(
        object: &Object,
        durable: Option<Lateness>,
        quarantine: &Arc<QuarantineLog>,
        clock: &ClockRef,
    ) -> Option<Self> {
        let durable = durable.or_else(|| Some(Lateness::new(&object.watermark()?)))?;
        let field = object.schema.fields().get(durable.column());
        Some(Self {
            source: object.name.clone(),
            column: field.map_or_else(String::new, |field| field.name().clone()),
            quarantine: Arc::clone(quarantine),
            decided: Arc::new(tokio::sync::Mutex::new(durable)),
            settled: Arc::new(Mutex::new(Settled {
                durable,
                in_flight: 0,
                heard_us: clock.now_us(),
            })),
            clock: Arc::clone(clock),
        })
    }

    /// When a row came last, late or not, by the machine's clock; at first when the source was opened.
    pub(crate) fn heard_us(&self) -> i64 {
        self.settled.lock().heard_us
    }

    /// Waits for its turn and judges `batches` in order. What is late is in the quarantine when this returns; `place` says
    /// where the rows come from, none for a write by a client.
    ///
    /// # Errors
    /// When the quarantine cannot keep a row.
    pub(crate) async fn judge(
        &self,
        batches: Vec<RecordBatch>,
        place: Option<String>,
    ) -> Result<Judged> {
        let mut turn = self.turn().await;
        let mut on_time = Vec::with_capacity(batches.len());
        let mut sifted = Vec::new();
        let mut before = 0;
        for batch in batches {
            let rows = batch.num_rows();
            let Sifted {
                on_time: good,
                late,
                late_places,
            } = turn.next.sift(batch)?;
            if !late_places.is_empty() {
                let watermark = turn.next.watermark_us().unwrap_or_default();
                let places = late_places.into_iter().map(|place| before + place + 1);
                sifted.push((late, places.collect::<Vec<_>>(), watermark));
            }
            turn.own.pass(&good)?;
            turn.has_rows = turn.has_rows || rows > 0;
            if good.num_rows() > 0 {
                on_time.push(good);
            }
            before += rows;
        }
        let late = sifted.iter().map(|(late, ..)| late.num_rows() as u64).sum();
        if !sifted.is_empty() {
            let place =
                place.unwrap_or_else(|| format!("written at {}", moment_text(self.clock.now_us())));
            let records = self.records(&sifted, &place);
            let quarantine = Arc::clone(&self.quarantine);
            blocking(move || quarantine.put_late(records)).await?;
        }
        Ok(Judged {
            turn,
            on_time,
            late,
        })
    }

    /// The turn to bring the watermark forward to `to_us` though no row says so; none when it is there already.
    pub(crate) async fn advance(&self, to_us: i64) -> Option<Turn> {
        let mut turn = self.turn().await;
        if turn.next.watermark_us() >= Some(to_us) {
            return None;
        }
        turn.next.raise(Some(to_us));
        turn.own.raise(Some(to_us));
        Some(turn)
    }

    async fn turn(&self) -> Turn {
        let mut decided = Arc::clone(&self.decided).lock_owned().await;
        {
            let settled = self.settled.lock();
            if settled.in_flight == 0 {
                *decided = settled.durable;
            }
        }
        Turn {
            next: *decided,
            own: decided.from_start(),
            decided,
            settled: Arc::clone(&self.settled),
            clock: Arc::clone(&self.clock),
            has_rows: false,
        }
    }

    fn records(&self, sifted: &[(RecordBatch, Vec<usize>, i64)], place: &str) -> Vec<BadRecord> {
        let mut records = Vec::new();
        for (late, places, watermark_us) in sifted {
            for (row, number) in places.iter().enumerate() {
                records.push(BadRecord {
                    source: self.source.clone(),
                    place: format!("{place}, row {number}"),
                    bytes: Bytes::from(row_as_json(&late.slice(row, 1))),
                    reason: format!(
                        "late: \"{}\" lies before the watermark, which was {} behind these rows",
                        self.column,
                        moment_text(*watermark_us)
                    ),
                });
            }
        }
        records
    }
}

impl Turn {
    /// The watermark that a record of the topic must keep, where rows may be removed from it.
    pub(crate) fn next_us(&self) -> Option<i64> {
        self.next.watermark_us()
    }

    /// Begins to write: what was decided holds for the next turn. The lock goes with the returned guard.
    pub(crate) fn begin(mut self) -> (OwnedMutexGuard<Lateness>, OnItsWay) {
        *self.decided = self.next;
        self.settled.lock().in_flight += 1;
        let on_its_way = OnItsWay {
            settled: self.settled,
            own_us: self.own.watermark_us(),
            heard_us: self.has_rows.then(|| self.clock.now_us()),
        };
        (self.decided, on_its_way)
    }
}

impl OnItsWay {
    /// The group has ended. Gives the watermark of all durable rows.
    pub(crate) fn end(self, is_durable: bool) -> Option<i64> {
        let mut settled = self.settled.lock();
        settled.in_flight = settled.in_flight.saturating_sub(1);
        if is_durable {
            settled.durable.raise(self.own_us);
            settled.heard_us = self.heard_us.unwrap_or(settled.heard_us);
        }
        settled.durable.watermark_us()
    }
}

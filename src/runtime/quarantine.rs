//! Keeps records that could not be decoded: with their bytes, place and reason, in a topic of
//! their own, encrypted like every other.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hashbrown::HashSet;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::base::clock::ClockRef;
use crate::base::{Error, Offset, PartitionId, Result};
use crate::sources::{BadRecord, Quarantine};
use crate::transport::{Record, Topic};

/// Without a topic, the newest records are kept, this many.
const KEPT_IN_MEMORY: usize = 10_000;

/// One record that failed.
#[derive(Clone, Debug)]
pub(crate) struct QuarantineRow {
    /// When, in microseconds since 1970 UTC.
    pub(crate) at_us: i64,
    /// The source's name.
    pub(crate) source: String,
    /// Where in the source.
    pub(crate) place: String,
    /// What is wrong.
    pub(crate) reason: String,
    /// The record as it came; of a row that was late, its columns as JSON.
    pub(crate) bytes: Vec<u8>,
    /// Whether it could be read and only came too late.
    late: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredRow {
    at_us: i64,
    source: String,
    place: String,
    reason: String,
    bytes: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    late: bool,
}

/// All records that failed.
#[derive(Debug)]
pub(crate) struct QuarantineLog {
    topic: Option<Arc<Topic>>,
    clock: ClockRef,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: BTreeMap<String, u64>,
    /// How many of these were late.
    late: BTreeMap<String, u64>,
    /// Hashes of source, place and bytes: a source that is read again reports its bad records again.
    seen: HashSet<u128>,
    /// Used where there is no topic.
    rows: Vec<QuarantineRow>,
}

impl QuarantineLog {
    /// The quarantine kept in `topic`, or in memory.
    ///
    /// # Errors
    /// When the topic cannot be read.
    pub(crate) fn open(topic: Option<Arc<Topic>>, clock: ClockRef) -> Result<Self> {
        let log = Self {
            topic,
            clock,
            state: Mutex::default(),
        };
        let kept = log.read_topic()?;
        let mut state = log.state.lock();
        for row in kept {
            state
                .seen
                .insert(fingerprint(&row.source, &row.place, &row.bytes));
            state.count(&row.source, row.late);
        }
        drop(state);
        Ok(log)
    }

    /// How many records of `source` failed.
    pub(crate) fn count(&self, source: &str) -> u64 {
        self.state.lock().counts.get(source).copied().unwrap_or(0)
    }

    /// How many rows of `source` came too late.
    pub(crate) fn late(&self, source: &str) -> u64 {
        self.state.lock().late.get(source).copied().unwrap_or(0)
    }

    /// Keeps rows that came too late. Returns when they are on disk.
    ///
    /// # Errors
    /// When they cannot be kept; none of them is then.
    pub(crate) fn put_late(&self, records: Vec<BadRecord>) -> Result<()> {
        self.put_all(records, true)
    }

    /// Every record, oldest first.
    ///
    /// # Errors
    /// When the topic cannot be read: no rows would look like no bad records.
    pub(crate) fn rows(&self) -> Result<Vec<QuarantineRow>> {
        if self.topic.is_none() {
            return Ok(self.state.lock().rows.clone());
        }
        self.read_topic()
    }

    /// Forgets a record that could not be stored, so that it is taken when it is read again.
    fn forget(&self, mark: u128, source: &str, late: bool) {
        let mut state = self.state.lock();
        state.seen.remove(&mark);
        let State {
            counts,
            late: lates,
            ..
        } = &mut *state;
        let counts = [Some(counts), late.then_some(lates)];
        for counts in counts.into_iter().flatten() {
            if let Some(count) = counts.get_mut(source) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// Keeps the records that are not kept yet, all or none.
    fn put_all(&self, records: Vec<BadRecord>, late: bool) -> Result<()> {
        let at_us = self.clock.now_us();
        let mut new = Vec::new();
        {
            let mut state = self.state.lock();
            for record in records {
                let mark = fingerprint(&record.source, &record.place, &record.bytes);
                if state.seen.insert(mark) {
                    state.count(&record.source, late);
                    new.push((mark, record));
                }
            }
        }
        let Some(topic) = &self.topic else {
            let mut state = self.state.lock();
            let room = KEPT_IN_MEMORY.saturating_sub(state.rows.len());
            let rows = new.into_iter().take(room).map(|(_, record)| QuarantineRow {
                at_us,
                source: record.source,
                place: record.place,
                reason: record.reason,
                bytes: record.bytes.to_vec(),
                late,
            });
            state.rows.extend(rows);
            return Ok(());
        };
        if new.is_empty() {
            return Ok(());
        }
        let outcome = append(topic, &new, at_us, late);
        if outcome.is_err() {
            for (mark, record) in &new {
                self.forget(*mark, &record.source, late);
            }
        }
        outcome
    }

    fn read_topic(&self) -> Result<Vec<QuarantineRow>> {
        let Some(topic) = &self.topic else {
            return Ok(Vec::new());
        };
        let (first, _) = topic.bounds(PartitionId(0));
        let mut rows = Vec::new();
        for record in topic.read(PartitionId(0), Offset(first.0))? {
            let stored: StoredRow = serde_json::from_slice(&record?.payload)
                .map_err(|error| Error::corrupt(format!("a quarantined record: {error}")))?;
            rows.push(QuarantineRow {
                at_us: stored.at_us,
                source: stored.source,
                place: stored.place,
                reason: stored.reason,
                bytes: STANDARD.decode(stored.bytes).unwrap_or_default(),
                late: stored.late,
            });
        }
        Ok(rows)
    }
}

impl Quarantine for QuarantineLog {
    /// Returns when the record is on disk: what follows it may then be acknowledged.
    fn put(&self, record: BadRecord) -> Result<()> {
        self.put_all(vec![record], false)
    }
}

impl State {
    fn count(&mut self, source: &str, late: bool) {
        *self.counts.entry(source.to_owned()).or_default() += 1;
        if late {
            *self.late.entry(source.to_owned()).or_default() += 1;
        }
    }
}

/// Appends records in one group and waits for the disk.
fn append(topic: &Topic, records: &[(u128, BadRecord)], at_us: i64, late: bool) -> Result<()> {
    let mut group = Vec::with_capacity(records.len());
    for (_, record) in records {
        let stored = StoredRow {
            at_us,
            source: record.source.clone(),
            place: record.place.clone(),
            reason: record.reason.clone(),
            bytes: STANDARD.encode(&record.bytes),
            late,
        };
        let payload = serde_json::to_vec(&stored)
            .map_err(|error| Error::internal(format!("quarantine: {error}")))?;
        let record = Record {
            rows: 1,
            flags: 0,
            payload: payload.into(),
        };
        group.push((PartitionId(0), record));
    }
    topic.append_wait(group).map(drop)
}

fn fingerprint(source: &str, place: &str, bytes: &[u8]) -> u128 {
    let mut all = Vec::with_capacity(source.len() + place.len() + bytes.len() + 2);
    for part in [source.as_bytes(), place.as_bytes(), bytes] {
        all.extend_from_slice(part);
        all.push(0);
    }
    xxh3_128(&all)
}

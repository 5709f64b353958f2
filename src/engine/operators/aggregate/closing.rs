//! Groups that no row can touch any more: found by the value of one key, and let go of.

use std::collections::BTreeMap;

use crate::engine::accumulate::keep_at;
use crate::engine::frontier::Closing;
use crate::engine::operator::Watermarks;

/// The open groups by their time.
#[derive(Debug)]
pub(super) struct OpenGroups {
    pub(super) closing: Closing,
    /// The slots by the value of the key. A slot that was given back may still stand here.
    slots: BTreeMap<i64, Vec<usize>>,
    /// The value of each slot that is open and has one.
    values: Vec<Option<i64>>,
    closed: Option<i64>,
}

impl OpenGroups {
    pub(super) fn new(closing: Closing) -> Self {
        Self {
            closing,
            slots: BTreeMap::new(),
            values: Vec::new(),
            closed: None,
        }
    }

    /// Notes a group; a group without a value is never closed.
    pub(super) fn open(&mut self, slot: usize, value: Option<i64>) {
        if slot >= self.values.len() {
            self.values.resize(slot + 1, None);
        }
        if let Some(value) = value
            && self.values[slot] != Some(value)
        {
            self.values[slot] = Some(value);
            self.slots.entry(value).or_default().push(slot);
        }
    }

    /// Forgets a group that is gone.
    pub(super) fn forget(&mut self, slot: usize) {
        if let Some(value) = self.values.get_mut(slot) {
            *value = None;
        }
    }

    /// Keeps the groups of `slots` alone, which rise, under the numbers `0..`.
    pub(super) fn keep(&mut self, slots: &[usize]) {
        // a group that never had a value may have no entry
        let last = slots.last().map_or(0, |slot| slot + 1);
        self.values.resize(last.max(self.values.len()), None);
        keep_at(&mut self.values, slots);
        self.slots.clear();
        for (slot, value) in self.values.iter().enumerate() {
            if let Some(value) = value {
                self.slots.entry(*value).or_default().push(slot);
            }
        }
    }

    /// Takes out the slots that are closed by `watermarks`.
    pub(super) fn take_closed(&mut self, watermarks: &Watermarks) -> Vec<usize> {
        let before = self.closed;
        self.closed = before.max(self.closing.frontier.value(watermarks));
        let Some(closed) = self.closed else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        while let Some(first) = self.slots.first_entry() {
            if *first.key() >= closed {
                break;
            }
            let (value, slots) = first.remove_entry();
            for slot in slots {
                if self.values[slot].take_if(|held| *held == value).is_some() {
                    taken.push(slot);
                }
            }
        }
        taken
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.values.capacity() * 16
            + self
                .slots
                .values()
                .map(|slots| slots.capacity() * 8 + 48)
                .sum::<usize>()
    }
}

//! Which slots of a store got or lost their row since somebody asked.

use std::mem::replace;

/// Fewer changes than this are always told one by one.
const FEW: usize = 1 << 12;

/// Which slots got or lost their row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotChanges {
    /// Slots, and whether there is a row now; of several entries for a slot the last one holds.
    Some(Vec<(u32, bool)>),
    /// So many that all slots had better be looked at.
    Most,
}

/// The changes since they were taken; nothing is noted until that has happened.
#[derive(Debug, Default)]
pub(super) struct ChangeLog(Option<SlotChanges>);

impl ChangeLog {
    /// What changed since this was asked before; the first time, most.
    pub(super) fn take(&mut self) -> SlotChanges {
        let since = self.0.replace(SlotChanges::Some(Vec::new()));
        since.unwrap_or(SlotChanges::Most)
    }

    /// Whether [`ChangeLog::take`] would say [`SlotChanges::Most`].
    pub(super) fn is_most(&self) -> bool {
        !matches!(self.0, Some(SlotChanges::Some(_)))
    }

    /// A slot of a store with `live` rows got a row, or lost it.
    pub(super) fn note(&mut self, slot: u32, is_there: bool, live: usize) {
        if let Some(SlotChanges::Some(slots)) = &mut self.0 {
            slots.push((slot, is_there));
            if slots.len() > live.max(FEW) {
                self.lose();
            }
        }
    }

    /// No slot is what it was.
    pub(super) fn lose(&mut self) {
        if let Some(changes) = &mut self.0 {
            *changes = SlotChanges::Most;
        }
    }

    /// The log of a store that is emptied.
    pub(super) fn emptied(&mut self) -> Self {
        let mut log = replace(self, Self(None));
        log.lose();
        log
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match &self.0 {
            Some(SlotChanges::Some(slots)) => slots.capacity() * size_of::<(u32, bool)>(),
            _ => 0,
        }
    }
}

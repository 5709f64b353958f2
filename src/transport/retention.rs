//! Removing old segments, whole ones only and never a partition's last.

use super::core::{Core, Writer};
use crate::base::{Error, Kind, Offset, PartitionId, Result};

impl Core {
    /// Removes what the topic's retention no longer keeps.
    pub(super) fn retain(&self, writer: &mut Writer) -> Result<()> {
        let mut drop_counts = vec![0_usize; self.views.len()];
        if let Some(age) = self.spec.retention.max_age_us {
            let limit = self.shared.clock.now_us().saturating_sub(age);
            for (count, view) in drop_counts.iter_mut().zip(&self.views) {
                // No record of a segment is later than the creation of the next.
                let view = view.read();
                *count = view
                    .segments
                    .iter()
                    .skip(1)
                    .take_while(|next| next.header.created_us <= limit)
                    .count();
            }
        }
        if let Some(max_bytes) = self.spec.retention.max_bytes {
            self.drop_down_to(max_bytes, &mut drop_counts);
        }
        self.drop_segments(writer, &drop_counts)
    }

    /// Removes the segments of a partition whose rows all lie before `offset`.
    pub(super) fn forget_before(
        &self,
        writer: &mut Writer,
        partition: PartitionId,
        offset: Offset,
    ) -> Result<()> {
        let mut drop_counts = vec![0_usize; self.views.len()];
        let at = usize::try_from(partition.0).unwrap_or(usize::MAX);
        if let (Some(count), Some(view)) = (drop_counts.get_mut(at), self.views.get(at)) {
            let view = view.read();
            *count = view
                .segments
                .iter()
                .skip(1)
                .take_while(|next| next.base() <= offset)
                .count();
        }
        self.drop_segments(writer, &drop_counts)
    }

    /// Raises the counts, oldest segments first, until no more than `max_bytes` are left.
    fn drop_down_to(&self, max_bytes: u64, drop_counts: &mut [usize]) {
        let mut left = self.size_bytes();
        for (count, view) in drop_counts.iter().zip(&self.views) {
            for segment in view.read().segments.iter().take(*count) {
                left = left.saturating_sub(segment.committed());
            }
        }
        while left > max_bytes {
            let mut oldest: Option<(i64, usize, u64)> = None;
            for (at, (count, view)) in drop_counts.iter().zip(&self.views).enumerate() {
                let view = view.read();
                let (Some(segment), Some(next)) = (
                    view.segments.get(*count),
                    view.segments.get(count.saturating_add(1)),
                ) else {
                    continue;
                };
                let created = next.header.created_us;
                if oldest.is_none_or(|(before, _, _)| created < before) {
                    oldest = Some((created, at, segment.committed()));
                }
            }
            let Some((_, at, bytes)) = oldest else { break };
            if let Some(count) = drop_counts.get_mut(at) {
                *count = count.saturating_add(1);
            }
            left = left.saturating_sub(bytes);
        }
    }

    fn drop_segments(&self, writer: &mut Writer, drop_counts: &[usize]) -> Result<()> {
        if drop_counts.iter().all(|count| *count == 0) {
            return Ok(());
        }
        if let Some(error) = &writer.failed {
            return Err(error.clone());
        }
        Self::sync_all(writer);
        let first = |(view, count): (&parking_lot::RwLock<super::core::View>, &usize)| {
            view.read()
                .segments
                .get(*count)
                .map(|segment| segment.base())
        };
        let first = self
            .views
            .iter()
            .zip(drop_counts)
            .map(first)
            .collect::<Vec<_>>();
        // The note goes first: a segment before it is a leftover, one missing after it is damage.
        if let Err(error) = self.write_bounds(writer, &first) {
            if error.kind() != Kind::Limit {
                writer.failed = Some(error.clone());
            }
            return Err(error);
        }
        for (at, (view, count)) in self.views.iter().zip(drop_counts).enumerate() {
            if *count == 0 {
                continue;
            }
            let gone = view.write().segments.drain(..*count).collect::<Vec<_>>();
            for segment in gone {
                self.disk().remove(&segment.path).map_err(|error| {
                    Error::io(format!("remove segment {}", segment.path.display()), &error)
                })?;
            }
            let folder = self.partition_folder(at);
            self.disk()
                .sync_dir(&folder)
                .map_err(|error| Error::io(format!("sync folder {}", folder.display()), &error))?;
        }
        Ok(())
    }
}

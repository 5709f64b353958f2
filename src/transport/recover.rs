//! What is found at start: telling what was acknowledged from what a crash left half-written.
//!
//! Commit windows are numbered 1, 2, 3 over a topic. Each frame says which window it is of, that it
//! is part k of n, and the highest window known to be on disk when it was written. From this:
//!
//! 1. The note of bounds vouches for all windows up to its own. A file shorter than noted, a
//!    missing or exchanged segment, a broken chain of segments: damage. Bytes within the bounds are
//!    not read here; their tags are checked by every reader.
//! 2. Beyond the bounds, each file is walked frame by frame up to the first that is not whole.
//! 3. `D` is the highest window that the note or any whole frame knows to be on disk, frames behind
//!    a damaged one included. A window up to `D` was acknowledged (or could have been): if it is not
//!    whole, that is damage, and the error names file and byte.
//! 4. After `D`, windows are kept as long as they are whole and follow each other. The rest is a torn
//!    tail: no part of it was acknowledged, and it is cut off in every partition. So a group is
//!    there in all its partitions or in none.
//! 5. Cuts are synced before anything is appended, and only then is the note written anew. A crash
//!    on the way leads to the same end.
//!
//! With `Durability::Os` only segment ends and closing raise `D`, so that the loss of the latest
//! appends in a power cut is a torn tail and not damage.
//!
//! What this cannot see: the last window rotting on disk after a power cut took its mark, and a
//! whole folder put back to an older state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bounds::{Bounds, PartitionBounds};
use super::core::{PartitionWriter, Shared, View, Writer, partition_folder};
use super::format::{Place, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::scan::{Tail, scan_tail};
use super::segment::{FIRST_FRAME, Segment, base_of};
use super::spec::TopicSpec;
use crate::base::{Error, Offset, PartitionId, Result};
use crate::crypto::AreaKey;

/// A topic as found.
pub(super) struct Recovered {
    pub(super) writer: Writer,
    pub(super) views: Vec<View>,
    /// Whether anything lay beyond the bounds, so that they must be noted anew.
    pub(super) changed: bool,
}

/// Where a topic is read from.
pub(super) struct Source<'a> {
    pub(super) spec: &'a TopicSpec,
    pub(super) folder: &'a Path,
    pub(super) area: &'a AreaKey,
    pub(super) shared: &'a Shared,
}

/// A partition as found.
struct Found {
    segments: Vec<Arc<Segment>>,
    lens: Vec<u64>,
    bounds: PartitionBounds,
    /// What lies beyond the bounds, one for each of the last segments.
    tails: Vec<TailOf>,
    changed: bool,
}

struct TailOf {
    /// Index into `segments`.
    segment: usize,
    /// Whether the bounds know of the segment.
    noted: bool,
    tail: Tail,
}

/// Reads a topic and cuts off what a crash left half-written.
pub(super) fn recover(source: &Source<'_>) -> Result<Recovered> {
    let Source {
        spec,
        folder,
        shared,
        ..
    } = source;
    let bounds = Bounds::read(shared.disk.as_ref(), folder, &shared.keyring, spec.id)?;
    let count = usize::try_from(spec.partitions).unwrap_or(usize::MAX);
    if bounds.partitions.len() != count {
        return Err(Error::corrupt(format!(
            "{}: the note of bounds is of {} partitions, the topic has {count}",
            folder.display(),
            bounds.partitions.len()
        )));
    }
    let mut found = Vec::new();
    for (at, partition) in bounds.partitions.iter().enumerate() {
        found.push(source.find(at, *partition)?);
    }
    let last_window = judge(folder, &bounds, &found)?;
    let mut last_us = bounds.last_us;
    let mut views = Vec::new();
    let mut partitions = Vec::new();
    let mut changed = false;
    for mut partition in found {
        let next = source.cut(&mut partition, last_window, &mut last_us)?;
        changed |= partition.changed;
        let last = partition.segments.last().zip(partition.lens.last());
        let closed = last.map(|(segment, len)| (segment.base(), *len));
        for (segment, len) in partition.segments.iter().zip(&partition.lens) {
            segment.set_committed(*len);
        }
        partitions.push(PartitionWriter {
            active: None,
            closed,
            next,
        });
        views.push(View {
            segments: partition.segments,
            next,
        });
    }
    let writer = Writer {
        window: last_window,
        durable: last_window,
        last_us,
        partitions,
        buffer: Vec::new(),
        failed: None,
    };
    Ok(Recovered {
        writer,
        views,
        changed,
    })
}

/// The last window to keep.
fn judge(folder: &Path, bounds: &Bounds, found: &[Found]) -> Result<u64> {
    let mut durable = bounds.window;
    // Window to data frames seen and data frames due.
    let mut windows: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
    for tail in found.iter().flat_map(|partition| &partition.tails) {
        durable = durable.max(tail.tail.durable());
        for frame in tail.tail.data() {
            let seen = windows
                .entry(frame.header.window)
                .or_insert((0, frame.header.parts));
            seen.0 = seen.0.saturating_add(1);
        }
    }
    let mut last = bounds.window;
    while let Some((seen, due)) = windows.get(&last.saturating_add(1))
        && seen == due
    {
        last = last.saturating_add(1);
    }
    if last >= durable {
        return Ok(last);
    }
    let lost = last.saturating_add(1);
    Err(blame(found).unwrap_or_else(|| {
        Error::corrupt(format!(
            "{}: acknowledged rows are missing at the end of a partition: commit window {lost} of {durable} is not whole",
            folder.display()
        ))
    }))
}

/// The first damaged frame.
fn blame(found: &[Found]) -> Option<Error> {
    for partition in found {
        for tail in &partition.tails {
            let segment = partition.segments.get(tail.segment)?;
            let len = *partition.lens.get(tail.segment)?;
            if tail.tail.end < len {
                return Some(Error::corrupt(format!(
                    "{}: damaged at byte {}: the frame there is not whole, and it was acknowledged",
                    segment.path.display(),
                    tail.tail.end
                )));
            }
        }
    }
    None
}

impl Source<'_> {
    /// Reads the headers of a partition's segments and walks over what lies beyond its bounds.
    fn find(&self, at: usize, bounds: PartitionBounds) -> Result<Found> {
        let folder = partition_folder(self.folder, at);
        let mut found = Found {
            segments: Vec::new(),
            lens: Vec::new(),
            bounds,
            tails: Vec::new(),
            changed: false,
        };
        let paths = self.segment_paths(&folder, &bounds, &mut found.changed)?;
        for (base, path) in &paths {
            let disk = self.shared.disk.as_ref();
            let len = disk.len(path).map_err(|error| read_error(path, &error))?;
            let is_noted = bounds.last.is_some_and(|(last, _)| *base <= last);
            let number = u32::try_from(at).unwrap_or(u32::MAX);
            let place = Place {
                topic: self.spec.id,
                partition: PartitionId(number),
                base: *base,
            };
            let is_last = paths.last().is_some_and(|(last, _)| last == base);
            match self.open_segment(path, place, len) {
                Ok(segment) => {
                    chain(&found, &segment)?;
                    found.segments.push(Arc::new(segment));
                    found.lens.push(len);
                }
                // Begun by the window that the crash stopped: the note is written before the
                // acknowledgement, and it does not name this file.
                Err(_) if !is_noted && is_last => self.remove(path, &mut found.changed)?,
                Err(error) => return Err(error),
            }
        }
        check_bounds(&folder, &found)?;
        self.walk(&mut found)?;
        Ok(found)
    }

    /// The kept segments in order; leftovers of a removal are removed.
    fn segment_paths(
        &self,
        folder: &Path,
        bounds: &PartitionBounds,
        changed: &mut bool,
    ) -> Result<Vec<(Offset, PathBuf)>> {
        let disk = self.shared.disk.as_ref();
        let listed = disk
            .list(folder)
            .map_err(|error| Error::io(format!("list {}", folder.display()), &error))?;
        let mut paths = Vec::new();
        for path in listed {
            let Some(base) = base_of(&path) else {
                tracing::warn!(path = %path.display(), "a file that is not of the log lies in its folder");
                continue;
            };
            if bounds.first.is_some_and(|first| base < first) {
                self.remove(&path, changed)?;
            } else {
                paths.push((base, path));
            }
        }
        Ok(paths)
    }

    fn open_segment(&self, path: &Path, place: Place, len: u64) -> Result<Segment> {
        let disk = self.shared.disk.as_ref();
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let count = disk
            .open_read(path)
            .and_then(|file| file.read_at(0, &mut bytes))
            .map_err(|error| read_error(path, &error))?;
        let (header, wrapped) = SegmentHeader::decode(bytes.get(..count).unwrap_or_default())
            .map_err(|error| error.at(path.display()))?;
        if header.place != place {
            let of = header.place;
            return Err(Error::corrupt(format!(
                "{}: the segment at byte 16 is of topic {}, partition {}, offset {}: it was moved here",
                path.display(),
                of.topic,
                of.partition,
                of.base
            )));
        }
        let Some(key) = self.area.open_child(&header.key_aad(), &wrapped) else {
            return Err(Error::corrupt(format!(
                "{}: the segment's key at byte 64 does not open: the segment belongs elsewhere or was changed",
                path.display()
            )));
        };
        Ok(Segment::new(path.to_owned(), header, key.cipher(), len))
    }

    fn remove(&self, path: &Path, changed: &mut bool) -> Result<()> {
        let disk = self.shared.disk.as_ref();
        tracing::warn!(path = %path.display(), "removing a leftover of an unfinished step");
        *changed = true;
        disk.remove(path)
            .and_then(|()| path.parent().map_or(Ok(()), |folder| disk.sync_dir(folder)))
            .map_err(|error| Error::io(format!("remove {}", path.display()), &error))
    }

    /// Walks over the frames beyond the bounds.
    fn walk(&self, found: &mut Found) -> Result<()> {
        let disk = self.shared.disk.as_ref();
        let mut due = found.bounds.next;
        for (at, (segment, len)) in found.segments.iter().zip(&found.lens).enumerate() {
            let noted = found
                .bounds
                .last
                .is_some_and(|(last, _)| segment.base() <= last);
            let from = match found.bounds.last {
                Some((last, _)) if segment.base() < last => continue,
                Some((last, noted_len)) if segment.base() == last => noted_len,
                _ => FIRST_FRAME,
            };
            if !noted && segment.base() != due {
                return Err(Error::corrupt(format!(
                    "{}: offset {due} is due here: a segment before it is missing or was cut",
                    segment.path.display()
                )));
            }
            let tail = scan_tail(disk, segment, from, due, *len)?;
            let is_last = at.saturating_add(1) == found.segments.len();
            if !is_last && tail.end < *len {
                return Err(Error::corrupt(format!(
                    "{}: damaged at byte {}: the frame there is not whole, and a later segment follows",
                    segment.path.display(),
                    tail.end
                )));
            }
            due = tail.frames.last().map_or(due, |frame| frame.header.end());
            if !noted || from < *len {
                found.changed = true;
            }
            found.tails.push(TailOf {
                segment: at,
                noted,
                tail,
            });
        }
        Ok(())
    }

    /// Cuts off what lies after `last_window`; returns the offset after the last row kept.
    fn cut(&self, found: &mut Found, last_window: u64, last_us: &mut i64) -> Result<Offset> {
        let mut next = found.bounds.next;
        for tail in &found.tails {
            for frame in tail
                .tail
                .data()
                .filter(|frame| frame.header.window <= last_window)
            {
                next = frame.header.end();
                *last_us = (*last_us).max(frame.header.timestamp_us);
            }
        }
        while let Some(tail) = found.tails.pop() {
            let (Some(segment), Some(len)) = (
                found.segments.get(tail.segment),
                found.lens.get_mut(tail.segment),
            ) else {
                break;
            };
            let kept = |frame: &&super::scan::Found| frame.header.window <= last_window;
            if !tail.noted && !tail.tail.data().any(|frame| kept(&frame)) {
                let path = segment.path.clone();
                found.segments.truncate(tail.segment);
                found.lens.truncate(tail.segment);
                self.remove(&path, &mut found.changed)?;
                continue;
            }
            let end = tail
                .tail
                .frames
                .iter()
                .find(|frame| frame.header.window > last_window)
                .map_or(tail.tail.end, |frame| frame.at);
            if end < *len {
                tracing::warn!(
                    path = %segment.path.display(),
                    from = end,
                    bytes = len.saturating_sub(end),
                    "cutting off a torn tail that was never acknowledged"
                );
            }
            if found.changed {
                // The cut and what is kept: a kill leaves bytes that no disk has seen yet.
                self.shared
                    .disk
                    .truncate(&segment.path, end)
                    .map_err(|error| {
                        Error::io(format!("cut {}", segment.path.display()), &error)
                    })?;
            }
            *len = end;
        }
        if found.changed
            && let Some(segment) = found.segments.last()
            && let Some(folder) = segment.path.parent()
        {
            // Likewise the name of a segment that the crash left just begun.
            let synced = self.shared.disk.sync_dir(folder);
            synced.map_err(|error| Error::io(format!("sync {}", folder.display()), &error))?;
        }
        Ok(next)
    }
}

/// A segment names the one before it, so that none can be left out, exchanged or cut.
fn chain(found: &Found, segment: &Segment) -> Result<()> {
    let before = found.segments.last().zip(found.lens.last());
    let Some((before, len)) = before.map(|(before, len)| (before, *len)) else {
        return Ok(());
    };
    if segment.header.previous == Some((before.base(), len)) {
        return Ok(());
    }
    let due = segment.header.previous.map_or_else(
        || "no segment before it".to_owned(),
        |(base, bytes)| format!("the segment of offset {base} with {bytes} bytes before it"),
    );
    Err(Error::corrupt(format!(
        "{}: the header at byte 48 names {due}, and there is {} with {len} bytes: a segment is missing, cut or exchanged",
        segment.path.display(),
        before.path.display()
    )))
}

/// Holds what was found against the note.
fn check_bounds(folder: &Path, found: &Found) -> Result<()> {
    let missing = |base: Offset| {
        Error::corrupt(format!(
            "{}: the segment of offset {base} is missing",
            folder.display()
        ))
    };
    if let Some(first) = found.bounds.first
        && found
            .segments
            .first()
            .is_none_or(|segment| segment.base() != first)
    {
        return Err(missing(first));
    }
    if let Some((last, noted)) = found.bounds.last {
        let at = found
            .segments
            .iter()
            .position(|segment| segment.base() == last);
        let len = at
            .and_then(|at| found.lens.get(at))
            .ok_or_else(|| missing(last))?;
        if *len < noted {
            return Err(Error::corrupt(format!(
                "{}: the segment of offset {last} ends at byte {len}, and {noted} bytes were acknowledged",
                folder.display()
            )));
        }
    }
    Ok(())
}

fn read_error(path: &Path, error: &std::io::Error) -> Error {
    Error::io(format!("read segment {}", path.display()), error)
}

//! Reading a partition forward.

use std::sync::Arc;

use bytes::Bytes;

use super::chunk::ChunkReader;
use super::core::Core;
use super::format::{
    FRAME_HEADER_BYTES, FrameHeader, FrameKind, RECORD_HEADER_BYTES, record_header,
};
use super::segment::{FIRST_FRAME, Segment};
use super::spec::ReadRecord;
use crate::base::{Error, Kind, Offset, PartitionId, Result};

/// An iterator over the committed records of a partition.
///
/// It ends where the partition ends for now, and goes on from there when it is asked again after
/// more was committed. After an error it gives nothing more.
pub struct Reader {
    core: Arc<Core>,
    partition: PartitionId,
    /// Records that end at or before this are passed over.
    from: Offset,
    /// The offset that the next frame must begin with.
    next: Offset,
    open: Option<OpenSegment>,
    frame: Frame,
    /// Whether the first place was found: from there on, frames follow each other.
    sought: bool,
    failed: bool,
}

struct OpenSegment {
    segment: Arc<Segment>,
    chunks: ChunkReader,
    /// Where the next frame begins.
    at: u64,
}

/// A frame's plaintext and how far it was handed out.
#[derive(Default)]
struct Frame {
    text: Bytes,
    next: Offset,
    end: Offset,
    timestamp_us: i64,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("partition", &self.partition)
            .field("next", &self.next)
            .finish()
    }
}

impl Iterator for Reader {
    type Item = Result<ReadRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.step().transpose();
        self.failed = matches!(item, Some(Err(_)));
        item
    }
}

impl Reader {
    /// A reader that begins with the record that holds `from`.
    pub(super) fn new(core: Arc<Core>, partition: PartitionId, from: Offset) -> Result<Self> {
        let (first, next) = core.bounds(partition);
        if from < first {
            return Err(gone(&core, partition, from, first));
        }
        if from > next {
            return Err(Error::invalid(format!(
                "offset {from} lies beyond the end {next} of partition {partition} of topic {}",
                core.spec.id
            )));
        }
        let frame = Frame::default();
        Ok(Self {
            core,
            partition,
            from,
            next: from,
            open: None,
            frame,
            sought: false,
            failed: false,
        })
    }

    fn step(&mut self) -> Result<Option<ReadRecord>> {
        loop {
            while self.frame.next < self.frame.end {
                let record = self.record()?;
                if record.first_offset.0.saturating_add(u64::from(record.rows)) > self.from.0 {
                    return Ok(Some(record));
                }
            }
            if !self.advance()? {
                return Ok(None);
            }
        }
    }

    /// The next record of the frame.
    fn record(&mut self) -> Result<ReadRecord> {
        let frame = &mut self.frame;
        let whole = record_header(&frame.text).and_then(|(rows, flags, len)| {
            let end = RECORD_HEADER_BYTES.checked_add(len)?;
            (rows > 0 && end <= frame.text.len()).then_some((rows, flags, end))
        });
        let Some((rows, flags, end)) = whole else {
            // The tag has vouched for these bytes: only a defect of the writer leads here.
            return Err(Error::internal(format!(
                "the frame before offset {} of partition {} of topic {} holds a malformed record",
                self.next, self.partition, self.core.spec.id
            )));
        };
        let mut payload = frame.text.split_to(end);
        let first_offset = frame.next;
        drop(payload.split_to(RECORD_HEADER_BYTES));
        frame.next = Offset(first_offset.0.saturating_add(u64::from(rows)));
        Ok(ReadRecord {
            first_offset,
            rows,
            flags,
            timestamp_us: frame.timestamp_us,
            payload,
        })
    }

    /// Opens the next data frame; false at the end for now.
    fn advance(&mut self) -> Result<bool> {
        loop {
            let (_, end) = self.core.bounds(self.partition);
            if self.next >= end {
                return Ok(false);
            }
            let Some(open) = self.open.as_mut() else {
                self.open_segment()?;
                continue;
            };
            let limit = open.segment.committed();
            if open.at >= limit {
                self.open = None;
                continue;
            }
            let header = open.header(limit)?;
            let after = open.at.saturating_add(header.total_bytes());
            if after > limit {
                return Err(damaged(open, "the frame is cut short"));
            }
            if header.first_offset != self.next {
                return Err(damaged(
                    open,
                    &format!(
                        "offset {} is due and {} is there",
                        self.next, header.first_offset
                    ),
                ));
            }
            let place = open.at;
            if header.kind == FrameKind::Data && header.end() <= self.from {
                open.at = after;
                open.segment.note(header.first_offset, place);
                self.next = header.end();
                continue;
            }
            let text = open.decrypt(&header, limit)?;
            open.at = after;
            self.next = header.end();
            if header.kind == FrameKind::Data {
                open.segment.note(header.first_offset, place);
                self.frame = Frame {
                    text,
                    next: header.first_offset,
                    end: header.end(),
                    timestamp_us: header.timestamp_us,
                };
                return Ok(true);
            }
        }
    }

    /// Opens the segment that holds the next row, at or before its frame.
    fn open_segment(&mut self) -> Result<()> {
        let Some(segment) = self.core.segment_of(self.partition, self.next) else {
            let (first, _) = self.core.bounds(self.partition);
            return Err(gone(&self.core, self.partition, self.next, first));
        };
        let (first, at) = segment
            .seek(self.next)
            .unwrap_or((segment.base(), FIRST_FRAME));
        if first < self.next && self.sought {
            // A segment was followed up to its end, so the next must begin here.
            return Err(Error::corrupt(format!(
                "{}: the rows from offset {} on are missing after byte {}",
                segment.path.display(),
                self.next,
                segment.committed()
            )));
        }
        let file = match self.core.disk().open_read(&segment.path) {
            Ok(file) => file,
            Err(error) => {
                let (first, _) = self.core.bounds(self.partition);
                if self.next < first {
                    return Err(gone(&self.core, self.partition, self.next, first));
                }
                return Err(Error::io(
                    format!("open segment {}", segment.path.display()),
                    &error,
                ));
            }
        };
        self.next = first;
        self.sought = true;
        let chunks = ChunkReader::new(file, self.core.options().read_bytes);
        self.open = Some(OpenSegment {
            segment,
            chunks,
            at,
        });
        Ok(())
    }
}

impl OpenSegment {
    /// The header of the next frame.
    fn header(&mut self, limit: u64) -> Result<FrameHeader> {
        let start = self.chunks.peek(self.at, FRAME_HEADER_BYTES, limit);
        let start = start.map_err(|error| read_error(&self.segment, &error))?;
        FrameHeader::decode(start).ok_or_else(|| damaged(self, "the frame's header is damaged"))
    }

    /// The plaintext of the next frame. A mark is opened too: one that vouches for nothing could
    /// otherwise be put in the place of rows.
    fn decrypt(&mut self, header: &FrameHeader, limit: u64) -> Result<Bytes> {
        let total = usize::try_from(header.total_bytes()).unwrap_or(usize::MAX);
        let bytes = self.chunks.take(self.at, total, limit);
        let mut bytes = bytes.map_err(|error| read_error(&self.segment, &error))?;
        let Some((start, body)) = bytes.split_first_chunk_mut::<FRAME_HEADER_BYTES>() else {
            return Err(damaged(self, "the frame is cut short"));
        };
        let aad = FrameHeader::aad(&self.segment.header.place, start);
        let text = self
            .segment
            .cipher
            .open_in_place(&header.nonce(), &aad, body);
        let Some(len) = text.map(|text| text.len()) else {
            return Err(damaged(
                self,
                "the frame's bytes are damaged or belong elsewhere",
            ));
        };
        drop(bytes.split_to(FRAME_HEADER_BYTES));
        bytes.truncate(len);
        Ok(bytes.freeze())
    }
}

fn read_error(segment: &Segment, error: &std::io::Error) -> Error {
    Error::io(format!("read segment {}", segment.path.display()), error)
}

fn damaged(open: &OpenSegment, what: &str) -> Error {
    Error::corrupt(format!(
        "{}: damaged at byte {}: {what}",
        open.segment.path.display(),
        open.at
    ))
}

fn gone(core: &Core, partition: PartitionId, offset: Offset, first: Offset) -> Error {
    Error::new(
        Kind::Missing,
        "58P01",
        format!(
            "offset {offset} of partition {partition} of topic {} is no longer kept",
            core.spec.id
        ),
    )
    .with_hint(format!(
        "retention has removed the rows before offset {first}"
    ))
}

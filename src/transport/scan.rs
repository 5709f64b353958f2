//! Walking over the frames of a segment's tail at start, and looking for life behind damage.

use super::chunk::ChunkReader;
use super::format::{FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader, FrameKind};
use super::segment::Segment;
use crate::base::disk::Disk;
use crate::base::{Error, Offset, Result};

/// Bytes read at a time.
const READ_BYTES: usize = 4 << 20;

/// A whole frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) at: u64,
    pub(super) header: FrameHeader,
}

/// What lies from some byte of a segment on.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// Whole frames, each right after the one before.
    pub(super) frames: Vec<Found>,
    /// Where the last of them ends.
    pub(super) end: u64,
    /// The highest window that a whole frame behind the damage knows to be on disk; 0 for none.
    pub(super) durable_behind: u64,
}

/// Walks from byte `from`, where the row `next` is due, up to byte `len`.
pub(super) fn scan_tail(
    disk: &dyn Disk,
    segment: &Segment,
    from: u64,
    next: Offset,
    len: u64,
) -> Result<Tail> {
    let read = |error: std::io::Error| {
        Error::io(format!("read segment {}", segment.path.display()), &error)
    };
    let file = disk.open_read(&segment.path).map_err(read)?;
    let mut reader = ChunkReader::new(file, READ_BYTES);
    let mut tail = Tail {
        end: from,
        ..Tail::default()
    };
    let mut next = next;
    while tail.end < len {
        let start = reader
            .peek(tail.end, FRAME_HEADER_BYTES, len)
            .map_err(read)?;
        let Some(header) = FrameHeader::decode(start) else {
            break;
        };
        let end = tail.end.saturating_add(header.total_bytes());
        if end > len || header.first_offset != next {
            break;
        }
        let total = usize::try_from(header.total_bytes()).unwrap_or(usize::MAX);
        let bytes = reader.peek(tail.end, total, len).map_err(read)?;
        if crc32c::crc32c(bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default()) != header.body_crc {
            break;
        }
        next = header.end();
        tail.frames.push(Found {
            at: tail.end,
            header,
        });
        tail.end = end;
    }
    if tail.end < len {
        let rest = usize::try_from(len.saturating_sub(tail.end)).unwrap_or(usize::MAX);
        let rest = reader.peek(tail.end, rest, len).map_err(read)?;
        tail.durable_behind = durable_behind(segment, rest);
    }
    Ok(tail)
}

/// The highest window that any whole frame in `bytes` knows to be on disk. Only frames that open
/// under the segment's key count: stale blocks of another file can lie here after a power cut.
fn durable_behind(segment: &Segment, bytes: &[u8]) -> u64 {
    let mut durable = 0;
    let mut at = 0_usize;
    while let Some(rest) = bytes.get(at..) {
        let Some(step) = rest
            .windows(FRAME_MAGIC.len())
            .position(|four| four == FRAME_MAGIC)
        else {
            break;
        };
        let frame = rest.get(step..).unwrap_or_default();
        at = at.saturating_add(step).saturating_add(1);
        if let Some(header) = FrameHeader::decode(frame)
            && header.durable > durable
            && opens(segment, &header, frame)
        {
            durable = header.durable;
        }
    }
    durable
}

fn opens(segment: &Segment, header: &FrameHeader, frame: &[u8]) -> bool {
    let total = usize::try_from(header.total_bytes()).unwrap_or(usize::MAX);
    let Some(frame) = frame.get(..total) else {
        return false;
    };
    let Some((start, body)) = frame.split_first_chunk::<FRAME_HEADER_BYTES>() else {
        return false;
    };
    let aad = FrameHeader::aad(&segment.header.place, start);
    let mut body = body.to_vec();
    segment
        .cipher
        .open_in_place(&header.nonce(), &aad, &mut body)
        .is_some()
}

impl Tail {
    /// The highest window that any frame here knows to be on disk.
    pub(super) fn durable(&self) -> u64 {
        let seen = self.frames.iter().map(|found| found.header.durable).max();
        seen.unwrap_or(0).max(self.durable_behind)
    }

    /// The data frames.
    pub(super) fn data(&self) -> impl Iterator<Item = &Found> {
        self.frames
            .iter()
            .filter(|found| found.header.kind == FrameKind::Data)
    }
}

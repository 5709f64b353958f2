//! The bytes of a segment file. Little endian throughout.
//!
//! A segment is a header and then frames, back to back.
//!
//! ```text
//! segment header, 128 bytes
//!   0  magic          "LOTICSEG"
//!   8  version        u32 = 1
//!  12  crc32c         u32 of bytes 16..128
//!  16  topic          u64
//!  24  partition      u32
//!  28  zero           u32
//!  32  base           u64, offset of the first row, also the file's name
//!  40  created        i64, microseconds since 1970 UTC; no record before it in the partition is later
//!  48  previous base  u64, u64::MAX for the first of all
//!  56  previous len   u64, bytes of the segment before when it was closed
//!  64  segment key    wrapped by the topic's key (nonce 12, ciphertext 32, tag 16), bound to bytes 0..12, 16..64
//! 124  zero           u32
//!
//! frame header, 80 bytes
//!   0  magic          u32 = "LFRM"
//!   4  header crc32c  u32 of bytes 8..80
//!   8  body crc32c    u32 of the body
//!  12  len            u32, bytes of the body: ciphertext and tag
//!  16  kind           u16, 1 data, 2 mark
//!  18  zero           u16
//!  20  rows           u32, offsets taken by the frame
//!  24  first offset   u64
//!  32  window         u64, the commit window, counted from 1 over the topic without gaps
//!  40  durable        u64, the highest window known to be on disk when this was written
//!  48  sequence       u64, counts frames under the segment key: the nonce
//!  56  timestamp      i64, microseconds since 1970 UTC
//!  64  part           u32, counted from 0, of
//!  68  parts          u32, the data frames of the window over all partitions
//!  72  records        u32
//!  76  zero           u32
//!  80  body: AES-256-GCM over the records, additional data: version, topic, partition, base, bytes 12..80
//!
//! record, inside a data frame
//!   0  rows           u32
//!   4  flags          u16
//!   6  zero           u16
//!   8  len            u32
//!  12  payload
//! ```
//!
//! A mark is a frame without records that follows a window once it is on disk, so that even the last
//! acknowledged window has a later frame that vouches for it. `recover` holds the rule.

use super::spec::Record;
use crate::base::{Error, Offset, PartitionId, Result, TopicId};
use crate::crypto::{NONCE_BYTES, TAG_BYTES, WRAPPED_BYTES, WrappedKey};

/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER_BYTES: usize = 128;
/// Bytes of a frame's header.
pub(super) const FRAME_HEADER_BYTES: usize = 80;
/// Bytes before a record's payload.
pub(super) const RECORD_HEADER_BYTES: usize = 12;
/// How a frame begins.
pub(super) const FRAME_MAGIC: [u8; 4] = *b"LFRM";

const SEGMENT_MAGIC: [u8; 8] = *b"LOTICSEG";
const VERSION: u32 = 1;
const NO_SEGMENT: u64 = u64::MAX;

/// Where a segment belongs. Every frame is bound to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) topic: TopicId,
    pub(super) partition: PartitionId,
    pub(super) base: Offset,
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) place: Place,
    pub(super) created_us: i64,
    /// Base and final length of the segment before.
    pub(super) previous: Option<(Offset, u64)>,
}

impl SegmentHeader {
    /// The header's bytes without checksum and key, and what the key is bound to.
    fn fixed(&self) -> [u8; 60] {
        let (previous_base, previous_len) = self
            .previous
            .map_or((NO_SEGMENT, 0), |(base, len)| (base.0, len));
        let mut bytes = [0; 60];
        let mut at = Put {
            bytes: &mut bytes,
            at: 0,
        };
        at.put(&SEGMENT_MAGIC);
        at.put(&VERSION.to_le_bytes());
        at.put(&self.place.topic.0.to_le_bytes());
        at.put(&self.place.partition.0.to_le_bytes());
        at.put(&[0; 4]);
        at.put(&self.place.base.0.to_le_bytes());
        at.put(&self.created_us.to_le_bytes());
        at.put(&previous_base.to_le_bytes());
        at.put(&previous_len.to_le_bytes());
        bytes
    }

    /// What the wrapped segment key is bound to.
    pub(super) fn key_aad(&self) -> [u8; 60] {
        self.fixed()
    }

    /// The header's bytes.
    pub(super) fn encode(&self, key: &WrappedKey) -> [u8; SEGMENT_HEADER_BYTES] {
        let fixed = self.fixed();
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let mut at = Put {
            bytes: &mut bytes,
            at: 0,
        };
        at.put(fixed.get(..12).unwrap_or_default());
        at.put(&[0; 4]);
        at.put(fixed.get(12..).unwrap_or_default());
        at.put(key);
        let crc = crc32c::crc32c(bytes.get(16..).unwrap_or_default());
        Put {
            bytes: &mut bytes,
            at: 12,
        }
        .put(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; the error is without the file's name.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, WrappedKey)> {
        let end = bytes.len();
        let short = || {
            Error::corrupt(format!(
                "the segment is cut short within its header, at byte {end}"
            ))
        };
        let mut take = Take { bytes };
        let magic: [u8; 8] = take.array().ok_or_else(short)?;
        let version = take.u32().ok_or_else(short)?;
        let crc = take.u32().ok_or_else(short)?;
        let rest = take.bytes.get(..112).ok_or_else(short)?;
        if magic != SEGMENT_MAGIC {
            return Err(Error::corrupt("not a segment: byte 0 is damaged"));
        }
        if version != VERSION {
            return Err(Error::corrupt(format!(
                "segment of format {version} at byte 8, this Lotic knows format {VERSION}"
            )));
        }
        if crc32c::crc32c(rest) != crc {
            return Err(Error::corrupt(
                "the segment's header is damaged between byte 12 and byte 128",
            ));
        }
        let topic = TopicId(take.u64().ok_or_else(short)?);
        let partition = PartitionId(take.u32().ok_or_else(short)?);
        take.u32().ok_or_else(short)?;
        let base = Offset(take.u64().ok_or_else(short)?);
        let created_us = take.i64().ok_or_else(short)?;
        let previous_base = take.u64().ok_or_else(short)?;
        let previous_len = take.u64().ok_or_else(short)?;
        let key = take.array::<WRAPPED_BYTES>().ok_or_else(short)?;
        let previous =
            (previous_base != NO_SEGMENT).then_some((Offset(previous_base), previous_len));
        Ok((
            Self {
                place: Place {
                    topic,
                    partition,
                    base,
                },
                created_us,
                previous,
            },
            key,
        ))
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    Data,
    Mark,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) kind: FrameKind,
    /// Bytes of the body, tag included.
    pub(super) len: u32,
    pub(super) body_crc: u32,
    pub(super) rows: u32,
    pub(super) first_offset: Offset,
    pub(super) window: u64,
    pub(super) durable: u64,
    pub(super) sequence: u64,
    pub(super) timestamp_us: i64,
    pub(super) part: u32,
    pub(super) parts: u32,
    pub(super) records: u32,
}

impl FrameHeader {
    /// The header's bytes, checksum included.
    pub(super) fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        let kind: u16 = match self.kind {
            FrameKind::Data => 1,
            FrameKind::Mark => 2,
        };
        let mut at = Put {
            bytes: &mut bytes,
            at: 0,
        };
        at.put(&FRAME_MAGIC);
        at.put(&[0; 4]);
        at.put(&self.body_crc.to_le_bytes());
        at.put(&self.len.to_le_bytes());
        at.put(&kind.to_le_bytes());
        at.put(&[0; 2]);
        at.put(&self.rows.to_le_bytes());
        at.put(&self.first_offset.0.to_le_bytes());
        at.put(&self.window.to_le_bytes());
        at.put(&self.durable.to_le_bytes());
        at.put(&self.sequence.to_le_bytes());
        at.put(&self.timestamp_us.to_le_bytes());
        at.put(&self.part.to_le_bytes());
        at.put(&self.parts.to_le_bytes());
        at.put(&self.records.to_le_bytes());
        let crc = crc32c::crc32c(bytes.get(8..).unwrap_or_default());
        Put {
            bytes: &mut bytes,
            at: 4,
        }
        .put(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `bytes`; `None` where there is no whole one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        let mut take = Take { bytes };
        let magic: [u8; 4] = take.array()?;
        let crc = take.u32()?;
        if magic != FRAME_MAGIC || crc32c::crc32c(take.bytes) != crc {
            return None;
        }
        let body_crc = take.u32()?;
        let len = take.u32()?;
        let kind = match take.u16()? {
            1 => FrameKind::Data,
            2 => FrameKind::Mark,
            _ => return None,
        };
        take.u16()?;
        let rows = take.u32()?;
        let first_offset = Offset(take.u64()?);
        let window = take.u64()?;
        let durable = take.u64()?;
        let sequence = take.u64()?;
        let timestamp_us = take.i64()?;
        let part = take.u32()?;
        let parts = take.u32()?;
        let records = take.u32()?;
        let whole = usize::try_from(len).ok()? >= TAG_BYTES;
        first_offset.0.checked_add(u64::from(rows))?;
        whole.then_some(Self {
            kind,
            len,
            body_crc,
            rows,
            first_offset,
            window,
            durable,
            sequence,
            timestamp_us,
            part,
            parts,
            records,
        })
    }

    /// The offset after the frame.
    pub(super) fn end(&self) -> Offset {
        Offset(self.first_offset.0.saturating_add(u64::from(self.rows)))
    }

    /// Bytes of header and body.
    pub(super) fn total_bytes(&self) -> u64 {
        u64::from(self.len).saturating_add(FRAME_HEADER_BYTES_U64)
    }

    /// The frame's nonce: its number under the segment's key.
    pub(super) fn nonce(&self) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        Put {
            bytes: &mut nonce,
            at: 4,
        }
        .put(&self.sequence.to_le_bytes());
        nonce
    }

    /// What the body is bound to, given the encoded header.
    pub(super) fn aad(place: &Place, header: &[u8; FRAME_HEADER_BYTES]) -> [u8; 92] {
        let mut aad = [0; 92];
        let mut at = Put {
            bytes: &mut aad,
            at: 0,
        };
        at.put(&VERSION.to_le_bytes());
        at.put(&place.topic.0.to_le_bytes());
        at.put(&place.partition.0.to_le_bytes());
        at.put(&place.base.0.to_le_bytes());
        at.put(header.get(12..).unwrap_or_default());
        aad
    }
}

/// [`FRAME_HEADER_BYTES`] as a file length.
pub(super) const FRAME_HEADER_BYTES_U64: u64 = 80;
/// [`SEGMENT_HEADER_BYTES`] as a file length.
pub(super) const SEGMENT_HEADER_BYTES_U64: u64 = 128;

/// Appends a record to a frame's plaintext.
pub(super) fn put_record(buffer: &mut Vec<u8>, record: &Record) {
    let len = u32::try_from(record.payload.len()).unwrap_or(u32::MAX);
    buffer.reserve(RECORD_HEADER_BYTES.saturating_add(record.payload.len()));
    buffer.extend_from_slice(&record.rows.to_le_bytes());
    buffer.extend_from_slice(&record.flags.to_le_bytes());
    buffer.extend_from_slice(&[0; 2]);
    buffer.extend_from_slice(&len.to_le_bytes());
    for piece in record.payload.pieces() {
        buffer.extend_from_slice(piece);
    }
}

/// Rows, flags and payload length of the record at the start of `bytes`.
pub(super) fn record_header(bytes: &[u8]) -> Option<(u32, u16, usize)> {
    let mut take = Take { bytes };
    let rows = take.u32()?;
    let flags = take.u16()?;
    take.u16()?;
    let len = usize::try_from(take.u32()?).ok()?;
    Some((rows, flags, len))
}

/// Writes fields one after another. The arrays it serves are as long as their fields.
struct Put<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Put<'_> {
    fn put(&mut self, field: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.at).zip(field) {
            *to = *from;
        }
        self.at = self.at.saturating_add(field.len());
    }
}

/// Reads fields one after another.
struct Take<'a> {
    bytes: &'a [u8],
}

impl Take<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*field)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }
}

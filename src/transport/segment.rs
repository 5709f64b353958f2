//! One segment file: what readers share, and the side that is written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::format::{
    FRAME_HEADER_BYTES, FrameHeader, FrameKind, SEGMENT_HEADER_BYTES, SegmentHeader, put_record,
};
use super::spec::Record;
use crate::base::disk::{Disk, DiskFile};
use crate::base::rng::Rng;
use crate::base::{Error, Offset, Result};
use crate::crypto::{AreaKey, Cipher};

/// Bytes between two entries of a segment's index.
const INDEX_STEP_BYTES: u64 = 256 << 10;

/// A segment as readers see it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) header: SegmentHeader,
    pub(super) cipher: Cipher,
    /// Bytes that readers may read: whole committed frames.
    committed: AtomicU64,
    /// Some frames' first offsets and places, rising.
    index: Mutex<Vec<(Offset, u64)>>,
}

impl Segment {
    pub(super) fn new(
        path: PathBuf,
        header: SegmentHeader,
        cipher: Cipher,
        committed: u64,
    ) -> Self {
        Self {
            path,
            header,
            cipher,
            committed: committed.into(),
            index: Mutex::default(),
        }
    }

    pub(super) fn base(&self) -> Offset {
        self.header.place.base
    }

    pub(super) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    pub(super) fn set_committed(&self, bytes: u64) {
        self.committed.store(bytes, Ordering::Release);
    }

    /// Remembers where a frame lies, if no frame close before it is known.
    pub(super) fn note(&self, first: Offset, at: u64) {
        let mut index = self.index.lock();
        let far = index.last().is_none_or(|(offset, last)| {
            *offset < first && at.saturating_sub(*last) >= INDEX_STEP_BYTES
        });
        if far {
            index.push((first, at));
        }
    }

    /// A frame at or before the one that holds `offset`.
    pub(super) fn seek(&self, offset: Offset) -> Option<(Offset, u64)> {
        let index = self.index.lock();
        let after = index.partition_point(|(first, _)| *first <= offset);
        after.checked_sub(1).and_then(|at| index.get(at)).copied()
    }
}

/// The file name of a segment.
pub(super) fn file_name(base: Offset) -> String {
    format!("{:020}.seg", base.0)
}

/// The base offset in a segment's file name.
pub(super) fn base_of(path: &Path) -> Option<Offset> {
    let digits = path.file_name()?.to_str()?.strip_suffix(".seg")?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain {
        digits.parse().ok().map(Offset)
    } else {
        None
    }
}

/// A segment being written. A segment that was closed, or found at start, never comes back here:
/// so its key never meets a nonce twice.
pub(super) struct ActiveSegment {
    pub(super) segment: Arc<Segment>,
    file: Box<dyn DiskFile>,
    /// Frames sealed under the segment's key, those cut away again included.
    sequence: u64,
    /// Bytes known to be on disk.
    synced: u64,
}

/// What the frames of one window share.
#[derive(Clone, Copy)]
pub(super) struct WindowMark {
    pub(super) window: u64,
    pub(super) durable: u64,
    pub(super) timestamp_us: i64,
    pub(super) parts: u32,
}

impl ActiveSegment {
    /// Creates the file and writes its header; on failure no file is left.
    pub(super) fn create(
        disk: &dyn Disk,
        folder: &Path,
        header: SegmentHeader,
        area: &AreaKey,
        rng: &dyn Rng,
    ) -> Result<Self> {
        let path = folder.join(file_name(header.place.base));
        let (key, wrapped) = area.create_child(&header.key_aad(), rng)?;
        let create = |error| Error::io(format!("create segment {}", path.display()), &error);
        let mut file = disk.open_append_new(&path).map_err(create)?;
        if let Err(error) = file.write_all(&header.encode(&wrapped)) {
            drop(file);
            disk.remove(&path).map_err(create)?;
            return Err(create(error));
        }
        let segment = Arc::new(Segment::new(path, header, key.cipher(), 0));
        Ok(Self {
            segment,
            file,
            sequence: 0,
            synced: 0,
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.file.len()
    }

    pub(super) fn synced(&self) -> u64 {
        self.synced
    }

    /// Appends a data frame built in `buffer`, which is only reused memory.
    pub(super) fn write_data(
        &mut self,
        buffer: &mut Vec<u8>,
        mark: &WindowMark,
        part: u32,
        first_offset: Offset,
        records: &[&Record],
    ) -> Result<()> {
        buffer.clear();
        buffer.resize(FRAME_HEADER_BYTES, 0);
        let mut rows = 0_u32;
        for record in records {
            put_record(buffer, record);
            rows = rows
                .checked_add(record.rows)
                .ok_or_else(|| Error::internal("a frame of more than 2^32 rows was planned"))?;
        }
        let header = FrameHeader {
            kind: FrameKind::Data,
            len: 0,
            body_crc: 0,
            rows,
            first_offset,
            window: mark.window,
            durable: mark.durable,
            sequence: 0,
            timestamp_us: mark.timestamp_us,
            part,
            parts: mark.parts,
            records: u32::try_from(records.len()).unwrap_or(u32::MAX),
        };
        self.write_frame(buffer, header)
    }

    /// Appends a mark.
    pub(super) fn write_mark(
        &mut self,
        buffer: &mut Vec<u8>,
        mark: &WindowMark,
        next: Offset,
    ) -> Result<()> {
        buffer.clear();
        buffer.resize(FRAME_HEADER_BYTES, 0);
        let header = FrameHeader {
            kind: FrameKind::Mark,
            len: 0,
            body_crc: 0,
            rows: 0,
            first_offset: next,
            window: mark.window,
            durable: mark.durable,
            sequence: 0,
            timestamp_us: mark.timestamp_us,
            part: 0,
            parts: mark.parts,
            records: 0,
        };
        self.write_frame(buffer, header)
    }

    /// Seals what lies in `buffer` after the room for the header, and appends it.
    fn write_frame(&mut self, buffer: &mut Vec<u8>, mut header: FrameHeader) -> Result<()> {
        let too_large = || Error::limit("a frame would pass 4 GiB");
        let text = buffer.len().saturating_sub(FRAME_HEADER_BYTES);
        let len = text
            .checked_add(crate::crypto::TAG_BYTES)
            .ok_or_else(too_large)?;
        header.len = u32::try_from(len).map_err(|_| too_large())?;
        header.sequence = self.sequence;
        // Counted before anything can fail: a nonce is spent once it was used at all.
        self.sequence = self.sequence.saturating_add(1);
        let aad = FrameHeader::aad(&self.segment.header.place, &header.encode());
        let body = buffer.get_mut(FRAME_HEADER_BYTES..).unwrap_or_default();
        let tag = self
            .segment
            .cipher
            .seal_in_place(&header.nonce(), &aad, body)?;
        buffer.extend_from_slice(&tag);
        header.body_crc = crc32c::crc32c(buffer.get(FRAME_HEADER_BYTES..).unwrap_or_default());
        if let Some(room) = buffer.first_chunk_mut::<FRAME_HEADER_BYTES>() {
            *room = header.encode();
        }
        self.file
            .write_all(buffer)
            .map_err(|error| Error::io(format!("write segment {}", self.name()), &error))
    }

    /// Makes all of the file durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.synced = self.file.len();
        Ok(())
    }

    /// Cuts the file back to `len` bytes. Not durable before `sync`.
    pub(super) fn cut(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.synced = self.synced.min(len);
        Ok(())
    }

    /// Whether bytes were written since the last sync.
    pub(super) fn is_dirty(&self) -> bool {
        self.file.len() != self.synced
    }

    pub(super) fn name(&self) -> std::path::Display<'_> {
        self.segment.path.display()
    }
}

/// A header's length as the first place of a frame.
pub(super) const FIRST_FRAME: u64 = super::format::SEGMENT_HEADER_BYTES_U64;
const _: () = assert!(SEGMENT_HEADER_BYTES == 128 && FIRST_FRAME == 128);

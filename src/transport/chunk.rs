//! Reading a file forward in large pieces.

use std::io;

use bytes::BytesMut;

use crate::base::disk::DiskRead;

/// A file read forward in large pieces; frames are split off without a copy.
pub(super) struct ChunkReader {
    file: Box<dyn DiskRead>,
    /// Bytes to read at a time.
    size: usize,
    /// What was read and not yet taken.
    chunk: BytesMut,
    /// Where `chunk` lies in the file.
    at: u64,
}

impl ChunkReader {
    pub(super) fn new(file: Box<dyn DiskRead>, size: usize) -> Self {
        Self {
            file,
            size,
            chunk: BytesMut::new(),
            at: 0,
        }
    }

    /// `len` bytes from `at` on, reading ahead up to `limit`; fewer where the file ends.
    pub(super) fn peek(&mut self, at: u64, len: usize, limit: u64) -> io::Result<&[u8]> {
        self.load(at, len, limit)?;
        Ok(self.chunk.get(..len).unwrap_or(&self.chunk))
    }

    /// As `peek`, and the bytes are the caller's.
    pub(super) fn take(&mut self, at: u64, len: usize, limit: u64) -> io::Result<BytesMut> {
        self.load(at, len, limit)?;
        let taken = self.chunk.split_to(len.min(self.chunk.len()));
        self.at = self
            .at
            .saturating_add(u64::try_from(taken.len()).unwrap_or(u64::MAX));
        Ok(taken)
    }

    /// Makes `chunk` begin at `at` and hold `len` bytes if the file has them.
    fn load(&mut self, at: u64, len: usize, limit: u64) -> io::Result<()> {
        let skip = at
            .checked_sub(self.at)
            .and_then(|skip| usize::try_from(skip).ok());
        match skip {
            Some(skip)
                if skip
                    .checked_add(len)
                    .is_some_and(|end| end <= self.chunk.len()) =>
            {
                drop(self.chunk.split_to(skip));
                self.at = at;
                return Ok(());
            }
            _ => {}
        }
        let ahead = usize::try_from(limit.saturating_sub(at)).unwrap_or(usize::MAX);
        let size = len.max(self.size.min(ahead));
        // A fresh buffer each time: the pieces split off the old one live on in records.
        let mut chunk = BytesMut::zeroed(size);
        let count = self.file.read_at(at, &mut chunk)?;
        chunk.truncate(count);
        self.chunk = chunk;
        self.at = at;
        Ok(())
    }
}

//! Looks at the files of a source and reads what is new.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Seek, SeekFrom};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use super::position::{FilePosition, Sameness, TailPosition, WINDOW, fingerprint};
use crate::base::{Error, Kind, Result};
use crate::sources::decode::{Block, TextFormat, TextSplitter};
use crate::sources::files::{FilePlace, FileRef, decompress, find_local};
use crate::sources::options::{Compression, SourceOptions};
use crate::sources::quarantine::{BadRecord, MemoryQuarantine};
use crate::sources::text_files::text_format;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// An open record may make a chunk grow up to this: one record more than the splitter's own limit.
const CHUNK_BYTES_MAX: usize = 18 << 20;
/// Bytes that one poll gives at most, so that an epoch stays of bounded size.
const POLL_BYTES: u64 = 32 << 20;

/// New rows of a followed source.
#[derive(Debug)]
pub struct TailBatch {
    /// The good rows; may be empty when all records were bad.
    pub batch: RecordBatch,
    /// The bad ones. They belong into the quarantine in the same atomic group.
    pub bad: Vec<BadRecord>,
    /// The position to store with them.
    pub position_after: TailPosition,
}

/// A file that cannot be followed now. The others are.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The file.
    pub file: String,
    /// What is wrong. It is tried again at the next poll.
    pub error: Error,
}

/// Follows the files of one source.
///
/// 1. Rows come in the order of the files' names, and of the lines within a file.
/// 2. `poll` changes nothing outside: called again with the same position over the same files, it gives the
///    same rows.
/// 3. A line counts when its line end is there. A quoted CSV field that is open waits for its end, up to 16 MiB.
#[derive(Debug)]
pub struct Tail {
    options: SourceOptions,
    format: TextFormat,
    schema: SchemaRef,
    troubles: Vec<Trouble>,
    more: bool,
    /// Decoders of files whose header was read, by name, each with the head it was read from.
    open: BTreeMap<String, (Vec<u8>, TextSplitter)>,
}

/// What one poll has read so far.
struct Pass {
    next: TailPosition,
    /// Bytes that may still be read.
    budget: u64,
    batches: Vec<TailBatch>,
}

impl Pass {
    fn give(
        &mut self,
        file: &FileRef,
        at: &FilePosition,
        batch: RecordBatch,
        bad: Vec<BadRecord>,
        bytes: u64,
    ) {
        self.budget = self.budget.saturating_sub(bytes);
        self.next.files.insert(file.name.clone(), at.clone());
        self.batches.push(TailBatch {
            batch,
            bad,
            position_after: self.next.clone(),
        });
    }
}

/// One look at one file.
struct Look {
    size: u64,
    inode: (u64, u64),
    head: Vec<u8>,
}

impl Tail {
    /// Follows the files that `options` name, with rows of `schema`.
    ///
    /// # Errors
    /// When the format is not a text format.
    pub fn new(options: &SourceOptions, schema: &SchemaRef) -> Result<Self> {
        Ok(Self {
            format: text_format(options)?,
            options: options.clone(),
            schema: SchemaRef::clone(schema),
            troubles: Vec::new(),
            more: false,
            open: BTreeMap::new(),
        })
    }

    /// Reads what is new since `position`, at most about 32 MiB of it.
    ///
    /// # Errors
    /// When the folder cannot be looked into, or a batch cannot be built. What is wrong with one file is in
    /// [`Self::troubles`] and does not stop the others.
    pub fn poll(&mut self, position: &TailPosition) -> Result<Vec<TailBatch>> {
        let files = find_local(&self.options)?;
        Ok(self.read_listed(files, position))
    }

    /// Reads what is new in `files`. One that went since it was listed counts as one that is not there.
    pub(super) fn read_listed(
        &mut self,
        mut files: Vec<FileRef>,
        position: &TailPosition,
    ) -> Vec<TailBatch> {
        self.troubles.clear();
        self.more = false;
        let mut pass = Pass {
            next: position.clone(),
            budget: POLL_BYTES,
            batches: Vec::new(),
        };
        files.retain(|file| {
            if pass.budget == 0 {
                self.more = true;
                return true;
            }
            let there = self.one(file, position, &mut pass);
            there.unwrap_or_else(|error| {
                self.troubles.push(Trouble {
                    file: file.name.clone(),
                    error,
                });
                true
            })
        });
        self.report_vanished(&files, position, &pass.next);
        pass.batches
    }

    fn report_vanished(&mut self, files: &[FileRef], position: &TailPosition, next: &TailPosition) {
        for (name, known) in &position.files {
            // A file that was renamed within the pattern is not lost, only elsewhere.
            // An inode alone proves nothing: it is used again.
            let renamed = || {
                next.files.iter().any(|(other, at)| {
                    other != name
                        && at.inode == known.inode
                        && at.offset >= known.offset
                        && at.head.starts_with(&known.head)
                })
            };
            if known.done || files.iter().any(|file| &file.name == name) || renamed() {
                continue;
            }
            let error = Error::new(Kind::Missing, "58P01", format!("{name} has vanished"))
                .with_hint("its rows stay; it is followed again when it comes back");
            self.troubles.push(Trouble {
                file: name.clone(),
                error,
            });
        }
    }

    /// What was wrong at the last poll, file by file.
    pub fn troubles(&self) -> &[Trouble] {
        &self.troubles
    }

    /// Whether the last poll left something unread because it had read enough.
    pub fn more(&self) -> bool {
        self.more
    }

    /// Reads one file on; whether it is there.
    fn one(&mut self, file: &FileRef, position: &TailPosition, pass: &mut Pass) -> Result<bool> {
        let FilePlace::Local(path) = &file.place else {
            return Err(Error::internal("a remote file cannot be followed"));
        };
        let fail = |error: std::io::Error| Error::io(format!("read {}", file.name), &error);
        let mut input = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(fail)?,
        };
        let look = look(&mut input).map_err(fail)?;
        let compressed = file.compression != Compression::None;
        let at = start(file, &mut input, &look, position, compressed)?;
        if at.done {
            return Ok(true);
        }
        if self
            .open
            .get(&file.name)
            .is_some_and(|(head, _)| !look.head.starts_with(head))
        {
            self.open.remove(&file.name);
        }
        if compressed {
            self.read_compressed(file, input, at, &look, pass)?;
        } else {
            self.read_plain(file, &mut input, at, &look, pass)?;
        }
        Ok(true)
    }

    fn read_plain(
        &mut self,
        file: &FileRef,
        input: &mut File,
        mut at: FilePosition,
        look: &Look,
        pass: &mut Pass,
    ) -> Result<()> {
        let fail = |error: std::io::Error| Error::io(format!("read {}", file.name), &error);
        if at.offset == 0 || !self.open.contains_key(&file.name) {
            let Some((start, line)) = self.header(file, input, &look.head)? else {
                return Ok(());
            };
            if at.offset < start {
                (at.offset, at.line) = (start, line);
            }
        }
        let mut want = CHUNK_BYTES;
        loop {
            let chunk = read_at(input, at.offset, want).map_err(fail)?;
            if chunk.is_empty() {
                return Ok(());
            }
            let full = chunk.len() == want;
            let block = Block {
                bytes: Bytes::from(chunk),
                line: at.line,
                last: false,
            };
            let Some((batch, bad, consumed)) = self.decode(file, &block, &mut at)? else {
                if !full {
                    return Ok(());
                }
                if want >= CHUNK_BYTES_MAX {
                    return Err(Error::limit(format!(
                        "{}:{}: a line is too long",
                        file.name, at.line
                    )));
                }
                want = (want * 2).min(CHUNK_BYTES_MAX);
                continue;
            };
            want = CHUNK_BYTES;
            (at.inode, at.head) = (look.inode, look.head.clone());
            at.tail = fingerprint(&before(input, at.offset).map_err(fail)?);
            pass.give(file, &at, batch, bad, consumed);
            if pass.budget == 0 {
                self.more = true;
                return Ok(());
            }
        }
    }

    /// Decodes the next records of a block and moves `at` behind them; none when none is whole.
    fn decode(
        &self,
        file: &FileRef,
        block: &Block,
        at: &mut FilePosition,
    ) -> Result<Option<(RecordBatch, Vec<BadRecord>, u64)>> {
        let Some((_, splitter)) = self.open.get(&file.name) else {
            return Err(Error::internal("a file is read before its header"));
        };
        let (cells, consumed, line) = splitter.split(block, 0)?;
        if consumed == 0 {
            return Ok(None);
        }
        let quarantine = MemoryQuarantine::new();
        let batch = splitter.read(&cells, &quarantine)?;
        let consumed = u64::try_from(consumed).unwrap_or(u64::MAX);
        at.offset = at.offset.saturating_add(consumed);
        at.line = line;
        Ok(Some((batch, quarantine.take(), consumed)))
    }

    /// Reads the header of a file, once: the position and line after it, none while it is not whole.
    fn header(
        &mut self,
        file: &FileRef,
        input: &mut File,
        head: &[u8],
    ) -> Result<Option<(u64, u64)>> {
        let fail = |error: std::io::Error| Error::io(format!("read {}", file.name), &error);
        let mut want = 64 << 10;
        loop {
            let bytes = Bytes::from(read_at(input, 0, want).map_err(fail)?);
            if bytes.is_empty() {
                return Ok(None);
            }
            let full = bytes.len() == want;
            if let Some(found) = self.open_splitter(file, &bytes, false, head)? {
                return Ok(Some(found));
            }
            if !full {
                return Ok(None);
            }
            want *= 4;
        }
    }

    fn open_splitter(
        &mut self,
        file: &FileRef,
        bytes: &Bytes,
        last: bool,
        head: &[u8],
    ) -> Result<Option<(u64, u64)>> {
        let mut splitter = TextSplitter::new(
            self.format.clone(),
            &self.options.name,
            &file.name,
            &self.schema,
            None,
        );
        let Some((start, line)) = splitter.open(bytes, last)? else {
            return Ok(None);
        };
        self.open
            .insert(file.name.clone(), (head.to_vec(), splitter));
        Ok(Some((u64::try_from(start).unwrap_or(u64::MAX), line)))
    }

    /// Reads a compressed file from where its rows end. While it is being written its end is missing: that is
    /// a trouble until it is whole, and what is there already counts.
    fn read_compressed(
        &mut self,
        file: &FileRef,
        mut input: File,
        mut at: FilePosition,
        look: &Look,
        pass: &mut Pass,
    ) -> Result<()> {
        let fail = |error: std::io::Error| {
            if error.kind() == ErrorKind::UnexpectedEof {
                return Error::unavailable(format!("{} is not whole yet", file.name)).with_hint(
                    "write compressed files elsewhere and move them in when they are done",
                );
            }
            Error::io(format!("read {}", file.name), &error)
        };
        input.rewind().map_err(fail)?;
        let mut content = decompress(Box::new(input), file.compression).map_err(fail)?;
        let mut pending: Vec<u8> = Vec::new();
        // Decompressed bytes before `pending`.
        let mut base = 0_u64;
        let mut opened = false;
        loop {
            let before = pending.len();
            let limit = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
            content
                .by_ref()
                .take(limit)
                .read_to_end(&mut pending)
                .map_err(fail)?;
            let last = pending.len() - before < CHUNK_BYTES;
            let block = Bytes::from(std::mem::take(&mut pending));
            if !opened {
                let Some((start, line)) = self.open_splitter(file, &block, last, &look.head)?
                else {
                    pending = block.to_vec();
                    continue;
                };
                opened = true;
                if at.offset < start {
                    (at.offset, at.line) = (start, line);
                }
            }
            let mut skip = usize::try_from(at.offset.saturating_sub(base)).unwrap_or(usize::MAX);
            while skip < block.len() {
                let rest = Block {
                    bytes: block.slice(skip..),
                    line: at.line,
                    last,
                };
                let Some((batch, bad, consumed)) = self.decode(file, &rest, &mut at)? else {
                    break;
                };
                skip += usize::try_from(consumed).unwrap_or(usize::MAX);
                at.done = last && skip >= block.len();
                (at.inode, at.head) = (look.inode, look.head.clone());
                pass.give(file, &at, batch, bad, consumed);
                if pass.budget == 0 && !at.done {
                    self.more = true;
                    return Ok(());
                }
            }
            if last {
                return Ok(());
            }
            let keep = skip.min(block.len());
            base += u64::try_from(keep).unwrap_or(u64::MAX);
            pending = block.slice(keep..).to_vec();
        }
    }
}

/// Where to go on in a file.
fn start(
    file: &FileRef,
    input: &mut File,
    look: &Look,
    position: &TailPosition,
    compressed: bool,
) -> Result<FilePosition> {
    let fail = |error: std::io::Error| Error::io(format!("read {}", file.name), &error);
    let fresh = FilePosition {
        line: 1,
        ..FilePosition::default()
    };
    let mut compare = |known: &FilePosition| -> Result<Sameness> {
        let bytes = if compressed {
            Vec::new()
        } else {
            before(input, known.offset).map_err(fail)?
        };
        Ok(known.compare(look.size, &look.head, &bytes, compressed))
    };
    if let Some(known) = position.files.get(&file.name) {
        match compare(known)? {
            Sameness::Same => return Ok(known.clone()),
            Sameness::Shrunk => {
                let text = format!(
                    "{} has shrunk to {} bytes; {} were read",
                    file.name, look.size, known.offset
                );
                return Err(Error::unavailable(text)
                    .with_hint("it is read from its start once its content is another one"));
            }
            Sameness::Other => {}
        }
    }
    // A file under a new name may be a known one that was renamed.
    for known in position.files.values() {
        if known.inode == look.inode && known.offset > 0 && compare(known)? == Sameness::Same {
            return Ok(known.clone());
        }
    }
    Ok(fresh)
}

fn look(input: &mut File) -> std::io::Result<Look> {
    let metadata = input.metadata()?;
    let head = read_at(input, 0, WINDOW)?;
    Ok(Look {
        size: metadata.len(),
        inode: inode(&metadata),
        head,
    })
}

/// The at most 256 bytes before `offset`, as far as the file has them.
fn before(input: &mut File, offset: u64) -> std::io::Result<Vec<u8>> {
    let window = u64::try_from(WINDOW).unwrap_or(u64::MAX).min(offset);
    read_at(input, offset - window, usize::try_from(window).unwrap_or(0))
}

fn read_at(input: &mut File, offset: u64, count: usize) -> std::io::Result<Vec<u8>> {
    input.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    input
        .take(u64::try_from(count).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// Where there are no inodes, a renamed file is a new one.
#[cfg(not(unix))]
fn inode(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

//! A disk in memory that keeps apart what was synced and what was not, and can lose its power.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::base::disk::{Disk, DiskFile, DiskRead};

/// Bytes that a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemDisk(Arc<Mutex<State>>);

type Inode = Arc<Mutex<Content>>;

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// As of the last sync.
    synced: Vec<u8>,
    mode: u32,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Inode>,
    /// Names as of the last sync of their folders.
    durable: BTreeMap<PathBuf, Inode>,
    folders: BTreeSet<PathBuf>,
    /// Changes so far: creations, writes, syncs, renames, removals.
    changes: u64,
    /// Before this change a picture is taken.
    picture_at: Option<(u64, Outage)>,
    picture: Option<(MemDisk, u64)>,
    /// What a test wants to find on the picture.
    note: u64,
}

/// How a disk goes.
#[derive(Clone, Copy, Debug)]
pub enum Outage {
    /// The process ends: all that was written stays, and what was not synced still is not.
    Kill,
    /// The power goes: of what was not synced some sectors stay, chosen by the seed.
    Power {
        /// Any number.
        seed: u64,
    },
}

impl MemDisk {
    /// Takes a picture of the disk as an outage would leave it just before the `k`-th change from
    /// the start, counted from 1.
    pub fn picture_at(&self, k: u64, outage: Outage) {
        self.0.lock().picture_at = Some((k, outage));
    }

    /// The picture and the note of that time, if it was taken.
    pub fn picture(&self) -> Option<(Self, u64)> {
        self.0.lock().picture.take()
    }

    /// Sets the note.
    pub fn note(&self, note: u64) {
        self.0.lock().note = note;
    }

    /// Changes so far.
    pub fn changes(&self) -> u64 {
        self.0.lock().changes
    }

    /// The disk as an outage would leave it now.
    pub fn after(&self, outage: Outage) -> Self {
        self.0.lock().after(outage)
    }

    /// All files and their bytes.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.0.lock();
        state
            .files
            .iter()
            .map(|(path, inode)| (path.clone(), inode.lock().bytes.clone()))
            .collect()
    }

    /// Replaces or makes a file, as a vandal would.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let content = Content {
            synced: bytes.clone(),
            bytes,
            mode: 0o600,
        };
        let inode = Arc::new(Mutex::new(content));
        let mut state = self.0.lock();
        state.durable.insert(path.to_owned(), Arc::clone(&inode));
        state.files.insert(path.to_owned(), inode);
    }

    fn change(&self) -> parking_lot::MutexGuard<'_, State> {
        let mut state = self.0.lock();
        state.changes += 1;
        if let Some((k, outage)) = state.picture_at
            && state.changes == k
        {
            state.picture = Some((state.after(outage), state.note));
        }
        state
    }

    fn inode(&self, path: &Path) -> io::Result<Inode> {
        self.0
            .lock()
            .files
            .get(path)
            .map(Arc::clone)
            .ok_or_else(missing)
    }
}

impl State {
    fn after(&self, outage: Outage) -> MemDisk {
        let mut dice = Dice(match outage {
            Outage::Kill => 0,
            Outage::Power { seed } => seed,
        });
        let names = match outage {
            Outage::Kill => &self.files,
            // A name that was not synced may be there or not: here it is not.
            Outage::Power { .. } => &self.durable,
        };
        let mut after = Self {
            folders: self.folders.clone(),
            ..Self::default()
        };
        for (path, inode) in names {
            let content = inode.lock().clone();
            let content = match outage {
                Outage::Kill => content,
                Outage::Power { .. } => {
                    let bytes = torn(&content, &mut dice);
                    Content {
                        synced: bytes.clone(),
                        bytes,
                        mode: content.mode,
                    }
                }
            };
            let is_durable = self
                .durable
                .get(path)
                .is_some_and(|durable| Arc::ptr_eq(durable, inode));
            let copy = Arc::new(Mutex::new(content));
            if is_durable {
                after.durable.insert(path.clone(), Arc::clone(&copy));
            }
            after.files.insert(path.clone(), copy);
        }
        if matches!(outage, Outage::Kill) {
            // A name that was removed or replaced and not synced comes back with the old file.
            for (path, inode) in &self.durable {
                let old = || Arc::new(Mutex::new(inode.lock().clone()));
                after.durable.entry(path.clone()).or_insert_with(old);
            }
        }
        MemDisk(Arc::new(Mutex::new(after)))
    }
}

/// What is left of a file: its length old or new or between, each sector old or new.
fn torn(content: &Content, dice: &mut Dice) -> Vec<u8> {
    let (new, old) = (&content.bytes, &content.synced);
    let len = match dice.roll(4) {
        0 => old.len(),
        1 | 2 => new.len(),
        _ => {
            let (low, high) = (old.len().min(new.len()), old.len().max(new.len()));
            low + usize::try_from(dice.roll((high - low + 1) as u64)).unwrap_or(0)
        }
    };
    let mut bytes = vec![0; len];
    for (at, sector) in bytes.chunks_mut(SECTOR_BYTES).enumerate() {
        let start = at * SECTOR_BYTES;
        let side = if dice.roll(3) == 0 { old } else { new };
        for (offset, byte) in sector.iter_mut().enumerate() {
            let place = start + offset;
            // A byte that was synced and is in both is never lost.
            let kept = old
                .get(place)
                .filter(|old| new.get(place).is_none_or(|new| new == *old));
            *byte = *kept.or_else(|| side.get(place)).unwrap_or(&0);
        }
    }
    bytes
}

/// A small generator (SplitMix64), so that a seed tells the whole story.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Disk for MemDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        for folder in path.ancestors() {
            state.folders.insert(folder.to_owned());
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.0.lock();
        if state.files.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        if !state.folders.contains(path) {
            return Err(missing());
        }
        let names = state.files.keys().chain(&state.folders);
        let inner = names.filter(|name| name.parent() == Some(path)).cloned();
        Ok(inner.collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn try_exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.0.lock();
        Ok(state.files.contains_key(path) || state.folders.contains(path))
    }

    fn open_append_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.change();
        if state.files.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        let inode = Inode::default();
        inode.lock().mode = 0o600;
        state.files.insert(path.to_owned(), Arc::clone(&inode));
        Ok(Box::new(MemFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        Ok(Box::new(MemRead(self.inode(path)?)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.inode(path)?.lock().bytes.clone())
    }

    fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        drop(self.change());
        let content = Content {
            bytes: bytes.to_vec(),
            synced: bytes.to_vec(),
            mode,
        };
        let inode = Arc::new(Mutex::new(content));
        self.0.lock().files.insert(path.to_owned(), inode);
        self.sync_dir(path.parent().unwrap_or(Path::new("")))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        drop(self.change());
        let inode = self.inode(path)?;
        let mut content = inode.lock();
        content
            .bytes
            .resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
        content.synced = content.bytes.clone();
        Ok(())
    }

    fn wipe(&self, path: &Path) -> io::Result<()> {
        drop(self.change());
        let inode = self.inode(path)?;
        let mut content = inode.lock();
        content.bytes.fill(0);
        content.synced = content.bytes.clone();
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.change();
        // Of a folder all names below it move. They are durable at once: the tests do not need more.
        let moved = |path: &PathBuf| {
            path.strip_prefix(from).ok().map(|rest| {
                if rest.as_os_str().is_empty() {
                    to.to_owned()
                } else {
                    to.join(rest)
                }
            })
        };
        let state = &mut *state;
        for names in [&mut state.files, &mut state.durable] {
            let old = std::mem::take(names);
            *names = old
                .into_iter()
                .map(|(path, inode)| (moved(&path).unwrap_or(path), inode))
                .collect();
        }
        let folders = std::mem::take(&mut state.folders);
        state.folders = folders
            .into_iter()
            .map(|path| moved(&path).unwrap_or(path))
            .collect();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change()
            .files
            .remove(path)
            .map(drop)
            .ok_or_else(missing)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change();
        state.files.retain(|name, _| !name.starts_with(path));
        state.durable.retain(|name, _| !name.starts_with(path));
        state.folders.retain(|name| !name.starts_with(path));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change();
        state.durable.retain(|name, _| name.parent() != Some(path));
        let inner = state
            .files
            .iter()
            .filter(|(name, _)| name.parent() == Some(path));
        let inner = inner
            .map(|(name, inode)| (name.clone(), Arc::clone(inode)))
            .collect::<Vec<_>>();
        state.durable.extend(inner);
        Ok(())
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(self.inode(path)?.lock().bytes.len() as u64)
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        Ok(self.inode(path)?.lock().mode)
    }
}

struct MemFile {
    disk: MemDisk,
    inode: Inode,
}

impl DiskFile for MemFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let _state = self.disk.change();
        self.inode.lock().bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let _state = self.disk.change();
        let mut content = self.inode.lock();
        content.synced = content.bytes.clone();
        Ok(())
    }

    fn len(&self) -> u64 {
        self.inode.lock().bytes.len() as u64
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let _state = self.disk.change();
        self.inode
            .lock()
            .bytes
            .resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
        Ok(())
    }
}

struct MemRead(Inode);

impl DiskRead for MemRead {
    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let content = self.0.lock();
        let start = usize::try_from(at)
            .unwrap_or(usize::MAX)
            .min(content.bytes.len());
        let count = bytes.len().min(content.bytes.len() - start);
        let from = content.bytes.get(start..start + count).unwrap_or_default();
        bytes
            .get_mut(..count)
            .unwrap_or_default()
            .copy_from_slice(from);
        Ok(count)
    }
}

//! Damage, exchange and wrong keys: an error or the same rows, never others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::basic::{all, open, record, spec};
use crate::base::{PartitionId, Result, TopicId};
use crate::testing::MemDisk;
use crate::testing::mem_disk::Outage;
use crate::transport::format::FrameHeader;
use crate::transport::{Durability, Log, LogOptions, ReadRecord};

type Rows = Vec<(u64, u32, Vec<ReadRecord>)>;

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 400,
        ..LogOptions::default()
    }
}

fn start(disk: &MemDisk) -> Result<Arc<Log>> {
    open(Path::new("/d"), Arc::new(disk.clone()), options())
}

/// Two topics of two partitions with a few segments each.
fn sample(close: bool) -> (MemDisk, Rows) {
    let disk = MemDisk::default();
    let log = start(&disk).unwrap();
    for id in [1, 2] {
        let topic = log.create_topic(spec(id, 2, Durability::Disk)).unwrap();
        for at in 0..3 {
            let parts = [0, 1].map(|part| {
                (
                    PartitionId(part),
                    record(1, format!("canary {id} {at} {part}")),
                )
            });
            topic.append_wait(parts.to_vec()).unwrap();
        }
    }
    let picture = disk.after(Outage::Kill);
    let rows = read(&log).unwrap();
    log.close();
    (if close { disk } else { picture }, rows)
}

fn read(log: &Log) -> Result<Rows> {
    let mut rows = Vec::new();
    for id in log.topics() {
        let topic = log.topic(id)?;
        for partition in 0..topic.partitions() {
            rows.push((id.0, partition, all(&topic, partition)?));
        }
    }
    Ok(rows)
}

/// Opens and reads; asserts an error that names a file, or the same rows.
fn check(disk: &MemDisk, rows: &Rows, what: &str) -> bool {
    match start(disk).and_then(|log| read(&log)) {
        Ok(read) => {
            assert_eq!(&read, rows, "{what}");
            false
        }
        Err(error) => {
            assert!(error.message().contains("/d"), "{what}: {error}");
            true
        }
    }
}

fn segments(disk: &MemDisk) -> Vec<PathBuf> {
    let files = disk.files().into_keys();
    files
        .filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .collect()
}

#[test]
fn any_flipped_bit_gives_an_error_or_the_same_rows() {
    for close in [true, false] {
        let (disk, rows) = sample(close);
        let (mut told, mut same) = (0, 0);
        for (path, bytes) in disk.files() {
            // One bit of each byte in turn, so that every bit place is met often.
            for at in 0..bytes.len() {
                let damaged = disk.after(Outage::Kill);
                let mut changed = bytes.clone();
                changed[at] ^= 1 << (at % 8);
                damaged.put(&path, changed);
                if path.ends_with("master.key") {
                    // The case of a hex digit means nothing.
                    drop(start(&damaged).and_then(|log| read(&log)));
                    continue;
                }
                let is_told = check(&damaged, &rows, &format!("byte {at} of {}", path.display()));
                (told, same) = if is_told {
                    (told + 1, same)
                } else {
                    (told, same + 1)
                };
            }
        }
        assert!(
            told > 5 * same,
            "{told} damages told, {same} without effect (in marks)"
        );
    }
}

#[test]
fn any_cut_of_a_closed_log_is_told() {
    let (disk, rows) = sample(true);
    for (path, bytes) in disk.files() {
        for len in 0..bytes.len() {
            let damaged = disk.after(Outage::Kill);
            damaged.put(&path, bytes[..len].to_vec());
            let is_key = path.ends_with("master.key");
            // Without its line end the key file still holds the key.
            let told =
                check(&damaged, &rows, &format!("{} cut to {len}", path.display())) || is_key;
            assert!(told, "{} cut to {len}", path.display());
        }
    }
}

#[test]
fn zeroed_and_doubled_pages_are_told_or_harmless() {
    let (disk, rows) = sample(true);
    for path in segments(&disk) {
        let bytes = disk.files()[&path].clone();
        for start in (0..bytes.len()).step_by(64) {
            let end = (start + 64).min(bytes.len());
            let zeroed = disk.after(Outage::Kill);
            let mut changed = bytes.clone();
            changed[start..end].fill(0);
            zeroed.put(&path, changed);
            check(&zeroed, &rows, "zeroed");
            let doubled = disk.after(Outage::Kill);
            let again = [&bytes[..end], &bytes[start..end], &bytes[end..]].concat();
            doubled.put(&path, again);
            check(&doubled, &rows, "doubled");
        }
    }
}

#[test]
fn exchanged_moved_spliced_and_missing_segments_are_refused() {
    for close in [true, false] {
        let (disk, rows) = sample(close);
        let paths = segments(&disk);
        let files = disk.files();
        for one in &paths {
            let missing = disk.after(Outage::Kill);
            crate::base::disk::Disk::remove(&missing, one).unwrap();
            assert!(
                check(&missing, &rows, "missing"),
                "{} missing",
                one.display()
            );
            for two in paths.iter().filter(|two| *two != one) {
                let exchanged = disk.after(Outage::Kill);
                exchanged.put(one, files[two].clone());
                assert!(
                    check(&exchanged, &rows, "copied"),
                    "{} over {}",
                    two.display(),
                    one.display()
                );
                exchanged.put(two, files[one].clone());
                assert!(check(&exchanged, &rows, "exchanged"));
                let spliced = disk.after(Outage::Kill);
                let halves = [&files[one][..128], &files[two][128..]].concat();
                spliced.put(one, halves);
                assert!(
                    check(&spliced, &rows, "spliced"),
                    "{} on {}",
                    two.display(),
                    one.display()
                );
            }
        }
    }
}

#[test]
fn older_version_of_a_segment_is_refused() {
    let disk = MemDisk::default();
    let log = start(&disk).unwrap();
    let topic = log.create_topic(spec(1, 1, Durability::Disk)).unwrap();
    topic
        .append_wait(vec![(PartitionId(0), record(1, "one"))])
        .unwrap();
    let older = disk.files();
    topic
        .append_wait(vec![(PartitionId(0), record(1, "two"))])
        .unwrap();
    let rows = read(&log).unwrap();
    log.close();
    let path = segments(&disk).remove(0);
    disk.put(&path, older[&path].clone());
    assert!(check(&disk, &rows, "older"));
}

#[test]
fn damage_in_a_closed_log_names_file_and_byte() {
    let (disk, _) = sample(true);
    let path = segments(&disk).remove(0);
    let mut bytes = disk.files()[&path].clone();
    bytes[128 + 85] ^= 1;
    disk.put(&path, bytes);
    let log = start(&disk).unwrap();
    let error = all(&log.topic(TopicId(1)).unwrap(), 0).unwrap_err();
    assert_eq!(error.code(), "XX001");
    assert!(
        error.message().contains(&path.display().to_string()),
        "{error}"
    );
    assert!(error.message().contains("byte 128"), "{error}");
    assert!(all(&log.topic(TopicId(2)).unwrap(), 0).is_ok());
}

#[test]
fn no_payload_is_found_in_any_file() {
    for close in [true, false] {
        let (disk, _) = sample(close);
        for (path, bytes) in disk.files() {
            assert!(
                !bytes.windows(6).any(|six| six == b"canary"),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn wrong_master_key_opens_nothing_and_writes_nothing() {
    let (disk, _) = sample(true);
    let other = "ab".repeat(32);
    disk.put(Path::new("/d/master.key"), other.into_bytes());
    let before = disk.files();
    let error = start(&disk).unwrap_err();
    assert_eq!(error.code(), "28000");
    assert_eq!(disk.files(), before);
}

#[test]
fn no_nonce_comes_twice_under_a_key_not_even_in_two_copies_of_a_folder() {
    let disk = MemDisk::default();
    let log = start(&disk).unwrap();
    log.create_topic(spec(1, 1, Durability::Disk)).unwrap();
    drop(log);
    let append = |disk: &MemDisk, rounds: u8| {
        let log = start(disk).unwrap();
        let topic = log.topic(TopicId(1)).unwrap();
        for at in 0..rounds {
            topic
                .append_wait(vec![(PartitionId(0), record(1, vec![at; 50]))])
                .unwrap();
        }
        topic.core().folder.clone()
    };
    append(&disk, 3);
    let copy = disk.after(Outage::Kill);
    append(&disk, 5);
    append(&copy, 5);
    append(&copy, 2);
    let mut seen = std::collections::BTreeMap::new();
    let mut frames = 0;
    for disk in [&disk, &copy] {
        for path in segments(disk) {
            let bytes = disk.files()[&path].clone();
            let mut at = 128;
            while let Some(header) = FrameHeader::decode(&bytes[at..]) {
                let end = at + usize::try_from(header.total_bytes()).unwrap();
                let (key, frame) = (bytes[64..124].to_vec(), bytes[at..end].to_vec());
                // The same frame may lie in both copies; another one may not share its nonce.
                let before = seen.insert((key, header.sequence), frame.clone());
                assert!(before.is_none_or(|before| before == frame));
                frames += 1;
                at = end;
            }
            assert_eq!(at, bytes.len());
        }
    }
    assert!(frames > 20);
}

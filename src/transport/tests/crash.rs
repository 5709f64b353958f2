//! Kills and power cuts at every change of the disk, and files cut at every byte.

use std::path::Path;
use std::sync::Arc;

use super::basic::{all, open, record, spec};
use crate::base::{Offset, PartitionId, TopicId};
use crate::testing::MemDisk;
use crate::testing::mem_disk::Outage;
use crate::transport::{Durability, Log, LogOptions, Topic};

const FOLDER: &str = "/d";

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 1500,
        frame_bytes: 300,
        ..LogOptions::default()
    }
}

fn start(disk: &MemDisk) -> Arc<Log> {
    open(Path::new(FOLDER), Arc::new(disk.clone()), options()).unwrap()
}

/// The text of a group's part in a partition.
fn text(group: u64, partition: u32) -> String {
    format!(
        "group {group} partition {partition} {}",
        "#".repeat(usize::try_from(group * 37 % 400).unwrap())
    )
}

/// Partitions of a group: one, two or three of them.
fn partitions_of(group: u64) -> Vec<u32> {
    (0..3)
        .filter(|partition| {
            group.is_multiple_of(7) || !(group + u64::from(*partition)).is_multiple_of(3)
        })
        .collect()
}

/// Appends groups one after another, noting on the disk how many were acknowledged.
fn append_groups(disk: &MemDisk, topic: &Topic, groups: std::ops::Range<u64>) {
    for group in groups {
        disk.note(group);
        let parts = partitions_of(group).into_iter();
        let parts =
            parts.map(|partition| (PartitionId(partition), record(2, text(group, partition))));
        topic.append_wait(parts.collect()).unwrap();
        disk.note(group + 1);
    }
}

/// How many groups are there; each must be whole, in order and without a gap.
fn whole_groups(topic: &Topic) -> u64 {
    let mut counts = Vec::new();
    for partition in 0..3 {
        let read = all(topic, partition).unwrap();
        let mut groups = (0..).filter(|group| partitions_of(*group).contains(&partition));
        let mut next = 0;
        for found in &read {
            let group = groups.next().unwrap();
            assert_eq!(found.payload, text(group, partition));
            assert_eq!(found.first_offset, Offset(next));
            next += 2;
        }
        assert_eq!(topic.bounds(PartitionId(partition)).1, Offset(next));
        // All groups before this one that name the partition are there.
        counts.push((read.len(), groups.next().unwrap()));
    }
    let count = counts.iter().map(|(_, next)| *next).min().unwrap();
    for (partition, (len, _)) in (0..3_u32).zip(counts) {
        let due = (0..count)
            .filter(|group| partitions_of(*group).contains(&partition))
            .count();
        assert_eq!(
            len, due,
            "partition {partition} holds part of group {count}"
        );
    }
    count
}

/// Runs a workload with one restart and checks what an outage before change `k` leaves.
/// False where the workload has fewer changes.
fn outage_before(k: u64, outage: Outage, durability: Durability) -> bool {
    let disk = MemDisk::default();
    disk.picture_at(k, outage);
    let log = start(&disk);
    let topic = log.create_topic(spec(1, 3, durability)).unwrap();
    append_groups(&disk, &topic, 0..12);
    drop((log, topic));
    let log = start(&disk);
    append_groups(&disk, &log.topic(TopicId(1)).unwrap(), 12..20);
    drop(log);
    let Some((picture, acknowledged)) = disk.picture() else {
        return false;
    };
    let context = format!("change {k}, {outage:?}, {durability:?}, {acknowledged} acknowledged");
    // An outage during the recovery leads to the same end.
    let again = picture.after(Outage::Kill);
    again.picture_at(3, outage);
    drop(start(&again));
    for disk in [again.picture().map_or(again, |(disk, _)| disk), picture] {
        let log = start(&disk);
        let Ok(topic) = log.topic(TopicId(1)) else {
            assert_eq!(acknowledged, 0, "{context}");
            continue;
        };
        let count = whole_groups(&topic);
        let least = if matches!((outage, durability), (Outage::Power { .. }, Durability::Os)) {
            0
        } else {
            acknowledged
        };
        assert!(
            (least..=acknowledged + 1).contains(&count),
            "{count} groups after {context}"
        );
        // What was readable once stays, even where the power goes right after the start.
        let cut = start(&disk.after(Outage::Power { seed: k }));
        assert_eq!(
            whole_groups(&cut.topic(TopicId(1)).unwrap()),
            count,
            "{context}"
        );
        append_groups(&disk, &topic, count..count + 3);
        drop((topic, log));
        let log = start(&disk);
        assert_eq!(
            whole_groups(&log.topic(TopicId(1)).unwrap()),
            count + 3,
            "{context}"
        );
    }
    true
}

#[test]
fn kill_before_any_change_loses_and_doubles_nothing() {
    for durability in [Durability::Disk, Durability::Os] {
        let mut k = 1;
        while outage_before(k, Outage::Kill, durability) {
            k += 1;
        }
        assert!(k > 50);
    }
}

#[test]
fn power_cut_before_any_change_loses_and_doubles_nothing() {
    for durability in [Durability::Disk, Durability::Os] {
        for seed in 0..2 {
            let mut k = 1;
            while outage_before(
                k,
                Outage::Power {
                    seed: seed * 1000 + k,
                },
                durability,
            ) {
                k += 1;
            }
        }
    }
}

#[test]
fn tail_cut_at_every_byte_of_the_last_window_leaves_whole_groups() {
    let disk = MemDisk::default();
    let log = start(&disk);
    let topic = log.create_topic(spec(1, 3, Durability::Disk)).unwrap();
    append_groups(&disk, &topic, 0..8);
    let before = disk.files();
    // The last window is not acknowledged: its marks are not there yet.
    disk.picture_at(u64::MAX, Outage::Kill);
    let (changes, group) = (disk.changes(), 14);
    let parts =
        [0, 1, 2].map(|partition| (PartitionId(partition), record(2, text(group, partition))));
    disk.picture_at(changes + 4, Outage::Kill);
    topic.append_wait(parts.to_vec()).unwrap();
    let (picture, _) = disk.picture().unwrap();
    let after = picture.files();
    drop((topic, log));
    let grown = after
        .iter()
        .filter(|(path, bytes)| before.get(*path).is_some_and(|old| old.len() < bytes.len()));
    let grown = grown
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect::<Vec<_>>();
    assert!(!grown.is_empty());
    for (path, bytes) in grown {
        for len in before[&path].len()..bytes.len() {
            let torn = picture.after(Outage::Kill);
            torn.put(&path, bytes[..len].to_vec());
            let log = start(&torn);
            assert_eq!(
                whole_groups(&log.topic(TopicId(1)).unwrap()),
                8,
                "{} at {len}",
                path.display()
            );
        }
    }
}

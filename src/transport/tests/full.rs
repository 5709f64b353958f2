//! A full disk at every write, and a broken sync.

use std::path::Path;
use std::sync::Arc;

use super::basic::{all, open, record, spec};
use crate::base::disk::RealDisk;
use crate::base::{PartitionId, TopicId};
use crate::testing::mem_disk::Outage;
use crate::testing::{FaultDisk, MemDisk};
use crate::transport::{Durability, LogOptions};

#[test]
fn full_disk_at_any_write_fails_the_group_and_later_ones_work() {
    let options = LogOptions {
        segment_bytes: 700,
        frame_bytes: 200,
        ..LogOptions::default()
    };
    for durability in [Durability::Disk, Durability::Os] {
        for k in 1..60 {
            let memory = MemDisk::default();
            let disk = FaultDisk::new(Arc::new(memory.clone()));
            let log = open(Path::new("/d"), Arc::new(disk.clone()), options).unwrap();
            let topic = log.create_topic(spec(1, 2, durability)).unwrap();
            disk.full_at_write(k);
            let mut kept = Vec::new();
            let mut failed = 0;
            for at in 0..12 {
                let text = format!("{at} {}", "#".repeat(150));
                let group = [0, 1, 0].map(|part| (PartitionId(part), record(1, text.clone())));
                match topic.append_wait(group.to_vec()) {
                    Ok(_) => kept.push(text),
                    Err(error) => {
                        assert_eq!(error.code(), "53100", "{error}");
                        failed += 1;
                        // Reading goes on, and space comes back after the second refusal.
                        assert_eq!(all(&topic, 1).unwrap().len(), kept.len());
                        if failed == 2 {
                            disk.heal();
                        }
                    }
                }
            }
            assert!(kept.len() >= 10, "write {k}: {} kept", kept.len());
            let due = |times: usize| {
                kept.iter()
                    .flat_map(|text| vec![text.clone(); times])
                    .collect::<Vec<_>>()
            };
            let check = |topic: &crate::transport::Topic| {
                let texts = |part| {
                    let read = all(topic, part).unwrap().into_iter();
                    read.map(|found| String::from_utf8(found.payload.to_vec()).unwrap())
                        .collect::<Vec<_>>()
                };
                assert_eq!(texts(0), due(2), "write {k}");
                assert_eq!(texts(1), due(1), "write {k}");
            };
            check(&topic);
            let killed = memory.after(Outage::Kill);
            drop((topic, log));
            for disk in [killed, memory] {
                let log = open(Path::new("/d"), Arc::new(disk), options).unwrap();
                check(&log.topic(TopicId(1)).unwrap());
            }
        }
    }
}

#[test]
fn quota_fails_large_groups_only_until_it_is_raised() {
    let disk = FaultDisk::new(Arc::new(MemDisk::default()));
    let log = open(
        Path::new("/d"),
        Arc::new(disk.clone()),
        LogOptions::default(),
    )
    .unwrap();
    let topic = log.create_topic(spec(1, 1, Durability::Disk)).unwrap();
    disk.full_after_bytes(10_000);
    let append =
        |bytes: usize| topic.append_wait(vec![(PartitionId(0), record(1, vec![0; bytes]))]);
    assert_eq!(append(20_000).unwrap_err().code(), "53100");
    append(5_000).unwrap();
    disk.heal();
    append(20_000).unwrap();
    assert_eq!(all(&topic, 0).unwrap().len(), 2);
}

/// Set in the process that is to die.
const CHILD: &str = "LOTIC_TEST_BROKEN_SYNC";

#[test]
fn broken_sync_ends_the_process_before_the_acknowledgement() {
    if let Ok(folder) = std::env::var(CHILD) {
        let disk = FaultDisk::new(Arc::new(RealDisk));
        let log = open(
            Path::new(&folder),
            Arc::new(disk.clone()),
            LogOptions::default(),
        )
        .unwrap();
        let topic = log.create_topic(spec(1, 1, Durability::Disk)).unwrap();
        topic
            .append_wait(vec![(PartitionId(0), record(1, "kept"))])
            .unwrap();
        disk.broken_at_sync(1);
        drop(topic.append_wait(vec![(PartitionId(0), record(1, "lost"))]));
        println!("acknowledged after a broken sync");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("could not sync segment"), "{said}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("acknowledged after"));
    let log = open(folder.path(), Arc::new(RealDisk), LogOptions::default()).unwrap();
    let read = all(&log.topic(TopicId(1)).unwrap(), 0).unwrap();
    assert_eq!(read[0].payload, "kept");
}

//! Appending, reading and opening again.

use std::path::Path;
use std::sync::Arc;

use crate::base::clock::SystemClock;
use crate::base::disk::{DiskRef, RealDisk};
use crate::base::rng::SystemRng;
use crate::base::{Offset, PartitionId, Result, TopicId};
use crate::crypto::{Keyring, load_or_create_key};
use crate::testing::MemDisk;
use crate::testing::mem_disk::Outage;
use crate::transport::{
    Durability, Log, LogOptions, ReadRecord, Record, Retention, Topic, TopicSpec,
};

pub(super) fn open(folder: &Path, disk: DiskRef, options: LogOptions) -> Result<Arc<Log>> {
    let (key, _) = load_or_create_key(disk.as_ref(), folder, None, None, &SystemRng)?;
    let keyring = Keyring::open(disk.as_ref(), folder, &key, &SystemRng)?;
    let clock = Arc::new(SystemClock::new());
    Log::open(
        folder,
        disk,
        Arc::new(keyring),
        clock,
        Arc::new(SystemRng),
        options,
    )
}

pub(super) fn spec(id: u64, partitions: u32, durability: Durability) -> TopicSpec {
    TopicSpec {
        id: TopicId(id),
        partitions,
        retention: Retention::default(),
        durability,
    }
}

pub(super) fn record(rows: u32, payload: impl Into<Vec<u8>>) -> Record {
    Record {
        rows,
        flags: 7,
        payload: payload.into().into(),
    }
}

pub(super) fn all(topic: &Topic, partition: u32) -> Result<Vec<ReadRecord>> {
    let partition = PartitionId(partition);
    topic.read(partition, topic.bounds(partition).0)?.collect()
}

#[test]
fn what_was_appended_is_read_back_now_and_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let real: DiskRef = Arc::new(RealDisk);
    for round in 0..3_u64 {
        let log = open(folder.path(), Arc::clone(&real), LogOptions::default()).unwrap();
        let topic = match log.topic(TopicId(1)) {
            Ok(found) => found,
            Err(_) => log.create_topic(spec(1, 2, Durability::Disk)).unwrap(),
        };
        assert_eq!(topic.bounds(PartitionId(0)), (Offset(0), Offset(round * 5)));
        let done = topic
            .append_wait(vec![
                (PartitionId(0), record(2, format!("a{round}"))),
                (PartitionId(1), record(1, format!("b{round}"))),
                (PartitionId(0), record(3, format!("c{round}"))),
            ])
            .unwrap();
        assert_eq!(
            done.first_offsets,
            vec![
                (PartitionId(0), Offset(round * 5)),
                (PartitionId(1), Offset(round)),
                (PartitionId(0), Offset(round * 5 + 2)),
            ]
        );
        let read = all(&topic, 0).unwrap();
        assert_eq!(read.len() as u64, (round + 1) * 2);
        assert_eq!(read.last().unwrap().payload, format!("c{round}"));
        assert_eq!(read.last().unwrap().flags, 7);
        if round == 1 {
            log.close();
            assert!(
                topic
                    .append_wait(vec![(PartitionId(0), record(1, "x"))])
                    .is_err()
            );
        }
    }
}

#[test]
fn reader_goes_on_after_its_end_and_begins_within_a_record() {
    let disk = MemDisk::default();
    let log = open(Path::new("/d"), Arc::new(disk), LogOptions::default()).unwrap();
    let topic = log.create_topic(spec(1, 1, Durability::Disk)).unwrap();
    let mut reader = topic.read(PartitionId(0), Offset(0)).unwrap();
    assert!(reader.next().is_none());
    for round in 0..5_u64 {
        topic
            .append_wait(vec![(PartitionId(0), record(4, "x"))])
            .unwrap();
        assert_eq!(
            reader.next().unwrap().unwrap().first_offset,
            Offset(round * 4)
        );
        assert!(reader.next().is_none());
    }
    let mut middle = topic.read(PartitionId(0), Offset(10)).unwrap();
    assert_eq!(middle.next().unwrap().unwrap().first_offset, Offset(8));
    assert_eq!(middle.count(), 2);
    assert!(
        topic
            .read(PartitionId(0), Offset(20))
            .unwrap()
            .next()
            .is_none()
    );
    assert_eq!(
        topic.read(PartitionId(0), Offset(21)).unwrap_err().code(),
        "22023"
    );
    assert_eq!(
        topic.read(PartitionId(1), Offset(0)).unwrap_err().code(),
        "22023"
    );
}

#[test]
fn wrong_groups_are_refused_and_an_empty_one_is_fine() {
    let log = open(
        Path::new("/d"),
        Arc::new(MemDisk::default()),
        LogOptions::default(),
    )
    .unwrap();
    let topic = log.create_topic(spec(1, 2, Durability::Os)).unwrap();
    let code = |group| {
        topic
            .append_wait(group)
            .map(|_| ())
            .map_err(|error| error.code())
    };
    assert_eq!(code(vec![(PartitionId(2), record(1, "x"))]), Err("22023"));
    assert_eq!(code(vec![(PartitionId(0), record(0, "x"))]), Err("22023"));
    assert_eq!(code(Vec::new()), Ok(()));
    assert_eq!(
        log.create_topic(spec(1, 1, Durability::Os))
            .unwrap_err()
            .code(),
        "42710"
    );
    assert_eq!(
        log.create_topic(spec(2, 0, Durability::Os))
            .unwrap_err()
            .code(),
        "22023"
    );
    assert_eq!(log.topic(TopicId(9)).unwrap_err().code(), "42704");
}

#[test]
fn dropped_topic_stays_gone_and_leaves_no_file() {
    let disk = MemDisk::default();
    let log = open(
        Path::new("/d"),
        Arc::new(disk.clone()),
        LogOptions::default(),
    )
    .unwrap();
    for id in [1, 2] {
        let topic = log.create_topic(spec(id, 2, Durability::Disk)).unwrap();
        topic
            .append_wait(vec![(PartitionId(1), record(1, "x"))])
            .unwrap();
    }
    let topic = log.topic(TopicId(1)).unwrap();
    log.drop_topic(TopicId(1)).unwrap();
    assert!(
        topic
            .append_wait(vec![(PartitionId(0), record(1, "x"))])
            .is_err()
    );
    assert!(
        disk.files()
            .keys()
            .all(|path| !path.starts_with("/d/topics/1"))
    );
    drop((log, topic));
    let log = open(Path::new("/d"), Arc::new(disk), LogOptions::default()).unwrap();
    assert_eq!(log.topics(), vec![TopicId(2)]);
    assert_eq!(all(&log.topic(TopicId(2)).unwrap(), 1).unwrap().len(), 1);
}

#[test]
fn retention_by_size_removes_old_segments_and_says_so() {
    let disk = MemDisk::default();
    let options = LogOptions {
        segment_bytes: 1000,
        ..LogOptions::default()
    };
    let log = open(Path::new("/d"), Arc::new(disk.clone()), options).unwrap();
    let mut kept = spec(1, 1, Durability::Disk);
    kept.retention.max_bytes = Some(5000);
    let topic = log.create_topic(kept).unwrap();
    for _ in 0..100 {
        topic
            .append_wait(vec![(PartitionId(0), record(1, vec![1; 300]))])
            .unwrap();
    }
    assert!(topic.size_bytes() < 8000);
    let (first, next) = topic.bounds(PartitionId(0));
    assert!(first > Offset(0) && next == Offset(100));
    assert_eq!(all(&topic, 0).unwrap().len() as u64, 100 - first.0);
    let gone = topic.read(PartitionId(0), Offset(0)).unwrap_err();
    assert_eq!(gone.code(), "58P01");
    assert!(gone.hint().unwrap().contains(&first.to_string()));
    topic.forget_before(PartitionId(0), Offset(99)).unwrap();
    let (first, _) = topic.bounds(PartitionId(0));
    assert!(first >= Offset(96) && first <= Offset(99));
    let again = open(
        Path::new("/d"),
        Arc::new(disk.after(Outage::Power { seed: 1 })),
        options,
    )
    .unwrap();
    let again = again.topic(TopicId(1)).unwrap();
    assert_eq!(again.bounds(PartitionId(0)), (first, next));
    assert_eq!(all(&again, 0).unwrap(), all(&topic, 0).unwrap());
}

#[test]
fn many_writers_share_windows_and_each_row_comes_once() {
    let log = open(
        Path::new("/d"),
        Arc::new(MemDisk::default()),
        LogOptions::default(),
    )
    .unwrap();
    let topics = [1, 2, 3].map(|id| log.create_topic(spec(id, 2, Durability::Disk)).unwrap());
    std::thread::scope(|scope| {
        for writer in 0..4_u32 {
            let topics = &topics;
            scope.spawn(move || {
                for at in 0..200_u32 {
                    for topic in topics {
                        let text = format!("{writer} {at}");
                        let group = vec![
                            (PartitionId(0), record(1, text.clone())),
                            (PartitionId(1), record(1, text)),
                        ];
                        topic.append(group, Box::new(|outcome| drop(outcome.unwrap())));
                    }
                }
            });
        }
    });
    log.close();
    for topic in &topics {
        let texts = |partition| {
            let read = all(topic, partition).unwrap();
            assert!(
                read.windows(2)
                    .all(|two| two[0].timestamp_us <= two[1].timestamp_us)
            );
            read.into_iter()
                .map(|record| record.payload)
                .collect::<Vec<_>>()
        };
        let (mut zero, one) = (texts(0), texts(1));
        assert_eq!(zero, one);
        zero.sort();
        zero.dedup();
        assert_eq!(zero.len(), 800);
    }
}

//! Appending, reading and opening again.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::clock::SystemClock;
use crate::base::disk::{DiskRef, RealDisk};
use crate::base::rng::SystemRng;
use crate::base::{Offset, PartitionId, Result, TopicId};
use crate::crypto::{Keyring, load_or_create_key};
use crate::transport::{
    Durability, Log, LogOptions, ReadRecord, Record, Retention, Topic, TopicSpec,
};

pub(super) fn open(folder: &Path, disk: DiskRef, options: LogOptions) -> Result<Arc<Log>> {
    let (key, _) = load_or_create_key(disk.as_ref(), folder, None, None, &SystemRng)?;
    let keyring = Keyring::open(disk.as_ref(), folder, &key, &SystemRng)?;
    let clock = Arc::new(SystemClock::new());
    Log::open(folder, disk, Arc::new(keyring), clock, Arc::new(SystemRng), options)
}

pub(super) fn spec(id: u64, partitions: u32, durability: Durability) -> TopicSpec {
    TopicSpec { id: TopicId(id), partitions, retention: Retention::default(), durability }
}

pub(super) fn record(rows: u32, payload: impl Into<Vec<u8>>) -> Record {
    Record { rows, flags: 7, payload: Bytes::from(payload.into()) }
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
            assert!(topic.append_wait(vec![(PartitionId(0), record(1, "x"))]).is_err());
        }
    }
}

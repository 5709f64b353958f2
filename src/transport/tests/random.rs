//! Random groups, sizes, partitions, rolls and restarts against a list in memory.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};

use super::basic::{all, open, spec};
use crate::base::{Offset, PartitionId, TopicId};
use crate::testing::MemDisk;
use crate::testing::mem_disk::Outage;
use crate::transport::{Durability, LogOptions, Record};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(u32, u32, u16, usize)>),
    Close,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let part = (0..3_u32, 1..5_u32, any::<u16>(), 0..2000_usize);
    prop_oneof![
        8 => prop::collection::vec(part, 1..6).prop_map(Step::Append),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_read_back(
        steps in prop::collection::vec(step(), 1..30),
        is_disk in any::<bool>(),
        segment_bytes in 200..5000_u64,
        frame_bytes in 50..3000_usize,
        read_bytes in 1..6000_usize,
        from in 0..40_u64,
    ) {
        let options = LogOptions { segment_bytes, frame_bytes, read_bytes, ..LogOptions::default() };
        let folder = Path::new("/d");
        let durability = if is_disk { Durability::Disk } else { Durability::Os };
        let mut disk = MemDisk::default();
        let mut log = open(folder, Arc::new(disk.clone()), options).unwrap();
        log.create_topic(spec(1, 3, durability)).unwrap();
        let mut model: Vec<Vec<(u64, u32, u16, Bytes)>> = vec![Vec::new(); 3];
        let mut ends = [0_u64; 3];
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Append(parts) => {
                    let mut group = Vec::new();
                    let mut due = Vec::new();
                    for (partition, rows, flags, len) in parts {
                        let payload = Bytes::from(vec![u8::try_from(at).unwrap(); *len]);
                        let end = &mut ends[*partition as usize];
                        due.push((PartitionId(*partition), Offset(*end)));
                        model[*partition as usize].push((*end, *rows, *flags, payload.clone()));
                        *end += u64::from(*rows);
                        group.push((PartitionId(*partition), Record { rows: *rows, flags: *flags, payload: payload.into() }));
                    }
                    let done = log.topic(TopicId(1)).unwrap().append_wait(group).unwrap();
                    assert_eq!(done.first_offsets, due);
                }
                Step::Close | Step::Kill => {
                    let picture = disk.after(Outage::Kill);
                    drop(log);
                    if matches!(step, Step::Kill) {
                        disk = picture;
                    }
                    log = open(folder, Arc::new(disk.clone()), options).unwrap();
                }
            }
        }
        let topic = log.topic(TopicId(1)).unwrap();
        for (partition, due) in (0..3_u32).zip(&model) {
            let plain = |read: Vec<crate::transport::ReadRecord>| {
                read.into_iter().map(|one| (one.first_offset.0, one.rows, one.flags, one.payload)).collect::<Vec<_>>()
            };
            assert_eq!(&plain(all(&topic, partition).unwrap()), due);
            let end = ends[partition as usize];
            let from = from.min(end);
            let read = topic.read(PartitionId(partition), Offset(from)).unwrap().collect::<Result<_, _>>().unwrap();
            let tail = due.iter().filter(|one| one.0 + u64::from(one.1) > from).cloned().collect::<Vec<_>>();
            assert_eq!(plain(read), tail);
        }
    }
}

//! Bytes a second through the log, encrypted: appending without waiting for the disk, and replay.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first failure")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lotic::base::clock::SystemClock;
use lotic::base::disk::RealDisk;
use lotic::base::rng::{Rng, SystemRng};
use lotic::base::{Offset, PartitionId, TopicId};
use lotic::crypto::{Keyring, load_or_create_key};
use lotic::transport::{Durability, Log, LogOptions, Record, Retention, Topic, TopicSpec};

/// Bytes appended or replayed in one turn.
const TURN_BYTES: usize = 64 << 20;

fn open(folder: &Path) -> Arc<Log> {
    let (key, _) = load_or_create_key(&RealDisk, folder, None, None, &SystemRng).unwrap();
    let keyring = Arc::new(Keyring::open(&RealDisk, folder, &key, &SystemRng).unwrap());
    let (clock, rng) = (Arc::new(SystemClock::new()), Arc::new(SystemRng));
    Log::open(
        folder,
        Arc::new(RealDisk),
        keyring,
        clock,
        rng,
        LogOptions::default(),
    )
    .unwrap()
}

fn topic(log: &Log, id: u64) -> Arc<Topic> {
    // Old segments go, so that the bench does not fill the disk.
    let retention = Retention {
        max_age_us: None,
        max_bytes: Some(512 << 20),
    };
    let spec = TopicSpec {
        id: TopicId(id),
        partitions: 1,
        retention,
        durability: Durability::Os,
    };
    log.create_topic(spec).unwrap()
}

fn payload(bytes: usize) -> Bytes {
    let mut payload = vec![0; bytes];
    SystemRng.fill(&mut payload).unwrap();
    Bytes::from(payload)
}

fn append(topic: &Topic, payload: &Bytes) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let count = TURN_BYTES / payload.len();
    for _ in 0..count {
        let sender = sender.clone();
        let record = Record {
            rows: 1000,
            flags: 0,
            payload: payload.clone().into(),
        };
        let done = Box::new(move |outcome| sender.send(outcome).unwrap());
        topic.append(vec![(PartitionId(0), record)], done);
    }
    for _ in 0..count {
        receiver.recv().unwrap().unwrap();
    }
}

fn log(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let mut id = 0;
    for (name, bytes) in [("64KiB", 64 << 10), ("1MiB", 1 << 20)] {
        let payload = payload(bytes);
        let mut group = criterion.benchmark_group(format!("log/{name}"));
        group.throughput(Throughput::Bytes(TURN_BYTES as u64));
        group
            .sample_size(20)
            .measurement_time(Duration::from_secs(5));
        id += 1;
        let written = topic(&log, id);
        group.bench_function("append", |bench| {
            bench.iter_batched(
                || (),
                |()| append(&written, &payload),
                BatchSize::PerIteration,
            );
        });
        id += 1;
        let replayed = topic(&log, id);
        append(&replayed, &payload);
        append(&replayed, &payload);
        group.throughput(Throughput::Bytes(2 * TURN_BYTES as u64));
        group.bench_function("replay", |bench| {
            bench.iter(|| {
                for record in replayed.read(PartitionId(0), Offset(0)).unwrap() {
                    black_box(record.unwrap());
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, log);
criterion_main!(benches);

//! Tests of followed files: every line once, whatever is appended, renamed, cut or restarted.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use proptest::prelude::{prop, prop_assert_eq, proptest};

use super::{Tail, TailPosition};
use crate::sources::SourceOptions;
use crate::sources::files::find_local;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
}

fn options(folder: &Path, pattern: &str) -> SourceOptions {
    let with = [("path", pattern), ("mode", "tail"), ("format", "csv")];
    let with: BTreeMap<String, String> = with
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    SourceOptions::new("s", &with, folder).unwrap()
}

fn append(folder: &Path, name: &str, text: &[u8]) {
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(name))
        .unwrap();
    file.write_all(text).unwrap();
}

fn numbers(batches: &[RecordBatch]) -> Vec<i64> {
    batches
        .iter()
        .flat_map(|batch| {
            batch
                .column(0)
                .as_primitive::<Int64Type>()
                .values()
                .to_vec()
        })
        .collect()
}

/// Polls once and moves the position, as a caller that stores both together.
fn poll(tail: &mut Tail, position: &mut TailPosition) -> Vec<i64> {
    let mut rows = Vec::new();
    for batch in tail.poll(position).unwrap() {
        *position = batch.position_after;
        rows.extend(numbers(&[batch.batch]));
    }
    // What is stored comes back as it was.
    *position = serde_json::from_str(&serde_json::to_string(position).unwrap()).unwrap();
    rows
}

#[test]
fn half_lines_wait_and_each_file_has_its_header() {
    let folder = tempfile::tempdir().unwrap();
    let mut tail = Tail::new(&options(folder.path(), "*.csv"), &schema()).unwrap();
    let mut position = TailPosition::default();
    append(folder.path(), "a.csv", b"n");
    assert!(poll(&mut tail, &mut position).is_empty());
    append(folder.path(), "a.csv", b"\n1\n2");
    assert_eq!(poll(&mut tail, &mut position), [1]);
    append(folder.path(), "a.csv", b"2\n");
    append(folder.path(), "b.csv", b"x,n\n0,3\n");
    assert_eq!(poll(&mut tail, &mut position), [22, 3]);
    assert!(poll(&mut tail, &mut position).is_empty());
    assert_eq!(position.files["a.csv"].line, 4);
}

#[test]
fn bad_lines_come_with_their_batch_and_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut tail = Tail::new(&options(folder.path(), "a.csv"), &schema()).unwrap();
    append(folder.path(), "a.csv", b"n\n1\nx\n2\n");
    let batches = tail.poll(&TailPosition::default()).unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(
        (
            batches[0].bad[0].place.as_str(),
            batches[0].bad[0].bytes.as_ref()
        ),
        ("a.csv:3", &b"x"[..])
    );
}

#[test]
fn a_renamed_file_is_not_read_again_and_its_successor_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut tail = Tail::new(&options(folder.path(), "log*"), &schema()).unwrap();
    let mut position = TailPosition::default();
    append(folder.path(), "log", b"n\n1\n2\n");
    assert_eq!(poll(&mut tail, &mut position), [1, 2]);
    append(folder.path(), "log", b"3\n");
    fs::rename(folder.path().join("log"), folder.path().join("log.1")).unwrap();
    append(folder.path(), "log", b"n\n7\n8\n9\n");
    let mut rows = poll(&mut tail, &mut position);
    rows.sort_unstable();
    assert_eq!(rows, [3, 7, 8, 9]);
    assert!(tail.troubles().is_empty());
}

#[test]
fn a_shrunk_file_is_a_trouble_until_its_content_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut tail = Tail::new(&options(folder.path(), "a.csv"), &schema()).unwrap();
    let mut position = TailPosition::default();
    append(folder.path(), "a.csv", b"n\n1\n2\n");
    poll(&mut tail, &mut position);
    fs::write(folder.path().join("a.csv"), b"n\n1\n").unwrap();
    assert!(poll(&mut tail, &mut position).is_empty());
    assert!(tail.troubles()[0].error.message().contains("has shrunk"));
    fs::write(folder.path().join("a.csv"), b"n\n5\n").unwrap();
    assert_eq!(poll(&mut tail, &mut position), [5]);
}

#[test]
fn a_vanished_file_is_a_trouble_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut tail = Tail::new(&options(folder.path(), "*.csv"), &schema()).unwrap();
    let mut position = TailPosition::default();
    append(folder.path(), "a.csv", b"n\n1\n");
    poll(&mut tail, &mut position);
    fs::remove_file(folder.path().join("a.csv")).unwrap();
    append(folder.path(), "b.csv", b"n\n2\n");
    assert_eq!(poll(&mut tail, &mut position), [2]);
    assert_eq!(tail.troubles()[0].error.message(), "a.csv has vanished");
}

#[test]
fn a_file_that_goes_after_it_was_listed_has_vanished_too() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path(), "*.csv");
    let mut tail = Tail::new(&options, &schema()).unwrap();
    let mut position = TailPosition::default();
    append(folder.path(), "a.csv", b"n\n1\n");
    poll(&mut tail, &mut position);
    append(folder.path(), "new.csv", b"n\n2\n");
    let listed = find_local(&options).unwrap();
    assert_eq!(listed.len(), 2);
    fs::remove_file(folder.path().join("a.csv")).unwrap();
    // of this one nothing is known yet
    fs::remove_file(folder.path().join("new.csv")).unwrap();
    assert!(tail.read_listed(listed, &position).is_empty());
    let told: Vec<_> = tail.troubles().iter().map(|t| t.error.message()).collect();
    assert_eq!(told, ["a.csv has vanished"]);
}

#[test]
fn a_compressed_file_is_read_once_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut tail = Tail::new(&options(folder.path(), "*.gz"), &schema()).unwrap();
    let mut position = TailPosition::default();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"n\n1\n2").unwrap();
    let bytes = encoder.finish().unwrap();
    fs::write(folder.path().join("a.csv.gz"), &bytes[..bytes.len() - 9]).unwrap();
    let mut rows = poll(&mut tail, &mut position);
    assert!(tail.troubles()[0].error.message().contains("not whole yet"));
    fs::write(folder.path().join("a.csv.gz"), &bytes).unwrap();
    rows.extend(poll(&mut tail, &mut position));
    assert_eq!(rows, [1, 2]);
    assert!(poll(&mut tail, &mut position).is_empty() && tail.troubles().is_empty());
}

proptest! {
    #[test]
    fn every_line_comes_once_through_any_appends_and_restarts(
        steps in prop::collection::vec((0_usize..3, 1_usize..9, 0_u8..4), 1..60),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path(), "*.csv");
        let mut tail = Tail::new(&options, &schema()).unwrap();
        let mut position = TailPosition::default();
        let mut rows = Vec::new();
        // Three files, whose content is written a few bytes at a time.
        let contents: Vec<String> = (0..3)
            .map(|file| {
                let lines: Vec<String> = (0..40).map(|n| format!("{}\n", file * 1000 + n)).collect();
                format!("n\n{}", lines.concat())
            })
            .collect();
        let mut written = [0_usize; 3];
        for (file, bytes, action) in steps {
            let end = (written[file] + bytes).min(contents[file].len());
            append(folder.path(), &format!("{file}.csv"), &contents[file].as_bytes()[written[file]..end]);
            written[file] = end;
            match action {
                0 => rows.extend(poll(&mut tail, &mut position)),
                1 => {
                    // A crash: what was read and not stored is read again.
                    drop(tail.poll(&position).unwrap());
                    tail = Tail::new(&options, &schema()).unwrap();
                }
                2 => {
                    // Only the first batch was stored.
                    if let Some(batch) = tail.poll(&position).unwrap().into_iter().next() {
                        position = batch.position_after;
                        rows.extend(numbers(&[batch.batch]));
                    }
                    tail = Tail::new(&options, &schema()).unwrap();
                }
                _ => {}
            }
        }
        rows.extend(poll(&mut tail, &mut position));
        rows.sort_unstable();
        let mut wanted: Vec<i64> = Vec::new();
        for (content, end) in contents.iter().zip(written) {
            let whole = content.get(..end).unwrap();
            let whole = whole.rsplit_once('\n').map_or("", |(whole, _)| whole);
            wanted.extend(whole.lines().skip(1).map(|line| line.parse::<i64>().unwrap()));
        }
        wanted.sort_unstable();
        prop_assert_eq!(rows, wanted);
    }
}

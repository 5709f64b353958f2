//! Damage to any file of a data folder: the same rows or an error that names the place, never other
//! rows, a panic or a hang.
//!
//! `LOTIC_DAMAGES` asks for more damages a file than one of each kind, and `LOTIC_DAMAGE_SEED` for the
//! damages of an earlier run, which prints its seed:
//! `LOTIC_DAMAGES=200 cargo test --test it damage -- --nocapture`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use arrow::util::pretty::pretty_format_batches;
use lotic::base::rng::{Rng, SystemRng};
use lotic::base::{Error, Kind, Result};
use lotic::runtime::{Lotic, Options};

use crate::serving::{Server, files_of, refused_start};

/// A file's bytes by its path in the data folder.
type Picture = BTreeMap<PathBuf, Vec<u8>>;

/// Files that are plain by design: a change in them may be one that a person made.
const PLAIN: [&str; 4] = ["lock", "master.key", "password", "http-token"];

/// No step of a damaged start may take longer.
const LIMIT: Duration = Duration::from_secs(30);

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts the panics of all threads: those of the engine's own would not reach the test otherwise.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // a test that panics fails by itself, and its thread has the name of its module
            let thread = std::thread::current();
            if !thread.name().is_some_and(|name| name.contains("::")) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            before(info);
        }));
    });
}

async fn open(folder: &Path) -> Result<Arc<Lotic>> {
    let options = Options {
        data: Some(folder.to_owned()),
        threads: 1,
        ..Options::default()
    };
    Lotic::open(options).await
}

/// All that can be read, as text.
async fn read(folder: &Path) -> Result<Vec<String>> {
    let lotic = open(folder).await?;
    let read = read_all(&lotic).await;
    lotic.shutdown().await;
    read
}

async fn read_all(lotic: &Arc<Lotic>) -> Result<Vec<String>> {
    let mut answers = Vec::new();
    let mut session = lotic.session("lotic");
    for sql in [
        "SELECT * FROM t ORDER BY id",
        "SELECT * FROM p ORDER BY id, name",
        "SELECT * FROM f ORDER BY id",
        "SELECT * FROM m ORDER BY name",
        "SELECT source, place, reason, bytes, at FROM lotic.quarantine ORDER BY place",
        "SELECT name, kind, definition FROM lotic.objects ORDER BY name",
    ] {
        let answer = session.run(sql).await?;
        let text = pretty_format_batches(&answer[0].1)?;
        answers.push(text.to_string());
    }
    let differing = lotic.count_differences("m").await?;
    answers.push(format!("{differing} rows of m differ from its query"));
    Ok(answers)
}

/// A folder with a bit of everything, in several segments, and what is read from it: as a clean stop
/// leaves it, and as a kill does.
async fn sample() -> (Picture, Picture, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let csv = folder.path().join("f.csv");
    std::fs::write(&csv, "id,name\n1,one\nx,two\n3\n4,four\n").unwrap();
    let mut killed = Picture::new();
    for round in 0..3 {
        // each start begins new segments
        let lotic = open(&data).await.unwrap();
        let mut session = lotic.session("lotic");
        if round == 0 {
            let sql = format!(
                "CREATE TABLE t (id INT PRIMARY KEY, name TEXT, n NUMERIC(12, 2));
                 CREATE TABLE p (id INT, name TEXT) WITH (partitions = 2);
                 CREATE TABLE f (id INT, name TEXT) WITH (path = '{}');
                 CREATE MATERIALIZED VIEW m AS SELECT t.name, sum(n) AS n, count(*) AS c
                     FROM t LEFT JOIN p ON t.id = p.id GROUP BY t.name",
                csv.display()
            );
            session.run(&sql).await.unwrap();
        }
        let first = round * 100;
        for id in first..first + 8 {
            let sql = format!(
                "INSERT INTO t VALUES ({id}, 'name {}', {id}.25), ({}, NULL, NULL);
                 INSERT INTO p VALUES ({id}, 'p'), ({}, 'q')",
                id % 3,
                id + 50,
                id + 1
            );
            session.run(&sql).await.unwrap();
        }
        let sql = format!(
            "UPDATE t SET n = 1 WHERE id = {first}; DELETE FROM t WHERE id = {}; DELETE FROM p WHERE id = 2",
            first + 51
        );
        session.run(&sql).await.unwrap();
        session.settle().await.unwrap();
        killed = picture(&data);
        lotic.shutdown().await;
    }
    let stopped = picture(&data);
    let rows = read(&data).await.unwrap();
    assert!(
        rows[0].lines().count() > 40 && rows[4].lines().count() == 6,
        "{rows:?}"
    );
    assert!(rows[6].starts_with("0 rows"), "{}", rows[6]);
    (stopped, killed, rows)
}

fn picture(data: &Path) -> Picture {
    let strip =
        |(path, bytes): (PathBuf, Vec<u8>)| (path.strip_prefix(data).unwrap().to_owned(), bytes);
    files_of(data).into_iter().map(strip).collect()
}

/// Lays a picture out in a folder of its own, opens it and reads. Without an error the rows must be
/// the same; an error must name the file, or the folder that it is missing from. Gives the error.
async fn try_out(files: &Picture, damaged: &Path, rows: &[String], what: &str) -> Option<Error> {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // a file that is taken away leaves its folder
    std::fs::create_dir_all(data.join(damaged).parent().unwrap()).unwrap();
    for (path, bytes) in files {
        let path = data.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, mode).unwrap();
    }
    let panics = PANICS.load(Ordering::SeqCst);
    let Ok(outcome) = tokio::time::timeout(LIMIT, read(&data)).await else {
        panic!("{what}: a hang");
    };
    assert_eq!(PANICS.load(Ordering::SeqCst), panics, "{what}: a panic");
    let error = match outcome {
        Ok(read) => {
            assert_eq!(read, rows, "{what}: other rows");
            return None;
        }
        Err(error) => error,
    };
    let path = data.join(damaged);
    let named = error.message().contains(&path.display().to_string())
        || error
            .message()
            .contains(&path.parent().unwrap().display().to_string());
    assert!(named, "{what}: {error}");
    let is_segment = damaged.extension().is_some_and(|end| end == "seg");
    let is_placed = error.message().contains("byte") || error.message().contains("offset");
    assert!(!is_segment || is_placed, "{what}: {error}");
    let is_told =
        error.kind() == Kind::Corrupt || error.code() == "28000" || error.code() == "58P01";
    assert!(is_told, "{what}: {} {error}", error.code());
    Some(error)
}

/// Numbers that a seed decides (splitmix64).
struct Seeded(u64);

impl Seeded {
    fn new() -> Self {
        let mut bytes = [0; 8];
        SystemRng.fill(&mut bytes).unwrap();
        let seed = std::env::var("LOTIC_DAMAGE_SEED")
            .map_or(u64::from_le_bytes(bytes), |text| text.parse().unwrap());
        println!("LOTIC_DAMAGE_SEED={seed}");
        Self(seed)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound).unwrap();
        usize::try_from((z ^ (z >> 31)) % bound).unwrap()
    }
}

fn damages() -> usize {
    std::env::var("LOTIC_DAMAGES").map_or(1, |text| text.parse().unwrap())
}

fn with(files: &Picture, path: &Path, bytes: Vec<u8>) -> Picture {
    let mut files = files.clone();
    files.insert(path.to_owned(), bytes);
    files
}

fn is_plain(path: &Path) -> bool {
    path.to_str().is_some_and(|name| PLAIN.contains(&name))
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bit_in_any_file_gives_the_same_rows_or_an_error_with_its_place() {
    count_panics();
    let (stopped, killed, rows) = sample().await;
    let mut random = Seeded::new();
    let (mut told, mut tried) = (0, 0);
    for (state, files) in [("stopped", &stopped), ("killed", &killed)] {
        for (path, bytes) in files {
            if bytes.is_empty() || (state == "killed" && !path.starts_with("topics")) {
                continue;
            }
            for _ in 0..damages() {
                let (at, bit) = (random.below(bytes.len()), random.below(8));
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let what = format!("{state}: bit {bit} of byte {at} of {}", path.display());
                let error = try_out(&with(files, path, changed), path, &rows, &what).await;
                told += usize::from(error.is_some() && !is_plain(path));
                tried += usize::from(!is_plain(path));
                // all bytes of these are under a tag or a checksum
                let whole = !is_plain(path) && !path.starts_with("topics");
                assert!(!whole || error.is_some(), "{what}: not told");
            }
        }
    }
    println!("{told} of {tried} flipped bits told, the others without effect");
    assert!(told * 2 > tried, "{told} of {tried} told");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_file_cut_emptied_or_taken_away_gives_the_same_rows_or_an_error_with_its_place() {
    count_panics();
    let (stopped, _, rows) = sample().await;
    let mut random = Seeded::new();
    for (path, bytes) in &stopped {
        let mut cuts = vec![0];
        cuts.extend((0..damages()).map(|_| random.below(bytes.len().max(1))));
        cuts.dedup();
        for cut in cuts.into_iter().filter(|cut| *cut < bytes.len()) {
            let what = format!("{} cut to {cut} bytes", path.display());
            let files = with(&stopped, path, bytes[..cut].to_vec());
            let error = try_out(&files, path, &rows, &what).await;
            assert!(is_plain(path) || error.is_some(), "{what}: not told");
            // without a token nobody may be let in, and without its key nothing opens
            let needed = cut == 0 && (path.ends_with("http-token") || path.ends_with("master.key"));
            assert!(!needed || error.is_some(), "{what}: not told");
        }
        let mut files = stopped.clone();
        files.remove(path);
        let what = format!("{} taken away", path.display());
        let error = try_out(&files, path, &rows, &what).await;
        // these are made anew, and hold nothing that a row depends on
        let spare = ["lock", "password", "http-token", "epochs"];
        let is_spare = path.to_str().is_some_and(|name| spare.contains(&name));
        assert_eq!(error.is_none(), is_spare, "{what}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_topic_taken_away_is_told() {
    count_panics();
    let (stopped, _, rows) = sample().await;
    let topics: BTreeSet<PathBuf> = stopped
        .keys()
        .filter(|path| path.starts_with("topics"))
        .map(|path| path.components().take(2).collect())
        .collect();
    // three tables and the quarantine
    assert_eq!(topics.len(), 4, "{topics:?}");
    for topic in &topics {
        let mut files = stopped.clone();
        files.retain(|path, _| !path.starts_with(topic));
        let what = format!("{} taken away", topic.display());
        let error = try_out(&files, topic, &rows, &what).await;
        assert!(error.is_some(), "{what}: not told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn catalog_that_is_older_than_the_rows_is_refused_and_what_a_crash_left_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let run = async |sql: &str| {
        let lotic = open(&data).await.unwrap();
        lotic.session("lotic").run(sql).await.unwrap();
        lotic.shutdown().await;
        std::fs::read(data.join("catalog")).unwrap()
    };
    let restore = |catalog: &[u8]| std::fs::write(data.join("catalog"), catalog).unwrap();
    let before = run("CREATE TABLE a (id INT); INSERT INTO a VALUES (1)").await;
    let topics = || std::fs::read_dir(data.join("topics")).unwrap().count();
    let own = topics();
    let without_rows = run("CREATE TABLE b (id INT)").await;
    assert_eq!(topics(), own + 1);
    restore(&before);
    open(&data).await.unwrap().shutdown().await;
    assert_eq!(topics(), own, "the topic of an unborn table is kept");
    // the table is not there for this catalog either, and its rows were acknowledged
    let with_rows = run("CREATE TABLE b (id INT); INSERT INTO b VALUES (1)").await;
    assert_ne!(with_rows, without_rows);
    restore(&before);
    let error = open(&data).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    assert!(
        error
            .message()
            .contains(data.join("catalog").to_str().unwrap()),
        "{error}"
    );
    restore(&with_rows);
    let lotic = open(&data).await.unwrap();
    let rows = lotic.session("lotic").run("SELECT * FROM b").await.unwrap();
    assert_eq!(
        rows[0]
            .1
            .iter()
            .map(|batch| batch.num_rows())
            .sum::<usize>(),
        1
    );
    lotic.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_under_a_running_server_is_told_by_who_reads_it_and_the_others_go_on() {
    count_panics();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let lotic = open(&data).await.unwrap();
    let mut session = lotic.session("lotic");
    session
        .run(
            "CREATE SOURCE s (id INT, name TEXT); CREATE TABLE t (id INT PRIMARY KEY);
             CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM s;
             INSERT INTO s SELECT i, 'a name' FROM generate_series(1, 1000) AS g(i);
             INSERT INTO t VALUES (1)",
        )
        .await
        .unwrap();
    let topic = data.join("topics/16");
    let (path, bytes) = files_of(&topic)
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|end| end == "seg"))
        .max_by_key(|(_, bytes)| bytes.len())
        .unwrap();
    let mut changed = bytes.clone();
    let at = bytes.len() / 2;
    changed[at] ^= 4;
    std::fs::write(&path, &changed).unwrap();
    let panics = PANICS.load(Ordering::SeqCst);
    let error = session
        .run("SELECT count(name), max(_offset) FROM topics.s")
        .await
        .unwrap_err();
    assert!(error.message().contains(path.to_str().unwrap()), "{error}");
    for sql in [
        "SELECT n FROM m",
        "INSERT INTO t VALUES (2)",
        "INSERT INTO s VALUES (1001, 'more')",
        "SELECT * FROM t JOIN m ON true",
    ] {
        session.run(sql).await.unwrap();
    }
    assert_eq!(PANICS.load(Ordering::SeqCst), panics, "a panic");
    drop(session);
    lotic.shutdown().await;
    drop(lotic);
    let error = open(&data).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    assert!(error.message().contains(path.to_str().unwrap()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanged_segments_and_sealed_files_are_refused() {
    count_panics();
    let (stopped, _, rows) = sample().await;
    let bound = |path: &&PathBuf| {
        path.starts_with("topics") || path.ends_with("catalog") || path.ends_with("users")
    };
    let paths: Vec<&PathBuf> = stopped.keys().filter(bound).collect();
    let segments = paths.iter().filter(|path| path.extension().is_some());
    assert!(segments.count() >= 8, "{paths:?}");
    let mut random = Seeded::new();
    for _ in 0..12 * damages() {
        let one = paths[random.below(paths.len())];
        // of the same kind: two segments, or two notes
        let like = |path: &&&PathBuf| **path != one && path.extension() == one.extension();
        let others: Vec<&&PathBuf> = paths.iter().filter(like).collect();
        let two = *others[random.below(others.len())];
        let mut files = with(&stopped, one, stopped[two].clone());
        files.insert(two.clone(), stopped[one].clone());
        let what = format!("{} and {} exchanged", one.display(), two.display());
        // either may be met first: what they share is named, or the one outside of the topics
        let inside = one.starts_with("topics") && two.starts_with("topics");
        let named = if inside {
            Path::new("topics/any")
        } else {
            one.min(two)
        };
        let error = try_out(&files, named, &rows, &what).await;
        assert!(error.is_some(), "{what}: not told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_or_missing_key_is_one_clear_error_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&data);
    let client = server.connect().await;
    client
        .run("CREATE TABLE t (id INT); INSERT INTO t VALUES (1)")
        .await;
    drop(client);
    server.stop();
    let (own, other) = (data.join("master.key"), "ab".repeat(32));
    let right = std::fs::read_to_string(&own).unwrap();
    let refused = |key: Option<&str>, told: &str| {
        let before = files_of(&data);
        let refusal = refused_start(&data, &["--trust"], key);
        assert_eq!(refusal.status.code(), Some(4), "{}", refusal.text);
        assert_eq!(refusal.text.matches("ERROR").count(), 1, "{}", refusal.text);
        assert!(refusal.text.contains(told), "{}", refusal.text);
        assert!(
            refusal.text.contains(data.to_str().unwrap()),
            "{}",
            refusal.text
        );
        assert!(!refusal.text.contains(right.trim()), "a key is shown");
        assert!(!refusal.text.contains(&other), "a key is shown");
        let after = files_of(&data);
        let other: Vec<&PathBuf> = after
            .iter()
            .filter(|(path, bytes)| before.get(*path) != Some(bytes))
            .map(|(path, _)| path)
            .collect();
        assert!(
            other.is_empty() && after.len() == before.len(),
            "{told}: written: {other:?}"
        );
    };
    refused(Some(&other), "the master key is not the one of data folder");
    let write_key = |text: &str| {
        std::fs::write(&own, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&own, mode).unwrap();
    };
    write_key(&other);
    refused(None, "the master key is not the one of data folder");
    write_key("no key");
    refused(None, "bytes that are no key");
    std::fs::remove_file(&own).unwrap();
    refused(None, "is encrypted and no master key was given");
    std::fs::remove_file(data.join("keyring")).unwrap();
    refused(None, "keyring");
    write_key(&right);
    refused(None, "keyring");
}

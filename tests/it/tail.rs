//! Followed files through `lotic serve`: every line becomes a row exactly once, also over stops and
//! `kill -9`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lotic::base::rng::{Rng, SystemRng};

use crate::serving::{Connected, Server};

struct Logs {
    folder: tempfile::TempDir,
}

impl Logs {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    /// Adds text to the end of a file, or begins one.
    fn append(&self, name: &str, text: &str) {
        append(&self.path(name), text);
    }

    /// A source over the files of this pattern, and a model that shows each row that came twice.
    async fn follow(&self, client: &Connected, pattern: &str, format: &str) {
        let path = self.path(pattern).display().to_string();
        client
            .run(&format!(
                "CREATE SOURCE s (id INT, name TEXT)
                 WITH (path = '{path}', format = '{format}', mode = 'tail', poll = '20ms');
                 CREATE MATERIALIZED VIEW m AS SELECT id, name, count(*) AS n FROM s GROUP BY id, name"
            ))
            .await;
    }
}

fn append(path: &Path, text: &str) {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

fn gzip(path: &Path, text: &str) {
    // moved in when it is whole, as the documentation asks
    let aside = path.with_extension("part");
    let mut encoder = flate2::write::GzEncoder::new(
        File::create(&aside).unwrap(),
        flate2::Compression::default(),
    );
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
    std::fs::rename(aside, path).unwrap();
}

const ROWS: &str = "SELECT id, name, n FROM m ORDER BY id, name";

#[tokio::test(flavor = "multi_thread")]
async fn lines_and_files_become_rows_exactly_once_over_stops_and_kills() {
    let logs = Logs::new();
    logs.append("a.csv", "id,name\n1,one\n2,two\n");
    let mut server = Server::start(&logs.data());
    let client = server.connect().await;
    logs.follow(&client, "*.csv*", "csv").await;
    let mut wanted = vec!["1|one|1", "2|two|1"];
    assert_eq!(
        client.rows(ROWS).await,
        wanted,
        "the start belongs to CREATE"
    );

    // a line counts when its end is there
    logs.append("a.csv", "3,three\n4,fo");
    wanted.push("3|three|1");
    client.wait_for(ROWS, &wanted).await;
    logs.append("b.csv", "id,name\n5,five\n");
    wanted.push("5|five|1");
    client.wait_for(ROWS, &wanted).await;

    // while it is down: the rest of a line, more lines, a new file, a compressed one
    server.stop();
    logs.append("a.csv", "ur\n");
    logs.append("b.csv", "6,six\n");
    gzip(&logs.path("c.csv.gz"), "id,name\n7,seven\n8,eight\n");
    logs.append("d.csv", "id,na");
    let mut server = Server::start(&logs.data());
    let client = server.connect().await;
    wanted.insert(3, "4|four|1");
    wanted.extend(["6|six|1", "7|seven|1", "8|eight|1"]);
    assert_eq!(client.rows(ROWS).await, wanted, "as soon as it is up");

    // the same around a kill
    logs.append("a.csv", "9,ni");
    logs.append("b.csv", "10,ten\n");
    logs.append("d.csv", "me\n11,eleven\n");
    wanted.extend(["10|ten|1", "11|eleven|1"]);
    client.wait_for(ROWS, &wanted).await;
    server.kill();
    logs.append("a.csv", "ne\n12,twelve\n13,\"thir");
    gzip(&logs.path("e.csv.gz"), "id,name\n14,fourteen\n");
    let mut server = Server::start(&logs.data());
    let client = server.connect().await;
    wanted.insert(8, "9|nine|1");
    wanted.extend(["12|twelve|1", "14|fourteen|1"]);
    assert_eq!(client.rows(ROWS).await, wanted, "as soon as it is up");
    logs.append("a.csv", "\nteen\"\n");
    wanted.insert(12, "13|thir\nteen|1");
    client.wait_for(ROWS, &wanted).await;

    // nothing new: two starts change nothing
    let mut server = server.restarted().killed_and_restarted();
    let client = server.connect().await;
    assert_eq!(client.rows(ROWS).await, wanted);
    assert_eq!(client.rows("CHECK MATERIALIZED VIEW m").await, [""; 0]);
    let state = "SELECT state, rows FROM lotic.sources";
    assert_eq!(client.rows(state).await, ["ok|14"]);

    // a file that goes keeps its rows, and is told of
    std::fs::remove_file(logs.path("b.csv")).unwrap();
    client.wait_for(state, &["retrying|14"]).await;
    let told = client.rows("SELECT last_error FROM lotic.sources").await;
    assert!(told[0].contains("b.csv has vanished"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_lines_of_followed_files_are_quarantined_once_over_stops_and_kills() {
    let logs = Logs::new();
    logs.append("a.ndjson", "{\"id\":1,\"name\":\"one\"}\nnot json\n");
    let mut server = Server::start(&logs.data());
    let client = server.connect().await;
    logs.follow(&client, "*.ndjson", "ndjson").await;
    let bad = "SELECT place, reason FROM lotic.quarantine ORDER BY place";
    let places = |rows: Vec<String>| -> Vec<String> {
        let name = |row: &String| row.split('|').next().unwrap().to_owned();
        rows.iter().map(name).collect()
    };
    let place = |line: u64| format!("{}:{line}", logs.path("a.ndjson").display());
    assert_eq!(places(client.rows(bad).await), [place(2)]);
    server.kill();
    logs.append("a.ndjson", "{\"id\":\"x\"}\n{\"id\":4,\"na");
    let mut server = Server::start(&logs.data());
    let client = server.connect().await;
    assert_eq!(places(client.rows(bad).await), [place(2), place(3)]);
    assert_eq!(client.rows(ROWS).await, ["1|one|1"]);
    server.stop();
    logs.append("a.ndjson", "me\":\"four\"}\n[]\n");
    let mut server = Server::start(&logs.data());
    let client = server.connect().await;
    assert_eq!(
        places(client.rows(bad).await),
        [place(2), place(3), place(5)]
    );
    assert_eq!(client.rows(ROWS).await, ["1|one|1", "4|four|1"]);
    let counted = "SELECT quarantined FROM lotic.sources";
    assert_eq!(client.rows(counted).await, ["3"]);
}

/// A writer that never rests while the server is killed at random moments. `LOTIC_KILLS` asks for
/// more rounds than the few of a usual run.
#[tokio::test(flavor = "multi_thread")]
async fn lines_written_during_kills_become_rows_exactly_once() {
    let rounds: usize = std::env::var("LOTIC_KILLS").map_or(3, |text| text.parse().unwrap());
    let logs = Logs::new();
    logs.append("0.csv", "id,name\n");
    let mut server = Server::start(&logs.data());
    let client = server.connect().await;
    logs.follow(&client, "*.csv", "csv").await;
    let mut written = 0;
    for round in 0..rounds {
        let (path, first) = (logs.path(&format!("{}.csv", round % 2)), written);
        let writing = lotic::base::task::thread("writer", move || {
            if !path.try_exists().unwrap() {
                append(&path, "id,name\n");
            }
            for id in first..first + 400 {
                // each line in two pieces
                append(&path, &format!("{id},na"));
                append(&path, &format!("me {id}\n"));
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        let mut random = [0; 2];
        SystemRng.fill(&mut random).unwrap();
        let moment = 20 + u64::from(u16::from_le_bytes(random)) % 200;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        server = server.killed_and_restarted();
        writing.unwrap().join().unwrap();
        written += 400;
        let client = server.connect().await;
        let all = format!("{written}|{written}|{}|1", written - 1);
        client
            .wait_for(
                "SELECT count(*), sum(n), max(id), max(n) FROM m WHERE name = concat('name ', CAST(id AS TEXT))",
                &[&all],
            )
            .await;
    }
    let client = server.connect().await;
    let count = client.rows("SELECT count(*) FROM s").await;
    assert_eq!(count, [written.to_string()], "nothing beside");
}

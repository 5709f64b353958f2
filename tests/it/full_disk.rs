//! A full disk under `lotic serve`: writes fail and say so, reads go on, nothing acknowledged is lost,
//! and writes resume when there is space.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::serving::{Connected, Server};

/// A small file system of its own, gone with the test.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// None, and it is said, where the machine does not let a test mount.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=9m", "tmpfs"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { folder }),
            refused => {
                println!("skipped: a small disk cannot be mounted here ({refused:?})");
                None
            }
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file that takes up space.
    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }

    /// Another one.
    fn reserve(&self) -> PathBuf {
        self.folder.path().join("reserve")
    }
}

fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).unwrap();
    while file.write_all(&[1; 512]).is_ok() {}
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status()
            .ok();
    }
}

/// Inserts until the disk is full. Gives the ids that were acknowledged.
async fn insert_until_full(client: &Connected, first: i64) -> Vec<i64> {
    let mut acknowledged = Vec::new();
    for id in first..first + 2000 {
        let text: String = (0..6000_i64)
            .map(|at| {
                char::from(b'a' + u8::try_from((id * 31 + at * at * 7 + at / 3) % 26).unwrap())
            })
            .collect();
        let sql = format!("INSERT INTO t VALUES ({id}, '{text}')");
        match client.client.batch_execute(&sql).await {
            Ok(()) => acknowledged.push(id),
            Err(error) => {
                let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
                assert_eq!(error.code().code(), "53100", "{error:?}");
                assert!(error.message().contains("/data/"), "{error:?}");
                return acknowledged;
            }
        }
    }
    panic!("the disk did not fill");
}

async fn check(client: &Connected, acknowledged: &[i64]) {
    let sum: i64 = acknowledged.iter().sum();
    let all = format!("{}|{sum}", acknowledged.len());
    assert_eq!(
        client.rows("SELECT count(*), sum(id) FROM t").await,
        [all.as_str()]
    );
    assert_eq!(client.rows("SELECT * FROM m").await, [all.as_str()]);
    assert_eq!(client.rows("CHECK MATERIALIZED VIEW m").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_fail_on_a_full_disk_while_reads_go_on_and_resume_with_space() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    std::fs::write(disk.ballast(), vec![1; 2 << 20]).unwrap();
    std::fs::write(disk.reserve(), vec![1; 4 << 20]).unwrap();
    let mut server = Server::start(&disk.data());
    let client = server.connect().await;
    client
        .run(
            "CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT);
             CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n, sum(id) AS ids FROM t",
        )
        .await;
    let mut acknowledged = insert_until_full(&client, 0).await;
    assert!(acknowledged.len() > 10);
    check(&client, &acknowledged).await;
    fill(&disk.folder.path().join("rest"));
    for sql in [
        "INSERT INTO t SELECT id + 100000, name FROM t",
        "UPDATE t SET name = concat(name, 'x')",
        "CREATE TABLE another (id INT)",
        "CREATE MATERIALIZED VIEW k AS SELECT id FROM t",
    ] {
        client.refused(sql, "53100").await;
        check(&client, &acknowledged).await;
    }
    server.still_answers().await;
    std::fs::remove_file(disk.ballast()).unwrap();
    let more = insert_until_full(&client, 10_000).await;
    assert!(more.len() > 10, "writes resume by themselves");
    acknowledged.extend(more);
    check(&client, &acknowledged).await;
    client.refused("SELECT * FROM another", "42P01").await;

    // and over a kill and a stop, on a disk that is still full
    let mut server = server.killed_and_restarted();
    check(&server.connect().await, &acknowledged).await;
    let mut server = server.restarted();
    let client = server.connect().await;
    check(&client, &acknowledged).await;
    std::fs::remove_file(disk.reserve()).unwrap();
    client
        .run("DELETE FROM t WHERE id >= 10000; CREATE TABLE another (id INT)")
        .await;
    acknowledged.retain(|id| *id < 10_000);
    check(&client, &acknowledged).await;
    let mut server = server.killed_and_restarted();
    check(&server.connect().await, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_file_waits_for_space_and_loses_no_line() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let logs = tempfile::tempdir().unwrap();
    let path = logs.path().join("a.csv");
    std::fs::write(&path, "id,name\n1,one\n").unwrap();
    let mut server = Server::start(&disk.data());
    let client = server.connect().await;
    client
        .run(&format!(
            "CREATE SOURCE s (id INT, name TEXT)
             WITH (path = '{}', mode = 'tail', poll = '20ms')",
            path.display()
        ))
        .await;
    client.wait_for("SELECT id FROM s", &["1"]).await;
    fill(&disk.ballast());
    std::fs::write(&path, "id,name\n1,one\nx,bad\n3,three\n").unwrap();
    let state = "SELECT state FROM lotic.sources";
    client.wait_for(state, &["retrying"]).await;
    assert_eq!(client.rows("SELECT id FROM s").await, ["1"]);
    // a start on the full disk goes on trying too
    let mut server = server.killed_and_restarted();
    let client = server.connect().await;
    assert_eq!(client.rows("SELECT id FROM s").await, ["1"]);
    client.wait_for(state, &["retrying"]).await;
    std::fs::remove_file(disk.ballast()).unwrap();
    client
        .wait_for("SELECT id FROM s ORDER BY id", &["1", "3"])
        .await;
    client.wait_for(state, &["ok"]).await;
    let bad = "SELECT bytes FROM lotic.quarantine";
    assert_eq!(client.rows(bad).await, ["\\x782c626164"]);
}

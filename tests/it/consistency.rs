//! Models over one table are of one moment, also through `kill -9`: money that only moves is never seen to be more or less.
//!
//! The long form: `LOTIC_TRANSFERS=1000000 LOTIC_READS=100000 LOTIC_KILLS=10 LOTIC_BIN=target/release/lotic
//! cargo test --test it consistency -- --nocapture`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::server_process::{Server, connect, free_port};

const ACCOUNTS: u64 = 10;
const WRITERS: u64 = 4;
const READERS: u64 = 8;
/// Transfers of one statement.
const BATCH: u64 = 10;

/// What the tasks of a run share.
struct Run {
    port: u16,
    /// Transfers that were acknowledged.
    written: AtomicU64,
    /// Reads that found everything in order.
    reads: AtomicU64,
    /// All is written.
    done: AtomicBool,
    /// Reads that are wanted in all.
    wanted: u64,
}

fn asked(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Numbers below `below`, one after the other, the same for each seed.
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// Transfers of 1 from account to account, in an order that is no order of time. A statement whose answer was lost in a kill is given again:
/// its keys say whether it happened.
async fn write(run: Arc<Run>, writer: u64, transfers: u64) {
    let mut next = numbers(writer + 1);
    let mut client = connect(run.port).await;
    for batch in 0..transfers / BATCH {
        let first = (batch * WRITERS + writer) * BATCH;
        let rows: Vec<String> = (first..first + BATCH)
            .map(|id| {
                let (from, to, at) = (next(ACCOUNTS), next(ACCOUNTS), next(1_000_000));
                format!("({id}, {from}, {to}, 1, {at})")
            })
            .collect();
        let sql = format!("INSERT INTO transfers VALUES {}", rows.join(", "));
        loop {
            match client.batch_execute(&sql).await {
                Ok(()) => break,
                Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => break,
                Err(error) => client = again(run.port, &error).await,
            }
        }
        run.written.fetch_add(BATCH, Ordering::AcqRel);
    }
}

/// A connection after one that a kill has ended.
async fn again(port: u16, error: &Error) -> Client {
    let ended = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
    ];
    let told = error.code().is_some_and(|code| !ended.contains(code));
    assert!(!told, "{error:?}");
    tokio::time::sleep(Duration::from_millis(20)).await;
    connect(port).await
}

/// Every model once, in one block: the rows of `moved`, when everything is in order.
async fn read_once(client: &Client) -> Result<i64, Error> {
    client.batch_execute("BEGIN").await?;
    let total = client.query_one("SELECT total FROM total", &[]).await?;
    let moved = client
        .query_one("SELECT moved, rows FROM moved", &[])
        .await?;
    let wrong = client
        .query_one(
            "SELECT count(*) FROM balance b FULL JOIN (
                 SELECT coalesce(c.account, d.account) AS account,
                        coalesce(c.amount, 0) - coalesce(d.amount, 0) AS amount
                 FROM credits c FULL JOIN debits d ON c.account = d.account) s
             ON b.account = s.account WHERE b.amount IS DISTINCT FROM s.amount",
            &[],
        )
        .await?;
    client.batch_execute("COMMIT").await?;
    let (moved, rows): (i64, i64) = (moved.get(0), moved.get(1));
    let total: i64 = total.get(0);
    assert_eq!(total, 0, "money has come or gone after {rows} rows");
    assert_eq!(
        wrong.get::<_, i64>(0),
        0,
        "a balance is not credits less debits"
    );
    assert_eq!(moved, rows, "every transfer moves 1");
    Ok(rows)
}

/// Reads until all is written and enough was read.
async fn read(run: Arc<Run>) {
    let mut client = connect(run.port).await;
    let mut seen = 0;
    loop {
        let last =
            run.done.load(Ordering::Acquire) && run.reads.load(Ordering::Acquire) >= run.wanted;
        match read_once(&client).await {
            Ok(rows) => {
                assert!(rows >= seen, "{rows} rows after {seen}");
                seen = rows;
                run.reads.fetch_add(1, Ordering::AcqRel);
            }
            Err(error) => client = again(run.port, &error).await,
        }
        if last {
            return;
        }
    }
}

async fn set_up(folder: &Path, port: u16) -> Server {
    let server = Server::start(folder, port);
    let client = connect(port).await;
    client
        .batch_execute(
            "CREATE TABLE transfers (id BIGINT PRIMARY KEY, src BIGINT, dst BIGINT, amount BIGINT, at BIGINT) WITH (partitions = '3');
             INSERT INTO transfers VALUES (-1, 0, 1, 1, 0);
             CREATE MATERIALIZED VIEW credits AS SELECT dst AS account, CAST(sum(amount) AS BIGINT) AS amount FROM transfers GROUP BY dst;
             CREATE MATERIALIZED VIEW debits AS SELECT src AS account, CAST(sum(amount) AS BIGINT) AS amount FROM transfers GROUP BY src;
             CREATE MATERIALIZED VIEW balance AS
                 SELECT coalesce(c.account, d.account) AS account, coalesce(c.amount, 0) - coalesce(d.amount, 0) AS amount
                 FROM credits c FULL JOIN debits d ON c.account = d.account;
             CREATE MATERIALIZED VIEW total AS SELECT CAST(sum(amount) AS BIGINT) AS total FROM balance;
             CREATE MATERIALIZED VIEW moved AS SELECT CAST(sum(amount) AS BIGINT) AS moved, count(*) AS rows FROM transfers",
        )
        .await
        .unwrap();
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_never_see_money_come_or_go() {
    let each = asked("LOTIC_TRANSFERS", 1_000) / WRITERS / BATCH * BATCH;
    let kills = asked("LOTIC_KILLS", 2);
    let folder = tempfile::tempdir().unwrap();
    let run = Arc::new(Run {
        port: free_port(),
        written: AtomicU64::new(0),
        reads: AtomicU64::new(0),
        done: AtomicBool::new(false),
        wanted: asked("LOTIC_READS", 100),
    });
    let mut server = set_up(folder.path(), run.port).await;
    let readers: Vec<_> = (0..READERS)
        .map(|_| tokio::spawn(read(Arc::clone(&run))))
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(Arc::clone(&run), writer, each)))
        .collect();
    for kill in 1..=kills {
        let at = each * WRITERS * kill / (kills + 1);
        while run.written.load(Ordering::Acquire) < at {
            let stopped = readers.iter().any(JoinHandle::is_finished)
                || writers.iter().all(JoinHandle::is_finished);
            assert!(!stopped, "a task has failed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(server); // SIGKILL
        server = Server::start(folder.path(), run.port);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let client = connect(run.port).await;
    client.batch_execute("FLUSH").await.unwrap();
    run.done.store(true, Ordering::Release);
    for reader in readers {
        reader.await.unwrap();
    }
    let rows: i64 = client
        .query_one("SELECT rows FROM moved", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(rows, i64::try_from(each * WRITERS + 1).unwrap());
    let differing = client.query("CHECK ALL", &[]).await.unwrap();
    assert_eq!(differing.len(), 5);
    for model in differing {
        assert_eq!(model.get::<_, Option<i64>>(1), Some(0), "{model:?}");
    }
    let reads = run.reads.load(Ordering::Acquire);
    println!("{rows} transfers, {kills} kills, {reads} reads of one moment each");
    drop(server);
}

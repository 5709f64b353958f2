//! Models over one table are of one moment: money that only moves is never seen to be more or less.
//!
//! `LOTIC_TRANSFERS=100000` makes it a long test.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use lotic::runtime::{Lotic, Options, Secret, Session};

const ACCOUNTS: u64 = 10;
const WRITERS: u64 = 4;
const READERS: usize = 4;
/// Transfers of one statement.
const BATCH: u64 = 10;

fn options(folder: &Path) -> Options {
    Options {
        data: Some(folder.to_owned()),
        key: Some(Secret::new("b2".repeat(32))),
        password: Some(Secret::new("a password of the tests".to_owned())),
        ..Options::default()
    }
}

async fn run(lotic: &Arc<Lotic>, sql: &str) {
    lotic.session("lotic").run(sql).await.unwrap();
}

/// All values of a row of numbers.
async fn row(session: &mut Session, sql: &str) -> Vec<i64> {
    let answers = session.run(sql).await.unwrap();
    let batches = &answers.last().unwrap().1;
    let batch = batches.iter().find(|batch| batch.num_rows() > 0).unwrap();
    batch
        .columns()
        .iter()
        .map(|column| column.as_primitive::<Int64Type>().value(0))
        .collect()
}

/// Transfers of 1 from account to account, in an order that is no order of time.
async fn write(lotic: Arc<Lotic>, writer: u64, transfers: u64) {
    let mut state = writer + 1;
    let mut next = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut session = lotic.session("lotic");
    for _ in 0..transfers / WRITERS / BATCH {
        let rows: Vec<String> = (0..BATCH)
            .map(|_| {
                let (from, to, at) = (next(ACCOUNTS), next(ACCOUNTS), next(1_000_000));
                format!("({from}, {to}, 1, {at})")
            })
            .collect();
        let sql = format!("INSERT INTO transfers VALUES {}", rows.join(", "));
        session.run(&sql).await.unwrap();
    }
}

/// Reads every model in one block as long as rows come. Gives the number of reads.
async fn read(lotic: Arc<Lotic>, done: Arc<AtomicBool>) -> usize {
    let mut session = lotic.session("lotic");
    let (mut reads, mut seen) = (0, 0);
    loop {
        let last = done.load(Ordering::Acquire);
        session.run("BEGIN").await.unwrap();
        let total = row(&mut session, "SELECT total, accounts FROM total").await;
        let moved = row(&mut session, "SELECT moved, rows FROM moved").await;
        let wrong = row(
            &mut session,
            "SELECT count(*) FROM balance b FULL JOIN (
                 SELECT coalesce(c.account, d.account) AS account,
                        coalesce(c.amount, 0) - coalesce(d.amount, 0) AS amount
                 FROM credits c FULL JOIN debits d ON c.account = d.account) s
             ON b.account = s.account WHERE b.amount IS DISTINCT FROM s.amount",
        )
        .await;
        session.run("COMMIT").await.unwrap();
        assert_eq!(
            total[0], 0,
            "money has come or gone after {} rows",
            moved[1]
        );
        assert_eq!(wrong, [0], "a balance is not credits less debits");
        assert_eq!(moved[0], moved[1], "every transfer moves 1");
        assert!(moved[1] >= seen, "{} rows after {seen}", moved[1]);
        seen = moved[1];
        reads += 1;
        if last {
            return reads;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_never_see_money_come_or_go() {
    let asked = std::env::var("LOTIC_TRANSFERS").ok();
    let transfers: u64 = asked.map_or(1_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let lotic = Lotic::open(options(folder.path())).await.unwrap();
    run(
        &lotic,
        "CREATE TABLE transfers (src BIGINT, dst BIGINT, amount BIGINT, at BIGINT) WITH (partitions = '3');
         INSERT INTO transfers VALUES (0, 1, 1, 0);
         CREATE MATERIALIZED VIEW credits AS SELECT dst AS account, sum(amount) AS amount FROM transfers GROUP BY dst;
         CREATE MATERIALIZED VIEW debits AS SELECT src AS account, sum(amount) AS amount FROM transfers GROUP BY src;
         CREATE MATERIALIZED VIEW balance AS
             SELECT coalesce(c.account, d.account) AS account, coalesce(c.amount, 0) - coalesce(d.amount, 0) AS amount
             FROM credits c FULL JOIN debits d ON c.account = d.account;
         CREATE MATERIALIZED VIEW total AS SELECT sum(amount) AS total, count(*) AS accounts FROM balance;
         CREATE MATERIALIZED VIEW moved AS SELECT sum(amount) AS moved, count(*) AS rows FROM transfers",
    )
    .await;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..READERS)
        .map(|_| tokio::spawn(read(Arc::clone(&lotic), Arc::clone(&done))))
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(Arc::clone(&lotic), writer, transfers)))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    run(&lotic, "FLUSH").await;
    done.store(true, Ordering::Release);
    let mut reads = 0;
    for reader in readers {
        reads += reader.await.unwrap();
    }
    println!("{transfers} transfers, {reads} reads of one moment each");
    assert!(reads > READERS, "readers ran beside the writers");
    lotic.shutdown().await;
    drop(lotic);

    // a restart fills the models anew, and they agree again
    let lotic = Lotic::open(options(folder.path())).await.unwrap();
    let written = 1 + transfers / WRITERS / BATCH * BATCH * WRITERS;
    let mut session = lotic.session("lotic");
    let moved = row(&mut session, "SELECT moved, rows FROM moved").await;
    assert_eq!(moved, [i64::try_from(written).unwrap(); 2]);
    read(Arc::clone(&lotic), Arc::new(AtomicBool::new(true))).await;
    lotic.shutdown().await;
}

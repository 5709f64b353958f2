//! Both query protocols: answers, errors, pieces, cancels, and memory that stays flat.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, pin_mut};
use tokio::time::Instant;

use super::super::options::{Login, Options};
use super::fake::{BATCH, client, eventually, serve};
use super::raw::{Raw, code, message, run, sync};

fn trusting() -> Options {
    Options {
        login: Login::TrustLoopback,
        ..Options::default()
    }
}

fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

#[tokio::test]
async fn simple_queries_run_statement_by_statement_until_an_error() {
    let (server, _fake) = serve(trusting()).await;
    let mut raw = Raw::trusted(&server).await;
    for (sql, wanted) in [
        ("", "IZ"),
        (" ; ;", "IZ"),
        ("rows 2", "TDDCZ"),
        ("rows 1; insert", "TDCCZ"),
        ("insert; fail; insert", "CEZ"),
        ("notice", "NCZ"),
        ("timezone", "SCZ"),
        ("syntax", "EZ"),
        ("unknown x", "EZ"),
        ("rows 1 fail", "TDEZ"),
        ("echo int8", "EZ"),
        ("begin", "CZ"),
        ("commit", "CZ"),
    ] {
        raw.send(&query(sql)).await;
        assert_eq!(raw.kinds().await, wanted, "{sql}");
    }
    raw.send(&query("begin")).await;
    assert_eq!(raw.until(b'Z').await.last().unwrap().1, b"T");
}

#[tokio::test]
async fn errors_carry_code_detail_and_hint() {
    let (server, _fake) = serve(Options::default()).await;
    let client = client(&server).await;
    let error = client.simple_query("fail").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "22023");
    assert_eq!(error.message(), "it failed");
    assert_eq!(
        (error.detail(), error.hint()),
        (Some("a detail"), Some("a hint"))
    );
    assert_eq!(client.simple_query("insert").await.unwrap().len(), 1);
}

#[tokio::test]
async fn parameters_go_in_and_come_back_in_binary() {
    let (server, _fake) = serve(Options::default()).await;
    let client = client(&server).await;
    let row = client
        .query_one(
            "echo int8 text int8s",
            &[&7_i64, &"a b", &vec![Some(1_i64), None]],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 7);
    assert_eq!(row.get::<_, &str>(1), "a b");
    assert_eq!(row.get::<_, Vec<Option<i64>>>(2), [Some(1), None]);
    let none: Option<i64> = None;
    let row = client.query_one("echo int8", &[&none]).await.unwrap();
    assert_eq!(row.get::<_, Option<i64>>(0), None);
}

#[tokio::test]
async fn any_max_rows_is_answered_and_nothing_is_allocated_by_it() {
    let (server, _fake) = serve(trusting()).await;
    let mut raw = Raw::trusted(&server).await;
    for (max_rows, wanted) in [
        (0, "12DDDCZ"),
        (-1, "12DDDCZ"),
        (i32::MIN, "12DDDCZ"),
        (i32::MAX, "12DDDCZ"),
        (4, "12DDDCZ"),
        (3, "12DDDsZ"),
        (1, "12DsZ"),
    ] {
        raw.send(&[run("rows 3", max_rows), sync()].concat()).await;
        assert_eq!(raw.kinds().await, wanted, "{max_rows}");
    }
}

#[tokio::test]
async fn a_suspended_portal_goes_on_where_it_stopped() {
    let (server, fake) = serve(Options::default()).await;
    let mut client = client(&server).await;
    let transaction = client.transaction().await.unwrap();
    let statement = transaction.prepare("rows 20000").await.unwrap();
    let portal = transaction.bind(&statement, &[]).await.unwrap();
    let mut ids = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 5_000).await.unwrap();
        if rows.is_empty() {
            break;
        }
        ids.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
        if ids.len() == 5_000 {
            // Only what was asked for has been computed.
            assert_eq!(fake.seen.rows.load(Ordering::Relaxed), BATCH.unsigned_abs());
        }
    }
    assert_eq!(ids, (0..20_000).collect::<Vec<i64>>());
}

#[tokio::test]
async fn after_an_error_everything_up_to_sync_is_ignored() {
    let (server, _fake) = serve(trusting()).await;
    let mut raw = Raw::trusted(&server).await;
    raw.send(&[run("fail", 0), run("insert", 0), query("insert"), sync()].concat())
        .await;
    assert_eq!(raw.kinds().await, "12EZ");
    raw.send(&[run("insert", 0), sync()].concat()).await;
    assert_eq!(raw.kinds().await, "12CZ");
    for (bad, wanted) in [
        (message(b'E', b"none\0\0\0\0\0"), "34000"),
        (message(b'D', b"Snone\0"), "26000"),
        (message(b'B', b"\0none\0\0\0\0\0\0\0"), "26000"),
        (message(b'P', b"\0insert; insert\0\0\0"), "42601"),
        (message(b'B', b"\0\0\0\0"), "08P01"),
    ] {
        raw.send(&[bad, sync()].concat()).await;
        let messages = raw.until(b'Z').await;
        assert_eq!(code(&messages[0].1), wanted);
    }
    let named = message(b'P', b"s\0insert\0\0\0");
    raw.send(&[named.clone(), named, sync()].concat()).await;
    assert_eq!(raw.kinds().await, "1EZ");
    raw.send(&[message(b'C', b"Ss\0"), message(b'C', b"Ss\0"), sync()].concat())
        .await;
    assert_eq!(raw.kinds().await, "33Z");
}

#[tokio::test]
async fn a_portal_that_is_at_its_end_has_no_more_rows() {
    let (server, _fake) = serve(trusting()).await;
    let mut raw = Raw::trusted(&server).await;
    let again = message(b'E', b"\0\0\0\0\0");
    raw.send(&[run("rows 2", 0), again, sync()].concat()).await;
    let messages = raw.until(b'Z').await;
    let tags = messages
        .iter()
        .filter(|(kind, _)| *kind == b'C')
        .map(|(_, tag)| tag.as_slice());
    assert_eq!(tags.collect::<Vec<_>>(), [b"SELECT 2\0", b"SELECT 0\0"]);
}

#[tokio::test]
async fn flush_answers_without_sync_and_empty_statements_say_so() {
    let (server, _fake) = serve(trusting()).await;
    let mut raw = Raw::trusted(&server).await;
    raw.send(
        &[
            message(b'P', b"\0\0\0\0"),
            message(b'D', b"S\0"),
            message(b'H', b""),
        ]
        .concat(),
    )
    .await;
    let kinds: Vec<u8> = [raw.next().await, raw.next().await, raw.next().await]
        .into_iter()
        .map(|message| message.unwrap().0)
        .collect();
    assert_eq!(kinds, b"1tn");
    raw.send(&[run("", 0), sync()].concat()).await;
    assert_eq!(raw.kinds().await, "12IZ");
}

#[tokio::test]
async fn a_stream_that_waits_gives_its_first_rows_at_once() {
    let (server, _fake) = serve(Options::default()).await;
    let client = client(&server).await;
    let none: [i64; 0] = [];
    let rows = client.query_raw("rows 3 hang", none).await.unwrap();
    pin_mut!(rows);
    for id in 0..3 {
        let row = tokio::time::timeout(Duration::from_secs(5), rows.next())
            .await
            .unwrap();
        assert_eq!(row.unwrap().unwrap().get::<_, i64>(0), id);
    }
    client
        .cancel_token()
        .cancel_query(tokio_postgres::NoTls)
        .await
        .unwrap();
    let error = rows.next().await.unwrap().unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57014");
    assert_eq!(client.query("rows 2", &[]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn two_million_rows_stream_without_being_collected() {
    let (server, fake) = serve(Options::default()).await;
    let client = client(&server).await;
    let none: [i64; 0] = [];
    let began = Instant::now();
    let rows = client.query_raw("rows 2000000", none).await.unwrap();
    pin_mut!(rows);
    rows.next().await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    // A client that does not read stops the engine: what is under way is buffers of sockets.
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = fake.seen.rows.load(Ordering::Relaxed);
        if now == before {
            break;
        }
        before = now;
    }
    assert!(
        before < 1_500_000,
        "{before} rows computed for a client that reads none"
    );
    let rest = rows
        .try_fold(0_u64, |sum, _| async move { Ok(sum + 1) })
        .await
        .unwrap();
    assert_eq!(rest, 1_999_999);
}

#[tokio::test]
async fn cancels_reach_what_runs_and_wrong_keys_reach_nothing() {
    let (server, fake) = serve(trusting()).await;
    let mut raw = Raw::connect(&server).await;
    raw.send(&super::raw::start_up(&[("user", "ada")])).await;
    let messages = raw.until(b'Z').await;
    let key = messages
        .iter()
        .find(|(kind, _)| *kind == b'K')
        .unwrap()
        .1
        .clone();
    let cancel = |key: &[u8]| [&[0, 0, 0, 16, 4, 210, 22, 46], key].concat();
    raw.send(&query("hang")).await;
    let mut wrong = key.clone();
    wrong[7] ^= 1;
    for bytes in [cancel(&wrong), cancel(&[0; 8]), cancel(&key[..4])] {
        let mut other = Raw::connect(&server).await;
        other.send(&bytes).await;
        assert!(other.next().await.is_none());
    }
    assert_eq!(fake.seen.cancels.load(Ordering::Relaxed), 0);
    let mut other = Raw::connect(&server).await;
    other.send(&cancel(&key)).await;
    assert!(other.next().await.is_none());
    assert_eq!(raw.refusal().await.as_deref(), Some("57014"));
    assert_eq!(raw.kinds().await, "Z");
    // Nothing runs now: the next statement is not touched.
    let mut late = Raw::connect(&server).await;
    late.send(&cancel(&key)).await;
    assert!(late.next().await.is_none());
    raw.send(&query("rows 1")).await;
    assert_eq!(raw.kinds().await, "TDCZ");
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_statement() {
    let (server, fake) = serve(trusting()).await;
    for sql in ["hang", "rows 5 hang", "rows 100000000"] {
        let mut raw = Raw::trusted(&server).await;
        raw.send(&query(sql)).await;
        tokio::task::yield_now().await;
        drop(raw);
    }
    eventually(|| server.sessions() == 0).await;
    eventually(|| fake.seen.dropped.load(Ordering::Relaxed) == 2).await;
}

#[tokio::test]
async fn a_panic_ends_its_own_session_with_a_word() {
    let (server, _fake) = serve(trusting()).await;
    let mut good = Raw::trusted(&server).await;
    let mut bad = Raw::trusted(&server).await;
    bad.send(&query("panic")).await;
    assert_eq!(bad.refusal().await.as_deref(), Some("XX000"));
    assert!(bad.next().await.is_none());
    good.send(&query("rows 1")).await;
    assert_eq!(good.kinds().await, "TDCZ");
}

#[tokio::test]
async fn shutdown_says_goodbye_to_the_idle_and_waits_for_the_busy() {
    let (server, _fake) = serve(trusting()).await;
    let mut idle = Raw::trusted(&server).await;
    let mut busy = Raw::trusted(&server).await;
    busy.send(&query("rows 1 hang")).await;
    busy.until(b'D').await;
    let address = server.address();
    let down = server.shutdown(Duration::from_millis(200));
    let (_, goodbye) = tokio::join!(down, idle.refusal());
    assert_eq!(goodbye.as_deref(), Some("57P01"));
    assert_eq!(busy.refusal().await.as_deref(), Some("57014"));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

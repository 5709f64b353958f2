//! Clients that mean harm: they are answered or closed, and the others notice nothing.

use std::time::Duration;

use super::super::options::{Limits, Login, Options};
use super::fake::{client, serve};
use super::raw::{Raw, message, run, start_up, sync};

fn options(limits: Limits) -> Options {
    Options {
        login: Login::TrustLoopback,
        limits,
        ..Options::default()
    }
}

#[tokio::test]
async fn start_up_packets_with_impossible_lengths_are_refused() {
    let (server, _fake) = serve(Options::default()).await;
    for length in [0_u32, 3, 7, 10_001, i32::MAX.unsigned_abs(), u32::MAX] {
        let mut raw = Raw::connect(&server).await;
        raw.send(&length.to_be_bytes()).await;
        assert_eq!(raw.refusal().await.as_deref(), Some("08P01"), "{length}");
        assert!(raw.next().await.is_none());
    }
    for body in [
        &b"\0\x03\0\0user\0ada"[..],
        b"\0\x03\0\0\0\0\0",
        b"\0\x02\0\0\0",
        b"\xff\xff\xff\xff\0",
    ] {
        let mut raw = Raw::connect(&server).await;
        let length = u32::try_from(body.len() + 4).unwrap();
        raw.send(&[&length.to_be_bytes()[..], body].concat()).await;
        assert!(raw.refusal().await.is_some());
    }
}

#[tokio::test]
async fn messages_with_impossible_lengths_end_their_connection() {
    let (server, _fake) = serve(options(Limits::default())).await;
    for (kind, length) in [
        (b'Q', -1_i32),
        (b'Q', 0),
        (b'Q', 3),
        (b'Q', i32::MAX),
        (b'd', 65 << 20),
        (b'E', 20_000),
        (b'!', 4),
        (0, 4),
    ] {
        let mut raw = Raw::trusted(&server).await;
        raw.send(&[&[kind][..], &length.to_be_bytes()].concat())
            .await;
        assert_eq!(
            raw.refusal().await.as_deref(),
            Some("08P01"),
            "{kind} {length}"
        );
        assert!(raw.next().await.is_none());
    }
}

#[tokio::test]
async fn silent_and_slow_clients_are_closed_at_the_deadline() {
    let limits = Limits {
        startup_deadline: Duration::from_millis(300),
        message_deadline: Duration::from_millis(300),
        ..Limits::default()
    };
    let (server, _fake) = serve(options(limits)).await;
    let mut silent = Raw::connect(&server).await;
    let mut begun = Raw::connect(&server).await;
    begun.send(&start_up(&[("user", "ada")])[..9]).await;
    assert!(silent.next().await.is_none() && begun.next().await.is_none());
    let mut slow = Raw::trusted(&server).await;
    slow.send(b"Q\0\0\x01\0aaa").await;
    assert_eq!(slow.refusal().await.as_deref(), Some("08P01"));
}

#[tokio::test]
async fn a_crowd_of_half_open_connections_keeps_nobody_out() {
    let limits = Limits {
        pending: 50,
        ..Limits::default()
    };
    let (server, _fake) = serve(Options {
        limits,
        ..Options::default()
    })
    .await;
    let mut crowd = Vec::new();
    for _ in 0..300 {
        crowd.push(Raw::connect(&server).await);
    }
    for _ in 0..5 {
        let one = client(&server).await;
        assert_eq!(one.query("rows 1", &[]).await.unwrap().len(), 1);
        crowd.push(Raw::connect(&server).await);
    }
}

#[tokio::test]
async fn long_messages_share_one_budget() {
    let limits = Limits {
        buffered_bytes: 4 << 20,
        ..Limits::default()
    };
    let (server, _fake) = serve(options(limits)).await;
    let mut greedy = Raw::trusted(&server).await;
    greedy
        .send(&[&b"Q"[..], &(8_i32 << 20).to_be_bytes()].concat())
        .await;
    let chunk = vec![b'a'; 1 << 20];
    for _ in 0..8 {
        if tokio::io::AsyncWriteExt::write_all(&mut greedy.socket, &chunk)
            .await
            .is_err()
        {
            break;
        }
    }
    let mut other = Raw::trusted(&server).await;
    other.send(&message(b'Q', b"rows 1\0")).await;
    assert_eq!(other.kinds().await, "TDCZ");
}

#[tokio::test]
async fn statements_and_portals_have_a_cap() {
    let limits = Limits {
        statements: 10,
        portals: 10,
        ..Limits::default()
    };
    let (server, _fake) = serve(options(limits)).await;
    let mut raw = Raw::trusted(&server).await;
    for number in 0..10 {
        raw.send(&message(
            b'P',
            format!("s{number}\0insert\0\0\0").as_bytes(),
        ))
        .await;
    }
    raw.send(&[message(b'P', b"more\0insert\0\0\0"), sync()].concat())
        .await;
    assert_eq!(raw.kinds().await, "1111111111EZ");
    raw.send(&message(b'Q', b"begin\0")).await;
    raw.kinds().await;
    for number in 0..10 {
        raw.send(&message(
            b'B',
            format!("p{number}\0s0\0\0\0\0\0\0\0").as_bytes(),
        ))
        .await;
    }
    raw.send(&[message(b'B', b"more\0s0\0\0\0\0\0\0\0"), sync()].concat())
        .await;
    assert_eq!(raw.kinds().await, "2222222222EZ");
    let name = vec![b'n'; 1 << 20];
    raw.send(
        &[
            message(b'P', &[&name[..], b"\0insert\0\0\0"].concat()),
            sync(),
        ]
        .concat(),
    )
    .await;
    assert_eq!(raw.kinds().await, "EZ");
    raw.send(&[run("rows 1", 0), sync()].concat()).await;
    assert_eq!(raw.kinds().await, "EZ");
}

#[tokio::test]
async fn as_many_parameters_as_can_be_counted_are_bound() {
    let (server, _fake) = serve(options(Limits::default())).await;
    let mut raw = Raw::trusted(&server).await;
    let sql = format!("echo{}", " text".repeat(65_535));
    raw.send(&message(b'P', format!("\0{sql}\0\0\0").as_bytes()))
        .await;
    raw.send(&sync()).await;
    // 65,535 columns are over what a row can count, and that is an error like any other.
    assert_eq!(raw.kinds().await, "EZ");
    let values = [0xff_u8; 4 * 65_535];
    let bind = [&b"\0\0\0\0\xff\xff"[..], &values, b"\0\0"].concat();
    raw.send(
        &[
            message(b'P', b"\0insert\0\0\0"),
            message(b'B', &bind),
            sync(),
        ]
        .concat(),
    )
    .await;
    assert_eq!(raw.kinds().await, "1EZ");
}

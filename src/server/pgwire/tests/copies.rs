//! COPY both ways, in both protocols, and every way it can break off.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt, pin_mut};

use super::super::options::{Login, Options};
use super::fake::{client, eventually, serve};
use super::raw::{Raw, message, run, sync};

fn trusting() -> Options {
    Options {
        login: Login::TrustLoopback,
        ..Options::default()
    }
}

#[tokio::test]
async fn a_driver_copies_in_and_out() {
    let (server, fake) = serve(Options::default()).await;
    let client = client(&server).await;
    let sink = client.copy_in("copyin").await.unwrap();
    pin_mut!(sink);
    for row in 0..1_000 {
        sink.send(Bytes::from(format!("{row}\n"))).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 1_000);
    assert!(
        fake.seen
            .copied
            .lock()
            .as_ref()
            .unwrap()
            .starts_with(b"0\n1\n2\n")
    );
    let out = client.copy_out("copyout 100000").await.unwrap();
    let bytes = out
        .try_fold(0, |sum, piece| async move { Ok(sum + piece.len()) })
        .await
        .unwrap();
    assert_eq!(
        bytes,
        (0..100_000)
            .map(|row: u32| row.to_string().len() + 1)
            .sum::<usize>()
    );
}

#[tokio::test]
async fn simple_copies_end_done_failed_or_refused() {
    let (server, fake) = serve(trusting()).await;
    let mut raw = Raw::trusted(&server).await;
    let start = message(b'Q', b"copyin; insert\0");
    let (row, bad) = (message(b'd', b"a\n"), message(b'd', b"bad\n"));
    let (done, fail) = (message(b'c', b""), message(b'f', b"no more\0"));
    let wrong = message(b'Q', b"insert\0");
    let kept = || fake.seen.copied.lock().take();
    for (rest, answers, wanted) in [
        ([&row, &row, &done].as_slice(), "GCCZ", Some(&b"a\na\n"[..])),
        (&[&row, &fail], "GEZ", None),
        (&[&row, &bad, &row, &done], "GEZ", None),
        (&[&row, &wrong], "GEZ", None),
        (&[&message(b'H', b""), &sync(), &done], "GCCZ", Some(b"")),
    ] {
        let bytes: Vec<u8> = rest.iter().flat_map(|part| part.iter().copied()).collect();
        raw.send(&[start.clone(), bytes].concat()).await;
        assert_eq!(raw.kinds().await, answers);
        assert_eq!(kept().as_deref(), wanted);
    }
    assert_eq!(fake.seen.abandoned.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn extended_copies_skip_to_sync_after_an_error() {
    let (server, fake) = serve(trusting()).await;
    let mut raw = Raw::trusted(&server).await;
    let (row, done) = (message(b'd', b"a\n"), message(b'c', b""));
    // libpq sends its Sync with the Execute, and a second one after the data.
    let good = [run("copyin", 0), sync(), row.clone(), done.clone(), sync()].concat();
    raw.send(&good).await;
    assert_eq!(raw.kinds().await, "12GCZ");
    let bad = [run("copyin", 0), row, message(b'f', b"no\0"), done, sync()].concat();
    raw.send(&bad).await;
    assert_eq!(raw.kinds().await, "12GEZ");
    assert_eq!(fake.seen.abandoned.load(Ordering::Relaxed), 1);
    raw.send(&[run("copyout 2", 0), sync()].concat()).await;
    assert_eq!(raw.kinds().await, "12HddcCZ");
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_has_copied_nothing() {
    let (server, fake) = serve(trusting()).await;
    let mut raw = Raw::trusted(&server).await;
    raw.send(&[message(b'Q', b"copyin\0"), message(b'd', b"a\n")].concat())
        .await;
    raw.until(b'G').await;
    drop(raw);
    eventually(|| fake.seen.abandoned.load(Ordering::Relaxed) == 1).await;
    assert!(fake.seen.copied.lock().is_none());
}

//! Who gets in, who does not, and what either learns.

use std::path::Path;
use std::time::Duration;

use super::super::options::{Limits, Login, Options};
use super::fake::{client, eventually, serve};
use super::raw::{Raw, start_up};
use crate::server::tls::Tls;

fn config(port: u16, user: &str, password: &str) -> String {
    format!("host=127.0.0.1 port={port} user={user} password={password} dbname=lotic")
}

async fn refused(port: u16, user: &str, password: &str) -> (String, String) {
    let text = config(port, user, password);
    let Err(error) = tokio_postgres::connect(&text, tokio_postgres::NoTls).await else {
        panic!("{user} got in")
    };
    let error = error.as_db_error().unwrap();
    (error.code().code().to_owned(), error.message().to_owned())
}

#[tokio::test]
async fn right_passwords_get_in_and_wrong_and_unknown_look_alike() {
    let (server, _fake) = serve(Options::default()).await;
    let good = client(&server).await;
    assert_eq!(good.query("rows 3", &[]).await.unwrap().len(), 3);
    assert_eq!(server.sessions(), 1);
    let port = server.address().port();
    let wrong = refused(port, "ada", "pen").await;
    let unknown = refused(port, "eve", "pen").await;
    assert_eq!(wrong.0, "28P01");
    assert_eq!(wrong.0, unknown.0);
    assert_eq!(wrong.1.replace("ada", "eve"), unknown.1);
    drop(good);
    eventually(|| server.sessions() == 0).await;
}

#[tokio::test]
async fn an_address_that_guesses_is_made_to_wait() {
    let (server, _fake) = serve(Options::default()).await;
    let port = server.address().port();
    for _ in 0..5 {
        refused(port, "ada", "guess").await;
    }
    let began = tokio::time::Instant::now();
    refused(port, "ada", "guess").await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    for _ in 0..4 {
        refused(port, "ada", "guess").await;
    }
    let (code, message) = refused(port, "ada", "pencil").await;
    assert_eq!(code, "28000");
    assert!(message.contains("too many failed logins"));
}

#[tokio::test]
async fn trust_is_for_this_machine_and_by_name_only() {
    let options = Options {
        login: Login::TrustLoopback,
        ..Options::default()
    };
    let (server, _fake) = serve(options).await;
    let _in = Raw::trusted(&server).await;
    let (strict, _fake) = serve(Options::default()).await;
    let mut raw = Raw::connect(&strict).await;
    raw.send(&start_up(&[("user", "ada")])).await;
    let (kind, body) = raw.next().await.unwrap();
    assert_eq!((kind, &body[..4]), (b'R', &[0, 0, 0, 10][..]));
}

#[tokio::test]
async fn places_are_limited_and_some_are_kept_for_superusers() {
    let limits = Limits {
        connections: 2,
        reserved: 1,
        ..Limits::default()
    };
    let (server, _fake) = serve(Options {
        limits,
        ..Options::default()
    })
    .await;
    let port = server.address().port();
    let text = config(port, "bob", "pencil");
    let (_bob, _task) = tokio_postgres::connect(&text, tokio_postgres::NoTls)
        .await
        .unwrap();
    assert_eq!(refused(port, "bob", "pencil").await.0, "53300");
    let _ada = client(&server).await;
    assert_eq!(refused(port, "ada", "pencil").await.0, "53300");
}

#[tokio::test]
async fn start_up_says_who_we_are_and_refuses_what_is_not_served() {
    let options = Options {
        login: Login::TrustLoopback,
        ..Options::default()
    };
    let (server, _fake) = serve(options).await;
    for (settings, wanted) in [
        (&[][..], "28000"),
        (&[("user", "ada"), ("replication", "true")], "0A000"),
        (&[("user", "ada"), ("client_encoding", "LATIN1")], "22023"),
        (&[("user", "ada"), ("database", "nowhere")], "3D000"),
    ] {
        let mut raw = Raw::connect(&server).await;
        raw.send(&start_up(settings)).await;
        assert_eq!(raw.refusal().await.as_deref(), Some(wanted));
    }
    let mut raw = Raw::connect(&server).await;
    raw.send(&start_up(&[("user", "ada"), ("application_name", "test")]))
        .await;
    let messages = raw.until(b'Z').await;
    let told = |text: &str| {
        messages
            .iter()
            .any(|(kind, body)| *kind == b'S' && body.starts_with(text.as_bytes()))
    };
    for text in [
        "server_version\x0015.0 (Lotic ",
        "client_encoding\0UTF8",
        "DateStyle\0ISO",
        "integer_datetimes\0on",
        "is_superuser\0on",
        "application_name\0test",
    ] {
        assert!(told(text), "{text}");
    }
    assert!(
        messages
            .iter()
            .any(|(kind, body)| *kind == b'K' && body.len() == 8)
    );
}

pub(super) fn tls() -> Tls {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tls");
    Tls::load(&folder.join("server.crt"), &folder.join("server.key")).unwrap()
}

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

#[tokio::test]
async fn encryption_requests_are_answered_and_never_followed_by_clear_bytes() {
    let (clear, _fake) = serve(Options::default()).await;
    let mut raw = Raw::connect(&clear).await;
    for request in [[0, 0, 0, 8, 4, 210, 22, 48], SSL_REQUEST] {
        raw.send(&request).await;
        let mut answer = [0];
        tokio::io::AsyncReadExt::read_exact(&mut raw.socket, &mut answer)
            .await
            .unwrap();
        assert_eq!(&answer, b"N");
    }
    let options = Options {
        tls: Some(tls()),
        require_tls: true,
        ..Options::default()
    };
    let (server, _fake) = serve(options).await;
    let mut raw = Raw::connect(&server).await;
    raw.send(&[&SSL_REQUEST[..], &start_up(&[("user", "ada")])].concat())
        .await;
    assert_eq!(raw.refusal().await.as_deref(), Some("08P01"));
    let mut raw = Raw::connect(&server).await;
    raw.send(&start_up(&[("user", "ada")])).await;
    assert_eq!(raw.refusal().await.as_deref(), Some("28000"));
}

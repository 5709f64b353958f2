//! The real psql, where this machine has one: TLS with channel binding, COPY, types, errors.

use std::process::Command;

use super::super::options::Options;
use super::fake::serve;
use super::logins::tls;

/// What psql says, or nothing when there is no psql here.
async fn psql(conninfo: String, commands: &'static [&'static str]) -> Option<(String, String)> {
    let run = move || {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-v", "ON_ERROR_STOP=0", &conninfo])
            .env("PGPASSWORD", "pencil");
        for command in commands {
            psql.args(["-c", command]);
        }
        psql.output().ok()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap()?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Some((text(output.stdout), text(output.stderr)))
}

#[tokio::test]
async fn psql_speaks_with_us_over_tls_bound_to_the_channel() {
    let options = Options {
        tls: Some(tls()),
        require_tls: true,
        ..Options::default()
    };
    let (server, fake) = serve(options).await;
    let port = server.address().port();
    let conninfo = format!(
        "host=127.0.0.1 port={port} user=ada dbname=lotic sslmode=require channel_binding=require"
    );
    let commands = &[
        "rows 3",
        "fail",
        "\\copy (copyout) from '/dev/null'",
        "copyout 2",
        "\\conninfo",
    ];
    let Some((out, err)) = psql(conninfo, commands).await else {
        return;
    };
    assert!(out.contains("  1 | row 1\n"), "{out}{err}");
    assert!(
        out.contains("(3 rows)") && out.contains("0\n1\n"),
        "{out}{err}"
    );
    assert!(out.contains("SSL connection"), "{out}");
    assert!(
        err.contains("ERROR:  it failed\nDETAIL:  a detail\nHINT:  a hint"),
        "{err}"
    );
    drop(fake);
}

#[tokio::test]
async fn psql_with_a_wrong_password_is_told_so() {
    let (server, _fake) = serve(Options::default()).await;
    let port = server.address().port();
    let conninfo = format!("host=127.0.0.1 port={port} user=eve dbname=lotic");
    let Some((_, err)) = psql(conninfo, &["rows 3"]).await else {
        return;
    };
    assert!(
        err.contains("FATAL:  password authentication failed for user \"eve\""),
        "{err}"
    );
}

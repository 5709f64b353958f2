//! `lotic check` against a running server, and where a running server has the data folder.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn lotic(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lotic"));
    command
        .current_dir(folder)
        .env_remove("LOTIC_PASSWORD")
        .env_remove("PGPASSWORD");
    command
}

/// The exit code and what was said, but for the progress that a slow machine is shown.
fn check(folder: &Path, arguments: &[&str], password: Option<&str>) -> (i32, String) {
    let mut command = lotic(folder);
    command.arg("check").args(arguments);
    if let Some(password) = password {
        command.env("LOTIC_PASSWORD", password);
    }
    let Output { status, stderr, .. } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stderr);
    // which tells of the time spent last
    let is_progress = |line: &str| line.trim_end().ends_with(" s");
    let told = text.split_inclusive('\n').filter(|line| !is_progress(line));
    (status.code().unwrap(), told.collect())
}

#[test]
fn a_running_server_is_asked_with_the_password_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    std::fs::write(
        folder.path().join("p.sql"),
        "CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2);
         CREATE MATERIALIZED VIEW one AS SELECT sum(a) AS s FROM t;
         CREATE MATERIALIZED VIEW two AS SELECT count(*) AS n FROM one;",
    )
    .unwrap();
    let child = lotic(folder.path())
        .args([
            "serve", "p.sql", "--http", "off", "--quiet", "--pg", &address,
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server(child);
    let mut told = check(folder.path(), &["--pg", &address], None);
    for _ in 0..600 {
        if !told.1.contains("is away") && !told.1.contains("asks for a password") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        told = check(folder.path(), &["--pg", &address], None);
    }
    assert_eq!(told, (0, "one: equal\ntwo: equal\n".to_owned()));
    assert_eq!(
        check(folder.path(), &["--pg", &address, "--quiet"], None),
        (0, String::new())
    );

    let (code, text) = check(folder.path(), &["--pg", &address], Some("not the password"));
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("LOTIC_PASSWORD") && !text.contains("not the password"),
        "{text}"
    );

    let (code, text) = check(folder.path(), &[], None);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("in use by another process"), "{text}");
    assert!(text.contains("lotic check --pg HOST:PORT"), "{text}");
    drop(server);

    let (code, text) = check(folder.path(), &["--pg", &address], None);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains(&format!("server {address} is away")),
        "{text}"
    );
    assert_eq!(check(folder.path(), &["--pg", "nonsense"], None).0, 1);
    assert_eq!(
        check(folder.path(), &[], None),
        (0, "one: equal\ntwo: equal\n".to_owned())
    );
}

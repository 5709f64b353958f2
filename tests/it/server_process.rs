//! A server in a process of its own, which `kill -9` ends.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

/// `lotic serve` without passwords. `LOTIC_BIN` names another binary, such as a release build. It gets a SIGKILL where this is dropped.
pub(super) struct Server(Child);

impl Server {
    pub(super) fn start(folder: &Path, port: u16) -> Self {
        let built = env!("CARGO_BIN_EXE_lotic").to_owned();
        let child = Command::new(std::env::var("LOTIC_BIN").unwrap_or(built))
            .args(["serve", "--http", "off", "--quiet", "--trust", "--pg"])
            .arg(format!("127.0.0.1:{port}"))
            .arg("--data")
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A connection to the server at `port`, once there is one.
pub(super) async fn connect(port: u16) -> Client {
    for _ in 0..600 {
        let url = format!("host=127.0.0.1 port={port} user=lotic dbname=lotic");
        if let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await {
            #[expect(clippy::disallowed_methods, reason = "a test's own connection")]
            let task = tokio::spawn(connection);
            drop(task);
            return client;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the server did not start");
}

pub(super) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

//! A PostgreSQL server that a test starts, where one is installed.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A PostgreSQL server of its own in a temporary folder, ended with the test.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where it listens, on this machine.
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown; a killed server would leave its children behind.
        let killed = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        if killed.is_err() {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

/// The newest installed server, as Debian or PATH has it.
fn binaries() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|list| {
            list.flatten()
                .map(|entry| entry.path().join("bin"))
                .collect()
        })
        .unwrap_or_default();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = found.into_iter().rev().chain(std::env::split_paths(&path));
    folders
        .into_iter()
        .find(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
}

/// PostgreSQL refuses to run as root: then it runs as the user `postgres`.
fn command(program: &Path, root: bool) -> Command {
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(program);
    command
}

/// Starts a server, where one is installed; says so where none is.
pub(crate) fn start() -> Option<Server> {
    let Some(bin) = binaries() else {
        println!("skipped: no PostgreSQL server is installed (Debian: apt install postgresql)");
        return None;
    };
    let id = Command::new("id").arg("-u").output().unwrap();
    let root = id.stdout.trim_ascii() == b"0";
    if root
        && !Command::new("id")
            .arg("postgres")
            .output()
            .unwrap()
            .status
            .success()
    {
        println!("skipped: PostgreSQL does not run as root and there is no user postgres");
        return None;
    }
    Some(launch(&bin, root))
}

fn launch(bin: &Path, root: bool) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    if root {
        let owned = Command::new("chown")
            .arg("postgres")
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(owned.success());
    }
    let made = command(&bin.join("initdb"), root)
        .current_dir("/")
        .args([
            "-U",
            "lotic",
            "--auth=trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
            "-D",
        ])
        .arg(&data)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = command(&bin.join("postgres"), root)
        .current_dir("/")
        .args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
            "-p",
            &port.to_string(),
            "-k",
        ])
        .arg(folder.path())
        .arg("-D")
        .arg(&data)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Server {
        child,
        port,
        _folder: folder,
    }
}

impl Server {
    /// Its address, with a password that it does not ask for.
    pub(crate) fn url(&self) -> String {
        format!("postgres://lotic:hunter2@127.0.0.1:{}/postgres", self.port)
    }

    /// Whether the server is no longer there.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

//! A `lotic serve` of its own for a test, and clients that say what they were told.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, SimpleQueryMessage};

/// A server that ends with the test, at the latest.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    folder: PathBuf,
    log: tempfile::NamedTempFile,
}

/// A connection and the notices that it got.
pub(crate) struct Connected {
    pub(crate) client: Client,
    notices: Arc<Mutex<Vec<String>>>,
}

/// What a start that failed said.
pub(crate) struct Refusal {
    pub(crate) status: ExitStatus,
    pub(crate) text: String,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// `lotic serve` over the data folder `data`, what it logs beside the folder.
fn command(data: &Path, port: u16, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lotic"));
    command
        .args(["serve", "--http", "off", "--quiet", "--pg"])
        .arg(format!("127.0.0.1:{port}"))
        .arg("--data")
        .arg(data)
        .args(more)
        .stdout(Stdio::null());
    for name in ["LOTIC_KEY", "LOTIC_KEY_FILE", "LOTIC_CONFIG"] {
        command.env_remove(name);
    }
    command.env("LOTIC_FILES", std::env::temp_dir());
    command.env("LOTIC_PASSWORD", "right");
    command
}

impl Server {
    /// A server that lets everybody of this machine in.
    pub(crate) fn start(data: &Path) -> Self {
        Self::with(data, &["--trust"])
    }

    /// A server with these arguments.
    pub(crate) fn with(data: &Path, more: &[&str]) -> Self {
        let port = free_port();
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = command(data, port, more)
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            port,
            folder: data.to_owned(),
            log,
        }
    }

    /// The same folder served again, after a clean stop.
    pub(crate) fn restarted(mut self) -> Self {
        self.stop();
        Self::start(&self.folder)
    }

    /// The same folder served again, after a SIGKILL.
    pub(crate) fn killed_and_restarted(mut self) -> Self {
        self.kill();
        Self::start(&self.folder)
    }

    /// Ends it by SIGTERM, and waits.
    pub(crate) fn stop(&mut self) {
        let told = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(told.success());
        assert!(self.child.wait().unwrap().success(), "a clean end");
    }

    /// Ends it by SIGKILL, and waits.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asserts that it is the process that was started, and answers.
    pub(crate) async fn still_answers(&mut self) {
        self.assert_runs();
        let answer = self.connect().await.rows("SELECT 1").await;
        assert_eq!(answer, ["1"]);
    }

    fn assert_runs(&mut self) {
        let ended = self.child.try_wait().unwrap();
        let log = || std::fs::read_to_string(self.log.path()).unwrap();
        assert!(ended.is_none(), "the server ended: {}", log());
    }

    /// A client, as soon as the server takes it.
    pub(crate) async fn connect(&mut self) -> Connected {
        for _ in 0..600 {
            if let Ok(connected) = self.log_in("right").await {
                return connected;
            }
            self.assert_runs();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server did not start");
    }

    /// A client with this password.
    pub(crate) async fn log_in(&self, password: &str) -> Result<Connected, tokio_postgres::Error> {
        let (client, mut connection) = Config::new()
            .host("127.0.0.1")
            .port(self.port)
            .user("lotic")
            .dbname("lotic")
            .password(password)
            .connect(NoTls)
            .await?;
        let notices = Arc::default();
        let kept = Arc::clone(&notices);
        drop(lotic::base::task::spawn("test-client", async move {
            let kept: Arc<Mutex<Vec<String>>> = kept;
            while let Some(Ok(message)) =
                std::future::poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notice(notice) = message {
                    let text = format!("{}: {}", notice.severity(), notice.message());
                    kept.lock().unwrap().push(text);
                }
            }
        }));
        Ok(Connected { client, notices })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts a server that must refuse to start, and gives what it said.
pub(crate) fn refused_start(data: &Path, more: &[&str], key: Option<&str>) -> Refusal {
    let mut command = command(data, free_port(), more);
    if let Some(key) = key {
        command.env("LOTIC_KEY", key);
    }
    let output = command.output().unwrap();
    assert!(!output.status.success(), "the server started");
    Refusal {
        status: output.status,
        text: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Connected {
    /// The rows of a query as text, columns between bars.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let answer = self.client.simple_query(sql).await;
        let messages = answer.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let mut rows = Vec::new();
        for message in messages {
            if let SimpleQueryMessage::Row(row) = message {
                let cells = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL"));
                rows.push(cells.collect::<Vec<_>>().join("|"));
            }
        }
        rows
    }

    /// Runs statements that must succeed.
    pub(crate) async fn run(&self, sql: &str) {
        let done = self.client.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Runs statements that must fail with this SQLSTATE, and gives the error.
    pub(crate) async fn refused(&self, sql: &str, code: &str) -> DbError {
        let Err(error) = self.client.simple_query(sql).await else {
            panic!("{sql}: succeeded");
        };
        let Some(error) = error.as_db_error().cloned() else {
            panic!("{sql}: {error:?}");
        };
        assert_eq!(error.code().code(), code, "{sql}: {error:?}");
        error
    }

    /// Asks until the rows are these. Looks, rather than waits for a time: a source that is followed
    /// cannot be flushed.
    pub(crate) async fn wait_for(&self, sql: &str, wanted: &[&str]) {
        let mut seen = Vec::new();
        for _ in 0..1000 {
            seen = self.rows(sql).await;
            if seen == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{sql}: {seen:?}, wanted {wanted:?}");
    }

    /// The notices since the last call.
    pub(crate) fn notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.notices.lock().unwrap())
    }
}

/// Every file beneath a folder with its bytes.
pub(crate) fn files_of(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let list = std::fs::read_dir(&path).unwrap();
            open.extend(list.map(|entry| entry.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            files.insert(path, bytes);
        }
    }
    files
}

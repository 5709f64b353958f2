//! An engine for tests: its statements are words, and it tells what became of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::super::backend::{
    Backend, BackendSession, Canceller, CopyTarget, Notice, Response, TransactionStatus,
};
use super::super::options::Options;
use super::super::server::{Server, listen};
use crate::base::clock::SystemClock;
use crate::base::rng::SystemRng;
use crate::base::{Error, Result};
use crate::security::{NewRole, UserStore, Users};

pub(super) const BATCH: i64 = 8_192;

/// Hashing passwords is slow on purpose, so the roles of all tests are made once.
static ROLES: Mutex<Option<Vec<u8>>> = Mutex::new(None);

struct Shared;

impl UserStore for Shared {
    fn load(&self) -> Result<Option<Vec<u8>>> {
        Ok(ROLES.lock().clone())
    }

    fn save(&self, bytes: &[u8]) -> Result<()> {
        *ROLES.lock() = Some(bytes.to_vec());
        Ok(())
    }
}

fn users() -> Users {
    static ONCE: std::sync::Once = std::sync::Once::new();
    let open = || Users::open(Box::new(Shared), Arc::new(SystemRng)).unwrap();
    ONCE.call_once(|| {
        let users = open();
        users
            .create(
                NewRole {
                    name: "ada",
                    superuser: true,
                },
                "pencil",
            )
            .unwrap();
        users
            .create(
                NewRole {
                    name: "bob",
                    superuser: false,
                },
                "pencil",
            )
            .unwrap();
    });
    open()
}

/// What tests look at.
#[derive(Default)]
pub(super) struct Seen {
    /// Rows taken out of streams.
    pub(super) rows: AtomicU64,
    /// Bytes of COPY FROM that were committed.
    pub(super) copied: Mutex<Option<Vec<u8>>>,
    /// COPY FROM targets that were dropped without commit.
    pub(super) abandoned: AtomicU64,
    /// Calls of the canceller.
    pub(super) cancels: AtomicU64,
    /// Streams that were dropped.
    pub(super) dropped: Arc<AtomicU64>,
}

pub(super) struct Fake {
    users: Users,
    pub(super) seen: Arc<Seen>,
}

/// A server on a free port, with the users `ada` (a superuser, password `pencil`) and `bob`.
pub(super) async fn serve(options: Options) -> (Server, Arc<Fake>) {
    let fake = Arc::new(Fake {
        users: users(),
        seen: Arc::default(),
    });
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let backend = Arc::clone(&fake);
    let (clock, rng) = (Arc::new(SystemClock::new()), Arc::new(SystemRng));
    (
        Server::start(listener, backend, options, clock, rng).unwrap(),
        fake,
    )
}

/// A client of tokio-postgres, logged in.
pub(super) async fn client(server: &Server) -> tokio_postgres::Client {
    let text = format!(
        "host=127.0.0.1 port={} user=ada password=pencil dbname=lotic",
        server.address().port()
    );
    let (client, connection) = tokio_postgres::connect(&text, tokio_postgres::NoTls)
        .await
        .unwrap();
    crate::base::task::spawn("test-client", async move {
        let _ended = connection.await;
    });
    client
}

/// Waits until `what` holds; a test that waits 20 s has failed.
pub(super) async fn eventually(what: impl Fn() -> bool) {
    for _ in 0..4_000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came true");
}

impl Backend for Fake {
    type Session = FakeSession;

    fn users(&self) -> &Users {
        &self.users
    }

    fn session(&self, _user: &str, database: &str) -> Result<FakeSession> {
        if database == "nowhere" {
            return Err(Error::new(
                crate::base::Kind::Missing,
                "3D000",
                "no such database",
            ));
        }
        Ok(FakeSession {
            seen: Arc::clone(&self.seen),
            cancel: Arc::default(),
            notices: Vec::new(),
            changes: Vec::new(),
            status: TransactionStatus::Idle,
        })
    }
}

pub(super) struct FakeSession {
    seen: Arc<Seen>,
    cancel: Arc<Mutex<CancellationToken>>,
    notices: Vec<Notice>,
    changes: Vec<(String, String)>,
    status: TransactionStatus,
}

pub(super) struct FakePrepared {
    words: Vec<String>,
    parameters: Vec<DataType>,
    schema: Option<SchemaRef>,
}

fn rows_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
    ]))
}

fn rows_batch(from: i64, to: i64) -> RecordBatch {
    let names = (from..to).map(|id| (id % 3 != 0).then(|| format!("row {id}")));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(from..to)),
        Arc::new(names.collect::<StringArray>()),
    ];
    RecordBatch::try_new(rows_schema(), columns).unwrap()
}

/// Counts itself when dropped.
struct Dropped(Arc<AtomicU64>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl FakeSession {
    fn rows(&self, count: i64, end: &str) -> Response {
        let (seen, end) = (Arc::clone(&self.seen), end.to_owned());
        let dropped = Dropped(Arc::clone(&self.seen.dropped));
        let batches = stream::iter((0..count).step_by(usize::try_from(BATCH).unwrap()));
        let rows = batches.map(move |from| {
            let _held = &dropped;
            let to = count.min(from + BATCH);
            seen.rows
                .fetch_add((to - from).unsigned_abs(), Ordering::Relaxed);
            Ok(rows_batch(from, to))
        });
        let failure = || {
            Err(DataFusionError::from(Error::new(
                crate::base::Kind::Invalid,
                "22012",
                "division by zero",
            )))
        };
        let rows: BoxStream<'static, _> = match end.as_str() {
            "hang" => rows.chain(stream::pending()).boxed(),
            "fail" => rows.chain(stream::once(async move { failure() })).boxed(),
            _ => rows.boxed(),
        };
        let stream = Box::pin(RecordBatchStreamAdapter::new(rows_schema(), rows));
        Response::Rows {
            schema: rows_schema(),
            stream,
            tag: "SELECT",
        }
    }

    fn one(&self, schema: SchemaRef, columns: Vec<ArrayRef>) -> Response {
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let stream = RecordBatchStreamAdapter::new(
            Arc::clone(&schema),
            stream::once(async move { Ok(batch) }),
        );
        Response::Rows {
            schema,
            stream: Box::pin(stream),
            tag: "SELECT",
        }
    }
}

impl FakeSession {
    fn copy(&self, word: &str, count: i64) -> Response {
        if word == "copyin" {
            let (seen, finished) = (Arc::clone(&self.seen), AtomicBool::new(false));
            return Response::CopyIn(Box::new(Target {
                seen,
                bytes: Vec::new(),
                finished,
            }));
        }
        let rows = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&rows);
        let pieces = stream::iter(0..count).map(move |row: i64| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from(format!("{row}\n")))
        });
        Response::CopyOut {
            stream: pieces.boxed(),
            columns: 1,
            binary: false,
            rows: Some(rows),
        }
    }
}

#[async_trait]
impl BackendSession for FakeSession {
    type Parsed = Vec<String>;
    type Prepared = FakePrepared;

    fn parse(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        if sql.contains("syntax") {
            return Err(Error::syntax("syntax error at line 1, column 1"));
        }
        let statements = sql.split(';').map(|part| {
            part.split_whitespace()
                .map(str::to_lowercase)
                .collect::<Vec<String>>()
        });
        Ok(statements.filter(|words| !words.is_empty()).collect())
    }

    async fn prepare(
        &mut self,
        words: Vec<String>,
        hints: &[Option<DataType>],
    ) -> Result<FakePrepared> {
        let (mut parameters, mut schema) = (Vec::new(), None);
        match words[0].as_str() {
            "rows" | "endless" => schema = Some(rows_schema()),
            "echo" => {
                parameters = words[1..]
                    .iter()
                    .enumerate()
                    .map(|(index, word)| match (hints.get(index), word.as_str()) {
                        (Some(Some(hint)), _) => hint.clone(),
                        (_, "int8") => DataType::Int64,
                        (_, "numeric") => DataType::Decimal128(38, 4),
                        (_, "int8s") => DataType::new_list(DataType::Int64, true),
                        _ => DataType::Utf8,
                    })
                    .collect();
                let field = |(index, data): (usize, &DataType)| {
                    Field::new(format!("c{index}"), data.clone(), true)
                };
                let fields: Vec<Field> = parameters.iter().enumerate().map(field).collect();
                schema = Some(Arc::new(Schema::new(fields)));
            }
            "unknown" => return Err(Error::no_relation(&words[1])),
            _ => {}
        }
        Ok(FakePrepared {
            words,
            parameters,
            schema,
        })
    }

    fn describe<'a>(&self, prepared: &'a FakePrepared) -> (&'a [DataType], Option<&'a SchemaRef>) {
        (&prepared.parameters, prepared.schema.as_ref())
    }

    async fn execute(
        &mut self,
        prepared: &FakePrepared,
        parameters: &[ScalarValue],
    ) -> Result<Response> {
        let words: Vec<&str> = prepared.words.iter().map(String::as_str).collect();
        let count = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let cancel = CancellationToken::new();
        *self.cancel.lock() = cancel.clone();
        let done = |tag: &str| {
            Ok(Response::Done {
                tag: tag.to_owned(),
            })
        };
        match words[0] {
            "rows" => Ok(self.rows(count, words.get(2).copied().unwrap_or_default())),
            "echo" => {
                let columns = parameters
                    .iter()
                    .map(|value| value.to_array().unwrap())
                    .collect();
                Ok(self.one(Arc::clone(prepared.schema.as_ref().unwrap()), columns))
            }
            "hang" => {
                cancel.cancelled().await;
                Err(Error::cancelled("canceling statement due to user request"))
            }
            "fail" => Err(Error::invalid("it failed")
                .with_detail("a detail")
                .with_hint("a hint")),
            "panic" => panic!("a defect"),
            "begin" | "start" => {
                self.status = TransactionStatus::InTransaction;
                done("BEGIN")
            }
            "commit" => {
                self.status = TransactionStatus::Idle;
                done("COMMIT")
            }
            "notice" => {
                let message = "look out".to_owned();
                self.notices.push(Notice {
                    severity: "WARNING",
                    code: "01000",
                    message,
                });
                done("NOTICE")
            }
            "timezone" => {
                self.changes
                    .push(("TimeZone".to_owned(), "Asia/Tokyo".to_owned()));
                done("SET")
            }
            "copyin" | "copyout" => Ok(self.copy(words[0], count)),
            _ => done("INSERT 0 1"),
        }
    }

    fn canceller(&self) -> Canceller {
        let (cancel, seen) = (Arc::clone(&self.cancel), Arc::clone(&self.seen));
        Arc::new(move || {
            seen.cancels.fetch_add(1, Ordering::Relaxed);
            cancel.lock().cancel();
        })
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    fn parameter_changes(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.changes)
    }
}

struct Target {
    seen: Arc<Seen>,
    bytes: Vec<u8>,
    finished: AtomicBool,
}

#[async_trait]
impl CopyTarget for Target {
    fn columns(&self) -> usize {
        1
    }

    async fn push(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.starts_with(b"bad") {
            return Err(Error::bad_value("a bad row"));
        }
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<String> {
        self.finished.store(true, Ordering::Relaxed);
        let bytes = std::mem::take(&mut self.bytes);
        let rows = bytes.iter().filter(|byte| **byte == b'\n').count();
        *self.seen.copied.lock() = Some(bytes);
        Ok(format!("COPY {rows}"))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.finished.load(Ordering::Relaxed) {
            self.seen.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

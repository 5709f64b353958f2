//! Which files the statements of a client may name, over the wire.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Server {
    /// A server whose working directory is `folder`.
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = Command::new(env!("CARGO_BIN_EXE_lotic"))
            .args(["serve", "--http", "off", "--quiet", "--trust", "--pg"])
            .arg(format!("127.0.0.1:{port}"))
            .args(arguments)
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port }
    }

    async fn client(&self) -> Client {
        for _ in 0..600 {
            let url = format!("host=127.0.0.1 port={} user=lotic dbname=lotic", self.port);
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
}

/// The SQLSTATE and hint of a statement that must fail.
async fn refused(client: &Client, sql: &str) -> (String, String) {
    let error = client.batch_execute(sql).await.expect_err(sql);
    let error = error.as_db_error().unwrap();
    (
        error.code().code().to_owned(),
        error.hint().unwrap_or_default().to_owned(),
    )
}

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_name_files_of_the_working_directory_and_of_the_pipeline_alone() {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    for folder in ["work", "pipeline", "closed"] {
        std::fs::create_dir(at(folder)).unwrap();
        std::fs::write(at(folder).join("a.csv"), "id\n1\n2\n").unwrap();
    }
    let closed = at("closed/a.csv").display().to_string();
    std::fs::write(
        at("pipeline/01.sql"),
        format!("CREATE SOURCE trusted WITH (connector = 'file', path = '{closed}');"),
    )
    .unwrap();
    let pipeline = at("pipeline").display().to_string();
    let server = Server::start(&at("work"), &[&pipeline]);
    let client = server.client().await;
    assert_eq!(number(&client, "SELECT count(*) FROM trusted").await, 2);
    for (name, path) in [
        ("a", "a.csv"),
        ("b", "*.csv"),
        ("c", &format!("{pipeline}/a.csv")),
    ] {
        let create = format!("CREATE SOURCE {name} WITH (connector = 'file', path = '{path}')");
        client.batch_execute(&create).await.unwrap();
        assert_eq!(
            number(&client, &format!("SELECT count(*) FROM {name}")).await,
            2
        );
    }
    client
        .batch_execute("CREATE SINK kept FROM a WITH (connector = 'file', path = 'out/kept.csv')")
        .await
        .unwrap();
    for sql in [
        format!("CREATE SOURCE x WITH (connector = 'file', path = '{closed}')"),
        format!("CREATE SOURCE x WITH (connector = 'file', \"PATH\" = '{closed}')"),
        format!("CREATE SOURCE x (id BIGINT) WITH (connector = 'file', path = '{closed}', mode = 'tail')"),
        format!("CREATE SOURCE x WITH (connector = 'sqlite', path = '{closed}', \"table\" = 't')"),
        format!("CREATE TABLE x WITH (connector = 'file', path = 'file://{closed}')"),
        format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{closed}'"),
        "CREATE SOURCE x WITH (connector = 'file', path = '../closed/a.csv')".to_owned(),
        "CREATE SOURCE x WITH (connector = 'file', path = 'lotic-data/http-token', format = 'csv')".to_owned(),
        "CREATE SOURCE x WITH (connector = 'file', path = '*/http-token', format = 'csv')".to_owned(),
        "CREATE SOURCE x WITH (connector = 'file', url = 'http://127.0.0.1:1/a.csv')".to_owned(),
        "CREATE SOURCE x WITH (connector = 'file', url = 's3://bucket/a.csv')".to_owned(),
        "CREATE SOURCE x WITH (connector = 'postgres', url = 'postgres://u@127.0.0.1/d', \"table\" = 't')".to_owned(),
        format!("CREATE SINK x FROM a WITH (connector = 'file', path = '{closed}')"),
        "CREATE SINK x FROM a WITH (connector = 'file', path = 'lotic-data/x.csv')".to_owned(),
    ] {
        let (code, hint) = refused(&client, &sql).await;
        assert_eq!(code, "42501", "{sql}");
        assert!(hint.contains("--files"), "{sql}: {hint}");
    }
    let overwrite = format!(
        "CREATE SINK x FROM a WITH (connector = 'file', format = 'csv', path = '{pipeline}/01.sql')"
    );
    assert_eq!(refused(&client, &overwrite).await.0, "42501");
    drop((client, server));

    // what is defined stays defined, whatever clients may name now
    let server = Server::start(&at("work"), &["--files", &pipeline]);
    let client = server.client().await;
    assert_eq!(number(&client, "SELECT count(*) FROM trusted").await, 2);
    assert_eq!(number(&client, "SELECT count(*) FROM a").await, 2);
    let (code, _) = refused(
        &client,
        "CREATE SOURCE x WITH (connector = 'file', path = 'a.csv')",
    )
    .await;
    assert_eq!(code, "42501");
    let create = format!("CREATE SOURCE y WITH (connector = 'file', path = '{pipeline}/a.csv')");
    client.batch_execute(&create).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_name_addresses_that_the_server_was_started_with() {
    let folder = tempfile::tempdir().unwrap();
    let files = crate::object_server::ObjectServer::start().await;
    files.put("open/a.csv", "id\n1\n2\n3\n");
    files.put("closed/a.csv", "id\n1\n");
    let open = files.url("open");
    let server = Server::start(
        folder.path(),
        &[
            "--files",
            &open,
            "--files",
            "s3://bucket",
            "--files",
            "postgres://db.example.com",
        ],
    );
    let client = server.client().await;
    let create = format!("CREATE SOURCE a WITH (connector = 'file', url = '{open}/a.csv')");
    client.batch_execute(&create).await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) FROM a").await, 3);
    let away = "aws_access_key_id = 'a', aws_secret_access_key = 'b', allow_http = 'true'";
    for sql in [
        format!("CREATE SOURCE x WITH (connector = 'file', url = '{}')", files.url("closed/a.csv")),
        format!("CREATE SOURCE x WITH (connector = 'file', url = '{open}/../closed/a.csv')"),
        format!("CREATE SOURCE x WITH (connector = 'file', url = 's3://bucket/a.csv', {away}, aws_endpoint = '{}')", files.url("")),
        format!("CREATE SOURCE x WITH (connector = 'file', url = 's3://bucket/a.csv', {away}, aws_metadata_endpoint = '{open}')"),
        format!("CREATE SOURCE x WITH (connector = 'file', url = 's3://bucket/a.csv', {away}, aws_bucket = 'other')"),
        "CREATE SOURCE x WITH (connector = 'postgres', url = 'postgres://db.example.com/d?host=127.0.0.1', \"table\" = 't')".to_owned(),
        "CREATE SOURCE x WITH (connector = 'file', path = '/etc/passwd', format = 'csv')".to_owned(),
    ] {
        assert_eq!(refused(&client, &sql).await.0, "42501", "{sql}");
    }
    assert!(
        files
            .seen()
            .iter()
            .all(|(_, target, _)| target.starts_with("/open/"))
    );
}

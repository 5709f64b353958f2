//! Bad rows, bad files and bad statements, through `lotic serve`: each gives an error that names its
//! place, nothing else is lost, and the server goes on.

use std::path::Path;

use crate::serving::{Server, refused_start};

/// A file of a source, and its path as SQL takes it.
fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn hex(text: &str) -> String {
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("\\x{digits}")
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_lines_are_quarantined_with_bytes_place_and_reason_and_the_rest_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let csv = "id,name\n1,one\n2\n3,three,more\nx,four\n99999999999,big\n6,six\n7,\"seven\n";
    let csv = file(folder.path(), "bad.csv", csv);
    let json = concat!(
        "{\"id\":1,\"name\":\"one\"}\n{\"id\":\n[1]\n{\"id\":\"x\"}\n",
        "{\"id\":7,\"more\":1}\nnot json\n"
    );
    let json = file(folder.path(), "bad.ndjson", json);
    let mut server = Server::start(&folder.path().join("data"));
    let client = server.connect().await;
    client
        .run(&format!(
            "CREATE TABLE c (id INT, name TEXT) WITH (path = '{csv}');
             CREATE SOURCE j (id INT, name TEXT) WITH (path = '{json}');
             CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM j"
        ))
        .await;
    let good = client.rows("SELECT * FROM c ORDER BY id").await;
    assert_eq!(good, ["1|one", "6|six"]);
    assert_eq!(client.rows("SELECT * FROM n").await, ["2"]);
    let quarantined = "SELECT place, bytes, reason FROM lotic.quarantine ORDER BY place, bytes";
    let kept = client.rows(quarantined).await;
    let expected = [
        (&csv, 3, "2", "1 fields where 2 are expected"),
        (&csv, 4, "3,three,more", "3 fields where 2"),
        (
            &csv,
            5,
            "x,four",
            "column \"id\": \"x\" is not a value of type integer",
        ),
        (&csv, 6, "99999999999,big", "column \"id\": \"99999999999\""),
        (&csv, 8, "7,\"seven\n", "never closed"),
        (&json, 2, "{\"id\":", "the line ends"),
        (&json, 3, "[1]", "one JSON object"),
        (&json, 4, "{\"id\":\"x\"}", "column \"id\": \"x\""),
        (&json, 6, "not json", "one JSON object"),
    ];
    assert_eq!(kept.len(), expected.len(), "{kept:?}");
    for (row, (path, line, bytes, reason)) in kept.iter().zip(expected) {
        let (shown, bytes) = (format!("{path}:{line}|"), hex(bytes));
        let bytes = bytes.trim_end_matches("0a");
        assert!(row.starts_with(&shown), "{row}: {shown}");
        assert!(
            row.contains(bytes) && row.contains(reason),
            "{row}: {bytes} {reason}"
        );
    }
    let counted = "SELECT name, quarantined FROM lotic.sources ORDER BY name";
    assert_eq!(client.rows(counted).await, ["c|5", "j|4"]);
    // reading again reports none twice, and a restart keeps them
    client.run("REFRESH TABLE c; REFRESH SOURCE j").await;
    let mut server = server.restarted();
    let client = server.connect().await;
    assert_eq!(client.rows(quarantined).await, kept);
    assert_eq!(client.rows(counted).await, ["c|5", "j|4"]);
    assert_eq!(client.rows("SELECT * FROM c ORDER BY id").await, good);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_column_is_told_with_file_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "m.csv", "name,other\na,b\n");
    let mut server = Server::start(&folder.path().join("data"));
    let client = server.connect().await;
    let table = format!("CREATE TABLE m (id INT, name TEXT) WITH (path = '{path}')");
    let error = client.refused(&table, "42703").await;
    assert!(error.message().contains(&path), "{error:?}");
    assert!(error.message().contains("\"id\""), "{error:?}");
    // nothing of the table is left, so a mended statement works
    client.run(&table.replace("id INT", "other TEXT")).await;
    assert_eq!(client.rows("SELECT name, other FROM m").await, ["a|b"]);
    let source = format!("CREATE SOURCE s (id INT, name TEXT) WITH (path = '{path}')");
    client.run(&source).await;
    let error = client.refused("SELECT * FROM s", "42703").await;
    assert!(error.message().contains(&path), "{error:?}");
    server.still_answers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_vanishes_is_named_and_rows_come_back_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "v.csv", "id,name\n1,a\n");
    let mut server = Server::start(&folder.path().join("data"));
    let client = server.connect().await;
    client
        .run(&format!(
            "CREATE TABLE t (id INT, name TEXT) WITH (path = '{path}');
             CREATE SOURCE s (id INT, name TEXT) WITH (path = '{path}');
             CREATE SOURCE unread (id INT, name TEXT) WITH (path = '{path}');
             CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM s;
             CREATE MATERIALIZED VIEW above AS SELECT n + 1 AS m FROM n;
             CREATE MATERIALIZED VIEW other AS SELECT id FROM t"
        ))
        .await;
    std::fs::remove_file(&path).unwrap();
    for sql in [
        "REFRESH TABLE t",
        "REFRESH SOURCE s",
        "SELECT * FROM unread",
    ] {
        let error = client.refused(sql, "58P01").await;
        assert!(error.message().contains(&path), "{error:?}");
    }
    for (sql, row) in [("SELECT * FROM t", "1|a"), ("SELECT * FROM above", "2")] {
        assert_eq!(client.rows(sql).await, [row], "what was read stays");
    }
    let mut server = server.restarted();
    let client = server.connect().await;
    assert_eq!(client.rows("SELECT * FROM t").await, ["1|a"]);
    assert_eq!(client.rows("SELECT * FROM other").await, ["1"]);
    let error = client.refused("SELECT * FROM above", "58P01").await;
    assert!(error.message().contains(&path), "{error:?}");
    let told = client
        .rows("SELECT name FROM lotic.models WHERE last_error LIKE '%v.csv%'")
        .await;
    assert_eq!(told, ["n"]);
    let told = client
        .rows("SELECT last_error FROM lotic.models WHERE name = 'above'")
        .await;
    assert!(
        told[0].contains("materialized view \"n\" could not be filled"),
        "{told:?}"
    );
    let told = client
        .rows("SELECT state FROM lotic.sources WHERE name = 's'")
        .await;
    assert_eq!(told, ["failed"]);

    file(folder.path(), "v.csv", "id,name\n1,a\n2,b\n");
    client.run("REFRESH SOURCE s; REFRESH TABLE t").await;
    for (sql, row) in [
        ("SELECT * FROM above", "3"),
        ("SELECT count(*) FROM other", "2"),
        (
            "SELECT count(*) FROM lotic.models WHERE state = 'live'",
            "3",
        ),
        ("SELECT state FROM lotic.sources WHERE name = 's'", "ok"),
    ] {
        assert_eq!(client.rows(sql).await, [row], "{sql}");
    }
    file(folder.path(), "v.csv", "id,name\n1,a\n");
    client.run("REFRESH SOURCE s").await;
    assert_eq!(client.rows("SELECT * FROM above").await, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_rows_are_left_out_and_listed_until_they_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&folder.path().join("data"));
    let client = server.connect().await;
    client
        .run(
            "CREATE TABLE t (id INT PRIMARY KEY, s TEXT, d INT);
             CREATE MATERIALIZED VIEW q AS SELECT id, 10 / d AS q, CAST(s AS INT) AS i FROM t;
             INSERT INTO t VALUES (1, '1', 1), (2, 'x', 1), (3, '3', 0);
             FLUSH",
        )
        .await;
    let listed = "SELECT model, code, row FROM lotic.model_errors ORDER BY code";
    let errors = [
        "q|22012|{\"id\":3,\"s\":\"3\",\"d\":0}",
        "q|22P02|{\"id\":2,\"s\":\"x\",\"d\":1}",
    ];
    for _ in 0..2 {
        let client = server.connect().await;
        assert_eq!(client.rows("SELECT * FROM q").await, ["1|10|1"]);
        let notices = client.notices();
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(
            notices[0].starts_with("WARNING: 2 rows failed in model \"q\""),
            "{notices:?}"
        );
        assert_eq!(client.rows(listed).await, errors);
        assert_eq!(client.rows("CHECK MATERIALIZED VIEW q").await, [""; 0]);
        server = server.restarted();
    }
    let client = server.connect().await;
    client.run("DELETE FROM t WHERE id = 2").await;
    assert_eq!(client.rows(listed).await, errors[..1]);
    client.run("UPDATE t SET d = 5 WHERE id = 3").await;
    assert_eq!(client.rows(listed).await, [""; 0]);
    client.run("INSERT INTO t VALUES (4, 'y', 1)").await;
    assert_eq!(client.rows(listed).await.len(), 1);
    client.run("DELETE FROM t WHERE id = 4").await;
    assert_eq!(
        client.rows("SELECT * FROM q ORDER BY id").await,
        ["1|10|1", "3|2|3"]
    );
    assert_eq!(client.notices(), [""; 0]);
}

#[test]
fn run_and_check_leave_failing_rows_out_as_serve_does() {
    let folder = tempfile::tempdir().unwrap();
    let sql = "CREATE TABLE t (id INT, d INT); INSERT INTO t VALUES (1, 1), (2, 0), (3, 2);
               CREATE MATERIALIZED VIEW q AS SELECT id, 10 / d AS q FROM t;";
    let path = file(folder.path(), "a.sql", sql);
    let lotic = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_lotic"))
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let out = folder.path().join("out").display().to_string();
    let told = lotic(&["run", &path, "--out", &out, "--format", "csv"]);
    assert!(told.contains("1 rows failed"), "{told}");
    let rows = std::fs::read_to_string(folder.path().join("out/q.csv")).unwrap();
    assert_eq!(rows, "id,q\n1,10\n3,5\n");
    let told = lotic(&["check", &path]);
    assert!(told.contains("q: equal"), "{told}");
}

#[test]
fn circle_of_definitions_is_told_with_its_files_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let sql = folder.path().join("sql");
    std::fs::create_dir(&sql).unwrap();
    file(
        &sql,
        "a.sql",
        "CREATE TABLE t (id INT);\n\nCREATE VIEW one AS SELECT * FROM two;",
    );
    file(
        &sql,
        "b.sql",
        "\nCREATE MATERIALIZED VIEW two AS SELECT * FROM one;",
    );
    let data = folder.path().join("data");
    let refusal = refused_start(&data, &["--trust", sql.to_str().unwrap()], None);
    for told in ["one -> two -> one", "a.sql:3", "b.sql:2"] {
        assert!(refusal.text.contains(told), "{told}: {}", refusal.text);
    }
    assert!(!data.try_exists().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_that_breaks_a_rule_changes_nothing_and_names_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&folder.path().join("data"));
    let client = server.connect().await;
    client
        .run(
            "CREATE TABLE t (id INT PRIMARY KEY, n INT);
             CREATE VIEW v AS SELECT * FROM t;
             CREATE MATERIALIZED VIEW needs_t AS SELECT sum(n) AS n FROM v;
             INSERT INTO t VALUES (1, 10)",
        )
        .await;
    let error = client.refused("DROP TABLE t", "2BP01").await;
    assert!(
        error
            .detail()
            .unwrap()
            .contains("materialized view \"needs_t\""),
        "{error:?}"
    );
    for (sql, code, told) in [
        ("INSERT INTO t VALUES (2, 20), (1, 11)", "23505", "t_pkey"),
        ("INSERT INTO t VALUES (2, 20), (2, 21)", "23505", "t_pkey"),
        (
            "INSERT INTO t SELECT 3 - id, n FROM (VALUES (1, 1), (2, 2)) AS x (id, n)",
            "23505",
            "t_pkey",
        ),
        ("UPDATE t SET n = n / 0", "22012", "division by zero"),
        (
            "INSERT INTO t VALUES (2, 20), (3, 99999999999)",
            "22003",
            "column \"n\" of \"t\", row 2",
        ),
        (
            "INSERT INTO t VALUES (2, 20), (3, 'x')",
            "22P02",
            "column \"n\" of \"t\", row 2",
        ),
        ("INSERT INTO t VALUES (2, 20), (NULL, 1)", "23502", "id"),
        ("INSERT INTO t (id, lost) VALUES (2, 20)", "42703", "lost"),
        ("SELECT 1 / 0", "22012", "division by zero"),
        ("SELEC 1", "42601", "SELEC"),
    ] {
        let error = client.refused(sql, code).await;
        assert!(error.message().contains(told), "{sql}: {error:?}");
        assert_eq!(client.rows("SELECT * FROM t").await, ["1|10"], "{sql}");
    }
    assert_eq!(client.rows("SELECT * FROM needs_t").await, ["10"]);
    client.run("INSERT INTO t VALUES (2, 20)").await;
    assert_eq!(client.rows("SELECT * FROM needs_t").await, ["30"]);
    server.still_answers().await;
}

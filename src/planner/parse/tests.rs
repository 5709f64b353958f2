//! Statements read, statements refused, and the bounds.

use arrow::datatypes::{DataType, TimeUnit};

use super::*;

fn one(sql: &str) -> Statement {
    let mut parsed = parse(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!(parsed.len(), 1, "{sql}");
    parsed.remove(0).statement
}

fn refused(sql: &str) -> (String, String) {
    match parse(sql) {
        Ok(parsed) => panic!("{sql} was read as {parsed:?}"),
        Err(error) => (error.code().to_owned(), error.to_string()),
    }
}

#[test]
fn statements_keep_their_text_and_line() {
    let parsed = parse("-- first\nSELECT 1;\n\n  /* two */ SELECT\n 'a;b' ;;").unwrap();
    assert_eq!(parsed.len(), 2);
    assert_eq!((parsed[0].text.as_str(), parsed[0].line), ("SELECT 1", 2));
    assert_eq!(
        (parsed[1].text.as_str(), parsed[1].line),
        ("SELECT\n 'a;b'", 4)
    );
}

#[test]
fn a_text_without_statement_is_one_empty_statement() {
    for sql in ["", "  \n", "-- nothing\n", ";;"] {
        assert_eq!(one(sql), Statement::Empty, "{sql:?}");
    }
}

#[test]
fn syntax_errors_name_token_line_and_column() {
    let (code, text) = refused("SELECT 1;\nSELECT * FORM t WHERE");
    assert_eq!(code, "42601");
    assert!(text.contains("(line 2, column"), "{text}");
    let (_, text) = refused("SELECT (");
    assert!(text.contains("end of input"), "{text}");
    let (_, text) = refused("FROB x");
    assert!(
        text.contains("at or near \"FROB\" (line 1, column 1)"),
        "{text}"
    );
    let (code, _) = refused("SELECT 'open");
    assert_eq!(code, "42601");
}

#[test]
fn create_table_yields_columns_key_and_options() {
    let Statement::CreateTable(table) = one(
        "CREATE TABLE IF NOT EXISTS public.\"Big\" (id bigint, n numeric(10,2) NOT NULL DEFAULT 0, t text, \
         at timestamptz, tags text[], PRIMARY KEY (id, t))",
    ) else {
        panic!()
    };
    assert_eq!(
        table.name,
        Name {
            schema: Some("public".into()),
            name: "Big".into()
        }
    );
    assert!(table.if_not_exists && !table.or_replace);
    assert_eq!(table.primary_key, ["id", "t"]);
    let types: Vec<_> = table
        .columns
        .iter()
        .map(|c| (c.data_type.clone(), c.nullable))
        .collect();
    assert_eq!(types[0], (DataType::Int64, false));
    assert_eq!(types[1], (DataType::Decimal128(10, 2), false));
    assert_eq!(types[2], (DataType::Utf8View, false));
    assert_eq!(
        types[3],
        (
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true
        )
    );
    assert_eq!(
        types[4],
        (DataType::new_list(DataType::Utf8View, true), true)
    );
    assert!(table.columns[1].default.is_some());
}

#[test]
fn a_source_keeps_watermark_options_and_encoding() {
    let Statement::CreateSource(source) = one(
        "CREATE SOURCE s (ts timestamp, v int, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) \
         WITH (connector = 'file', 'path' = 'a.json', properties.max.rows = 10) FORMAT PLAIN ENCODE JSON",
    ) else {
        panic!()
    };
    assert_eq!(source.watermark.unwrap().column, "ts");
    assert_eq!(source.options["properties.max.rows"], "10");
    assert_eq!(source.options["path"], "a.json");
    assert_eq!(source.encoding.unwrap().encode, "JSON");
}

#[test]
fn a_connector_makes_the_column_list_optional() {
    let sql = "CREATE TABLE t WITH (connector = 'file', path = 'x.parquet')";
    assert!(matches!(one(sql), Statement::CreateTable(table) if table.columns.is_empty()));
    assert_eq!(refused("CREATE TABLE t").0, "42601");
}

#[test]
fn views_and_models_keep_the_text_of_their_query() {
    let Statement::CreateMaterializedView(model) = one(
        "CREATE OR REPLACE MATERIALIZED VIEW m WITH (on_error = 'fail') AS\n SELECT a -- why\n FROM t",
    ) else {
        panic!()
    };
    assert_eq!(model.options["on_error"], "fail");
    assert!(model.view.or_replace);
    assert_eq!(model.view.query.text, "SELECT a -- why\n FROM t");
    let Statement::CreateView(view) = one("CREATE VIEW v AS WITH x AS (SELECT 1) SELECT * FROM x")
    else {
        panic!()
    };
    assert_eq!(view.query.text, "WITH x AS (SELECT 1) SELECT * FROM x");
}

#[test]
fn a_sink_reads_a_relation_or_a_query() {
    let Statement::CreateSink(sink) = one(
        "CREATE SINK s AS SELECT a FROM t WHERE b > 1 WITH (connector = 'file', path = 'o.csv')",
    ) else {
        panic!()
    };
    let SinkInput::Query(query) = sink.input else {
        panic!()
    };
    assert_eq!(query.text, "SELECT a FROM t WHERE b > 1");
    assert_eq!(sink.options["path"], "o.csv");
    let from = one("CREATE SINK s FROM m WITH (connector = 'file', path = 'o.csv')");
    assert!(matches!(
        from,
        Statement::CreateSink(CreateSink {
            input: SinkInput::Relation(_),
            ..
        })
    ));
}

#[test]
fn external_tables_are_read_in_the_form_of_datafusion() {
    let Statement::CreateExternalTable(table) = one(
        "CREATE EXTERNAL TABLE e (a int) STORED AS CSV LOCATION '/x/*.csv' \
         OPTIONS ('format.has_header' 'true', delimiter ';')",
    ) else {
        panic!()
    };
    assert_eq!(
        (table.format.as_str(), table.location.as_str()),
        ("csv", "/x/*.csv")
    );
    assert_eq!(table.options["format.has_header"], "true");
    assert_eq!(table.options["delimiter"], ";");
}

#[test]
fn copy_knows_both_spellings_of_its_options() {
    for sql in [
        "COPY t (a, b) FROM STDIN WITH (FORMAT csv, HEADER, DELIMITER ';', NULL 'NA')",
        "COPY t(a,b) FROM stdin CSV HEADER DELIMITER ';' NULL 'NA'",
    ] {
        let Statement::CopyFrom(copy) = one(sql) else {
            panic!("{sql}")
        };
        assert_eq!(copy.columns, ["a", "b"]);
        assert!(copy.options.header);
        assert_eq!(
            (copy.options.format, copy.options.delimiter),
            (CopyFormat::Csv, b';')
        );
        assert_eq!(copy.options.null, "NA");
    }
    let Statement::CopyTo(copy) = one("COPY (SELECT 1) TO STDOUT WITH (FORMAT binary)") else {
        panic!()
    };
    assert_eq!(copy.options.format, CopyFormat::Binary);
    let Statement::CopyTo(copy) = one("COPY t TO STDOUT") else {
        panic!()
    };
    assert_eq!(
        (copy.options.delimiter, copy.options.null.as_str()),
        (b'\t', "\\N")
    );
}

#[test]
fn copy_never_reaches_files_or_programs() {
    for sql in [
        "COPY t FROM '/etc/passwd'",
        "COPY t TO '/tmp/x'",
        "COPY (SELECT 1) TO '/tmp/x' STORED AS CSV",
        "COPY t FROM PROGRAM 'id'",
        "COPY t TO PROGRAM 'id'",
    ] {
        assert_eq!(refused(sql).0, "42501", "{sql}");
    }
}

type Is = fn(&Statement) -> bool;

#[test]
#[expect(clippy::too_many_lines, reason = "one table of statements")]
fn each_statement_has_its_kind() {
    let cases: &[(&str, Is)] = &[
        ("SELECT 1", |s| matches!(s, Statement::Query(_))),
        ("(SELECT 1) UNION SELECT 2", |s| {
            matches!(s, Statement::Query(_))
        }),
        ("VALUES (1)", |s| matches!(s, Statement::Query(_))),
        ("TABLE t", |s| matches!(s, Statement::Query(_))),
        ("WITH x AS (SELECT 1) SELECT * FROM x", |s| {
            matches!(s, Statement::Query(_))
        }),
        (
            "CREATE VIEW v (x) AS SELECT 1",
            |s| matches!(s, Statement::CreateView(v) if v.columns == ["x"]),
        ),
        (
            "DROP TABLE IF EXISTS a, b CASCADE",
            |s| matches!(s, Statement::Drop(d) if d.if_exists && d.cascade && d.names.len() == 2),
        ),
        (
            "DROP MATERIALIZED VIEW m",
            |s| matches!(s, Statement::Drop(d) if d.kind == ObjectKind::MaterializedView),
        ),
        (
            "INSERT INTO t (a) VALUES (1), (2)",
            |s| matches!(s, Statement::Insert(i) if i.columns == ["a"]),
        ),
        ("INSERT INTO t SELECT * FROM u", |s| {
            matches!(s, Statement::Insert(_))
        }),
        (
            "UPDATE t AS x SET a = x.a + 1, b = 2 WHERE c = 3",
            |s| matches!(s, Statement::Update(u) if u.assignments.len() == 2 && u.alias.as_deref() == Some("x")),
        ),
        (
            "DELETE FROM t WHERE a = 1",
            |s| matches!(s, Statement::Delete(d) if d.selection.is_some()),
        ),
        (
            "TRUNCATE TABLE t, u",
            |s| matches!(s, Statement::Truncate(n) if n.len() == 2),
        ),
        (
            "EXPLAIN (INCREMENTAL) SELECT 1",
            |s| matches!(s, Statement::Explain(e) if e.mode == ExplainMode::Incremental),
        ),
        (
            "EXPLAIN ANALYZE VERBOSE SELECT 1",
            |s| matches!(s, Statement::Explain(e) if e.mode == ExplainMode::Analyze && e.verbose),
        ),
        (
            "EXPLAIN (ANALYZE, FORMAT text) SELECT 1",
            |s| matches!(s, Statement::Explain(e) if e.mode == ExplainMode::Analyze),
        ),
        ("EXPLAIN (SELECT 1)", |s| matches!(s, Statement::Explain(_))),
        ("EXPLAIN (INCREMENTAL) MATERIALIZED VIEW m", |s| {
            matches!(
                s,
                Statement::Explain(Explain {
                    target: ExplainTarget::MaterializedView(_),
                    ..
                })
            )
        }),
        ("SHOW search_path", |s| {
            *s == Statement::Show(Show::Setting("search_path".into()))
        }),
        ("SHOW MATERIALIZED VIEWS", |s| {
            *s == Statement::Show(Show::MaterializedViews)
        }),
        ("SHOW TIME ZONE", |s| {
            *s == Statement::Show(Show::Setting("timezone".into()))
        }),
        ("DESCRIBE t", |s| *s == Statement::Describe(Name::bare("t"))),
        (
            "SET statement_timeout = 5000",
            |s| matches!(s, Statement::Set { name, .. } if name == "statement_timeout"),
        ),
        (
            "SET LOCAL datestyle TO ISO, MDY",
            |s| matches!(s, Statement::Set { value: SetValue::Values(v), local: true, .. } if v.len() == 2),
        ),
        (
            "SET TIME ZONE 'Europe/Paris'",
            |s| matches!(s, Statement::Set { name, .. } if name == "timezone"),
        ),
        (
            "SET extra_float_digits = -3",
            |s| matches!(s, Statement::Set { value: SetValue::Values(v), .. } if v == &["-3"]),
        ),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            |s| *s == Statement::SetTransaction,
        ),
        ("RESET ALL", |s| *s == Statement::Reset { name: None }),
        ("FLUSH", |s| *s == Statement::Flush),
        ("CHECK MATERIALIZED VIEW m", |s| {
            matches!(s, Statement::CheckMaterializedView(_))
        }),
        ("CHECK ALL", |s| *s == Statement::CheckAll),
        ("REFRESH TABLE t", |s| {
            *s == Statement::Refresh(Name::bare("t"))
        }),
        ("REFRESH t", |s| *s == Statement::Refresh(Name::bare("t"))),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", |s| {
            *s == Statement::Begin { read_only: true }
        }),
        ("START TRANSACTION", |s| {
            *s == Statement::Begin { read_only: false }
        }),
        ("END", |s| *s == Statement::Commit),
        ("ABORT", |s| *s == Statement::Rollback),
        (
            "DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT 1",
            |s| matches!(s, Statement::Declare(d) if d.hold),
        ),
        (
            "FETCH FORWARD 10 FROM c",
            |s| matches!(s, Statement::Fetch(f) if f.count == FetchCount::Rows(10) && !f.move_only),
        ),
        (
            "FETCH ALL c",
            |s| matches!(s, Statement::Fetch(f) if f.count == FetchCount::All),
        ),
        (
            "MOVE 5 IN c",
            |s| matches!(s, Statement::Fetch(f) if f.move_only),
        ),
        ("CLOSE ALL", |s| *s == Statement::Close(None)),
        ("DISCARD ALL", |s| *s == Statement::Discard("ALL".into())),
        ("DEALLOCATE ALL", |s| *s == Statement::Deallocate(None)),
        ("UNLISTEN *", |s| *s == Statement::Unlisten),
    ];
    for (sql, is) in cases {
        let statement = one(sql);
        assert!(is(&statement), "{sql}: {statement:?}");
    }
}

#[test]
fn what_lotic_does_not_run_is_refused_by_name() {
    for (sql, part) in [
        ("ALTER TABLE t ADD COLUMN a int", "ALTER"),
        ("GRANT SELECT ON t TO u", "GRANT"),
        ("CREATE FUNCTION f() RETURNS int AS 'x'", "CREATE FUNCTION"),
        ("CREATE TEMPORARY TABLE t (a int)", "CREATE TEMPORARY"),
        ("CREATE TABLE t (a int, CHECK (a > 0))", "CHECK"),
        ("CREATE TABLE t (a int REFERENCES u)", "REFERENCES"),
        ("CREATE TABLE t (a money)", "type money"),
        (
            "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
            "ON CONFLICT",
        ),
        ("INSERT INTO t VALUES (1) RETURNING a", "RETURNING"),
        ("UPDATE t SET a = 1 FROM u", "FROM"),
        ("DELETE FROM t USING u", "USING"),
        ("SAVEPOINT a", "savepoints"),
        ("ROLLBACK TO a", "savepoints"),
        ("PREPARE p AS SELECT 1", "PREPARE"),
        ("EXECUTE p", "EXECUTE"),
        ("LISTEN c", "LISTEN"),
        ("NOTIFY c", "NOTIFY"),
        ("SET ROLE x", "SET ROLE"),
        ("REFRESH MATERIALIZED VIEW m", "always fresh"),
        (
            "CREATE MATERIALIZED VIEW m AS SELECT a FROM t WITH NO DATA",
            "WITH NO DATA",
        ),
        ("DECLARE c SCROLL CURSOR FOR SELECT 1", "SCROLL"),
        (
            "SELECT * FROM other.public.t; DROP TABLE x.y.z",
            "cross-database",
        ),
    ] {
        let (code, text) = refused(sql);
        assert_eq!(code, "0A000", "{sql}: {text}");
        assert!(text.contains(part), "{sql}: {text}");
    }
    assert_eq!(refused("FETCH BACKWARD 1 FROM c").0, "55000");
}

#[test]
fn nothing_after_a_statement_is_ignored() {
    for sql in [
        "FLUSH now",
        "DROP TABLE t u",
        "SELECT 1 2",
        "CHECK ALL x",
        "SHOW ALL y",
        "BEGIN x",
    ] {
        assert_eq!(refused(sql).0, "42601", "{sql}");
    }
}

#[test]
fn names_are_substituted_before_parsing() {
    let values = [("dir".to_owned(), "/data".to_owned())].into();
    assert_eq!(
        substitute("a '${dir}/x' $${dir} $1", &values).unwrap(),
        "a '/data/x' ${dir} $1"
    );
    let error = substitute("\n\nb ${nope}", &values).unwrap_err();
    assert!(error.message().starts_with("line 3:"), "{error}");
    assert!(substitute("${", &values).is_err());
}

/// Statements that end a process whose parser trusts its stack.
#[expect(clippy::too_many_lines, reason = "one table of shapes")]
fn hostile(n: usize) -> Vec<(&'static str, String)> {
    let chain = |unit: &str| unit.repeat(n);
    vec![
        ("plus", format!("SELECT 1{}", chain("+1"))),
        (
            "or",
            format!("SELECT * FROM t WHERE a=1{}", chain(" OR a=2")),
        ),
        (
            "and",
            format!("SELECT * FROM t WHERE a=1{}", chain(" AND a=2")),
        ),
        ("concat", format!("SELECT 'x'{}", chain("||'x'"))),
        ("union", format!("SELECT 1{}", chain(" UNION SELECT 1"))),
        (
            "union all",
            format!("SELECT 1{}", chain(" UNION ALL SELECT 1")),
        ),
        ("join", format!("SELECT * FROM t{}", chain(" CROSS JOIN t"))),
        ("comma join", format!("SELECT * FROM t{}", chain(",t"))),
        ("brackets", format!("SELECT {}1{}", chain("("), chain(")"))),
        ("open brackets", format!("SELECT {}", chain("("))),
        (
            "case",
            format!("SELECT {}1{}", chain("CASE WHEN "), chain(" THEN 1 END")),
        ),
        (
            "array",
            format!("SELECT {}1{}", chain("ARRAY["), chain("]")),
        ),
        (
            "subquery",
            format!(
                "SELECT * FROM {}t{}",
                chain("(SELECT * FROM "),
                chain(") x")
            ),
        ),
        (
            "scalar subquery",
            format!("SELECT {}1{}", chain("(SELECT "), chain(")")),
        ),
        (
            "exists",
            format!(
                "SELECT 1 WHERE {}true{}",
                chain("EXISTS (SELECT 1 WHERE "),
                chain(")")
            ),
        ),
        ("not", format!("SELECT {} true", chain("NOT "))),
        ("minus", format!("SELECT {} 1", chain("- "))),
        ("is null", format!("SELECT a{} FROM t", chain(" IS NULL"))),
        (
            "distinct from",
            format!("SELECT a{} FROM t", chain(" IS DISTINCT FROM b")),
        ),
        ("cast", format!("SELECT 1{}", chain("::int"))),
        ("index", format!("SELECT a{} FROM t", chain("[1]"))),
        ("fields", format!("SELECT a{} FROM t", chain(".b"))),
        ("type", format!("CREATE TABLE t (a int{})", chain("[]"))),
        (
            "angle type",
            format!("CREATE TABLE t (a {}int{})", chain("ARRAY<"), chain(">")),
        ),
        ("interval", format!("SELECT {}'1'", chain("INTERVAL "))),
        ("explain", format!("{}SELECT 1", chain("EXPLAIN "))),
        (
            "with",
            format!("{}SELECT 1{}", chain("WITH a AS ("), chain(") SELECT 1")),
        ),
        (
            "at time zone",
            format!("SELECT a{} FROM t", chain(" AT TIME ZONE 'UTC'")),
        ),
        ("like", format!("SELECT a{} FROM t", chain(" LIKE 'b'"))),
        (
            "between",
            format!("SELECT a{} FROM t", chain(" BETWEEN 1 AND 2")),
        ),
        (
            "functions",
            format!("SELECT {}1{}", chain("abs("), chain(")")),
        ),
        ("braces", format!("SELECT {}1{}", chain("{a:"), chain("}"))),
    ]
}

#[test]
fn chains_and_nests_are_an_error_and_never_a_crash() {
    for (shape, sql) in hostile(100_000) {
        if let Err(error) = parse(&sql) {
            assert!(
                matches!(error.code(), "54001" | "42601" | "54000" | "0A000"),
                "{shape}: {error}"
            );
        } else {
            panic!("{shape} was accepted");
        }
    }
}

#[test]
fn chains_of_modest_length_are_read() {
    for (shape, sql) in hostile(90) {
        if shape == "with" {
            continue; // bounded far lower: see MAX_WITH
        }
        if let Err(error) = parse(&sql) {
            assert_ne!(error.code(), "54001", "{shape} of 90");
        }
    }
    assert!(
        parse(&format!(
            "SELECT * FROM t WHERE a=1{}",
            " OR t.a = 2".repeat(900)
        ))
        .is_ok()
    );
    assert!(parse(&format!("SELECT 1{}", "+1".repeat(900))).is_ok());
}

#[test]
fn wide_statements_are_read() {
    let list = "1,".repeat(1_000_000) + "1";
    assert!(matches!(
        one(&format!("SELECT * FROM t WHERE a IN ({list})")),
        Statement::Query(_)
    ));
    let rows = "(1,'a'),".repeat(200_000) + "(1,'a')";
    assert!(matches!(
        one(&format!("INSERT INTO t VALUES {rows}")),
        Statement::Insert(_)
    ));
}

#[test]
fn oversized_statements_are_refused_before_work() {
    let (code, text) = refused(&format!("SELECT '{}'", "x".repeat(MAX_STATEMENT_BYTES)));
    assert_eq!(code, "54000");
    assert!(text.contains("COPY"), "{text}");
    assert_eq!(refused(&",".repeat(MAX_TOKENS + 1)).0, "54000");
}

#[test]
fn deep_statements_are_dropped_cloned_and_compared_on_a_small_stack() {
    let sql = format!("SELECT 1{}", "+1".repeat(900));
    let on_small = crate::base::task::thread_with_stack("small", 2 << 20, move || {
        let parsed = parse(&sql).unwrap();
        let copy = parsed.clone();
        assert_eq!(parsed, copy);
        assert!(!format!("{parsed:?}").is_empty());
    });
    on_small.unwrap().join().unwrap();
}

#[test]
fn types_are_those_of_the_one_table() {
    for (sql, expected) in [
        ("int2", DataType::Int16),
        ("integer", DataType::Int32),
        ("int8", DataType::Int64),
        ("real", DataType::Float32),
        ("double precision", DataType::Float64),
        ("float(20)", DataType::Float32),
        ("numeric", DataType::Decimal128(38, 10)),
        ("numeric(5)", DataType::Decimal128(5, 0)),
        ("varchar(10)", DataType::Utf8View),
        ("uuid", DataType::Utf8View),
        ("jsonb", DataType::LargeUtf8),
        ("bytea", DataType::Binary),
        ("boolean", DataType::Boolean),
        ("date", DataType::Date32),
        (
            "timestamp",
            DataType::Timestamp(TimeUnit::Microsecond, None),
        ),
        (
            "timestamp(3) with time zone",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ),
        ("int[]", DataType::new_list(DataType::Int32, true)),
    ] {
        let Statement::CreateTable(table) = one(&format!("CREATE TABLE t (a {sql})")) else {
            panic!()
        };
        assert_eq!(table.columns[0].data_type, expected, "{sql}");
    }
    assert_eq!(refused("CREATE TABLE t (a numeric(50))").0, "22023");
}

//! SQL in, SQL out or error out, for each rule.

use super::*;
use crate::planner::parse::{Name, Statement, parse};

fn query(sql: &str) -> Box<sqlparser::ast::Query> {
    match parse(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .remove(0)
        .statement
    {
        Statement::Query(query) => query,
        other => panic!("{sql} is {other:?}"),
    }
}

fn prepared(sql: &str) -> String {
    let mut query = query(sql);
    prepare_query(&mut query).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let once = query.to_string();
    prepare_query(&mut query).unwrap();
    assert_eq!(once, query.to_string(), "preparing twice changes it again");
    once
}

fn reads(sql: &str) -> Vec<String> {
    let found = prepare_query(&mut query(sql)).unwrap();
    found.relations.iter().map(Name::to_string).collect()
}

#[test]
fn named_windows_are_written_out() {
    for (sql, expected) in [
        (
            "SELECT sum(a) OVER w AS s FROM t WINDOW w AS (PARTITION BY b)",
            "SELECT sum(a) OVER (PARTITION BY b) AS s FROM t WINDOW w AS (PARTITION BY b)",
        ),
        (
            "SELECT sum(a) OVER (W ORDER BY c ROWS 1 PRECEDING) AS s FROM t WINDOW w AS (PARTITION BY b)",
            "SELECT sum(a) OVER (PARTITION BY b ORDER BY c ROWS 1 PRECEDING) AS s FROM t WINDOW w AS (PARTITION BY b)",
        ),
        (
            "SELECT a FROM t WINDOW w AS (PARTITION BY b), v AS (w ORDER BY c) ORDER BY rank() OVER v",
            "SELECT a FROM t WINDOW w AS (PARTITION BY b), v AS (PARTITION BY b ORDER BY c) ORDER BY rank() OVER (PARTITION BY b ORDER BY c)",
        ),
        (
            "SELECT (SELECT sum(x) OVER w AS m FROM u WINDOW w AS (ORDER BY y)) AS s FROM t WINDOW w AS (ORDER BY z)",
            "SELECT (SELECT sum(x) OVER (ORDER BY y) AS m FROM u WINDOW w AS (ORDER BY y)) AS s FROM t WINDOW w AS (ORDER BY z)",
        ),
    ] {
        assert_eq!(prepared(sql), expected, "{sql}");
    }
    for (sql, code) in [
        ("SELECT sum(a) OVER w FROM t", "42704"),
        (
            "SELECT sum(a) OVER (w) FROM t WINDOW w AS (ROWS 1 PRECEDING)",
            "42P20",
        ),
        (
            "SELECT sum(a) OVER (w PARTITION BY a) FROM t WINDOW w AS (ORDER BY a)",
            "42P20",
        ),
        (
            "SELECT sum(a) OVER (w ORDER BY b) FROM t WINDOW w AS (ORDER BY a)",
            "42P20",
        ),
        (
            "SELECT a FROM t WINDOW w AS (v), v AS (ORDER BY a)",
            "42704",
        ),
        (
            "SELECT a FROM t WINDOW w AS (ORDER BY a), w AS (ORDER BY b)",
            "42P20",
        ),
    ] {
        assert_eq!(
            prepare_query(&mut query(sql)).unwrap_err().code(),
            code,
            "{sql}"
        );
    }
}

#[test]
fn numbers_arrays_and_functions_in_from_are_written_out() {
    for (sql, expected) in [
        (
            "SELECT a FROM t WHERE a < 1.5e3 AND b > 25e-1 AND c = 1e300",
            "SELECT a FROM t WHERE a < CAST(1500 AS NUMERIC(4,0)) AND b > 2.5 AND c = CAST('1e300' AS DOUBLE PRECISION)",
        ),
        (
            "SELECT a FROM t WHERE a > 12.5e-4 OR a = 0e5",
            "SELECT a FROM t WHERE a > 0.00125 OR a = CAST(0 AS NUMERIC(1,0))",
        ),
        (
            "SELECT t.a, g FROM t, generate_series(1, t.a) AS g",
            "SELECT t.a, g FROM t, LATERAL (SELECT unnest(generate_series(1, t.a)) AS g) AS g",
        ),
        (
            "SELECT t.a, x FROM t, unnest(t.tags) AS x",
            "SELECT t.a, x FROM t, LATERAL (SELECT unnest(t.tags) AS x) AS x",
        ),
        (
            "SELECT g FROM generate_series(1, 3) AS g",
            "SELECT g FROM generate_series(1, 3) AS g (g)",
        ),
        (
            "SELECT * FROM t, unnest(t.tags) WITH ORDINALITY AS u (tag, n)",
            "SELECT * FROM t, LATERAL (SELECT unnest(t.tags) AS u, unnest(generate_series(1, CAST(cardinality(t.tags) AS BIGINT))) AS ordinality) AS u (tag, n)",
        ),
        (
            "SELECT a FROM string_to_table('a b', ' ') AS s (a)",
            "SELECT a FROM (SELECT unnest(string_to_array('a b', ' ')) AS s) AS s (a)",
        ),
        (
            "SELECT generate_series(1, a), cardinality(generate_series(1, a)) AS n FROM t",
            "SELECT unnest(generate_series(1, a)) AS generate_series, cardinality(generate_series(1, a)) AS n FROM t",
        ),
        (
            "SELECT ARRAY[1, 2], ARRAY[a, 2] FROM t",
            "SELECT ARRAY[1, 2] AS \"array\", make_array(a, 2) AS \"array\u{1}1\" FROM t",
        ),
    ] {
        assert_eq!(prepared(sql), expected, "{sql}");
    }
}

#[test]
fn rewrites_are_what_they_say() {
    for (sql, expected) in [
        ("SELECT a, b AS c FROM t", "SELECT a, b AS c FROM t"),
        ("TABLE t", "SELECT * FROM t"),
        (
            "SELECT a FROM t FETCH FIRST 3 ROWS ONLY",
            "SELECT a FROM t LIMIT 3",
        ),
        (
            "SELECT a FROM t OFFSET 2 FETCH NEXT ROW ONLY",
            "SELECT a FROM t LIMIT 1 OFFSET 2",
        ),
        (
            "SELECT a AS x FROM t ORDER BY x FETCH FIRST 3 ROWS WITH TIES",
            "SELECT a AS x FROM t QUALIFY rank() OVER (ORDER BY a) <= 3 ORDER BY x",
        ),
        (
            "SELECT count(*), sum(a) FROM t",
            "SELECT count(*) AS \"count\", sum(a) AS \"sum\" FROM t",
        ),
        (
            "SELECT 1, a + 1 FROM t",
            "SELECT 1 AS \"?column?\", a + 1 AS \"?column?\u{1}1\" FROM t",
        ),
        (
            "SELECT a::int, CASE WHEN a THEN 1 END FROM t",
            "SELECT a::INT AS \"a\", CASE WHEN a THEN 1 END AS \"case\" FROM t",
        ),
        ("SELECT a, a FROM t", "SELECT a, a AS \"a\u{1}1\" FROM t"),
        (
            "SELECT a, t.a, b AS a FROM t",
            "SELECT a, t.a AS \"a\u{1}1\", b AS \"a\u{1}2\" FROM t",
        ),
        ("SELECT *, a FROM t", "SELECT *, a AS \"a\u{1}1\" FROM t"),
        (
            "SELECT lower(a) FROM t GROUP BY lower",
            "SELECT lower(a) AS \"lower\u{1}1\" FROM t GROUP BY lower",
        ),
        (
            "SELECT * FROM TUMBLE(t, ts, INTERVAL '10 minutes') AS w",
            "SELECT * FROM (SELECT *, date_bin(INTERVAL '600000000 microseconds', ts) AS window_start, \
             date_bin(INTERVAL '600000000 microseconds', ts) + INTERVAL '600000000 microseconds' AS window_end FROM t) AS w",
        ),
        (
            "SELECT x FROM HOP((SELECT * FROM s), ts, INTERVAL '1' SECOND, INTERVAL '2' SECOND)",
            "SELECT x FROM (SELECT *, date_bin(INTERVAL '1000000 microseconds', ts) AS window_start, \
             date_bin(INTERVAL '1000000 microseconds', ts) + INTERVAL '2000000 microseconds' AS window_end \
             FROM (SELECT * FROM s) AS __window_input UNION ALL \
             SELECT *, date_bin(INTERVAL '1000000 microseconds', ts) - INTERVAL '1000000 microseconds' AS window_start, \
             date_bin(INTERVAL '1000000 microseconds', ts) + INTERVAL '1000000 microseconds' AS window_end \
             FROM (SELECT * FROM s) AS __window_input)",
        ),
    ] {
        assert_eq!(prepared(sql), expected);
    }
}

#[test]
fn ignored_syntax_is_refused_by_name() {
    for (sql, part) in [
        ("SELECT * FROM t FOR UPDATE", "FOR UPDATE"),
        (
            "SELECT * FROM (SELECT * FROM t FOR SHARE) x",
            "FOR UPDATE or FOR SHARE",
        ),
        ("SELECT * FROM t TABLESAMPLE BERNOULLI (10)", "TABLESAMPLE"),
        (
            "SELECT * FROM read_rows(1, 3) WITH ORDINALITY",
            "WITH ORDINALITY",
        ),
        ("SELECT a INTO b FROM t", "SELECT INTO"),
        (
            "SELECT * FROM t WHERE a IN (SELECT b FROM u TABLESAMPLE SYSTEM (1))",
            "TABLESAMPLE",
        ),
        (
            "WITH x AS (INSERT INTO t VALUES (1)) SELECT 1",
            "writes inside a query",
        ),
        (
            "SELECT DISTINCT a FROM t ORDER BY a FETCH FIRST 1 ROW WITH TIES",
            "WITH TIES",
        ),
    ] {
        let parsed = parse(sql);
        let error = match parsed {
            Err(error) => error,
            Ok(mut parsed) => match parsed.remove(0).statement {
                Statement::Query(mut query) => prepare_query(&mut query).expect_err(sql),
                other => panic!("{sql} is {other:?}"),
            },
        };
        assert!(error.message().contains(part), "{sql}: {error}");
    }
}

#[test]
fn window_tables_refuse_lengths_that_are_not_fixed() {
    for (sql, part) in [
        (
            "SELECT * FROM TUMBLE(t, ts, INTERVAL '1 month')",
            "fixed length",
        ),
        ("SELECT * FROM TUMBLE(t, ts, INTERVAL '0 s')", "positive"),
        ("SELECT * FROM TUMBLE(t, ts, x)", "literal"),
        ("SELECT * FROM TUMBLE(t, ts)", "TUMBLE takes"),
        ("SELECT * FROM SESSION(t, ts)", "SESSION takes"),
        ("SELECT * FROM SESSION(t, ts, a)", "literal"),
        (
            "SELECT * FROM SESSION(t, ts, INTERVAL '1 year', a)",
            "fixed length",
        ),
        (
            "SELECT * FROM HOP(t, ts, INTERVAL '2 s', INTERVAL '3 s')",
            "multiple",
        ),
        (
            "SELECT * FROM HOP(t, ts, INTERVAL '1 s', INTERVAL '1 day')",
            "windows",
        ),
    ] {
        let error = prepare_query(&mut query(sql)).expect_err(sql);
        assert!(error.message().contains(part), "{sql}: {error}");
    }
}

#[test]
fn dependencies_are_relations_and_not_ctes_or_functions() {
    assert_eq!(
        reads(
            "WITH t AS (SELECT * FROM t), u AS (SELECT 1) SELECT * FROM t, u, s.v WHERE a IN (SELECT x FROM w)"
        ),
        ["t", "w", "s.v"]
    );
    assert_eq!(
        reads("SELECT * FROM TUMBLE(clicks, ts, INTERVAL '1 s')"),
        ["clicks"]
    );
    assert_eq!(
        reads("SELECT * FROM generate_series(1, 2)"),
        Vec::<String>::new()
    );
    assert_eq!(
        reads("SELECT (SELECT max(a) FROM \"Big\") FROM small UNION SELECT 1 FROM third"),
        ["Big", "small", "third"]
    );
}

#[test]
fn ctes_that_blow_up_are_refused() {
    let mut sql = "WITH c0 AS (SELECT 1 AS x)".to_owned();
    for n in 1..40 {
        sql.push_str(&format!(
            ", c{n} AS (SELECT a.x FROM c{} a, c{} b)",
            n - 1,
            n - 1
        ));
    }
    sql.push_str(" SELECT * FROM c39");
    assert_eq!(prepare_query(&mut query(&sql)).unwrap_err().code(), "54001");
    let mut sql = "WITH c0 AS (SELECT 1 AS x)".to_owned();
    for n in 1..2_000 {
        sql.push_str(&format!(", c{n} AS (SELECT x FROM c{})", n - 1));
    }
    sql.push_str(" SELECT * FROM c1999");
    assert_eq!(prepare_query(&mut query(&sql)).unwrap_err().code(), "54001");
}

#[test]
fn models_refuse_functions_that_do_not_repeat() {
    for name in [
        "random()",
        "uuid()",
        "now()",
        "current_timestamp",
        "CURRENT_DATE",
        "current_user",
    ] {
        let error = check_model_query(&query(&format!("SELECT a FROM t WHERE {name} IS NULL")))
            .expect_err(name);
        assert_eq!(error.code(), "0A000");
        assert!(error.hint().is_some());
    }
    check_model_query(&query("SELECT lower(a), count(*) FROM t GROUP BY 1")).unwrap();
}

#[test]
fn marks_are_taken_off_for_the_user() {
    assert_eq!(output_name("a\u{1}12"), "a");
    assert_eq!(output_name("a"), "a");
}

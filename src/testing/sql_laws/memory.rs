//! Memory follows the rows: what a query keeps of many rows is let go of with them, and the answer is still right.
//!
//! The third law asks that no row of state is left; this asks the same of bytes, which hash tables, chains and lists of free
//! places hold on to longer than rows.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;

use super::rng::Rng;
use super::rows::Row;
use super::run::Maintained;
use super::tests::Bench;
use super::world::Changes;

const TABLES: [&str; 2] = [
    "CREATE TABLE a (k BIGINT, g BIGINT, s VARCHAR, x DOUBLE, ts TIMESTAMP)",
    "CREATE TABLE b (k BIGINT, v BIGINT)",
];
/// Rows of each table.
const ROWS: i64 = 6_000;
/// One of so many rows stays longest.
const STAY: i64 = 40;
/// The unit of the times of these tables in a second.
const SECOND: i64 = 1_000_000;

/// The operator that keeps the rows, and a query that has it.
const KEEPERS: [(&str, &str); 17] = [
    ("join", "SELECT a.k, a.s, b.v FROM a JOIN b ON a.k = b.k"),
    (
        "join",
        "SELECT a.k, b.k AS other FROM a JOIN b ON a.k = b.k + 1 AND a.x < b.k",
    ),
    (
        "left join",
        "SELECT a.k, b.v FROM a LEFT JOIN b ON a.k = b.k",
    ),
    (
        "full join",
        "SELECT a.k, b.v FROM a FULL JOIN b ON a.k = b.k + 3000",
    ),
    (
        "semi join",
        "SELECT k, s FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k)",
    ),
    (
        "anti join",
        "SELECT k, s FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.v > 3)",
    ),
    ("distinct", "SELECT DISTINCT k, s FROM a"),
    (
        "aggregate",
        "SELECT k, s, count(*) AS n, sum(x) AS x, avg(g) AS g, min(s) AS least, max(ts) AS most FROM a GROUP BY k, s",
    ),
    (
        "aggregate",
        "SELECT k, count(DISTINCT s) AS n, stddev(x) AS x, bool_and(g > 3) AS f, bit_or(g) AS b,
                corr(x, x) AS c, string_agg(s, ',') AS t
         FROM a GROUP BY k",
    ),
    (
        "aggregate",
        "SELECT count(DISTINCT k) AS k, count(DISTINCT s) AS s, min(k) AS least, max(s) AS most, sum(x) AS x FROM a",
    ),
    ("top_k", "SELECT k, s FROM a ORDER BY s, k LIMIT 10"),
    (
        "group_top_k",
        "SELECT k, g, s FROM (SELECT *, row_number() OVER (PARTITION BY g ORDER BY s, k) AS place FROM a) AS r
         WHERE place <= 2",
    ),
    (
        "group_top_k",
        "SELECT k, s FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY s) AS place FROM a) AS r
         WHERE place <= 2",
    ),
    (
        "window",
        "SELECT k, lag(s) OVER (PARTITION BY g ORDER BY k) AS before FROM a",
    ),
    (
        "session",
        "SELECT k, window_start, window_end FROM SESSION(a, ts, INTERVAL '1 second', g)",
    ),
    (
        "asof_join",
        "SELECT a.k, b.v FROM a ASOF LEFT JOIN b MATCH_CONDITION (a.k >= b.v) ON a.g = b.k",
    ),
    (
        "temporal_filter",
        "SELECT k FROM a WHERE ts > now() - INTERVAL '1 minute'",
    ),
];

fn row_of(table: &str, number: i64) -> Row {
    let k = ScalarValue::Int64(Some(number));
    if table == "b" {
        return vec![k, ScalarValue::Int64(Some(number % 50))];
    }
    let at = ScalarValue::TimestampMicrosecond(Some(number * 7 * SECOND), None);
    vec![
        k,
        ScalarValue::Int64(Some(number % 50)),
        ScalarValue::Utf8View(Some(format!("a text of its own, {number}"))),
        ScalarValue::Float64(Some(f64::from(i32::try_from(number).unwrap()) / 3.0)),
        at,
    ]
}

fn changes(numbers: &[i64], weight: i64) -> Changes {
    let of = |table: &str| {
        let rows = numbers
            .iter()
            .map(|number| (row_of(table, *number), weight));
        (table.to_owned(), rows.collect())
    };
    Changes::from([of("a"), of("b")])
}

/// A query that rows come to and go from.
struct Run<'a> {
    held: Maintained,
    rng: &'a mut Rng,
}

impl<'a> Run<'a> {
    fn new(bench: &Bench, sql: &str, rng: &'a mut Rng) -> Self {
        let plan = bench.subject(sql).unwrap().optimised;
        let held = Maintained::new(&bench.state, &bench.world, &plan).unwrap();
        let mut run = Self { held, rng };
        run.held.feed(&Changes::new(), run.rng, false).unwrap();
        run
    }

    fn feed(&mut self, numbers: &[i64], weight: i64, steps: usize) {
        for numbers in numbers.chunks(numbers.len().div_ceil(steps)) {
            let fed = self.held.feed(&changes(numbers, weight), self.rng, false);
            fed.unwrap();
        }
    }

    fn bytes(&self) -> usize {
        self.held.dataflow.state_bytes()
    }
}

#[test]
fn the_bytes_of_a_state_go_with_its_rows() {
    let bench = Bench::over(&TABLES.map(str::to_owned));
    let mut rng = Rng::new(7);
    for (keeper, sql) in KEEPERS {
        let mut others: Vec<i64> = (0..ROWS).filter(|number| number % STAY != 0).collect();
        rng.shuffle(&mut others);
        let stay: Vec<i64> = (0..ROWS).filter(|number| number % STAY == 0).collect();
        let again = &others[..stay.len()];

        let mut fewer = rng.clone();
        let mut expected = Run::new(&bench, sql, &mut fewer);
        expected.feed(&stay, 1, 2);
        expected.feed(again, 1, 2);

        let mut run = Run::new(&bench, sql, &mut rng);
        let names: BTreeSet<&str> = run
            .held
            .dataflow
            .stats()
            .iter()
            .map(|node| node.name)
            .collect();
        assert!(names.contains(keeper), "{sql} is made of {names:?}");
        let (empty, nothing) = (run.bytes(), run.held.output.clone());
        run.feed(&stay, 1, 1);
        run.feed(&others, 1, 3);
        let full = run.bytes();
        run.feed(&others, -1, 9);
        let sparse = run.bytes();
        run.feed(again, 1, 2);
        assert_eq!(run.held.output, expected.held.output, "{sql}");
        run.feed(again, -1, 2);
        run.feed(&stay, -1, 2);
        let end = run.bytes();
        assert_eq!(run.held.output, nothing, "{sql}");
        println!(
            "{keeper}: {empty} bytes empty, {full} full, {sparse} with a {STAY}th, {end} at the end"
        );
        assert!(
            sparse < full / 8,
            "{sparse} of {full} bytes for a {STAY}th of the rows: {sql}"
        );
        assert!(
            end <= empty + full / 100,
            "{end} bytes after {full}, and not {empty}: {sql}"
        );
    }
}

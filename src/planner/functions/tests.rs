//! The functions inside DataFusion.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "generated numbers are small"
)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use datafusion::catalog::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::optimizer::Optimizer;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;
use crate::base::Error;

fn context(partitions: usize) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(512)
        .set_bool("datafusion.sql_parser.parse_float_as_decimal", true);
    let mut rules = Optimizer::new().rules;
    rules.retain(|rule| !RULES_OFF.contains(&rule.name()));
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_optimizer_rules(rules)
        .with_analyzer_rule(checked_arithmetic_rule())
        .build();
    let context = SessionContext::new_with_state(state);
    for function in all_udafs() {
        context.register_udaf(Arc::unwrap_or_clone(function));
    }
    for function in all_udfs() {
        context.register_udf(Arc::unwrap_or_clone(function));
    }
    context
}

async fn rows(context: &SessionContext, sql: &str) -> Result<Vec<String>, Error> {
    let batches = context
        .sql(sql)
        .await
        .map_err(Error::from)?
        .collect()
        .await
        .map_err(Error::from)?;
    let mut lines = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|column| {
                if column.is_null(row) {
                    "NULL".to_owned()
                } else {
                    array_value_to_string(column, row).unwrap()
                }
            });
            lines.push(values.collect::<Vec<_>>().join("|"));
        }
    }
    Ok(lines)
}

fn outcome(result: Result<Vec<String>, Error>) -> String {
    match result {
        Ok(rows) => rows.join(";"),
        Err(error) => error.code().to_owned(),
    }
}

/// A small generator, so that each run sees the same rows.
fn numbers(seed: u64, count: usize) -> Vec<u64> {
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 16
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn table_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("x", DataType::Float64, true),
        Field::new("n", DataType::Int64, true),
        Field::new("i", DataType::Int64, false),
    ]))
}

fn table(seed: u64, count: usize) -> RecordBatch {
    let random = numbers(seed, count);
    let keys: Int64Array = random
        .iter()
        .map(|r| (r % 7 != 0).then_some((r % 50) as i64))
        .collect();
    let floats: Float64Array = random
        .iter()
        .map(|r| match r % 101 {
            0 => None,
            1 => Some(-0.0),
            2 if r % 3 == 0 => Some(1e17),
            3 if r % 3 == 0 => Some(-1e17),
            _ => Some(((r >> 8) as f64 / 1e9) * if r % 2 == 0 { 1.0 } else { -1.0 }),
        })
        .collect();
    let ints: Int64Array = random
        .iter()
        .map(|r| Some((r % 1000) as i64 - 500))
        .collect();
    let index: Int64Array = (0..count as i64).map(Some).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(keys),
        Arc::new(floats),
        Arc::new(ints),
        Arc::new(index),
    ];
    RecordBatch::try_new(table_schema(), columns).unwrap()
}

/// The rows in another order, cut into partitions.
fn shuffled(batch: &RecordBatch, seed: u64, partitions: usize) -> MemTable {
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    let random = numbers(seed, order.len());
    order.sort_by_key(|row| random[*row as usize]);
    let batch = take_record_batch(batch, &UInt32Array::from(order)).unwrap();
    let size = batch.num_rows().div_ceil(partitions);
    let parts = (0..partitions).map(|part| {
        let from = (part * size).min(batch.num_rows());
        vec![batch.slice(from, size.min(batch.num_rows() - from))]
    });
    MemTable::try_new(batch.schema(), parts.collect()).unwrap()
}

const QUERIES: [&str; 13] = [
    "SELECT sum(x), avg(x), min(x), max(x), var_samp(x), stddev_pop(x), sum(n), avg(n) FROM t",
    "SELECT k, sum(x), avg(x), min(x), max(x), var_pop(x), stddev(x), sum(n), mean(n), count(*) FROM t GROUP BY k ORDER BY k",
    "SELECT k, sum(DISTINCT x), avg(DISTINCT n), sum(x), count(DISTINCT x) FROM t GROUP BY k ORDER BY k",
    "SELECT sum(DISTINCT x), sum(x) FROM t",
    "SELECT k, sum(x) FILTER (WHERE n > 0), avg(x) FILTER (WHERE n > 1000) FROM t GROUP BY k ORDER BY k",
    "SELECT i, sum(x) OVER w, avg(x) OVER w, max(x) OVER w, stddev(x) OVER w FROM t WHERE i < 300 WINDOW w AS (ORDER BY i ROWS BETWEEN 5 PRECEDING AND 2 FOLLOWING) ORDER BY i",
    "SELECT i, sum(x) OVER (PARTITION BY k ORDER BY i) FROM t WHERE i < 300 ORDER BY i",
    "SELECT k, covar_samp(x, n), corr(x, i), regr_slope(i, n), regr_intercept(n, i), regr_r2(i, n), regr_count(x, n), regr_avgx(n, x), regr_sxy(i, n) FROM t GROUP BY k ORDER BY k",
    "SELECT corr(DISTINCT i, k), regr_syy(i, n) FILTER (WHERE n > 0), var_pop(i), stddev(DISTINCT k), bit_xor(DISTINCT n), bit_and(n) FROM t",
    "SELECT k, median(x), percentile_cont(0.3) WITHIN GROUP (ORDER BY x DESC), percentile_disc(0.7) WITHIN GROUP (ORDER BY n), mode() WITHIN GROUP (ORDER BY x), median(DISTINCT i) FROM t GROUP BY k ORDER BY k",
    "SELECT k, any_value(x), any_value(n), approx_distinct(x), approx_median(i), approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY i) FROM t GROUP BY k ORDER BY k",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n), mode() WITHIN GROUP (ORDER BY k DESC), approx_distinct(n), any_value(k) FROM t",
    "SELECT i, corr(i, n) OVER w, median(i) OVER w, var_pop(i) OVER w, approx_distinct(k) OVER w, regr_count(x, n) OVER w FROM t WHERE i < 300 WINDOW w AS (ORDER BY i ROWS BETWEEN 5 PRECEDING AND 2 FOLLOWING) ORDER BY i",
];

#[tokio::test]
async fn float_aggregates_do_not_depend_on_order_or_partitions() {
    let batch = table(7, 5000);
    let mut expected: Vec<Vec<String>> = Vec::new();
    for (seed, partitions) in [(1, 1), (2, 3), (3, 8)] {
        let context = context(partitions);
        context
            .register_table("t", Arc::new(shuffled(&batch, seed, partitions)))
            .unwrap();
        for (at, sql) in QUERIES.iter().enumerate() {
            let found = rows(&context, sql).await.unwrap();
            assert!(!found.is_empty());
            match expected.get(at) {
                None => expected.push(found),
                Some(before) => assert_eq!(before, &found, "{sql} over {partitions} partitions"),
            }
        }
    }
}

#[tokio::test]
async fn a_window_frame_gives_what_its_rows_give() {
    let context = context(1);
    context
        .register_table("t", Arc::new(shuffled(&table(9, 400), 5, 1)))
        .unwrap();
    let framed = "SELECT i, sum(x) OVER (ORDER BY i ROWS BETWEEN 5 PRECEDING AND 2 FOLLOWING) FROM t ORDER BY i";
    let joined = "SELECT a.i, sum(b.x) FROM t a JOIN t b ON b.i BETWEEN a.i - 5 AND a.i + 2 GROUP BY a.i ORDER BY a.i";
    assert_eq!(
        rows(&context, framed).await.unwrap(),
        rows(&context, joined).await.unwrap()
    );
}

#[tokio::test]
async fn a_window_frame_of_moments_and_ordered_values_gives_what_its_rows_give() {
    let context = context(1);
    context
        .register_table("t", Arc::new(shuffled(&table(11, 200), 5, 1)))
        .unwrap();
    let framed = "SELECT i, corr(i, k) OVER w, median(x) OVER w, var_samp(n) OVER w FROM t WINDOW w AS (ORDER BY i ROWS BETWEEN 5 PRECEDING AND 2 FOLLOWING) ORDER BY i";
    let joined = "SELECT a.i, corr(b.i, b.k), median(b.x), var_samp(b.n) FROM t a JOIN t b ON b.i BETWEEN a.i - 5 AND a.i + 2 GROUP BY a.i ORDER BY a.i";
    assert_eq!(
        rows(&context, framed).await.unwrap(),
        rows(&context, joined).await.unwrap()
    );
}

#[tokio::test]
async fn aggregates_over_ordinary_values_are_those_of_sql() {
    let context = context(2);
    for (sql, expected) in [
        (
            "SELECT sum(x) FROM (VALUES (0.1::double), (0.2::double), (0.3::double), (1e16::double), (-1e16::double)) v(x)",
            "0.6",
        ),
        (
            "SELECT sum(x), avg(x), min(x), max(x) FROM (VALUES (1), (2), (NULL), (4)) v(x)",
            "7|2.3333333333333335|1|4",
        ),
        (
            "SELECT sum(x), avg(x) FROM (VALUES (1), (2)) v(x) WHERE x > 5",
            "NULL|NULL",
        ),
        (
            "SELECT min(x), max(x) FROM (VALUES (1.0::double), ('NaN'::double), (-3.0::double)) v(x)",
            "-3.0|NaN",
        ),
        (
            "SELECT min(x), max(x) FROM (VALUES ('NaN'::double), (1.0::double), (-3.0::double)) v(x)",
            "-3.0|NaN",
        ),
        (
            "SELECT count(DISTINCT x) FROM (VALUES (0.0::double), (-0.0::double), ('NaN'::double), (-'NaN'::double)) v(x)",
            "2",
        ),
        (
            "SELECT avg(x) FROM (VALUES (9223372036854775807), (9223372036854775807)) v(x)",
            "9.223372036854775807e18",
        ),
        (
            "SELECT avg(x) FROM (VALUES (1.00::decimal(5,2)), (2.00), (2.00)) v(x)",
            "1.666667",
        ),
        (
            "SELECT sum(x) FROM (VALUES (1.25::decimal(5,2)), (-0.25)) v(x)",
            "1.00",
        ),
        (
            "SELECT var_samp(x), stddev_pop(x) FROM (SELECT x::double AS x FROM (VALUES (2), (4), (4), (4), (5), (5), (7), (9)) v(x))",
            "4.571428571428571|2.0",
        ),
        (
            "SELECT sum(x) FROM (VALUES (1::int), (2)) v(x) HAVING sum(x) > 2",
            "3",
        ),
    ] {
        let found = outcome(rows(&context, sql).await);
        let expected = if expected.contains("9.223372036854775807e18") {
            "9.223372036854776e18"
        } else {
            expected
        };
        assert_eq!(found, expected, "{sql}");
    }
}

const MAX: &str = "9223372036854775807";

#[tokio::test]
async fn integer_and_decimal_arithmetic_never_wraps() {
    let context = context(2);
    context.sql("CREATE TABLE a AS SELECT 9223372036854775807::bigint AS b, 2147483647::int AS i, 32767::smallint AS s, 255::tinyint unsigned AS u, 99999999999999999999999999999999999999::decimal(38,0) AS d, 1.5::double AS f, arrow_cast(1, 'Int8') AS t").await.unwrap().collect().await.unwrap();
    for (sql, expected) in [
        (format!("SELECT {MAX} + 1"), "22003"),
        (format!("SELECT -{MAX} - 2"), "22003"),
        (format!("SELECT {MAX} * 2"), "22003"),
        (format!("SELECT {MAX} + 0"), MAX),
        ("SELECT b + 1 FROM a".to_owned(), "22003"),
        ("SELECT 1 + b FROM a".to_owned(), "22003"),
        ("SELECT -b - 2 FROM a".to_owned(), "22003"),
        ("SELECT -(-b - 1) FROM a".to_owned(), "22003"),
        ("SELECT b * b FROM a".to_owned(), "22003"),
        ("SELECT i + i FROM a".to_owned(), "22003"),
        ("SELECT i::bigint + i FROM a".to_owned(), "4294967294"),
        ("SELECT s * s FROM a".to_owned(), "22003"),
        ("SELECT i * 1::int FROM a".to_owned(), "2147483647"),
        ("SELECT d + d FROM a".to_owned(), "22003"),
        ("SELECT d + 1::decimal(38,0) FROM a".to_owned(), "22003"),
        ("SELECT d * d FROM a".to_owned(), "22003"),
        ("SELECT -d - d FROM a".to_owned(), "22003"),
        ("SELECT d - d FROM a".to_owned(), "0"),
        ("SELECT (-b - 1) / -1 FROM a".to_owned(), "22003"),
        ("SELECT abs(-b - 1) FROM a".to_owned(), "22003"),
        ("SELECT b::int FROM a".to_owned(), "22003"),
        (
            "SELECT sum(b + 0) FROM (SELECT b FROM a UNION ALL SELECT b FROM a)".to_owned(),
            "22003",
        ),
        (
            "SELECT sum(d) FROM (SELECT d FROM a UNION ALL SELECT d FROM a)".to_owned(),
            "22003",
        ),
        ("SELECT b FROM a WHERE b + 1 > 0".to_owned(), "22003"),
        (
            "SELECT x.b FROM a x JOIN a y ON x.b - 1 = y.b - 1".to_owned(),
            MAX,
        ),
        (
            "SELECT b - 1, count(*) FROM a GROUP BY b - 1 ORDER BY b - 1".to_owned(),
            "9223372036854775806|1",
        ),
        (
            "SELECT sum(b - 1) OVER (ORDER BY b + 0) FROM a".to_owned(),
            "9223372036854775806",
        ),
        (
            "SELECT (SELECT max(y.b - 1) FROM a y WHERE y.b = x.b - 0) FROM a x".to_owned(),
            "9223372036854775806",
        ),
        ("SELECT f * 2 + 1 FROM a".to_owned(), "4.0"),
        ("SELECT t + 1 FROM a".to_owned(), "2"),
        (
            "SELECT date '2024-01-31' + interval '1 month'".to_owned(),
            "2024-02-29",
        ),
        ("SELECT NULL + 1".to_owned(), "NULL"),
    ] {
        assert_eq!(outcome(rows(&context, &sql).await), expected, "{sql}");
    }
}

#[tokio::test]
async fn checked_arithmetic_keeps_names_types_and_nullability() {
    let context = context(1);
    let plain =
        SessionContext::new_with_state(SessionStateBuilder::new().with_default_features().build());
    for context in [&context, &plain] {
        context
            .sql("CREATE TABLE a (b bigint not null, i int, d decimal(10,2))")
            .await
            .unwrap()
            .collect()
            .await
            .unwrap();
    }
    for sql in [
        "SELECT b + 1, i * 2 - 3, -i, d * d, d + b, (b + i) * i AS x FROM a",
        "SELECT sum(b + 1), b * 2 FROM a GROUP BY b * 2",
        "SELECT sum(i - 1) OVER (ORDER BY i + 1) FROM a",
        "SELECT 'a' || i || b, i::text || 'x' AS t FROM a",
    ] {
        let ours = context
            .sql(sql)
            .await
            .unwrap()
            .into_optimized_plan()
            .unwrap();
        let theirs = plain.sql(sql).await.unwrap().into_optimized_plan().unwrap();
        let shape = |plan: &datafusion::logical_expr::LogicalPlan| -> Vec<String> {
            let fields = plan.schema().fields().iter();
            fields
                .map(|field| {
                    format!(
                        "{} {} {}",
                        field.name(),
                        field.data_type(),
                        field.is_nullable()
                    )
                })
                .collect()
        };
        assert_eq!(shape(&ours), shape(&theirs), "{sql}");
    }
}

#[tokio::test]
async fn operators_come_back_for_remote_servers() {
    let context = context(1);
    let plan = context
        .sql("SELECT -(column1 + 1) * 2 FROM (VALUES (1), (2))")
        .await
        .unwrap();
    let plan = plan.into_optimized_plan().unwrap();
    let checked = plan.expressions()[0].to_string();
    assert!(checked.contains("checked_"), "{checked}");
    let plain = plain_arithmetic(plan.expressions()[0].clone())
        .unwrap()
        .to_string();
    assert!(
        !plain.contains("checked_") && plain.contains('*'),
        "{plain}"
    );
}

#[tokio::test]
async fn huge_values_are_refused_before_they_are_made() {
    let context = context(1);
    for sql in [
        "SELECT length(repeat('x', 500000000))",
        "SELECT length(repeat(repeat('x', 60000), 60000))",
        "SELECT length(lpad('x', 1000000000, 'y'))",
        "SELECT length(rpad('x', 1000000000))",
        "SELECT array_length(array_repeat(1, 100000000))",
        "SELECT array_length(array_repeat(array_repeat(1, 100000), 100000))",
        "SELECT array_length(range(0, 100000000))",
        "SELECT array_length(generate_series(0, 100000000, 1))",
        "SELECT array_length(generate_series(timestamp '1900-01-01', timestamp '2030-01-01', interval '1 second'))",
        "SELECT array_length(array_resize([1], 100000000, 2))",
        "SELECT length(replace(repeat('x', 1000000), 'x', repeat('y', 100)))",
        "SELECT sum(length(repeat('x', 60000000 + value))) FROM range(0, 100)",
        "SELECT length(concat(repeat('x', 34000000), repeat('y', 34000000)))",
        "SELECT length(repeat('x', 34000000) || repeat('y', 34000000))",
        "SELECT array_length(array_agg(repeat('x', 1000000 + value))) FROM range(0, 100)",
        "SELECT length(string_agg(repeat('x', 1000000 + value), ',')) FROM range(0, 100)",
    ] {
        assert_eq!(outcome(rows(&context, sql).await), "54000", "{sql}");
    }
}

#[tokio::test]
async fn guarded_functions_give_what_they_gave() {
    let context = context(1);
    for (sql, expected) in [
        (
            "SELECT repeat('ab', 3), repeat('ab', -1), repeat(NULL, 3)",
            "ababab||NULL",
        ),
        ("SELECT lpad('x', 4, 'ab'), rpad('x', 3)", "abax|x  "),
        (
            "SELECT concat('a', NULL, 1), concat_ws('-', 'a', 'b', NULL)",
            "a1|a-b",
        ),
        (
            "SELECT 'a' || 'b' || 1, 'a' || NULL, v || 'z' FROM (VALUES ('q')) t(v)",
            "ab1|NULL|qz",
        ),
        (
            "SELECT [1] || [2], 'a' || v FROM (VALUES ('q'), (NULL)) t(v)",
            "[1, 2]|aq;[1, 2]|NULL",
        ),
        ("SELECT replace('banana', 'an', 'xyz')", "bxyzxyza"),
        (
            "SELECT array_repeat(1, 3), range(3), generate_series(1, 3)",
            "[1, 1, 1]|[0, 1, 2]|[1, 2, 3]",
        ),
        (
            "SELECT range(date '2024-01-01', date '2024-03-01', interval '1 month')",
            "[2024-01-01, 2024-02-01]",
        ),
        (
            "SELECT array_agg(value ORDER BY value DESC), string_agg(value::text, ',' ORDER BY value) FROM range(0, 4)",
            "[3, 2, 1, 0]|0,1,2,3",
        ),
        (
            "SELECT k, array_agg(v) FROM (VALUES (1, 'a'), (2, 'b')) t(k, v) GROUP BY k ORDER BY k",
            "1|[a];2|[b]",
        ),
        (
            "SELECT array_agg(DISTINCT v) FROM (VALUES ('a'), ('a')) t(v)",
            "[a]",
        ),
    ] {
        assert_eq!(outcome(rows(&context, sql).await), expected, "{sql}");
    }
}

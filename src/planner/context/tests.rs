//! Planning and running queries through a session over tables in memory.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, ListArray, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::datasource::MemTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{collect, displayable};

use super::*;
use crate::base::{CancelFlag, Error, Result};
use crate::planner::parse::{Statement, parse};
use crate::planner::prepass::{check_model_plan, prepare_query, restore_names};

fn table(columns: Vec<(&str, ArrayRef)>) -> Arc<MemTable> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
            .unwrap();
    Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap())
}

fn ints(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn state(plan_for: PlanFor) -> SessionState {
    let schema = MemorySchemaProvider::new();
    let a = [Some(1), Some(1), Some(1), Some(2), None, None];
    let b = [Some(3), Some(3), Some(1), Some(2), Some(7), Some(7)];
    schema
        .register_table("t".into(), table(vec![("a", ints(&a)), ("b", ints(&b))]))
        .unwrap();
    let u = table(vec![
        ("a", ints(&[Some(1), Some(2), Some(2), None])),
        ("c", ints(&[Some(9), Some(8), Some(8), None])),
    ]);
    schema.register_table("u".into(), u).unwrap();
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
        0,
        59_000_000,
        60_000_000,
        125_000_000,
    ]));
    let names: ArrayRef = Arc::new(StringViewArray::from(vec!["x", "y", "x", "y"]));
    let tags: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(1), Some(2)]),
        None,
        Some(vec![]),
        Some(vec![Some(3)]),
    ]));
    schema
        .register_table(
            "e".into(),
            table(vec![("at", at), ("name", names), ("tags", tags)]),
        )
        .unwrap();
    let many: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20_000));
    schema
        .register_table("many".into(), table(vec![("n", many)]))
        .unwrap();
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("public", Arc::new(schema)).unwrap();
    let mut options = ContextOptions::new(Arc::new(catalog));
    options.plan_for = plan_for;
    options.memory_bytes = 256 << 20;
    session_state(&options).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

async fn logical(state: &SessionState, sql: &str) -> Result<LogicalPlan> {
    let Statement::Query(mut query) = parse(sql)?.remove(0).statement else {
        return Err(Error::internal("not a query"));
    };
    prepare_query(&mut query)?;
    plan_query(state, &query).await
}

async fn rows_of(state: &SessionState, sql: &str) -> Result<Vec<RecordBatch>> {
    let plan = logical(state, sql).await?;
    let plan = physical_plan(state, &plan).await?;
    let plan = make_cancellable(plan, &CancelFlag::new())?;
    Ok(collect(plan, state.task_ctx()).await?)
}

/// Runs on worker threads of 2 MiB, as a server does.
fn run(plan_for: PlanFor, sql: &str) -> Result<Vec<RecordBatch>> {
    let state = state(plan_for);
    let sql = sql.to_owned();
    runtime().block_on(async move {
        #[expect(
            clippy::disallowed_methods,
            reason = "the task is awaited in the next line"
        )]
        tokio::spawn(async move { rows_of(&state, &sql).await })
            .await
            .unwrap()
    })
}

/// Rows as sorted lines of cells parted by `|`.
fn lines(sql: &str) -> Vec<String> {
    lines_for(PlanFor::Query, sql)
}

fn lines_for(plan_for: PlanFor, sql: &str) -> Vec<String> {
    let batches = run(plan_for, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let text = pretty_format_batches(&batches).unwrap().to_string();
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(1)
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(str::trim)
                .collect::<Vec<_>>()
                .join("|")
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn duplicate_output_names_run_and_come_back() {
    let batches = run(
        PlanFor::Query,
        "SELECT a, a, a + 1, b + 1 FROM t WHERE b = 2",
    )
    .unwrap();
    let schema = restore_names(&batches[0].schema());
    let names: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["a", "a", "?column?", "?column?"]);
    assert_eq!(lines("SELECT *, a FROM t WHERE b = 2"), ["2|2|2"]);
    assert_eq!(
        lines("SELECT x.count FROM (SELECT count(*) FROM t) x"),
        ["6"]
    );
    assert_eq!(
        lines("SELECT a, sum(b) FROM t GROUP BY a HAVING sum(b) > 2 ORDER BY sum(b)"),
        ["1|7", "|14"]
    );
    assert_eq!(
        lines("SELECT DISTINCT a + 1 FROM t ORDER BY a + 1"),
        ["", "2", "3"]
    );
    assert_eq!(
        lines("SELECT t.a, u.a FROM t JOIN u ON t.a = u.a WHERE t.b = 2"),
        ["2|2", "2|2"]
    );
}

#[test]
fn set_operations_keep_multiplicities() {
    assert_eq!(
        lines("SELECT a FROM t INTERSECT ALL SELECT a FROM u"),
        ["", "1", "2"]
    );
    assert_eq!(
        lines("SELECT a FROM t EXCEPT ALL SELECT a FROM u"),
        ["", "1", "1"]
    );
    assert_eq!(
        lines("SELECT a FROM t EXCEPT SELECT a FROM u"),
        Vec::<String>::new()
    );
    assert_eq!(
        lines("SELECT * FROM t EXCEPT ALL SELECT * FROM t"),
        Vec::<String>::new()
    );
    assert_eq!(
        lines("SELECT * FROM u INTERSECT ALL SELECT * FROM u"),
        ["1|9", "2|8", "2|8", "|"]
    );
    assert_eq!(
        lines("SELECT 1 WHERE EXISTS (SELECT a FROM t EXCEPT ALL SELECT a FROM u)"),
        ["1"]
    );
    assert_eq!(
        lines("SELECT a FROM t UNION ALL SELECT a FROM u EXCEPT ALL SELECT a FROM t"),
        ["", "1", "2", "2"]
    );
}

#[test]
fn windows_tumble_and_hop() {
    assert_eq!(
        lines(
            "SELECT window_start, count(*) FROM TUMBLE(e, at, INTERVAL '1 minute') GROUP BY window_start"
        ),
        [
            "1970-01-01T00:00:00|2",
            "1970-01-01T00:01:00|1",
            "1970-01-01T00:02:00|1"
        ]
    );
    assert_eq!(
        lines(
            "SELECT w.window_start, w.window_end, w.name FROM HOP(e, at, INTERVAL '1 minute', INTERVAL '2 minutes') w WHERE name = 'y'"
        ),
        [
            "1969-12-31T23:59:00|1970-01-01T00:01:00|y",
            "1970-01-01T00:00:00|1970-01-01T00:02:00|y",
            "1970-01-01T00:01:00|1970-01-01T00:03:00|y",
            "1970-01-01T00:02:00|1970-01-01T00:04:00|y",
        ]
    );
}

#[test]
fn fetch_with_ties_keeps_the_ties() {
    assert_eq!(
        lines("SELECT b FROM t ORDER BY b FETCH FIRST 3 ROWS WITH TIES"),
        ["1", "2", "3", "3"]
    );
    assert_eq!(
        lines("SELECT b FROM t ORDER BY 1 FETCH FIRST 3 ROWS ONLY"),
        ["1", "2", "3"]
    );
}

#[test]
fn ties_are_broken_by_the_remaining_columns() {
    for plan_for in [PlanFor::Query, PlanFor::Model] {
        assert_eq!(
            lines_for(plan_for, "SELECT a, b FROM t ORDER BY a LIMIT 1"),
            ["1|1"]
        );
        assert_eq!(
            lines_for(
                plan_for,
                "SELECT b, row_number() OVER (ORDER BY a) AS n FROM t WHERE a = 1"
            ),
            ["1|1", "3|2", "3|3"]
        );
        assert_eq!(
            lines_for(plan_for, "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, a"),
            ["1|1", "2|2", "|7"]
        );
        assert_eq!(
            lines_for(
                plan_for,
                "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b DESC"
            ),
            ["1|3", "2|2", "|7"]
        );
        assert_eq!(
            lines_for(plan_for, "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a"),
            ["1|1", "2|2", "|7"]
        );
        assert_eq!(
            lines_for(plan_for, "SELECT DISTINCT ON (a) * FROM t"),
            ["1|1", "2|2", "|7"]
        );
        assert_eq!(
            lines_for(
                plan_for,
                "SELECT a FROM (SELECT a, b FROM t ORDER BY a LIMIT 2) x WHERE b = 3"
            ),
            ["1"]
        );
        // The peers of a RANGE frame stay peers.
        assert_eq!(
            lines_for(
                plan_for,
                "SELECT sum(b) OVER (ORDER BY a) FROM t WHERE a = 1"
            ),
            ["7", "7", "7"]
        );
        assert_eq!(
            lines_for(
                plan_for,
                "SELECT rank() OVER (ORDER BY a) FROM t WHERE a = 1"
            ),
            ["1", "1", "1"]
        );
    }
    assert_eq!(
        lines_for(PlanFor::Model, "SELECT b FROM t LIMIT 2"),
        ["1", "2"]
    );
    assert_eq!(
        lines_for(PlanFor::Model, "SELECT array_agg(b) FROM t WHERE a = 1"),
        ["[1, 3, 3]"]
    );
}

#[test]
fn literals_and_casts_have_the_types_of_columns() {
    let batches = run(
        PlanFor::Query,
        "SELECT 0.1 + 0.2, '2020-01-01'::timestamptz, 'x'::text, 1::numeric, TIMESTAMP '2020-01-01', 'y'::varchar(3)",
    )
    .unwrap();
    let types: Vec<_> = batches[0]
        .schema()
        .fields()
        .iter()
        .map(|f| f.data_type().to_string())
        .collect();
    assert_eq!(types[0], "Decimal128(2, 1)");
    assert!(
        types[1].contains("UTC") && types[1].contains("\u{b5}s"),
        "{types:?}"
    );
    assert_eq!(types[2], "Utf8View");
    assert_eq!(types[3], "Decimal128(38, 10)");
    assert!(types[4].contains("\u{b5}s"), "{types:?}");
    assert_eq!(types[5], "Utf8View");
}

#[test]
fn sessions_reach_no_files_and_no_ddl() {
    for sql in [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"/etc/passwd\"",
        "SELECT * FROM read_csv('/etc/passwd')",
    ] {
        let error = run(PlanFor::Query, sql).unwrap_err();
        assert!(
            matches!(error.code(), "42601" | "42P01" | "42000" | "42883"),
            "{sql}: {} {error}",
            error.code()
        );
    }
}

#[test]
fn a_query_over_its_budget_is_refused_and_spills_nothing() {
    let schema = MemorySchemaProvider::new();
    let many: ArrayRef = Arc::new(Int64Array::from_iter_values(0..2_000_000));
    schema
        .register_table("many".into(), table(vec![("n", many)]))
        .unwrap();
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("public", Arc::new(schema)).unwrap();
    let mut options = ContextOptions::new(Arc::new(catalog));
    options.memory_bytes = 4 << 20;
    let state = session_state(&options).unwrap();
    let error = runtime()
        .block_on(rows_of(
            &state,
            "SELECT n % 1000003, count(*) FROM many GROUP BY 1",
        ))
        .unwrap_err();
    assert_eq!(error.code(), "53200", "{error}");
}

#[test]
fn models_are_optimised_without_rules_that_harm_them() {
    let rules: Vec<String> = model_optimizer()
        .rules
        .iter()
        .map(|rule| rule.name().to_owned())
        .collect();
    for off in [
        "eliminate_join",
        "single_distinct_aggregation_to_group_by",
        "push_down_limit",
    ] {
        assert!(
            datafusion::optimizer::Optimizer::new()
                .rules
                .iter()
                .any(|rule| rule.name() == off),
            "{off} has another name"
        );
        assert!(!rules.iter().any(|rule| rule == off));
    }
    let state = state(PlanFor::Model);
    runtime().block_on(async {
        let plan = logical(
            &state,
            "SELECT a FROM t WHERE b < EXTRACT(epoch FROM now())",
        )
        .await
        .unwrap();
        assert!(check_model_plan(&plan).is_ok());
        let plan = optimize(&state, plan).unwrap();
        assert!(
            plan.display_indent().to_string().contains("now()"),
            "{plan}"
        );
    });
}

#[test]
fn chains_at_the_limit_run_on_small_stacks() {
    let plus = format!("SELECT a{} FROM t WHERE b = 2", "+1".repeat(900));
    assert_eq!(lines(&plus), ["902"]);
    let or = format!("SELECT a FROM t WHERE b = 2{}", " OR b = -1".repeat(900));
    assert_eq!(lines(&or), ["2"]);
    let ors = format!(
        "SELECT a FROM t WHERE b = 2{}",
        " OR (b = -1 AND a < 3)".repeat(450)
    );
    assert_eq!(lines(&ors), ["2"]);
}

#[test]
fn nests_at_the_limit_run_on_small_stacks() {
    let n = 100;
    for sql in [
        format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n)),
        format!("SELECT {}1{}", "abs(".repeat(n), ")".repeat(n)),
        format!(
            "SELECT {}1{}",
            "CASE WHEN true THEN ".repeat(n),
            " END".repeat(n)
        ),
        format!(
            "SELECT * FROM {}t{}",
            "(SELECT * FROM ".repeat(n),
            ") x".repeat(n)
        ),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(n)),
        format!("SELECT {} true", "NOT ".repeat(n)),
    ] {
        run(PlanFor::Query, &sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[test]
fn a_join_ends_when_it_is_cancelled() {
    let state = state(PlanFor::Query);
    let flag = CancelFlag::new();
    let outcome = runtime().block_on(async {
        let plan = logical(
            &state,
            "SELECT count(*) FROM many x JOIN many y ON x.n * 7 + y.n < -x.n - y.n * 3",
        )
        .await?;
        let plan = physical_plan(&state, &plan).await?;
        let plan = make_cancellable(plan, &flag)?;
        assert!(
            displayable(plan.as_ref())
                .indent(false)
                .to_string()
                .contains("CooperativeExec")
        );
        flag.cancel();
        Ok::<_, Error>(collect(plan, state.task_ctx()).await?)
    });
    assert_eq!(outcome.unwrap_err().code(), "57014");
}

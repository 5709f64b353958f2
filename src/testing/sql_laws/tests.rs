//! The laws and the plans of the queries in `tests/plans/`.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::datasource::MemTable;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};

use super::{Subject, World, check, seeds};
use crate::base::Result;
use crate::planner::context::{ContextOptions, PlanFor, optimize, plan_query, session_state};
use crate::planner::explain::render;
use crate::planner::functions::{all_udafs, all_udfs, checked_arithmetic_rule};
use crate::planner::lower::{DataFusionEvaluators, lower};
use crate::planner::parse::{Statement, parse};
use crate::planner::prepass::prepare_query;

/// A query of a file, with the comment before it as its name.
pub(super) struct Query {
    pub(super) name: String,
    pub(super) sql: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/plans")
}

pub(super) fn queries(file: &str) -> Vec<Query> {
    let text = std::fs::read_to_string(folder().join(format!("{file}.sql"))).unwrap();
    let mut queries = Vec::new();
    let (mut name, mut sql) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("-- ") {
            name = comment.to_owned();
            continue;
        }
        sql.push_str(line);
        sql.push('\n');
        if let Some(statement) = line.strip_suffix(';') {
            assert!(!statement.is_empty());
            let whole = sql.trim_end().trim_end_matches(';').to_owned();
            queries.push(Query {
                name: name.clone(),
                sql: whole,
            });
            sql.clear();
        }
    }
    queries
}

/// The state and the tables that the queries run in.
pub(super) struct Bench {
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) state: SessionState,
    pub(super) world: World,
}

impl Bench {
    pub(super) fn new() -> Self {
        let tables: Vec<String> = queries("schema")
            .into_iter()
            .map(|query| query.sql)
            .collect();
        Self::over(&tables)
    }

    /// Over the tables of some CREATE TABLE statements.
    pub(super) fn over(statements: &[String]) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let catalog = Arc::new(MemoryCatalogProvider::new());
        let tables = Arc::new(MemorySchemaProvider::new());
        catalog
            .register_schema("public", Arc::clone(&tables) as Arc<dyn SchemaProvider>)
            .unwrap();
        let state = session(catalog);
        let mut world = World::default();
        for sql in statements {
            let plan = runtime.block_on(state.create_logical_plan(sql)).unwrap();
            let LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table)) = plan else {
                panic!("{sql} is not CREATE TABLE");
            };
            let schema = Arc::clone(table.input.schema().inner());
            let empty = MemTable::try_new(Arc::clone(&schema), vec![vec![]]).unwrap();
            tables
                .register_table(table.name.table().to_owned(), Arc::new(empty))
                .unwrap();
            world.add(table.name.table(), schema);
        }
        Self {
            runtime,
            state,
            world,
        }
    }

    pub(super) fn subject(&self, sql: &str) -> Result<Subject> {
        let parsed = parse(sql)?;
        let Some(Statement::Query(query)) =
            parsed.into_iter().next().map(|parsed| parsed.statement)
        else {
            panic!("{sql} is not a query");
        };
        let mut query = query;
        prepare_query(&mut query)?;
        let bound = self.runtime.block_on(plan_query(&self.state, &query))?;
        let optimised = optimize(&self.state, bound.clone())?;
        Ok(Subject { bound, optimised })
    }

    fn explain(&self, sql: &str) -> String {
        let evaluators = DataFusionEvaluators::new(&self.state);
        let lowered = self.subject(sql).and_then(|subject| {
            lower(
                &subject.optimised,
                &|name| self.world.resolve(name),
                &evaluators,
            )
        });
        match lowered {
            Ok(lowered) => render(&lowered.explain),
            Err(error) => format!("error: {error}\n"),
        }
    }

    /// Checks the laws for the queries of `file`; every failure is told, with the seed that repeats it.
    fn laws(&self, file: &str, runs: u64) {
        let mut failures = Vec::new();
        let only = std::env::var("LOTIC_QUERY").ok();
        for query in queries(file) {
            if only
                .as_ref()
                .is_some_and(|only| !query.name.contains(only.as_str()))
            {
                continue;
            }
            let subject = match self.subject(&query.sql) {
                Ok(subject) => subject,
                Err(error) => {
                    failures.push(format!("{}: {}\n{error}", query.name, query.sql));
                    continue;
                }
            };
            for seed in seeds(runs) {
                let checked =
                    self.runtime
                        .block_on(check(&self.state, &self.world, &subject, seed));
                if let Err(error) = checked {
                    let Query { name, sql } = &query;
                    failures.push(format!("{name}: LOTIC_SEED={seed}\n{sql}\n{error}"));
                    break;
                }
            }
        }
        assert!(
            failures.is_empty(),
            "{} of {file}:\n{}",
            failures.len(),
            failures.join("\n\n")
        );
    }

    /// Compares the plans of `file` with the stored ones; `UPDATE=1` stores them.
    fn plans(&self, file: &str) {
        let mut text = String::new();
        for query in queries(file) {
            text.push_str(&format!(
                "-- {}\n{}\n",
                query.name,
                self.explain(&query.sql)
            ));
        }
        compare_stored(file, &text);
    }
}

/// Compares plans with the stored ones of `file`; `UPDATE=1` stores them.
pub(super) fn compare_stored(file: &str, text: &str) {
    let path = folder().join(format!("{file}.plan"));
    if std::env::var("UPDATE").is_ok_and(|update| update == "1") {
        std::fs::write(&path, text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        stored, text,
        "{file}.plan differs; UPDATE=1 stores the new plans"
    );
}

/// A session as models have it.
fn session(catalog: Arc<dyn CatalogProvider>) -> SessionState {
    let options = ContextOptions {
        plan_for: PlanFor::Model,
        scalar_functions: all_udfs()
            .into_iter()
            .chain(lotic_udfs::all().into_iter().map(Arc::new))
            .collect(),
        aggregates: all_udafs(),
        analyzer_rules: vec![checked_arithmetic_rule()],
        ..ContextOptions::new(catalog)
    };
    session_state(&options).unwrap()
}

macro_rules! laws_of {
    ($($laws:ident, $plans:ident: $file:literal;)*) => {$(
        #[test]
        fn $laws() {
            Bench::new().laws($file, 2);
        }

        #[test]
        fn $plans() {
            Bench::new().plans($file);
        }
    )*};
}

laws_of! {
    linear_queries_obey_the_laws, linear_queries_have_the_stored_plans: "linear";
    failing_rows_obey_the_laws, failing_rows_have_the_stored_plans: "failing_rows";
    joins_obey_the_laws, joins_have_the_stored_plans: "joins";
    aggregates_obey_the_laws, aggregates_have_the_stored_plans: "aggregates";
    statistics_obey_the_laws, statistics_have_the_stored_plans: "statistics";
    evaluated_aggregates_obey_the_laws, evaluated_aggregates_have_the_stored_plans: "evaluated";
    grouping_sets_obey_the_laws, grouping_sets_have_the_stored_plans: "grouping_sets";
    floats_obey_the_laws, floats_have_the_stored_plans: "floats";
    set_operations_obey_the_laws, set_operations_have_the_stored_plans: "set_operations";
    subqueries_obey_the_laws, subqueries_have_the_stored_plans: "subqueries";
    correlated_queries_obey_the_laws, correlated_queries_have_the_stored_plans: "correlated";
    recomputed_queries_obey_the_laws, recomputed_queries_have_the_stored_plans: "recomputed";
    rewritten_queries_obey_the_laws, rewritten_queries_have_the_stored_plans: "rewritten";
    nested_columns_obey_the_laws, nested_columns_have_the_stored_plans: "nested";
    recursive_queries_obey_the_laws, recursive_queries_have_the_stored_plans: "recursive";
    sessions_obey_the_laws, sessions_have_the_stored_plans: "sessions";
    asof_joins_obey_the_laws, asof_joins_have_the_stored_plans: "asof";
    temporal_filters_obey_the_laws, temporal_filters_have_the_stored_plans: "temporal";
    first_rows_obey_the_laws, first_rows_have_the_stored_plans: "top_k";
    windows_obey_the_laws, windows_have_the_stored_plans: "windows";
    json_queries_obey_the_laws, json_queries_have_the_stored_plans: "json";
    filled_gaps_obey_the_laws, filled_gaps_have_the_stored_plans: "gap_fill";
}

#[test]
fn a_function_that_changes_by_itself_is_refused() {
    let bench = Bench::new();
    let volatile = bench.explain("SELECT k, random() AS r FROM t");
    assert!(
        volatile.contains("random() cannot be used in a model"),
        "{volatile}"
    );
    for stable in [
        "SELECT k, now() AS at FROM t",
        "SELECT k FROM t WHERE ts > now() - INTERVAL '1 month'",
        "SELECT k FROM t WHERE ts > now() OR k = 1",
        "SELECT k FROM t WHERE now() - ts > INTERVAL '1 hour'",
        "SELECT k FROM t WHERE ts = now()",
        "SELECT k FROM t WHERE k > 1 AND EXTRACT(epoch FROM now()) > a",
    ] {
        let explained = bench.explain(stable);
        assert!(
            explained.contains("now() cannot be used in a model yet"),
            "{stable}: {explained}"
        );
    }
}

#[test]
fn a_plan_prints_the_same_whatever_the_session_planned_before() {
    let bench = Bench::new();
    let sql = "SELECT k FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k)";
    assert_eq!(bench.explain(sql), bench.explain(sql));
}

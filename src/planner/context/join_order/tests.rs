//! Joins in order: the plans, and that they give the rows they gave.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, Statistics};
use datafusion::datasource::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::optimizer::Optimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::super::models::model_optimizer;

/// A table that says how many rows it has.
#[derive(Debug)]
struct Counted {
    rows: usize,
    table: MemTable,
}

#[async_trait]
impl TableProvider for Counted {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Exact(self.rows);
        Some(statistics)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.table.scan(state, projection, filters, limit).await
    }
}

/// Lines of orders of customers of nations.
fn context(optimizer: Optimizer, counted: bool) -> SessionContext {
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_optimizer_rules(optimizer.rules)
        .build();
    let context = SessionContext::new_with_state(state);
    let tables: [(&str, i64, &[&str]); 4] = [
        ("line", 600, &["l_order", "l_part", "l_number"]),
        ("orders", 150, &["o_order", "o_customer", "o_number"]),
        ("customer", 15, &["c_customer", "c_nation"]),
        ("nation", 3, &["n_nation", "n_name"]),
    ];
    for (name, rows, columns) in tables {
        let fields = columns
            .iter()
            .map(|name| Field::new(*name, DataType::Int64, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns = (0..columns.len()).map(|column| {
            let values = (0..rows).map(|row| row % [rows, 7, 5][column]);
            Arc::new(Int64Array::from_iter_values(values)) as _
        });
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap();
        let table = Counted {
            rows: if counted { batch.num_rows() } else { 0 },
            table: MemTable::try_new(schema, vec![vec![batch]]).unwrap(),
        };
        context.register_table(name, Arc::new(table)).unwrap();
    }
    context
}

/// The plan's tables and joins, a line each, and the rows.
fn run(context: &SessionContext, sql: &str) -> (Vec<String>, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let plan = context.state().create_logical_plan(sql).await.unwrap();
        let plan = context.state().optimize(&plan).unwrap();
        let plan = plan.display_indent().to_string();
        let lines = plan
            .lines()
            .map(str::trim)
            .filter(|line| line.contains("Join") || line.starts_with("TableScan"))
            .map(|line| line.split(" projection").next().unwrap_or(line).to_owned());
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let rows = pretty_format_batches(&batches).unwrap().to_string();
        (lines.collect(), rows)
    })
}

const CHAIN: &str = "SELECT l_number, o_number, n_name FROM line \
     JOIN orders ON l_order = o_order JOIN customer ON o_customer = c_customer \
     JOIN nation ON c_nation = n_nation AND (l_number > n_name OR o_number > n_name) \
     WHERE n_name = 2 ORDER BY 1, 2, 3";

const SEMI: &str = "SELECT l_number, o_number, c_nation FROM customer \
     JOIN orders ON o_customer = c_customer JOIN line ON l_order = o_order \
     WHERE EXISTS (SELECT 1 FROM nation WHERE n_nation = o_order AND n_name <= o_number) ORDER BY 1, 2, 3";

#[test]
fn a_filtered_table_is_joined_before_large_ones() {
    let (plan, _) = run(&context(model_optimizer(), true), CHAIN);
    let tables: Vec<&str> = plan
        .iter()
        .filter_map(|line| line.strip_prefix("TableScan: "))
        .collect();
    // Line with (orders with (customer with nation)).
    assert_eq!(tables, ["line", "orders", "customer", "nation"]);
    assert!(
        plan[0].contains("l_order = orders.o_order Filter: line.l_number"),
        "{plan:?}"
    );
    assert_eq!(plan[4], "Inner Join: customer.c_nation = nation.n_nation");
}

#[test]
fn a_semi_join_goes_below_the_joins_that_it_spares_rows() {
    let (plan, _) = run(&context(model_optimizer(), true), SEMI);
    let place = |part: &str| plan.iter().position(|line| line.contains(part)).unwrap();
    assert!(place("LeftSemi Join") > place("Inner Join"), "{plan:?}");
    assert!(
        place("TableScan: line") > place("TableScan: nation"),
        "{plan:?}"
    );
}

#[test]
fn any_order_gives_the_same_rows() {
    for sql in [CHAIN, SEMI] {
        let (_, expected) = run(&context(Optimizer::new(), true), sql);
        let (_, found) = run(&context(model_optimizer(), true), sql);
        assert_eq!(found, expected);
        assert!(expected.lines().count() > 5, "{expected}");
    }
}

#[test]
fn the_written_order_stays_where_sizes_are_not_known() {
    let (plan, _) = run(&context(model_optimizer(), false), CHAIN);
    let (written, _) = run(&context(Optimizer::new(), false), CHAIN);
    assert_eq!(plan, written);
}

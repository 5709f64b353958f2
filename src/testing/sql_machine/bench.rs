//! What the cases of one thread share: the session, the tables and views, and the ways to run a plan in batch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::Schema;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{DdlStatement, Expr, LogicalPlan, Operator};
use datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{self, ExecutionPlan, displayable};

use super::live::{LiveTable, Rows};
use super::tables::{TABLES, VIEWS};
use crate::base::{Error, Result};
use crate::planner::context::{
    ContextOptions, OneZero, PlanFor, Rule, compare_chosen, depend_rightly, optimize, plan_query,
    push_down_rightly, put_around, session_state,
};
use crate::planner::explain::render;
use crate::planner::functions::{all_udafs, all_udfs, checked_arithmetic_rule};
use crate::planner::lower::{
    DataFusionEvaluators, RowErrors, at_moment, is_row_error, lower, physical_batch, plan_batch,
    run_batch, tolerant_state,
};
use crate::planner::parse::{Statement, parse};
use crate::planner::prepass::prepare_query;
use crate::testing::sql_laws::{Bag, Subject, World, batch};
use crate::zset::canonical::canonical_batch;

/// Rows of a batch of a table.
const BATCH_ROWS: usize = 5;

/// The session, the tables and the views.
pub(super) struct Bench {
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) state: SessionState,
    /// With DataFusion's own optimizer rules.
    plain: SessionState,
    tolerant: SessionState,
    /// The tables, empty.
    pub(super) world: World,
    live: Vec<Rows>,
}

impl Bench {
    /// A bench whose batch plans have so many partitions.
    pub(super) fn new(partitions: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let catalog = Arc::new(MemoryCatalogProvider::new());
        let tables = Arc::new(MemorySchemaProvider::new());
        catalog
            .register_schema("public", Arc::clone(&tables) as Arc<dyn SchemaProvider>)
            .unwrap();
        let state = session(catalog, partitions);
        // It is wrong there, and the rest is what is compared with.
        let mut plain_rules = Optimizer::new().rules;
        find_no_keys_of_null(&mut plain_rules);
        push_down_rightly(&mut plain_rules);
        compare_chosen(&mut plain_rules);
        depend_rightly(&mut plain_rules);
        // A NaN with a sign is below every number there.
        plain_rules.push(Arc::new(OneZero));
        let mut bench = Self {
            plain: SessionStateBuilder::new_from_existing(state.clone())
                .with_optimizer_rules(plain_rules)
                .build(),
            tolerant: tolerant_state(&state, &RowErrors::default()),
            runtime,
            state,
            world: World::default(),
            live: Vec::new(),
        };
        for table in &TABLES {
            let sql = table.create(|_| true);
            let plan = bench
                .runtime
                .block_on(bench.state.create_logical_plan(&sql))
                .unwrap();
            let LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(created)) = plan else {
                panic!("{sql} is not CREATE TABLE");
            };
            let schema = Arc::clone(created.input.schema().inner());
            let rows = Rows::default();
            let live = LiveTable::new(Arc::clone(&schema), Arc::clone(&rows), table.key);
            tables
                .register_table(table.name.to_owned(), Arc::new(live))
                .unwrap();
            bench.world.add(table.name, schema);
            bench.live.push(rows);
        }
        for (name, query, _) in VIEWS {
            let plan = bench.subject(query).unwrap().bound;
            tables
                .register_table(name.to_owned(), Arc::new(ViewTable::new(plan, None)))
                .unwrap();
        }
        bench
    }

    /// A query as a model would have it.
    pub(super) fn subject(&self, sql: &str) -> Result<Subject> {
        let parsed = parse(sql)?.into_iter().next();
        let Some(Statement::Query(mut query)) = parsed.map(|parsed| parsed.statement) else {
            panic!("{sql} is not a query");
        };
        prepare_query(&mut query)?;
        let bound = self.runtime.block_on(plan_query(&self.state, &query))?;
        let optimised = optimize(&self.state, bound.clone())?;
        Ok(Subject { bound, optimised })
    }

    /// A query and its plans, to be read.
    pub(super) fn explain(&self, sql: &str) -> String {
        let subject = match self.subject(sql) {
            Ok(subject) => subject,
            Err(error) => return format!("{sql}\n{error}"),
        };
        let plan = subject.optimised.display_indent_schema().to_string();
        let evaluators = DataFusionEvaluators::new(&self.state);
        let resolve = |name: &_| self.world.resolve(name);
        let lowered = match lower(&subject.optimised, &resolve, &evaluators) {
            Ok(lowered) => render(&lowered.explain),
            Err(error) => error.to_string(),
        };
        let physical = plan_batch(&subject.optimised)
            .and_then(|plan| self.physical(&self.state, &plan))
            .map(|plan| displayable(plan.as_ref()).indent(false).to_string());
        let physical = physical.unwrap_or_else(|error| error.to_string());
        format!("{sql}\n{plan}\n{lowered}\n{physical}")
    }

    /// Makes the tables hold what those of `world` hold.
    pub(super) fn show(&self, world: &World) -> Result<()> {
        for (rows, table) in self.live.iter().zip(&TABLES) {
            let held = &world.tables[table.name];
            let batches = held.rows.chunks(BATCH_ROWS);
            let batches = batches.map(|rows| canonical_batch(&batch(&held.schema, rows)?));
            *rows.lock().unwrap() = batches.collect::<Result<Vec<_>>>()?;
        }
        Ok(())
    }

    /// What DataFusion answers without Lotic's optimizer rules; `None` where a failing row ends its run.
    pub(super) fn plain(&self, subject: &Subject, now_us: i64) -> Result<Option<Bag>> {
        // Without our rules it may panic where they keep it from doing so.
        let answered = catch_unwind(AssertUnwindSafe(|| self.plain_answer(subject, now_us)));
        answered.unwrap_or(Ok(None))
    }

    fn plain_answer(&self, subject: &Subject, now_us: i64) -> Result<Option<Bag>> {
        let plan = self.plain.optimize(&at_moment(&subject.bound, now_us)?)?;
        let planned = self.plain.query_planner();
        let planned = planned.create_physical_plan(&plan, &self.plain);
        let physical = self.runtime.block_on(planned)?;
        let collected = physical_plan::collect(physical, self.plain.task_ctx());
        let Ok(batches) = self.runtime.block_on(collected) else {
            return Ok(None);
        };
        bag(&batches, &subject.optimised).map(Some)
    }

    /// What the product's batch run answers over `world`, planned anew, and how many rows failed.
    pub(super) fn anew(
        &self,
        world: &World,
        plan: &LogicalPlan,
        now_us: i64,
    ) -> Result<(Bag, u64)> {
        let (batches, failed_rows) = self.batches(world, plan, now_us)?;
        Ok((bag(&batches, plan)?, failed_rows))
    }

    /// As [`Self::anew`], as it comes.
    pub(super) fn batches(
        &self,
        world: &World,
        plan: &LogicalPlan,
        now_us: i64,
    ) -> Result<(Vec<RecordBatch>, u64)> {
        let plan = at_moment(&world.bind(plan)?, now_us)?;
        let run = self.runtime.block_on(run_batch(&self.state, &plan))?;
        Ok((run.batches, run.failed_rows))
    }

    fn physical(&self, state: &SessionState, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.runtime.block_on(physical_batch(state, plan))?)
    }
}

/// A plan in batch, planned once: as `run_batch`, with its second, tolerant run.
pub(super) struct Batch<'a> {
    bench: &'a Bench,
    plan: LogicalPlan,
    /// Whether the plan depends on the moment.
    moves: bool,
    strict: Option<Arc<dyn ExecutionPlan>>,
    tolerant: Option<Arc<dyn ExecutionPlan>>,
}

impl<'a> Batch<'a> {
    /// The batch form of a model's plan.
    pub(super) fn new(bench: &'a Bench, plan: &LogicalPlan, moves: bool) -> Result<Self> {
        let mut batch = Self {
            bench,
            plan: plan.clone(),
            moves,
            strict: None,
            tolerant: None,
        };
        let physical = bench.physical(&bench.state, &batch.at(0)?)?;
        batch.strict = Some(physical);
        Ok(batch)
    }

    fn at(&self, now_us: i64) -> Result<LogicalPlan> {
        plan_batch(&at_moment(&self.plan, now_us)?)
    }

    /// The rows over what the tables hold now.
    pub(super) fn run(&mut self, now_us: i64) -> Result<Bag> {
        if self.moves {
            (self.strict, self.tolerant) = (None, None);
        }
        let strict = match self.strict.take() {
            Some(plan) => plan,
            None => self.bench.physical(&self.bench.state, &self.at(now_us)?)?,
        };
        let outcome = self.collect(&strict, &self.bench.state);
        self.strict = Some(strict);
        match outcome {
            Err(error) if is_row_error(&error) => {}
            outcome => return bag(&outcome?, &self.plan),
        }
        let tolerant = match self.tolerant.take() {
            Some(plan) => plan,
            None => self
                .bench
                .physical(&self.bench.tolerant, &self.at(now_us)?)?,
        };
        let outcome = self.collect(&tolerant, &self.bench.tolerant);
        self.tolerant = Some(tolerant);
        bag(&outcome?, &self.plan)
    }

    fn collect(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        state: &SessionState,
    ) -> datafusion::common::Result<Vec<RecordBatch>> {
        let plan = reset_plan_states(Arc::clone(plan))?;
        let collected = physical_plan::collect(plan, state.task_ctx());
        self.bench.runtime.block_on(collected)
    }
}

/// The rows of `batches` in the types of `plan`.
fn bag(batches: &[RecordBatch], plan: &LogicalPlan) -> Result<Bag> {
    let schema = plan.schema().inner();
    // What batch knows to be never NULL is no part of the comparison.
    let fields = schema.fields().iter();
    let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
    let nullable = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut bag = Bag::default();
    for batch in batches {
        if batch.num_columns() != schema.fields().len() {
            return Err(Error::internal("batch gives other columns than its plan"));
        }
        let columns = batch.columns().iter().zip(schema.fields());
        let columns = columns
            .map(|(column, field)| Ok(cast(column, field.data_type())?))
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        bag.add_batch(&RecordBatch::try_new_with_options(
            Arc::clone(&nullable),
            columns,
            &options,
        )?)?;
    }
    Ok(bag)
}

/// Keeps DataFusion's rule that finds keys from joins with a condition by which NULL meets NULL: it is wrong there, and Lotic's own rule would be
/// wrong in what is compared and in what it is compared with. Without keys the whole condition is asked of every pair.
fn find_no_keys_of_null(rules: &mut [Rule]) {
    put_around(
        rules,
        ExtractEquijoinPredicate::new().name(),
        |theirs, plan, config| {
            let meets_null = |part: &Expr| match part {
                Expr::BinaryExpr(binary) => binary.op == Operator::IsNotDistinctFrom,
                _ => false,
            };
            let has_one = |condition: &Expr| condition.exists(|part| Ok(meets_null(part)));
            match &plan {
                LogicalPlan::Join(join) if join.filter.as_ref().map_or(Ok(false), has_one)? => {
                    Ok(Transformed::no(plan))
                }
                _ => theirs.rewrite(plan, config),
            }
        },
    );
}

/// A session as models have it.
fn session(catalog: Arc<dyn CatalogProvider>, partitions: usize) -> SessionState {
    let options = ContextOptions {
        plan_for: PlanFor::Model,
        scalar_functions: all_udfs(),
        aggregates: all_udafs(),
        analyzer_rules: vec![checked_arithmetic_rule()],
        target_partitions: partitions,
        ..ContextOptions::new(catalog)
    };
    session_state(&options).unwrap()
}

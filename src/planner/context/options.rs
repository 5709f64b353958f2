//! What a session may use.

use std::sync::Arc;

use datafusion::catalog::CatalogProvider;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::optimizer::AnalyzerRule;

/// What a query is planned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanFor {
    /// A query that a session asks once.
    Query,
    /// The definition of a model, also when batch runs it: no choice among rows may be left open.
    Model,
}

/// What `session_state` builds a session from.
#[derive(Clone, Debug)]
pub struct ContextOptions {
    /// The relations: catalog `lotic`, default schema `public`.
    pub catalog: Arc<dyn CatalogProvider>,
    /// The budget of one query, in bytes.
    pub memory_bytes: usize,
    /// A pool shared with others instead of a budget of its own.
    pub memory_pool: Option<Arc<dyn MemoryPool>>,
    /// The memory pool and object stores of another session, shared: a view is planned in a session of its own and
    /// runs in that of the query.
    pub runtime: Option<Arc<RuntimeEnv>>,
    /// Partitions of a batch plan.
    pub target_partitions: usize,
    /// Rows of a batch.
    pub batch_size: usize,
    /// The session's time zone.
    pub time_zone: String,
    /// What is planned.
    pub plan_for: PlanFor,
    /// Registered by name over DataFusion's.
    pub scalar_functions: Vec<Arc<ScalarUDF>>,
    /// Registered by name over DataFusion's.
    pub aggregates: Vec<Arc<AggregateUDF>>,
    /// Registered by name over DataFusion's.
    pub windows: Vec<Arc<WindowUDF>>,
    /// Run after DataFusion's analyzer rules and before `TotalOrder`: checked arithmetic, size guards.
    pub analyzer_rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>>,
}

impl ContextOptions {
    /// Options for ad-hoc queries over `catalog`: 1 GiB, two partitions, UTC, no functions of Lotic's own.
    pub fn new(catalog: Arc<dyn CatalogProvider>) -> Self {
        Self {
            catalog,
            memory_bytes: 1 << 30,
            memory_pool: None,
            runtime: None,
            target_partitions: 2,
            batch_size: 8192,
            time_zone: "UTC".to_owned(),
            plan_for: PlanFor::Query,
            scalar_functions: Vec::new(),
            aggregates: Vec::new(),
            windows: Vec::new(),
            analyzer_rules: Vec::new(),
        }
    }
}

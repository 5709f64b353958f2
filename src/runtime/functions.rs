//! The functions and rules of every session, made once.

use std::sync::Arc;

use datafusion::catalog::CatalogProvider;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use crate::planner::context::ContextOptions;
use crate::planner::functions::{all_udafs, all_udfs, checked_arithmetic_rule};

/// What is registered over DataFusion's own.
pub(crate) struct Functions {
    scalar: Vec<Arc<ScalarUDF>>,
    aggregates: Vec<Arc<AggregateUDF>>,
    rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>>,
}

impl Functions {
    pub(crate) fn new() -> Self {
        let mut scalar = all_udfs();
        scalar.extend(lotic_udfs::all().into_iter().map(Arc::new));
        Self {
            scalar,
            aggregates: all_udafs(),
            rules: vec![checked_arithmetic_rule()],
        }
    }

    /// The options of a session over `catalog`.
    pub(crate) fn options(&self, catalog: Arc<dyn CatalogProvider>) -> ContextOptions {
        ContextOptions {
            scalar_functions: self.scalar.clone(),
            aggregates: self.aggregates.clone(),
            analyzer_rules: self.rules.clone(),
            ..ContextOptions::new(catalog)
        }
    }
}

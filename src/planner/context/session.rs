//! The session that plans and runs queries.

use std::sync::Arc;

use datafusion::catalog::{CatalogProviderList, MemoryCatalogProviderList};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionState, SessionStateDefaults};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::optimizer::{Analyzer, Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;

use super::array_operators::ArrayOperators;
use super::casts::CastsAsWritten;
use super::chosen_in_lists::compare_chosen;
use super::common_exprs::share_rightly;
use super::constant_keys::CONSTANT_KEYS;
use super::dates::DatesAsMoments;
use super::dependencies::depend_rightly;
use super::duplicates::DerivedNames;
use super::enforced::enforce_at_the_end;
use super::far_moments::FAR_MOMENTS;
use super::first_groups::FirstGroups;
use super::floats::FloatOverDecimal;
use super::forgotten::forget_in_time;
use super::join_keys::find_keys_rightly;
use super::join_sides::after_join_selection;
use super::json::{JsonCasts, JsonOperators};
use super::left_out::{leave_out_physical_where_it_fails, leave_out_where_it_fails};
use super::length_order::LengthOrder;
use super::lengths::LengthsOfTime;
use super::limits_stay::LimitsStay;
use super::models::model_optimizer;
use super::one_zero::OneZero;
use super::options::{ContextOptions, PlanFor};
use super::ordered_once::OrderedOnce;
use super::peers::settle_peers;
use super::prune_floats::PRUNE_FLOATS;
use super::push_down::push_down_rightly;
use super::push_filters::push_filters_rightly;
use super::range_frames::RangeFrames;
use super::round_limit::RoundLimit;
use super::set_keys::SetKeys;
use super::texts::TextsBeside;
use super::total_order::TotalOrder;
use super::types::OwnTypes;
use super::unique_below::UniqueBelow;
use super::whole_frames::WHOLE_FRAMES;
use crate::base::Result;
use crate::planner::asof::{LoticQueryPlanner, PushBelowAsof};
use crate::planner::functions::{AGGREGATES_OFF, RULES_OFF, all_udwfs, marks};

/// The catalog's name, which clients see as the database.
pub(crate) const CATALOG: &str = "lotic";

/// The schema of a name without one.
pub(crate) const SCHEMA: &str = "public";

/// Builds a session. It reaches no file, object store, table factory or spill folder: what it can read is what the
/// catalog gives it. A decimal literal is a decimal, as in PostgreSQL; text is `Utf8View`.
///
/// # Errors
/// 22023 when the time zone or another setting is refused.
pub fn session_state(options: &ContextOptions) -> Result<SessionState> {
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::clone(&options.catalog));
    let runtime = match &options.runtime {
        Some(runtime) => Arc::clone(runtime),
        None => runtime(options)?,
    };
    let mut analyzer = Analyzer::new();
    // Before DataFusion brings both sides to one type: it would choose the decimal.
    analyzer.rules.insert(0, Arc::new(FloatOverDecimal));
    analyzer.rules.insert(0, Arc::new(DatesAsMoments));
    analyzer.rules.insert(0, Arc::new(LengthOrder));
    analyzer.rules.insert(0, Arc::new(JsonCasts));
    // Before any other changes a key of a grouping set, and the name of the set with it.
    analyzer.rules.insert(0, Arc::new(SetKeys));
    analyzer.rules.push(Arc::new(JsonCasts));
    analyzer.rules.push(Arc::new(CastsAsWritten));
    analyzer.rules.push(Arc::new(RangeFrames));
    analyzer
        .rules
        .extend(options.analyzer_rules.iter().map(Arc::clone));
    analyzer
        .rules
        .push(Arc::new(TotalOrder::new(options.plan_for)));
    analyzer.rules.push(Arc::new(OneZero));
    analyzer.rules.push(Arc::new(SetKeys));
    let mut aggregates = SessionStateDefaults::default_aggregate_functions();
    aggregates.retain(|function| !AGGREGATES_OFF.contains(&function.name()));
    let mut builder = SessionStateBuilder::new()
        .with_config(config(options)?)
        .with_runtime_env(runtime)
        .with_catalog_list(Arc::new(catalogs))
        .with_expr_planners(expr_planners())
        .with_relation_planners(vec![Arc::new(DerivedNames::default())])
        .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(aggregates)
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .with_type_planner(Arc::new(OwnTypes))
        .with_query_planner(Arc::new(LoticQueryPlanner))
        .with_analyzer_rules(analyzer.rules)
        .with_optimizer_rules(optimizer_rules(options.plan_for))
        .with_physical_optimizer_rules(physical_rules());
    // Later registrations of a name replace earlier ones.
    extend(builder.scalar_functions(), &marks());
    extend(builder.scalar_functions(), &options.scalar_functions);
    extend(builder.aggregate_functions(), &options.aggregates);
    extend(builder.window_functions(), &all_udwfs());
    extend(builder.window_functions(), &options.windows);
    Ok(builder.build())
}

fn optimizer_rules(plan_for: PlanFor) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = match plan_for {
        PlanFor::Model => model_optimizer().rules,
        PlanFor::Query => Optimizer::new().rules,
    };
    rules.retain(|rule| !RULES_OFF.contains(&rule.name()));
    find_keys_rightly(&mut rules);
    push_down_rightly(&mut rules);
    share_rightly(&mut rules);
    compare_chosen(&mut rules);
    rules.insert(0, Arc::new(PushBelowAsof));
    rules.push(Arc::new(OneZero));
    rules.push(Arc::new(OrderedOnce));
    rules.push(Arc::new(CONSTANT_KEYS));
    rules.push(Arc::new(FAR_MOMENTS));
    depend_rightly(&mut rules);
    leave_out_where_it_fails(&mut rules);
    rules
}

fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = after_join_selection(PhysicalOptimizer::new().rules);
    leave_out_physical_where_it_fails(&mut rules);
    enforce_at_the_end(&mut rules);
    push_filters_rightly(&mut rules);
    rules.insert(0, Arc::new(UniqueBelow));
    rules.insert(0, Arc::new(LimitsStay));
    forget_in_time(&mut rules);
    rules.push(Arc::new(PRUNE_FLOATS));
    rules.push(Arc::new(FirstGroups));
    rules.push(Arc::new(WHOLE_FRAMES));
    settle_peers(&mut rules);
    rules.push(Arc::new(RoundLimit::default()));
    rules
}

/// What plans operators: our own first.
fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    let own: [Arc<dyn ExprPlanner>; 4] = [
        Arc::new(TextsBeside),
        Arc::new(LengthsOfTime),
        Arc::new(JsonOperators),
        Arc::new(ArrayOperators),
    ];
    let theirs = SessionStateDefaults::default_expr_planners();
    own.into_iter().chain(theirs).collect()
}

/// Memory within a budget, and no files.
fn runtime(options: &ContextOptions) -> Result<Arc<RuntimeEnv>> {
    let pool = match &options.memory_pool {
        Some(pool) => Arc::clone(pool),
        None => Arc::new(GreedyMemoryPool::new(options.memory_bytes)),
    };
    // Without spill a fair division would only refuse sooner: whoever comes first gets memory.
    // Spilled rows would be plain text on disk. Until spill is sealed, a query over its budget is refused.
    let no_spill = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let builder = RuntimeEnvBuilder::new()
        .with_memory_pool(pool)
        .with_disk_manager_builder(no_spill);
    Ok(builder.build_arc()?)
}

fn extend<T>(slot: &mut Option<Vec<Arc<T>>>, own: &[Arc<T>]) {
    slot.get_or_insert_default()
        .extend(own.iter().map(Arc::clone));
}

fn config(options: &ContextOptions) -> Result<SessionConfig> {
    let mut config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_information_schema(true)
        .with_target_partitions(options.target_partitions.max(1))
        .with_batch_size(options.batch_size.max(1));
    let settings = config.options_mut();
    settings.sql_parser.parse_float_as_decimal = true;
    settings.sql_parser.map_string_types_to_utf8view = true;
    settings.sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    settings.execution.time_zone = Some(options.time_zone.clone());
    // Of files, for the sides of joins. Which of them may stand for an answer, the aggregates say (`functions/exact.rs`).
    settings.execution.collect_statistics = true;
    // The check refuses `mode() WITHIN GROUP (ORDER BY f IS TRUE)`: both sides do not agree on what is never NULL.
    settings.execution.skip_physical_aggregate_schema_check = true;
    Ok(config)
}

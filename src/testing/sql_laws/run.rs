//! One query against the laws.

use std::collections::BTreeMap;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::Optimizer;

use super::rng::Rng;
use super::rows::{Bag, Row, delta};
use super::world::{Changes, World};
use crate::base::{Error, ObjectId, Result};
use crate::engine::{Dataflow, Deltas, StepContext};
use crate::planner::lower::{DataFusionEvaluators, at_moment, lower, run_batch};

/// Steps of one run; the laws are looked at after every third.
const STEPS: usize = 12;
/// How far the clock goes on in a step: the times of random rows lie within the first two minutes.
const STEP_US: i64 = 13_000_000;

/// A query as it was bound, and as a model would run it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The plan before any optimizer rule.
    pub bound: LogicalPlan,
    /// The plan after the rules for models.
    pub optimised: LogicalPlan,
}

/// Checks laws 1 to 3 for a query over the tables of `world`, which are empty. Batch itself is held against
/// DataFusion with its own optimizer rules, wherever no row fails there.
///
/// # Errors
/// The first law that does not hold, with the rows that differ; or what kept the query from running.
pub async fn check(
    state: &SessionState,
    world: &World,
    subject: &Subject,
    seed: u64,
) -> Result<()> {
    let mut rng = Rng::new(seed);
    let plan = &subject.optimised;
    let mut world = world.clone();
    let mut maintained = Maintained::new(state, &world, plan)?;
    let mut history: Vec<Changes> = Vec::new();
    maintained.step(&Changes::new(), &mut rng)?;
    compare(
        "1 (empty input)",
        &maintained,
        &batch(state, &world, plan, 0).await?,
    )?;
    let idle_state = maintained.dataflow.state_rows();
    for step in 1..=STEPS {
        let changes = world.change(&mut rng);
        maintained.now_us += STEP_US;
        maintained.step(&changes, &mut rng)?;
        history.push(changes);
        if step % 3 == 0 {
            let now_us = maintained.now_us;
            let want = batch(state, &world, plan, now_us).await?;
            compare(&format!("1 (step {step})"), &maintained, &want)?;
            let moment = (&world, now_us);
            compare_with_plain(state, moment, subject, &want).await?;
        }
    }
    let now_us = maintained.now_us;
    let want = batch(state, &world, plan, now_us).await?;
    let mut again = Maintained::new(state, &world, plan)?;
    for changes in resplit(&history, &mut rng) {
        again.now_us = (again.now_us + STEP_US / 3).min(now_us);
        again.step(&changes, &mut rng)?;
    }
    again.now_us = now_us;
    again.step(&Changes::new(), &mut rng)?;
    compare("2 (another split and order)", &again, &want)?;
    let mut bulk = Maintained::new(state, &world, plan)?;
    bulk.now_us = now_us;
    bulk.bulk_load(&resplit(&history, &mut rng), &mut rng)?;
    compare("2 (one bulk load)", &bulk, &want)?;
    for changes in resplit(&history, &mut rng) {
        maintained.now_us += STEP_US / 10;
        maintained.step(&negated(&changes), &mut rng)?;
    }
    for table in world.tables.values_mut() {
        table.rows.clear();
    }
    let nothing = batch(state, &world, plan, maintained.now_us).await?;
    compare("3 (everything taken back)", &maintained, &nothing)?;
    if !maintained.errors.is_empty() {
        let left = maintained.errors.difference(&Bag::default());
        return Err(Error::internal(format!(
            "law 3: row errors are left over\n{left}"
        )));
    }
    let left = maintained.dataflow.state_rows();
    if left != idle_state {
        return Err(Error::internal(format!(
            "law 3: {left} rows of state are left instead of {idle_state}"
        )));
    }
    world.append_only = true;
    check_append_only(state, world, plan, &mut rng).await
}

/// Law 1 where the operators are told that rows only come, and keep less. The tables of `world` are empty.
async fn check_append_only(
    state: &SessionState,
    mut world: World,
    plan: &LogicalPlan,
    rng: &mut Rng,
) -> Result<()> {
    let mut maintained = Maintained::new(state, &world, plan)?;
    for step in 1..=STEPS {
        let changes = world.change(rng);
        maintained.now_us += STEP_US;
        maintained.step(&changes, rng)?;
        if step % 4 == 0 {
            let want = batch(state, &world, plan, maintained.now_us).await?;
            compare(
                &format!("1 (rows only come, step {step})"),
                &maintained,
                &want,
            )?;
        }
    }
    Ok(())
}

/// A dataflow, the integral of its output, and that of its row errors.
pub(in crate::testing) struct Maintained {
    pub(in crate::testing) dataflow: Dataflow,
    world: World,
    pub(in crate::testing) output: Bag,
    pub(in crate::testing) errors: Bag,
    /// The moment of the next step.
    pub(in crate::testing) now_us: i64,
}

impl Maintained {
    pub(in crate::testing) fn new(
        state: &SessionState,
        world: &World,
        plan: &LogicalPlan,
    ) -> Result<Self> {
        let evaluators = DataFusionEvaluators::new(state);
        let lowered = lower(plan, &|name| world.resolve(name), &evaluators)?;
        Ok(Self {
            dataflow: lowered.dataflow,
            world: world.clone(),
            output: Bag::default(),
            errors: Bag::default(),
            now_us: 0,
        })
    }

    /// Feeds all of `history` in one first load.
    pub(in crate::testing) fn bulk_load(
        &mut self,
        history: &[Changes],
        rng: &mut Rng,
    ) -> Result<()> {
        let mut all = Changes::new();
        for (name, rows) in history.iter().flatten() {
            all.entry(name.clone())
                .or_default()
                .extend(rows.iter().cloned());
        }
        self.feed(&all, rng, true)
    }

    fn step(&mut self, changes: &Changes, rng: &mut Rng) -> Result<()> {
        self.feed(changes, rng, false)
    }

    /// Feeds `changes`, each table's in one or two deltas.
    pub(in crate::testing) fn feed(
        &mut self,
        changes: &Changes,
        rng: &mut Rng,
        bulk: bool,
    ) -> Result<()> {
        let mut inputs: BTreeMap<ObjectId, Deltas> = BTreeMap::new();
        for (name, rows) in changes {
            let Some(table) = self.world.tables.get(name) else {
                continue;
            };
            let mut rows = rows.clone();
            rng.shuffle(&mut rows);
            let (first, second) = rows.split_at(rng.within(0..rows.len() + 1));
            let deltas = inputs.entry(table.id).or_default();
            for part in [first, second] {
                if !part.is_empty() {
                    deltas.push(delta(&table.schema, part)?);
                }
            }
        }
        let mut cx = StepContext {
            bulk,
            now_us: self.now_us,
            ..StepContext::default()
        };
        for delta in self.dataflow.step(&inputs, &mut cx)? {
            self.output.add_delta(&delta)?;
        }
        for error in cx.errors {
            let row = super::rows::row_of(&error.row, 0)?;
            self.errors.add(&row, error.weight);
        }
        Ok(())
    }
}

/// The rows of a model's plan over what the tables of `world` hold.
pub(super) async fn batch(
    state: &SessionState,
    world: &World,
    plan: &LogicalPlan,
    now_us: i64,
) -> Result<Bag> {
    let run = run_batch(state, &at_moment(&world.bind(plan)?, now_us)?).await?;
    let mut bag = Bag::default();
    for batch in &run.batches {
        bag.add_batch(batch)?;
    }
    Ok(bag)
}

/// Batch must give what DataFusion gives without Lotic's rules. A failing row ends such a run: nothing to compare.
async fn compare_with_plain(
    state: &SessionState,
    (world, now_us): (&World, i64),
    subject: &Subject,
    want: &Bag,
) -> Result<()> {
    let plain = SessionStateBuilder::new_from_existing(state.clone())
        .with_optimizer_rules(Optimizer::new().rules)
        .build();
    let plan = plain.optimize(&at_moment(&world.bind(&subject.bound)?, now_us)?)?;
    let physical = plain
        .query_planner()
        .create_physical_plan(&plan, &plain)
        .await?;
    let Ok(batches) = datafusion::physical_plan::collect(physical, plain.task_ctx()).await else {
        return Ok(());
    };
    let mut bag = Bag::default();
    for batch in &batches {
        bag.add_batch(batch)?;
    }
    if bag == *want {
        return Ok(());
    }
    let difference = want.difference(&bag);
    Err(Error::internal(format!(
        "batch has more (+) or less (-) rows than plain DataFusion\n{difference}"
    )))
}

fn compare(law: &str, maintained: &Maintained, want: &Bag) -> Result<()> {
    if maintained.output == *want {
        return Ok(());
    }
    let difference = maintained.output.difference(want);
    Err(Error::internal(format!(
        "law {law}: the maintained rows have more (+) or less (-) than batch\n{difference}"
    )))
}

/// The same changes, each row on its own, in another order and other steps.
pub(in crate::testing) fn resplit(history: &[Changes], rng: &mut Rng) -> Vec<Changes> {
    let mut rows: Vec<(String, Row, i64)> = Vec::new();
    for (name, row, weight) in history.iter().flatten().flat_map(|(name, rows)| {
        rows.iter()
            .map(move |(row, weight)| (name.clone(), row.clone(), *weight))
    }) {
        rows.push((name, row, weight));
    }
    rng.shuffle(&mut rows);
    let mut steps = vec![Changes::new()];
    for (name, row, weight) in rows {
        if rng.once_in(5) {
            steps.push(Changes::new());
        }
        if let Some(step) = steps.last_mut() {
            step.entry(name).or_default().push((row, weight));
        }
    }
    steps
}

pub(in crate::testing) fn negated(changes: &Changes) -> Changes {
    changes
        .iter()
        .map(|(name, rows)| {
            (
                name.clone(),
                rows.iter()
                    .map(|(row, weight)| (row.clone(), -weight))
                    .collect(),
            )
        })
        .collect()
}

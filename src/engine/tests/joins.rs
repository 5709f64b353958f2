//! Every kind of join, with and without keys and residual condition, against nested loops.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::Operator as Binary;
use datafusion::physical_expr::PhysicalExpr;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, TestCaseError, any, prop_assume, prop_oneof, proptest,
};

use super::{binary, column, literal, schema};
use crate::engine::operators::{Bound, Join, JoinConfig, JoinKind, WaitingJoin};
use crate::engine::{Deltas, Operator, StepContext};
use crate::testing::laws::strategy::histories;
use crate::testing::laws::{Cell, Row, Subject, Table, add, add_deltas, check, delta_of, integral};
use crate::zset::Delta;

fn left() -> SchemaRef {
    schema(&[
        ("k", DataType::Int64),
        ("v", DataType::Int64),
        ("f", DataType::Float64),
    ])
}

fn right() -> SchemaRef {
    schema(&[
        ("k", DataType::Int64),
        ("w", DataType::Int64),
        ("t", DataType::Utf8View),
    ])
}

/// Which keys a case joins on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum On {
    Nothing,
    /// No key, but `v <= w AND w < v + 3`.
    Within,
    Column,
    /// `k + 1` on both sides: a key that must be computed.
    Computed,
    Both,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    kind: JoinKind,
    on: On,
    nulls: bool,
    residual: bool,
}

fn config(case: Case) -> JoinConfig {
    let computed = || binary(column(0), Binary::Plus, literal(1));
    let on = match case.on {
        On::Nothing | On::Within => vec![],
        On::Column => vec![(column(0), column(0))],
        On::Computed => vec![(computed(), computed())],
        On::Both => vec![(column(0), column(0)), (column(1), column(1))],
    };
    let semi = matches!(case.kind, JoinKind::LeftSemi | JoinKind::LeftAnti);
    let mut fields = left().fields().to_vec();
    if !semi {
        fields.extend(right().fields().iter().cloned());
    }
    JoinConfig {
        kind: case.kind,
        left: left(),
        right: right(),
        on,
        null_equals_null: case.nulls,
        residual: match case.on {
            On::Within => Some(binary(
                binary(column(1), Binary::LtEq, column(4)),
                Binary::And,
                binary(column(4), Binary::Lt, soon()),
            )),
            // v < w
            _ => case
                .residual
                .then(|| binary(column(1), Binary::Lt, column(4))),
        },
        schema: Arc::new(arrow::datatypes::Schema::new(fields)),
    }
}

/// `v + 3`
fn soon() -> Arc<dyn PhysicalExpr> {
    binary(column(1), Binary::Plus, literal(3))
}

/// A join that finds its pairs by order where there is no key.
fn join(case: Case) -> Join {
    let bound = |left, op| Bound {
        left,
        op,
        right: column(1),
    };
    let bounds = match case.on {
        On::Within => vec![bound(column(1), Binary::LtEq), bound(soon(), Binary::Gt)],
        On::Nothing if case.residual => vec![bound(column(1), Binary::Lt)],
        _ => Vec::new(),
    };
    Join::new(config(case)).with_bounds(&bounds)
}

fn pair(case: Case, left: &Row, right: &Row) -> bool {
    let equal = |a: &Cell, b: &Cell| a == b && (case.nulls || *a != Cell::Null);
    let keys = match case.on {
        On::Nothing | On::Within => true,
        On::Column | On::Computed => equal(&left[0], &right[0]),
        On::Both => equal(&left[0], &right[0]) && equal(&left[1], &right[1]),
    };
    let residual = match (&left[1], &right[1]) {
        (Cell::Int(v), Cell::Int(w)) if case.on == On::Within => v <= w && *w < v + 3,
        (Cell::Int(v), Cell::Int(w)) => v < w,
        _ => false,
    };
    keys && (residual || !(case.residual || case.on == On::Within))
}

fn nested_loops(case: Case, left: &Table, right: &Table) -> Table {
    let mut output = Table::new();
    let matches = |table: &Table, test: &dyn Fn(&Row) -> bool| {
        table
            .iter()
            .filter(|(row, _)| test(row))
            .map(|(_, weight)| weight)
            .sum::<i64>()
    };
    let nulls = || vec![Cell::Null; 3];
    for (l, wl) in left {
        if case.kind.gives_pairs() {
            for (r, wr) in right.iter().filter(|(r, _)| pair(case, l, r)) {
                add(&mut output, [l.clone(), r.clone()].concat(), wl * wr);
            }
        }
        let matched = matches(right, &|r| pair(case, l, r)) > 0;
        match case.kind {
            JoinKind::Left | JoinKind::Full if !matched => {
                add(&mut output, [l.clone(), nulls()].concat(), *wl);
            }
            JoinKind::LeftSemi if matched => add(&mut output, l.clone(), *wl),
            JoinKind::LeftAnti if !matched => add(&mut output, l.clone(), *wl),
            _ => {}
        }
    }
    if matches!(case.kind, JoinKind::Right | JoinKind::Full) {
        for (r, wr) in right {
            if matches(left, &|l| pair(case, l, r)) <= 0 {
                add(&mut output, [nulls(), r.clone()].concat(), *wr);
            }
        }
    }
    output
}

fn cases() -> impl Strategy<Value = Case> {
    let kinds = prop_oneof![
        Just(JoinKind::Inner),
        Just(JoinKind::Left),
        Just(JoinKind::Right),
        Just(JoinKind::Full),
        Just(JoinKind::LeftSemi),
        Just(JoinKind::LeftAnti),
    ];
    let keys = prop_oneof![
        Just(On::Nothing),
        Just(On::Within),
        Just(On::Column),
        Just(On::Computed),
        Just(On::Both)
    ];
    (kinds, keys, any::<bool>(), any::<bool>()).prop_map(|(kind, on, nulls, residual)| Case {
        kind,
        on,
        nulls,
        residual,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn joins_obey_their_laws(case in cases(), history in histories(&[left(), right()], 6)) {
        let subject = Subject {
            operator: &|| Box::new(join(case)),
            inputs: vec![left(), right()],
            reference: &|inputs| nested_loops(case, &inputs[0], &inputs[1]),
        };
        check(&subject, &history).map_err(TestCaseError::fail)?;
    }
}

/// A join that may let a side wait, told of its inputs what a graph would tell it.
struct Loaded(WaitingJoin);

impl Operator for Loaded {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> crate::base::Result<Deltas> {
        let rows = |deltas: &Deltas| deltas.iter().map(Delta::rows).sum();
        cx.bases = inputs.iter().map(rows).collect();
        self.0.step(inputs, cx)
    }

    fn state_rows(&self) -> usize {
        self.0.state_rows()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_join_whose_side_waits_obeys_its_law(
        case in cases(),
        parts in 1..4_usize,
        history in histories(&[left(), right()], 6),
    ) {
        let case = Case { kind: JoinKind::Inner, ..case };
        prop_assume!(WaitingJoin::fits(&config(case)));
        let subject = Subject {
            operator: &|| {
                let mut join = WaitingJoin::new(config(case));
                join.split_within(parts);
                Box::new(Loaded(join))
            },
            inputs: vec![left(), right()],
            reference: &|inputs| nested_loops(case, &inputs[0], &inputs[1]),
        };
        check(&subject, &history).map_err(TestCaseError::fail)?;
    }
}

fn numbered(schema: &SchemaRef, rows: std::ops::Range<i64>) -> Delta {
    let row = |n: i64| (vec![Cell::Int(n % 7), Cell::Int(n), Cell::Null], 1);
    delta_of(schema, &rows.map(row).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_side_waits_until_the_small_table_changes() {
    let mut join = Loaded(WaitingJoin::new(config(Case {
        kind: JoinKind::Inner,
        on: On::Column,
        nulls: false,
        residual: false,
    })));
    let mut output = Table::new();
    let mut step = |join: &mut Loaded, bulk, inputs: [Deltas; 2]| {
        let mut cx = StepContext {
            bulk,
            ..StepContext::default()
        };
        add_deltas(&mut output, &join.step(&inputs, &mut cx).unwrap()).unwrap();
        (join.state_rows(), output.values().sum::<i64>())
    };
    let first = [
        vec![numbered(&left(), 0..100)],
        vec![numbered(&right(), 0..3)],
    ];
    let pairs = (0..100).filter(|n| n % 7 < 3).count();
    let pairs = i64::try_from(pairs).unwrap();
    assert_eq!(
        step(&mut join, true, first),
        (3, pairs),
        "the left rows wait"
    );
    let gone = numbered(&left(), 0..7).negate();
    assert_eq!(
        step(&mut join, false, [vec![gone], vec![]]),
        (10, pairs - 3)
    );
    let expected = (7..100).filter(|n| n % 7 < 4).count();
    let expected = i64::try_from(expected).unwrap();
    let came = [vec![], vec![numbered(&right(), 3..4)]];
    assert!(!join.0.moved_state());
    assert_eq!(
        step(&mut join, false, came),
        (93 + 4, expected),
        "all are in the index"
    );
    assert!(join.0.moved_state(), "so that it is measured anew");
    let half = numbered(&left(), 7..100).negate();
    assert_eq!(step(&mut join, false, [vec![half], vec![]]), (4, 0));
}

#[test]
fn rows_that_go_take_the_waiting_ones_with_them() {
    let mut join = Loaded(WaitingJoin::new(config(Case {
        kind: JoinKind::Inner,
        on: On::Column,
        nulls: false,
        residual: false,
    })));
    let rows = numbered(&left(), 0..100);
    let mut cx = StepContext {
        bulk: true,
        ..StepContext::default()
    };
    let first = [vec![rows.clone()], vec![numbered(&right(), 0..1)]];
    join.step(&first, &mut cx).unwrap();
    assert_eq!(join.0.state_rows(), 1);
    let mut cx = StepContext::default();
    join.step(&[vec![rows.negate()], vec![]], &mut cx).unwrap();
    assert_eq!(join.0.state_rows(), 1, "none waits, none is kept");
    let first = [vec![], vec![numbered(&right(), 0..1).negate()]];
    assert!(join.step(&first, &mut cx).unwrap().is_empty());
    assert_eq!(join.0.state_rows(), 0);
}

/// A join with one moving input: the rows of the other side are fixed, and come in the first step.
struct Beside {
    join: Join,
    rows: Option<Delta>,
    moves_left: bool,
    /// The rows of state once the fixed side is in.
    fixed: Option<usize>,
}

impl Operator for Beside {
    fn name(&self) -> &'static str {
        "a join beside a fixed side"
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> crate::base::Result<Deltas> {
        let mut both = vec![inputs[0].clone(), self.rows.take().into_iter().collect()];
        if !self.moves_left {
            both.reverse();
        }
        let output = self.join.step(&both, cx)?;
        self.fixed.get_or_insert(self.join.state_rows());
        Ok(output)
    }

    /// Of the moving side, of which there are none.
    fn state_rows(&self) -> usize {
        self.join.state_rows() - self.fixed.unwrap_or(0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn beside_a_fixed_side_nothing_else_is_kept(
        case in cases(),
        moves_left in any::<bool>(),
        lefts in histories(&[left()], 5),
        rights in histories(&[right()], 5),
    ) {
        let (moving, other) = if moves_left { (&lefts, &rights) } else { (&rights, &lefts) };
        prop_assume!(!moving.is_empty());
        let mut table = integral(1, other).remove(0);
        table.retain(|_, weight| *weight > 0);
        let rows: Vec<(Row, i64)> = table.clone().into_iter().collect();
        let (moving_schema, fixed_schema) = if moves_left { (left(), right()) } else { (right(), left()) };
        let subject = Subject {
            operator: &|| {
                let mut join = Join::new(config(case));
                join.learn_fixed(&[!moves_left, moves_left]);
                let rows = (!rows.is_empty()).then(|| delta_of(&fixed_schema, &rows).unwrap());
                Box::new(Beside { join, rows, moves_left, fixed: None })
            },
            inputs: vec![moving_schema],
            reference: &|inputs| match moves_left {
                true => nested_loops(case, &inputs[0], &table),
                false => nested_loops(case, &table, &inputs[0]),
            },
        };
        check(&subject, moving).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn a_pair_whose_condition_fails_is_no_match_and_is_told() {
    let quotient = binary(column(1), Binary::Divide, column(4));
    let config = JoinConfig {
        residual: Some(binary(quotient, Binary::Gt, literal(0))),
        ..config(Case {
            kind: JoinKind::Left,
            on: On::Column,
            nulls: false,
            residual: false,
        })
    };
    let mut join = Join::new(config);
    let mut output = Table::new();
    let int = Cell::Int;
    let lefts = delta_of(&left(), &[(vec![int(1), int(6), Cell::Null], 1)]).unwrap();
    let w = |w: i64| vec![int(1), int(w), Cell::Null];
    let rights = delta_of(&right(), &[(w(0), 2), (w(3), 1), (w(9), 1)]).unwrap();
    let mut errors = Vec::new();
    for inputs in [
        vec![vec![lefts.clone()], vec![rights.clone()]],
        vec![vec![], vec![rights.negate()]],
        vec![vec![lefts.negate()], vec![]],
    ] {
        let mut cx = StepContext::default();
        add_deltas(&mut output, &join.step(&inputs, &mut cx).unwrap()).unwrap();
        errors.push(
            cx.errors
                .iter()
                .map(|error| error.weight)
                .collect::<Vec<_>>(),
        );
        let pairs = output.keys().filter(|row| row[4] != Cell::Null).count();
        assert_eq!(
            pairs,
            usize::from(errors.len() == 1),
            "6 / 3 is above 0; 6 / 9 is not"
        );
        assert_eq!(output.len(), usize::from(errors.len() < 3));
    }
    assert_eq!(errors, [vec![2], vec![-2], vec![]]);
    assert_eq!(join.state_rows(), 0);
}

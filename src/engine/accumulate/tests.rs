//! The exact sums against an independent algorithm, and the laws of every state.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use proptest::prelude::*;

use super::block::add_all;
use super::float_sum::ExactFloatSum;
use super::superaccumulator::Superaccumulator;
use super::wide::Wide;
use super::*;

/// J. R. Shewchuk's expansions with a final correct rounding, as in Python's `math.fsum`. For numbers
/// whose sums do not overflow.
fn reference_sum(values: &[f64]) -> f64 {
    let mut partials: Vec<f64> = Vec::new();
    for value in values {
        let mut x = *value;
        let mut kept = Vec::new();
        for y in partials {
            let (high, low) = if x.abs() < y.abs() { (y, x) } else { (x, y) };
            let sum = high + low;
            let error = low - (sum - high);
            if error != 0.0 {
                kept.push(error);
            }
            x = sum;
        }
        kept.push(x);
        partials = kept;
    }
    let Some(mut high) = partials.pop() else {
        return 0.0;
    };
    let mut low = 0.0;
    while let Some(next) = partials.pop() {
        let sum = high + next;
        low = next - (sum - high);
        high = sum;
        if low != 0.0 {
            break;
        }
    }
    if let Some(next) = partials.last()
        && ((low < 0.0 && *next < 0.0) || (low > 0.0 && *next > 0.0))
    {
        let twice = low * 2.0;
        let up = high + twice;
        if twice == up - high {
            return up;
        }
    }
    high + 0.0
}

fn sum_of(values: &[f64]) -> ExactFloatSum {
    let mut sum = ExactFloatSum::default();
    values.iter().for_each(|value| sum.add(*value));
    sum
}

fn floats() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => -1e6..1e6_f64,
        2 => (-100_000_i32..100_000).prop_map(|cents| f64::from(cents) / 100.0),
        2 => (-(1_i64 << 53)..(1_i64 << 53), -300..300).prop_map(|(m, e)| m as f64 * 2f64.powi(e)),
        1 => prop_oneof![Just(0.0), Just(-0.0), Just(5e-324), Just(-5e-324), Just(1e300), Just(-1e300), Just(f64::MIN_POSITIVE)],
        1 => (0_u64..1 << 54).prop_map(f64::from_bits),
    ]
}

proptest! {
    #[test]
    fn a_sum_is_the_correctly_rounded_one_in_any_order_and_form(values in prop::collection::vec(floats(), 0..200), shuffle in any::<u64>()) {
        let expected = reference_sum(&values);
        prop_assert_eq!(sum_of(&values).value().to_bits(), expected.to_bits());
        let mut other = values.clone();
        other.sort_by_key(|value| value.to_bits().wrapping_mul(shuffle | 1));
        prop_assert_eq!(sum_of(&other).value().to_bits(), expected.to_bits());
        let mut blocks = ExactFloatSum::default();
        add_all(&mut blocks, &values);
        prop_assert_eq!(blocks.value().to_bits(), expected.to_bits());
        let (left, right) = values.split_at(values.len() / 3);
        let mut merged = sum_of(left);
        merged.merge(&sum_of(right));
        prop_assert_eq!(merged.value().to_bits(), expected.to_bits());
        let mut shipped = sum_of(left);
        let theirs = sum_of(right);
        shipped.merge_encoded(theirs.fixed(), theirs.encode_rest().as_deref()).unwrap();
        prop_assert_eq!(shipped.value().to_bits(), expected.to_bits());
        let mut wide = Superaccumulator::default();
        for value in &values {
            let (mantissa, exponent) = round::parts(*value);
            wide.add(i128::from(mantissa), exponent);
        }
        prop_assert_eq!(wide.value().to_bits(), expected.to_bits());
    }

    #[test]
    fn taking_back_restores_the_very_bits(keep in prop::collection::vec(floats(), 0..50), gone in prop::collection::vec((floats(), -5_i64..1000), 0..50)) {
        let before = sum_of(&keep);
        let mut sum = before.clone();
        for (value, weight) in &gone {
            sum.add_weighted(*value, *weight);
        }
        for (value, weight) in gone.iter().rev() {
            sum.add_weighted(*value, -*weight);
        }
        prop_assert_eq!(sum.value().to_bits(), before.value().to_bits());
        for value in &keep {
            sum.add_weighted(*value, -1);
        }
        prop_assert!(sum.is_zero());
        prop_assert_eq!(sum.value().to_bits(), 0);
    }

    #[test]
    fn long_blocks_are_summed_exactly(seed in any::<u64>(), scale in -80..80_i32, length in 1000..5000_usize) {
        let mut state = seed | 1;
        let values: Vec<f64> = (0..length).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 / (1_u64 << 53) as f64 - 0.3) * 2f64.powi(scale)
        }).collect();
        let mut sum = ExactFloatSum::default();
        add_all(&mut sum, &values);
        prop_assert_eq!(sum.value().to_bits(), reference_sum(&values).to_bits());
    }

    #[test]
    fn wide_integers_agree_with_i128(a in any::<i128>(), b in any::<i64>(), c in any::<i64>(), d in 1..u64::MAX) {
        let (a, b, c) = (a >> 66, i128::from(b) >> 4, c >> 4);
        let mut wide = Wide::<3>::from_i128(a);
        wide.add(&Wide::from_i128(b).times(c));
        let plain = a + b * i128::from(c);
        prop_assert_eq!(wide.as_i128(), Some(plain));
        prop_assert_eq!(wide.negated().as_i128(), Some(-plain));
        prop_assert_eq!(Wide::<3>::from_bytes(&wide.to_bytes().collect::<Vec<_>>()), Some(wide));
        let (quotient, rest) = (plain / i128::from(d), plain % i128::from(d));
        let away = i128::from(2 * rest.unsigned_abs() >= u128::from(d)) * plain.signum();
        prop_assert_eq!(wide.divided(d).as_i128(), Some(quotient + away));
        prop_assert_eq!(wide.widened::<6>().as_i256().map(|v| v.to_string()), Some(plain.to_string()));
    }
}

/// A name, the arguments, and what makes empty states.
type Case = (
    &'static str,
    Vec<ArrayRef>,
    Box<dyn Fn() -> Box<dyn GroupStates>>,
);

/// Every function over every kind of argument.
#[expect(clippy::too_many_lines, reason = "a table")]
fn all_states() -> Vec<Case> {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![
        Some(3),
        None,
        Some(-7),
        Some(i64::MAX),
        Some(3),
        Some(0),
    ]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(0.1),
        Some(f64::NAN),
        Some(-0.0),
        Some(1e300),
        None,
        Some(-7.25),
    ]));
    let decimals: ArrayRef = Arc::new(
        Decimal128Array::from(vec![
            Some(12345),
            Some(-1),
            None,
            Some(10_i128.pow(20)),
            Some(-1),
            Some(5),
        ])
        .with_precision_and_scale(30, 2)
        .unwrap(),
    );
    let texts: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![
        Some("b"),
        None,
        Some(""),
        Some("abc"),
        Some("b"),
        Some("z"),
    ]));
    let mut all: Vec<Case> = Vec::new();
    use AggregateFunction::{Avg, Bits, Count, Max, Min, Pair, Pick, Sum, Variance};
    let continuous = super::Pick::Continuous(Place::new(0.4, true).unwrap());
    let discrete = super::Pick::Discrete(Place::new(0.9, false).unwrap());
    let mode = super::Pick::Mode { descending: true };
    let spread = Variance(Spread {
        sample: true,
        deviation: false,
    });
    for distinct in [false, true] {
        for (name, function, args, output) in [
            ("count", Count, &texts, DataType::Int64),
            ("sum int", Sum, &ints, DataType::Int64),
            ("avg int", Avg, &ints, DataType::Float64),
            ("sum float", Sum, &floats, DataType::Float64),
            ("avg float", Avg, &floats, DataType::Float64),
            ("var float", spread, &floats, DataType::Float64),
            ("sum decimal", Sum, &decimals, DataType::Decimal128(38, 2)),
            ("avg decimal", Avg, &decimals, DataType::Decimal128(34, 6)),
            ("min int", Min, &ints, DataType::Int64),
            ("max float", Max, &floats, DataType::Float64),
            ("min float", Min, &floats, DataType::Float64),
            ("max decimal", Max, &decimals, DataType::Decimal128(30, 2)),
            ("max text", Max, &texts, DataType::Utf8),
            ("var int", spread, &ints, DataType::Float64),
            ("and", Bits(BitOperation::And), &ints, DataType::Int64),
            ("or", Bits(BitOperation::Or), &ints, DataType::Int64),
            ("xor", Bits(BitOperation::Xor), &ints, DataType::Int64),
            ("middle", Pick(continuous), &floats, DataType::Float64),
            ("near the end", Pick(discrete), &texts, DataType::Utf8),
            ("mode int", Pick(mode), &ints, DataType::Int64),
            (
                "mode decimal",
                Pick(mode),
                &decimals,
                DataType::Decimal128(30, 2),
            ),
        ] {
            let input = args.data_type().clone();
            all.push((
                name,
                vec![Arc::clone(args)],
                Box::new(move || {
                    function
                        .states(std::slice::from_ref(&input), &output, distinct)
                        .unwrap()
                }),
            ));
        }
    }
    let pairs: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(1e-300),
        Some(2.0),
        Some(f64::INFINITY),
        None,
        Some(1e12),
        Some(0.1),
    ]));
    for (distinct, measure) in [
        (false, PairMeasure::Corr),
        (false, PairMeasure::CovarSamp),
        (false, PairMeasure::Intercept),
        (true, PairMeasure::Sxy),
        (true, PairMeasure::Count),
    ] {
        let inputs = [DataType::Float64, DataType::Float64];
        all.push((
            "of pairs",
            vec![Arc::clone(&floats), Arc::clone(&pairs)],
            Box::new(move || {
                Pair(measure)
                    .states(&inputs, &DataType::Float64, distinct)
                    .unwrap()
            }),
        ));
    }
    all
}

fn shown(states: &dyn GroupStates) -> String {
    let mut errors = Vec::new();
    let results = states.results(&[0, 1, 2], &mut errors).unwrap();
    format!(
        "{results:?} {:?}",
        errors
            .iter()
            .map(|(at, error)| (*at, error.code()))
            .collect::<Vec<_>>()
    )
}

proptest! {
    #[test]
    fn every_state_is_a_sum_over_its_rows(rows in prop::collection::vec((0..6_u32, 0..3_usize, -2..4_i64), 0..30), cut in 0..30_usize) {
        for (name, values, make) in all_states() {
            let feed = |states: &mut dyn GroupStates, rows: &[(u32, usize, i64)], sign: i64| {
                let indices = UInt32Array::from_iter_values(rows.iter().map(|row| row.0));
                let picked: Vec<ArrayRef> = values.iter().map(|values| take(values, &indices, None).unwrap()).collect();
                let groups: Vec<usize> = rows.iter().map(|row| row.1).collect();
                let weights: Vec<i64> = rows.iter().map(|row| row.2 * sign).collect();
                let rows = Rows { length: groups.len(), groups: Groups::Each(&groups), weights: Some(&weights), filter: None };
                states.update(&picked, &rows).unwrap();
            };
            let new = || { let mut states = make(); states.grow(3); states };
            let mut whole = new();
            feed(&mut *whole, &rows, 1);
            // one by one, backwards
            let mut split = new();
            rows.iter().rev().for_each(|row| feed(&mut *split, &[*row], 1));
            prop_assert_eq!(shown(&*whole), shown(&*split), "{}", name);
            // with a detour
            let (some, _) = rows.split_at(cut.min(rows.len()));
            feed(&mut *split, some, 1);
            feed(&mut *split, some, -1);
            prop_assert_eq!(shown(&*whole), shown(&*split), "{}", name);
            feed(&mut *split, &rows, -1);
            prop_assert!((0..3).all(|group| split.is_zero(group)), "{} is not empty", name);
            prop_assert_eq!(shown(&*split), shown(&*new()), "{}", name);
            // shipped in parts, where every weight is above zero
            if !whole.partial_types().is_empty() {
                let plus: Vec<_> = rows.iter().copied().filter(|row| row.2 > 0).collect();
                let (left, right) = plus.split_at(cut.min(plus.len()));
                let (mut a, mut b, mut c) = (new(), new(), new());
                feed(&mut *a, left, 1);
                feed(&mut *b, right, 1);
                feed(&mut *c, &plus, 1);
                a.merge(&b.partial(&[0, 1, 2]).unwrap(), Groups::Each(&[0, 1, 2])).unwrap();
                prop_assert_eq!(shown(&*a), shown(&*c), "{} in parts", name);
            }
        }
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "reads better where it is called"
)]
fn one(function: AggregateFunction, values: ArrayRef, output: DataType) -> (String, usize) {
    let mut states = function
        .states(&[values.data_type().clone()], &output, false)
        .unwrap();
    states.grow(1);
    states
        .update(
            &[Arc::clone(&values)],
            &Rows::once(Groups::One, values.len()),
        )
        .unwrap();
    let mut errors = Vec::new();
    let result = states.results(&[0], &mut errors).unwrap();
    (
        arrow::util::display::array_value_to_string(&result, 0).unwrap(),
        errors.len(),
    )
}

#[test]
fn a_sum_out_of_range_is_an_error_and_not_a_wrap() {
    use AggregateFunction::{Avg, Sum};
    let two: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 1]));
    assert_eq!(
        one(Sum, Arc::clone(&two), DataType::Int64),
        (String::new(), 1)
    );
    assert_eq!(
        one(Avg, two, DataType::Float64),
        ("4.611686018427388e18".to_owned(), 0)
    );
    let three: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 1, -1]));
    assert_eq!(one(Sum, three, DataType::Int64), (i64::MAX.to_string(), 0));
    let decimals = |values: Vec<i128>| -> ArrayRef {
        Arc::new(
            Decimal128Array::from(values)
                .with_precision_and_scale(38, 0)
                .unwrap(),
        )
    };
    let large = 9 * 10_i128.pow(37);
    assert_eq!(
        one(
            Sum,
            decimals(vec![large, large]),
            DataType::Decimal128(38, 0)
        )
        .1,
        1
    );
    assert_eq!(
        one(
            Sum,
            decimals(vec![large, large, -large]),
            DataType::Decimal128(38, 0)
        ),
        (large.to_string(), 0)
    );
    assert_eq!(
        one(Avg, decimals(vec![1, 2, 2]), DataType::Decimal128(38, 4)),
        ("1.6667".to_owned(), 0)
    );
    assert_eq!(
        one(
            Avg,
            decimals(vec![-1, -1, 0, 0, 0, 0, 0, 1]),
            DataType::Decimal128(38, 1)
        )
        .0,
        "-0.1"
    );
}

#[test]
fn variance_survives_a_large_mean() {
    let spread = AggregateFunction::Variance(Spread {
        sample: true,
        deviation: false,
    });
    let values: ArrayRef = Arc::new(Float64Array::from(vec![
        1e9 + 4.0,
        1e9 + 7.0,
        1e9 + 13.0,
        1e9 + 16.0,
    ]));
    assert_eq!(
        one(spread, values, DataType::Float64),
        ("30.0".to_owned(), 0)
    );
}

fn of_pairs(measure: PairMeasure, pairs: &[(f64, f64)]) -> String {
    let inputs = [DataType::Float64, DataType::Float64];
    let output = DataType::Float64;
    let states = AggregateFunction::Pair(measure).states(&inputs, &output, false);
    let mut states = states.unwrap();
    states.grow(1);
    let y: ArrayRef = Arc::new(Float64Array::from_iter_values(
        pairs.iter().map(|pair| pair.0),
    ));
    let x: ArrayRef = Arc::new(Float64Array::from_iter_values(
        pairs.iter().map(|pair| pair.1),
    ));
    let rows = Rows::once(Groups::One, pairs.len());
    states.update(&[y, x], &rows).unwrap();
    let mut errors = Vec::new();
    let result = states.results(&[0], &mut errors).unwrap();
    if errors.is_empty() {
        arrow::util::display::array_value_to_string(&result, 0).unwrap()
    } else {
        errors[0].1.code().to_owned()
    }
}

#[test]
fn regression_says_what_postgresql_says() {
    use PairMeasure::{
        AvgX, AvgY, Corr, Count, CovarPop, CovarSamp, Intercept, R2, Slope, Sxx, Sxy, Syy,
    };
    let line: Vec<(f64, f64)> = [0.0, 1.0, 2.0, 5.0].map(|x| (3.0 * x - 1.0, x)).to_vec();
    for (measure, expected) in [
        (Slope, "3.0"),
        (Intercept, "-1.0"),
        (R2, "1.0"),
        (Corr, "1.0"),
        (Count, "4"),
        (AvgX, "2.0"),
        (AvgY, "5.0"),
        (Sxx, "14.0"),
        (Syy, "126.0"),
        (Sxy, "42.0"),
        (CovarPop, "10.5"),
        (CovarSamp, "14.0"),
    ] {
        assert_eq!(of_pairs(measure, &line), expected, "{measure:?}");
        // a large mean costs nothing
        let far: Vec<(f64, f64)> = line.iter().map(|(y, x)| (y + 1e9, x + 1e9)).collect();
        if matches!(measure, Slope | Sxx | Syy | Sxy | CovarPop | R2) {
            assert_eq!(of_pairs(measure, &far), expected, "{measure:?} far away");
        }
    }
    let upright = [(1.0, 2.0), (4.0, 2.0)];
    assert_eq!(of_pairs(Slope, &upright), "");
    assert_eq!(of_pairs(Corr, &upright), "");
    assert_eq!(of_pairs(R2, &[(1.0, 2.0), (1.0, 3.0)]), "1.0");
    assert_eq!(of_pairs(CovarSamp, &[(1.0, 2.0)]), "");
    assert_eq!(of_pairs(CovarPop, &[(1.0, 2.0)]), "0.0");
    assert_eq!(of_pairs(Count, &[]), "0");
    assert_eq!(of_pairs(Sxx, &[]), "");
    assert_eq!(of_pairs(Sxx, &[(1.0, 1e300), (1.0, -1e300)]), "22003");
    assert_eq!(of_pairs(AvgY, &[(f64::INFINITY, 1.0), (2.0, 1.0)]), "inf");
    assert_eq!(of_pairs(Sxy, &[(f64::INFINITY, 1.0), (2.0, 1.0)]), "NaN");
}

#[test]
fn the_spread_of_large_integers_is_exact() {
    let spread = AggregateFunction::Variance(Spread {
        sample: false,
        deviation: false,
    });
    let values: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, i64::MAX - 2]));
    assert_eq!(
        one(spread, values, DataType::Float64),
        ("1.0".to_owned(), 0)
    );
}

#[test]
fn percentiles_lie_where_postgresql_puts_them() {
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![4.0, 1.0, 3.0, 2.0]));
    let at = |pick, expected: &str| {
        let found = one(
            AggregateFunction::Pick(pick),
            Arc::clone(&floats),
            DataType::Float64,
        );
        assert_eq!(found, (expected.to_owned(), 0), "{pick:?}");
    };
    let place = |fraction, descending| Place::new(fraction, descending).unwrap();
    at(Pick::Continuous(place(0.5, false)), "2.5");
    at(Pick::Continuous(place(0.0, true)), "4.0");
    at(Pick::Continuous(place(1.0, false)), "4.0");
    at(Pick::Discrete(place(0.5, false)), "2.0");
    at(Pick::Discrete(place(0.5, true)), "3.0");
    at(Pick::Discrete(place(0.51, false)), "3.0");
    at(Pick::Discrete(place(0.0, false)), "1.0");
    at(Pick::Mode { descending: false }, "1.0");
    at(Pick::Mode { descending: true }, "4.0");
    assert_eq!(Place::new(1.5, false), None);
    assert_eq!(Place::new(f64::NAN, false), None);
}

//! Tests of the runner itself, on small texts.

use libtest_mimic::{Failed, Trial};

use super::compare;
use super::incremental::{Action, plan};
use super::records::steps;

/// They run before the files.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test(
            "runner::views_come_before_the_rows",
            views_come_before_the_rows,
        ),
        Trial::test("runner::drops_part_the_file", drops_part_the_file),
        Trial::test("runner::conditions_pick_records", conditions_pick_records),
        Trial::test(
            "runner::fractions_compare_by_value",
            fractions_compare_by_value,
        ),
        Trial::test(
            "runner::order_counts_where_it_is_asked",
            order_counts_where_it_is_asked,
        ),
    ]
}

fn planned(text: &str) -> Result<Vec<Action>, Failed> {
    Ok(plan(&steps(text, "x.slt", &["lotic"])?))
}

fn holds(condition: bool, what: &str) -> Result<(), Failed> {
    if condition {
        Ok(())
    } else {
        Err(Failed::from(what))
    }
}

fn views_come_before_the_rows() -> Result<(), Failed> {
    let text = "statement ok\nCREATE TABLE t (a INT)\n\nstatement count 1\nINSERT INTO t VALUES (1)\n\n\
                query I\nSELECT a FROM t\n----\n1\n\nstatement ok\nCREATE TABLE u (a INT)\n\n\
                query I\nSELECT a FROM u\n----\n\n";
    let expected = [
        Action::Run(0),
        Action::Run(3),
        Action::Create(2),
        Action::Create(4),
        Action::Run(1),
        Action::Compare(2),
        Action::Compare(4),
        Action::Churn,
        Action::Drop,
    ];
    let got = planned(text)?;
    holds(got == expected, &format!("{got:?}"))
}

fn drops_part_the_file() -> Result<(), Failed> {
    let text = "statement ok\nCREATE TABLE t (a INT)\n\nquery I\nSELECT a FROM t\n----\n\n\
                statement ok\nDROP TABLE t\n\nstatement ok\nCREATE TABLE t (a INT, b INT)\n\n\
                query II\nSELECT a, b FROM t\n----\n\n";
    let expected = [
        Action::Run(0),
        Action::Create(1),
        Action::Compare(1),
        Action::Churn,
        Action::Drop,
        Action::Run(2),
        Action::Run(3),
        Action::Create(4),
        Action::Compare(4),
        Action::Churn,
        Action::Drop,
    ];
    let got = planned(text)?;
    holds(got == expected, &format!("{got:?}"))
}

fn conditions_pick_records() -> Result<(), Failed> {
    let text = "skipif lotic\nstatement ok\nA\n\nonlyif lotic\nstatement ok\nB\n\n\
                onlyif incremental\nstatement ok\nC\n";
    let left: Vec<String> = steps(text, "x.slt", &["lotic", "batch"])?
        .into_iter()
        .map(|step| step.sql)
        .collect();
    holds(left == ["B"], &format!("{left:?}"))
}

fn fractions_compare_by_value() -> Result<(), Failed> {
    let texts = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    let same = |a: &[&str], b: &[&str]| compare::same(&texts(a), &texts(b), false).is_ok();
    holds(
        same(&["1.50 x"], &["1.5 x"]),
        "one number in two renderings",
    )?;
    holds(
        same(
            &["1.6666666666666667", "NULL"],
            &["NULL", "1.666666666666667"],
        ),
        "last digit",
    )?;
    holds(!same(&["1.5"], &["1.6"]), "two numbers")?;
    holds(
        !same(&["12345678901"], &["12345678902"]),
        "whole numbers are exact",
    )?;
    holds(!same(&["1", "1"], &["1"]), "copies count")?;
    holds(!same(&["NULL"], &["0"]), "NULL is no zero")
}

fn order_counts_where_it_is_asked() -> Result<(), Failed> {
    let (a, b) = (
        ["1".to_owned(), "2".to_owned()],
        ["2".to_owned(), "1".to_owned()],
    );
    holds(
        compare::same(&a, &b, false).is_ok(),
        "as bags they are equal",
    )?;
    holds(
        compare::same(&a, &b, true).is_err(),
        "as lists they are not",
    )
}

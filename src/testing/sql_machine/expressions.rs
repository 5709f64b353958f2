//! Random expressions, each of the type that is asked for, so that nearly all of them plan.

use super::choices::Choices;

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Big,
    Num,
    Float,
    Text,
    Bool,
    Time,
}

/// Every type.
pub(super) const KINDS: [Kind; 7] = [
    Kind::Int,
    Kind::Big,
    Kind::Num,
    Kind::Float,
    Kind::Text,
    Kind::Bool,
    Kind::Time,
];

/// A column that an expression may name.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// An expression of type `kind` over `scope`, `depth` calls deep at most.
pub(super) fn value(choices: &mut Choices, scope: &[Column], kind: Kind, depth: usize) -> String {
    if depth == 0 || choices.below(3) == 0 {
        return leaf(choices, scope, kind);
    }
    let mut of = |kind: Kind| value(choices, scope, kind, depth - 1);
    let (left, right, test) = (of(kind), of(kind), of(Kind::Bool));
    match choices.below(5) {
        0 => format!("coalesce({left}, {right})"),
        1 => format!("CASE WHEN {test} THEN {left} ELSE {right} END"),
        2 => format!("nullif({left}, {right})"),
        _ => by_kind(choices, scope, kind, depth),
    }
}

fn leaf(choices: &mut Choices, scope: &[Column], kind: Kind) -> String {
    let columns: Vec<&Column> = scope.iter().filter(|column| column.kind == kind).collect();
    if !columns.is_empty() && choices.below(4) < 3 {
        return choices.pick(&columns).name.clone();
    }
    let literals: &[&str] = match kind {
        Kind::Int => &["1", "0", "-1", "2147483647", "NULL::int"],
        Kind::Big => &[
            "1::bigint",
            "0::bigint",
            "9223372036854775807",
            "NULL::bigint",
        ],
        Kind::Num => &[
            "1.50::numeric(10,2)",
            "0::numeric(10,2)",
            "NULL::numeric(10,2)",
        ],
        Kind::Float => &[
            "1.5::double precision",
            "0::double precision",
            "'NaN'::double precision",
            "'Infinity'::double precision",
            "NULL::double precision",
        ],
        Kind::Text => &["'a'", "''", "'abc'", "'12'", "NULL::varchar"],
        Kind::Bool => &["true", "false", "NULL::boolean"],
        Kind::Time => &["TIMESTAMP '1970-01-01 00:00:40'", "NULL::timestamp"],
    };
    (*choices.pick(literals)).to_owned()
}

fn by_kind(choices: &mut Choices, scope: &[Column], kind: Kind, depth: usize) -> String {
    let which = choices.below(4);
    if kind == Kind::Bool {
        return test(choices, scope, depth);
    }
    let mut of = |kind: Kind| value(choices, scope, kind, depth - 1);
    match (kind, which) {
        (Kind::Int, 0) => format!("cast(length({}) AS int)", of(Kind::Text)),
        (Kind::Int, 1) => format!("abs({})", of(Kind::Int)),
        (Kind::Int | Kind::Big | Kind::Float, 2) => format!("({} / {})", of(kind), of(kind)),
        (Kind::Int | Kind::Big, _) => format!("({} + {})", of(kind), of(kind)),
        (Kind::Float, 0) => format!("({})::double precision", of(Kind::Int)),
        (Kind::Float, _) => format!("({} * {})", of(kind), of(kind)),
        (Kind::Num, _) => format!("({} - {})::numeric(10,2)", of(kind), of(kind)),
        (Kind::Text, 0) => format!("upper({})", of(kind)),
        (Kind::Text, 1) => format!("({})::varchar", of(Kind::Int)),
        (Kind::Text, 2) => format!("substr({}, 1, 2)", of(kind)),
        (Kind::Text, _) => format!("({} || {})", of(kind), of(kind)),
        (Kind::Time, 0) => format!("date_trunc('minute', {})", of(kind)),
        (Kind::Time | Kind::Bool, _) => format!("({} + INTERVAL '1 minute')", of(Kind::Time)),
    }
}

/// A truth value.
fn test(choices: &mut Choices, scope: &[Column], depth: usize) -> String {
    let kind = *choices.pick(&KINDS);
    let operator = *choices.pick(&["=", "<", "<=", "<>", "IS DISTINCT FROM"]);
    let which = choices.below(7);
    let mut of = |kind: Kind| value(choices, scope, kind, depth - 1);
    match which {
        0 => format!("({} IS NULL)", of(kind)),
        1 => format!("({} AND {})", of(Kind::Bool), of(Kind::Bool)),
        2 => format!("({} OR {})", of(Kind::Bool), of(Kind::Bool)),
        3 => format!("(NOT {})", of(Kind::Bool)),
        4 => format!("({} IN ({}, {}))", of(kind), of(kind), of(kind)),
        _ => format!("({} {operator} {})", of(kind), of(kind)),
    }
}

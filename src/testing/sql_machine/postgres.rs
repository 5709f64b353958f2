//! The same query over the same rows in PostgreSQL, where a server is installed.
//!
//! Batch is what models are held to; this holds batch to somebody else. What PostgreSQL refuses is not compared, nor what it may answer
//! in several ways: the first rows of an order with ties, windows over it, the present moment. Floats may differ in their last
//! digits, because Lotic sums them exactly. It runs where LOTIC_POSTGRES is set: `LOTIC_POSTGRES=1 LOTIC_CASES=20000 cargo test --lib -- postgres_answers --nocapture` is the long form.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::array_value_to_string;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::bench::Bench;
use super::changes::{Change, by_table, history, tables_of};
use super::choices::Choices;
use super::generator::query;
use super::kinds::{Kind, text};
use super::parallel::{Plan, Verdict, check};
use super::postgres_server::start;
use super::run::apply;
use super::tables::{TABLES, TableOf, VIEWS};
use crate::base::{Result, task};
use crate::testing::sql_laws::World;

/// What has several right answers, or none that two servers agree on.
const AMBIGUOUS: [&str; 17] = [
    "LIMIT",
    "OFFSET",
    "FETCH",
    "DISTINCT ON",
    "OVER",
    "now()",
    "array_agg",
    "string_agg",
    "first_value",
    "last_value",
    "mode()",
    "percentile",
    // the server here runs in the locale C, where letters beyond ASCII have no case
    "upper(",
    "lower(",
    "initcap(",
    // of equal values PostgreSQL's rounding decides whether they differ
    "corr(",
    "regr_",
];
/// What may differ where a query has one of the words of both lists, and why.
const TOGETHER: [(&[&str], &[&str], &str); 3] = [
    (
        &["GROUPING SETS", "ROLLUP", "CUBE"],
        &["coalesce('", "coalesce(INTERVAL", "coalesce(("],
        "PostgreSQL before 18 folds a constant key before grouping sets could make it NULL",
    ),
    (
        &["UNION", "INTERSECT", "EXCEPT", "DISTINCT", "GROUP BY"],
        &OTHER_FORMS,
        "PostgreSQL groups intervals of one length together, Lotic as they are written",
    ),
    (
        &["sum("],
        &["real"],
        "PostgreSQL adds reals up in four bytes",
    ),
];
/// Of intervals of one length only one form is in the tables.
const OTHER_FORMS: [&str; 2] = ["'1 months 0 days", "0 days 86400000000 "];
/// PostgreSQL keeps the sign of a zero, which only text shows.
const SIGNED_ZERO: &str = "'-0.0'";
/// What is left where floats that cancel out are rounded.
const ROUNDED_AWAY: f64 = 1e-12;

/// A value in a form that both servers' texts have.
#[derive(Clone, Debug)]
enum Value {
    Null,
    Number(f64),
    Text(String),
    /// There, but its text is not compared.
    Some,
}

impl Value {
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) | (Self::Some, Self::Some) => true,
            (Self::Number(one), Self::Number(two)) => {
                one == two
                    || (one.is_nan() && two.is_nan())
                    || one.is_finite()
                        && two.is_finite()
                        && (one - two).abs() <= (1e-6 * one.abs().max(two.abs())).max(ROUNDED_AWAY)
            }
            (Self::Text(one), Self::Text(two)) => one == two,
            _ => false,
        }
    }

    /// A text that stands for a value of a type.
    fn of(text: Option<&str>, data_type: &DataType) -> Self {
        let Some(text) = text else {
            return Self::Null;
        };
        let plain = |text: &str| match text.split_once('.') {
            Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            None => text.to_owned(),
        };
        // arrow writes the years before 1 and after 9999 in a way of its own
        let year = text.split('-').next().unwrap_or_default();
        let is_far = text.ends_with(" BC") || year.len() != 4 || year == "0000";
        match data_type {
            DataType::Interval(_) | DataType::Duration(_) | DataType::List(_) => Self::Some,
            DataType::Timestamp(..) | DataType::Date32 if is_far => Self::Some,
            kind if kind.is_floating() => text.parse().map_or(Self::Some, Self::Number),
            DataType::Decimal128(..) | DataType::Decimal256(..) => Self::Text(plain(text)),
            DataType::Boolean => Self::Text(text.get(..1).unwrap_or_default().to_owned()),
            DataType::Timestamp(..) => {
                let text = text.replace('T', " ");
                let text = text.trim_end_matches('Z').trim_end_matches("+00");
                Self::Text(plain(text))
            }
            _ => Self::Text(text.to_owned()),
        }
    }
}

type Rows = Vec<Vec<Value>>;
/// Rows as text, or why there are none.
type Answer = std::result::Result<Vec<Vec<Option<String>>>, String>;

/// A session of PostgreSQL with the tables, empty, in a schema of its own.
struct Session {
    client: Client,
}

/// Where the server listens.
static URL: OnceLock<String> = OnceLock::new();
static SCHEMAS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
}

fn connect(bench: &Bench, url: &str) -> std::result::Result<Client, tokio_postgres::Error> {
    bench.runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        task::spawn("postgres", async move { drop(connection.await) });
        Ok(client)
    })
}

impl Session {
    fn new(bench: &Bench) -> Self {
        let client = connect(bench, URL.get().unwrap()).unwrap();
        let session = Self { client };
        let schema = SCHEMAS.fetch_add(1, Ordering::Relaxed);
        let own = format!("CREATE SCHEMA s{schema}; SET search_path = s{schema}");
        session.run(bench, &own).unwrap();
        session
            .run(bench, "SET TimeZone = 'UTC'; SET statement_timeout = '5s'")
            .unwrap();
        for table in &TABLES {
            session.run(bench, &table.create(|_| true)).unwrap();
        }
        for (name, query, _) in VIEWS {
            // among ties Lotic goes on by the other columns
            let query = query.replace("ORDER BY s)", "ORDER BY s, id)");
            session
                .run(bench, &format!("CREATE VIEW {name} AS {query}"))
                .unwrap();
        }
        session
    }

    fn run(&self, bench: &Bench, sql: &str) -> Answer {
        let answer = bench.runtime.block_on(self.client.simple_query(sql));
        let messages = answer.map_err(|error| match error.as_db_error() {
            Some(error) => format!("{} {}", error.code().code(), error.message()),
            None => error.to_string(),
        })?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|at| row.get(at).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// What `sql` answers over the rows of `world`.
    fn answer(&self, bench: &Bench, sql: &str, world: &World) -> Answer {
        self.run(bench, "BEGIN")?;
        let filled = TABLES
            .iter()
            .filter_map(|of| insert(of, world))
            .try_for_each(|insert| self.run(bench, &insert).map(drop));
        let answer = filled.and_then(|()| self.run(bench, sql));
        self.run(bench, "ROLLBACK")?;
        answer
    }
}

fn insert(of: &TableOf, world: &World) -> Option<String> {
    let rows = world.tables.get(of.name)?.rows.iter().map(|row| {
        let values = of.columns.iter().zip(row).map(|((_, kind, _), value)| {
            let text = text(*kind, value);
            if *kind == Kind::Ints {
                return text
                    .replace("make_array(", "ARRAY[")
                    .replace(")::int[]", "]::int[]");
            }
            text
        });
        format!("({})", values.collect::<Vec<_>>().join(", "))
    });
    let rows: Vec<String> = rows.collect();
    (!rows.is_empty()).then(|| format!("INSERT INTO {} VALUES {}", of.name, rows.join(", ")))
}

fn rows_of(batches: &[RecordBatch]) -> Result<Rows> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let mut values = Vec::new();
            for column in batch.columns() {
                let data_type = column.data_type();
                values.push(if column.is_null(row) {
                    Value::Null
                } else if data_type.is_floating() {
                    let column = cast(column, &DataType::Float64)?;
                    Value::Number(column.as_primitive::<Float64Type>().value(row))
                } else {
                    Value::of(Some(&array_value_to_string(column, row)?), data_type)
                });
            }
            rows.push(values);
        }
    }
    Ok(rows)
}

/// The rows of each that the other has none for.
fn unmatched(one: Rows, mut other: Rows) -> (Rows, Rows) {
    let mut left = Vec::new();
    for row in one {
        let like = |found: &Vec<Value>| {
            found.len() == row.len() && found.iter().zip(&row).all(|(one, two)| one.is_like(two))
        };
        match other.iter().position(like) {
            Some(at) => drop(other.swap_remove(at)),
            None => left.push(row),
        }
    }
    (left, other)
}

fn same_in_postgres(bench: &Bench, seed: u64) -> Verdict {
    let sql = query(&mut Choices::random(seed));
    if let Some(word) = AMBIGUOUS.iter().find(|word| sql.contains(**word)) {
        return Verdict::Skipped(format!("it has {word}"));
    }
    let has_one = |words: &[&str]| words.iter().any(|word| sql.contains(word));
    let apart = TOGETHER
        .iter()
        .find(|(one, other, _)| has_one(one) && has_one(other));
    if let Some((_, _, why)) = apart {
        return Verdict::Skipped((*why).to_owned());
    }
    let epochs = history(&mut Choices::random(seed ^ 0x9b05_688c), &tables_of(&sql));
    let mut world = bench.world.clone();
    for epoch in epochs {
        // without times that no literal names, and what is shown in another way
        let named = |change: &Change| {
            let of = &TABLES[change.table];
            let mut values = of.columns.iter().zip(&change.row);
            !values.any(|((_, kind, _), value)| {
                let text = text(*kind, value);
                text.contains("arrow_cast")
                    || OTHER_FORMS.iter().any(|form| text.contains(form))
                    || text.starts_with(SIGNED_ZERO) && sql.contains("varchar")
            })
        };
        let epoch: Vec<Change> = epoch.into_iter().filter(named).collect();
        apply(&mut world, &by_table(&epoch));
    }
    let answer = || {
        let plan = bench.subject(&sql)?.optimised;
        let (batches, failed) = bench.batches(&world, &plan, 0)?;
        Ok((rows_of(&batches)?, plan, failed))
    };
    let (rows, plan, failed) = match answer() {
        Ok(answer) => answer,
        Err(error) => return skipped(&error),
    };
    if failed > 0 {
        return Verdict::Skipped("rows fail".to_owned());
    }
    let answer = SESSION.with_borrow_mut(|session| {
        let session = session.get_or_insert_with(|| Session::new(bench));
        session.answer(bench, &sql, &world)
    });
    let theirs = match answer {
        Ok(rows) => rows,
        Err(why) => return Verdict::Skipped(format!("PostgreSQL: {why}")),
    };
    let types: Vec<DataType> = plan
        .schema()
        .fields()
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    let theirs = theirs.into_iter().map(|row| {
        let values = row.iter().zip(&types);
        values
            .map(|(text, kind)| Value::of(text.as_deref(), kind))
            .collect()
    });
    let (more, less) = unmatched(rows, theirs.collect());
    if more.is_empty() && less.is_empty() {
        return Verdict::Same;
    }
    let inserts: Vec<String> = TABLES.iter().filter_map(|of| insert(of, &world)).collect();
    Verdict::Wrong(format!(
        "{sql}\nLotic alone has {more:?}\nPostgreSQL alone has {less:?}\n{}",
        inserts.join(";\n")
    ))
}

fn skipped(error: &crate::base::Error) -> Verdict {
    Verdict::Skipped(error.to_string())
}

#[test]
fn postgres_answers_random_queries_as_batch_does() {
    if std::env::var_os("LOTIC_POSTGRES").is_none() {
        println!("skipped: LOTIC_POSTGRES is not set");
        return;
    }
    let Some(mut server) = start() else {
        return;
    };
    let url = server.url();
    let bench = Bench::new(1);
    while connect(&bench, &url).is_err() {
        assert!(!server.has_ended(), "PostgreSQL does not start");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    URL.set(url).unwrap();
    let plan = Plan {
        what: "PostgreSQL",
        cases: 300,
        partitions: 1,
        compared: 15,
    };
    check(plan, same_in_postgres);
}

//! The queries as models, held against the same queries in batch.

use std::path::Path;

use super::dataset::{Dataset, TABLES};
use super::live::Live;
use super::queries::{self, Query};
use crate::runtime::Options;

/// The smallest scale at which most queries have rows.
const SCALE: f64 = 0.002;

/// What is done to some rows of a table, so that they pass the filters of other queries.
struct Change {
    table: &'static str,
    key: &'static str,
    set: &'static str,
}

const CHANGES: [Change; 8] = [
    Change {
        table: "region",
        key: "r_regionkey",
        set: "r_name = 'EUROPE'",
    },
    Change {
        table: "nation",
        key: "n_nationkey",
        set: "n_regionkey = (n_regionkey + 1) % 5, n_name = 'GERMANY'",
    },
    Change {
        table: "supplier",
        key: "s_suppkey",
        set: "s_nationkey = (s_nationkey + 7) % 25, s_acctbal = s_acctbal + 1",
    },
    Change {
        table: "customer",
        key: "c_custkey",
        set: "c_nationkey = (c_nationkey + 7) % 25, c_acctbal = c_acctbal + 100",
    },
    Change {
        table: "part",
        key: "p_partkey",
        set: "p_size = 15, p_type = 'PROMO BRASS', p_brand = 'Brand#23', p_container = 'MED BOX'",
    },
    Change {
        table: "partsupp",
        key: "ps_partkey",
        set: "ps_availqty = ps_availqty + 1000, ps_supplycost = ps_supplycost / 2",
    },
    Change {
        table: "orders",
        key: "o_orderkey",
        set: "o_orderdate = o_orderdate + INTERVAL '40' DAY, o_orderpriority = '1-URGENT'",
    },
    Change {
        table: "lineitem",
        key: "l_orderkey",
        set: "l_quantity = 50, l_shipmode = 'MAIL', l_receiptdate = l_receiptdate + INTERVAL '20' DAY",
    },
];

async fn opened() -> Live {
    Live::open(Options::default())
        .await
        .expect("an engine opens")
}

async fn fill(live: &mut Live, dataset: &Dataset) {
    for table in TABLES {
        let path = dataset.path(table).display().to_string();
        live.insert(table, &path).await.expect("the rows go in");
    }
}

async fn create_all(live: &mut Live, queries: &[Query]) {
    for query in queries {
        live.create(query).await.expect("a model is made");
    }
}

async fn assert_equal(live: &Live, queries: &[Query], when: &str) {
    for query in queries {
        let differing = live.lotic.count_differences(&query.name).await;
        assert_eq!(
            differing.expect("both are computed"),
            0,
            "{} {when}",
            query.name
        );
    }
}

/// A hundredth of each table's rows, and one of few, gets other values, and as many go.
async fn change_some(live: &mut Live, dataset: &Dataset, round: u64) {
    for (number, Change { table, key, set }) in (1..).zip(CHANGES) {
        let parts = dataset.rows(table).clamp(2, 100);
        let update = (number * 37 + round * 61) % parts;
        let delete = (update + 1) % parts;
        // 7 and 32 spread the keys of orders, of which each 32 begin with 8
        let of = |rest: u64| format!("({key} * 7 + {key} / 32) % {parts} = {rest}");
        for sql in [
            format!("UPDATE {table} SET {set} WHERE {}", of(update)),
            format!("DELETE FROM {table} WHERE {}", of(delete)),
        ] {
            live.change(&sql).await.expect("rows change");
        }
    }
}

fn dataset(folder: &Path) -> Dataset {
    Dataset::prepare(folder, SCALE).expect("rows are generated")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_queries_are_incremental_and_stay_equal_to_batch() {
    let folder = tempfile::tempdir().expect("a folder");
    let dataset = dataset(folder.path());
    let queries = queries::all(SCALE);
    let mut live = opened().await;
    create_all(&mut live, &queries).await;
    for query in &queries {
        let nodes = live.recomputed_nodes(&query.name).await;
        assert_eq!(nodes.expect("a plan"), 0, "{}", query.name);
    }
    assert_equal(&live, &queries, "without rows").await;
    fill(&mut live, &dataset).await;
    assert_equal(&live, &queries, "with rows").await;
    for round in 0..3 {
        change_some(&mut live, &dataset, round).await;
        assert_equal(&live, &queries, &format!("after changes {round}")).await;
    }
    let rounds = dataset.rounds(0.02).expect("three orders a round");
    for (table, (path, rows)) in ["orders", "lineitem"]
        .iter()
        .zip(dataset.new_orders(&rounds, 0).expect("new orders"))
    {
        assert!(rows >= 60, "{rows} rows for {table}");
        let path = path.display().to_string();
        live.insert(table, &path).await.expect("new rows go in");
    }
    assert_equal(&live, &queries, "after new orders").await;
    for table in TABLES.iter().rev() {
        let sql = format!("DELETE FROM {table}");
        live.change(&sql).await.expect("all rows go");
    }
    assert_equal(&live, &queries, "after all rows went").await;
    for (name, figures) in live.figures().await.expect("figures") {
        assert!(
            figures.state_rows <= 8,
            "{name} holds {} rows",
            figures.state_rows
        );
    }
    live.lotic.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_made_over_full_tables_are_equal_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let dataset = dataset(folder.path());
    let queries = queries::all(SCALE);
    let mut live = opened().await;
    fill(&mut live, &dataset).await;
    create_all(&mut live, &queries).await;
    assert_equal(&live, &queries, "when made").await;
    change_some(&mut live, &dataset, 5).await;
    assert_equal(&live, &queries, "after changes").await;
    let figures = live.figures().await.expect("figures");
    let with_rows = queries.iter().filter(|query| figures[&query.name].rows > 0);
    assert!(with_rows.count() >= 18, "too few queries have rows to tell");
    live.lotic.shutdown().await;
}

#[test]
fn new_orders_have_keys_that_no_order_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let dataset = Dataset::prepare(folder.path(), 0.001).expect("rows are generated");
    let orders = i64::try_from(dataset.rows("orders")).expect("1,500");
    let last = tpchgen::generators::OrderGenerator::make_order_key(orders);
    for fraction in [0.001, 0.007, 0.3, 1.0] {
        let rounds = dataset.rounds(fraction).expect("rounds");
        assert!(rounds.first_new_key() > last, "{fraction}");
    }
    assert!(dataset.rounds(0.000_1).is_err(), "less than one order");
    assert!(dataset.rounds(0.0).is_err());
}

#[test]
fn queries_are_named_by_number_and_know_their_tables() {
    let all = queries::all(1.0);
    assert_eq!(all.len(), 22);
    assert!(all[10].sql.contains("0.000100000000"));
    assert!(all[1].reads("partsupp") && all[1].reads("part") && !all[1].reads("orders"));
    assert!(!all[0].reads("part"));
    let chosen = queries::chosen(1.0, &["q22".to_owned(), "q3".to_owned()]).expect("both exist");
    let names: Vec<&str> = chosen.iter().map(|query| query.name.as_str()).collect();
    assert_eq!(names, ["q3", "q22"]);
    assert_eq!(
        queries::chosen(1.0, &["q23".to_owned()])
            .expect_err("none such")
            .code(),
        "42704"
    );
}

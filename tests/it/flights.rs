//! The main job: `sql/flights` maintained, in batch, and after changes, must be one and the same.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use lotic::runtime::{Lotic, Options, Pipeline};
use lotic::zset::{Delta, differences};

async fn opened(maintain: bool) -> Arc<Lotic> {
    let paths = [PathBuf::from("sql/flights")];
    let pipeline = Pipeline::read(&paths, &BTreeMap::new()).unwrap();
    let options = Options {
        maintain,
        ..Options::default()
    };
    let lotic = Lotic::open(options).await.unwrap();
    lotic.apply(&pipeline, |_, _| {}).await.unwrap();
    lotic
}

#[tokio::test(flavor = "multi_thread")]
async fn maintained_models_equal_the_batch_run_and_stay_so_under_changes() {
    let (live, batch) = (opened(true).await, opened(false).await);
    let names = batch.model_names();
    assert_eq!(names.len(), 8);
    let mut session = live.session("lotic");
    for name in &names {
        let computed = batch.compute_model(name).await.unwrap();
        let answers = session.run(&format!("SELECT * FROM {name}")).await.unwrap();
        let kept: Vec<Delta> = answers[0]
            .1
            .iter()
            .map(|rows| {
                rows.clone()
                    .with_schema(Arc::clone(&computed.schema))
                    .unwrap()
            })
            .map(Delta::inserts)
            .collect();
        let fresh: Vec<Delta> = computed.batches.into_iter().map(Delta::inserts).collect();
        assert!(!fresh.is_empty(), "{name} is empty");
        assert!(
            differences(&kept, &fresh).unwrap().is_empty(),
            "{name} differs from batch"
        );
    }
    let hour = "origin = 'JFK' AND time_hour = '2013-07-04 12:00:00'";
    for change in [
        "INSERT INTO flights (year, month, day, carrier, flight, tailnum, origin, dest, distance,
             hour, minute, time_hour)
         VALUES (2013, 7, 4, 'UA', 9999, 'N14228', 'JFK', 'LAX', 2475, 8, 0, '2013-07-04 12:00:00')"
            .to_owned(),
        format!("UPDATE weather SET wind_speed = 55 WHERE {hour}"),
        format!("DELETE FROM weather WHERE {hour}"),
        "DELETE FROM flights WHERE flight = 9999".to_owned(),
    ] {
        session.run(&change).await.unwrap();
        session.settle().await.unwrap();
        for name in &names {
            let differing = live.count_differences(name).await.unwrap();
            assert_eq!(differing, 0, "{name} after {change}");
        }
    }
    live.shutdown().await;
    batch.shutdown().await;
}

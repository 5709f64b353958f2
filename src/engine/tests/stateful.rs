//! Distinct and recompute against their laws.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use proptest::prelude::{ProptestConfig, TestCaseError, proptest};

use super::schema;
use crate::base::Result;
use crate::engine::operators::{Distinct, Evaluate, Recompute};
use crate::testing::laws::strategy::histories;
use crate::testing::laws::{Cell, Subject, Table, check, made_proper};

fn mixed() -> SchemaRef {
    schema(&[
        ("i", DataType::Int64),
        ("f", DataType::Float64),
        ("t", DataType::Utf8View),
    ])
}

fn small() -> SchemaRef {
    schema(&[("i", DataType::Int64)])
}

/// The number of rows of each input: one row even over nothing.
struct Counts;

impl Evaluate for Counts {
    fn evaluate(&self, inputs: &[Vec<RecordBatch>]) -> Result<Vec<RecordBatch>> {
        let count = |batches: &Vec<RecordBatch>| {
            batches
                .iter()
                .map(|batch| i64::try_from(batch.num_rows()).unwrap())
                .sum::<i64>()
        };
        let counts = Int64Array::from_iter_values(inputs.iter().map(count));
        Ok(vec![RecordBatch::try_new(small(), vec![Arc::new(counts)])?])
    }

    fn describe(&self) -> String {
        "counts".to_owned()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn distinct_obeys_its_laws(history in histories(&[mixed()], 12)) {
        let subject = Subject {
            operator: &|| Box::new(Distinct::new(mixed())),
            inputs: vec![mixed()],
            reference: &|inputs| {
                let rows = inputs[0].iter().filter(|(_, weight)| **weight > 0);
                rows.map(|(row, _)| (row.clone(), 1)).collect()
            },
        };
        check(&subject, &history).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn recompute_obeys_its_laws(history in histories(&[small(), mixed()], 4)) {
        let subject = Subject {
            operator: &|| {
                Box::new(Recompute::new(Arc::new(Counts), vec![small(), mixed()], small()))
            },
            inputs: vec![small(), mixed()],
            reference: &|inputs| {
                let mut output = Table::new();
                for input in inputs {
                    let count = Cell::Int(input.values().sum());
                    crate::testing::laws::add(&mut output, vec![count], 1);
                }
                output
            },
        };
        check(&subject, &made_proper(2, history)).map_err(TestCaseError::fail)?;
    }
}

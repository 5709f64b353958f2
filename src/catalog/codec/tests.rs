//! Catalogs come back as they were, also those of older formats.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::{decode_catalog, encode_catalog};
use crate::catalog::{
    Catalog, Definition, IndexColumn, Object, TopicDefinition, WatermarkDefinition,
};

fn catalog(defaults: BTreeMap<String, String>) -> Catalog {
    let empty = Catalog::starting_at(16);
    let object = Object {
        id: empty.next_id(),
        name: "t".to_owned(),
        sql: "CREATE TABLE t (a INT)".to_owned(),
        schema: Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, true)])),
        definition: Definition::Table {
            primary_key: vec![0],
            connector: None,
            topic: TopicDefinition::default(),
            defaults,
        },
        dependencies: Vec::new(),
        base_dir: String::new(),
    };
    empty.with(object).unwrap()
}

#[test]
fn defaults_come_back() {
    let defaults = BTreeMap::from([("a".to_owned(), "1 + 1".to_owned())]);
    let bytes = encode_catalog(&catalog(defaults.clone())).unwrap();
    let back = decode_catalog(&bytes).unwrap();
    assert_eq!(back.get("t").unwrap().defaults(), Some(&defaults));
    assert_eq!(back.get("t").unwrap().primary_key(), [0]);
    assert_eq!(back.next_id(), catalog(defaults).next_id());
}

#[test]
fn indexes_come_back_with_their_table() {
    let catalog = catalog(BTreeMap::new());
    let table = catalog.get("t").unwrap().id;
    let columns = vec![IndexColumn {
        position: 0,
        descending: true,
        nulls_first: true,
    }];
    let index = Object {
        id: catalog.next_id(),
        name: "t_a_idx".to_owned(),
        sql: "CREATE UNIQUE INDEX ON t (a DESC)".to_owned(),
        schema: Arc::new(Schema::empty()),
        definition: Definition::Index {
            columns: columns.clone(),
            unique: true,
            constraint: false,
        },
        dependencies: vec![table],
        base_dir: String::new(),
    };
    let bytes = encode_catalog(&catalog.with(index).unwrap()).unwrap();
    let back = decode_catalog(&bytes).unwrap();
    let found: Vec<&Object> = back.indexes_of(table).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].unique_columns(), Some(vec![0]));
    let Definition::Index { columns: kept, .. } = &found[0].definition else {
        panic!("{:?}", found[0].definition)
    };
    assert_eq!(kept, &columns);
}

#[test]
fn earlier_formats_are_read_and_a_later_one_is_refused() {
    let bytes = encode_catalog(&catalog(BTreeMap::new())).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("{\"format\":4,"), "{text}");
    // without defaults, indexes and watermarks the formats differ in their number alone
    for earlier in ["{\"format\":1,", "{\"format\":2,", "{\"format\":3,"] {
        let first = text.replace("{\"format\":4,", earlier);
        let back = decode_catalog(first.as_bytes()).unwrap();
        assert_eq!(back.get("t").unwrap().defaults(), Some(&BTreeMap::new()));
    }
    let later = text.replace("{\"format\":4,", "{\"format\":5,");
    let error = decode_catalog(later.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), crate::base::Kind::Corrupt);
}

#[test]
fn watermarks_come_back() {
    let empty = Catalog::starting_at(16);
    let watermark = WatermarkDefinition {
        column: 0,
        delay_us: 5_000_000,
        idle_us: Some(1),
    };
    let object = Object {
        id: empty.next_id(),
        name: "s".to_owned(),
        sql: String::new(),
        schema: Arc::new(Schema::empty()),
        definition: Definition::Stream {
            connector: None,
            topic: TopicDefinition::default(),
            defaults: BTreeMap::new(),
            watermark: Some(watermark),
        },
        dependencies: Vec::new(),
        base_dir: String::new(),
    };
    let bytes = encode_catalog(&empty.with(object).unwrap()).unwrap();
    let back = decode_catalog(&bytes).unwrap();
    assert_eq!(back.get("s").unwrap().watermark(), Some(watermark));
}

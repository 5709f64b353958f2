//! Catalogs come back as they were, also those of older formats.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::{decode_catalog, encode_catalog};
use crate::catalog::{Catalog, Definition, Object, TopicDefinition};

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
fn the_first_format_is_read_and_a_later_one_is_refused() {
    let bytes = encode_catalog(&catalog(BTreeMap::new())).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("{\"format\":2,"), "{text}");
    // without defaults the formats differ in their number alone
    let first = text.replace("{\"format\":2,", "{\"format\":1,");
    let back = decode_catalog(first.as_bytes()).unwrap();
    assert_eq!(back.get("t").unwrap().defaults(), Some(&BTreeMap::new()));
    let later = text.replace("{\"format\":2,", "{\"format\":3,");
    let error = decode_catalog(later.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), crate::base::Kind::Corrupt);
}

//! Canonical text and the ways in it, against what PostgreSQL 15 prints.

use std::sync::Arc;

use ::arrow::array::ArrayRef;

use super::contain::contains;
use super::walk::{at_path, elements, members, shown};
use super::{parsed, parsed_text};

#[test]
fn texts_become_what_postgresql_prints() {
    for (text, canonical) in [
        (
            r#"{"b":1,"aa":2,"a":3,"b":4}"#,
            r#"{"a": 3, "b": 4, "aa": 2}"#,
        ),
        ("[1,{\"a\":null} , []]", r#"[1, {"a": null}, []]"#),
        ("-0", "0"),
        ("-0.0", "0.0"),
        ("1e2", "100"),
        ("1.50", "1.50"),
        ("1.50e1", "15.0"),
        ("1E-5", "0.00001"),
        ("-12.5e-1", "-1.25"),
        ("0e5", "0"),
        ("0.0e1", "0"),
        ("12e-1", "1.2"),
        (r#""\u0041\/\b\u00e9""#, "\"A/\\b\u{e9}\""),
        (r#""\ud83d\ude00""#, "\"\u{1f600}\""),
        (r#""\u001f""#, r#""\u001f""#),
        (" true ", "true"),
        (r#"{"":{}}"#, r#"{"": {}}"#),
    ] {
        assert_eq!(parsed_text(text).as_deref(), Some(canonical), "{text}");
        assert_eq!(parsed_text(canonical).as_deref(), Some(canonical));
    }
}

#[test]
fn what_is_no_json_is_refused_with_the_reason() {
    for (text, reason) in [
        ("{x", "Token \"x\" is invalid. JSON data, line 1: {x"),
        (
            "",
            "The input string ended unexpectedly. JSON data, line 1: ",
        ),
        (
            "[1,]",
            "Expected JSON value, but found \"]\". JSON data, line 1: [1,]",
        ),
        (
            "{\"a\" 1}",
            "Expected \":\", but found \"1\". JSON data, line 1: {\"a\" 1...",
        ),
        (
            "[1 2]",
            "Expected \",\" or \"]\", but found \"2\". JSON data, line 1: [1 2...",
        ),
        (
            "{\"a\":1,2",
            "Expected string, but found \"2\". JSON data, line 1: {\"a\":1,2",
        ),
        (
            "1 2",
            "Expected end of input, but found \"2\". JSON data, line 1: 1 2",
        ),
        (
            "{\"a\":\n01}",
            "Token \"01\" is invalid. JSON data, line 2: 01...",
        ),
        ("1.", "Token \"1.\" is invalid. JSON data, line 1: 1."),
        ("\"a", "Token \"\"a\" is invalid. JSON data, line 1: \"a"),
    ] {
        let column: ArrayRef = Arc::new(::arrow::array::StringArray::from(vec![text]));
        let error = parsed(&column).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    assert_eq!(parsed_text(&"[".repeat(5_000)), None);
    assert_eq!(parsed_text("1e999999"), None);
    assert_eq!(parsed_text("\"\\u0000\""), None);
    assert_eq!(parsed_text("\"\\"), None);
}

#[test]
fn paths_lead_through_objects_and_arrays() {
    let value = parsed_text(r#"{"a":[1,{"b":"x\"y"}],"n":null}"#).unwrap();
    let at = |path: &[&str]| at_path(&value, path.iter().copied());
    assert_eq!(
        at(&["a", "1", "b"]).and_then(shown).as_deref(),
        Some("x\"y")
    );
    assert_eq!(at(&["a", "-2"]), Some("1"));
    assert_eq!(at(&["a", "0", "0"]), None);
    assert_eq!(at(&["n"]).and_then(shown), None);
    assert_eq!(at(&["z"]), None);
    assert_eq!(elements("[]").count() + members("{}").count(), 0);
    assert_eq!(elements(r#"["a, ]", [1, 2], {"x": ","}]"#).count(), 3);
}

#[test]
fn containment_is_as_postgresql_defines_it() {
    for (whole, part, holds) in [
        (r#"["foo", "bar"]"#, r#""bar""#, true),
        (r#"[["foo"]]"#, r#"["foo"]"#, false),
        (r#"{"a": ["x"]}"#, r#"{"a": "x"}"#, false),
        (r#""a""#, r#"["a"]"#, false),
        ("[1.0]", "[1, 1]", true),
        ("{}", "[]", false),
        ("[[1, 2]]", "[[1]]", true),
        (r#"{"a": {"b": 1, "c": 2}}"#, r#"{"a": {}}"#, true),
    ] {
        assert_eq!(contains(whole, part), holds, "{whole} @> {part}");
    }
}

#[test]
fn broken_text_never_panics() {
    let whole = r#"{"a": ["x\\\"", {"b": 1}]}"#;
    for end in 0..whole.len() {
        let text = whole.get(..end).unwrap();
        std::hint::black_box((
            elements(text).count(),
            members(text).count(),
            contains(text, whole),
            at_path(text, ["a", "0"].into_iter()),
        ));
    }
}

//! Each rule on small texts: one that breaks it, and one beside it that does not.

use super::source::Source;
use super::{Finding, Level, check};

fn rules(path: &str, text: &str) -> Vec<(usize, &'static str)> {
    check(path, text.as_bytes())
        .iter()
        .map(|finding| (finding.line, finding.rule))
        .collect()
}

fn nothing() -> Vec<(usize, &'static str)> {
    Vec::new()
}

#[test]
fn import_against_the_table_is_an_error_with_its_line() {
    let text = "//! X.\n\nuse crate::runtime::Session;\n";
    assert_eq!(rules("src/engine/x.rs", text), [(3, "import direction")]);
    assert_eq!(rules("src/server/x.rs", text), nothing());
}

#[test]
fn grouped_and_inline_paths_count_as_imports() {
    let text = "//! X.\n\nuse crate::{base::Error, zset::{Delta, planner}, planner::lower};\n\
                fn f() { crate::models::g(); }\n";
    let found = rules("src/engine/x.rs", text);
    assert_eq!(found, [(3, "import direction"), (4, "import direction")]);
}

#[test]
fn own_module_and_macro_paths_are_no_imports() {
    let text = "//! X.\n\nuse crate::engine::operators::Join;\n\
                macro_rules! m { () => { $crate::server::x() }; }\n";
    assert_eq!(rules("src/engine/x.rs", text), nothing());
}

#[test]
fn comments_strings_and_tests_are_not_imports() {
    let text = "//! X, see crate::server.\n\n/* use crate::cli; /* nested */ crate::cli */\n\
                const A: &str = \"crate::cli::x\";\nconst B: &str = r#\"crate::cli \" x\"#;\n\
                #[cfg(test)]\nmod tests {\n    use crate::runtime::Session;\n}\n";
    assert_eq!(rules("src/engine/x.rs", text), nothing());
    let sibling = "//! Tests.\n\nuse crate::runtime::Session;\n";
    assert_eq!(rules("src/engine/tests.rs", sibling), nothing());
}

#[test]
fn code_after_a_test_module_is_checked_again() {
    let text = "//! X.\n\n#[cfg(test)]\nmod tests;\n\nfn f(c: char) -> bool {\n    c == '{'\n}\n\
                fn g() {\n    crate::cli::run();\n}\n";
    assert_eq!(rules("src/base/x.rs", text), [(10, "import direction")]);
}

#[test]
fn module_outside_the_table_is_an_error() {
    assert_eq!(
        rules("src/plumbing/x.rs", "//! X.\n"),
        [(1, "unknown module")]
    );
}

#[test]
fn vendor_outside_its_fence_is_an_error() {
    let wire = "//! X.\n\nuse pgwire::api::Type;\n";
    assert_eq!(rules("src/runtime/x.rs", wire), [(3, "fence")]);
    assert_eq!(rules("src/server/x.rs", wire), nothing());
    let submodule = "//! X.\n\nuse super::pgwire::Listener;\n";
    assert_eq!(rules("src/runtime/x.rs", submodule), nothing());
}

#[test]
fn session_types_stay_above_the_engine() {
    let text = "//! X.\n\nfn f(s: &datafusion::execution::SessionState) {}\n";
    assert_eq!(rules("src/engine/x.rs", text), [(3, "fence"), (3, "fence")]);
    assert_eq!(rules("src/planner/x.rs", text), nothing());
}

#[test]
fn log_knows_no_schemas_and_functions_know_no_engine() {
    let text = "//! X.\n\nuse arrow::array::ArrayRef;\n";
    assert_eq!(rules("src/transport/x.rs", text), [(3, "fence")]);
    let text = "//! X.\n\nuse lotic::engine::Operator;\n";
    assert_eq!(rules("udfs/src/x.rs", text), [(3, "fence")]);
    let text = "//! X.\n\nuse lotic_udfs::all;\n";
    assert_eq!(rules("udfs/src/x.rs", text), nothing());
}

#[test]
fn file_without_header_is_an_error() {
    assert_eq!(rules("src/base/x.rs", "use std::fmt;\n"), [(1, "header")]);
    assert_eq!(rules("src/base/x.rs", "//!\n//! Later.\n"), [(1, "header")]);
}

#[test]
fn long_file_warns_and_longer_file_fails() {
    let lines = |n: usize| format!("//! X.\n{}", "// x\n".repeat(n - 1));
    let level = |path: &str, n| {
        check(path, lines(n).as_bytes())
            .first()
            .map(|f: &Finding| f.level)
    };
    assert_eq!(level("src/base/x.rs", 500), None);
    assert_eq!(level("src/base/x.rs", 501), Some(Level::Warn));
    assert_eq!(level("src/base/mod.rs", 201), Some(Level::Warn));
    assert_eq!(level("src/base/x.rs", 801), Some(Level::Fail));
    assert_eq!(level("src/base/tests.rs", 800), None);
    assert_eq!(level("src/base/tests.rs", 801), Some(Level::Fail));
}

#[test]
fn names_that_say_nothing_are_errors() {
    assert_eq!(rules("src/base/utils.rs", "//! X.\n"), [(1, "file name")]);
    assert_eq!(
        rules("src/base/common/x.rs", "//! X.\n"),
        [(1, "file name")]
    );
    assert_eq!(rules("src/base/utility_bill.rs", "//! X.\n"), nothing());
}

#[test]
fn hidden_work_is_an_error() {
    let text = "//! X.\n\n// TODO later\n// TODO(ann): soon\n// TODO #12\n// a TODOLIST\n\
                #[ignore]\n#[should_panic]\nfn f() {}\n";
    let found = rules("src/base/x.rs", text);
    assert_eq!(
        found,
        [(7, "ignored test"), (8, "should_panic"), (3, "note")]
    );
}

#[test]
fn source_is_ascii() {
    assert_eq!(
        rules("src/base/x.rs", "//! X.\n// caf\u{e9}\n"),
        [(2, "characters")]
    );
}

#[test]
fn import_groups_have_an_order_and_blank_lines() {
    let good = "//! X.\n\nuse std::fmt;\n\nuse arrow::{\n    array,\n};\n\nuse crate::base::Error;\n\
                use super::y;\n";
    assert_eq!(rules("src/base/x.rs", good), nothing());
    let child = "//! X.\n\npub(crate) mod ids;\n\nuse std::fmt;\n\nuse crate::y;\nuse ids::Id;\n";
    assert_eq!(rules("src/base/x.rs", child), nothing());
    let order = "//! X.\n\nuse arrow::array;\n\nuse std::fmt;\n";
    assert_eq!(rules("src/base/x.rs", order), [(5, "import groups")]);
    let parted = "//! X.\n\nuse std::fmt;\nuse arrow::array;\n";
    assert_eq!(rules("src/base/x.rs", parted), [(4, "import groups")]);
}

#[test]
fn sql_begins_with_a_comment() {
    assert_eq!(
        rules("sql/a/00.sql", "CREATE TABLE t (a INT);\n"),
        [(1, "sql header")]
    );
    assert_eq!(
        rules("sql/a/00.sql", "-- T.\nCREATE TABLE t (a INT);\n"),
        nothing()
    );
}

#[test]
fn long_function_is_an_error_at_its_first_line() {
    let function = |n: usize| {
        format!(
            "//! X.\n\nfn f(a: [u8; 2]) -> [u8; 2] {{\n{}}}\n",
            "    g();\n\n".repeat(n)
        )
    };
    assert_eq!(rules("src/base/x.rs", &function(70)), nothing());
    assert_eq!(
        rules("src/base/x.rs", &function(71)),
        [(3, "function length")]
    );
    let declared = "//! X.\n\ntrait T {\n    fn f(&self) -> [u8; 2];\n}\n";
    assert_eq!(rules("src/base/x.rs", declared), nothing());
}

#[test]
fn lifetimes_and_characters_do_not_confuse_the_lines() {
    let text = "//! X.\nfn f<'a>(x: &'a str) -> char { if x == \"\\\"\" { '\\'' } else { '\"' } }\n\
                // end\n";
    let source = Source::new("src/base/x.rs", text);
    assert_eq!(source.raw.len(), source.code.lines().count());
    assert!(source.comments.iter().any(|line| line.contains("end")));
    assert_eq!(
        source.code.matches('{').count(),
        source.code.matches('}').count()
    );
}

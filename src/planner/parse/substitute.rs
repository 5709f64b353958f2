//! `${name}` in pipeline files, replaced before the text is parsed.

use std::collections::BTreeMap;

use crate::base::{Error, Kind, Result};

/// Replaces every `${name}` by its value. `$${` stands for a literal `${`. Values are taken as they are: they are part of the
/// SQL text, chosen by whoever runs the pipeline.
///
/// # Errors
/// 42704 with the line for a name that has no value; 42601 for a `${` that is never closed.
pub fn substitute(text: &str, values: &BTreeMap<String, String>) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut line = 1;
    while let Some((before, after)) = rest.split_once("${") {
        line += before.matches('\n').count();
        if let Some(kept) = before.strip_suffix('$') {
            out.push_str(kept);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
            return Err(
                Error::syntax(format!("line {line}: \"${{\" without a name and \"}}\""))
                    .with_hint("write ${name}, or $${ for the characters themselves"),
            );
        };
        let Some(value) = values.get(name) else {
            return Err(Error::new(
                Kind::Missing,
                "42704",
                format!("line {line}: no value for \"${{{name}}}\""),
            )
            .with_hint(format!("give it with --set {name}=VALUE")));
        };
        out.push_str(value);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

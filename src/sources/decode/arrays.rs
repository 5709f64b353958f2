//! PostgreSQL's array texts, `{1,NULL,"a b"}`, as JSON, which arrow's reader takes.

use arrow::datatypes::DataType;

/// The array of `text` as JSON for a list of `item`; none when it is malformed.
pub(crate) fn to_json(text: &str, item: &DataType) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 8);
    let rest = array(text.trim(), item, &mut out, 0)?;
    rest.trim().is_empty().then_some(out)
}

fn array<'a>(text: &'a str, item: &DataType, out: &mut String, depth: u32) -> Option<&'a str> {
    // PostgreSQL's own limit is six dimensions.
    if depth > 6 {
        return None;
    }
    let mut rest = text.strip_prefix('{')?.trim_start();
    out.push('[');
    if let Some(after) = rest.strip_prefix('}') {
        out.push(']');
        return Some(after);
    }
    loop {
        rest = match item {
            DataType::List(inner) | DataType::LargeList(inner) => {
                array(rest, inner.data_type(), out, depth + 1)?
            }
            _ => element(rest, item, out)?,
        };
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            out.push(']');
            return Some(after);
        }
        rest = rest.strip_prefix(',')?.trim_start();
        out.push(',');
    }
}

fn element<'a>(text: &'a str, item: &DataType, out: &mut String) -> Option<&'a str> {
    let (value, quoted, rest) = if let Some(inside) = text.strip_prefix('"') {
        let (value, rest) = quoted(inside)?;
        (value, true, rest)
    } else {
        let end = text.find([',', '}'])?;
        let (value, rest) = text.split_at(end);
        (value.trim().to_owned(), false, rest)
    };
    if !quoted && value.eq_ignore_ascii_case("null") {
        out.push_str("null");
    } else if matches!(item, DataType::Boolean) {
        out.push_str(if super::values::boolean(value.as_bytes())? {
            "true"
        } else {
            "false"
        });
    } else if value.is_empty() && !quoted {
        return None;
    } else {
        out.push_str(&serde_json::Value::from(value).to_string());
    }
    Some(rest)
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(char),
        }
    }
    None
}

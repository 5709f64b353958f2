//! Finding one's way in canonical text: values are slices of it.
//!
//! Text that is not canonical (none is made) gives no answer or a wrong one, and never a panic.

use std::borrow::Cow;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    Text,
    Number,
    Boolean,
    Null,
}

impl Kind {
    pub(super) fn of(value: &str) -> Self {
        match value.as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::Text,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::Text => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Null => "null",
        }
    }

    pub(super) fn is_scalar(self) -> bool {
        !matches!(self, Self::Object | Self::Array)
    }
}

/// Keys (their text, not escaped) with values (canonical).
pub(super) type Members = Vec<(String, String)>;

/// Appends the object of `members`: keys by length, then bytes; of two of one name the last counts.
pub(super) fn finish_object(mut members: Members, out: &mut String) {
    let order = |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
    members.sort_by(|(a, _), (b, _)| order(a, b));
    out.push('{');
    let mut first = true;
    let mut members = members.into_iter().peekable();
    while let Some((key, value)) = members.next() {
        if members.peek().is_some_and(|(next, _)| *next == key) {
            continue;
        }
        if !first {
            out.push_str(", ");
        }
        first = false;
        write_string(&key, out);
        out.push_str(": ");
        out.push_str(&value);
    }
    out.push('}');
}

/// Appends the array of `elements`.
pub(super) fn finish_array<'a>(elements: impl Iterator<Item = &'a str>, out: &mut String) {
    out.push('[');
    for (position, element) in elements.enumerate() {
        if position > 0 {
            out.push_str(", ");
        }
        out.push_str(element);
    }
    out.push(']');
}

/// Appends `text` as a JSON string, escaped as PostgreSQL does it.
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if u32::from(control) < 0x20 => {
                out.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            char => out.push(char),
        }
    }
    out.push('"');
}

/// The text of a JSON string, or none where `value` is none.
pub(super) fn text_of(value: &str) -> Option<Cow<'_, str>> {
    let inside = value.strip_prefix('"')?.strip_suffix('"')?;
    if !inside.contains('\\') {
        return Some(Cow::Borrowed(inside));
    }
    let mut out = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next()? {
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok()?;
                out.push(char::from_u32(code)?);
            }
            other => out.push(other),
        }
    }
    Some(Cow::Owned(out))
}

/// As `->>` shows a value: a string without quotes, NULL for null, the canonical text of others.
pub(super) fn shown(value: &str) -> Option<Cow<'_, str>> {
    match Kind::of(value) {
        Kind::Null => None,
        Kind::Text => text_of(value),
        _ => Some(Cow::Borrowed(value)),
    }
}

/// Where the value that begins at `from` ends.
fn end_of_value(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(bytes, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return if depth == 0 { at } else { at + 1 },
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

/// The byte after the string that begins at `from`.
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The members of an object: keys as they stand, with quotes and escapes, and values.
pub(super) fn members(value: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut at = 1;
    std::iter::from_fn(move || {
        let bytes = value.as_bytes();
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let key_end = end_of_string(bytes, at);
        let key = value.get(at..key_end)?;
        let start = key_end + 2;
        let end = end_of_value(bytes, start);
        let member = value.get(start..end)?;
        at = end + 2;
        Some((key, member))
    })
}

/// The elements of an array. A scalar is an array of itself, as PostgreSQL has it.
pub(super) fn elements(value: &str) -> impl Iterator<Item = &str> {
    let scalar = Kind::of(value).is_scalar();
    let mut at = usize::from(!scalar);
    std::iter::from_fn(move || {
        if scalar {
            at += 1;
            return (at == 1).then_some(value);
        }
        let bytes = value.as_bytes();
        if matches!(bytes.get(at), None | Some(b']')) {
            return None;
        }
        let end = end_of_value(bytes, at);
        let element = value.get(at..end)?;
        at = end + 2;
        Some(element)
    })
}

/// The value of `key` in an object; none where there is none or `value` is no object.
pub(super) fn member<'a>(value: &'a str, key: &str) -> Option<&'a str> {
    if Kind::of(value) != Kind::Object {
        return None;
    }
    let mut quoted = String::with_capacity(key.len() + 2);
    write_string(key, &mut quoted);
    members(value).find_map(|(name, member)| (name == quoted).then_some(member))
}

/// The element at `position` of an array, from the end where it is negative.
pub(super) fn element(value: &str, position: i64) -> Option<&str> {
    if Kind::of(value) == Kind::Object {
        return None;
    }
    match usize::try_from(position) {
        Ok(position) => elements(value).nth(position),
        Err(_) => {
            let all: Vec<&str> = elements(value).collect();
            let back = usize::try_from(position.unsigned_abs()).ok()?;
            all.get(all.len().checked_sub(back)?).copied()
        }
    }
}

/// The value at the end of a path of keys and positions.
pub(super) fn at_path<'a, 'p>(
    value: &'a str,
    path: impl Iterator<Item = &'p str>,
) -> Option<&'a str> {
    let mut value = value;
    let mut inside = false;
    for step in path {
        value = match Kind::of(value) {
            Kind::Object => member(value, step)?,
            Kind::Array => element(value, step.trim().parse().ok()?)?,
            // A scalar has one place, and only where nothing stands around it.
            _ if inside => return None,
            _ => element(value, step.trim().parse().ok()?)?,
        };
        inside = true;
    }
    Some(value)
}

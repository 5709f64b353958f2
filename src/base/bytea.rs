//! The text form of bytes.

use super::{Error, Result};

/// The bytes that a text means as a `bytea`: in hex (`\xff`) or in escape (`a\377`) form.
///
/// # Errors
/// 22P02 for a text that is neither.
pub(crate) fn bytea(text: &str) -> Result<Vec<u8>> {
    let bad = || Error::bad_value("invalid input syntax for type bytea");
    if let Some(digits) = text.strip_prefix("\\x") {
        let nibble = |byte: &u8| {
            char::from(*byte)
                .to_digit(16)
                .and_then(|n| u8::try_from(n).ok())
        };
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        let byte = |[high, low]: &[u8; 2]| Some(nibble(high)? << 4 | nibble(low)?);
        let bytes = pairs.iter().map(byte).collect::<Option<Vec<u8>>>();
        return bytes.filter(|_| rest.is_empty()).ok_or_else(bad);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
        } else if let Some(after) = rest.strip_prefix(b"\\") {
            bytes.push(b'\\');
            rest = after;
        } else {
            let (digits, after) = rest.split_first_chunk::<3>().ok_or_else(bad)?;
            let digits = std::str::from_utf8(digits).map_err(|_| bad())?;
            bytes.push(u8::from_str_radix(digits, 8).map_err(|_| bad())?);
            rest = after;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        assert_eq!(bytea("\\x00ff").unwrap(), [0, 255]);
        assert_eq!(bytea("a\\\\\\001").unwrap(), [b'a', b'\\', 1]);
        for bad in ["\\x0", "\\xzz", "\\12", "\\999"] {
            assert_eq!(bytea(bad).unwrap_err().code(), "22P02", "{bad}");
        }
    }
}

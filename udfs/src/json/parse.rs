//! From any JSON text to its canonical text, with PostgreSQL's errors.

use datafusion_common::{DataFusionError, Result};

use super::walk::{Members, finish_object, write_string};

/// Deeper values are refused: the reader recurses.
const MAX_DEPTH: usize = 1_000;

/// The most digits before and after the point, as in PostgreSQL's numeric.
const MAX_WHOLE: i64 = 131_072;
const MAX_FRACTION: i64 = 16_383;

/// Appends the canonical text of `text` to `out`.
///
/// # Errors
/// When it is no JSON; the message and its detail are PostgreSQL's.
pub(super) fn canonical(text: &str, out: &mut String) -> Result<()> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    parser.value(out, "JSON value")?;
    match parser.token()? {
        Token::End => Ok(()),
        other => Err(parser.unexpected("end of input", other)),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// The byte after the last token.
    at: usize,
    depth: usize,
}

#[derive(Clone, Copy)]
enum Token<'a> {
    /// One of `{}[],:`.
    Mark(u8),
    /// A string with its quotes; `plain` when it has no escape.
    Text(&'a str, bool),
    Number(&'a str),
    Word(&'a str),
    End,
}

impl<'a> Parser<'a> {
    fn value(&mut self, out: &mut String, wanted: &str) -> Result<()> {
        match self.token()? {
            Token::Mark(b'{') => self.nested(|parser| parser.object(out)),
            Token::Mark(b'[') => self.nested(|parser| parser.array(out)),
            Token::Text(text, plain) => self.string(text, plain, out),
            Token::Number(number) => write_number(number, out),
            Token::Word(word) => {
                out.push_str(word);
                Ok(())
            }
            other => Err(self.unexpected(wanted, other)),
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(DataFusionError::Execution(format!(
                "JSON is nested deeper than {MAX_DEPTH}"
            )));
        }
        read(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self, out: &mut String) -> Result<()> {
        out.push('[');
        let before = self.at;
        if matches!(self.token()?, Token::Mark(b']')) {
            out.push(']');
            return Ok(());
        }
        self.at = before;
        loop {
            self.value(out, "JSON value")?;
            match self.token()? {
                Token::Mark(b',') => out.push_str(", "),
                Token::Mark(b']') => break,
                other => return Err(self.unexpected("\",\" or \"]\"", other)),
            }
        }
        out.push(']');
        Ok(())
    }

    fn object(&mut self, out: &mut String) -> Result<()> {
        let mut members = Members::default();
        let mut wanted = "string or \"}\"";
        loop {
            let key = match self.token()? {
                Token::Text(text, plain) => self.unquoted(text, plain)?,
                Token::Mark(b'}') if members.is_empty() => break,
                other => return Err(self.unexpected(wanted, other)),
            };
            match self.token()? {
                Token::Mark(b':') => {}
                other => return Err(self.unexpected("\":\"", other)),
            }
            let mut value = String::new();
            self.value(&mut value, "JSON value")?;
            members.push((key, value));
            match self.token()? {
                Token::Mark(b',') => wanted = "string",
                Token::Mark(b'}') => break,
                other => return Err(self.unexpected("\",\" or \"}\"", other)),
            }
        }
        finish_object(members, out);
        Ok(())
    }

    fn string(&self, text: &str, plain: bool, out: &mut String) -> Result<()> {
        if plain {
            out.push_str(text);
            return Ok(());
        }
        write_string(&self.unquoted(text, plain)?, out);
        Ok(())
    }

    /// The text of a string.
    fn unquoted(&self, text: &str, plain: bool) -> Result<String> {
        let inside = text.get(1..text.len() - 1).unwrap_or_default();
        if plain {
            return Ok(inside.to_owned());
        }
        let mut out = String::with_capacity(inside.len());
        let mut chars = inside.chars();
        while let Some(char) = chars.next() {
            if char != '\\' {
                out.push(char);
                continue;
            }
            match chars.next() {
                Some('b') => out.push('\u{8}'),
                Some('f') => out.push('\u{c}'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('u') => {
                    let code = self.unicode(&mut chars)?;
                    out.push(code);
                }
                Some(char @ ('"' | '\\' | '/')) => out.push(char),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(self.invalid(&format!("Escape sequence \"\\{other}\" is invalid.")));
                }
            }
        }
        Ok(out)
    }

    fn unicode(&self, chars: &mut std::str::Chars<'_>) -> Result<char> {
        let low_missing = "Unicode low surrogate must follow a high surrogate.";
        let high = self.hex(chars)?;
        let code = match high {
            0 => {
                return Err(DataFusionError::Execution(
                    "unsupported Unicode escape sequence\nDETAIL: \\u0000 cannot be converted to text."
                        .to_owned(),
                ));
            }
            0xD800..=0xDBFF => {
                if chars.next() != Some('\\') || chars.next() != Some('u') {
                    return Err(self.invalid(low_missing));
                }
                let low = self.hex(chars)?;
                if !(0xDC00..=0xDFFF).contains(&low) {
                    return Err(self.invalid(low_missing));
                }
                0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
            }
            _ => high,
        };
        char::from_u32(code).ok_or_else(|| self.invalid(low_missing))
    }

    fn hex(&self, chars: &mut std::str::Chars<'_>) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = chars.next().and_then(|char| char.to_digit(16));
            let digit = digit.ok_or_else(|| {
                self.invalid("\"\\u\" must be followed by four hexadecimal digits.")
            })?;
            code = code * 16 + digit;
        }
        Ok(code)
    }

    fn token(&mut self) -> Result<Token<'a>> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        let start = self.at;
        match bytes.get(start) {
            None => Ok(Token::End),
            Some(mark @ (b'{' | b'}' | b'[' | b']' | b',' | b':')) => {
                self.at += 1;
                Ok(Token::Mark(*mark))
            }
            Some(b'"') => self.text_token(start),
            Some(first) => {
                let in_word =
                    |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80 || *byte == b'_';
                let number = *first == b'-' || first.is_ascii_digit();
                let more =
                    |byte: &u8| in_word(byte) || number && matches!(byte, b'.' | b'+' | b'-');
                let rest = bytes.get(start + 1..).unwrap_or_default();
                let length = match number || in_word(first) {
                    true => rest.iter().take_while(|byte| more(byte)).count(),
                    false => 0,
                };
                self.at = start + 1 + length;
                let token = self.text.get(start..self.at).unwrap_or_default();
                match token {
                    "true" | "false" | "null" => Ok(Token::Word(token)),
                    _ if number && is_number(token.as_bytes()) => Ok(Token::Number(token)),
                    _ => Err(self.invalid(&format!("Token \"{token}\" is invalid."))),
                }
            }
        }
    }

    fn text_token(&mut self, start: usize) -> Result<Token<'a>> {
        let bytes = self.text.as_bytes();
        let mut plain = true;
        self.at = start + 1;
        loop {
            match bytes.get(self.at) {
                None => {
                    let token = self.text.get(start..).unwrap_or_default();
                    return Err(self.invalid(&format!("Token \"{token}\" is invalid.")));
                }
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    self.at += 2;
                }
                Some(control) if *control < 0x20 => {
                    let text = format!("Character with value 0x{control:02x} must be escaped.");
                    return Err(self.invalid(&text));
                }
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let token = self.text.get(start..self.at).unwrap_or_default();
        Ok(Token::Text(token, plain))
    }

    fn unexpected(&self, wanted: &str, token: Token<'_>) -> DataFusionError {
        let mark;
        let found = match token {
            Token::End => return self.invalid("The input string ended unexpectedly."),
            Token::Mark(byte) => {
                mark = char::from(byte).to_string();
                &mark
            }
            Token::Text(text, _) | Token::Number(text) | Token::Word(text) => text,
        };
        self.invalid(&format!("Expected {wanted}, but found \"{found}\"."))
    }

    /// The error, with the line up to the place and its number.
    fn invalid(&self, detail: &str) -> DataFusionError {
        const SHOWN: usize = 50;
        let read = self
            .text
            .get(..self.at.min(self.text.len()))
            .unwrap_or(self.text);
        let number = 1 + read.matches('\n').count();
        let line = read.rsplit('\n').next().unwrap_or_default();
        let skipped = line.chars().count().saturating_sub(SHOWN);
        let before = if skipped > 0 { "..." } else { "" };
        let shown: String = line.chars().skip(skipped).collect();
        let after = if self.at < self.text.len() { "..." } else { "" };
        DataFusionError::Execution(format!(
            "invalid input syntax for type json\nDETAIL: {detail} JSON data, line {number}: {before}{shown}{after}"
        ))
    }
}

/// Whether the bytes are a number by JSON's grammar.
fn is_number(bytes: &[u8]) -> bool {
    fn digits(bytes: &[u8]) -> (usize, &[u8]) {
        let count = bytes
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        (count, bytes.get(count..).unwrap_or_default())
    }
    let bytes = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let leading_zero = bytes.first() == Some(&b'0');
    let (whole, mut rest) = digits(bytes);
    if whole == 0 || leading_zero && whole > 1 {
        return false;
    }
    if let Some(after) = rest.strip_prefix(b".") {
        let (fraction, after) = digits(after);
        if fraction == 0 {
            return false;
        }
        rest = after;
    }
    if let Some(after) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let after = after
            .strip_prefix(b"+")
            .or_else(|| after.strip_prefix(b"-"))
            .unwrap_or(after);
        let (exponent, after) = digits(after);
        if exponent == 0 {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

/// Appends a number as PostgreSQL's numeric prints it: no exponent, no sign of zero.
fn write_number(number: &str, out: &mut String) -> Result<()> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    let zero = !digits
        .split(['e', 'E'])
        .next()
        .is_some_and(|mantissa| mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9')));
    out.push_str(if zero { "" } else { sign });
    let Some((mantissa, exponent)) = digits.split_once(['e', 'E']) else {
        out.push_str(digits);
        return Ok(());
    };
    let too_large = || DataFusionError::Execution("value overflows numeric format".to_owned());
    let exponent: i64 = exponent.parse().map_err(|_| too_large())?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
    // The point stands so many digits after the first.
    let point = length(whole).saturating_add(exponent);
    let scale = length(fraction).saturating_sub(exponent).max(0);
    if scale > MAX_FRACTION || !zero && point > MAX_WHOLE {
        return Err(too_large());
    }
    let all = format!("{whole}{fraction}");
    let point = if zero { 0 } else { point };
    let padded = match usize::try_from(point) {
        Ok(point) => format!("{all:0<point$}"),
        Err(_) => all,
    };
    let (before, after) = match usize::try_from(point) {
        Ok(point) => padded
            .split_at_checked(point)
            .unwrap_or((padded.as_str(), "")),
        Err(_) => ("", padded.as_str()),
    };
    let before = before.trim_start_matches('0');
    out.push_str(if before.is_empty() { "0" } else { before });
    let scale = usize::try_from(scale).unwrap_or(0);
    if scale > 0 {
        out.push('.');
        let after = if zero { "" } else { after };
        let zeros = scale.saturating_sub(after.len());
        out.extend(std::iter::repeat_n('0', zeros));
        out.push_str(after);
    }
    Ok(())
}

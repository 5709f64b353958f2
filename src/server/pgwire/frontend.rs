//! Decodes the body of a client's message. Total: any bytes give a message or an error, never a panic.

use bytes::{Buf, Bytes};

use crate::base::{Error, Kind, Result};

/// The longest name of a statement or portal, in bytes.
const MAX_NAME: usize = 1_024;

/// A message after login.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Query(String),
    Parse {
        name: String,
        sql: String,
        types: Vec<u32>,
    },
    Bind(Bind),
    Describe(Target),
    Execute {
        portal: String,
        max_rows: i32,
    },
    Close(Target),
    Flush,
    Sync,
    CopyData(Bytes),
    CopyDone,
    CopyFail(String),
    Terminate,
}

/// A prepared statement or a portal, by name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Statement(String),
    Portal(String),
}

/// Values for a prepared statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    pub(crate) portal: String,
    pub(crate) statement: String,
    /// None, one for all, or one a parameter.
    pub(crate) parameter_formats: Vec<Format>,
    pub(crate) parameters: Vec<Option<Bytes>>,
    /// None, one for all, or one a column.
    pub(crate) result_formats: Vec<Format>,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Binary,
}

impl Format {
    /// The number on the wire.
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }

    /// The format of the value at `index` in a list that may be empty (text) or hold one for all.
    pub(crate) fn of(list: &[Self], index: usize) -> Self {
        match list {
            [] => Self::Text,
            [one] => *one,
            _ => list.get(index).copied().unwrap_or(Self::Text),
        }
    }
}

/// Decodes one message of type `kind`.
///
/// # Errors
/// When the body does not have the form that its type demands (08P01), or its text is not UTF-8
/// (22021).
pub(crate) fn decode(kind: u8, body: Bytes) -> Result<Message> {
    let mut body = Body(body);
    let message = match kind {
        b'Q' => Message::Query(body.text()?),
        b'P' => Message::Parse {
            name: body.name()?,
            sql: body.text()?,
            types: body.list(|body| body.u32())?,
        },
        b'B' => Message::Bind(Bind {
            portal: body.name()?,
            statement: body.name()?,
            parameter_formats: body.list(Body::format)?,
            parameters: body.list(Body::value)?,
            result_formats: body.list(Body::format)?,
        }),
        b'D' => Message::Describe(body.target()?),
        b'E' => Message::Execute {
            portal: body.name()?,
            max_rows: body.i32()?,
        },
        b'C' => Message::Close(body.target()?),
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'd' => return Ok(Message::CopyData(body.0)),
        b'c' => Message::CopyDone,
        b'f' => Message::CopyFail(body.text()?),
        b'X' => Message::Terminate,
        _ => return Err(unknown(kind)),
    };
    if body.0.has_remaining() {
        return Err(malformed());
    }
    Ok(message)
}

/// The first message of a SASL login: the mechanism and the client's data.
pub(crate) fn decode_sasl_initial(body: Bytes) -> Result<(String, Bytes)> {
    let mut body = Body(body);
    let mechanism = body.name()?;
    let data = body.value()?.unwrap_or_default();
    if body.0.has_remaining() {
        return Err(malformed());
    }
    Ok((mechanism, data))
}

/// The settings of a start-up packet, in order.
pub(crate) fn decode_settings(body: Bytes) -> Result<Vec<(String, String)>> {
    let mut body = Body(body);
    let mut settings = Vec::new();
    loop {
        let name = body.text()?;
        if name.is_empty() {
            break;
        }
        settings.push((name, body.text()?));
    }
    if body.0.has_remaining() {
        return Err(malformed());
    }
    Ok(settings)
}

/// A message type that does not exist. After it the stream cannot be trusted any more.
pub(crate) fn unknown(kind: u8) -> Error {
    violation(format!("invalid frontend message type {kind}"))
}

/// The client broke the protocol (08P01).
pub(crate) fn violation(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, "08P01", message)
}

fn malformed() -> Error {
    violation("invalid message format")
}

/// The bytes of a message that are still to be read.
struct Body(Bytes);

impl Body {
    fn text(&mut self) -> Result<String> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or_else(malformed)?;
        let bytes = self.0.split_to(end);
        self.0.advance(1);
        String::from_utf8(bytes.into()).map_err(|_| {
            Error::new(
                Kind::Invalid,
                "22021",
                "invalid byte sequence for encoding \"UTF8\"",
            )
        })
    }

    fn name(&mut self) -> Result<String> {
        let limit = self.0.iter().take(MAX_NAME + 1).any(|byte| *byte == 0);
        if limit {
            self.text()
        } else {
            Err(violation("a name in a message is too long"))
        }
    }

    fn u16(&mut self) -> Result<u16> {
        self.0.try_get_u16().map_err(|_| malformed())
    }

    fn u32(&mut self) -> Result<u32> {
        self.0.try_get_u32().map_err(|_| malformed())
    }

    fn i32(&mut self) -> Result<i32> {
        self.0.try_get_i32().map_err(|_| malformed())
    }

    fn format(&mut self) -> Result<Format> {
        match self.u16()? {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(violation(format!("unsupported format code {other}"))),
        }
    }

    /// A counted list. Nothing is allocated by the count alone.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = usize::from(self.u16()?);
        let mut items = Vec::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn value(&mut self) -> Result<Option<Bytes>> {
        let length = self.i32()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| malformed())?;
        if length > self.0.len() {
            return Err(malformed());
        }
        Ok(Some(self.0.split_to(length)))
    }

    fn target(&mut self) -> Result<Target> {
        let kind = self.0.try_get_u8().map_err(|_| malformed())?;
        let name = self.name()?;
        match kind {
            b'S' => Ok(Target::Statement(name)),
            b'P' => Ok(Target::Portal(name)),
            _ => Err(malformed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn messages_read_as_they_are_meant() {
        let query = decode(b'Q', Bytes::from_static(b"select 1\0")).unwrap();
        assert_eq!(query, Message::Query("select 1".to_owned()));
        let bind = b"p\0s\0\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\x01x\0\x00";
        let Message::Bind(bind) = decode(b'B', Bytes::from_static(bind)).unwrap() else {
            panic!("not a bind")
        };
        assert_eq!(bind.parameter_formats, [Format::Binary]);
        assert_eq!(bind.parameters, [None, Some(Bytes::from_static(b"x"))]);
        let execute = decode(b'E', Bytes::from_static(b"\0\xff\xff\xff\xff")).unwrap();
        assert_eq!(
            execute,
            Message::Execute {
                portal: String::new(),
                max_rows: -1
            }
        );
    }

    #[test]
    fn lying_counts_and_lengths_are_errors() {
        for (kind, body) in [
            (b'Q', &b"no end"[..]),
            (b'Q', b"a\0b"),
            (b'P', b"\0\0\xff\xff"),
            (b'B', b"\0\0\xff\xff"),
            (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"),
            (b'B', b"\0\0\0\0\0\x01\x80\0\0\0\0\0"),
            (b'B', b"\0\0\0\x01\0\x07\0\0\0\0"),
            (b'D', b"Z\0"),
            (b'E', b"\0\0\0"),
            (b'S', b"\0"),
            (b'?', b""),
        ] {
            assert_eq!(
                decode(kind, Bytes::from_static(body)).unwrap_err().code(),
                "08P01"
            );
        }
        let long = [vec![b'n'; 1 << 20], vec![0]].concat();
        assert!(decode(b'P', long.into()).is_err());
        assert_eq!(
            decode(b'Q', Bytes::from_static(b"\xff\0"))
                .unwrap_err()
                .code(),
            "22021"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(kind: u8, body in any::<Vec<u8>>()) {
            let body = Bytes::from(body);
            let _one = decode(kind, body.clone());
            let _two = decode_sasl_initial(body.clone());
            let _three = decode_settings(body);
        }
    }
}

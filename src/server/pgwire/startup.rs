//! The first packets of a connection: TLS or not, a cancel request, or the name of the user.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::frontend::{decode_settings, violation};
use super::input::ReadSide;
use super::options::Options;
use super::output::WriteSide;
use super::pending::{Stage, Waiting};
use crate::base::{Error, Kind, Result};
use crate::server::tls::{ALPN, Tls};

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// The first byte of a TLS handshake: no start-up packet is long enough to begin with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a connection wants.
pub(crate) enum Opening {
    /// To log in.
    Session(Greeting),
    /// To cancel what runs in another session.
    Cancel { process: i32, secret: i32 },
    /// Nothing: it went away, or broke the rules so early that no answer makes sense.
    Closed,
    /// Something that is refused with a reason.
    Refused(WriteSide, Error),
}

/// A connection that has named its user.
pub(crate) struct Greeting {
    pub(crate) read: ReadSide,
    pub(crate) write: WriteSide,
    /// Bytes that came after the start-up packet.
    pub(crate) rest: BytesMut,
    pub(crate) settings: Vec<(String, String)>,
    /// What must be answered with NegotiateProtocolVersion, if anything.
    pub(crate) unsupported: Option<Vec<String>>,
    /// What SCRAM may bind to.
    pub(crate) end_point: Option<Vec<u8>>,
}

/// Reads until the connection has said what it wants.
///
/// # Errors
/// When the socket fails; then it is just dropped.
pub(crate) async fn open(
    mut socket: TcpStream,
    options: &Options,
    waiting: &mut Waiting,
) -> io::Result<Opening> {
    let mut first = [0];
    if socket.peek(&mut first).await? == 0 {
        return Ok(Opening::Closed);
    }
    waiting.reached(Stage::Negotiating);
    if let (&[TLS_HANDSHAKE], Some(tls)) = (&first, &options.tls) {
        return direct_tls(socket, tls, options, waiting).await;
    }
    let limit = options.limits.startup_bytes;
    let mut buffer = BytesMut::new();
    // A client may ask for GSS encryption and for TLS, once each, in any order.
    for _ in 0..3 {
        let packet = match read_packet(&mut socket, &mut buffer, limit).await? {
            Ok(packet) => packet,
            Err(error) => return Ok(refused(socket, error)),
        };
        match (packet.code, &options.tls) {
            (SSL_REQUEST | GSS_REQUEST, _) if !buffer.is_empty() => {
                // Bytes that came in clear would be taken for encrypted ones: CVE-2021-23214.
                return Ok(refused(
                    socket,
                    violation("received unencrypted data after an encryption request")
                        .with_detail("this could be a client bug, or someone in between"),
                ));
            }
            (SSL_REQUEST, Some(tls)) => {
                socket.write_all(b"S").await?;
                return over_tls(socket, tls, options, waiting, false).await;
            }
            (SSL_REQUEST | GSS_REQUEST, _) => socket.write_all(b"N").await?,
            _ => {
                let clear = options.require_tls && packet.code != CANCEL_REQUEST;
                let (read, write) = socket.into_split();
                if clear {
                    return Ok(Opening::Refused(Box::new(write), tls_required()));
                }
                return Ok(greet(
                    packet,
                    (Box::new(read), Box::new(write)),
                    buffer,
                    None,
                    waiting,
                ));
            }
        }
    }
    Ok(refused(socket, violation("too many encryption requests")))
}

fn refused(socket: TcpStream, error: Error) -> Opening {
    let (_, write) = socket.into_split();
    Opening::Refused(Box::new(write), error)
}

fn tls_required() -> Error {
    Error::new(
        Kind::Denied,
        "28000",
        "this server takes encrypted connections only",
    )
    .with_hint("connect with sslmode=require")
}

async fn direct_tls(
    socket: TcpStream,
    tls: &Tls,
    options: &Options,
    waiting: &mut Waiting,
) -> io::Result<Opening> {
    over_tls(socket, tls, options, waiting, true).await
}

async fn over_tls(
    socket: TcpStream,
    tls: &Tls,
    options: &Options,
    waiting: &mut Waiting,
    direct: bool,
) -> io::Result<Opening> {
    let mut socket = Box::new(tls.acceptor().accept(socket).await?);
    if direct && socket.get_ref().1.alpn_protocol() != Some(ALPN) {
        // Without it, a browser could be made to speak to us (the ALPACA attack).
        return Ok(Opening::Closed);
    }
    let mut buffer = BytesMut::new();
    let packet = read_packet(&mut socket, &mut buffer, options.limits.startup_bytes).await?;
    let (read, write) = tokio::io::split(socket);
    match packet {
        Err(error) => Ok(Opening::Refused(Box::new(write), error)),
        Ok(packet) if matches!(packet.code, SSL_REQUEST | GSS_REQUEST) => {
            let error = violation("the connection is encrypted already");
            Ok(Opening::Refused(Box::new(write), error))
        }
        Ok(packet) => {
            let end_point = tls.end_point().map(<[u8]>::to_vec);
            Ok(greet(
                packet,
                (Box::new(read), Box::new(write)),
                buffer,
                end_point,
                waiting,
            ))
        }
    }
}

/// A packet of the time before login: it has a length and a code, no type.
struct Packet {
    code: u32,
    body: Bytes,
}

/// Reads one packet; what follows it stays in `buffer`.
async fn read_packet(
    socket: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    limit: usize,
) -> io::Result<Result<Packet>> {
    loop {
        if let Some(&header) = buffer.first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
            if length < 8 || length > limit {
                return Ok(Err(violation("invalid length of startup packet")));
            }
            if buffer.len() >= length {
                let mut body = buffer.split_to(length).freeze();
                body.advance(4);
                let code = body.get_u32();
                return Ok(Ok(Packet { code, body }));
            }
        }
        buffer.reserve(1_024);
        if socket.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn greet(
    mut packet: Packet,
    (read, write): (
        Box<dyn AsyncRead + Send + Unpin>,
        Box<dyn AsyncWrite + Send + Unpin>,
    ),
    rest: BytesMut,
    end_point: Option<Vec<u8>>,
    waiting: &mut Waiting,
) -> Opening {
    if packet.code == CANCEL_REQUEST {
        return match (packet.body.try_get_i32(), packet.body.try_get_i32()) {
            (Ok(process), Ok(secret)) if packet.body.is_empty() => {
                Opening::Cancel { process, secret }
            }
            _ => Opening::Closed,
        };
    }
    let (major, minor) = (packet.code >> 16, packet.code & 0xffff);
    if major != 3 {
        let message = format!("unsupported frontend protocol {major}.{minor}: server supports 3.0");
        return Opening::Refused(write, Error::new(Kind::Unsupported, "0A000", message));
    }
    let settings = match decode_settings(packet.body) {
        Ok(settings) => settings,
        Err(error) => return Opening::Refused(write, error),
    };
    waiting.reached(Stage::Named);
    let extensions = settings
        .iter()
        .filter(|(name, _)| name.starts_with("_pq_."));
    let extensions: Vec<String> = extensions.map(|(name, _)| name.clone()).collect();
    let unsupported = (minor > 0 || !extensions.is_empty()).then_some(extensions);
    Opening::Session(Greeting {
        read,
        write,
        rest,
        settings,
        unsupported,
        end_point,
    })
}

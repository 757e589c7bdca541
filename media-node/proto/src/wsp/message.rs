//! WSP messages. Each is one WebSocket message.
//!
//! ```text
//! request   WSP/1.1 SP command CRLF     1*(name: value CRLF)  CRLF  [payload]
//! reply     WSP/1.1 SP code SP text CRLF   (name: value CRLF) CRLF  [payload]
//! ```
//!
//! The payload is what is left of the message, whatever a `contentLength` says.

use super::ChannelId;
use bytes::{BufMut, Bytes, BytesMut};
use std::fmt;

/// Bytes of a message that are taken.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Header lines of a message.
pub const MAX_HEADERS: usize = 32;
const VERSION: &str = "WSP/1.1";
const END: &[u8] = b"\r\n\r\n";

/// What the peer sent breaks the rules; the socket is to be closed without a reply. Offsets count
/// bytes from the beginning of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("message of {length} bytes, {MAX_MESSAGE} are taken")]
    TooLong { length: usize },
    #[error("no empty line ends the headers")]
    NoEnd,
    #[error("the first line does not begin with {VERSION}")]
    Version,
    #[error("unknown command")]
    Command,
    #[error("there is no header")]
    NoHeader,
    #[error("there are more than {MAX_HEADERS} headers")]
    TooManyHeaders,
    #[error("byte {offset}: header line without a name and a colon, or with control characters")]
    HeaderLine { offset: usize },
    #[error("{0:?} is not what comes next here")]
    Unexpected(Command),
    #[error("what is wrapped is no RTSP request")]
    NotRtsp(#[source] Option<crate::rtsp::Error>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    GetInfo,
    Init,
    Wrap,
    Switch,
    Join,
}

impl Command {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "GET_INFO" => Self::GetInfo,
            "INIT" => Self::Init,
            "WRAP" => Self::Wrap,
            "SWITCH" => Self::Switch,
            "JOIN" => Self::Join,
            _ => return None,
        })
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub command: Command,
    headers: Vec<(String, String)>,
    pub payload: Bytes,
}

/// Names only: values may be a channel's number, and payloads hold URLs.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("command", &self.command)
            .field("headers", &names)
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}

impl Request {
    /// One whole message.
    pub fn parse(message: &Bytes) -> Result<Self, Error> {
        if message.len() > MAX_MESSAGE {
            return Err(Error::TooLong {
                length: message.len(),
            });
        }
        let end = message.windows(END.len()).position(|w| w == END);
        let end = end.ok_or(Error::NoEnd)?;
        let mut headers = Vec::new();
        let (first, mut rest) = split_line(&message[..end]);
        let command = parse_first(first)?;
        while let Some(lines) = rest {
            let offset = end - lines.len();
            let (line, more) = split_line(lines);
            if headers.len() == MAX_HEADERS {
                return Err(Error::TooManyHeaders);
            }
            headers.push(parse_header(line).ok_or(Error::HeaderLine { offset })?);
            rest = more;
        }
        if headers.is_empty() {
            return Err(Error::NoHeader);
        }
        Ok(Self {
            command,
            headers,
            payload: message.slice(end + END.len()..),
        })
    }

    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// What a reply has to repeat; empty if the client left it out.
    pub(super) fn seq(&self) -> &str {
        self.header("seq").unwrap_or_default()
    }
}

/// The first line without its end, and what follows if anything does.
fn split_line(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|b| *b == b'\n') {
        Some(end) => {
            let line = &text[..end];
            (line.strip_suffix(b"\r").unwrap_or(line), Some(&text[end + 1..]))
        }
        None => (text, None),
    }
}

fn parse_first(line: &[u8]) -> Result<Command, Error> {
    let line = std::str::from_utf8(line).map_err(|_| Error::Version)?;
    let command = line.strip_prefix(VERSION).ok_or(Error::Version)?;
    if !command.is_empty() && !command.starts_with(' ') {
        return Err(Error::Version);
    }
    Command::parse(command.trim()).ok_or(Error::Command)
}

/// Values are echoed, so nothing may be in them that could begin another line.
fn parse_header(line: &[u8]) -> Option<(String, String)> {
    let line = std::str::from_utf8(line).ok()?;
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return None;
    }
    let (name, value) = line.split_once(':')?;
    let (name, value) = (name.trim(), value.trim_matches([' ', '\t', '"']));
    (!name.is_empty()).then(|| (name.to_ascii_lowercase(), value.to_owned()))
}

/// The statuses that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    NotFound,
}

/// Appends a reply.
pub(super) fn write_reply(
    out: &mut BytesMut,
    status: Status,
    channel: Option<ChannelId>,
    seq: &str,
    payload: &[u8],
) {
    let status = match status {
        Status::Ok => "200 OK",
        Status::NotFound => "404 NOT FOUND",
    };
    out.reserve(96 + seq.len() + payload.len());
    out.put_slice(format!("{VERSION} {status}\r\n").as_bytes());
    if let Some(channel) = channel {
        out.put_slice(format!("channel: {channel}\r\n").as_bytes());
    }
    out.put_slice(format!("seq: {seq}\r\n\r\n").as_bytes());
    out.put_slice(payload);
}

//! RTSP messages: requests, responses and interleaved packets on one connection
//! (RFC 2326 sections 4, 6, 7, 10.12).
//!
//! ```text
//! request        METHOD SP url SP RTSP/1.0 CRLF  *(name: value CRLF)  CRLF  [body]
//! response       RTSP/1.0 SP code SP reason CRLF *(name: value CRLF)  CRLF  [body]
//! interleaved    '$'  channel (8 bits)  length (16 bits, big-endian)  packet
//! ```
//!
//! The parser is incremental and bounded; what it returns shares the receive buffer. It knows
//! nothing of what methods and headers mean.

use super::Status;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::fmt;

/// Bytes of one line, start line or header, without its end.
pub const MAX_LINE: usize = 8 * 1024;
/// Header lines of one message, those that a header goes on with included.
pub const MAX_HEADERS: usize = 100;
/// Bytes of start line and headers together.
pub const MAX_HEAD: usize = 32 * 1024;
/// Bytes of a body.
pub const MAX_BODY: usize = 64 * 1024;

/// What the peer sent can't be RTSP, or is more than we take. Offsets count bytes since the
/// connection began, so that the spot can be found in a capture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("byte {offset}: 0x{byte:02x} begins neither an RTSP message nor an interleaved packet")]
    NotRtsp { offset: u64, byte: u8 },
    #[error("byte {offset}: line is longer than {MAX_LINE} bytes")]
    LineTooLong { offset: u64 },
    #[error("byte {offset}: message has more than {MAX_HEADERS} headers")]
    TooManyHeaders { offset: u64 },
    #[error("byte {offset}: start line and headers are longer than {MAX_HEAD} bytes")]
    HeadTooLong { offset: u64 },
    #[error("byte {offset}: body of {length} bytes, {MAX_BODY} are taken")]
    BodyTooLong { offset: u64, length: u64 },
    #[error("byte {offset}: start line is neither a request nor a response")]
    StartLine { offset: u64 },
    #[error("byte {offset}: neither RTSP/1.0 nor a successor of it")]
    Version { offset: u64 },
    #[error("byte {offset}: header line without a name and a colon")]
    HeaderLine { offset: u64 },
    #[error("byte {offset}: control character in start line or headers")]
    ControlCharacter { offset: u64 },
    #[error("byte {offset}: Content-Length is no number, or there are two that differ")]
    ContentLength { offset: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    Response(Response),
    Interleaved(Interleaved),
}

/// An RTP or RTCP packet between the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interleaved {
    pub channel: u8,
    pub data: Bytes,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    method: Bytes,
    uri: Bytes,
    pub headers: Headers,
    pub body: Bytes,
}

/// A request's URI may hold a token and its headers credentials; neither is printed.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("path", &super::url::path(self.uri()))
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Request {
    /// As sent; methods are case-sensitive.
    pub fn method(&self) -> &str {
        std::str::from_utf8(&self.method).unwrap_or_default()
    }

    /// As sent: `rtsp://…`, or `*`.
    pub fn uri(&self) -> &str {
        std::str::from_utf8(&self.uri).unwrap_or_default()
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    reason: Bytes,
    pub headers: Headers,
    pub body: Bytes,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("reason", &self.reason())
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

impl Response {
    /// For people; empty if the peer sent none, or none in UTF-8.
    pub fn reason(&self) -> &str {
        std::str::from_utf8(&self.reason).unwrap_or_default()
    }
}

/// Header lines in the order sent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Bytes, Bytes)>);

/// Names only: values may be credentials.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| String::from_utf8_lossy(name)))
            .finish()
    }
}

impl Headers {
    /// The first header of this name, in any case. None if its value is not UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every header of this name, in any case.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// Name and value of every header, in the order sent, but for those that are not UTF-8.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        self.0
            .iter()
            .filter_map(move |(name, value)| Some((text(name)?, text(value)?)))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Cuts what arrives on one connection into messages.
///
/// Append to the buffer what the socket gave, then call [`Parser::parse`] until it wants more. At
/// most [`MAX_HEAD`] + [`MAX_BODY`] bytes, or one interleaved packet of 64 KiB, wait in the
/// buffer for their end.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    /// Bytes consumed since the connection began.
    offset: u64,
    /// Bytes at the front of the buffer in which the end of the head is known not to be.
    scanned: usize,
    /// Where the line that `scanned` ends in begins.
    line: usize,
    /// The message whose body has not arrived yet, and how long the body is.
    head: Option<(Message, usize)>,
}

impl Parser {
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes consumed since the connection began.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes one whole message off the front of `input`. `None`: more bytes are needed.
    ///
    /// # Errors
    /// The connection is of no use any more: there is no way to find the next message.
    pub fn parse(&mut self, input: &mut BytesMut) -> Result<Option<Message>, Error> {
        if self.head.is_none() {
            // RFC 2326 section 4.2 (by way of HTTP): empty lines before a message are skipped.
            while self.scanned == 0 && matches!(input.first(), Some(b'\r' | b'\n')) {
                input.advance(1);
                self.offset += 1;
            }
            match input.first() {
                None => return Ok(None),
                Some(b'$') => return Ok(self.interleaved(input)),
                Some(byte) if !byte.is_ascii_alphabetic() => {
                    return Err(Error::NotRtsp {
                        offset: self.offset,
                        byte: *byte,
                    });
                }
                Some(_) => {}
            }
            let Some(length) = self.head_length(input)? else {
                return Ok(None);
            };
            let head = input.split_to(length).freeze();
            self.head = Some(parse_head(&head, self.offset)?);
            self.offset += length as u64;
            (self.scanned, self.line) = (0, 0);
        }
        let Some((mut message, length)) = self.head.take() else {
            return Ok(None);
        };
        if input.len() < length {
            self.head = Some((message, length));
            return Ok(None);
        }
        let content = input.split_to(length).freeze();
        self.offset += length as u64;
        match &mut message {
            Message::Request(Request { body, .. }) | Message::Response(Response { body, .. }) => {
                *body = content;
            }
            Message::Interleaved(_) => {}
        }
        Ok(Some(message))
    }

    fn interleaved(&mut self, input: &mut BytesMut) -> Option<Message> {
        let prefix = input.first_chunk::<4>()?;
        let channel = prefix[1];
        let length = 4 + usize::from(u16::from_be_bytes([prefix[2], prefix[3]]));
        if input.len() < length {
            return None;
        }
        let mut data = input.split_to(length).freeze();
        data.advance(4);
        self.offset += length as u64;
        Some(Message::Interleaved(Interleaved { channel, data }))
    }

    /// Bytes up to and with the empty line. Looks at each byte once, however they trickle in.
    fn head_length(&mut self, input: &[u8]) -> Result<Option<usize>, Error> {
        while let Some(end) = input[self.scanned..].iter().position(|b| *b == b'\n') {
            let end = self.scanned + end;
            let line = input[self.line..end]
                .strip_suffix(b"\r")
                .unwrap_or(&input[self.line..end]);
            if line.len() > MAX_LINE {
                return Err(Error::LineTooLong {
                    offset: self.offset + self.line as u64,
                });
            }
            if end >= MAX_HEAD {
                return Err(Error::HeadTooLong {
                    offset: self.offset + self.line as u64,
                });
            }
            let empty = line.is_empty();
            (self.scanned, self.line) = (end + 1, end + 1);
            if empty {
                return Ok(Some(end + 1));
            }
        }
        self.scanned = input.len();
        // One more than the line, for a CR whose LF is still to come.
        if input.len() - self.line > MAX_LINE + 1 {
            return Err(Error::LineTooLong {
                offset: self.offset + self.line as u64,
            });
        }
        if input.len() > MAX_HEAD {
            return Err(Error::HeadTooLong {
                offset: self.offset + self.line as u64,
            });
        }
        Ok(None)
    }
}

/// A whole head into a message without body, and the length of the body.
fn parse_head(head: &Bytes, offset: u64) -> Result<(Message, usize), Error> {
    let mut start_line = None;
    let mut headers = Headers::default();
    let mut start = 0;
    let mut content_length: Option<u64> = None;
    let mut lines = 0;
    for line in head.split(|b| *b == b'\n') {
        let line_offset = offset + start as u64;
        let at = start;
        start += line.len() + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        if let Some(control) = line.iter().position(|b| b.is_ascii_control() && *b != b'\t') {
            return Err(Error::ControlCharacter {
                offset: line_offset + control as u64,
            });
        }
        let line = head.slice(at..at + line.len());
        if start_line.is_none() {
            start_line = Some(parse_start_line(&line, line_offset)?);
            continue;
        }
        if lines == MAX_HEADERS {
            return Err(Error::TooManyHeaders { offset: line_offset });
        }
        lines += 1;
        if matches!(line[0], b' ' | b'\t') {
            // A folded header (RFC 2326 section 4.2): this line goes on with the value above.
            let Some((_, value)) = headers.0.last_mut() else {
                return Err(Error::HeaderLine { offset: line_offset });
            };
            let more = line.trim_ascii();
            if value.is_empty() {
                *value = line.slice_ref(more);
            } else if !more.is_empty() {
                *value = [value, &b" "[..], more].concat().into();
            }
            continue;
        }
        let colon = line.iter().position(|b| *b == b':').filter(|colon| *colon > 0);
        let Some(colon) = colon else {
            return Err(Error::HeaderLine { offset: line_offset });
        };
        let name = line.slice_ref(line[..colon].trim_ascii_end());
        let value = line.slice_ref(line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = decimal(&value).filter(|length| content_length.is_none_or(|other| other == *length));
            let Some(length) = length else {
                return Err(Error::ContentLength { offset: line_offset });
            };
            content_length = Some(length);
            if length > MAX_BODY as u64 {
                return Err(Error::BodyTooLong {
                    offset: line_offset,
                    length,
                });
            }
        }
        headers.0.push((name, value));
    }
    let mut message = start_line.ok_or(Error::StartLine { offset })?;
    match &mut message {
        Message::Request(Request { headers: h, .. }) | Message::Response(Response { headers: h, .. }) => {
            *h = headers;
        }
        Message::Interleaved(_) => {}
    }
    Ok((message, content_length.unwrap_or(0) as usize))
}

fn parse_start_line(line: &Bytes, offset: u64) -> Result<Message, Error> {
    let refused = Error::StartLine { offset };
    let mut parts = line.splitn(3, |b| *b == b' ');
    let (Some(first), Some(second), third) = (parts.next(), parts.next(), parts.next().unwrap_or_default())
    else {
        return Err(refused);
    };
    if first.starts_with(b"RTSP/") {
        if !first.starts_with(b"RTSP/1.") {
            return Err(Error::Version { offset });
        }
        let status = decimal(second)
            .filter(|code| (100..1000).contains(code))
            .ok_or(refused)?;
        let reason = line.slice_ref(third.trim_ascii());
        let (headers, body) = (Headers::default(), Bytes::new());
        return Ok(Message::Response(Response {
            status: status as u16,
            reason,
            headers,
            body,
        }));
    }
    let version = third.trim_ascii();
    if first.is_empty() || second.is_empty() || version.contains(&b' ') {
        return Err(refused);
    }
    if !version.starts_with(b"RTSP/1.") {
        return Err(Error::Version { offset });
    }
    if !first.iter().all(|b| is_of_token(*b)) || std::str::from_utf8(second).is_err() {
        return Err(refused);
    }
    let (method, uri) = (line.slice_ref(first), line.slice_ref(second));
    Ok(Message::Request(Request {
        method,
        uri,
        headers: Headers::default(),
        body: Bytes::new(),
    }))
}

/// What methods may be made of (RFC 2326 section 15.1); one that we don't know is answered so.
const fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || (byte.is_ascii_punctuation()
            && !matches!(
                byte,
                b'(' | b')'
                    | b'<'
                    | b'>'
                    | b'@'
                    | b','
                    | b';'
                    | b':'
                    | b'\\'
                    | b'"'
                    | b'/'
                    | b'['
                    | b']'
                    | b'?'
                    | b'='
                    | b'{'
                    | b'}'
            ))
}

/// Digits only: no sign, no blanks within, at most nineteen.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Appends a response. Headers are sorted by name; a Content-Length is added if there is a body.
/// Line ends inside reason or values, which would begin a new header, become blanks.
pub fn write_response(
    out: &mut BytesMut,
    status: Status,
    reason: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) {
    write_status(out, status.code(), reason, headers, body);
}

/// Appends a response of a status that may be none of ours, likewise.
pub fn write_status(out: &mut BytesMut, status: u16, reason: &str, headers: &[(&str, &str)], body: &[u8]) {
    write_message(
        out,
        &["RTSP/1.0 ", &status.to_string(), " ", reason],
        headers,
        body,
    );
}

/// Appends a request, likewise. `uri` has no blanks.
pub fn write_request(out: &mut BytesMut, method: &str, uri: &str, headers: &[(&str, &str)], body: &[u8]) {
    write_message(out, &[method, " ", uri, " RTSP/1.0"], headers, body);
}

fn write_message(out: &mut BytesMut, start_line: &[&str], headers: &[(&str, &str)], body: &[u8]) {
    let content_length = body.len().to_string();
    let mut headers = headers.to_vec();
    if !body.is_empty() {
        headers.push(("Content-Length", &content_length));
    }
    headers.sort_by_key(|(name, _)| *name);
    let start_length: usize = start_line.iter().map(|part| part.len()).sum();
    let length: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len() + 4)
        .sum();
    out.reserve(64 + start_length + length + body.len());
    for part in start_line {
        put_text(out, part);
    }
    out.put_slice(b"\r\n");
    for (name, value) in headers {
        put_text(out, name);
        out.put_slice(b": ");
        put_text(out, value);
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"\r\n");
    out.put_slice(body);
}

fn put_text(out: &mut BytesMut, text: &str) {
    if text.bytes().any(|b| b.is_ascii_control()) {
        out.extend(text.bytes().map(|b| if b.is_ascii_control() { b' ' } else { b }));
    } else {
        out.put_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests;

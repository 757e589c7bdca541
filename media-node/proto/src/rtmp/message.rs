//! Types of messages, those that keep the protocol going, and commands (sections 5.4, 6, 7).

use super::amf0::{self, Value};
use super::chunk::{self, Header, Message};
use bytes::BytesMut;
use std::fmt;

/// Message types (`message type id`).
pub mod kind {
    pub const SET_CHUNK_SIZE: u8 = 1;
    pub const ABORT: u8 = 2;
    pub const ACKNOWLEDGEMENT: u8 = 3;
    pub const USER_CONTROL: u8 = 4;
    pub const WINDOW_ACKNOWLEDGEMENT_SIZE: u8 = 5;
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    pub const AUDIO: u8 = 8;
    pub const VIDEO: u8 = 9;
    /// Data and commands marked as AMF 3 begin with a zero byte, and are AMF 0 from there on.
    pub const DATA_AMF3: u8 = 15;
    pub const COMMAND_AMF3: u8 = 17;
    pub const DATA: u8 = 18;
    pub const COMMAND: u8 = 20;
    pub const AGGREGATE: u8 = 22;
}

/// Chunk streams that we write to; others may choose others.
pub mod chunk_stream {
    /// Set by the specification.
    pub const CONTROL: u32 = 2;
    pub const COMMAND: u32 = 3;
    pub const AUDIO: u32 = 4;
    pub const DATA: u32 = 5;
    pub const VIDEO: u32 = 6;
}

/// Event types of user control messages (section 6.2).
pub mod user_control {
    pub const STREAM_BEGIN: u16 = 0;
    pub const STREAM_EOF: u16 = 1;
    pub const SET_BUFFER_LENGTH: u16 = 3;
    pub const PING_REQUEST: u16 = 6;
    pub const PING_RESPONSE: u16 = 7;
}

/// Why a message is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the message does not begin with a name and a transaction id")]
    NoName,
    #[error("marked as AMF 3, but does not begin with 0")]
    Amf3,
    #[error("the values can't be read")]
    Values(#[from] amf0::Error),
}

/// A command, or the answer to one: `_result`, `_error`.
#[derive(Clone, PartialEq)]
pub struct Command {
    pub name: String,
    /// 0 if no answer is wanted.
    pub transaction: f64,
    /// The command object, which is null in most, and what follows it.
    pub arguments: Vec<Value>,
}

/// The name only: arguments may be credentials.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("name", &self.name)
            .field("transaction", &self.transaction)
            .field("arguments", &self.arguments.len())
            .finish()
    }
}

impl Command {
    pub fn new<const N: usize>(name: &str, transaction: f64, arguments: [Value; N]) -> Self {
        Self {
            name: name.to_owned(),
            transaction,
            arguments: arguments.into(),
        }
    }

    /// Of a message of type [`kind::COMMAND`] or [`kind::COMMAND_AMF3`].
    pub fn parse(message: &Message) -> Result<Self, Error> {
        let mut values = parse_values(message)?.into_iter();
        let (name, transaction) = match (values.next(), values.next()) {
            (Some(Value::String(name)), Some(Value::Number(transaction))) => (name, transaction),
            // ffmpeg 5.1 as a server (`-listen`) sends a bare `onFCPublish`, against section 7.1.1.
            (Some(Value::String(name)), None) => (name, 0.0),
            _ => return Err(Error::NoName),
        };
        Ok(Self {
            name,
            transaction,
            arguments: values.collect(),
        })
    }

    pub fn argument(&self, index: usize) -> Option<&Value> {
        self.arguments.get(index)
    }

    /// Appends the command as a message on `message_stream`, in our chunks.
    pub fn write(&self, message_stream: u32, out: &mut BytesMut) {
        self.write_in(chunk::BYTES, message_stream, out);
    }

    /// The same in chunks of `chunk_bytes`, for a peer that was not told of ours yet.
    pub fn write_in(&self, chunk_bytes: usize, message_stream: u32, out: &mut BytesMut) {
        let mut body = BytesMut::with_capacity(256);
        Value::from(self.name.as_str()).write(&mut body);
        Value::from(self.transaction).write(&mut body);
        for argument in &self.arguments {
            argument.write(&mut body);
        }
        let header = Header {
            chunk_stream: chunk_stream::COMMAND,
            timestamp_ms: 0,
            kind: kind::COMMAND,
            message_stream,
        };
        chunk::write(&header, &body, chunk_bytes, out);
    }
}

/// The values of a command or data message.
pub fn parse_values(message: &Message) -> Result<Vec<Value>, Error> {
    let values = match (message.header.kind, &message.body[..]) {
        (kind::COMMAND_AMF3 | kind::DATA_AMF3, [0, values @ ..]) => values,
        (kind::COMMAND_AMF3 | kind::DATA_AMF3, _) => return Err(Error::Amf3),
        (_, values) => values,
    };
    Ok(amf0::parse(values)?)
}

/// Appends Set Chunk Size; what is written before it must fit [`chunk::DEFAULT_BYTES`].
pub fn set_chunk_size(bytes: usize, out: &mut BytesMut) {
    control(kind::SET_CHUNK_SIZE, &(bytes as u32).to_be_bytes(), out);
}

/// Appends Acknowledgement: how many bytes have come, modulo 2^32.
pub fn acknowledgement(bytes: u64, out: &mut BytesMut) {
    control(kind::ACKNOWLEDGEMENT, &(bytes as u32).to_be_bytes(), out);
}

/// Appends Window Acknowledgement Size: we want to be acknowledged that often.
pub fn window_acknowledgement_size(bytes: u32, out: &mut BytesMut) {
    control(kind::WINDOW_ACKNOWLEDGEMENT_SIZE, &bytes.to_be_bytes(), out);
}

/// Appends Set Peer Bandwidth, with the dynamic limit type: as many bytes may be on their way.
pub fn set_peer_bandwidth(bytes: u32, out: &mut BytesMut) {
    let [a, b, c, d] = bytes.to_be_bytes();
    control(kind::SET_PEER_BANDWIDTH, &[a, b, c, d, 2], out);
}

/// Appends a user control message with one number, such as a message stream's id or a time.
pub fn user_control(event: u16, number: u32, out: &mut BytesMut) {
    let mut body = [0; 6];
    body[..2].copy_from_slice(&event.to_be_bytes());
    body[2..].copy_from_slice(&number.to_be_bytes());
    control(kind::USER_CONTROL, &body, out);
}

/// Appends Set Buffer Length, for a player.
pub fn set_buffer_length(message_stream: u32, length_ms: u32, out: &mut BytesMut) {
    let mut body = [0; 10];
    body[..2].copy_from_slice(&user_control::SET_BUFFER_LENGTH.to_be_bytes());
    body[2..6].copy_from_slice(&message_stream.to_be_bytes());
    body[6..].copy_from_slice(&length_ms.to_be_bytes());
    control(kind::USER_CONTROL, &body, out);
}

/// These are shorter than any chunk.
fn control(kind: u8, body: &[u8], out: &mut BytesMut) {
    let header = Header {
        chunk_stream: chunk_stream::CONTROL,
        timestamp_ms: 0,
        kind,
        message_stream: 0,
    };
    chunk::write(&header, body, chunk::BYTES, out);
}

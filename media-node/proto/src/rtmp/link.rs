//! What both sides of a session have in common: messages in, those that keep the protocol going
//! answered, and the rest sorted.

use super::Error;
use super::aggregate::Aggregate;
use super::amf0::Value;
use super::chunk::{self, Message, Reader};
use super::message::{self, Command, kind, user_control};
use crate::flv::{Tag, TagKind};
use bytes::BytesMut;

/// How often we ask to be acknowledged. Nothing of ours waits for it.
const WINDOW_BYTES: u32 = 2_500_000;
/// A peer that asks to be acknowledged more often is not.
const MIN_WINDOW_BYTES: u32 = 4096;

/// The connection after the handshake.
#[derive(Debug)]
pub(super) struct Link {
    reader: Reader,
    /// Whether the peer knows our chunk size.
    greeted: bool,
    /// The peer's Window Acknowledgement Size.
    window_bytes: Option<u32>,
    /// Where the last acknowledgement was sent.
    acknowledged: u64,
    /// What is being taken apart.
    aggregate: Option<Aggregate>,
}

/// What a session has to see.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Incoming {
    Command(Command),
    /// Audio or video.
    Media(Tag),
    /// Metadata, without what commands a server to store it.
    Metadata(Value),
    /// Another data message: its name and what follows.
    Data(String, Vec<Value>),
    /// The peer's stream is at its end.
    StreamEof,
}

impl Link {
    /// `offset` is that of the first chunk in the connection.
    pub(super) const fn new(offset: u64) -> Self {
        Self {
            reader: Reader::new(offset),
            greeted: false,
            window_bytes: None,
            acknowledged: 0,
            aggregate: None,
        }
    }

    /// From now on, long messages are taken.
    pub(super) const fn expect_media(&mut self) {
        self.reader.set_limit(chunk::MAX_MEDIA_BYTES);
    }

    /// Tells our chunk size and windows, once; goes before anything else.
    pub(super) fn greet(&mut self, out: &mut BytesMut) {
        if !self.greeted {
            self.greeted = true;
            message::window_acknowledgement_size(WINDOW_BYTES, out);
            message::set_chunk_size(chunk::BYTES, out);
        }
    }

    /// The next of what a session has to see; none until there is more input.
    pub(super) fn read(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Result<Option<Incoming>, Error> {
        loop {
            if let Some(tag) = self.aggregate.as_mut().and_then(Iterator::next) {
                match tag.kind {
                    TagKind::Audio | TagKind::Video => return Ok(Some(Incoming::Media(tag))),
                    TagKind::Script => continue,
                }
            }
            self.aggregate = None;
            let message = self.reader.read(input)?;
            self.acknowledge(out);
            let Some(message) = message else {
                return Ok(None);
            };
            if let Some(incoming) = self.sort(message, out)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// Answers what needs no session.
    fn sort(&mut self, message: Message, out: &mut BytesMut) -> Result<Option<Incoming>, Error> {
        let timestamp_ms = message.header.timestamp_ms;
        let tag = |kind, body| Tag {
            kind,
            timestamp_ms,
            body,
        };
        Ok(match message.header.kind {
            kind::AUDIO => Some(Incoming::Media(tag(TagKind::Audio, message.body))),
            kind::VIDEO => Some(Incoming::Media(tag(TagKind::Video, message.body))),
            kind::AGGREGATE => {
                self.aggregate = Some(Aggregate::new(timestamp_ms, message.body));
                None
            }
            kind::COMMAND | kind::COMMAND_AMF3 => {
                let command = Command::parse(&message).map_err(|source| Error::Command {
                    offset: self.reader.offset(),
                    source,
                })?;
                Some(Incoming::Command(command))
            }
            kind::DATA | kind::DATA_AMF3 => data(&message),
            kind::WINDOW_ACKNOWLEDGEMENT_SIZE => {
                self.window_bytes = first_u32(&message.body);
                None
            }
            kind::SET_PEER_BANDWIDTH => {
                if let Some(bytes) = first_u32(&message.body) {
                    message::window_acknowledgement_size(bytes, out);
                }
                None
            }
            kind::USER_CONTROL => {
                let event = message.body.first_chunk::<2>().copied().map(u16::from_be_bytes);
                let number = message.body.get(2..).and_then(first_u32);
                match (event, number) {
                    (Some(user_control::PING_REQUEST), Some(time)) => {
                        self.greet(out);
                        message::user_control(user_control::PING_RESPONSE, time, out);
                        None
                    }
                    (Some(user_control::STREAM_EOF), _) => Some(Incoming::StreamEof),
                    _ => None,
                }
            }
            // Acknowledgements: what a peer has not taken yet, the driver sees at the socket.
            _ => None,
        })
    }

    /// Section 5.4.3.
    fn acknowledge(&mut self, out: &mut BytesMut) {
        let received = self.reader.offset();
        if let Some(window) = self.window_bytes
            && received - self.acknowledged >= u64::from(window.max(MIN_WINDOW_BYTES))
        {
            self.acknowledged = received;
            message::acknowledgement(received, out);
        }
    }
}

/// Those that can't be read are left out: nothing depends on them.
fn data(message: &Message) -> Option<Incoming> {
    let values = match message::parse_values(message) {
        Ok(values) => values,
        Err(error) => {
            tracing::trace!(%error, "data message left out");
            return None;
        }
    };
    let mut values = values.into_iter();
    let mut name = values.next()?;
    if name.as_str() == Some("@setDataFrame") {
        name = values.next()?;
    }
    match (name, values.next()) {
        (Value::String(name), Some(metadata)) if name == "onMetaData" => Some(Incoming::Metadata(metadata)),
        (Value::String(name), first) => Some(Incoming::Data(name, first.into_iter().chain(values).collect())),
        _ => None,
    }
}

fn first_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().copied().map(u32::from_be_bytes)
}

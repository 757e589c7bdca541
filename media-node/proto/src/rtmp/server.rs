//! One RTMP session, as a server sees it: which command is allowed when, and what to answer.
//!
//! A session is one connection's. The driver owns the socket: it passes what it reads to
//! [`Session::handle_input`] until that wants more, does what the returned [`Event`]s ask for, and
//! writes what is in the output buffer.
//!
//! ```text
//! bytes -> handshake, connect, createStream          answered here
//!          publish -> Event::Publish -> accept -> Event::Media ... Event::Closed
//!          play    -> Event::Play    -> accept -> what Muxer writes, from the driver
//!                                    \ refuse
//! ```
//!
//! | state, named by what comes next | allowed besides connection-wide calls |
//! |---|---|
//! | connect | connect |
//! | `createStream` | createStream |
//! | request | publish, play; createStream again |
//! | answer, by the driver | nothing is read |
//! | publishing, playing | closeStream, deleteStream, `FCUnpublish`; pause when playing |
//!
//! Everything else is an error, which the client is told; the session goes on. There is one message
//! stream for each connection, and it has the number [`STREAM`]. Rights, streams, sockets and
//! time-outs are the driver's.

mod event;

pub use event::{Event, Refusal, Request};

use super::amf0::Value;
use super::handshake::{self, RANDOM_BYTES};
use super::link::{Incoming, Link};
use super::message::{self, Command, user_control};
use super::{Error, url};
use crate::Redacted;
use bytes::BytesMut;

/// The message stream of every session, so that messages can be shared.
pub const STREAM: u32 = 1;
/// What comes before the first chunk: C0, C1, C2.
const HANDSHAKE_BYTES: u64 = 1 + 2 * 1536;
/// What we may have on its way to the client; clients don't look at it.
const PEER_BANDWIDTH_BYTES: u32 = 2_500_000;
/// Clients tell servers apart by it, and take this one for able to do all that we can.
const FMS_VER: &str = "FMS/3,0,1,123";
/// Characters of an encoder's name that are kept.
const MAX_ENCODER: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    ExpectConnect,
    ExpectCreateStream,
    ExpectRequest,
    ExpectAnswer(Purpose),
    Publishing,
    Playing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Publish,
    Play,
}

/// The state machine of one session.
#[derive(Debug)]
pub struct Session {
    handshake: handshake::Server,
    link: Link,
    state: State,
    app: Redacted<String>,
    tc_url: Redacted<String>,
    encoder: String,
    takes_hvc1: bool,
    /// The client called `FCPublish`, and expects to be called back.
    fc_publish: bool,
}

impl Session {
    /// The random bytes are for the handshake, and need not be secret.
    pub fn new(random: &[u8; RANDOM_BYTES]) -> Self {
        Self {
            handshake: handshake::Server::new(random),
            link: Link::new(HANDSHAKE_BYTES),
            state: State::ExpectConnect,
            app: Redacted::default(),
            tc_url: Redacted::default(),
            encoder: String::new(),
            takes_hvc1: false,
            fc_publish: false,
        }
    }

    pub fn is_publishing(&self) -> bool {
        self.state == State::Publishing
    }

    pub fn is_playing(&self) -> bool {
        self.state == State::Playing
    }

    /// Takes from `input` what belongs to the next event, and answers what needs no driver. None:
    /// more bytes are needed, and less than a handshake's packet is left; or an event waits for its
    /// answer, and `input` is left alone: read no more from the socket than you want to hold.
    ///
    /// # Errors
    /// The connection can't be read any further; what is in `out` may still be written.
    pub fn handle_input(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Option<Event>, Error> {
        if !self.handshake.read(input, out)? {
            return Ok(None);
        }
        while !matches!(self.state, State::ExpectAnswer(_)) {
            let Some(incoming) = self.link.read(input, out)? else {
                return Ok(None);
            };
            let event = match incoming {
                Incoming::Command(command) => self.command(&command, out),
                Incoming::Media(tag) => self.is_publishing().then_some(Event::Media(tag)),
                Incoming::Metadata(metadata) => self.is_publishing().then_some(Event::Metadata(metadata)),
                Incoming::Data(..) | Incoming::StreamEof => None,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// Answers [`Event::Publish`] or [`Event::Play`]. Media may flow as soon as the answer has been
    /// written.
    pub fn accept(&mut self, out: &mut BytesMut) {
        let State::ExpectAnswer(purpose) = self.state else {
            return;
        };
        match purpose {
            Purpose::Publish => {
                if self.fc_publish {
                    let information = status("status", "NetStream.Publish.Start", "publishing");
                    Command::new("onFCPublish", 0.0, [Value::Null, information]).write(0, out);
                }
                message::user_control(user_control::STREAM_BEGIN, STREAM, out);
                on_status("status", "NetStream.Publish.Start", "publishing", out);
                self.link.expect_media();
                self.state = State::Publishing;
            }
            Purpose::Play => {
                message::user_control(user_control::STREAM_BEGIN, STREAM, out);
                on_status("status", "NetStream.Play.Reset", "playing from the start", out);
                on_status("status", "NetStream.Play.Start", "playing", out);
                self.state = State::Playing;
            }
        }
    }

    /// Answers [`Event::Publish`] or [`Event::Play`] with an error. The client may try again, or the
    /// driver end the connection when the answer has been written: not every client does by itself.
    pub fn refuse(&mut self, refusal: Refusal, out: &mut BytesMut) {
        let State::ExpectAnswer(purpose) = self.state else {
            return;
        };
        let code = match purpose {
            Purpose::Publish => refusal.publish_code(),
            Purpose::Play => refusal.play_code(),
        };
        on_status("error", code, refusal.description(), out);
        self.state = State::ExpectRequest;
    }

    /// Says good-bye to who plays or publishes, before the driver ends the connection.
    pub fn end(&mut self, out: &mut BytesMut) {
        match self.state {
            State::Publishing => {
                on_status(
                    "status",
                    "NetStream.Unpublish.Success",
                    "ended by the server",
                    out,
                );
            }
            State::Playing => {
                message::user_control(user_control::STREAM_EOF, STREAM, out);
                on_status(
                    "status",
                    "NetStream.Play.UnpublishNotify",
                    "the stream has ended",
                    out,
                );
                on_status("status", "NetStream.Play.Stop", "the stream has ended", out);
            }
            _ => return,
        }
        self.state = State::ExpectRequest;
    }

    fn command(&mut self, command: &Command, out: &mut BytesMut) -> Option<Event> {
        self.link.greet(out);
        match (self.state, command.name.as_str()) {
            (State::ExpectConnect, "connect") => self.connect(command, out),
            (State::ExpectConnect, name) if !matches!(name, "publish" | "play") => {
                fail(command, "connect goes first", out);
            }
            (_, "connect") => fail(command, "connected already", out),
            (State::ExpectCreateStream | State::ExpectRequest, "createStream") => {
                self.state = State::ExpectRequest;
                result(command, Some(f64::from(STREAM).into()), out);
            }
            (_, "createStream") => fail(command, "there is one stream for each connection", out),
            (State::ExpectRequest, "publish") => return Some(self.request(Purpose::Publish, command)),
            (State::ExpectRequest, "play") => return Some(self.request(Purpose::Play, command)),
            (_, "publish") => on_status("error", "NetStream.Publish.BadName", self.why_not_now(), out),
            (_, "play") => on_status("error", "NetStream.Play.Failed", self.why_not_now(), out),
            (State::Playing, "pause") => {
                let paused = command.argument(1).and_then(Value::as_bool).unwrap_or(true);
                let code = if paused {
                    "NetStream.Pause.Notify"
                } else {
                    "NetStream.Unpause.Notify"
                };
                on_status("status", code, "as you wish", out);
                return Some(Event::Pause(paused));
            }
            (_, "seek") => on_status("error", "NetStream.Seek.Failed", "the stream is live", out),
            (_, "closeStream" | "deleteStream" | "FCUnpublish") => return self.close(command, out),
            (_, "FCPublish") => {
                self.fc_publish = true;
                result(command, None, out);
            }
            // 0 for a stream without an end.
            (_, "getStreamLength") => result(command, Some(0.0.into()), out),
            (_, "releaseStream" | "FCSubscribe" | "FCUnsubscribe" | "_checkbw") => {
                result(command, None, out);
            }
            (_, "receiveAudio" | "receiveVideo" | "_result" | "_error" | "onStatus") => {}
            _ => fail(command, "no such call", out),
        }
        None
    }

    fn connect(&mut self, command: &Command, out: &mut BytesMut) {
        let object = command.argument(0);
        let property = |name| object.and_then(|object| object.property(name));
        let text = |name| property(name).and_then(Value::as_str).unwrap_or_default();
        self.app = text("app").to_owned().into();
        self.tc_url = text("tcUrl").to_owned().into();
        let encoder = text("flashVer").chars().filter(|c| !c.is_control());
        self.encoder = encoder.take(MAX_ENCODER).collect();
        // A list in v1, a map from v2 on.
        let list = match property("fourCcList") {
            Some(Value::StrictArray(codes)) => &codes[..],
            _ => &[],
        };
        let listed = list.iter().filter_map(Value::as_str);
        let map = property("videoFourCcInfoMap").and_then(Value::properties);
        let mapped = map.into_iter().flatten().map(|(code, _)| code.as_str());
        self.takes_hvc1 = listed.chain(mapped).any(|code| code == "hvc1" || code == "*");
        let enhanced = !list.is_empty() || map.is_some();

        message::set_peer_bandwidth(PEER_BANDWIDTH_BYTES, out);
        let properties = Value::object([("fmsVer", FMS_VER.into()), ("capabilities", 31.0.into())]);
        let mut information = vec![
            ("level".to_owned(), "status".into()),
            ("code".to_owned(), "NetConnection.Connect.Success".into()),
            ("description".to_owned(), "connected".into()),
            ("objectEncoding".to_owned(), 0.0.into()),
        ];
        if enhanced {
            let codes = ["hvc1", "avc1", "mp4a"].map(Value::from);
            information.push(("fourCcList".to_owned(), Value::StrictArray(codes.into())));
        }
        let arguments = [properties, Value::Object(information)];
        Command::new("_result", command.transaction, arguments).write(0, out);
        self.state = State::ExpectCreateStream;
    }

    fn request(&mut self, purpose: Purpose, command: &Command) -> Event {
        let name = command.argument(1).and_then(Value::as_str).unwrap_or_default();
        let (path, query) = url::stream(self.app.reveal(), self.tc_url.reveal(), name);
        let request = Request {
            path,
            query,
            encoder: self.encoder.clone(),
            takes_hvc1: self.takes_hvc1,
        };
        self.state = State::ExpectAnswer(purpose);
        match purpose {
            Purpose::Publish => Event::Publish(request),
            Purpose::Play => Event::Play(request),
        }
    }

    const fn why_not_now(&self) -> &'static str {
        match self.state {
            State::Publishing => "publishing already",
            State::Playing => "playing already",
            State::ExpectConnect => "connect goes first",
            _ => "createStream goes first",
        }
    }

    /// ffmpeg and OBS send two or three of these one after the other; the first counts.
    fn close(&mut self, command: &Command, out: &mut BytesMut) -> Option<Event> {
        let was = self.state;
        if matches!(was, State::Publishing | State::Playing) {
            self.state = State::ExpectRequest;
        }
        match was {
            State::Publishing => on_status("status", "NetStream.Unpublish.Success", "ended", out),
            State::Playing => on_status("status", "NetStream.Play.Stop", "ended", out),
            _ => {}
        }
        if command.name == "FCUnpublish" {
            result(command, None, out);
        }
        (was != self.state).then_some(Event::Closed)
    }
}

fn status(level: &str, code: &str, description: &str) -> Value {
    Value::object([
        ("level", level.into()),
        ("code", code.into()),
        ("description", description.into()),
    ])
}

fn on_status(level: &str, code: &str, description: &str, out: &mut BytesMut) {
    let arguments = [Value::Null, status(level, code, description)];
    Command::new("onStatus", 0.0, arguments).write(STREAM, out);
}

/// Answers a call, if an answer is wanted.
fn result(command: &Command, value: Option<Value>, out: &mut BytesMut) {
    if command.transaction != 0.0 {
        let arguments = [Value::Null, value.unwrap_or(Value::Undefined)];
        Command::new("_result", command.transaction, arguments).write(0, out);
    }
}

fn fail(command: &Command, description: &str, out: &mut BytesMut) {
    if command.transaction != 0.0 {
        let information = status("error", "NetConnection.Call.Failed", description);
        let arguments = [Value::Null, information];
        Command::new("_error", command.transaction, arguments).write(0, out);
    }
}

#[cfg(test)]
mod tests;

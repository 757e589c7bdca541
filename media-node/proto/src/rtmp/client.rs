//! One RTMP session, as a client sees it: to pull a stream from a server, or to push one there.
//!
//! The driver connects to where [`Url`] says, calls [`Session::handle_input`] once without input,
//! which begins, and then with what it reads.
//!
//! ```text
//! pull    handshake, connect, createStream, play      Event::Playing, Event::Media ... Event::Ended
//! push    handshake, connect, releaseStream, FCPublish, createStream, publish
//!                                                     Event::Publishing, then what Muxer writes
//! ```
//! Adobe's way to log in by challenge and response (`authmod`) is not spoken; tokens and keys are
//! part of the URL. Redirects are not followed.

mod event;

pub use event::{Error, Event, Purpose};

use super::amf0::Value;
use super::chunk;
use super::handshake::{self, RANDOM_BYTES};
use super::link::{Incoming, Link};
use super::message::{self, Command};
use super::url::Url;
use bytes::BytesMut;

/// What comes before the first chunk: S0, S1, S2.
const HANDSHAKE_BYTES: u64 = 1 + 2 * 1536;
/// Transactions, one for each call that is answered.
const CONNECT: f64 = 1.0;
const RELEASE_STREAM: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE_STREAM: f64 = 4.0;
const PUBLISH_OR_PLAY: f64 = 5.0;
const FC_UNPUBLISH: f64 = 6.0;
const DELETE_STREAM: f64 = 7.0;
/// How much a server should send in advance.
const BUFFER_LENGTH_MS: u32 = 3000;
/// Live, or recorded if it is not (section 7.2.2.1); in ms, as Flash Player does.
const START_ANY: f64 = -2000.0;
/// Characters of what a server says that are kept.
const MAX_TEXT: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Handshake,
    ExpectConnected,
    ExpectStream,
    ExpectStarted,
    Started,
    Ended,
}

/// The state machine of one session.
#[derive(Debug)]
pub struct Session {
    handshake: handshake::Client,
    link: Link,
    state: State,
    purpose: Purpose,
    url: Url,
    /// As the server numbers it.
    message_stream: u32,
    takes_hvc1: bool,
}

impl Session {
    /// The random bytes are for the handshake, and need not be secret.
    pub fn new(purpose: Purpose, url: Url, random: &[u8; RANDOM_BYTES]) -> Self {
        Self {
            handshake: handshake::Client::new(random),
            link: Link::new(HANDSHAKE_BYTES),
            state: State::Handshake,
            purpose,
            url,
            message_stream: 0,
            takes_hvc1: false,
        }
    }

    /// Takes from `input` what belongs to the next event, and answers it. None: more bytes are
    /// needed.
    ///
    /// # Errors
    /// The session is over.
    pub fn handle_input(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Option<Event>, Error> {
        if self.state == State::Handshake {
            if !self.handshake.read(input, out).map_err(super::Error::from)? {
                return Ok(None);
            }
            self.connect(out);
            self.state = State::ExpectConnected;
        }
        while let Some(incoming) = self.link.read(input, out)? {
            let event = match incoming {
                Incoming::Command(command) => self.command(&command, out)?,
                Incoming::Media(tag) => self.pulls().then_some(Event::Media(tag)),
                Incoming::Metadata(metadata) => self.pulls().then_some(Event::Metadata(metadata)),
                Incoming::Data(name, values) if name == "onPlayStatus" => {
                    let code = values.first().map(code).unwrap_or_default();
                    self.pulls().then(|| self.ended(code)).flatten()
                }
                Incoming::Data(..) => None,
                Incoming::StreamEof => self.pulls().then(|| self.end()).flatten(),
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// Says good-bye, before the driver ends the connection.
    pub fn finish(&mut self, out: &mut BytesMut) {
        if !matches!(self.state, State::ExpectStarted | State::Started) {
            return;
        }
        if self.purpose == Purpose::Push {
            let arguments = [Value::Null, self.url.name().into()];
            Command::new("FCUnpublish", FC_UNPUBLISH, arguments).write(0, out);
        }
        let arguments = [Value::Null, f64::from(self.message_stream).into()];
        Command::new("deleteStream", DELETE_STREAM, arguments).write(0, out);
        self.state = State::Ended;
    }

    /// Whether media is expected. Some servers send it before they say that it starts.
    fn pulls(&self) -> bool {
        self.purpose == Purpose::Pull && matches!(self.state, State::ExpectStarted | State::Started)
    }

    /// Still in chunks of the size that needs no telling, because some servers want this first.
    fn connect(&self, out: &mut BytesMut) {
        let flash_ver = match self.purpose {
            Purpose::Pull => "LNX 9,0,124,2",
            Purpose::Push => "FMLE/3.0 (compatible; Weir)",
        };
        let mut object = vec![
            ("app".to_owned(), self.url.app().into()),
            ("flashVer".to_owned(), flash_ver.into()),
            ("tcUrl".to_owned(), self.url.tc_url().as_str().into()),
        ];
        match self.purpose {
            Purpose::Push => object.push(("type".to_owned(), "nonprivate".into())),
            Purpose::Pull => object.extend([
                ("fpad".to_owned(), false.into()),
                ("capabilities".to_owned(), 15.0.into()),
                // All that Flash Player knew; some servers leave out what is not named.
                ("audioCodecs".to_owned(), 4071.0.into()),
                ("videoCodecs".to_owned(), 252.0.into()),
                ("videoFunction".to_owned(), 1.0.into()),
            ]),
        }
        object.push(("objectEncoding".to_owned(), 0.0.into()));
        let codes = Value::StrictArray(vec!["hvc1".into()]);
        object.push(("fourCcList".to_owned(), codes));
        let command = Command::new("connect", CONNECT, [Value::Object(object)]);
        command.write_in(chunk::DEFAULT_BYTES, 0, out);
    }

    fn command(&mut self, command: &Command, out: &mut BytesMut) -> Result<Option<Event>, Error> {
        match (self.state, command.name.as_str(), command.transaction) {
            (State::ExpectConnected, "_result", CONNECT) => self.connected(command, out),
            (State::ExpectConnected, "_error", CONNECT) => return Err(self.refused("connect", command)),
            (State::ExpectStream, "_result", CREATE_STREAM) => self.created(command, out)?,
            (State::ExpectStream, "_error", CREATE_STREAM) => {
                return Err(self.refused("createStream", command));
            }
            (State::ExpectStarted, "_error", PUBLISH_OR_PLAY) => {
                return Err(self.refused(self.purpose.command(), command));
            }
            (State::ExpectStarted | State::Started, "onStatus", _) => return self.status(command),
            (State::ExpectStarted | State::Started, "close", _) => return Ok(self.end()),
            // What is no answer, or to a call whose outcome does not matter.
            _ => {}
        }
        Ok(None)
    }

    fn connected(&mut self, command: &Command, out: &mut BytesMut) {
        let lists = command
            .arguments
            .iter()
            .filter_map(|argument| argument.property("fourCcList"));
        let mut codes = lists.flat_map(|list| match list {
            Value::StrictArray(codes) => &codes[..],
            _ => &[],
        });
        self.takes_hvc1 = codes.any(|code| matches!(code.as_str(), Some("hvc1" | "*")));
        self.link.greet(out);
        if self.purpose == Purpose::Push {
            for (name, transaction) in [("releaseStream", RELEASE_STREAM), ("FCPublish", FC_PUBLISH)] {
                let arguments = [Value::Null, self.url.name().into()];
                Command::new(name, transaction, arguments).write(0, out);
            }
        }
        Command::new("createStream", CREATE_STREAM, [Value::Null]).write(0, out);
        self.state = State::ExpectStream;
    }

    fn created(&mut self, command: &Command, out: &mut BytesMut) -> Result<(), Error> {
        let number = command.argument(1).and_then(Value::as_number);
        let number = number.filter(|number| (0.0..=f64::from(u32::MAX)).contains(number));
        self.message_stream = number.ok_or(Error::NoStream)? as u32;
        let name = Value::from(self.url.name());
        match self.purpose {
            Purpose::Push => {
                let arguments = [Value::Null, name, "live".into()];
                Command::new("publish", PUBLISH_OR_PLAY, arguments).write(self.message_stream, out);
            }
            Purpose::Pull => {
                let arguments = [Value::Null, name, START_ANY.into()];
                Command::new("play", PUBLISH_OR_PLAY, arguments).write(self.message_stream, out);
                message::set_buffer_length(self.message_stream, BUFFER_LENGTH_MS, out);
                self.link.expect_media();
            }
        }
        self.state = State::ExpectStarted;
        Ok(())
    }

    fn status(&mut self, command: &Command) -> Result<Option<Event>, Error> {
        let information = command.argument(1).unwrap_or(&Value::Null);
        let level = information.property("level").and_then(Value::as_str);
        if level == Some("error") {
            return Err(self.refused(self.purpose.command(), command));
        }
        let code = code(information);
        let started = match self.purpose {
            Purpose::Push => code == "NetStream.Publish.Start",
            Purpose::Pull => code == "NetStream.Play.Start",
        };
        if started && self.state == State::ExpectStarted {
            self.state = State::Started;
            return Ok(Some(match self.purpose {
                Purpose::Push => Event::Publishing {
                    message_stream: self.message_stream,
                    takes_hvc1: self.takes_hvc1,
                },
                Purpose::Pull => Event::Playing,
            }));
        }
        Ok(self.ended(code))
    }

    /// If the code says so.
    fn ended(&mut self, code: &str) -> Option<Event> {
        let ended = matches!(
            code,
            "NetStream.Play.Stop"
                | "NetStream.Play.Complete"
                | "NetStream.Play.UnpublishNotify"
                | "NetStream.Unpublish.Success"
                | "NetConnection.Connect.Closed"
        );
        ended.then(|| self.end()).flatten()
    }

    fn end(&mut self) -> Option<Event> {
        let news = self.state != State::Ended;
        self.state = State::Ended;
        news.then_some(Event::Ended)
    }

    fn refused(&self, call: &'static str, answer: &Command) -> Error {
        let information = answer
            .arguments
            .iter()
            .rev()
            .find(|value| value.properties().is_some());
        let text = |name| {
            let text = information.and_then(|information| information.property(name));
            self.printable(text.and_then(Value::as_str).unwrap_or_default())
        };
        Error::Refused {
            call,
            code: text("code"),
            description: text("description"),
        }
    }

    /// Servers repeat names in what they say, and a name may be a key.
    fn printable(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.url.secrets() {
            text = text.replace(secret, "[redacted]");
        }
        text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
    }
}

fn code(information: &Value) -> &str {
    let code = information.property("code").and_then(Value::as_str);
    code.unwrap_or_default()
}

#[cfg(test)]
mod tests;

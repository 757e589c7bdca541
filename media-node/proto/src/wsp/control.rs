//! The control socket.
//!
//! | state | GET_INFO | INIT | WRAP, SWITCH | JOIN |
//! |---|---|---|---|---|
//! | `ExpectInit` | no reply | 200, with a channel id | closed | closed |
//! | `ExpectRequests` | closed | closed | 200 | closed |

use super::message::{Command, Error, Request, Status, write_reply};
use super::{ChannelId, message};
use crate::rtsp;
use bytes::{Bytes, BytesMut};

/// The state machine of one control socket.
#[derive(Debug, Default)]
pub struct Control {
    state: State,
    /// The `seq` of the request that waits for the driver.
    pending: Option<String>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    ExpectInit,
    ExpectRequests(ChannelId),
}

/// What to do next.
#[derive(Debug)]
pub enum Event {
    /// There is no reply to this.
    Ignored,
    /// The reply is in the output buffer; nothing else to do.
    Answered,
    /// Find an id for this channel: [`Control::init`].
    Init,
    /// Pass this to the RTSP session, and its response to [`Control::wrap`].
    Wrapped(Box<rtsp::Request>),
}

impl Control {
    /// Set by INIT.
    pub const fn channel(&self) -> Option<ChannelId> {
        match self.state {
            State::ExpectInit => None,
            State::ExpectRequests(channel) => Some(channel),
        }
    }

    /// Takes the next message. A request that waits for the driver's answer is forgotten, so answer
    /// first.
    ///
    /// # Errors
    /// The socket is to be closed, without a reply.
    pub fn handle_message(&mut self, message: &Bytes, out: &mut BytesMut) -> Result<Event, Error> {
        self.pending = None;
        let request = Request::parse(message)?;
        match (&self.state, request.command) {
            (State::ExpectInit, Command::GetInfo) => Ok(Event::Ignored),
            (State::ExpectInit, Command::Init) => {
                self.pending = Some(request.seq().to_owned());
                Ok(Event::Init)
            }
            (State::ExpectRequests(_), Command::Wrap) => {
                let mut payload = BytesMut::from(&request.payload[..]);
                let wrapped = match rtsp::Parser::new().parse(&mut payload) {
                    Ok(Some(rtsp::Message::Request(request))) => request,
                    Ok(_) => return Err(Error::NotRtsp(None)),
                    Err(error) => return Err(Error::NotRtsp(Some(error))),
                };
                self.pending = Some(request.seq().to_owned());
                Ok(Event::Wrapped(Box::new(wrapped)))
            }
            (State::ExpectRequests(channel), Command::Switch) => {
                write_reply(out, Status::Ok, Some(*channel), request.seq(), &[]);
                Ok(Event::Answered)
            }
            (_, command) => Err(Error::Unexpected(command)),
        }
    }

    /// Answers [`Event::Init`].
    pub fn init(&mut self, channel: ChannelId, out: &mut BytesMut) {
        let State::ExpectInit = self.state else { return };
        let Some(seq) = self.pending.take() else { return };
        self.state = State::ExpectRequests(channel);
        write_reply(out, Status::Ok, Some(channel), &seq, &[]);
    }

    /// Answers [`Event::Wrapped`]: 200, whatever the RTSP response says.
    pub fn wrap(&mut self, response: &[u8], out: &mut BytesMut) {
        let State::ExpectRequests(channel) = self.state else {
            return;
        };
        let Some(seq) = self.pending.take() else { return };
        message::write_reply(out, Status::Ok, Some(channel), &seq, response);
    }
}

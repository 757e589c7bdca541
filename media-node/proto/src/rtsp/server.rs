//! One RTSP session, as a server sees it: which request is allowed when, and what to answer.
//!
//! A session is one connection's. The driver owns the socket: it cuts the input into messages with
//! [`super::Parser`], passes requests to [`Session::handle_request`], and does what the returned
//! [`Event`] asks for; then it answers through the method that the event names, and the response
//! appears in the output buffer.
//!
//! ```text
//!           handle_request          allow                describe, accept, udp, refuse
//! request ----------------> Authorize ----> Describe ... ----------------------------> response
//!                  \               \ deny
//!                   +-> Answered    +--> response
//! ```
//!
//! | state | allowed besides OPTIONS and TEARDOWN |
//! |---|---|
//! | init | DESCRIBE, ANNOUNCE, SETUP |
//! | ready, after a good SETUP | SETUP, PLAY, RECORD |
//! | playing | PLAY |
//! | recording | RECORD |
//!
//! Everything else is 455, PAUSE, `GET_PARAMETER` and `SET_PARAMETER` included. First the state is
//! looked at, then who asks, then the request itself. Rights, streams, sockets and time-outs are
//! the driver's; so are packets, except that [`Session::channel`] tells what a channel carries.
//!
//! Over a WebSocket ([`Carrier`]) packets are interleaved or nowhere. In WSP, which knows viewers
//! only, ANNOUNCE and RECORD are never allowed, and PAUSE is while playing.

mod event;
mod setup;

pub use event::{Authorize, Carrier, Challenge, Config, Delivery, Denial, Event, Group, Right, Setup};

use super::message::write_response;
use super::{Request, Status, auth, url};
use crate::media::Tracks;
use crate::{Redacted, sdp};
use bytes::BytesMut;
use setup::Control;
pub use setup::MULTICAST_TTL;

/// The methods we take, as OPTIONS lists them.
const PUBLIC: &str = "DESCRIBE, SETUP, TEARDOWN, PLAY, OPTIONS, ANNOUNCE, RECORD";
/// What OPTIONS lists in WSP, as clients of the documented server know it: neither is ANNOUNCE
/// taken, nor is PAUSE missing.
const PUBLIC_WSP: &str = "DESCRIBE, SETUP, TEARDOWN, PLAY, OPTIONS, ANNOUNCE";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Init,
    Ready,
    Playing,
    Recording,
}

/// Which way the media goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Play,
    Record,
}

/// The state machine of one session.
#[derive(Debug)]
pub struct Session {
    config: Config,
    state: State,
    /// Set by DESCRIBE and ANNOUNCE, as are path and controls.
    mode: Option<Mode>,
    path: Option<String>,
    controls: Vec<Control>,
    setups: Vec<Setup>,
    /// Playing, but no packets are wanted for now.
    paused: bool,
    /// The token of the request that set the path; later URLs may come without.
    token: Option<Redacted<String>>,
    /// The request that waits for the driver.
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    request: Request,
    /// Path, and what is decided about the request so far.
    path: String,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Authorize,
    Describe,
    /// With the tracks of the publisher.
    Announce(Vec<Control>),
    /// With the transport as the response will echo it.
    SetupUdp {
        track: u8,
        client_ports: (u16, u16),
        transport: String,
    },
    SetupMulticast {
        track: u8,
        transport: String,
    },
    Play,
    Record,
}

impl Session {
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            state: State::Init,
            mode: None,
            path: None,
            controls: Vec::new(),
            setups: Vec::new(),
            paused: false,
            token: None,
            pending: None,
        }
    }

    /// The stream of this session, once DESCRIBE or ANNOUNCE has named it.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The tracks that were set up, in the order of their first SETUP.
    pub fn setups(&self) -> &[Setup] {
        &self.setups
    }

    pub fn is_playing(&self) -> bool {
        self.state == State::Playing
    }

    pub fn is_recording(&self) -> bool {
        self.state == State::Recording
    }

    /// What an interleaved channel carries: the track's index and whether it is RTCP. `None` for
    /// channels that were not set up, whose packets mean nothing.
    pub fn channel(&self, channel: u8) -> Option<(u8, bool)> {
        self.setups.iter().find_map(|setup| match setup.delivery {
            Delivery::Interleaved { rtp, .. } if rtp == channel => Some((setup.track, false)),
            Delivery::Interleaved { rtcp, .. } if rtcp == channel => Some((setup.track, true)),
            _ => None,
        })
    }

    /// Takes the next request. A request that waits for the driver's answer is forgotten, so
    /// answer first.
    pub fn handle_request(&mut self, request: Request, out: &mut BytesMut) -> Event {
        self.pending = None;
        let method = request.method();
        match method {
            "OPTIONS" => {
                let public = match self.config.carrier {
                    Carrier::Tcp | Carrier::WebSocket => PUBLIC,
                    Carrier::Wsp => PUBLIC_WSP,
                };
                self.respond(&request, Status::Ok, None, &[("Public", public)], &[], out);
                return Event::Answered;
            }
            "TEARDOWN" => {
                self.respond(&request, Status::Ok, None, &[], &[], out);
                return Event::Close;
            }
            _ => {}
        }
        if !self.allows(method) {
            self.respond(&request, Status::MethodNotValidInThisState, None, &[], &[], out);
            return Event::Answered;
        }
        let token = url::token(request.uri());
        let right = match method {
            "ANNOUNCE" | "RECORD" => Right::Push,
            "SETUP" if self.mode == Some(Mode::Record) => Right::Push,
            _ => Right::Pull,
        };
        let path = match method {
            "DESCRIBE" => self.config.path.clone(),
            "ANNOUNCE" => None,
            _ => self.path.clone().or_else(|| self.config.path.clone()),
        };
        let path = path.unwrap_or_else(|| {
            let path = url::stream_path(request.uri());
            // Of a client that has not asked for a description: rights are those of the stream.
            if method == "SETUP" {
                without_control(&path).to_owned()
            } else {
                path
            }
        });
        let credentials = request
            .headers
            .get("Authorization")
            .and_then(auth::Credentials::parse);
        let authorize = Authorize {
            right,
            path: path.clone(),
            token: token.or_else(|| self.token.clone()),
            credentials,
            realm: self
                .config
                .challenge
                .as_ref()
                .map(|c| c.realm.clone())
                .unwrap_or_default(),
            nonce: self
                .config
                .challenge
                .as_ref()
                .map(|c| c.nonce.clone())
                .unwrap_or_default(),
            method: request.method().to_owned(),
            uri: Redacted::new(request.uri().to_owned()),
        };
        self.pending = Some(Pending {
            request,
            path,
            step: Step::Authorize,
        });
        Event::Authorize(Box::new(authorize))
    }

    /// The table of states.
    fn allows(&self, method: &str) -> bool {
        let wsp = self.config.carrier == Carrier::Wsp;
        match self.state {
            State::Init => matches!(method, "DESCRIBE" | "SETUP") || method == "ANNOUNCE" && !wsp,
            State::Ready => matches!(method, "SETUP" | "PLAY") || method == "RECORD" && !wsp,
            State::Playing => method == "PLAY" || method == "PAUSE" && wsp,
            State::Recording => method == "RECORD",
        }
    }

    /// Answers [`Event::Authorize`]: whoever asks may. Goes on with the request.
    pub fn allow(&mut self, out: &mut BytesMut) -> Event {
        let Some(Pending {
            request,
            path,
            step: Step::Authorize,
        }) = self.pending.take()
        else {
            return Event::Answered;
        };
        match request.method() {
            "DESCRIBE" => {
                self.pending = Some(Pending {
                    request,
                    path: path.clone(),
                    step: Step::Describe,
                });
                Event::Describe { path }
            }
            "ANNOUNCE" => self.announce(request, path, out),
            "SETUP" => self.setup(request, path, out),
            "PLAY" => {
                if self.state == State::Playing {
                    self.play_response(&request, out);
                    return if std::mem::take(&mut self.paused) {
                        Event::Resumed
                    } else {
                        Event::Answered
                    };
                }
                if self.mode != Some(Mode::Play) {
                    self.respond(&request, Status::MethodNotValidInThisState, None, &[], &[], out);
                    return Event::Answered;
                }
                self.pending = Some(Pending {
                    request,
                    path: path.clone(),
                    step: Step::Play,
                });
                Event::Play {
                    path,
                    setups: self.setups.clone(),
                }
            }
            "PAUSE" => {
                self.paused = true;
                self.respond(&request, Status::Ok, None, &[], &[], out);
                Event::Paused
            }
            // Only RECORD is left: the state's table lets nothing else through.
            _ => {
                if self.state == State::Recording {
                    self.respond(&request, Status::Ok, None, &[], &[], out);
                    return Event::Answered;
                }
                if self.mode != Some(Mode::Record) {
                    self.respond(&request, Status::MethodNotValidInThisState, None, &[], &[], out);
                    return Event::Answered;
                }
                self.pending = Some(Pending {
                    request,
                    path: path.clone(),
                    step: Step::Record,
                });
                Event::Record {
                    path,
                    setups: self.setups.clone(),
                }
            }
        }
    }

    /// Answers [`Event::Authorize`]: whoever asks may not.
    pub fn deny(&mut self, denial: Denial, out: &mut BytesMut) {
        let Some(Pending { request, .. }) = self.pending.take() else {
            return;
        };
        let (status, reason) = match denial {
            Denial::NoCredentials => (Status::Unauthorized, Some("require legal Authorization field")),
            Denial::UnknownUser => (Status::Unauthorized, Some("user not exist")),
            Denial::WrongCredentials { next_nonce } => {
                if let Some(challenge) = &mut self.config.challenge {
                    challenge.nonce = next_nonce;
                }
                (Status::Unauthorized, Some("require legal Authorization field"))
            }
            Denial::Forbidden => (Status::Forbidden, None),
        };
        self.respond(&request, status, reason, &[], &[], out);
    }

    /// Answers [`Event::Describe`] with the stream's tracks.
    pub fn describe(&mut self, name: &str, tracks: &Tracks, out: &mut BytesMut) {
        let Some(Pending {
            request,
            path,
            step: Step::Describe,
        }) = self.pending.take()
        else {
            return;
        };
        self.controls = (0..=u8::MAX)
            .zip(tracks)
            .map(|(i, track)| Control::ours(i, track.kind()))
            .collect();
        self.enter(Mode::Play, &request, path);
        let body = sdp::write(name, tracks);
        let content_type = [("Content-Type", "application/sdp")];
        self.respond(&request, Status::Ok, None, &content_type, body.as_bytes(), out);
    }

    /// Answers [`Event::Announce`], [`Event::Play`] or [`Event::Record`] with 200. Media may flow
    /// as soon as the response has been written.
    pub fn accept(&mut self, out: &mut BytesMut) {
        let Some(Pending { request, path, step }) = self.pending.take() else {
            return;
        };
        match step {
            Step::Announce(controls) => {
                self.controls = controls;
                self.enter(Mode::Record, &request, path);
                self.respond(&request, Status::Ok, None, &[], &[], out);
            }
            Step::Play => {
                self.state = State::Playing;
                self.play_response(&request, out);
            }
            Step::Record => {
                self.state = State::Recording;
                self.respond(&request, Status::Ok, None, &[], &[], out);
            }
            Step::Authorize | Step::Describe | Step::SetupUdp { .. } | Step::SetupMulticast { .. } => {
                self.pending = Some(Pending { request, path, step });
            }
        }
    }

    /// Answers any event but [`Event::Authorize`] with an error; `reason` in place of the usual
    /// one. The session stays as it was before the request.
    pub fn refuse(&mut self, status: Status, reason: Option<&str>, out: &mut BytesMut) {
        let Some(Pending { request, .. }) = self.pending.take() else {
            return;
        };
        self.respond(&request, status, reason, &[], &[], out);
    }

    fn announce(&mut self, request: Request, path: String, out: &mut BytesMut) -> Event {
        let content_type = request.headers.get("Content-Type").unwrap_or_default();
        if !content_type.eq_ignore_ascii_case("application/sdp") {
            self.respond(&request, Status::BadRequest, None, &[], &[], out);
            return Event::Answered;
        }
        match sdp::parse(&request.body) {
            Ok(description) => {
                let controls = Control::theirs(&description);
                self.pending = Some(Pending {
                    request,
                    path: path.clone(),
                    step: Step::Announce(controls),
                });
                Event::Announce {
                    path,
                    description: Box::new(description),
                }
            }
            Err(error) => {
                tracing::debug!(%error, "announced description refused");
                self.respond(&request, Status::BadRequest, None, &[], &[], out);
                Event::Answered
            }
        }
    }

    fn enter(&mut self, mode: Mode, request: &Request, path: String) {
        self.mode = Some(mode);
        self.path = Some(path);
        self.token = url::token(request.uri());
    }

    fn play_response(&self, request: &Request, out: &mut BytesMut) {
        let range = request.headers.get("Range").filter(|range| !range.is_empty());
        let range = range.map(|range| ("Range", range));
        self.respond(request, Status::Ok, None, range.as_slice(), &[], out);
    }

    fn respond(
        &self,
        request: &Request,
        status: Status,
        reason: Option<&str>,
        extra: &[(&str, &str)],
        body: &[u8],
        out: &mut BytesMut,
    ) {
        let challenge = self.config.challenge.as_ref();
        let digest = challenge.map(|c| auth::digest_challenge(&c.realm, &c.nonce));
        let basic = challenge
            .filter(|c| c.basic)
            .map(|c| auth::basic_challenge(&c.realm));
        let mut headers = vec![("Session", self.config.session_id.as_str())];
        headers.extend(request.headers.get("CSeq").map(|cseq| ("CSeq", cseq)));
        headers.extend(digest.as_deref().map(|digest| ("WWW-Authenticate", digest)));
        headers.extend(basic.as_deref().map(|basic| ("WWW-Authenticate", basic)));
        headers.extend_from_slice(extra);
        write_response(
            out,
            status,
            reason.unwrap_or_else(|| status.reason()),
            &headers,
            body,
        );
    }
}

/// The path without the name of one of our tracks at its end.
fn without_control(path: &str) -> &str {
    let stem = path.rsplit_once('/').filter(|(_, control)| {
        let track = control.strip_prefix("streamid=");
        track.is_some_and(|track| track.parse::<u8>().is_ok())
    });
    stem.map_or(path, |(stem, _)| stem)
}

#[cfg(test)]
mod tests;

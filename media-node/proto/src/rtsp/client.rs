//! One RTSP session that publishes, as a client sees it: interleaved on its connection.
//!
//! ```text
//! ANNOUNCE, SETUP for each track, RECORD      Event::Recording, then packets ... OPTIONS now and then
//! ```
//! Each is repeated once with credentials if the server wants some. Redirects are not followed: the
//! address that they name has not been judged.
//!
//! Times are the caller's, from any start.

use super::auth::Challenge;
use super::message::{Message, Response, write_request, write_response};
use super::transport::{Lower, Transport};
use super::url::percent_decode;
use super::{Request, Status};
use crate::{Redacted, sdp};
use bytes::BytesMut;
use std::fmt;
use std::time::Duration;

/// A server that doesn't answer a request for this long is given up.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// Bounds of the time between two requests that keep a session. A server that doesn't say how long one
/// lasts without means 60 s (RFC 2326 section 12.37), half of which is the upper one.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// Challenges to one request that are answered: the first, and one more for a nonce that was too old.
const MAX_CHALLENGES: u32 = 2;
/// Characters of what a server says that are kept.
const MAX_TEXT: usize = 200;
/// Shorter values of a query are taken for no secrets, where they stand without their name.
const SECRET_LENGTH: usize = 4;

/// What a session is made with.
#[derive(Clone)]
pub struct Config {
    /// With the query, without credentials.
    pub url: String,
    pub credentials: Option<(String, Redacted<String>)>,
    pub user_agent: String,
    /// Random, for Digest.
    pub client_nonce: String,
}

/// A query may be a key.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("path", &super::url::path(&self.url))
            .finish_non_exhaustive()
    }
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server takes the stream: packets may be sent on [`Session::channels`].
    Recording,
    /// The server wants no more of it.
    Ended,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What we ask for is wrong, or the server can't give it now. The text is the server's, without what
    /// is secret in our URL.
    #[error("the server refuses {method}: {status} {reason}")]
    Refused {
        method: &'static str,
        status: u16,
        reason: String,
    },
    #[error("the server wants credentials")]
    NoCredentials,
    #[error("the server refuses the credentials")]
    WrongCredentials,
    #[error(
        "the server wants to be shown credentials in a way that is not spoken; Basic and Digest with MD5 or SHA-256 are"
    )]
    UnknownChallenge,
    #[error("the server does not answer {0}")]
    NoAnswer(&'static str),
    #[error("the server breaks the protocol: {0}")]
    Protocol(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    ExpectAnnounced,
    /// The answer to SETUP of this track.
    ExpectSetUp(u8),
    ExpectRecording,
    Recording,
    Ended,
}

/// The state machine of one session.
#[derive(Debug)]
pub struct Session {
    config: Config,
    state: State,
    description: String,
    tracks: u8,
    /// By track: those of RTP and RTCP.
    channels: Vec<(u8, u8)>,
    id: Option<String>,
    keepalive: Duration,
    challenge: Option<Challenge>,
    /// Answers to the challenge so far.
    answers: u32,
    /// To the request that waits.
    challenges: u32,
    sequence: u32,
    /// The request that waits for its answer, when it was sent, and whether that was with credentials.
    pending: Option<(&'static str, Duration, bool)>,
    /// When the last answer came.
    answered: Duration,
}

impl Session {
    /// For a stream of that many tracks, whose description names them as [`sdp::control`] does. Begins.
    pub fn begin(config: Config, description: String, tracks: u8, now: Duration, out: &mut BytesMut) -> Self {
        let mut session = Self {
            config,
            state: State::ExpectAnnounced,
            description,
            tracks,
            channels: Vec::new(),
            id: None,
            keepalive: KEEPALIVE.1,
            challenge: None,
            answers: 0,
            challenges: 0,
            sequence: 0,
            pending: None,
            answered: now,
        };
        session.ask(now, out);
        session
    }

    /// By track, the channels of RTP and RTCP.
    pub fn channels(&self) -> &[(u8, u8)] {
        &self.channels
    }

    /// Takes a message of the server.
    ///
    /// # Errors
    /// The session is over.
    pub fn handle_message(
        &mut self,
        now: Duration,
        message: &Message,
        out: &mut BytesMut,
    ) -> Result<Option<Event>, Error> {
        match message {
            Message::Response(response) => self.response(now, response, out),
            Message::Request(request) => Ok(self.request(request, out)),
            // Reports of a receiver; what it misses comes again with the connection.
            Message::Interleaved(_) => Ok(None),
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Duration {
        match self.pending {
            Some((_, sent, _)) => sent + ANSWER_PATIENCE,
            None => self.answered + self.keepalive,
        }
    }

    /// # Errors
    /// The session is over: the server doesn't answer.
    pub fn handle_timeout(&mut self, now: Duration, out: &mut BytesMut) -> Result<(), Error> {
        if now < self.poll_timeout() {
            return Ok(());
        }
        if let Some((method, ..)) = self.pending {
            return Err(Error::NoAnswer(method));
        }
        if self.state == State::Recording {
            self.ask(now, out);
        } else {
            self.answered = now;
        }
        Ok(())
    }

    /// Says good-bye, before the driver ends the connection.
    pub fn finish(&mut self, now: Duration, out: &mut BytesMut) {
        if self.id.is_some() && self.state != State::Ended {
            let url = self.config.url.clone();
            self.send("TEARDOWN", &url, &[], "", now, out);
        }
        self.state = State::Ended;
    }

    /// Sends the request that the state waits for the answer of.
    fn ask(&mut self, now: Duration, out: &mut BytesMut) {
        let url = self.config.url.clone();
        match self.state {
            State::ExpectAnnounced => {
                let description = self.description.clone();
                let headers = [("Content-Type", "application/sdp")];
                self.send("ANNOUNCE", &url, &headers, &description, now, out);
            }
            State::ExpectSetUp(track) => {
                let (rtp, rtcp) = asked_channels(track);
                let transport = format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp};mode=record");
                let url = format!("{}/{}", url.trim_end_matches('/'), sdp::control(track));
                self.send("SETUP", &url, &[("Transport", &transport)], "", now, out);
            }
            State::ExpectRecording => {
                self.send("RECORD", &url, &[("Range", "npt=0.000-")], "", now, out);
            }
            State::Recording => self.send("OPTIONS", &url, &[], "", now, out),
            State::Ended => {}
        }
    }

    fn send(
        &mut self,
        method: &'static str,
        url: &str,
        more: &[(&str, &str)],
        body: &str,
        now: Duration,
        out: &mut BytesMut,
    ) {
        self.sequence += 1;
        let sequence = self.sequence.to_string();
        let authorization = match (&self.challenge, &self.config.credentials) {
            (Some(challenge), Some((username, password))) => {
                self.answers += 1;
                let nonce = &self.config.client_nonce;
                Some(challenge.answer(username, password, (method, url), self.answers, nonce))
            }
            _ => None,
        };
        let mut headers = vec![
            ("CSeq", sequence.as_str()),
            ("User-Agent", &self.config.user_agent),
        ];
        headers.extend(authorization.as_deref().map(|text| ("Authorization", text)));
        headers.extend(self.id.as_deref().map(|id| ("Session", id)));
        headers.extend_from_slice(more);
        write_request(out, method, url, &headers, body.as_bytes());
        self.pending = Some((method, now, authorization.is_some()));
    }

    fn response(
        &mut self,
        now: Duration,
        response: &Response,
        out: &mut BytesMut,
    ) -> Result<Option<Event>, Error> {
        let sequence = response
            .headers
            .get("CSeq")
            .and_then(|text| text.trim().parse().ok());
        if sequence.is_some_and(|sequence: u32| sequence != self.sequence) {
            return Ok(None);
        }
        let Some((method, _, authorized)) = self.pending.take() else {
            return Ok(None);
        };
        self.answered = now;
        match response.status {
            // Not the end of a request: RFC 2326 section 7.1.1.
            100..200 => {
                self.pending = Some((method, now, authorized));
                return Ok(None);
            }
            200..300 => self.challenges = 0,
            401 => {
                let challenge = Challenge::best(response.headers.all("WWW-Authenticate"));
                if self.config.credentials.is_none() {
                    return Err(Error::NoCredentials);
                }
                self.challenges += 1;
                // gortsplib asks no second time after a wrong answer.
                let stale = challenge.as_ref().is_some_and(Challenge::is_stale);
                if authorized && !stale || self.challenges > MAX_CHALLENGES {
                    return Err(Error::WrongCredentials);
                }
                let challenge = challenge.ok_or(Error::UnknownChallenge)?;
                self.challenge = Some(challenge);
                self.answers = 0;
                self.ask(now, out);
                return Ok(None);
            }
            // Whether a server knows OPTIONS doesn't matter: it has heard of us.
            _ if self.state == State::Recording => self.challenges = 0,
            status => {
                let reason = self.printable(response.reason());
                return Err(Error::Refused {
                    method,
                    status,
                    reason,
                });
            }
        }
        if let Some(header) = response.headers.get("Session") {
            self.take_session(header)?;
        }
        let state = match self.state {
            State::ExpectAnnounced => State::ExpectSetUp(0),
            State::ExpectSetUp(track) => {
                let channels = channels(response, asked_channels(track))?;
                let taken = |channel: u8| self.channels.iter().any(|(a, b)| [*a, *b].contains(&channel));
                if taken(channels.0) || taken(channels.1) {
                    return Err(Error::Protocol("two tracks on one channel"));
                }
                self.channels.push(channels);
                State::ExpectSetUp(track + 1)
            }
            State::ExpectRecording => {
                self.state = State::Recording;
                return Ok(Some(Event::Recording));
            }
            State::Recording | State::Ended => return Ok(None),
        };
        self.state = match state {
            State::ExpectSetUp(track) if track >= self.tracks => State::ExpectRecording,
            state => state,
        };
        self.ask(now, out);
        Ok(None)
    }

    fn take_session(&mut self, header: &str) -> Result<(), Error> {
        let (id, parameters) = header.split_once(';').unwrap_or((header, ""));
        let id = id.trim();
        if id.is_empty() || self.id.as_deref().is_some_and(|known| known != id) {
            return Err(Error::Protocol("the session has another name than before"));
        }
        self.id = Some(id.to_owned());
        let timeout = parameters
            .split(';')
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))
            .and_then(|(_, seconds)| seconds.trim().parse().ok());
        // Some servers say it once and not in each response.
        if let Some(seconds) = timeout {
            self.keepalive = (Duration::from_secs(seconds) / 2).clamp(KEEPALIVE.0, KEEPALIVE.1);
        }
        Ok(())
    }

    /// Answers what servers ask to find out whether we are there.
    fn request(&mut self, request: &Request, out: &mut BytesMut) -> Option<Event> {
        let ends = request.method() == "TEARDOWN";
        let status = match request.method() {
            "OPTIONS" | "GET_PARAMETER" | "SET_PARAMETER" | "TEARDOWN" => Status::Ok,
            _ => Status::MethodNotValidInThisState,
        };
        let sequence = request.headers.get("CSeq").map(|text| ("CSeq", text));
        write_response(out, status, status.reason(), sequence.as_slice(), &[]);
        let news = ends && self.state != State::Ended;
        if ends {
            self.state = State::Ended;
        }
        news.then_some(Event::Ended)
    }

    /// Servers repeat URLs, and parts of them, in what they say; a query may be a key.
    fn printable(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets() {
            text = text.replace(&secret, "[redacted]");
        }
        text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
    }

    /// What nobody is to read, longest first: the query, its parts and their values, each as it stands there
    /// and as it is meant, and the password.
    fn secrets(&self) -> Vec<String> {
        let query = self.config.url.split_once('?').map(|(_, query)| query);
        let parts = query.into_iter().flat_map(|query| query.split('&'));
        let values = parts.clone().filter_map(|part| Some(part.split_once('=')?.1));
        let password = self.config.credentials.as_ref().map(|(_, p)| p.reveal().as_str());
        let named = query.into_iter().chain(parts);
        let mut all: Vec<String> = named
            .chain(values)
            .chain(password)
            .flat_map(|text| [text.to_owned(), percent_decode(text)])
            .filter(|text| text.len() >= SECRET_LENGTH || text.contains('='))
            .collect();
        all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
        all
    }
}

const fn asked_channels(track: u8) -> (u8, u8) {
    (track.wrapping_mul(2), track.wrapping_mul(2).wrapping_add(1))
}

/// What a server has made of the channels that it was asked for.
fn channels(response: &Response, asked: (u8, u8)) -> Result<(u8, u8), Error> {
    let header = response.headers.get("Transport").unwrap_or_default();
    if header.is_empty() {
        return Ok(asked);
    }
    let transport =
        Transport::parse(header).map_err(|_| Error::Protocol("a transport that can't be read"))?;
    if transport.lower != Lower::Tcp {
        return Err(Error::Protocol("another transport than was asked for"));
    }
    let channels = transport.interleaved.unwrap_or(asked);
    if channels.0 == channels.1 {
        return Err(Error::Protocol("one channel for RTP and RTCP"));
    }
    Ok(channels)
}

#[cfg(test)]
mod tests;

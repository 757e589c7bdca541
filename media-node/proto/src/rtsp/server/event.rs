//! What a session asks of its driver, and what it is told at the start.

use crate::rtsp::auth::Credentials;
use crate::{Redacted, sdp};
use std::net::Ipv4Addr;

/// What a session is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The `Session` header of every response: opaque, not checked on later requests. Make it
    /// unguessable and free of blanks and semicolons.
    pub session_id: String,
    /// Sent with every response if set; without, nobody is asked for credentials.
    pub challenge: Option<Challenge>,
    /// The stream that this connection is about, if something else than the URL of DESCRIBE tells
    /// it: a WebSocket's path does.
    pub path: Option<String>,
    pub carrier: Carrier,
    /// Whether packets can be sent to multicast groups; without, [`Event::SetupMulticast`] never comes.
    pub multicast: bool,
    /// Whether packets may go to a player by UDP.
    pub udp_play: bool,
    /// Whether a publisher's packets may come by UDP.
    pub udp_publish: bool,
}

/// What carries a session's messages. It decides which methods and transports there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// A TCP connection of the session's own.
    #[default]
    Tcp,
    /// A WebSocket: each message and each interleaved packet is one binary message.
    WebSocket,
    /// The control channel of WSP, see [`crate::wsp`]: for viewers, who may pause.
    Wsp,
}

/// How clients are asked for credentials.
#[derive(Clone, Debug)]
pub struct Challenge {
    pub realm: String,
    /// 32 hex digits that nobody can guess; replaced after each wrong response.
    pub nonce: String,
    /// Offer Basic beside Digest.
    pub basic: bool,
}

/// What to do next. Each variant names the methods of [`super::Session`] that answer it; the
/// response is in the output buffer when they return.
#[derive(Debug)]
pub enum Event {
    /// The response is in the output buffer; nothing else to do.
    Answered,
    /// So it is, and the connection ends when it has been written.
    Close,
    /// Decide whether this may be: [`super::Session::allow`] or [`super::Session::deny`].
    Authorize(Box<Authorize>),
    /// Find or start the stream: [`super::Session::describe`], or `refuse` with 404.
    Describe { path: String },
    /// Somebody is about to publish: [`super::Session::accept`] or `refuse`. Nothing is taken
    /// over yet; that is for [`Event::Record`].
    Announce {
        path: String,
        description: Box<sdp::Description>,
    },
    /// Open a pair of UDP ports for a track: [`super::Session::udp`] or `refuse`.
    SetupUdp {
        path: String,
        track: u8,
        /// The client's ports for RTP and RTCP, at the connection's remote address.
        client_ports: (u16, u16),
        /// Whether the packets will go to the client ([`Right::Pull`]) or come from it.
        right: Right,
    },
    /// Find the group that the stream is sent to, and the track's ports in it:
    /// [`super::Session::multicast`], or `refuse` with 461.
    SetupMulticast { path: String, track: u8 },
    /// Start to send: [`super::Session::accept`], or `refuse` with 404.
    Play { path: String, setups: Vec<Setup> },
    /// Become the stream's publisher: [`super::Session::accept`] or `refuse`.
    Record { path: String, setups: Vec<Setup> },
    /// The response is in the output buffer; no packets until [`Event::Resumed`].
    Paused,
    /// The response is in the output buffer; packets again.
    Resumed,
}

/// A track that was set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Index into the stream's tracks when playing, into the description's media when recording.
    pub track: u8,
    pub delivery: Delivery,
}

/// How a track's packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// On the session's connection.
    Interleaved {
        rtp: u8,
        rtcp: u8,
    },
    /// Between our ports and the client's, RTP and RTCP each.
    Udp {
        client_ports: (u16, u16),
        server_ports: (u16, u16),
    },
    Multicast(Group),
}

/// Where all viewers by multicast get a track's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub destination: Ipv4Addr,
    /// For RTP and RTCP.
    pub ports: (u16, u16),
    /// The sender's address.
    pub source: Ipv4Addr,
}

/// What a request needs to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To watch.
    Pull,
    /// To publish.
    Push,
}

/// Somebody wants something; the driver finds out whether they may.
#[derive(Clone, Debug)]
pub struct Authorize {
    pub right: Right,
    /// Canonical, see [`crate::rtsp::url::stream_path`].
    pub path: String,
    /// From the URL of this request, or of the DESCRIBE or ANNOUNCE before it.
    pub token: Option<Redacted<String>>,
    pub credentials: Option<Credentials>,
    pub(super) realm: String,
    pub(super) nonce: String,
    pub(super) method: String,
    pub(super) uri: Redacted<String>,
}

impl Authorize {
    /// For Digest credentials: what the response has to be if the user's secret is this, to be
    /// compared in constant time with [`crate::rtsp::auth::Digest::response`] in lower case. The
    /// nonce is ours and the URI the request line's, whatever the client claims.
    pub fn expected_response(&self, secret: &str) -> Option<Redacted<String>> {
        let Some(Credentials::Digest(digest)) = &self.credentials else {
            return None;
        };
        let uri = self.uri.reveal();
        let expected = digest.expected_response(&self.realm, &self.nonce, &self.method, uri, secret);
        Some(Redacted::new(expected))
    }

    /// The same for who keeps only the user's H(A1), see
    /// [`crate::rtsp::auth::Digest::expected_response_of`].
    pub fn expected_response_of(&self, ha1: &str) -> Option<Redacted<String>> {
        let Some(Credentials::Digest(digest)) = &self.credentials else {
            return None;
        };
        let uri = self.uri.reveal();
        let expected = digest.expected_response_of(ha1, &self.nonce, &self.method, uri);
        Some(Redacted::new(expected))
    }
}

/// Why somebody may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// 401: nothing that could be checked came along.
    NoCredentials,
    /// 401.
    UnknownUser,
    /// 401, with a new nonce of 32 hex digits to answer.
    WrongCredentials { next_nonce: String },
    /// 403: known, and without the right.
    Forbidden,
}

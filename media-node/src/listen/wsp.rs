//! WSP: RTSP for players in web pages, on two sockets (ipchub contract, 7.1).
//!
//! What may be said when is `proto::wsp`'s and `proto::rtsp::server`'s. The task of the control socket
//! does all the work, also on the data socket once that has joined: it alone knows what both are for.

mod between;
mod channels;
mod control;
mod data;

pub use between::{Elsewhere, router};
pub use channels::Channels;

use crate::egress::Viewing;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Silence that ends a control socket, also while it plays.
const SILENCE: Duration = Duration::from_secs(90);
/// How long a data socket may take to join.
const JOIN_PATIENCE: Duration = Duration::from_secs(15);
/// A peer that doesn't take a reply for this long is let go.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Room for a read.
const READ: usize = 2 << 10;

/// Takes both sockets of WSP players.
#[derive(Clone)]
pub struct WspDoor {
    pub viewing: Viewing,
    pub channels: Arc<Channels>,
    /// None where this process is the only one.
    pub elsewhere: Option<Arc<Elsewhere>>,
}

/// Why a socket is over.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the peer left")]
    PeerLeft,
    #[error("the session was torn down")]
    Teardown,
    #[error("nothing came for {} s", .0.as_secs())]
    Silence(Duration),
    #[error("the peer does not read its replies")]
    Unread,
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("this is no WebSocket")]
    NotWebSocket(#[from] weir_proto::websocket::Error),
    #[error("this is not WSP")]
    NotWsp(#[from] weir_proto::wsp::Error),
    #[error("there are too many channels")]
    Full,
    #[error("viewers of this stream have chosen too many different channels; take 0-1 and 2-3")]
    ManyLayouts,
    #[error("there is no such channel, or its data socket has come already")]
    NoChannel,
    #[error("viewing is over")]
    Viewed(#[from] crate::hub::Departure),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::PeerLeft,
            _ => Self::Broken(error),
        }
    }
}

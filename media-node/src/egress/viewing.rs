//! What every protocol does before it shows a stream: ask who may, find it, count it.

use crate::auth::{Action, Auth, Caller, Denied};
use crate::hub::{Hub, Seat, SeatHandle, Stream};
use crate::telemetry::sessions;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tracing::{Span, debug, info_span};
use weir_proto::media::StreamPath;

/// Shared by all viewers of a process.
#[derive(Clone)]
pub struct Viewing {
    pub hub: Arc<Hub>,
    pub auth: Arc<Auth>,
    /// How long a viewer waits for a stream that is being started.
    pub patience: Duration,
}

/// Why a viewer gets no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the viewer may not watch this")]
    Denied(Denied),
    #[error("no such stream, or it could not be started")]
    NotFound,
}

impl Viewing {
    /// The stream, if `caller` may watch it and it runs or can be started. Rights come first: who has
    /// none starts no camera, and learns nothing of which streams there are.
    pub async fn admit(&self, caller: &Caller, path: &StreamPath) -> Result<Arc<Stream>, Refusal> {
        self.auth
            .authorize(caller, Action::Subscribe(path))
            .map_err(Refusal::Denied)?;
        self.hub.find(path, self.patience).await.ok_or(Refusal::NotFound)
    }
}

/// The span of one viewer's life. `session` is the viewer's number at its stream, once it has a seat.
pub fn viewer_span(stream: impl Display, protocol: &'static str, peer: Option<SocketAddr>) -> Span {
    let peer = peer.map(tracing::field::display);
    info_span!("egress", %stream, protocol, peer, session = tracing::field::Empty)
}

/// Counts a viewer while it lives, and at its end says what became of it, however the viewing ends.
/// Protocols are few, so the label is bounded.
pub struct Counted {
    protocol: &'static str,
    seat: Option<SeatHandle>,
    span: Span,
    /// Protocols whose sessions are counted with their viewers.
    _open: Option<sessions::Open>,
}

impl Counted {
    /// The current span is the viewer's, as [`viewer_span`] makes it.
    pub fn new(protocol: &'static str) -> Self {
        metrics::gauge!("weir_viewers", "protocol" => protocol).increment(1.0);
        metrics::counter!("weir_viewers_total", "protocol" => protocol).increment(1);
        Self {
            protocol,
            seat: None,
            span: Span::current(),
            _open: matches!(protocol, "http-flv" | "ws-flv").then(|| sessions::FLV.open()),
        }
    }

    /// The viewer has a seat, whose bytes count. Must outlive it by nothing: drop this first.
    #[must_use]
    pub fn seated(mut self, seat: &Seat) -> Self {
        self.span.record("session", seat.number());
        self.seat = Some(seat.handle());
        self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("weir_viewers", "protocol" => self.protocol).decrement(1.0);
        if let Some(view) = self.seat.as_ref().and_then(SeatHandle::view) {
            debug!(parent: &self.span, bytes_out = view.bytes_out, skipped = view.skipped, "viewing is over");
        }
    }
}

/// The texts and statuses are the ipchub contract's (sections 1.2 and 8).
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Denied(Denied::Unidentified) => (StatusCode::UNAUTHORIZED, "Token is not valid\n"),
            Self::Denied(Denied::Forbidden) => (StatusCode::FORBIDDEN, "Forbidden\n"),
            Self::Denied(Denied::Throttled(_)) => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many wrong credentials; try again later\n",
            ),
            Self::Denied(Denied::Unavailable) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The account store is away; try again later\n",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "404 page not found\n"),
        };
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if let Self::Denied(Denied::Throttled(wait)) = self {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

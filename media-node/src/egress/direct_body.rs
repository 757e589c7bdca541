//! A response body that the hub writes into the socket itself.

use super::viewing::Counted;
use crate::hub::{Departure, Seat};
use crate::listen::Connection;
use bytes::Bytes;
use http_body::{Body, Frame};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The body of a live stream over HTTP/1. Never yields a frame: once the response's head is out it
/// lets the seat write to the socket, and when the viewing is over it fails, which makes the HTTP
/// library close the connection without adding anything.
pub(super) struct DirectBody {
    connection: Connection,
    state: State,
    counted: Option<Counted>,
}

enum State {
    ExpectHandover(Option<Box<dyn FnOnce() -> Seat + Send>>),
    Viewing(Pin<Box<dyn Future<Output = Departure> + Send>>),
}

impl DirectBody {
    /// `sit` makes the seat when the socket is ours; nothing may be written by it before.
    pub(super) fn new(
        connection: Connection,
        counted: Counted,
        sit: impl FnOnce() -> Seat + Send + 'static,
    ) -> Self {
        let state = State::ExpectHandover(Some(Box::new(sit)));
        Self {
            connection,
            state,
            counted: Some(counted),
        }
    }
}

impl Body for DirectBody {
    type Data = Bytes;
    type Error = Departure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Departure>>> {
        loop {
            let this = &mut *self;
            match &mut this.state {
                State::ExpectHandover(sit) => {
                    ready!(this.connection.poll_handover(cx));
                    let Some(sit) = sit.take() else {
                        return Poll::Ready(Some(Err(Departure::Closed)));
                    };
                    let seat = sit();
                    let counted = this.counted.take().map(|counted| counted.seated(&seat));
                    this.state = State::Viewing(Box::pin(async move {
                        // Dropped before the seat, whose last figures it takes down.
                        let _counted = counted;
                        seat.run().await
                    }));
                }
                State::Viewing(viewing) => return Poll::Ready(Some(Err(ready!(viewing.as_mut().poll(cx))))),
            }
        }
    }
}

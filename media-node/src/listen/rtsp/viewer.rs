//! A connection that plays.

use super::{Connection, End, Step};
use crate::egress::{Counted, viewer_span};
use crate::hub::{Departure, Seat, Stream};
use bytes::BytesMut;
use std::convert::Infallible;
use std::sync::Arc;
use tracing::Instrument;
use weir_proto::rtsp::Message;
use weir_proto::rtsp::server::{Delivery, Setup};

impl Connection {
    /// Sends the stream and goes on answering requests.
    pub(super) async fn view(&mut self, stream: Arc<Stream>) -> Result<Infallible, End> {
        let span = viewer_span(stream.path(), "rtsp", Some(self.peer));
        self.watch(stream).instrument(span).await
    }

    async fn watch(&mut self, stream: Arc<Stream>) -> Result<Infallible, End> {
        let (setups, peer) = (self.session.setups(), self.peer.ip());
        if let Some(group) = self.transports.group(setups) {
            drop(stream);
            let mut member = group.join();
            return Err(self.attend(member.over(), None).await);
        }
        let seat = self
            .transports
            .seat(&stream, setups, &self.socket, self.carrier, peer)
            .ok_or(End::ManyLayouts)?;
        let _counted = Counted::new("rtsp").seated(&seat);
        drop(stream);
        // Datagrams leave the connection to the responses alone.
        let interleaved = |setup: &Setup| matches!(setup.delivery, Delivery::Interleaved { .. });
        let shared = setups.iter().all(interleaved).then_some(&seat);
        Err(self.attend(seat.run(), shared).await)
    }

    /// Answers requests until the viewing or the connection is over. If there are packets on it too,
    /// responses go between those of `shared`.
    async fn attend(&mut self, viewing: impl Future<Output = Departure>, shared: Option<&Seat>) -> End {
        let mut viewing = std::pin::pin!(viewing);
        loop {
            let message = match self.wire.next(&mut self.out) {
                Ok(message) => message,
                Err(end) => return end,
            };
            let is_idle = message.is_none();
            if let Some(Message::Request(request)) = message
                && let Step::Close = self.request(request).await
            {
                // The response is the last word; nothing more needs to fit behind it.
                let _ = self.socket.try_write(&self.out);
                return End::Teardown;
            }
            // A player's RTCP says nothing that we act on.
            match shared {
                None => {
                    if let Err(end) = self.write_out().await {
                        return end;
                    }
                }
                Some(seat) => {
                    let said = self.out.split().freeze();
                    if !said.is_empty() && !seat.send(said) {
                        return End::Unread;
                    }
                }
            }
            if is_idle {
                self.wire.release();
                self.out = BytesMut::new();
                tokio::select! {
                    departure = &mut viewing => return End::Viewed(departure),
                    read = self.wire.read_requests(&self.socket) => if let Err(end) = read {
                        return end;
                    },
                }
            }
        }
    }
}

//! A connection that plays.

use super::{Connection, End, Step};
use crate::egress::Counted;
use crate::hub::Stream;
use std::convert::Infallible;
use std::sync::Arc;
use weir_proto::rtsp::Message;

impl Connection {
    /// Sends the stream and goes on answering requests, whose responses go between the packets.
    pub(super) async fn view(&mut self, stream: Arc<Stream>) -> Result<Infallible, End> {
        let (setups, peer) = (self.session.setups(), self.peer.ip());
        let seat = self
            .transports
            .seat(&stream, setups, &self.socket, self.carrier, peer);
        let _counted = Counted::new("rtsp").seated(&seat);
        drop(stream);
        let end = {
            let mut viewing = std::pin::pin!(seat.run());
            loop {
                let message = match self.wire.next(&mut self.out) {
                    Ok(message) => message,
                    Err(end) => break end,
                };
                let is_idle = message.is_none();
                if let Some(Message::Request(request)) = message
                    && let Step::Close = self.request(request).await
                {
                    // The response is the last word; nothing more needs to fit behind it.
                    let _ = self.socket.try_write(&self.out);
                    break End::Teardown;
                }
                // A player's RTCP says nothing that we act on.
                let said = self.out.split().freeze();
                if !said.is_empty() && !seat.send(said) {
                    break End::Unread;
                }
                if is_idle {
                    tokio::select! {
                        departure = &mut viewing => break End::Viewed(departure),
                        read = self.wire.read_requests(&self.socket) => if let Err(end) = read {
                            break end;
                        },
                    }
                }
            }
        };
        Err(end)
    }
}

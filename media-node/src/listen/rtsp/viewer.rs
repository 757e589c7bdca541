//! A connection that plays.

use super::{Connection, End, READ_REQUESTS, Step, read};
use crate::egress::rtsp::is_udp;
use crate::egress::{Counted, viewer_span};
use crate::hub::Stream;
use std::convert::Infallible;
use std::sync::Arc;
use tracing::Instrument;
use weir_proto::rtsp::Message;

impl Connection {
    /// Sends the stream and goes on answering requests, whose responses go between the packets.
    pub(super) async fn view(&mut self, stream: Arc<Stream>) -> Result<Infallible, End> {
        let span = viewer_span(stream.path(), "rtsp", Some(self.peer));
        self.watch(stream).instrument(span).await
    }

    async fn watch(&mut self, stream: Arc<Stream>) -> Result<Infallible, End> {
        let seat = self
            .transports
            .seat(&stream, self.session.setups(), &self.socket, self.peer.ip())
            .ok_or(End::ManyLayouts)?;
        let is_udp = is_udp(self.session.setups());
        let _counted = Counted::new("rtsp").seated(&seat);
        drop(stream);
        let end = {
            let mut viewing = std::pin::pin!(seat.run());
            loop {
                match self.parser.parse(&mut self.input) {
                    Err(error) => break End::NotRtsp(error),
                    Ok(Some(Message::Request(request))) => {
                        let step = self.request(request).await;
                        if is_udp && !matches!(step, Step::Close) {
                            // Nobody else writes to this connection.
                            if let Err(end) = self.write_out().await {
                                break end;
                            }
                            continue;
                        }
                        let response = self.out.split().freeze();
                        if matches!(step, Step::Close) {
                            // The response is the last word; nothing more needs to fit behind it.
                            let _ = self.socket.try_write(&response);
                            break End::Teardown;
                        }
                        if !response.is_empty() && !seat.send(response) {
                            break End::Unread;
                        }
                    }
                    // A player's RTCP says nothing that we act on.
                    Ok(Some(Message::Interleaved(_) | Message::Response(_))) => {}
                    Ok(None) => tokio::select! {
                        departure = &mut viewing => break End::Viewed(departure),
                        read = read(&self.socket, &mut self.input, READ_REQUESTS) => if let Err(end) = read {
                            break end;
                        },
                    },
                }
            }
        };
        Err(end)
    }
}

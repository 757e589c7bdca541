//! A connection that publishes.

use super::{Connection, End, READ_MEDIA, SILENCE, Step};
use crate::ingest::rtsp_publish::Publication;
use crate::ingest::rtsp_udp::UdpInputs;
use std::convert::Infallible;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument, info, info_span};
use weir_proto::media::StreamPath;
use weir_proto::rtsp::server::Setup;
use weir_proto::rtsp::{Message, Status};

impl Connection {
    /// Answers RECORD.
    pub(super) fn record(&mut self, path: &str, setups: &[Setup]) -> Step {
        let (Some(path), Some(description)) = (StreamPath::parse(path), &self.announced) else {
            self.session.refuse(Status::NotFound, None, &mut self.out);
            return Step::Answered;
        };
        let set_up = |index| setups.iter().any(|s| s.track == index);
        let publication = self
            .door
            .publishing
            .record(path, description, set_up, self.peer.to_string());
        let ports = std::mem::take(&mut self.inbound);
        let datagrams = UdpInputs::new(self.peer.ip(), description, setups, ports);
        self.session.accept(&mut self.out);
        Step::Record(Box::new(publication), datagrams)
    }

    /// Takes packets until the publisher leaves.
    pub(super) async fn publish(
        &mut self,
        mut publication: Publication,
        datagrams: Option<UdpInputs>,
    ) -> Result<Infallible, End> {
        let span =
            info_span!("ingest", stream = %publication.path(), protocol = "rtsp-push", peer = %self.peer);
        let receiving = async {
            info!(udp = datagrams.is_some(), "a publisher has come");
            let end = match datagrams {
                None => self.receive(&mut publication).await,
                Some(datagrams) => self.receive_datagrams(&mut publication, datagrams).await,
            };
            info!("the publisher has gone");
            end
        };
        receiving.instrument(span).await
    }

    async fn receive(&mut self, publication: &mut Publication) -> Result<Infallible, End> {
        loop {
            while let Some(message) = self.wire.next(&mut self.out)? {
                match message {
                    Message::Interleaved(packet) => match self.session.channel(packet.channel) {
                        Some((track, false)) => publication.packet(track, packet.data)?,
                        Some((track, true)) => publication.report(track, &packet.data),
                        None => {}
                    },
                    Message::Request(request) => {
                        let step = self.request(request).await;
                        self.write_out().await?;
                        if matches!(step, Step::Close) {
                            return Err(End::Teardown);
                        }
                    }
                    Message::Response(_) => {}
                }
            }
            if !publication.flush() {
                return Err(End::Replaced);
            }
            self.write_out().await?;
            timeout(SILENCE, self.wire.read(&self.socket, READ_MEDIA))
                .await
                .map_err(|_| End::Silence)??;
        }
    }

    /// The same where the packets come beside the connection, on which there are requests alone. What
    /// counts against silence is media.
    async fn receive_datagrams(
        &mut self,
        publication: &mut Publication,
        mut datagrams: UdpInputs,
    ) -> Result<Infallible, End> {
        let mut until = Instant::now() + SILENCE;
        loop {
            while let Some(message) = self.wire.next(&mut self.out)? {
                let Message::Request(request) = message else {
                    continue;
                };
                let step = self.request(request).await;
                self.write_out().await?;
                if matches!(step, Step::Close) {
                    return Err(End::Teardown);
                }
            }
            if datagrams.take(publication)? {
                until = Instant::now() + SILENCE;
            }
            if !publication.flush() {
                return Err(End::Replaced);
            }
            let news = async {
                tokio::select! {
                    read = self.wire.read_requests(&self.socket) => read,
                    () = datagrams.ready() => Ok(()),
                }
            };
            timeout_at(until, news).await.map_err(|_| End::Silence)??;
        }
    }
}

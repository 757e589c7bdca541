//! A connection that publishes.

use super::{Connection, End, READ_MEDIA, SILENCE, refusal_of};
use crate::auth::Action;
use crate::ingest::rtmp_publish::{PROTOCOL, Publication};
use tokio::time::timeout;
use tracing::{Instrument, info, info_span};
use weir_proto::media::StreamPath;
use weir_proto::rtmp::server::{Event, Refusal, Request};

impl Connection {
    /// Takes media until the publisher closes its stream.
    pub(super) async fn publish(&mut self, request: Request) -> Result<(), End> {
        tracing::Span::current().record("stream", &request.path);
        let Some(path) = StreamPath::parse(&request.path) else {
            return Err(self.refuse(Refusal::NotFound, End::MayNotPublish).await);
        };
        let caller = self.caller(&request).await;
        let auth = &self.door.viewing.auth;
        if let Err(denied) = auth.authorize(&caller, Action::Publish(&path)) {
            return Err(self.refuse(refusal_of(denied), End::MayNotPublish).await);
        }
        self.session.accept(&mut self.out);
        let span = info_span!("ingest", stream = %path, protocol = PROTOCOL, peer = %self.peer);
        let publishing = self.door.publishing.clone();
        let publication = Publication::new(publishing, path, self.peer.to_string());
        let receiving = async {
            info!(encoder = request.encoder, "a publisher has come");
            let end = self.receive(publication).await;
            info!("the publisher has gone");
            end
        };
        receiving.instrument(span).await
    }

    async fn receive(&mut self, mut publication: Publication) -> Result<(), End> {
        loop {
            let mut closed = false;
            while let Some(event) = self.session.handle_input(&mut self.input, &mut self.out)? {
                match event {
                    Event::Media(tag) => publication.push(&tag)?,
                    Event::Closed => {
                        closed = true;
                        break;
                    }
                    // What metadata say is often wrong; the rest is a viewer's.
                    _ => {}
                }
            }
            let is_live = publication.flush();
            if !is_live {
                self.session.end(&mut self.out);
            }
            self.write_out().await?;
            if !is_live {
                return Err(End::Replaced);
            }
            if closed {
                return Ok(());
            }
            timeout(SILENCE, self.read(READ_MEDIA))
                .await
                .map_err(|_| End::Silence)??;
        }
    }
}

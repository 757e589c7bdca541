//! A connection that plays.

use super::{Connection, End, READ_COMMANDS, refusal_of};
use crate::egress::{self, Counted, Gate, viewer_span};
use crate::hub::{Departure, Stream};
use std::convert::Infallible;
use std::sync::Arc;
use tracing::Instrument;
use weir_proto::media::StreamPath;
use weir_proto::rtmp::server::{Event, Refusal, Request};

impl Connection {
    /// Sends the stream, with answers between its messages, until the viewer leaves or the stream ends.
    pub(super) async fn play(&mut self, request: Request) -> Result<Infallible, End> {
        tracing::Span::current().record("stream", &request.path);
        let stream = match self.find(&request).await {
            Ok(stream) => stream,
            Err(refusal) => return Err(self.refuse(refusal, End::NothingToPlay).await),
        };
        self.session.accept(&mut self.out);
        self.write_out().await?;
        let span = viewer_span(stream.path(), "rtmp", Some(self.peer));
        self.watch(stream).instrument(span).await
    }

    async fn find(&self, request: &Request) -> Result<Arc<Stream>, Refusal> {
        let path = StreamPath::parse(&request.path).ok_or(Refusal::NotFound)?;
        let caller = self.caller(request).await;
        match self.door.viewing.admit(&caller, &path).await {
            Ok(stream) if egress::rtmp::carries_any(&stream) => Ok(stream),
            Ok(_) => Err(Refusal::Failed),
            Err(egress::Refusal::NotFound) => Err(Refusal::NotFound),
            Err(egress::Refusal::Denied(denied)) => Err(refusal_of(denied)),
        }
    }

    async fn watch(&mut self, stream: Arc<Stream>) -> Result<Infallible, End> {
        let gate = Gate::default();
        let seat = egress::rtmp::seat(&stream, &self.socket, self.peer, &gate);
        let _counted = Counted::new("rtmp").seated(&seat);
        drop(stream);
        let departure = {
            let mut viewing = std::pin::pin!(seat.run());
            loop {
                let event = self.session.handle_input(&mut self.input, &mut self.out)?;
                let answer = self.out.split().freeze();
                if matches!(event, Some(Event::Closed)) {
                    // The last word; nothing more needs to fit behind it.
                    let _ = self.socket.try_write(&answer);
                    return Err(End::Closed);
                }
                if !answer.is_empty() && !seat.send(answer) {
                    return Err(End::Unread);
                }
                match event {
                    Some(Event::Pause(true)) => gate.close(),
                    Some(Event::Pause(false)) => gate.open(),
                    Some(_) => {}
                    None => tokio::select! {
                        departure = &mut viewing => break departure,
                        read = self.read(READ_COMMANDS) => read?,
                    },
                }
            }
        };
        if matches!(departure, Departure::Ended) {
            self.session.end(&mut self.out);
            self.write_out().await?;
        }
        Err(End::Viewed(departure))
    }
}

//! Pushes a stream to an RTSP server, interleaved: the same packets as players get.

use super::form::rtp::{Channels, Layout, MOST_TRACKS};
use super::forward::{Attempt, CONNECT_PATIENCE, Failure, GOODBYE, Over, Reason};
use super::rtmp_push::READ;
use super::rtsp::watch;
use super::viewing::Counted;
use crate::dial::{Credentials, Trust, rtsp_port};
use crate::hub::{Seat, TcpSink, Visitor};
use crate::socket::{Socket, read, write};
use bytes::BytesMut;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use url::Url;
use weir_proto::media::Tracks;
use weir_proto::rtsp::client::{Config, Error, Event, Session};
use weir_proto::rtsp::{Message, Parser};
use weir_proto::sdp;

/// How often it is looked whether the stream has more tracks than were announced.
const LOOK: Duration = Duration::from_secs(2);

/// Publishes the attempt's stream until something ends it.
pub(super) async fn push(
    attempt: &mut Attempt<'_>,
    url: &Url,
    credentials: Option<&Credentials>,
    trust: Option<&Trust>,
) -> Over {
    let tracks = attempt.stream.tracks();
    let opening = Opened::open(attempt, url, credentials, trust, &tracks);
    let opening = timeout(CONNECT_PATIENCE, opening);
    let opened = match attempt.stop.run_until_cancelled(opening).await {
        None => return Over::Stopped,
        Some(Err(_)) => Err(attempt.silence()),
        Some(Ok(opened)) => opened,
    };
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(failure) => return Over::Failed(failure),
    };
    let stream = attempt.stream;
    let layout = Layout::Interleaved(opened.channels());
    if !stream.has_room_for(layout.key()) {
        let message = "the stream is packaged in too many ways at once: push it to fewer servers";
        return Over::Failed(Failure::new(Reason::Refused, message));
    }
    let visitor = Visitor {
        protocol: "rtsp-push",
        detail: attempt.shown.to_owned(),
    };
    let socket = opened.socket.clone();
    let seat = watch(stream, layout, Box::new(TcpSink::new(socket.clone())), visitor);
    let _counted = Counted::new("rtsp-push").seated(&seat);
    // One and the same until the end: what it has in hand while it catches up is lost with it.
    let mut sending = pin!(seat.run());
    attempt.live();
    let more_tracks = async {
        while stream.tracks().iter().count() == tracks.iter().count() {
            sleep(LOOK).await;
        }
    };
    let over = tokio::select! {
        departure = &mut sending => attempt.departed(&departure),
        failure = opened.hear(attempt, &seat) => Over::Failed(failure),
        () = more_tracks => Over::TracksChanged,
        () = attempt.stop.cancelled() => Over::Stopped,
    };
    let mut goodbye = BytesMut::new();
    let now = opened.began.elapsed();
    opened.client.finish(now, &mut goodbye);
    match over {
        Over::Stopped | Over::TracksChanged => {
            // Between two packets, and then until the server has answered.
            seat.send(goodbye.freeze());
            let farewell = async {
                tokio::select! {
                    _ = &mut sending => {}
                    _ = opened.hear(attempt, &seat) => {}
                }
            };
            let _ = timeout(GOODBYE, farewell).await;
        }
        Over::StreamEnded => {
            let _ = timeout(GOODBYE, write(&socket, &mut goodbye)).await;
        }
        Over::Failed(_) => {}
    }
    over
}

/// A connection on which the server takes the stream.
struct Opened {
    socket: Arc<Socket>,
    client: Session,
    parser: Parser,
    input: BytesMut,
    began: Instant,
}

impl Opened {
    async fn open(
        attempt: &Attempt<'_>,
        url: &Url,
        credentials: Option<&Credentials>,
        trust: Option<&Trust>,
        tracks: &Tracks,
    ) -> Result<Self, Failure> {
        let host = url.host_str().unwrap_or_default();
        let socket = attempt.dial(host, rtsp_port(url), trust).await?;
        let config = Config {
            url: url.as_str().to_owned(),
            credentials: credentials.map(|c| (c.username.clone(), c.password.clone())),
            user_agent: format!("weir/{}", env!("CARGO_PKG_VERSION")),
            client_nonce: hex::encode(rand::random::<[u8; 8]>()),
        };
        let tracks = Tracks::new(tracks.iter().take(MOST_TRACKS).cloned());
        let description = sdp::write(attempt.stream.path().as_str(), &tracks);
        let (mut out, began) = (BytesMut::new(), Instant::now());
        let count = tracks.iter().count() as u8;
        let client = Session::begin(config, description, count, Duration::ZERO, &mut out);
        let mut opened = Self {
            socket: Arc::new(socket),
            client,
            parser: Parser::new(),
            input: BytesMut::new(),
            began,
        };
        let broken = |_: io::Error| attempt.closed();
        loop {
            write(&opened.socket, &mut out).await.map_err(broken)?;
            match opened.next(attempt.shown, &mut out)? {
                Some(Some(Event::Recording)) => return Ok(opened),
                Some(Some(Event::Ended)) => return Err(attempt.closed()),
                Some(None) => {}
                None => {
                    if read(&opened.socket, &mut opened.input, READ)
                        .await
                        .map_err(broken)?
                        == 0
                    {
                        return Err(attempt.closed());
                    }
                }
            }
        }
    }

    /// By track, as the packets are to be marked.
    fn channels(&self) -> Channels {
        let mut channels = [None; MOST_TRACKS];
        for (slot, pair) in channels.iter_mut().zip(self.client.channels()) {
            *slot = Some(*pair);
        }
        channels
    }

    /// What the next message of the server means. None: there is no whole one yet.
    #[expect(clippy::option_option, reason = "a message may be there and be no news")]
    fn next(&mut self, shown: &str, out: &mut BytesMut) -> Result<Option<Option<Event>>, Failure> {
        let message: Option<Message> = self.parser.parse(&mut self.input).map_err(|error| {
            let message = format!("{shown} does not speak RTSP: {error}");
            Failure::new(Reason::ProtocolError, message)
        })?;
        let Some(message) = message else {
            return Ok(None);
        };
        let now = self.began.elapsed();
        let event = self.client.handle_message(now, &message, out);
        event.map(Some).map_err(|error| explain(shown, &error))
    }

    /// Keeps the session, until the server ends it.
    async fn hear(&mut self, attempt: &Attempt<'_>, seat: &Seat) -> Failure {
        let mut out = BytesMut::new();
        loop {
            loop {
                match self.next(attempt.shown, &mut out) {
                    Err(failure) => return failure,
                    Ok(Some(Some(Event::Ended))) => {
                        let message = format!("{} ended the session", attempt.shown);
                        return Failure::new(Reason::ClosedByTarget, message);
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                }
            }
            let now = self.began.elapsed();
            if let Err(error) = self.client.handle_timeout(now, &mut out) {
                return explain(attempt.shown, &error);
            }
            if !out.is_empty() && !seat.send(out.split().freeze()) {
                let message = format!("{} does not read what it is asked", attempt.shown);
                return Failure::new(Reason::TooSlow, message);
            }
            let until = self.began + self.client.poll_timeout();
            tokio::select! {
                heard = read(&self.socket, &mut self.input, READ) => match heard {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return attempt.closed(),
                },
                () = sleep_until(until) => {}
            }
        }
    }
}

fn explain(shown: &str, error: &Error) -> Failure {
    match error {
        Error::NoCredentials => Failure::new(
            Reason::AuthFailed,
            format!(
                "{shown} wants credentials: put username and password into a Secret, and name it in secretName"
            ),
        ),
        Error::WrongCredentials => Failure::new(
            Reason::AuthFailed,
            format!("{shown} refuses the credentials: check username and password in the Secret"),
        ),
        Error::Refused {
            method,
            status,
            reason,
        } => {
            let said = format!("{shown} refuses {method}: {status} {reason}");
            Failure::new(
                Reason::Refused,
                format!(
                    "{said}; check the path in the URL, whether the account may publish, and whether somebody \
                     publishes there already"
                ),
            )
        }
        Error::NoAnswer(_) => Failure::new(Reason::Unreachable, format!("{shown}: {error}")),
        error => Failure::new(Reason::ProtocolError, format!("{shown}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::source_policy::SourcePolicy;
    use crate::egress::forward::{Forward, Forwarder, LaunchForward, Reporter, State, Target};
    use crate::hub::{Hub, Provenance, Segmentation};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;
    use weir_proto::media::codec::h264;
    use weir_proto::media::{AccessUnit, CodecParameters, StreamPath, Timestamp, Track};

    /// Answers until RECORD, and then nothing more.
    async fn answer(socket: &mut TcpStream) {
        let (mut parser, mut input) = (Parser::new(), BytesMut::new());
        loop {
            while let Some(message) = parser.parse(&mut input).expect("RTSP") {
                let Message::Request(request) = message else {
                    continue;
                };
                let number = request.headers.get("CSeq").expect("a number");
                let text = format!("RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: s\r\n\r\n");
                socket.write_all(text.as_bytes()).await.expect("it is open");
                if request.method() == "RECORD" {
                    return;
                }
            }
            socket.read_buf(&mut input).await.expect("it is open");
        }
    }

    /// A picture of a megabyte.
    fn picture(number: i64) -> AccessUnit {
        let mut nal = vec![0x41; 1 << 20];
        nal[0] = 0x65;
        let mut data = BytesMut::new();
        data.extend_from_slice(&(nal.len() as u32).to_be_bytes());
        data.extend_from_slice(&nal);
        let at = Timestamp::new(3600 * number, 90_000);
        AccessUnit {
            track: 0,
            pts: at,
            dts: at,
            keyframe: number == 0,
            segment: None,
            data: data.freeze(),
        }
    }

    #[tokio::test]
    async fn a_server_that_is_behind_hears_that_it_is_over() {
        let hub = Hub::new();
        let path = StreamPath::parse("door").expect("a path");
        let video = h264::Parameters {
            sps: bytes::Bytes::from_static(&[0x67, 66, 0, 30]),
            pps: bytes::Bytes::from_static(&[0x68, 1]),
            width: 640,
            height: 360,
            frame_rate: None,
        };
        let tracks = Tracks::new([Track {
            codec: CodecParameters::H264(video),
            clock_rate: 90_000,
        }]);
        let from = Provenance {
            protocol: "test",
            address: String::new(),
            session: 1,
        };
        let own = Segmentation::Own(Duration::from_secs(2));
        let mut publisher = hub.publish(&path, tracks, from, own);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (_policy, policy) = watch::channel(Arc::new(SourcePolicy::standalone()));
        let forwarder = Forwarder {
            hub: hub.clone(),
            policy,
            doors: Vec::new(),
        };
        let target = Target::Rtsp {
            url: Url::parse(&format!("rtsp://127.0.0.1:{port}/in")).expect("a URL"),
            credentials: None,
            trust: Trust::Public,
        };
        let (sender, mut state) = watch::channel(State::NoStream);
        let stop = CancellationToken::new();
        let reporter = Reporter {
            state: sender,
            stop: stop.clone(),
        };
        let forward = Forward { path, target };
        let pushing = forwarder.launch(forward, reporter);
        let (mut server, _) = listener.accept().await.expect("a connection");
        answer(&mut server).await;
        let live = state.wait_for(|state| *state == State::Live);
        timeout(Duration::from_secs(5), live)
            .await
            .expect("in time")
            .expect("live");
        // More than any two sockets hold.
        for number in 0..24 {
            publisher.push(picture(number));
            publisher.flush();
        }
        sleep(Duration::from_millis(200)).await;
        stop.cancel();
        let mut heard = Vec::new();
        let end = timeout(Duration::from_secs(5), server.read_to_end(&mut heard)).await;
        end.expect("it ends").expect("it is closed");
        assert!(
            heard.windows(9).any(|w| w == b"TEARDOWN "),
            "{} bytes",
            heard.len()
        );
        pushing.await.expect("it ends");
    }
}

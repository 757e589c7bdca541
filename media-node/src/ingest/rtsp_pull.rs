//! RTSP sources that we dial, by the retina client.
//!
//! retina speaks RTSP and RTP and hands out whole frames; what is added here is the deadline on
//! everything, the hub's framing, and saying in a person's words why a camera can't be had. With TLS it
//! speaks through `rtsp_tls`.

use super::clock::TrackClock;
use super::retry::{Attempt, Failure, Session};
use super::{Credentials, Job, Reason, Transport, Trust, rtsp_tls};
use crate::auth::source_policy::{Refused, SourcePolicy};
use crate::dial::{self, is_rtsps, rtsp_port, shown};
use crate::hub::{Hub, Provenance, Publisher, Segmentation};
use crate::telemetry::sessions;
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use retina::client::{
    Demuxed, InitialTimestampPolicy, PlayOptions, SessionGroup, SessionOptions, SetupOptions,
    TcpTransportOptions, TeardownPolicy, UdpTransportOptions,
};
use retina::codec::{CodecItem, ParametersRef};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{timeout, timeout_at};
use tracing::{debug, info, trace};
use url::Url;
use weir_proto::media::codec::{aac, g711, h264, h265};
use weir_proto::media::{
    AccessUnit, Codec, CodecParameters, Track, TrackKind, Tracks, codec::PictureBuilder,
};

/// From the first SYN to the answer to PLAY (ipchub contract, section 6).
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// A connected source of which no picture comes for this long is taken for dead; no sound, where it has no
/// pictures.
const DATA_PATIENCE: Duration = Duration::from_secs(10);
/// Parameter sets may come in band, with a keyframe; some cameras send one in 20 s.
const PARAMETERS_PATIENCE: Duration = Duration::from_secs(30);
/// Time for the TEARDOWN of the attempt before; some cameras allow one session only.
const TEARDOWN_PATIENCE: Duration = Duration::from_secs(2);

/// One camera, over all its attempts.
pub(super) struct RtspPull<'a> {
    pub(super) hub: &'a Arc<Hub>,
    pub(super) policy: watch::Receiver<Arc<SourcePolicy>>,
    pub(super) job: &'a Job,
    pub(super) url: &'a Url,
    pub(super) transport: Transport,
    pub(super) credentials: Option<&'a Credentials>,
    pub(super) trust: &'a Trust,
    pub(super) segment: Duration,
    pub(super) sessions: Arc<SessionGroup>,
}

/// How long a source goes on that sends nothing that can be watched, whatever else it sends: reports of
/// a dead encoder come for ever.
struct Patience {
    /// When it began to play.
    began: tokio::time::Instant,
    /// When an access unit came last that counts.
    seen: Option<tokio::time::Instant>,
    /// When anything came last.
    heard: Option<tokio::time::Instant>,
}

impl Patience {
    const fn new(began: tokio::time::Instant) -> Self {
        Self {
            began,
            seen: None,
            heard: None,
        }
    }

    fn note(&mut self, now: tokio::time::Instant, seen: bool) {
        self.heard = Some(now);
        if seen {
            self.seen = Some(now);
        }
    }

    /// `live`: there are parameter sets for what comes.
    fn deadline(&self, live: bool) -> tokio::time::Instant {
        let deadline = self.seen.unwrap_or(self.began) + DATA_PATIENCE;
        if live {
            deadline
        } else {
            deadline.min(self.began + PARAMETERS_PATIENCE)
        }
    }

    /// What to say when the deadline has passed.
    fn verdict(&self, live: bool) -> (Reason, String) {
        let deadline = self.deadline(live);
        let since = |at: Option<tokio::time::Instant>| at.is_some_and(|at| at + DATA_PATIENCE > deadline);
        let seconds = DATA_PATIENCE.as_secs();
        if since(self.seen) {
            let text = format!(
                "sends pictures without parameter sets, so nobody can decode them: none came within {} s; restart the \
                 camera, and switch smart or plus variants of its codec off",
                PARAMETERS_PATIENCE.as_secs()
            );
            (Reason::UnsupportedCodec, text)
        } else if since(self.heard) {
            let text = format!(
                "is connected, but sent nothing to watch for {seconds} s; restart the camera, or look whether this \
                 stream of it is switched on"
            );
            (Reason::NoData, text)
        } else {
            (
                Reason::NoData,
                format!("sent nothing for {seconds} s; check the camera"),
            )
        }
    }
}

/// What is read of one of the source's streams.
struct Input {
    kind: TrackKind,
    parameters: Option<CodecParameters>,
    clock_rate: u32,
    pictures: Option<PictureBuilder>,
    clock: TrackClock,
    /// Index into the stream's tracks, once its parameters are known.
    track: Option<u8>,
}

impl Attempt for RtspPull<'_> {
    async fn attempt(&self, session: &mut Session<'_>) -> Failure {
        match self.run(session).await {
            Ok(never) => match never {},
            Err(failure) => {
                let _ = timeout(TEARDOWN_PATIENCE, self.sessions.await_teardown()).await;
                failure
            }
        }
    }
}

impl RtspPull<'_> {
    /// Connects, plays, and publishes until something ends it.
    async fn run(&self, session: &mut Session<'_>) -> Result<std::convert::Infallible, Failure> {
        let address = self.resolve().await?;
        let udp_first = self.transport == Transport::Udp;
        let connected = match self.connect(address, udp_first).await {
            // 461: the camera has no such transport; where the user left it open, take the other. By UDP nothing is encrypted.
            Err((_, Some(461))) if self.transport == Transport::Auto && !is_rtsps(self.url) => {
                self.connect(address, true).await
            }
            other => other,
        };
        let (mut demuxed, mut inputs) = connected.map_err(|(failure, _)| failure)?;
        let _open = sessions::RTSP.open();
        let mut publisher = None;
        let mut patience = Patience::new(tokio::time::Instant::now());
        loop {
            let deadline = patience.deadline(publisher.is_some());
            let item = timeout_at(deadline, demuxed.next()).await.map_err(|_| {
                let (reason, why) = patience.verdict(publisher.is_some());
                Failure::new(reason, format!("{} {why}", self.shown()))
            })?;
            let mut seen = self.take(item, &mut inputs, &mut publisher, session)?;
            // Whatever else is at hand goes out in the same round of writes.
            while let Some(item) = demuxed.next().now_or_never() {
                seen |= self.take(item, &mut inputs, &mut publisher, session)?;
            }
            patience.note(tokio::time::Instant::now(), seen);
            if let Some(publisher) = &mut publisher {
                publisher.flush();
                if !publisher.is_live() {
                    return Err(Failure::new(
                        Reason::Closed,
                        "another publisher took the path, or the stream was closed",
                    ));
                }
            }
        }
    }

    async fn resolve(&self) -> Result<SocketAddr, Failure> {
        let port = rtsp_port(self.url);
        let host = self.url.host_str().unwrap_or_default();
        let policy = self.policy.borrow().clone();
        dial::resolve(&policy, host, port)
            .await
            .map_err(|error| match error {
                dial::Error::Refused(Refused::AddressDenied { .. }) => {
                    Failure::new(Reason::AddressDenied, error.to_string())
                }
                dial::Error::Refused(Refused::Unresolvable { .. }) => {
                    Failure::new(Reason::Unreachable, error.to_string())
                }
                error => Failure::new(Reason::Unreachable, format!("{error}; check the source's url")),
            })
    }

    /// The source as people may see it.
    fn shown(&self) -> Url {
        shown(self.url)
    }

    /// On failure also the RTSP status, if there was one.
    async fn connect(
        &self,
        address: SocketAddr,
        udp: bool,
    ) -> Result<(Demuxed, Vec<Option<Input>>), (Failure, Option<u16>)> {
        match timeout(CONNECT_PATIENCE, self.dial(address, udp)).await {
            Ok(result) => result,
            Err(_) => Err((
                Failure::new(
                    Reason::Unreachable,
                    format!(
                        "{} did not answer within {} s",
                        self.shown(),
                        CONNECT_PATIENCE.as_secs()
                    ),
                ),
                None,
            )),
        }
    }

    async fn dial(
        &self,
        address: SocketAddr,
        udp: bool,
    ) -> Result<(Demuxed, Vec<Option<Input>>), (Failure, Option<u16>)> {
        // The checked address is dialled, not the name: it could resolve to another one by now.
        let url = if is_rtsps(self.url) {
            self.secure(address).await.map_err(|failure| (failure, None))?
        } else {
            let mut url = self.url.clone();
            if url.set_ip_host(address.ip()).is_err() {
                return Err((
                    Failure::new(Reason::Unreachable, "the source's url has no host"),
                    None,
                ));
            }
            url
        };
        let credentials = self.credentials.map(|c| retina::client::Credentials {
            username: c.username.clone(),
            password: c.password.reveal().clone(),
        });
        let options = SessionOptions::default()
            .creds(credentials)
            .session_group(self.sessions.clone())
            .teardown(TeardownPolicy::Auto)
            .user_agent(format!("weir/{}", env!("CARGO_PKG_VERSION")));
        let explain = |error: retina::Error| (self.explain(&error), error.status_code());
        let mut source = retina::client::Session::describe(url, options)
            .await
            .map_err(explain)?;
        let session_start = Arc::new(OnceLock::new());
        let mut inputs: Vec<Option<Input>> = Vec::new();
        let mut refused = Vec::new();
        for stream in source.streams() {
            let input = Input::new(stream, &session_start);
            let wanted = input.as_ref().is_some_and(|new| {
                (new.kind == TrackKind::Video || self.job.audio)
                    && !inputs.iter().flatten().any(|i| i.kind == new.kind)
            });
            if !wanted {
                refused.push(stream.encoding_name().to_owned());
            }
            inputs.push(input.filter(|_| wanted));
        }
        if inputs.iter().all(Option::is_none) {
            let message = format!(
                "{} offers only {}; H.264, H.265, AAC and G.711 are carried",
                self.shown(),
                if refused.is_empty() {
                    "nothing".to_owned()
                } else {
                    refused.join(", ")
                }
            );
            return Err((Failure::new(Reason::UnsupportedCodec, message), None));
        }
        let transport = || {
            if udp {
                retina::client::Transport::Udp(UdpTransportOptions::default())
            } else {
                retina::client::Transport::Tcp(TcpTransportOptions::default())
            }
        };
        for (index, _) in inputs.iter().enumerate().filter(|(_, i)| i.is_some()) {
            source
                .setup(index, SetupOptions::default().transport(transport()))
                .await
                .map_err(explain)?;
        }
        let play = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
        let playing = source.play(play).await.map_err(explain)?;
        let demuxed = playing.demuxed().map_err(explain)?;
        if !refused.is_empty() {
            debug!(stream = %self.job.path, left_out = refused.join(", "), "some of the source's tracks are left out");
        }
        Ok((demuxed, inputs))
    }

    /// Connects with TLS; the answer is where the client has the source now.
    async fn secure(&self, address: SocketAddr) -> Result<Url, Failure> {
        let unreachable = |error: std::io::Error| {
            let message = format!("{} can't be reached: {error}", self.shown());
            Failure::new(Reason::Unreachable, message)
        };
        let socket = TcpStream::connect(address).await.map_err(unreachable)?;
        socket.set_nodelay(true).map_err(unreachable)?;
        let host = self.url.host_str().unwrap_or_default();
        let secured = dial::secure(socket, host, self.trust).await;
        let secured = secured.map_err(|error| Failure::tls(self.shown(), &error))?;
        let opened = rtsp_tls::open(secured, self.url, self.credentials).await;
        opened.map_err(|error| {
            let message = format!("no port for a connection with {}: {error}", self.shown());
            Failure::new(Reason::Unreachable, message)
        })
    }

    /// One item of the source. True for an access unit of what its viewers came for: the video, if it
    /// has any.
    fn take(
        &self,
        item: Option<Result<CodecItem, retina::Error>>,
        inputs: &mut [Option<Input>],
        publisher: &mut Option<Publisher>,
        session: &mut Session<'_>,
    ) -> Result<bool, Failure> {
        let item = match item {
            Some(Ok(item)) => item,
            Some(Err(error)) => return Err(self.explain(&error)),
            None => {
                return Err(Failure::new(
                    Reason::Ended,
                    format!("{} ended the stream", self.shown()),
                ));
            }
        };
        let (index, changed, unit) = match item {
            CodecItem::VideoFrame(frame) => {
                let index = frame.stream_id();
                let Some(input) = inputs.get_mut(index).and_then(Option::as_mut) else {
                    return Ok(false);
                };
                if frame.loss() > 0 {
                    metrics::counter!("weir_ingest_lost_packets_total").increment(frame.loss().into());
                    trace!(stream = %self.job.path, lost = frame.loss(), "packets were lost on the way");
                }
                let (changed, unit) = input.picture(&frame);
                (index, changed, unit)
            }
            CodecItem::AudioFrame(frame) => {
                let index = frame.stream_id();
                let Some(input) = inputs.get_mut(index).and_then(Option::as_mut) else {
                    return Ok(false);
                };
                (index, false, input.audio(&frame))
            }
            CodecItem::Rtcp(compound) => {
                let index = compound.stream_id();
                if let (Some(input), Some((ntp, elapsed))) = (
                    inputs.get_mut(index).and_then(Option::as_mut),
                    sender_report(&compound),
                ) {
                    input.clock.sender_report(ntp, elapsed);
                }
                // The picture stays where it is, whichever the camera describes first: segments are cut by it.
                let mut all: Vec<_> = inputs.iter_mut().flatten().collect();
                all.sort_by_key(|input| input.kind != TrackKind::Video);
                TrackClock::align(all.into_iter().map(|i| &mut i.clock));
                return Ok(false);
            }
            _ => return Ok(false),
        };
        let is_video = inputs[index].as_ref().is_some_and(|i| i.kind == TrackKind::Video);
        let has_video = inputs.iter().flatten().any(|i| i.kind == TrackKind::Video);
        let seen = unit.is_some() && (is_video || !has_video);
        if (changed || publisher.is_none()) && !self.begin(inputs, publisher, session, is_video || changed) {
            return Ok(seen);
        }
        let (Some(publisher), Some(mut unit)) = (publisher, unit) else {
            return Ok(seen);
        };
        if let Some(track) = inputs[index].as_ref().and_then(|i| i.track) {
            unit.track = track;
            publisher.push(unit);
        }
        Ok(seen)
    }

    /// Publishes once all parameters are known, and tells of changes. False: still too early.
    fn begin(
        &self,
        inputs: &mut [Option<Input>],
        publisher: &mut Option<Publisher>,
        session: &mut Session<'_>,
        worth_trying: bool,
    ) -> bool {
        if !worth_trying && inputs.iter().flatten().any(|i| i.kind == TrackKind::Video) {
            return false;
        }
        if inputs
            .iter()
            .flatten()
            .any(|i| i.kind == TrackKind::Video && i.parameters.is_none())
        {
            return false;
        }
        let mut tracks = Vec::new();
        for kind in [TrackKind::Video, TrackKind::Audio] {
            for input in inputs.iter_mut().flatten().filter(|i| i.kind == kind) {
                input.track = None;
                if let Some(codec) = input.parameters.clone() {
                    input.track = Some(tracks.len() as u8);
                    tracks.push(Track {
                        codec,
                        clock_rate: input.clock_rate,
                    });
                }
            }
        }
        let tracks = Tracks::new(tracks);
        if let Some(publisher) = publisher {
            publisher.set_tracks(&tracks);
        } else {
            let from = Provenance {
                protocol: "rtsp",
                address: self.address_shown(),
                session: rand::random(),
            };
            info!(stream = %self.job.path, source = %self.shown(), "the source is live");
            let segmentation = Segmentation::Own(self.segment);
            *publisher = Some(
                self.hub
                    .publish(&self.job.path, tracks.clone(), from, segmentation),
            );
        }
        session.live(&tracks);
        true
    }

    /// With the port always, as ipchub shows it.
    fn address_shown(&self) -> String {
        let mut shown = self.shown();
        if shown.port().is_none() {
            let _ = shown.set_port(Some(rtsp_port(self.url)));
        }
        shown.into()
    }

    fn explain(&self, error: &retina::Error) -> Failure {
        let url = self.shown();
        let text = without_query(error.to_string(), self.url);
        // What follows the first line are addresses and packet positions for a developer.
        debug!(stream = %self.job.path, error = text, "what the RTSP client says");
        let first = text.lines().next().unwrap_or_default();
        match error.status_code() {
            Some(401 | 403) if self.credentials.is_some() => Failure::new(
                Reason::AuthFailed,
                format!(
                    "{url} refused the credentials; check username and password in the Secret that spec.credentials names"
                ),
            ),
            Some(401 | 403) => Failure::new(
                Reason::AuthFailed,
                format!(
                    "{url} wants credentials; put username and password into a Secret and name it in spec.credentials.secretName"
                ),
            ),
            Some(404 | 454) => Failure::new(
                Reason::NotFound,
                format!("{url} answers, but has no such stream; check the path in the source's url"),
            ),
            Some(461) => Failure::new(
                Reason::ProtocolError,
                if is_rtsps(self.url) {
                    format!("{url} does not send its media on the encrypted connection")
                } else {
                    format!("{url} does not offer the transport; set spec.source.rtsp.transport to Auto")
                },
            ),
            Some(status) => Failure::new(
                Reason::ProtocolError,
                format!("{url} answered with status {status}"),
            ),
            None if first.starts_with("Unable to connect") => Failure::new(
                Reason::Unreachable,
                format!(
                    "{url} can't be reached: {}",
                    first.trim_start_matches("Unable to connect to RTSP server: ")
                ),
            ),
            None if first.starts_with("Unsupported") => {
                Failure::new(Reason::UnsupportedCodec, format!("{url}: {first}"))
            }
            None if first.starts_with("Timeout") => {
                Failure::new(Reason::NoData, format!("{url} stopped answering"))
            }
            None if first.starts_with("Error reading") || first.starts_with("Error writing") => {
                Failure::new(Reason::Ended, format!("the connection to {url} broke"))
            }
            None => Failure::new(Reason::ProtocolError, format!("{url}: {first}")),
        }
    }
}

impl Input {
    /// None for what isn't carried.
    fn new(stream: &retina::client::Stream, session_start: &Arc<OnceLock<Instant>>) -> Option<Self> {
        let codec = match stream.encoding_name() {
            "h264" => Codec::H264,
            "h265" => Codec::H265,
            "mpeg4-generic" | "mp4a-latm" => Codec::Aac,
            "pcma" | "pcmu" => Codec::G711,
            _ => return None,
        };
        let parameters = match (codec, stream.parameters()) {
            (Codec::H264, Some(ParametersRef::Video(p))) => h264_parameters(p.extra_data()),
            (Codec::H265, Some(ParametersRef::Video(p))) => h265_parameters(p.extra_data()),
            (Codec::Aac, Some(ParametersRef::Audio(p))) => {
                aac::Parameters::parse(Bytes::copy_from_slice(p.extra_data()))
                    .ok()
                    .map(CodecParameters::Aac)
            }
            (Codec::G711, _) => {
                let law = if stream.encoding_name() == "pcma" {
                    g711::Law::A
                } else {
                    g711::Law::Mu
                };
                let channels = stream.channels().map_or(1, |c| c.get() as u8);
                Some(CodecParameters::G711(g711::Parameters { law, channels }))
            }
            _ => None,
        };
        let kind = codec.kind();
        // Audio whose parameters only come later would hold up the picture; video's come in band.
        if kind == TrackKind::Audio && parameters.is_none() {
            return None;
        }
        Some(Self {
            kind,
            pictures: (kind == TrackKind::Video).then(|| PictureBuilder::new(codec, parameters.clone())),
            clock: TrackClock::new(stream.clock_rate_hz(), parameters.as_ref(), session_start.clone()),
            clock_rate: stream.clock_rate_hz(),
            parameters,
            track: None,
        })
    }

    /// A picture in the hub's framing, and whether it brought new parameters.
    fn picture(&mut self, frame: &retina::codec::VideoFrame) -> (bool, Option<AccessUnit>) {
        let pts = self
            .clock
            .stamp(frame.timestamp().elapsed(), frame.start_ctx().received());
        let Some(pictures) = &mut self.pictures else {
            return (false, None);
        };
        for unit in weir_proto::media::codec::nal::units(frame.data()) {
            pictures.push(unit);
        }
        let Some(picture) = pictures.finish() else {
            return (false, None);
        };
        let changed = picture.new_parameters.is_some();
        if changed {
            self.parameters = picture.new_parameters;
            if let Some(parameters) = &self.parameters {
                self.clock.set_parameters(parameters);
            }
        }
        let Some(dts) = self.clock.decoding_time(pts) else {
            return (changed, None);
        };
        let unit = AccessUnit {
            track: 0,
            pts,
            dts,
            keyframe: picture.keyframe,
            segment: None,
            data: picture.data,
        };
        (changed, Some(unit))
    }

    fn audio(&mut self, frame: &retina::codec::AudioFrame) -> Option<AccessUnit> {
        let pts = self
            .clock
            .stamp(frame.timestamp().elapsed(), frame.ctx().received());
        if !self.clock.sound_follows(pts) {
            return None;
        }
        let data = Bytes::copy_from_slice(frame.data());
        Some(AccessUnit {
            track: 0,
            pts,
            dts: pts,
            keyframe: false,
            segment: None,
            data,
        })
    }
}

/// What the client says may quote the URL.
fn without_query(text: String, url: &Url) -> String {
    match url.query() {
        Some(query) if !query.is_empty() => text.replace(query, "…"),
        _ => text,
    }
}

fn h264_parameters(record: &[u8]) -> Option<CodecParameters> {
    let record = h264::Record::parse(&Bytes::copy_from_slice(record)).ok()?;
    Some(CodecParameters::H264(record.parameters))
}

fn h265_parameters(record: &[u8]) -> Option<CodecParameters> {
    let record = h265::Record::parse(&Bytes::copy_from_slice(record)).ok()?;
    Some(CodecParameters::H265(record.parameters))
}

/// The NTP time of a sender report, and the track's timestamp at that time.
fn sender_report(compound: &retina::rtcp::ReceivedCompoundPacket) -> Option<(u64, i64)> {
    let elapsed = compound.rtp_timestamp()?.elapsed();
    let report = compound
        .pkts()
        .find_map(|p| p.as_sender_report().ok().flatten())?;
    Some((report.ntp_timestamp().0, elapsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_people_see_of_a_source_has_no_query() {
        let url = Url::parse("rtsp://camera/live?user=admin&password=canary-query#x").expect("a URL");
        let job = Job {
            path: weir_proto::media::StreamPath::parse("door").expect("a path"),
            camera: None,
            source: super::super::Source::Rtsp {
                url: url.clone(),
                transport: Transport::Auto,
                credentials: None,
                trust: Trust::Public,
            },
            audio: true,
            redial: true,
        };
        let pull = RtspPull {
            hub: &Hub::new(),
            policy: watch::channel(Arc::new(SourcePolicy::standalone())).1,
            job: &job,
            url: &url,
            transport: Transport::Auto,
            credentials: None,
            trust: &Trust::Public,
            segment: Duration::from_secs(2),
            sessions: Arc::default(),
        };
        assert_eq!(pull.shown().as_str(), "rtsp://camera/live");
        assert_eq!(pull.address_shown(), "rtsp://camera:554/live");
        let Err((failure, _)) = pull.dial(([127, 0, 0, 1], 1).into(), false).await else {
            panic!("nobody is there")
        };
        assert!(!failure.message.contains("canary"), "{}", failure.message);
        let said = format!("can't join {url}: nonsense");
        assert_eq!(
            without_query(said, &url),
            "can't join rtsp://camera/live?…#x: nonsense"
        );
    }

    #[test]
    fn what_can_not_be_watched_does_not_keep_a_source_alive() {
        let start = tokio::time::Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let silent = Patience::new(start);
        assert_eq!(silent.deadline(false), at(10));
        assert_eq!(silent.verdict(false).0, Reason::NoData);
        assert!(silent.verdict(false).1.starts_with("sent nothing for 10 s"));
        // Pictures, then reports alone.
        let mut dead = Patience::new(start);
        dead.note(at(1), true);
        for second in 2..11 {
            dead.note(at(second), false);
            assert_eq!(dead.deadline(true), at(11));
        }
        let (reason, text) = dead.verdict(true);
        assert!(
            reason == Reason::NoData && text.contains("nothing to watch"),
            "{text}"
        );
        // Pictures that go on, and are decoded or not.
        let mut pictures = Patience::new(start);
        for second in 1..30 {
            pictures.note(at(second), true);
            assert_eq!(pictures.deadline(true), at(second + 10));
        }
        assert_eq!(pictures.deadline(false), at(30));
        let (reason, text) = pictures.verdict(false);
        assert!(
            reason == Reason::UnsupportedCodec && text.contains("parameter sets"),
            "{text}"
        );
    }
}

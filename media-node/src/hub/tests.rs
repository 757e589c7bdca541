//! The hub as its users see it, over real sockets.

use super::*;
use crate::socket::Socket;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use weir_proto::media::codec::g711;
use weir_proto::media::{AccessUnit, CodecParameters, Timestamp, Track};

/// Writes each access unit's data as it is, behind `start:`.
struct Plain;

impl Form for Plain {
    fn start(&mut self, _: &Tracks, out: &mut Packed) {
        out.buffer.extend_from_slice(b"start:");
        out.cut(0, false);
    }

    fn unit(&mut self, _: &Tracks, unit: &AccessUnit, out: &mut Packed) {
        out.buffer.extend_from_slice(&unit.data);
        out.cut(0, unit.keyframe);
    }

    fn tracks_changed(&mut self, _: &Tracks, out: &mut Packed) {
        out.buffer.extend_from_slice(b"changed:");
        out.cut(0, false);
    }

    fn end(&mut self, out: &mut Packed) {
        out.buffer.extend_from_slice(b"end");
        out.cut(0, false);
    }
}

const KEY: FormKey = FormKey {
    name: "plain",
    layout: 0,
};

fn visitor() -> Visitor {
    Visitor {
        protocol: "test",
        detail: String::new(),
    }
}

fn path(raw: &str) -> StreamPath {
    StreamPath::parse(raw).expect("a test's path is good")
}

fn tracks(channels: u8) -> Tracks {
    let codec = CodecParameters::G711(g711::Parameters {
        law: g711::Law::A,
        channels,
    });
    Tracks::new([Track {
        codec,
        clock_rate: 8000,
    }])
}

/// Tests drive keyframes themselves, so the only track is treated as the hub treats video.
fn publish(hub: &Arc<Hub>, name: &str) -> Publisher {
    let from = Provenance {
        protocol: "test",
        address: String::new(),
        session: 1,
    };
    let mut publisher = hub.publish(
        &path(name),
        tracks(1),
        from,
        Segmentation::Own(Duration::from_secs(2)),
    );
    publisher.set_has_video(true);
    publisher
}

fn unit(ms: i64, keyframe: bool, data: impl Into<Bytes>) -> AccessUnit {
    let at = Timestamp::from_millis(ms);
    AccessUnit {
        track: 0,
        pts: at,
        dts: at,
        keyframe,
        segment: None,
        data: data.into(),
    }
}

async fn pair() -> (Arc<Socket>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let (here, there) = tokio::join!(TcpStream::connect(address), listener.accept());
    (Arc::new(there.expect("accept").0.into()), here.expect("connect"))
}

async fn read(socket: &mut TcpStream, want: &str) {
    let mut got = vec![0; want.len()];
    let read = tokio::time::timeout(Duration::from_secs(5), socket.read_exact(&mut got)).await;
    read.expect("in time").expect("whole");
    assert_eq!(String::from_utf8_lossy(&got), want);
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn a_stream_that_is_joined_between_keyframes_begins_with_the_next() {
    let hub = Hub::new();
    let mut publisher = publish(&hub, "a");
    let (ours, mut theirs) = pair().await;
    let seat = publisher
        .stream()
        .watch(KEY, || Box::new(Plain), Box::new(TcpSink::new(ours)), visitor());
    tokio::spawn(async move { seat.run().await });
    let sound = AccessUnit {
        track: 1,
        ..unit(0, false, "s,")
    };
    publisher.push(unit(0, false, "p0,"));
    publisher.push(sound.clone());
    publisher.push(unit(1, true, "K,"));
    publisher.push(sound);
    publisher.push(unit(2, false, "p1,"));
    publisher.flush();
    read(&mut theirs, "start:K,s,p1,").await;
}

#[tokio::test]
async fn a_viewer_gets_the_start_the_cached_gop_and_what_follows() {
    let hub = Hub::new();
    let mut publisher = publish(&hub, "a");
    for (ms, keyframe, data) in [
        (0, true, "K0,"),
        (1, false, "p,"),
        (2, true, "K1,"),
        (3, false, "p1,"),
    ] {
        publisher.push(unit(ms, keyframe, data));
        publisher.flush();
    }
    let (ours, mut theirs) = pair().await;
    let seat = publisher
        .stream()
        .watch(KEY, || Box::new(Plain), Box::new(TcpSink::new(ours)), visitor());
    let stream = publisher.stream().clone();
    let running = tokio::spawn(async move { seat.run().await });
    read(&mut theirs, "start:K1,p1,").await;
    publisher.push(unit(4, false, "p2,"));
    publisher.push(unit(5, false, "p3,"));
    publisher.flush();
    read(&mut theirs, "p2,p3,").await;
    assert_eq!(stream.viewers(), 1);
    assert_eq!(stream.views().iter().map(|v| v.number).collect::<Vec<_>>(), [1]);
    drop(publisher);
    read(&mut theirs, "end").await;
    assert!(matches!(running.await.expect("no panic"), Departure::Ended));
    assert_eq!(stream.viewers(), 0);
    assert!(stream.views().is_empty());
    assert!(hub.stream(&path("a")).is_none());
}

#[tokio::test]
async fn one_viewer_is_let_go_by_its_number_and_protocol() {
    let hub = Hub::new();
    let mut publisher = publish(&hub, "a");
    let stream = publisher.stream().clone();
    let mut viewers = Vec::new();
    for _ in 0..2 {
        let (ours, theirs) = pair().await;
        let seat = stream.watch(KEY, || Box::new(Plain), Box::new(TcpSink::new(ours)), visitor());
        viewers.push((tokio::spawn(async move { seat.run().await }), theirs));
    }
    assert!(stream.seat(2, |protocol| protocol == "rtsp").is_none());
    assert!(stream.seat(3, |_| true).is_none());
    stream
        .seat(2, |protocol| protocol == "test")
        .expect("it is there")
        .close();
    let (second, _) = viewers.pop().expect("two viewers");
    assert!(matches!(second.await.expect("no panic"), Departure::Closed));
    assert!(stream.seat(2, |_| true).is_none());
    publisher.push(unit(0, true, "K0,"));
    publisher.flush();
    read(&mut viewers[0].1, "start:K0,").await;
}

#[tokio::test]
async fn a_slow_viewer_skips_to_a_keyframe_and_others_miss_nothing() {
    let hub = Hub::new();
    let mut publisher = publish(&hub, "a");
    let (slow_here, mut slow_there) = pair().await;
    let (fast_here, mut fast_there) = pair().await;
    let stream = publisher.stream().clone();
    for socket in [slow_here, fast_here] {
        let seat = stream.watch(KEY, || Box::new(Plain), Box::new(TcpSink::new(socket)), visitor());
        tokio::spawn(async move { seat.run().await });
    }
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        fast_there.read_to_end(&mut all).await.expect("read");
        all
    });
    let body = vec![b'.'; 100_000];
    let mut sent = b"start:".to_vec();
    for number in 0..400 {
        let keyframe = number % 20 == 0;
        let mut data = format!("[{number}{}]", if keyframe { "K" } else { "" }).into_bytes();
        data.extend_from_slice(&body);
        sent.extend_from_slice(&data);
        publisher.push(unit(number, keyframe, data));
        publisher.flush();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let skipped = stream.traffic().skipped;
    drop(publisher);
    sent.extend_from_slice(b"end");
    let mut got = Vec::new();
    slow_there.read_to_end(&mut got).await.expect("read");
    assert!(
        reader.await.expect("no panic") == sent,
        "the fast viewer got everything"
    );
    assert!(
        stream.traffic().skipped > 0 || skipped > 0,
        "40 MB don't fit a socket's buffers"
    );
    let text = String::from_utf8(got).expect("text");
    let numbers: Vec<&str> = text
        .split('[')
        .skip(1)
        .filter_map(|s| s.split(']').next())
        .collect();
    assert!(text.starts_with("start:[0K]") && text.ends_with("end"));
    let mut last = None;
    for number in numbers {
        let value: i64 = number.trim_end_matches('K').parse().expect("a number");
        if last.is_some_and(|l| value != l + 1) {
            assert!(number.ends_with('K'), "went on at {number}, which is no keyframe");
        }
        last = Some(value);
    }
    for piece in text.split('[').skip(1) {
        let dots = piece
            .split(']')
            .nth(1)
            .expect("a body")
            .trim_end_matches("end")
            .len();
        assert_eq!(dots, body.len(), "no access unit is torn");
    }
}

/// A socket that takes nothing until the gate is open.
struct Gated {
    socket: TcpSink,
    open: Arc<AtomicBool>,
}

impl Sink for Gated {
    fn try_write(&self, round: &[u8], pieces: &[Piece]) -> std::io::Result<usize> {
        if !self.open.load(Ordering::Relaxed) {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        self.socket.try_write(round, pieces)
    }

    fn poll_writable(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        if !self.open.load(Ordering::Relaxed) {
            cx.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        self.socket.poll_writable(cx)
    }
}

#[tokio::test]
async fn a_viewer_that_begins_before_a_keyframe_is_not_thrown_forward() {
    let hub = Hub::new();
    let mut publisher = publish(&hub, "a");
    publisher.push(unit(0, true, "K0,"));
    publisher.flush();
    let (ours, mut theirs) = pair().await;
    let open = Arc::new(AtomicBool::new(false));
    let sink = Gated {
        socket: TcpSink::new(ours),
        open: open.clone(),
    };
    let stream = publisher.stream().clone();
    let seat = stream.watch(KEY, || Box::new(Plain), Box::new(sink), visitor());
    tokio::spawn(async move { seat.run().await });
    let mut sent = "start:K0,".to_owned();
    for number in 1..60 {
        let keyframe = number == 50;
        let data = format!("{}{number},", if keyframe { "K" } else { "p" });
        sent += &data;
        publisher.push(unit(number, keyframe, data));
        publisher.flush();
    }
    open.store(true, Ordering::Relaxed);
    read(&mut theirs, &sent).await;
    assert_eq!(stream.traffic().skipped, 0);
}

#[tokio::test]
async fn a_reply_stands_between_whole_pieces() {
    let hub = Hub::new();
    let mut publisher = publish(&hub, "a");
    let (ours, mut theirs) = pair().await;
    let seat = Arc::new(publisher.stream().watch(
        KEY,
        || Box::new(Plain),
        Box::new(TcpSink::new(ours)),
        visitor(),
    ));
    let runner = seat.clone();
    tokio::spawn(async move { runner.run().await });
    read(&mut theirs, "start:").await;
    publisher.push(unit(0, true, "K,"));
    publisher.flush();
    read(&mut theirs, "K,").await;
    assert!(seat.send(Bytes::from_static(b"<reply>")));
    read(&mut theirs, "<reply>").await;
    publisher.push(unit(1, false, "p,"));
    publisher.flush();
    read(&mut theirs, "p,").await;
}

#[tokio::test]
async fn a_subscriber_sees_tracks_units_changes_and_the_end() {
    let hub = Hub::new();
    let mut publisher = publish(&hub, "a");
    publisher.push(unit(0, false, "lost"));
    publisher.push(unit(1, true, "K"));
    publisher.flush();
    let mut subscriber = publisher.stream().subscribe();
    assert!(matches!(subscriber.next().await, Event::Tracks(t) if t == tracks(1)));
    assert!(matches!(subscriber.next().await, Event::Unit(u) if u.data == "K" && u.segment.is_some()));
    publisher.set_tracks(&tracks(2));
    publisher.push(unit(2, true, "K2"));
    publisher.flush();
    assert!(matches!(subscriber.next().await, Event::Tracks(t) if t == tracks(2)));
    assert!(matches!(subscriber.next().await, Event::Unit(u) if u.data == "K2" && u.segment.is_some()));
    drop(publisher);
    assert!(matches!(subscriber.next().await, Event::Ended));
}

#[tokio::test]
async fn a_subscriber_that_is_late_loses_nothing_at_a_keyframe_or_a_change() {
    let hub = Hub::new();
    let mut publisher = publish(&hub, "a");
    let body = vec![b'.'; 1000];
    publisher.push(unit(0, true, body.clone()));
    publisher.flush();
    let mut subscriber = publisher.stream().subscribe();
    for number in 1..150 {
        if number == 120 {
            publisher.set_tracks(&tracks(2));
        }
        publisher.push(unit(number, number == 120, body.clone()));
        publisher.flush();
    }
    let mut seen = Vec::new();
    for _ in 0..152 {
        seen.push(match subscriber.next().await {
            Event::Tracks(t) => format!("{} channels", if t == tracks(1) { 1 } else { 2 }),
            Event::Unit(unit) => (unit.dts.as_micros() / 1000).to_string(),
            other => panic!("{other:?}"),
        });
    }
    let mut want = vec!["1 channels".to_owned()];
    want.extend((0..120).map(|n| n.to_string()));
    want.push("2 channels".to_owned());
    want.extend((120..150).map(|n| n.to_string()));
    assert_eq!(seen, want);
}

/// Ends of datagrams of ten bytes each.
fn datagrams(count: usize) -> Piece {
    Piece {
        bytes: vec![b'd'; count * 10].into(),
        ends: (1..=count as u32).map(|n| n * 10).collect(),
        channel: 0,
        keyframe: true,
        whole: true,
    }
}

#[tokio::test]
async fn a_large_picture_goes_out_in_several_bursts_of_datagrams() {
    let receiver = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("bind");
    let sender = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("bind"));
    sender.writable().await.expect("writable");
    let address = receiver.local_addr().expect("address");
    let sink = Datagrams::new(vec![Some((sender, address))]);
    let (small, large) = (datagrams(5), datagrams(10_000));
    let taken = sink.try_write(b"", &[small, large.clone()]).expect("some go out");
    assert!(
        taken > 50 && taken < 100_000 && taken.is_multiple_of(10),
        "{taken}"
    );
    let rest = large.without(taken - 50);
    assert_eq!(rest.bytes.len() + taken, 100_050);
    assert_eq!(rest.ends.last().copied(), Some(rest.bytes.len() as u32));
    // What nobody wants is done with at once.
    let other = Piece { channel: 7, ..large };
    assert_eq!(sink.try_write(b"", &[other]).expect("done"), 100_000);
}

#[tokio::test]
async fn segments_are_numbered_at_keyframes_past_the_target() {
    let hub = Hub::new();
    let mut publisher = publish(&hub, "a");
    let mut subscriber = publisher.stream().subscribe();
    let mut opened = Vec::new();
    assert!(matches!(subscriber.next().await, Event::Tracks(_)));
    for second in 0..8 {
        publisher.push(unit(second * 1000, true, "K"));
        publisher.flush();
        if let Event::Unit(unit) = subscriber.next().await {
            opened.extend(unit.segment.map(|s| (second, s.number)));
        }
    }
    let first = opened[0].1;
    assert_eq!(
        opened,
        [(0, first), (2, first + 1), (4, first + 2), (6, first + 3)]
    );
}

#[tokio::test]
async fn a_newcomer_takes_the_path() {
    let hub = Hub::new();
    let first = publish(&hub, "a");
    let second = publish(&hub, "A");
    assert!(!first.is_live() && second.is_live());
    drop(first);
    assert!(
        hub.stream(&path("a"))
            .is_some_and(|s| Arc::ptr_eq(&s, second.stream()))
    );
}

struct Starter(Arc<Hub>, AtomicUsize);

impl Demand for Starter {
    fn wanted(&self, path: &StreamPath) -> Verdict {
        self.1.fetch_add(1, Ordering::Relaxed);
        let (hub, path) = (self.0.clone(), path.clone());
        match path.as_str() {
            "comes" => {
                tokio::spawn(async move {
                    let publisher = publish(&hub, path.as_str());
                    tokio::time::sleep(Duration::from_mins(1)).await;
                    drop(publisher);
                });
                Verdict::Coming
            }
            "fails" => {
                tokio::spawn(async move { hub.refuse(&path) });
                Verdict::Coming
            }
            _ => Verdict::Unknown,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_waits_only_for_what_may_come() {
    let hub = Hub::new();
    let starter = Arc::new(Starter(hub.clone(), AtomicUsize::new(0)));
    hub.set_demand(starter.clone());
    let start = tokio::time::Instant::now();
    assert!(hub.find(&path("unknown"), Duration::from_secs(9)).await.is_none());
    assert!(hub.find(&path("fails"), Duration::from_secs(9)).await.is_none());
    assert!(hub.find(&path("comes"), Duration::from_secs(9)).await.is_some());
    assert_eq!(start.elapsed(), Duration::ZERO, "nobody waited for a deadline");
    assert_eq!(starter.1.load(Ordering::Relaxed), 3);
    until("nobody is waited for", || hub.waiting.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_arrival_asks_for_nothing() {
    let hub = Hub::new();
    let starter = Arc::new(Starter(hub.clone(), AtomicUsize::new(0)));
    hub.set_demand(starter.clone());
    let arrival = tokio::spawn({
        let hub = hub.clone();
        async move { hub.arrival(&path("door")).await.path().clone() }
    });
    // Others ask in vain; who waits goes on waiting.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_mins(1)).await;
        hub.refuse(&path("door"));
    }
    assert!(!arrival.is_finished());
    let publisher = publish(&hub, "door");
    assert_eq!(arrival.await.expect("it arrives"), path("door"));
    assert_eq!(hub.arrival(&path("door")).await.path(), &path("door"));
    assert_eq!(starter.1.load(Ordering::Relaxed), 0);
    drop(publisher);
    until("nobody is waited for", || hub.waiting.is_empty()).await;
}

#[tokio::test]
async fn an_era_lasts_as_long_as_the_parameters() {
    let hub = Hub::new();
    let mut publisher = publish(&hub, "a");
    let mut subscriber = publisher.stream().subscribe();
    let mut opened = Vec::new();
    for (ms, channels) in [(0, 1), (500, 1), (2000, 1), (2100, 2), (4100, 2)] {
        publisher.set_tracks(&tracks(channels));
        publisher.push(unit(ms, true, "K"));
        publisher.flush();
        while let Some(event) = subscriber.try_next() {
            if let Event::Unit(unit) = event {
                opened.extend(unit.segment.map(|s| (ms, s.number, s.era, s.opens_era)));
            }
        }
    }
    let (_, number, era, _) = opened[0];
    assert_eq!(
        opened,
        [
            (0, number, era, true),
            (2000, number + 1, era, false),
            (2100, number + 2, era + 1, true),
            (4100, number + 3, era + 1, false),
        ]
    );
}

use super::*;
use crate::media::codec::g711;
use crate::media::{CodecParameters, Track};
use crate::rtsp::{Message, Parser};
use std::net::Ipv4Addr;

const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n\
    m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\n\
    m=audio 0 RTP/AVP 8\r\na=control:streamid=1\r\n";

fn tracks() -> Tracks {
    let g711 = CodecParameters::G711(g711::Parameters {
        law: g711::Law::A,
        channels: 1,
    });
    let track = Track {
        codec: g711,
        clock_rate: 8000,
    };
    Tracks::new([track.clone(), track])
}

fn config() -> Config {
    Config {
        session_id: "s1".into(),
        challenge: None,
        path: None,
        carrier: Carrier::Tcp,
        multicast: false,
        udp_play: true,
        udp_publish: true,
    }
}

fn with_auth() -> Config {
    let challenge = Challenge {
        realm: "ipchub".into(),
        nonce: "n".repeat(32),
        basic: false,
    };
    Config {
        challenge: Some(challenge),
        ..config()
    }
}

fn request(method: &str, url: &str, headers: &[&str], body: &str) -> Request {
    let headers = headers
        .iter()
        .flat_map(|header| [header, "\r\n"])
        .collect::<String>();
    let length = body.len();
    let text =
        format!("{method} {url} RTSP/1.0\r\nCSeq: 3\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    match Parser::new().parse(&mut BytesMut::from(text.as_str())) {
        Ok(Some(Message::Request(request))) => request,
        other => panic!("{other:?}"),
    }
}

/// A session and a driver that grants everything, and remembers the events it saw.
struct Fixture {
    session: Session,
    events: Vec<Event>,
}

impl Fixture {
    fn new(config: Config) -> Self {
        Self {
            session: Session::new(config),
            events: Vec::new(),
        }
    }

    /// Sends a request; the answer's status line and headers, and the body apart.
    fn send(&mut self, method: &str, url: &str, headers: &[&str], body: &str) -> (String, String) {
        let mut out = BytesMut::new();
        let mut event = self
            .session
            .handle_request(request(method, url, headers, body), &mut out);
        if matches!(event, Event::Authorize(_)) {
            self.events.push(event);
            event = self.session.allow(&mut out);
        }
        match &event {
            Event::Answered | Event::Close | Event::Paused | Event::Resumed => {}
            Event::Describe { .. } => self.session.describe("cam", &tracks(), &mut out),
            Event::Announce { .. } | Event::Play { .. } | Event::Record { .. } => {
                self.session.accept(&mut out);
            }
            Event::SetupUdp { .. } => self.session.udp((7000, 7001), &mut out),
            Event::SetupMulticast { track, .. } => {
                self.session.multicast(group(*track), &mut out);
            }
            Event::Authorize(_) => panic!("asked twice"),
        }
        self.events.push(event);
        let out = String::from_utf8(out.to_vec()).unwrap();
        let (head, body) = out.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    /// Status code and reason only.
    fn status(&mut self, method: &str, url: &str, headers: &[&str], body: &str) -> String {
        let (head, _) = self.send(method, url, headers, body);
        head.lines()
            .next()
            .unwrap()
            .strip_prefix("RTSP/1.0 ")
            .unwrap()
            .to_owned()
    }

    fn describe(&mut self) {
        assert_eq!(self.status("DESCRIBE", "rtsp://h/Room/Door", &[], ""), "200 OK");
    }

    fn announce(&mut self) {
        let status = self.status("ANNOUNCE", "rtsp://h/up", &["Content-Type: application/sdp"], SDP);
        assert_eq!(status, "200 OK");
    }

    fn setup(&mut self, control: &str, transport: &str) -> String {
        let url = format!("rtsp://h/Room/Door/{control}");
        self.status("SETUP", &url, &[&format!("Transport: {transport}")], "")
    }
}

/// Four ports in a row.
const fn group(track: u8) -> Group {
    let rtp = 16_666 + 2 * track as u16;
    Group {
        destination: Ipv4Addr::new(235, 0, 0, 0),
        ports: (rtp, rtp + 1),
        source: Ipv4Addr::new(192, 0, 2, 1),
    }
}

const TCP: &str = "RTP/AVP/TCP;unicast;interleaved=0-1";

/// A session in each state, for the table below.
fn in_state(state: State, mode: Mode) -> Fixture {
    let mut fixture = Fixture::new(config());
    if state == State::Init {
        return fixture;
    }
    match mode {
        Mode::Play => {
            fixture.describe();
            assert_eq!(fixture.setup("streamid=0", TCP), "200 OK");
        }
        Mode::Record => {
            fixture.announce();
            assert_eq!(
                fixture.setup("streamid=0", &format!("{TCP};mode=record")),
                "200 OK"
            );
        }
    }
    match state {
        State::Playing => assert_eq!(fixture.status("PLAY", "rtsp://h/Room/Door", &[], ""), "200 OK"),
        State::Recording => assert_eq!(fixture.status("RECORD", "rtsp://h/up", &[], ""), "200 OK"),
        State::Init | State::Ready => {}
    }
    fixture
}

#[test]
fn the_state_table() {
    const METHODS: [&str; 11] = [
        "OPTIONS",
        "DESCRIBE",
        "ANNOUNCE",
        "SETUP",
        "PLAY",
        "PAUSE",
        "RECORD",
        "TEARDOWN",
        "GET_PARAMETER",
        "SET_PARAMETER",
        "FLY",
    ];
    let table: [(State, Mode, &[&str]); 5] = [
        (State::Init, Mode::Play, &["DESCRIBE", "ANNOUNCE", "SETUP"]),
        (State::Ready, Mode::Play, &["SETUP", "PLAY"]),
        (State::Ready, Mode::Record, &["SETUP", "RECORD"]),
        (State::Playing, Mode::Play, &["PLAY"]),
        (State::Recording, Mode::Record, &["RECORD"]),
    ];
    for (state, mode, allowed) in table {
        for method in METHODS {
            let mut fixture = in_state(state, mode);
            let status = fixture.status(method, "rtsp://h/Room/Door", &[], "");
            let valid = matches!(method, "OPTIONS" | "TEARDOWN") || allowed.contains(&method);
            assert_eq!(
                !status.starts_with("455"),
                valid,
                "{method} in {state:?} for {mode:?}: {status}"
            );
            if !valid {
                assert_eq!(status, "455 Method Not Valid In This State");
            }
        }
    }
}

#[test]
fn a_viewer_by_tcp() {
    let mut fixture = Fixture::new(config());
    let (options, _) = fixture.send("OPTIONS", "*", &[], "");
    let expected = "RTSP/1.0 200 OK\r\nCSeq: 3\r\n\
        Public: DESCRIBE, SETUP, TEARDOWN, PLAY, OPTIONS, ANNOUNCE, RECORD\r\nSession: s1";
    assert_eq!(options, expected);

    let (describe, body) = fixture.send("DESCRIBE", "rtsp://h/Room/Door", &[], "");
    let length = body.len();
    let expected = format!(
        "RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Length: {length}\r\n\
         Content-Type: application/sdp\r\nSession: s1"
    );
    assert_eq!(describe, expected);
    assert_eq!(sdp::parse(body.as_bytes()).unwrap().media.len(), 2);
    assert_eq!(fixture.session.path(), Some("/room/door"));

    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=4-5";
    let (setup, _) = fixture.send("SETUP", "rtsp://h/Room/Door/streamid=1", &[transport], "");
    assert_eq!(
        setup,
        format!("RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: s1\r\n{transport}")
    );
    assert_eq!(fixture.session.channel(4), Some((1, false)));
    assert_eq!(fixture.session.channel(5), Some((1, true)));
    assert_eq!(fixture.session.channel(0), None);

    let (play, _) = fixture.send("PLAY", "rtsp://h/Room/Door", &["Range: npt=0.000-"], "");
    assert_eq!(
        play,
        "RTSP/1.0 200 OK\r\nCSeq: 3\r\nRange: npt=0.000-\r\nSession: s1"
    );
    let setup = Setup {
        track: 1,
        delivery: Delivery::Interleaved { rtp: 4, rtcp: 5 },
    };
    let Some(Event::Play { path, setups }) = fixture.events.last() else {
        panic!()
    };
    assert_eq!((path.as_str(), &setups[..]), ("/room/door", &[setup][..]));
    assert!(fixture.session.is_playing());

    // A second PLAY is answered, without another event; without a Range there is none.
    let (again, _) = fixture.send("PLAY", "rtsp://h/Room/Door", &[], "");
    assert_eq!(again, "RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: s1");
    assert!(matches!(fixture.events.last(), Some(Event::Answered)));

    assert_eq!(
        fixture.status("TEARDOWN", "rtsp://h/Room/Door", &[], ""),
        "200 OK"
    );
    assert!(matches!(fixture.events.last(), Some(Event::Close)));
}

#[test]
fn a_viewer_by_udp_learns_our_ports() {
    let mut fixture = Fixture::new(config());
    fixture.describe();
    let transport = "Transport: RTP/AVP;unicast;client_port=5000-5001";
    let (setup, _) = fixture.send("SETUP", "rtsp://h/Room/Door/streamid=0", &[transport], "");
    let expected = format!("RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: s1\r\n{transport};server_port=7000-7001");
    assert_eq!(setup, expected);
    let delivery = Delivery::Udp {
        client_ports: (5000, 5001),
        server_ports: (7000, 7001),
    };
    assert_eq!(fixture.session.setups(), [Setup { track: 0, delivery }]);
    // One session, one way of delivery.
    assert_eq!(fixture.setup("streamid=1", TCP), "461 Unsupported Transport");
}

#[test]
fn where_datagrams_do_not_arrive_tcp_is_taken() {
    let without = || Config {
        udp_play: false,
        udp_publish: false,
        ..config()
    };
    let mut fixture = Fixture::new(without());
    fixture.describe();
    let udp = "RTP/AVP;unicast;client_port=5000-5001";
    assert_eq!(fixture.setup("streamid=0", udp), "461 Unsupported Transport");
    // Of several the first that can be done.
    assert_eq!(fixture.setup("streamid=0", &format!("{udp},{TCP}")), "200 OK");
    let mut fixture = Fixture::new(without());
    fixture.announce();
    assert_eq!(
        fixture.setup("streamid=0", &format!("{udp};mode=record")),
        "461 when mode = record，only support tcp unicast"
    );
    assert_eq!(
        fixture.setup("streamid=0", &format!("{TCP};mode=record")),
        "200 OK"
    );
    let mut fixture = Fixture::new(config());
    fixture.announce();
    assert_eq!(
        fixture.setup("streamid=0", &format!("{udp};mode=record")),
        "200 OK"
    );
}

#[test]
fn a_viewer_by_multicast_learns_the_group() {
    let config = || Config {
        multicast: true,
        udp_play: true,
        udp_publish: true,
        ..config()
    };
    let mut fixture = Fixture::new(config());
    fixture.describe();
    for (track, ports) in [(0, "16666-16667"), (1, "16668-16669")] {
        let url = format!("rtsp://h/Room/Door/streamid={track}");
        let transport = "Transport: RTP/AVP;multicast";
        let (setup, _) = fixture.send("SETUP", &url, &[transport], "");
        let expected = format!(
            "RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: s1\r\n{transport};destination=235.0.0.0;\
             port={ports};source=192.0.2.1;ttl=127"
        );
        assert_eq!(setup, expected);
        let delivery = Delivery::Multicast(group(track));
        assert_eq!(fixture.session.setups().last(), Some(&Setup { track, delivery }));
    }
    // One session, one way of delivery.
    assert_eq!(fixture.setup("streamid=1", TCP), "461 Unsupported Transport");
    assert_eq!(fixture.status("PLAY", "rtsp://h/Room/Door", &[], ""), "200 OK");
    // Publishers can't, and it is no way over a WebSocket.
    let mut fixture = Fixture::new(config());
    fixture.announce();
    assert_eq!(
        fixture.setup("streamid=0", "RTP/AVP;mode=record"),
        "461 when mode = record，only support tcp unicast"
    );
    let mut fixture = Fixture::new(Config {
        carrier: Carrier::WebSocket,
        ..config()
    });
    fixture.describe();
    assert_eq!(
        fixture.setup("streamid=0", "RTP/AVP;multicast"),
        "461 websocket only support tcp unicast"
    );
}

#[test]
fn a_publisher_may_send_datagrams() {
    for mode in ["mode=record", "mode=\"RECORD\"", "mode=receive"] {
        let mut fixture = Fixture::new(config());
        fixture.announce();
        let transport = format!("Transport: RTP/AVP;unicast;client_port=5000-5001;{mode}");
        let (setup, _) = fixture.send("SETUP", "rtsp://h/Room/Door/streamid=0", &[&transport], "");
        let expected =
            format!("RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: s1\r\n{transport};server_port=7000-7001");
        assert_eq!(setup, expected);
        let asked = fixture.events.last();
        assert!(
            matches!(
                asked,
                Some(Event::SetupUdp {
                    client_ports: (5000, 5001),
                    right: Right::Push,
                    ..
                })
            ),
            "{asked:?}"
        );
        // One session, one way of delivery.
        let interleaved = "RTP/AVP/TCP;unicast;interleaved=2-3;mode=record";
        assert_eq!(
            fixture.setup("streamid=1", interleaved),
            "461 when mode = record，only support tcp unicast"
        );
        assert_eq!(fixture.status("RECORD", "rtsp://h/Room/Door", &[], ""), "200 OK");
        assert!(fixture.session.is_recording());
    }
    // Over a WebSocket there are none.
    let mut fixture = Fixture::new(Config {
        carrier: Carrier::WebSocket,
        ..config()
    });
    fixture.announce();
    assert_eq!(
        fixture.setup("streamid=0", "RTP/AVP;unicast;client_port=5000-5001;mode=record"),
        "461 when mode = record，only support tcp unicast"
    );
}

#[test]
fn a_refused_udp_setup_leaves_the_state_alone() {
    let mut fixture = Fixture::new(config());
    fixture.describe();
    let mut out = BytesMut::new();
    let setup = request(
        "SETUP",
        "rtsp://h/Room/Door/streamid=0",
        &["Transport: RTP/AVP;unicast;client_port=5000-5001"],
        "",
    );
    fixture.session.handle_request(setup, &mut out);
    assert!(matches!(
        fixture.session.allow(&mut out),
        Event::SetupUdp { track: 0, .. }
    ));
    fixture.session.refuse(Status::ServiceUnavailable, None, &mut out);
    assert!(out.starts_with(b"RTSP/1.0 503 "));
    assert!(fixture.session.setups().is_empty());
    assert_eq!(
        fixture.status("PLAY", "rtsp://h/Room/Door", &[], ""),
        "455 Method Not Valid In This State"
    );
}

#[test]
fn a_publisher() {
    let mut fixture = Fixture::new(config());
    fixture.announce();
    let Some(Event::Announce { path, description }) = fixture.events.last() else {
        panic!()
    };
    assert_eq!((path.as_str(), description.media.len()), ("/up", 2));
    for (control, transport) in [
        ("streamid=0", "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"),
        (
            "streamid=1",
            "RTP/AVP/TCP;unicast;interleaved=2-3;mode=\"RECORD\"",
        ),
        ("streamid=1", "RTP/AVP/TCP;unicast;interleaved=2-3;mode=receive"),
    ] {
        assert_eq!(fixture.setup(control, transport), "200 OK");
    }
    assert_eq!(fixture.session.setups().len(), 2);
    assert_eq!(fixture.status("RECORD", "rtsp://h/up", &[], ""), "200 OK");
    assert!(matches!(fixture.events.last(), Some(Event::Record { .. })));
    assert!(fixture.session.is_recording());
    assert_eq!(fixture.session.channel(2), Some((1, false)));
    assert_eq!(fixture.status("RECORD", "rtsp://h/up", &[], ""), "200 OK");
    assert!(matches!(fixture.events.last(), Some(Event::Answered)));
    let rights: Vec<_> = fixture
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Authorize(authorize) => Some(authorize.right),
            _ => None,
        })
        .collect();
    assert_eq!(rights, [Right::Push; 6]);
}

#[test]
fn announcements_that_are_refused() {
    for (content_type, body) in [
        ("Content-Type: application/sdp; charset=utf-8", SDP),
        ("Content-Type: text/plain", SDP),
        ("X: y", SDP),
        ("Content-Type: application/sdp", "hello"),
        ("Content-Type: application/sdp", ""),
        ("Content-Type: application/sdp", "v=0\r\n"),
    ] {
        let mut fixture = Fixture::new(config());
        let status = fixture.status("ANNOUNCE", "rtsp://h/up", &[content_type], body);
        assert_eq!(status, "400 Bad Request", "{content_type} {body}");
    }
}

#[test]
fn a_method_that_nobody_knows_is_no_end() {
    let mut fixture = Fixture::new(config());
    for method in ["PLAY2", "X-FLUSH"] {
        let status = fixture.status(method, "rtsp://h/Room/Door", &[], "");
        assert_eq!(status, "455 Method Not Valid In This State");
    }
}

#[test]
fn rights_are_those_of_the_stream_also_where_nothing_was_described() {
    let mut fixture = Fixture::new(config());
    for control in ["streamid=1", "streamid=1?token=abc", "streamid=x", "streamid=256"] {
        fixture.setup(control, TCP);
    }
    let asked = fixture.events.iter().filter_map(|event| match event {
        Event::Authorize(authorize) => Some(authorize.path.as_str()),
        _ => None,
    });
    assert_eq!(
        asked.collect::<Vec<_>>(),
        [
            "/room/door",
            "/room/door",
            "/room/door/streamid=x",
            "/room/door/streamid=256"
        ]
    );
}

#[test]
fn setups_that_are_refused() {
    // Nothing was described.
    let mut fixture = Fixture::new(config());
    assert_eq!(
        fixture.setup("streamid=0", TCP),
        "500 SETUP Unkown control:rtsp://h:554/Room/Door/streamid=0"
    );
    let viewer: [(&str, &str, &str); 8] = [
        (
            "streamid=7",
            TCP,
            "500 SETUP Unkown control:rtsp://h:554/Room/Door/streamid=7",
        ),
        ("streamid=0", "RTP/AVP/TCP", "451 malformed trannsport"),
        ("streamid=0", "", "451 malformed trannsport"),
        ("streamid=0", "RTP/AVP/TCP;multicast", "451 malformed trannsport"),
        ("streamid=0", "RTP/AVP;unicast", "451 malformed trannsport"),
        ("streamid=0", "RTP/AVP;multicast", "461 Unsupported Transport"),
        (
            "streamid=0",
            "RTP/AVP/TCP;interleaved=0-1;mode=record",
            "451 Current state can't setup as record",
        ),
        (
            "streamid=0",
            "RTP/AVP/TCP;interleaved=3-3",
            "451 interleaved channel is in use",
        ),
    ];
    for (control, transport, status) in viewer {
        let mut fixture = Fixture::new(config());
        fixture.describe();
        assert_eq!(fixture.setup(control, transport), status, "{transport}");
        assert!(fixture.session.setups().is_empty());
    }
    let publisher = [
        (TCP, "451 Current state can't setup as play"),
        ("RTP/AVP;unicast;mode=record", "451 malformed trannsport"),
        (
            "RTP/AVP;unicast;client_port=0-1;mode=record",
            "451 malformed trannsport",
        ),
        (
            "RTP/AVP;mode=record",
            "461 when mode = record，only support tcp unicast",
        ),
    ];
    for (transport, status) in publisher {
        let mut fixture = Fixture::new(config());
        fixture.announce();
        assert_eq!(fixture.setup("streamid=0", transport), status);
    }
}

#[test]
fn two_tracks_cannot_share_a_channel_but_one_can_be_set_up_again() {
    let mut fixture = Fixture::new(config());
    fixture.describe();
    assert_eq!(fixture.setup("streamid=0", TCP), "200 OK");
    assert_eq!(
        fixture.setup("streamid=1", "RTP/AVP/TCP;unicast;interleaved=1-2"),
        "451 interleaved channel is in use"
    );
    assert_eq!(
        fixture.setup("streamid=0", "RTP/AVP/TCP;unicast;interleaved=1-2"),
        "200 OK"
    );
    assert_eq!(fixture.session.setups().len(), 1);
    // Channels that the client leaves to us.
    let (head, _) = fixture.send(
        "SETUP",
        "rtsp://h/a/streamid=1",
        &["Transport: RTP/AVP/TCP;unicast;x=y"],
        "",
    );
    assert!(head.contains("451 interleaved channel is in use"));
    let mut fixture = Fixture::new(config());
    fixture.describe();
    let (head, _) = fixture.send(
        "SETUP",
        "rtsp://h/a/streamid=1",
        &["Transport: RTP/AVP/TCP;unicast;x=y"],
        "",
    );
    assert!(
        head.ends_with("Transport: RTP/AVP/TCP;unicast;x=y;interleaved=2-3"),
        "{head}"
    );
}

#[test]
fn the_first_transport_that_works_is_taken() {
    let mut fixture = Fixture::new(config());
    fixture.describe();
    let offered = "Transport: RTP/AVP;multicast,RTP/AVP/TCP;unicast;interleaved=0-1";
    let (head, _) = fixture.send("SETUP", "rtsp://h/Room/Door/streamid=0", &[offered], "");
    assert!(
        head.ends_with("Transport: RTP/AVP/TCP;unicast;interleaved=0-1"),
        "{head}"
    );
}

#[test]
fn tracks_are_found_by_url_however_the_player_builds_it() {
    for url in [
        "rtsp://h/Room/Door/streamid=1",
        "rtsp://h:1554/Room/Door/streamid=1",
        "rtsp://h/Room/Door?token=abc/streamid=1",
        "rtsp://h/Room/Door/streamid=1?token=abc",
    ] {
        let mut fixture = Fixture::new(config());
        fixture.describe();
        assert_eq!(
            fixture.status("SETUP", url, &[&format!("Transport: {TCP}")], ""),
            "200 OK",
            "{url}"
        );
        assert_eq!(fixture.session.setups()[0].track, 1);
    }
}

#[test]
fn controls_of_publishers() {
    let sdp = |controls: [&str; 2]| {
        format!(
            "v=0\r\nm=video 0 RTP/AVP 96\r\na=control:{}\r\nm=audio 0 RTP/AVP 8\r\na=control:{}\r\n",
            controls[0], controls[1]
        )
    };
    let record = format!("Transport: {TCP};mode=record");
    let track = |controls, url: &str| {
        let mut fixture = Fixture::new(config());
        fixture.status(
            "ANNOUNCE",
            "rtsp://h/up",
            &["Content-Type: application/sdp"],
            &sdp(controls),
        );
        let status = fixture.status("SETUP", url, &[&record], "");
        (status == "200 OK").then(|| fixture.session.setups()[0].track)
    };
    // Absolute, with and without the port.
    let absolute = ["rtsp://h/up/trackID=1", "rtsp://h:554/up/trackID=2"];
    assert_eq!(track(absolute, "rtsp://h:554/up/trackID=1"), Some(0));
    assert_eq!(track(absolute, "rtsp://h/up/trackID=2"), Some(1));
    // When a URL fits both, audio wins.
    assert_eq!(track(["id=1", "d=1"], "rtsp://h/up/id=1"), Some(1));
    assert_eq!(
        track(["?ctype=video", "?ctype=audio"], "rtsp://h/up/?ctype=video"),
        Some(0)
    );
    // No control at all: only a lone track can be meant.
    assert_eq!(track(["", ""], "rtsp://h/up"), None);
    let lone = "v=0\r\nm=video 0 RTP/AVP 96\r\n";
    let mut fixture = Fixture::new(config());
    fixture.status(
        "ANNOUNCE",
        "rtsp://h/up",
        &["Content-Type: application/sdp"],
        lone,
    );
    assert_eq!(fixture.status("SETUP", "rtsp://h/up", &[&record], ""), "200 OK");
}

#[test]
fn digest_wrong_then_right_on_one_connection() {
    let mut session = Session::new(with_auth());
    let ask = |session: &mut Session, headers: &[&str]| {
        let mut out = BytesMut::new();
        let event = session.handle_request(request("DESCRIBE", "rtsp://h/Room", headers, ""), &mut out);
        match event {
            Event::Authorize(authorize) => (authorize, out),
            other => panic!("{other:?}"),
        }
    };
    let (authorize, mut out) = ask(&mut session, &[]);
    assert!(authorize.credentials.is_none() && authorize.expected_response("pw").is_none());
    session.deny(Denial::NoCredentials, &mut out);
    let nonce = "n".repeat(32);
    let expected = format!(
        "RTSP/1.0 401 require legal Authorization field\r\nCSeq: 3\r\nSession: s1\r\n\
         WWW-Authenticate: Digest realm=\"ipchub\",nonce=\"{nonce}\"\r\n\r\n"
    );
    assert_eq!(std::str::from_utf8(&out).unwrap(), expected);

    // The client's own claims about realm, nonce and uri play no part.
    let wrong = "Authorization: Digest username=\"admin\", realm=\"x\", nonce=\"y\", uri=\"z\", \
        response=\"00000000000000000000000000000000\"";
    let (authorize, mut out) = ask(&mut session, &[wrong]);
    assert_eq!(authorize.credentials.as_ref().unwrap().username(), "admin");
    let next_nonce = "m".repeat(32);
    session.deny(
        Denial::WrongCredentials {
            next_nonce: next_nonce.clone(),
        },
        &mut out,
    );
    let out = String::from_utf8(out.to_vec()).unwrap();
    // The new nonce is advertised at once.
    assert!(
        out.contains(&format!("nonce=\"{next_nonce}\"")) && !out.contains(&nonce),
        "{out}"
    );

    let right =
        auth::Credentials::parse("Digest username=\"admin\",response=\"00000000000000000000000000000000\"");
    let Some(auth::Credentials::Digest(digest)) = right else {
        panic!()
    };
    let response = digest.expected_response("ipchub", &next_nonce, "DESCRIBE", "rtsp://h/Room", "secret");
    let header = format!("Authorization: Digest username=\"admin\",response=\"{response}\"");
    let (authorize, mut out) = ask(&mut session, &[&header]);
    let expected = authorize.expected_response("secret").unwrap();
    assert_eq!(expected.reveal(), &response);
    assert_ne!(authorize.expected_response("other").unwrap().reveal(), &response);
    // MD5 of admin:ipchub:secret.
    let by_ha1 = authorize
        .expected_response_of("e81a8df8cf8b31f7a85488608ff291c7")
        .unwrap();
    assert_eq!(by_ha1.reveal(), &response);
    assert!(matches!(session.allow(&mut out), Event::Describe { path } if path == "/room"));
    session.describe("", &tracks(), &mut out);
    // Also a 200 carries the challenge.
    assert!(String::from_utf8_lossy(&out).contains("WWW-Authenticate: Digest realm=\"ipchub\",nonce=\"mmm"));
}

#[test]
fn denials() {
    for (denial, status) in [
        (Denial::NoCredentials, "401 require legal Authorization field"),
        (Denial::UnknownUser, "401 user not exist"),
        (Denial::Forbidden, "403 Forbidden"),
    ] {
        let mut session = Session::new(with_auth());
        let mut out = BytesMut::new();
        session.handle_request(request("DESCRIBE", "rtsp://h/a", &[], ""), &mut out);
        session.deny(denial, &mut out);
        assert!(out.starts_with(format!("RTSP/1.0 {status}\r\n").as_bytes()));
        assert_eq!(session.path(), None);
    }
}

#[test]
fn basic_is_offered_only_when_set() {
    let mut config = with_auth();
    if let Some(challenge) = &mut config.challenge {
        challenge.basic = true;
    }
    let (head, _) = Fixture::new(config).send("OPTIONS", "*", &[], "");
    assert_eq!(head.matches("WWW-Authenticate").count(), 2);
    assert!(head.contains("WWW-Authenticate: Basic realm=\"ipchub\""));
    let (head, _) = Fixture::new(self::config()).send("OPTIONS", "*", &[], "");
    assert!(!head.contains("WWW-Authenticate"));
}

#[test]
fn state_comes_before_authorization() {
    let mut session = Session::new(with_auth());
    let mut out = BytesMut::new();
    let event = session.handle_request(request("PLAY", "rtsp://h/a", &[], ""), &mut out);
    assert!(matches!(event, Event::Answered));
    assert!(out.starts_with(b"RTSP/1.0 455 "));
}

#[test]
fn the_token_of_the_first_url_stands_for_later_ones() {
    let mut fixture = Fixture::new(config());
    fixture.send("DESCRIBE", "rtsp://h/a?token=abc", &[], "");
    fixture.send(
        "SETUP",
        "rtsp://h/a/streamid=0",
        &[&format!("Transport: {TCP}")],
        "",
    );
    let tokens: Vec<_> = fixture
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Authorize(authorize) => authorize.token.as_ref().map(|t| t.reveal().clone()),
            _ => None,
        })
        .collect();
    assert_eq!(tokens, ["abc", "abc"]);
}

#[test]
fn a_fixed_path_stands_above_the_url_of_viewers() {
    let config = Config {
        path: Some("/room/door".into()),
        ..config()
    };
    let mut fixture = Fixture::new(config);
    fixture.send("DESCRIBE", "rtsp://placehold/", &[], "");
    assert!(matches!(&fixture.events[1], Event::Describe { path } if path == "/room/door"));
}

#[test]
fn a_stream_that_is_gone_is_404_and_leaves_the_session_as_it_was() {
    let mut session = Session::new(config());
    let mut out = BytesMut::new();
    session.handle_request(request("DESCRIBE", "rtsp://h/a", &[], ""), &mut out);
    session.allow(&mut out);
    session.refuse(Status::NotFound, None, &mut out);
    assert!(out.starts_with(b"RTSP/1.0 404 Not Found\r\n"));
    assert_eq!(session.path(), None);
}

#[test]
fn answers_without_a_question_write_nothing() {
    let mut session = Session::new(with_auth());
    let mut out = BytesMut::new();
    session.accept(&mut out);
    session.udp((1, 2), &mut out);
    session.multicast(group(0), &mut out);
    session.describe("", &tracks(), &mut out);
    session.deny(Denial::Forbidden, &mut out);
    session.refuse(Status::NotFound, None, &mut out);
    assert!(matches!(session.allow(&mut out), Event::Answered));
    // An answer that does not fit the question neither.
    session.handle_request(request("DESCRIBE", "rtsp://h/a", &[], ""), &mut out);
    session.accept(&mut out);
    session.udp((1, 2), &mut out);
    assert!(out.is_empty());
    assert!(matches!(session.allow(&mut out), Event::Describe { .. }));
}

/// What is asked for before a request is looked at: the right and the path, or `None` if nobody asks.
fn asked(fixture: &mut Fixture, method: &str, url: &str) -> Option<(Right, String)> {
    let before = fixture.events.len();
    fixture.send(method, url, &[], "");
    match &fixture.events[before] {
        Event::Authorize(authorize) => Some((authorize.right, authorize.path.clone())),
        _ => None,
    }
}

#[test]
fn rights_by_method() {
    let url = "rtsp://h/Other";
    let watches = Some((Right::Pull, "/room/door".to_owned()));
    let publishes = Some((Right::Push, "/up".to_owned()));
    for (state, mode, method, expected) in [
        (State::Init, Mode::Play, "OPTIONS", None),
        (State::Init, Mode::Play, "TEARDOWN", None),
        // Not valid in this state, so nobody asks.
        (State::Init, Mode::Play, "PLAY", None),
        (State::Init, Mode::Play, "GET_PARAMETER", None),
        (
            State::Init,
            Mode::Play,
            "DESCRIBE",
            Some((Right::Pull, "/other".to_owned())),
        ),
        (
            State::Init,
            Mode::Play,
            "ANNOUNCE",
            Some((Right::Push, "/other".to_owned())),
        ),
        (
            State::Init,
            Mode::Play,
            "SETUP",
            Some((Right::Pull, "/other".to_owned())),
        ),
        (State::Ready, Mode::Play, "SETUP", watches.clone()),
        (State::Ready, Mode::Play, "PLAY", watches.clone()),
        (
            State::Ready,
            Mode::Play,
            "RECORD",
            Some((Right::Push, "/room/door".to_owned())),
        ),
        (State::Playing, Mode::Play, "PLAY", watches),
        (State::Ready, Mode::Record, "SETUP", publishes.clone()),
        (State::Ready, Mode::Record, "RECORD", publishes.clone()),
        (
            State::Ready,
            Mode::Record,
            "PLAY",
            Some((Right::Pull, "/up".to_owned())),
        ),
        (State::Recording, Mode::Record, "RECORD", publishes),
    ] {
        let mut fixture = in_state(state, mode);
        assert_eq!(
            asked(&mut fixture, method, url),
            expected,
            "{method} in {state:?} for {mode:?}"
        );
    }
}

#[test]
fn every_response_carries_the_challenge_while_there_is_one() {
    let challenge = format!(
        "WWW-Authenticate: Digest realm=\"ipchub\",nonce=\"{}\"",
        "n".repeat(32)
    );
    let tcp = format!("Transport: {TCP}");
    let recording = format!("Transport: {TCP};mode=record");
    let mut fixture = Fixture::new(with_auth());
    for (method, header, status) in [
        ("OPTIONS", "", "200"),
        ("PLAY", "", "455"),
        ("PAUSE", "", "455"),
        ("ANNOUNCE", "", "400"),
        ("SETUP", &tcp, "500"),
        ("DESCRIBE", "", "200"),
        ("SETUP", "Transport: RTP/AVP/TCP", "451"),
        ("SETUP", &recording, "451"),
        ("SETUP", "Transport: RTP/AVP;multicast", "461"),
        ("SETUP", &tcp, "200"),
        ("RECORD", "", "455"),
        ("PLAY", "", "200"),
        ("PLAY", "", "200"),
        ("TEARDOWN", "", "200"),
    ] {
        let header = (!header.is_empty()).then_some(header);
        let (head, _) = fixture.send(method, "rtsp://h/Room/Door/streamid=0", header.as_slice(), "");
        assert!(
            head.starts_with(&format!("RTSP/1.0 {status} ")),
            "{method}: {head}"
        );
        assert!(head.contains(&challenge), "{method}: {head}");
    }
}

#[test]
fn secrets_are_the_password_or_its_md5() {
    // Made with md5sum: user guard, DESCRIBE rtsp://h:1554/a, nonce 0123; the password is "secret".
    let (by_password, by_md5) = (
        "70f8f3b19d1f94b18105162f2e3c7f8b",
        "8e68935872c2f85f5adb27985a36fe19",
    );
    let mut config = with_auth();
    if let Some(challenge) = &mut config.challenge {
        challenge.nonce = "0123".into();
    }
    let mut session = Session::new(config);
    let answer = format!("Authorization: Digest username=\"guard\",response=\"{by_md5}\"");
    let request = request("DESCRIBE", "rtsp://h:1554/a", &[&answer], "");
    let Event::Authorize(authorize) = session.handle_request(request, &mut BytesMut::new()) else {
        panic!()
    };
    let expected = |secret: &str| authorize.expected_response(secret).unwrap().reveal().clone();
    assert_eq!(expected("secret"), by_password);
    assert_eq!(expected("5ebe2294ecd0e0f08eab7690d2a6ee69"), by_md5);
}

#[test]
fn the_nonce_changes_after_a_wrong_response_only() {
    let mut session = Session::new(with_auth());
    let nonce = |session: &mut Session, denial: Denial| {
        let mut out = BytesMut::new();
        session.handle_request(request("DESCRIBE", "rtsp://h/a", &[], ""), &mut out);
        session.deny(denial, &mut out);
        let out = String::from_utf8(out.to_vec()).unwrap();
        out.split("nonce=\"").nth(1).unwrap()[..32].to_owned()
    };
    for denial in [Denial::NoCredentials, Denial::UnknownUser, Denial::Forbidden] {
        assert_eq!(nonce(&mut session, denial), "n".repeat(32));
    }
    let wrong = Denial::WrongCredentials {
        next_nonce: "m".repeat(32),
    };
    assert_eq!(nonce(&mut session, wrong), "m".repeat(32));
    assert_eq!(nonce(&mut session, Denial::NoCredentials), "m".repeat(32));
}

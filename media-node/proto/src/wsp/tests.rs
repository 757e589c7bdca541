use super::message::{MAX_HEADERS, MAX_MESSAGE};
use super::*;
use crate::media::Tracks;
use crate::rtsp::server::{self, Carrier, Config, Delivery};
use crate::rtsp::{Session, Status};
use crate::{sdp, testing};
use bytes::{Bytes, BytesMut};

const TCP: &str = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1";

/// A control socket and its RTSP session, with a driver that has the stream `/room/door`.
struct Fixture {
    control: Control,
    session: Session,
    tracks: Tracks,
    /// Of RTSP requests, without those that asked who may.
    events: Vec<server::Event>,
}

impl Fixture {
    fn new() -> Self {
        let config = Config {
            session_id: "s1".into(),
            challenge: None,
            path: Some("/room/door".into()),
            carrier: Carrier::Wsp,
            multicast: true,
            udp_play: true,
            udp_publish: true,
        };
        Self {
            control: Control::default(),
            session: Session::new(config),
            tracks: testing::h264_aac().tracks,
            events: Vec::new(),
        }
    }

    fn initialized() -> Self {
        let mut fixture = Self::new();
        fixture.send("WSP/1.1 INIT\r\nseq: 1\r\n\r\n").unwrap();
        fixture
    }

    /// One message, and the reply if there is one.
    fn send(&mut self, message: &str) -> Result<Option<String>, Error> {
        let mut out = BytesMut::new();
        match self
            .control
            .handle_message(&Bytes::from(message.to_owned()), &mut out)?
        {
            Event::Ignored => return Ok(None),
            Event::Answered => {}
            Event::Init => self.control.init(ChannelId::new(0, 42), &mut out),
            Event::Wrapped(request) => {
                let mut response = BytesMut::new();
                let mut event = self.session.handle_request(*request, &mut response);
                if let server::Event::Authorize(authorize) = &event {
                    assert_eq!(
                        (authorize.right, authorize.path.as_str()),
                        (server::Right::Pull, "/room/door")
                    );
                    event = self.session.allow(&mut response);
                }
                match &event {
                    server::Event::Describe { .. } if self.tracks.is_empty() => {
                        self.session.refuse(Status::NotFound, None, &mut response);
                    }
                    server::Event::Describe { .. } => {
                        self.session.describe("door", &self.tracks, &mut response);
                    }
                    server::Event::Play { .. } => self.session.accept(&mut response),
                    _ => {}
                }
                self.events.push(event);
                self.control.wrap(&response, &mut out);
            }
        }
        Ok(Some(String::from_utf8(out.to_vec()).unwrap()))
    }

    /// A wrapped request; the RTSP status line and the rest of the response.
    fn wrap(&mut self, method: &str, url: &str, header: &str) -> (String, String) {
        let request = format!("{method} {url} RTSP/1.0\r\nCSeq: 9\r\n{header}\r\n\r\n");
        let length = request.len();
        let message = format!("WSP/1.1 WRAP\r\ncontentLength: {length}\r\nseq: 5\r\n\r\n{request}");
        let reply = self.send(&message).unwrap().unwrap();
        let wrapped = reply.strip_prefix("WSP/1.1 200 OK\r\nchannel: 42\r\nseq: 5\r\n\r\nRTSP/1.0 ");
        let (status, rest) = wrapped.expect(&reply).split_once("\r\n").unwrap();
        assert!(rest.contains("CSeq: 9\r\n"), "{reply}");
        assert!(!rest.contains("WWW-Authenticate"), "{reply}");
        (status.to_owned(), rest.to_owned())
    }

    fn status(&mut self, method: &str, header: &str) -> String {
        self.wrap(method, "rtsp://placehold/room/door/streamid=0", header)
            .0
    }

    fn ready() -> Self {
        let mut fixture = Self::initialized();
        assert_eq!(fixture.status("DESCRIBE", "X: y"), "200 OK");
        assert_eq!(fixture.status("SETUP", TCP), "200 OK");
        fixture
    }

    fn playing() -> Self {
        let mut fixture = Self::ready();
        assert_eq!(fixture.status("PLAY", "X: y"), "200 OK");
        fixture
    }
}

#[test]
fn a_player_from_get_info_to_teardown() {
    let mut player = Fixture::new();
    let info = "WSP/1.1 GET_INFO\r\nproto: rtsp\r\nhost: h\r\nport: 1554\r\nclient: x\r\nseq: 1\r\n\r\n";
    assert_eq!(player.send(info), Ok(None));
    let init = "WSP/1.1 INIT\r\nproto: rtsp\r\nhost: h\r\nport: 1554\r\nclient: x\r\nseq: 2\r\n\r\n";
    assert_eq!(player.control.channel(), None);
    let reply = player.send(init).unwrap().unwrap();
    assert_eq!(reply, "WSP/1.1 200 OK\r\nchannel: 42\r\nseq: 2\r\n\r\n");
    assert_eq!(player.control.channel(), Some(ChannelId::new(0, 42)));

    let join = Bytes::from_static(b"WSP/1.1 JOIN\r\nchannel: 42\r\nseq: 3\r\n\r\n");
    let join = Join::parse(&join).unwrap();
    assert_eq!(join.channel, player.control.channel());
    let mut out = BytesMut::new();
    join.accept(&mut out);
    assert_eq!(out, "WSP/1.1 200 OK\r\nseq: 3\r\n\r\n");

    let url = "rtsp://placehold/room/door";
    let (status, rest) = player.wrap("OPTIONS", url, "X: y");
    assert_eq!(status, "200 OK");
    let public = "Public: DESCRIBE, SETUP, TEARDOWN, PLAY, OPTIONS, ANNOUNCE\r\n";
    assert!(rest.contains(public), "{rest}");

    let (status, rest) = player.wrap("DESCRIBE", url, "Accept: application/sdp");
    assert_eq!(status, "200 OK");
    let (_, body) = rest.split_once("\r\n\r\n").unwrap();
    assert_eq!(sdp::parse(body.as_bytes()).unwrap().media.len(), 2);

    let switch = "WSP/1.1 SWITCH\r\nseq: 6\r\n\r\nh265";
    let reply = player.send(switch).unwrap().unwrap();
    assert_eq!(reply, "WSP/1.1 200 OK\r\nchannel: 42\r\nseq: 6\r\n\r\n");

    for (track, channels) in [(0, "0-1"), (1, "2-3")] {
        let transport = format!("Transport: RTP/AVP/TCP;unicast;interleaved={channels}");
        let (status, rest) = player.wrap("SETUP", &format!("{url}/streamid={track}"), &transport);
        assert_eq!(status, "200 OK");
        assert!(rest.contains(&transport), "{rest}");
    }
    assert_eq!(player.status("PLAY", "Range: npt=0.000-"), "200 OK");
    let Some(server::Event::Play { path, setups }) = player.events.last() else {
        panic!()
    };
    assert_eq!((path.as_str(), setups.len()), ("/room/door", 2));
    assert_eq!(setups[1].delivery, Delivery::Interleaved { rtp: 2, rtcp: 3 });

    // The player's way to keep the socket alive.
    let (status, _) = player.wrap("OPTIONS", "*", "X: y");
    assert_eq!(status, "200 OK");

    assert_eq!(player.status("PAUSE", "X: y"), "200 OK");
    assert!(matches!(player.events.last(), Some(server::Event::Paused)));
    assert_eq!(player.status("PLAY", "X: y"), "200 OK");
    assert!(matches!(player.events.last(), Some(server::Event::Resumed)));
    assert_eq!(player.status("PLAY", "X: y"), "200 OK");
    assert!(matches!(player.events.last(), Some(server::Event::Answered)));

    assert_eq!(player.status("TEARDOWN", "X: y"), "200 OK");
    assert!(matches!(player.events.last(), Some(server::Event::Close)));
}

#[test]
fn the_state_table() {
    for (state, fixture, allowed) in [
        (
            "init",
            Fixture::initialized as fn() -> Fixture,
            ["DESCRIBE", "SETUP"],
        ),
        ("ready", Fixture::ready, ["SETUP", "PLAY"]),
        ("playing", Fixture::playing, ["PLAY", "PAUSE"]),
    ] {
        for method in [
            "OPTIONS",
            "TEARDOWN",
            "DESCRIBE",
            "ANNOUNCE",
            "SETUP",
            "PLAY",
            "PAUSE",
            "RECORD",
            "GET_PARAMETER",
            "SET_PARAMETER",
            "FLY",
        ] {
            let status = fixture().status(method, "X: y");
            let valid = matches!(method, "OPTIONS" | "TEARDOWN") || allowed.contains(&method);
            if valid {
                assert!(!status.starts_with("455"), "{method} in {state}: {status}");
            } else {
                assert_eq!(
                    status, "455 Method Not Valid In This State",
                    "{method} in {state}"
                );
            }
        }
    }
}

#[test]
fn setups_that_are_refused() {
    let mut fixture = Fixture::initialized();
    assert_eq!(fixture.status("SETUP", TCP), "500 Invalid VControl");
    // A stream without video is described, and then of no use.
    fixture.tracks = Tracks::new(fixture.tracks.audio().map(|(_, track)| track.clone()));
    assert_eq!(fixture.status("DESCRIBE", "X: y"), "200 OK");
    assert_eq!(fixture.status("SETUP", TCP), "500 Invalid VControl");

    let mut fixture = Fixture::initialized();
    assert_eq!(fixture.status("DESCRIBE", "X: y"), "200 OK");
    let (status, _) = fixture.wrap("SETUP", "rtsp://placehold/room/door/streamid=9", TCP);
    assert_eq!(
        status,
        "500 SETUP Unkown control:rtsp://placehold:554/room/door/streamid=9"
    );
    for (transport, expected) in [
        ("RTP/AVP/TCP", "451 malformed trannsport"),
        ("RTP/AVP/TCP;multicast", "451 malformed trannsport"),
        (
            "RTP/AVP;unicast;client_port=2-3",
            "461 websocket only support tcp unicast",
        ),
        ("RTP/AVP;multicast", "461 websocket only support tcp unicast"),
        (
            "RTP/AVP;unicast;client_port=2-3;mode=record",
            "461 websocket only support tcp unicast",
        ),
        (
            "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record",
            "451 can't setup as record",
        ),
    ] {
        let status = fixture.status("SETUP", &format!("Transport: {transport}"));
        assert_eq!(status, expected, "{transport}");
    }
    // The first of several that works is taken.
    let several = "Transport: RTP/AVP;unicast;client_port=2-3,RTP/AVP/TCP;unicast;interleaved=0-1";
    assert_eq!(fixture.status("SETUP", several), "200 OK");
}

#[test]
fn a_missing_stream_is_404_inside_200() {
    let mut fixture = Fixture::initialized();
    fixture.tracks = Tracks::default();
    assert_eq!(fixture.status("DESCRIBE", "X: y"), "404 Not Found");
}

#[test]
fn what_comes_out_of_turn_ends_the_socket() {
    let message = |command: &str| format!("WSP/1.1 {command}\r\nseq: 1\r\n\r\n");
    for (command, kind) in [
        ("WRAP", Command::Wrap),
        ("SWITCH", Command::Switch),
        ("JOIN", Command::Join),
    ] {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.send(&message(command)), Err(Error::Unexpected(kind)));
    }
    for (command, kind) in [
        ("GET_INFO", Command::GetInfo),
        ("INIT", Command::Init),
        ("JOIN", Command::Join),
    ] {
        let mut fixture = Fixture::initialized();
        assert_eq!(fixture.send(&message(command)), Err(Error::Unexpected(kind)));
    }
    for command in ["GET_INFO", "INIT", "WRAP", "SWITCH"] {
        assert!(Join::parse(&message(command).into()).is_err(), "{command}");
    }
    for payload in [
        "",
        "hello",
        "RTSP/1.0 200 OK\r\n\r\n",
        "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n",
        "$\0\0\0",
        "OPTIONS * HTTP/1.1\r\n\r\n",
    ] {
        let sent = Fixture::initialized().send(&format!("{}{payload}", message("WRAP")));
        assert!(matches!(sent, Err(Error::NotRtsp(_))), "{payload:?}: {sent:?}");
    }
}

#[test]
fn messages_that_are_refused() {
    let headers = "a: b\r\n".repeat(MAX_HEADERS + 1);
    for (message, error) in [
        ("", Error::NoEnd),
        ("WSP/1.1 INIT\r\nseq: 1\r\n", Error::NoEnd),
        ("WSP/1.1 INIT\nseq: 1\n\n", Error::NoEnd),
        ("\r\n\r\n", Error::Version),
        ("WSP/1.0 INIT\r\nseq: 1\r\n\r\n", Error::Version),
        ("WSP/1.10 INIT\r\nseq: 1\r\n\r\n", Error::Version),
        ("RTSP/1.0 INIT\r\nseq: 1\r\n\r\n", Error::Version),
        ("WSP/1.1\r\nseq: 1\r\n\r\n", Error::Command),
        ("WSP/1.1 FLY\r\nseq: 1\r\n\r\n", Error::Command),
        ("WSP/1.1 init\r\nseq: 1\r\n\r\n", Error::Command),
        ("WSP/1.1 INIT\r\n\r\n", Error::NoHeader),
        ("WSP/1.1 INIT\r\nseq\r\n\r\n", Error::HeaderLine { offset: 14 }),
        ("WSP/1.1 INIT\r\n: 1\r\n\r\n", Error::HeaderLine { offset: 14 }),
        (
            "WSP/1.1 INIT\r\na: b\r\nseq: 1\rX: y\r\n\r\n",
            Error::HeaderLine { offset: 20 },
        ),
        (&format!("WSP/1.1 INIT\r\n{headers}\r\n"), Error::TooManyHeaders),
    ] {
        let parsed = Request::parse(&Bytes::from(message.to_owned()));
        assert_eq!(parsed, Err(error), "{message:?}");
    }
    let head = "WSP/1.1 WRAP\r\nseq: 1\r\n\r\n";
    let fits = format!("{head}{}", "x".repeat(MAX_MESSAGE - head.len()));
    assert!(Request::parse(&fits.clone().into()).is_ok());
    let length = MAX_MESSAGE + 1;
    assert_eq!(
        Request::parse(&format!("{fits}x").into()),
        Err(Error::TooLong { length })
    );
}

#[test]
fn header_values_are_trimmed() {
    let message = "WSP/1.1 JOIN \r\nChannel :  \"42\" \r\nseq:\"7\"\r\nseq: 8\r\n\r\npayload\r\n\r\n";
    let request = Request::parse(&message.into()).unwrap();
    assert_eq!(request.header("channel"), Some("42"));
    assert_eq!(request.header("seq"), Some("7"));
    assert_eq!(request.header("host"), None);
    assert_eq!(request.payload, "payload\r\n\r\n");
}

#[test]
fn a_data_socket_without_a_channel_is_404() {
    for channel in ["channel: x\r\n", "channel: 18446744073709551615\r\n", ""] {
        let message = format!("WSP/1.1 JOIN\r\n{channel}seq: 4\r\n\r\n");
        let join = Join::parse(&message.into()).unwrap();
        assert_eq!(join.channel, None);
        let mut out = BytesMut::new();
        join.not_found(&mut out);
        assert_eq!(out, "WSP/1.1 404 NOT FOUND\r\nseq: 4\r\n\r\n");
    }
}

#[test]
fn answers_without_a_question_write_nothing() {
    let mut control = Control::default();
    let mut out = BytesMut::new();
    control.init(ChannelId::new(0, 1), &mut out);
    control.wrap(b"RTSP/1.0 200 OK\r\n\r\n", &mut out);
    let init = Bytes::from_static(b"WSP/1.1 INIT\r\nseq: 1\r\n\r\n");
    assert!(matches!(control.handle_message(&init, &mut out), Ok(Event::Init)));
    control.wrap(b"RTSP/1.0 200 OK\r\n\r\n", &mut out);
    assert!(out.is_empty());
    control.init(ChannelId::new(0, 1), &mut out);
    let length = out.len();
    assert!(length > 0);
    control.init(ChannelId::new(0, 2), &mut out);
    control.wrap(b"RTSP/1.0 200 OK\r\n\r\n", &mut out);
    assert_eq!(out.len(), length);
    assert_eq!(control.channel(), Some(ChannelId::new(0, 1)));
}

#[test]
fn requests_print_no_values() {
    let message = "WSP/1.1 JOIN\r\nchannel: 4711\r\n\r\nrtsp://h/a?token=secret";
    let text = format!("{:?}", Request::parse(&message.into()));
    assert!(
        text.contains("channel") && !text.contains("4711") && !text.contains("secret"),
        "{text}"
    );
}

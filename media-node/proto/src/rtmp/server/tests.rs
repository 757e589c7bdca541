use super::*;
use crate::flv::{Tag, TagKind};
use crate::rtmp::chunk::{self, Header, Message, Reader};
use crate::rtmp::message::kind;
use bytes::BufMut;

/// A client made by hand, and the driver of the session.
struct Fixture {
    session: Session,
    input: BytesMut,
    out: BytesMut,
    /// Of the session's output.
    reader: Reader,
}

fn handshake() -> BytesMut {
    let mut input = BytesMut::new();
    input.put_u8(3);
    input.put_bytes(0, 2 * 1536);
    input
}

impl Fixture {
    fn new() -> Self {
        let (mut session, mut input, mut out) =
            (Session::new(&[1; RANDOM_BYTES]), handshake(), BytesMut::new());
        assert!(session.handle_input(&mut input, &mut out).unwrap().is_none());
        assert_eq!(out.len(), 1 + 2 * 1536);
        Self {
            session,
            input: BytesMut::new(),
            out: BytesMut::new(),
            reader: Reader::new(0),
        }
    }

    fn connected(app: &str) -> Self {
        let mut fixture = Self::new();
        let answers = fixture.call("connect", 1.0, [Value::object([("app", app.into())])]);
        assert_eq!(
            answers,
            ["5", "1", "6", "_result 1 NetConnection.Connect.Success"]
        );
        fixture
    }

    fn created(app: &str) -> Self {
        let mut fixture = Self::connected(app);
        assert_eq!(fixture.call("createStream", 2.0, [Value::Null]), ["_result 2 1"]);
        fixture
    }

    fn publishing() -> Self {
        let mut fixture = Self::created("live");
        let request = fixture.request("publish", "cam");
        assert_eq!(request.path, "/live/cam");
        fixture.session.accept(&mut fixture.out);
        assert_eq!(
            fixture.answers(),
            ["4: 0 1", "onStatus 0 NetStream.Publish.Start"]
        );
        fixture
    }

    fn playing() -> Self {
        let mut fixture = Self::created("live");
        assert_eq!(fixture.request("play", "cam").path, "/live/cam");
        fixture.session.accept(&mut fixture.out);
        assert_eq!(
            fixture.answers(),
            [
                "4: 0 1",
                "onStatus 0 NetStream.Play.Reset",
                "onStatus 0 NetStream.Play.Start"
            ]
        );
        fixture
    }

    fn event(&mut self) -> Option<Event> {
        self.session.handle_input(&mut self.input, &mut self.out).unwrap()
    }

    fn send<const N: usize>(&mut self, name: &str, transaction: f64, arguments: [Value; N]) -> Option<Event> {
        let command = Command::new(name, transaction, arguments);
        command.write_in(chunk::DEFAULT_BYTES, 1, &mut self.input);
        self.event()
    }

    /// Sends what is answered without the driver.
    fn call<const N: usize>(&mut self, name: &str, transaction: f64, arguments: [Value; N]) -> Vec<String> {
        assert!(self.send(name, transaction, arguments).is_none(), "{name}");
        self.answers()
    }

    fn request(&mut self, command: &str, name: &str) -> Request {
        match self.send(command, 5.0, [Value::Null, name.into(), "live".into()]) {
            Some(Event::Publish(request)) if command == "publish" => request,
            Some(Event::Play(request)) if command == "play" => request,
            other => panic!("{other:?}"),
        }
    }

    /// What the session has written, in short.
    fn answers(&mut self) -> Vec<String> {
        let mut answers = Vec::new();
        while let Some(message) = self.reader.read(&mut self.out).unwrap() {
            answers.push(summary(&message));
            // The reader obeys it without showing it.
            if message.header.kind == kind::WINDOW_ACKNOWLEDGEMENT_SIZE {
                answers.push("1".into());
            }
        }
        assert!(self.out.is_empty());
        answers
    }

    fn put(&mut self, kind: u8, timestamp_ms: u32, body: &[u8]) {
        let header = Header {
            chunk_stream: 4,
            timestamp_ms,
            kind,
            message_stream: 1,
        };
        chunk::write(&header, body, chunk::DEFAULT_BYTES, &mut self.input);
    }
}

/// Name, transaction and code or value of a command; type and numbers of a user control message.
fn summary(message: &Message) -> String {
    match message.header.kind {
        kind::COMMAND => {
            let command = Command::parse(message).unwrap();
            let last = command.arguments.last().unwrap();
            let code = last.property("code").unwrap_or(last);
            let code = match code {
                Value::String(code) => code.clone(),
                Value::Number(number) => number.to_string(),
                other => format!("{other:?}"),
            };
            format!("{} {} {code}", command.name, command.transaction)
        }
        kind::USER_CONTROL => {
            let body = &message.body;
            format!(
                "4: {} {}",
                body[1],
                u32::from_be_bytes(body[2..6].try_into().unwrap())
            )
        }
        other => other.to_string(),
    }
}

#[test]
fn a_publisher_from_connect_to_the_end() {
    let mut fixture = Fixture::connected("live");
    for name in ["releaseStream", "FCPublish"] {
        assert_eq!(
            fixture.call(name, 2.0, [Value::Null, "cam".into()]),
            ["_result 2 Undefined"]
        );
    }
    fixture.call("createStream", 4.0, [Value::Null]);
    let request = fixture.request("publish", "Cam?token=canary-x");
    assert_eq!(request.path, "/live/cam");
    assert_eq!(request.token().unwrap().reveal(), "canary-x");
    assert!(!format!("{request:?} {:?}", fixture.session).contains("canary"));
    fixture.session.accept(&mut fixture.out);
    assert_eq!(
        fixture.answers(),
        [
            "onFCPublish 0 NetStream.Publish.Start",
            "4: 0 1",
            "onStatus 0 NetStream.Publish.Start"
        ]
    );
    assert!(fixture.session.is_publishing());

    fixture.put(
        kind::DATA,
        0,
        b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData\x08\0\0\0\0\0\0\x09",
    );
    fixture.put(kind::VIDEO, 40, b"video");
    fixture.put(kind::AUDIO, 41, b"audio");
    assert!(matches!(
        fixture.event(),
        Some(Event::Metadata(Value::EcmaArray(_)))
    ));
    let media = |event| match event {
        Some(Event::Media(tag)) => tag,
        other => panic!("{other:?}"),
    };
    let video = Tag {
        kind: TagKind::Video,
        timestamp_ms: 40,
        body: (&b"video"[..]).into(),
    };
    assert_eq!(media(fixture.event()), video);
    assert_eq!(media(fixture.event()).kind, TagKind::Audio);
    assert!(fixture.event().is_none());

    assert!(matches!(
        fixture.send("FCUnpublish", 6.0, [Value::Null, "cam".into()]),
        Some(Event::Closed)
    ));
    assert_eq!(
        fixture.answers(),
        ["onStatus 0 NetStream.Unpublish.Success", "_result 6 Undefined"]
    );
    assert!(
        fixture
            .call("deleteStream", 7.0, [Value::Null, 1.0.into()])
            .is_empty()
    );
    fixture.put(kind::VIDEO, 80, b"late");
    assert!(fixture.event().is_none());
    // The connection may be used again.
    fixture.request("play", "other");
}

#[test]
fn a_viewer_from_connect_to_the_end() {
    let mut fixture = Fixture::playing();
    assert!(fixture.session.is_playing());
    fixture.put(kind::VIDEO, 0, b"not asked for");
    assert!(fixture.event().is_none());
    for paused in [true, false] {
        let event = fixture.send("pause", 0.0, [Value::Null, paused.into(), 0.0.into()]);
        assert!(matches!(event, Some(Event::Pause(p)) if p == paused));
    }
    assert_eq!(
        fixture.answers(),
        [
            "onStatus 0 NetStream.Pause.Notify",
            "onStatus 0 NetStream.Unpause.Notify"
        ]
    );
    let seek = fixture.call("seek", 0.0, [Value::Null, 5.0.into()]);
    assert_eq!(seek, ["onStatus 0 NetStream.Seek.Failed"]);
    let event = fixture.send("closeStream", 0.0, [Value::Null]);
    assert!(matches!(event, Some(Event::Closed)));
    assert_eq!(fixture.answers(), ["onStatus 0 NetStream.Play.Stop"]);
}

type MakeFixture = fn() -> Fixture;

#[test]
fn every_command_in_every_state() {
    let states: [(&str, MakeFixture); 6] = [
        ("connect", Fixture::new),
        ("createStream", || Fixture::connected("live")),
        ("request", || Fixture::created("live")),
        ("publishing", Fixture::publishing),
        ("playing", Fixture::playing),
        ("refused", || {
            let mut fixture = Fixture::created("live");
            fixture.request("publish", "cam");
            fixture.session.refuse(Refusal::Busy, &mut fixture.out);
            assert_eq!(fixture.answers(), ["onStatus 0 NetStream.Publish.BadName"]);
            fixture
        }),
    ];
    // What comes of it in each: an answer's summary, or the event's name.
    let table = [
        ("connect", ["ok", "fail", "fail", "fail", "fail", "fail"]),
        ("createStream", ["fail", "ok", "ok", "fail", "fail", "ok"]),
        (
            "publish",
            ["status", "status", "event", "status", "status", "event"],
        ),
        ("play", ["status", "status", "event", "status", "status", "event"]),
        ("pause", ["fail", "fail", "fail", "fail", "event", "fail"]),
        ("closeStream", ["fail", "none", "none", "event", "event", "none"]),
        ("deleteStream", ["fail", "none", "none", "event", "event", "none"]),
        ("FCUnpublish", ["fail", "ok", "ok", "event", "event", "ok"]),
        ("FCPublish", ["fail", "ok", "ok", "ok", "ok", "ok"]),
        ("releaseStream", ["fail", "ok", "ok", "ok", "ok", "ok"]),
        ("_checkbw", ["fail", "ok", "ok", "ok", "ok", "ok"]),
        ("getStreamLength", ["fail", "ok", "ok", "ok", "ok", "ok"]),
        ("receiveAudio", ["fail", "none", "none", "none", "none", "none"]),
        ("play2", ["fail", "fail", "fail", "fail", "fail", "fail"]),
        ("seek", ["fail", "status", "status", "status", "status", "status"]),
    ];
    for (name, row) in table {
        for ((state, make), want) in states.iter().zip(row) {
            let mut fixture = make();
            let event = fixture.send(name, 9.0, [Value::Null, Value::Null]);
            let answers = fixture.answers();
            let got = match answers.iter().rev().find(|answer| answer.len() > 1) {
                _ if event.is_some() => "event",
                Some(answer) if answer.starts_with("_result 9 ") => "ok",
                Some(answer) if answer == "_error 9 NetConnection.Call.Failed" => "fail",
                Some(answer) if answer.starts_with("onStatus 0 NetStream.") => "status",
                None => "none",
                Some(answer) => answer,
            };
            assert_eq!(got, want, "{name} when {state}");
        }
    }
}

#[test]
fn nothing_is_read_while_the_driver_thinks() {
    let mut fixture = Fixture::created("live");
    fixture.request("publish", "");
    fixture.put(kind::VIDEO, 0, b"early");
    let waiting = fixture.input.len();
    assert!(fixture.event().is_none());
    assert_eq!(fixture.input.len(), waiting);
    fixture.session.accept(&mut fixture.out);
    assert!(matches!(fixture.event(), Some(Event::Media(_))));
    // Answers to nothing do nothing.
    fixture.answers();
    fixture.session.accept(&mut fixture.out);
    fixture.session.refuse(Refusal::Failed, &mut fixture.out);
    assert!(fixture.out.is_empty() && fixture.session.is_publishing());
}

#[test]
fn refusals_have_codes_that_clients_know() {
    for (refusal, publish, play) in [
        (Refusal::Denied, "Publish.Denied", "Play.Failed"),
        (Refusal::NotFound, "Publish.BadName", "Play.StreamNotFound"),
        (Refusal::Busy, "Publish.BadName", "Play.Failed"),
        (Refusal::Failed, "Publish.BadName", "Play.Failed"),
    ] {
        let mut fixture = Fixture::created("live");
        for (command, code) in [("publish", publish), ("play", play)] {
            fixture.request(command, "cam");
            fixture.session.refuse(refusal, &mut fixture.out);
            assert_eq!(fixture.answers(), [format!("onStatus 0 NetStream.{code}")]);
        }
    }
}

#[test]
fn the_driver_ends_it() {
    let mut fixture = Fixture::playing();
    fixture.session.end(&mut fixture.out);
    assert_eq!(
        fixture.answers(),
        [
            "4: 1 1",
            "onStatus 0 NetStream.Play.UnpublishNotify",
            "onStatus 0 NetStream.Play.Stop"
        ]
    );
    fixture.session.end(&mut fixture.out);
    assert!(fixture.answers().is_empty());
    let mut fixture = Fixture::publishing();
    fixture.session.end(&mut fixture.out);
    assert_eq!(fixture.answers(), ["onStatus 0 NetStream.Unpublish.Success"]);
    fixture.put(kind::VIDEO, 0, b"late");
    assert!(fixture.event().is_none());
}

#[test]
fn paths_come_of_app_and_name_and_names_may_be_missing() {
    let mut fixture = Fixture::created("a/b?token=canary-t");
    let request = fixture.request("publish", "c");
    assert_eq!((request.path.as_str(), request.takes_hvc1), ("/a/b/c", false));
    assert_eq!(request.token().unwrap().reveal(), "canary-t");
    for name in [Value::Null, Value::Undefined, "".into(), 5.0.into()] {
        let mut fixture = Fixture::created("cam");
        match fixture.send("play", 5.0, [Value::Null, name]) {
            Some(Event::Play(request)) => assert_eq!(request.path, "/cam"),
            other => panic!("{other:?}"),
        }
    }
    let mut fixture = Fixture::created("cam");
    match fixture.send("play", 5.0, []) {
        Some(Event::Play(request)) => assert_eq!(request.path, "/cam"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn clients_say_whether_they_take_enhanced_rtmp() {
    let codes = |codes: &[&str]| Value::StrictArray(codes.iter().map(|code| Value::from(*code)).collect());
    for (object, takes_hvc1, answered) in [
        (vec![], false, false),
        (vec![("fourCcList", codes(&["av01", "hvc1"]))], true, true),
        (vec![("fourCcList", codes(&["*"]))], true, true),
        (vec![("fourCcList", codes(&["av01"]))], false, true),
        (vec![("fourCcList", codes(&[]))], false, false),
        (vec![("fourCcList", 5.0.into())], false, false),
        (
            vec![("videoFourCcInfoMap", Value::object([("hvc1", 1.0.into())]))],
            true,
            true,
        ),
    ] {
        let mut fixture = Fixture::new();
        let object = object.into_iter().map(|(name, value)| (name.to_owned(), value));
        let object = Value::Object(object.chain([("flashVer".to_owned(), "OBS\n1".into())]).collect());
        assert!(fixture.send("connect", 1.0, [object]).is_none());
        let list = fixture.out.windows(10).any(|window| window == b"fourCcList");
        assert_eq!(list, answered);
        fixture.call("createStream", 2.0, [Value::Null]);
        let request = fixture.request("play", "cam");
        assert_eq!(
            (request.takes_hvc1, request.encoder.as_str()),
            (takes_hvc1, "OBS1")
        );
    }
}

#[test]
fn commands_may_be_marked_as_amf3() {
    let mut fixture = Fixture::new();
    let mut body = BytesMut::from(&[0][..]);
    for value in [
        "connect".into(),
        1.0.into(),
        Value::object([("app", "live".into())]),
    ] {
        value.write(&mut body);
    }
    fixture.put(kind::COMMAND_AMF3, 0, &body);
    assert!(fixture.event().is_none());
    assert_eq!(
        fixture.answers().last().unwrap(),
        "_result 1 NetConnection.Connect.Success"
    );
    fixture.put(kind::COMMAND_AMF3, 0, &body[1..]);
    let error = fixture.session.handle_input(&mut fixture.input, &mut fixture.out);
    assert!(matches!(
        error,
        Err(Error::Command {
            source: message::Error::Amf3,
            ..
        })
    ));
}

#[test]
fn pings_are_answered_and_bytes_acknowledged() {
    let mut fixture = Fixture::publishing();
    fixture.put(kind::USER_CONTROL, 0, &[0, 6, 1, 2, 3, 4]);
    fixture.put(kind::USER_CONTROL, 0, &[0, 3, 0, 0, 0, 1, 0, 0, 11, 184]);
    fixture.put(kind::USER_CONTROL, 0, &[0, 6]);
    fixture.put(kind::USER_CONTROL, 0, &[]);
    fixture.put(kind::SET_PEER_BANDWIDTH, 0, &[0, 1, 0, 0, 2]);
    assert!(fixture.event().is_none());
    assert_eq!(fixture.answers(), [&format!("4: 7 {}", 0x0102_0304), "5", "1"]);

    fixture.put(kind::WINDOW_ACKNOWLEDGEMENT_SIZE, 0, &[0, 0, 0x40, 0]);
    let mut media = 0;
    let mut acknowledged = Vec::new();
    for _ in 0..10 {
        fixture.put(kind::VIDEO, 0, &[0; 5000]);
        while fixture.event().is_some() {
            media += 1;
        }
        while let Some(message) = fixture.reader.read(&mut fixture.out).unwrap() {
            assert_eq!(message.header.kind, kind::ACKNOWLEDGEMENT);
            acknowledged.push(u32::from_be_bytes(message.body[..].try_into().unwrap()));
        }
    }
    // Of all bytes since the connection began, the handshake's included, at the end of a message.
    assert_eq!((media, acknowledged.len()), (10, 2));
    assert!(acknowledged[0] >= 0x4000);
    assert!(acknowledged.windows(2).all(|pair| pair[1] - pair[0] >= 0x4000));
}

#[test]
fn aggregates_come_apart() {
    let mut fixture = Fixture::publishing();
    let sub = |kind, ms, byte| [kind, 0, 0, 1, 0, 0, ms, 0, 0, 0, 0, byte, 0, 0, 0, 12];
    let body = [sub(8, 100, b'a'), sub(18, 100, b's'), sub(9, 120, b'v')].concat();
    fixture.put(kind::AGGREGATE, 5000, &body);
    fixture.put(kind::AUDIO, 6000, b"b");
    let mut found = Vec::new();
    while let Some(Event::Media(tag)) = fixture.event() {
        found.push((tag.kind, tag.timestamp_ms, tag.body[0]));
    }
    assert_eq!(
        found,
        [
            (TagKind::Audio, 5000, b'a'),
            (TagKind::Video, 5020, b'v'),
            (TagKind::Audio, 6000, b'b')
        ]
    );
}

#[test]
fn long_messages_are_taken_from_publishers_only() {
    let mut fixture = Fixture::created("live");
    fixture.put(kind::VIDEO, 0, &vec![0; chunk::MAX_COMMAND_BYTES + 1]);
    let error = fixture.session.handle_input(&mut fixture.input, &mut fixture.out);
    assert!(matches!(
        error,
        Err(Error::Chunk(chunk::Error::MessageTooLong { .. }))
    ));

    let mut fixture = Fixture::publishing();
    fixture.put(kind::VIDEO, 0, &vec![0; chunk::MAX_MEDIA_BYTES]);
    assert!(matches!(fixture.event(), Some(Event::Media(_))));
    // Metadata that can't be read is left out, a command is not.
    fixture.put(kind::DATA, 0, &vec![5; 70_000]);
    fixture.put(kind::DATA, 0, b"\x02\0\x0aonMetaData\x11");
    fixture.put(kind::DATA, 0, b"");
    assert!(fixture.event().is_none());
    fixture.put(kind::COMMAND, 0, b"\x05");
    let error = fixture.session.handle_input(&mut fixture.input, &mut fixture.out);
    assert!(matches!(error, Err(Error::Command { .. })), "{error:?}");
}

#[test]
fn a_bomb_in_a_command_is_refused() {
    let nested = b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0".iter().copied();
    let nested: Vec<u8> = nested.chain(b"\x0a\0\0\0\x01".repeat(10_000)).collect();
    let many: Vec<u8> = nested[..19].iter().copied().chain(vec![5; 10_000]).collect();
    for body in [nested, many] {
        let mut fixture = Fixture::new();
        fixture.put(kind::COMMAND, 0, &body);
        let error = fixture.session.handle_input(&mut fixture.input, &mut fixture.out);
        assert!(matches!(error, Err(Error::Command { .. })), "{error:?}");
    }
}

#[test]
fn what_speaks_another_protocol_is_an_error() {
    let mut session = Session::new(&[0; RANDOM_BYTES]);
    let mut input = BytesMut::from("GET /live/cam HTTP/1.1\r\n\r\n");
    let error = session.handle_input(&mut input, &mut BytesMut::new());
    assert!(matches!(
        error,
        Err(Error::Handshake(handshake::Error::Version(b'G')))
    ));
}

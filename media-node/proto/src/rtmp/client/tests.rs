use super::*;
use crate::flv::{self, H265Dialect, Tag, Unpacker};
use crate::rtmp::chunk::{Message, Reader};
use crate::rtmp::message::kind;
use crate::rtmp::server::{self, Refusal, Request};
use crate::rtmp::{Muxer, chunk};
use crate::testing::{self, Clip};
use bytes::{BufMut, Bytes};

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// A client and a server that talk to each other in pieces of some size.
struct Pair {
    client: Session,
    server: server::Session,
    to_server: BytesMut,
    to_client: BytesMut,
    at_server: BytesMut,
    at_client: BytesMut,
    piece: usize,
}

#[derive(Debug)]
enum News {
    Client(Event),
    Server(server::Event),
}

impl Pair {
    fn new(purpose: Purpose, text: &str, piece: usize) -> Self {
        Self {
            client: Session::new(purpose, url(text), &[1; RANDOM_BYTES]),
            server: server::Session::new(&[2; RANDOM_BYTES]),
            to_server: BytesMut::new(),
            to_client: BytesMut::new(),
            at_server: BytesMut::new(),
            at_client: BytesMut::new(),
            piece,
        }
    }

    /// Moves bytes until something happens; none when there are no more to move.
    fn next(&mut self) -> Result<Option<News>, Error> {
        loop {
            if let Some(event) = self
                .client
                .handle_input(&mut self.at_client, &mut self.to_server)?
            {
                return Ok(Some(News::Client(event)));
            }
            let event = self.server.handle_input(&mut self.at_server, &mut self.to_client);
            if let Some(event) = event.map_err(Error::from)? {
                return Ok(Some(News::Server(event)));
            }
            if self.to_server.is_empty() && self.to_client.is_empty() {
                return Ok(None);
            }
            let here = self.piece.min(self.to_server.len());
            self.at_server.unsplit(self.to_server.split_to(here));
            let here = self.piece.min(self.to_client.len());
            self.at_client.unsplit(self.to_client.split_to(here));
        }
    }

    fn request(&mut self) -> Request {
        match self.next() {
            Ok(Some(News::Server(server::Event::Publish(request) | server::Event::Play(request)))) => request,
            other => panic!("{other:?}"),
        }
    }
}

/// What arrives, unpacked.
fn check(clip: &Clip, tags: &[Tag]) {
    let mut unpacker = Unpacker::new();
    for tag in tags {
        unpacker.push(tag.kind, tag.timestamp_ms, &tag.body).unwrap();
    }
    unpacker.finish();
    assert_eq!(unpacker.pull(), Some(flv::Event::Tracks(clip.tracks.clone())));
    for au in &clip.access_units {
        match unpacker.pull() {
            Some(flv::Event::AccessUnit(found)) => assert_eq!(found.data, au.data),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(unpacker.pull(), None);
}

#[test]
fn a_stream_is_pushed() {
    for (piece, clip) in [(1000, testing::h264_aac()), (100_000, testing::h265_aac())] {
        let mut pair = Pair::new(Purpose::Push, "rtmp://h/Room/a/door?token=canary-1", piece);
        let request = pair.request();
        assert_eq!(request.path, "/room/a/door");
        assert_eq!(request.token().unwrap().reveal(), "canary-1");
        assert_eq!(request.encoder, "FMLE/3.0 (compatible; Weir)");
        pair.server.accept(&mut pair.to_client);
        let Ok(Some(News::Client(Event::Publishing {
            message_stream: 1,
            takes_hvc1: true,
        }))) = pair.next()
        else {
            panic!("publishing")
        };
        let muxer = Muxer::for_server(&clip.tracks, H265Dialect::Enhanced, 1);
        muxer.header(&mut pair.to_server);
        for au in &clip.access_units {
            muxer.message(au, &mut pair.to_server);
        }
        let (mut tags, mut metadata) = (Vec::new(), 0);
        while let Some(news) = pair.next().unwrap() {
            match news {
                News::Server(server::Event::Media(tag)) => tags.push(tag),
                News::Server(server::Event::Metadata(values)) => {
                    assert_eq!(values.property("width").and_then(Value::as_number), Some(320.0));
                    metadata += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(metadata, 1);
        check(&clip, &tags);

        pair.client.finish(&mut pair.to_server);
        assert!(matches!(
            pair.next(),
            Ok(Some(News::Server(server::Event::Closed)))
        ));
        assert!(matches!(pair.next(), Ok(None)));
        pair.client.finish(&mut pair.to_server);
        assert!(pair.to_server.is_empty());
    }
}

#[test]
fn a_stream_is_pulled() {
    for piece in [1000, 100_000] {
        let clip = testing::h264_aac();
        let mut pair = Pair::new(Purpose::Pull, "rtmp://h/live", piece);
        let request = pair.request();
        assert_eq!((request.path.as_str(), request.takes_hvc1), ("/live", true));
        pair.server.accept(&mut pair.to_client);
        assert!(matches!(pair.next(), Ok(Some(News::Client(Event::Playing)))));
        let muxer = Muxer::for_viewers(&clip.tracks, H265Dialect::Enhanced);
        muxer.header(&mut pair.to_client);
        for au in &clip.access_units {
            muxer.message(au, &mut pair.to_client);
        }
        pair.server.end(&mut pair.to_client);
        let (mut tags, mut metadata, mut ended) = (Vec::new(), 0, 0);
        while let Some(news) = pair.next().unwrap() {
            match news {
                News::Client(Event::Media(tag)) => tags.push(tag),
                News::Client(Event::Metadata(_)) => metadata += 1,
                News::Client(Event::Ended) => ended += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((metadata, ended), (1, 1));
        check(&clip, &tags);
    }
}

#[test]
fn refusals_say_why_without_the_key() {
    for (purpose, call, code) in [
        (Purpose::Push, "publish", "NetStream.Publish.Denied"),
        (Purpose::Pull, "play", "NetStream.Play.Failed"),
    ] {
        let mut pair = Pair::new(purpose, "rtmp://h/live/canary-key", usize::MAX);
        pair.request();
        pair.server.refuse(Refusal::Denied, &mut pair.to_client);
        let want = Error::Refused {
            call,
            code: code.into(),
            description: "not allowed".into(),
        };
        assert_eq!(pair.next().unwrap_err(), want);
        assert!(!format!("{:?}", pair.client).contains("canary"));
    }
}

/// A client against answers made by hand.
struct Fixture {
    client: Session,
    out: BytesMut,
    reader: Reader,
}

impl Fixture {
    fn new(purpose: Purpose, text: &str) -> Self {
        let mut client = Session::new(purpose, url(text), &[1; RANDOM_BYTES]);
        let mut out = BytesMut::new();
        let mut input = BytesMut::new();
        assert_eq!(client.handle_input(&mut input, &mut out), Ok(None));
        assert_eq!(out.split().len(), 1537);
        input.put_u8(3);
        input.put_bytes(0, 2 * 1536);
        assert_eq!(client.handle_input(&mut input, &mut out), Ok(None));
        out.advance_past_c2();
        let mut fixture = Self {
            client,
            out,
            reader: Reader::new(0),
        };
        assert_eq!(fixture.sent(), ["connect"]);
        fixture
    }

    /// Names of the commands, types of the other messages.
    fn sent(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some(message) = self.reader.read(&mut self.out).unwrap() {
            sent.push(match message.header.kind {
                kind::COMMAND => Command::parse(&message).unwrap().name,
                kind => kind.to_string(),
            });
        }
        sent
    }

    fn answer<const N: usize>(
        &mut self,
        name: &str,
        transaction: f64,
        arguments: [Value; N],
    ) -> Result<Option<Event>, Error> {
        let mut input = BytesMut::new();
        Command::new(name, transaction, arguments).write_in(chunk::DEFAULT_BYTES, 0, &mut input);
        self.client.handle_input(&mut input, &mut self.out)
    }

    fn started(purpose: Purpose, stream: f64) -> Self {
        let mut fixture = Self::new(purpose, "rtmp://h/live/canary-key?s=canary-s");
        let information = Value::object([("code", "NetConnection.Connect.Success".into())]);
        assert_eq!(
            fixture.answer("_result", 1.0, [Value::Null, information]),
            Ok(None)
        );
        // Not all servers know these; createStream is numbered 4 with both purposes.
        assert_eq!(
            fixture.answer("_error", 2.0, [Value::Null, Value::Null]),
            Ok(None)
        );
        assert_eq!(
            fixture.answer("_result", 3.0, [Value::Null, 9.0.into()]),
            Ok(None)
        );
        fixture.sent();
        assert_eq!(
            fixture.answer("_result", 4.0, [Value::Null, stream.into()]),
            Ok(None)
        );
        fixture
    }

    fn status(&mut self, level: &str, code: &str, description: &str) -> Result<Option<Event>, Error> {
        let information = Value::object([
            ("level", level.into()),
            ("code", code.into()),
            ("description", description.into()),
        ]);
        self.answer("onStatus", 0.0, [Value::Null, information])
    }
}

trait AdvancePastC2 {
    fn advance_past_c2(&mut self);
}

impl AdvancePastC2 for BytesMut {
    fn advance_past_c2(&mut self) {
        assert!(self.split_to(1536).iter().all(|byte| *byte == 0));
    }
}

#[test]
fn the_server_numbers_the_stream() {
    let mut fixture = Fixture::started(Purpose::Push, 7.0);
    let message = fixture.reader.read(&mut fixture.out).unwrap().unwrap();
    assert_eq!(message.header.message_stream, 7);
    let publish = Command::parse(&message).unwrap();
    assert_eq!(publish.name, "publish");
    assert_eq!(
        publish.arguments,
        [Value::Null, "canary-key?s=canary-s".into(), "live".into()]
    );
    assert_eq!(
        fixture.status("status", "NetStream.Publish.Start", ""),
        Ok(Some(Event::Publishing {
            message_stream: 7,
            takes_hvc1: false
        }))
    );
    assert_eq!(fixture.status("status", "NetStream.Publish.Start", ""), Ok(None));
    // As ffmpeg's server answers FCPublish, with a name and nothing else.
    let mut bare = BytesMut::from(&b"\x03\0\0\0\0\0\x0e\x14\0\0\0\0\x02\0\x0bonFCPublish"[..]);
    assert_eq!(fixture.client.handle_input(&mut bare, &mut fixture.out), Ok(None));
    assert_eq!(
        fixture.status("status", "NetStream.Unpublish.Success", ""),
        Ok(Some(Event::Ended))
    );

    let mut fixture = Fixture::started(Purpose::Pull, 1.0);
    assert_eq!(fixture.sent(), ["play", "4"]);
    for number in [Value::Null, (-1.0).into(), f64::NAN.into(), 1e300.into()] {
        let mut fixture = Fixture::new(Purpose::Pull, "rtmp://h/live/cam");
        assert_eq!(fixture.answer("_result", 1.0, []), Ok(None));
        assert_eq!(
            fixture.answer("_result", 4.0, [Value::Null, number]),
            Err(Error::NoStream)
        );
    }
}

#[test]
fn what_a_server_repeats_of_the_url_is_not_printed() {
    let refusal = |error| match error {
        Err(Error::Refused {
            call, description, ..
        }) => (call, description),
        other => panic!("{other:?}"),
    };
    let mut fixture = Fixture::started(Purpose::Push, 1.0);
    let error = fixture.status(
        "error",
        "NetStream.Publish.BadName",
        "live/canary-key?s=canary-s is\nbusy",
    );
    let (call, description) = refusal(error);
    assert_eq!(
        (call, description.as_str()),
        ("publish", "live/[redacted]?s=[redacted] isbusy")
    );

    let mut fixture = Fixture::new(Purpose::Pull, "rtmp://h/canary-app");
    let information = Value::object([("code", "x".into()), ("description", "no canary-app here".into())]);
    let error = fixture.answer("_error", 1.0, [Value::Null, information]);
    assert_eq!(refusal(error), ("connect", "no [redacted] here".into()));
    let mut fixture = Fixture::new(Purpose::Pull, "rtmp://h/live/cam");
    fixture.answer("_result", 1.0, []).unwrap();
    assert_eq!(
        refusal(fixture.answer("_error", 4.0, [])),
        ("createStream", String::new())
    );
}

#[test]
fn media_may_come_before_it_is_said_to_start_but_not_before_play() {
    let media = |stream: f64| {
        let mut fixture = Fixture::started(Purpose::Pull, stream);
        let mut input = BytesMut::new();
        let message = Message {
            header: chunk::Header {
                chunk_stream: 6,
                timestamp_ms: 5,
                kind: kind::VIDEO,
                message_stream: 1,
            },
            body: Bytes::from_static(b"v"),
        };
        chunk::write(&message.header, &message.body, 128, &mut input);
        fixture.client.handle_input(&mut input, &mut fixture.out)
    };
    assert!(matches!(media(1.0), Ok(Some(Event::Media(_)))));

    let mut fixture = Fixture::new(Purpose::Pull, "rtmp://h/live/cam");
    let mut input = BytesMut::from(&[6, 0, 0, 0, 0, 0, 1, 9, 1, 0, 0, 0, b'v'][..]);
    assert_eq!(
        fixture.client.handle_input(&mut input, &mut fixture.out),
        Ok(None)
    );
}

/// Sends something that means the end.
type Way = dyn Fn(&mut Fixture) -> Result<Option<Event>, Error>;

#[test]
fn the_end_is_told_once_however_the_server_says_it() {
    let onplaystatus = |fixture: &mut Fixture| {
        let mut body = BytesMut::new();
        Value::from("onPlayStatus").write(&mut body);
        Value::object([("code", "NetStream.Play.Complete".into())]).write(&mut body);
        let header = chunk::Header {
            chunk_stream: 5,
            timestamp_ms: 0,
            kind: kind::DATA,
            message_stream: 1,
        };
        let mut input = BytesMut::new();
        chunk::write(&header, &body, 128, &mut input);
        fixture.client.handle_input(&mut input, &mut fixture.out)
    };
    let eof = |fixture: &mut Fixture| {
        let mut input = BytesMut::new();
        message::user_control(message::user_control::STREAM_EOF, 1, &mut input);
        fixture.client.handle_input(&mut input, &mut fixture.out)
    };
    let stop = |fixture: &mut Fixture| fixture.status("status", "NetStream.Play.Stop", "");
    let close = |fixture: &mut Fixture| fixture.answer("close", 0.0, [Value::Null]);
    let ways: [&Way; 4] = [&onplaystatus, &eof, &stop, &close];
    for (i, first) in ways.iter().enumerate() {
        let mut fixture = Fixture::started(Purpose::Pull, 1.0);
        let playing = fixture.status("status", "NetStream.Play.Start", "");
        assert_eq!(playing, Ok(Some(Event::Playing)));
        assert_eq!(first(&mut fixture), Ok(Some(Event::Ended)), "way {i}");
        for again in &ways {
            assert_eq!(again(&mut fixture), Ok(None));
        }
    }
}

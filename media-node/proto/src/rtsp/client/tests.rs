use super::*;
use crate::rtsp::message::Parser;
use crate::rtsp::server::{self, Authorize, Denial};
use crate::testing::h264_aac;

const SECRET: &str = "canary-pw";

fn config(url: &str, password: Option<&str>) -> Config {
    Config {
        url: url.to_owned(),
        credentials: password.map(|p| ("ann".to_owned(), Redacted::new(p.to_owned()))),
        user_agent: "weir/test".to_owned(),
        client_nonce: "0a4f113b".to_owned(),
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A client, and our own server opposite, which knows one user.
struct Pair {
    client: Session,
    server: server::Session,
    to_server: BytesMut,
    to_client: BytesMut,
    asked: Vec<String>,
    now: Duration,
    protected: bool,
    busy: bool,
}

impl Pair {
    fn new(url: &str, password: Option<&str>, protected: bool) -> Self {
        let clip = h264_aac();
        let mut to_server = BytesMut::new();
        let description = sdp::write("door", &clip.tracks);
        let client = Session::begin(config(url, password), description, 2, secs(0), &mut to_server);
        let server = server::Session::new(server::Config {
            session_id: "abc".to_owned(),
            challenge: protected.then(|| server::Challenge {
                realm: "weir".to_owned(),
                nonce: "0123456789abcdef0123456789abcdef".to_owned(),
                basic: false,
            }),
            path: None,
            carrier: server::Carrier::Tcp,
            multicast: false,
            udp_play: true,
            udp_publish: true,
        });
        Self {
            client,
            server,
            to_server,
            to_client: BytesMut::new(),
            asked: Vec::new(),
            now: secs(0),
            protected,
            busy: false,
        }
    }

    fn may(&self, asked: &Authorize) -> Result<(), Denial> {
        if !self.protected {
            return Ok(());
        }
        let Some(super::super::auth::Credentials::Digest(digest)) = &asked.credentials else {
            return Err(Denial::NoCredentials);
        };
        let expected = asked.expected_response(SECRET).expect("digest");
        if *expected.reveal() == digest.response && digest.username == "ann" {
            return Ok(());
        }
        Err(Denial::WrongCredentials {
            next_nonce: "fedcba9876543210fedcba9876543210".to_owned(),
        })
    }

    fn serve(&mut self) {
        let mut parser = Parser::new();
        while let Some(message) = parser.parse(&mut self.to_server).expect("RTSP") {
            let Message::Request(request) = message else {
                panic!("{message:?}")
            };
            self.asked.push(format!("{} {}", request.method(), request.uri()));
            let out = &mut self.to_client;
            let mut event = self.server.handle_request(request, out);
            if let server::Event::Authorize(asked) = &event {
                match self.may(asked) {
                    Ok(()) => event = self.server.allow(&mut self.to_client),
                    Err(denial) => {
                        self.server.deny(denial, &mut self.to_client);
                        continue;
                    }
                }
            }
            match event {
                server::Event::Announce { .. } if self.busy => {
                    self.server.refuse(
                        Status::Forbidden,
                        Some("in use by ?token=canary"),
                        &mut self.to_client,
                    );
                }
                server::Event::Announce { .. } | server::Event::Record { .. } => {
                    self.server.accept(&mut self.to_client);
                }
                _ => {}
            }
        }
    }

    /// Until neither has anything to say.
    fn run(&mut self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        let mut parser = Parser::new();
        while !self.to_server.is_empty() {
            self.serve();
            while let Some(message) = parser.parse(&mut self.to_client).expect("RTSP") {
                events.extend(
                    self.client
                        .handle_message(self.now, &message, &mut self.to_server)?,
                );
            }
        }
        Ok(events)
    }
}

#[test]
fn it_publishes_to_our_own_server() {
    let mut pair = Pair::new("rtsp://h:1554/in/door?x=1", None, false);
    assert_eq!(pair.run(), Ok(vec![Event::Recording]));
    assert_eq!(
        pair.asked,
        [
            "ANNOUNCE rtsp://h:1554/in/door?x=1",
            "SETUP rtsp://h:1554/in/door?x=1/streamid=0",
            "SETUP rtsp://h:1554/in/door?x=1/streamid=1",
            "RECORD rtsp://h:1554/in/door?x=1",
        ]
    );
    assert!(pair.server.is_recording());
    assert_eq!(pair.client.channels(), [(0, 1), (2, 3)]);
    assert_eq!(pair.server.channel(2), Some((1, false)));
    pair.client.finish(secs(1), &mut pair.to_server);
    pair.serve();
    assert_eq!(
        pair.asked.last().map(String::as_str),
        Some("TEARDOWN rtsp://h:1554/in/door?x=1")
    );
}

#[test]
fn it_shows_credentials_when_they_are_wanted() {
    let mut pair = Pair::new("rtsp://h/door", Some(SECRET), true);
    assert_eq!(pair.run(), Ok(vec![Event::Recording]));
    let methods: Vec<&str> = pair.asked.iter().filter_map(|a| a.split(' ').next()).collect();
    assert_eq!(methods, ["ANNOUNCE", "ANNOUNCE", "SETUP", "SETUP", "RECORD"]);

    let mut wrong = Pair::new("rtsp://h/door", Some("wrong"), true);
    assert_eq!(wrong.run(), Err(Error::WrongCredentials));
    assert_eq!(wrong.asked.len(), 2);
    let mut none = Pair::new("rtsp://h/door", None, true);
    assert_eq!(none.run(), Err(Error::NoCredentials));
    assert!(!format!("{:?} {:?}", pair.client, wrong.client).contains("canary"));
}

#[test]
fn a_refusal_is_told_without_what_is_secret() {
    let mut pair = Pair::new("rtsp://h/door?token=canary", None, false);
    pair.busy = true;
    let error = pair.run().expect_err("refused");
    let text = error.to_string();
    assert_eq!(text, "the server refuses ANNOUNCE: 403 in use by ?[redacted]");
}

#[test]
fn parts_of_what_is_secret_are_not_told_either() {
    let mut out = BytesMut::new();
    let config = config("rtsp://h/door?x=1&token=can%61ry", Some("canary-pw"));
    let client = Session::begin(config, "v=0".to_owned(), 1, secs(0), &mut out);
    for (said, told) in [
        ("no x=1&token=can%61ry here", "no [redacted] here"),
        ("token=canary is old", "[redacted] is old"),
        (
            "canary (can%61ry) by canary-pw",
            "[redacted] ([redacted]) by [redacted]",
        ),
        ("1 of 10", "1 of 10"),
    ] {
        assert_eq!(client.printable(said), told);
    }
}

#[test]
fn a_server_for_which_every_nonce_is_too_old_is_given_up() {
    let mut out = BytesMut::new();
    let config = config("rtsp://h/a", Some("pw"));
    let mut client = Session::begin(config, "v=0".to_owned(), 1, secs(0), &mut out);
    let mut number = 0;
    let mut answer = |client: &mut Session, text: &str| {
        number += 1;
        let text = format!("RTSP/1.0 {text}\r\nCSeq: {number}\r\n\r\n");
        let mut input = BytesMut::from(text.as_str());
        let message = Parser::new().parse(&mut input).expect("RTSP").expect("whole");
        client.handle_message(secs(0), &message, &mut out)
    };
    let stale = "401 Unauthorized\r\nWWW-Authenticate: Digest realm=a, nonce=b, stale=true";
    // Once to each request it is said.
    for _ in 0..3 {
        assert_eq!(answer(&mut client, stale), Ok(None));
        assert!(answer(&mut client, "200 OK").is_ok());
    }
    let mut out = BytesMut::new();
    assert_eq!(client.state, State::Recording);
    client.handle_timeout(secs(30), &mut out).expect("due");
    assert_eq!(answer(&mut client, stale), Ok(None));
    assert_eq!(answer(&mut client, stale), Ok(None));
    assert_eq!(answer(&mut client, stale), Err(Error::WrongCredentials));
}

#[test]
fn a_session_is_kept_and_silence_ends_it() {
    let mut pair = Pair::new("rtsp://h/door", None, false);
    pair.run().expect("it records");
    assert_eq!(pair.client.poll_timeout(), secs(30));
    pair.client
        .handle_timeout(secs(29), &mut pair.to_server)
        .expect("early");
    assert!(pair.to_server.is_empty());
    pair.now = secs(30);
    pair.client
        .handle_timeout(secs(30), &mut pair.to_server)
        .expect("due");
    assert_eq!(pair.run(), Ok(vec![]));
    assert_eq!(
        pair.asked.last().map(String::as_str),
        Some("OPTIONS rtsp://h/door")
    );
    assert_eq!(pair.client.poll_timeout(), secs(60));
    pair.client
        .handle_timeout(secs(60), &mut pair.to_server)
        .expect("due");
    assert_eq!(pair.client.poll_timeout(), secs(70));
    let late = pair.client.handle_timeout(secs(70), &mut pair.to_server);
    assert_eq!(late, Err(Error::NoAnswer("OPTIONS")));

    let mut out = BytesMut::new();
    let mut silent = Session::begin(config("rtsp://h/a", None), String::new(), 1, secs(5), &mut out);
    assert_eq!(
        silent.handle_timeout(secs(15), &mut out),
        Err(Error::NoAnswer("ANNOUNCE"))
    );
}

/// What a client makes of answers that are written out.
fn after(answers: &[&str]) -> (Result<Option<Event>, Error>, Session, String) {
    let mut out = BytesMut::new();
    let mut client = Session::begin(
        config("rtsp://h/a/", None),
        "v=0".to_owned(),
        2,
        secs(0),
        &mut out,
    );
    let mut last = Ok(None);
    for (number, answer) in (1..).zip(answers) {
        let text = format!("{}\r\n\r\n", answer.replace("CSEQ", &format!("CSeq: {number}")));
        let mut input = BytesMut::from(text.as_str());
        let message = Parser::new().parse(&mut input).expect("RTSP").expect("whole");
        out.clear();
        last = client.handle_message(secs(0), &message, &mut out);
        if last.is_err() {
            break;
        }
    }
    (last, client, String::from_utf8_lossy(&out).into_owned())
}

const ANNOUNCED: &str = "RTSP/1.0 200 OK\r\nCSEQ";

#[test]
fn servers_choose_channels_and_time_outs() {
    let first =
        "RTSP/1.0 200 OK\r\nCSEQ\r\nSession: s1 ; timeout=20\r\nTransport: RTP/AVP/TCP;interleaved=4-5";
    let second = "RTSP/1.0 200 OK\r\nCSEQ\r\nSession: s1;timeout=20";
    let (last, client, out) = after(&[ANNOUNCED, first, second]);
    assert_eq!(last, Ok(None));
    assert_eq!(client.channels(), [(4, 5), (2, 3)]);
    assert!(
        out.starts_with("RECORD rtsp://h/a/ RTSP/1.0\r\n") && out.contains("Session: s1\r\n"),
        "{out}"
    );
    let (last, client, _) = after(&[ANNOUNCED, first, second, second]);
    assert_eq!(last, Ok(Some(Event::Recording)));
    assert_eq!(client.poll_timeout(), secs(10));
}

#[test]
fn what_servers_get_wrong_ends_the_session() {
    let udp = "RTSP/1.0 200 OK\r\nCSEQ\r\nTransport: RTP/AVP;unicast;server_port=1-2";
    let same = "RTSP/1.0 200 OK\r\nCSEQ\r\nTransport: RTP/AVP/TCP;interleaved=0-1";
    let other = "RTSP/1.0 200 OK\r\nCSEQ\r\nSession: b";
    for answers in [
        &[ANNOUNCED, udp][..],
        &[ANNOUNCED, "RTSP/1.0 200 OK\r\nCSEQ\r\nTransport: x"],
        &[
            ANNOUNCED,
            "RTSP/1.0 200 OK\r\nCSEQ\r\nTransport: RTP/AVP/TCP;interleaved=7-7",
        ],
        &[ANNOUNCED, same, same],
        &[
            ANNOUNCED,
            "RTSP/1.0 200 OK\r\nCSEQ\r\nTransport: RTP/AVP/TCP;interleaved=4-5",
            "RTSP/1.0 200 OK\r\nCSEQ\r\nTransport: RTP/AVP/TCP;interleaved=3-4",
        ],
        &["RTSP/1.0 200 OK\r\nCSEQ\r\nSession: a", other],
    ] {
        let (last, ..) = after(answers);
        assert!(matches!(last, Err(Error::Protocol(_))), "{answers:?}: {last:?}");
    }
    // A redirect is a refusal: its target has not been judged.
    let (last, ..) = after(&["RTSP/1.0 302 Found\r\nCSEQ\r\nLocation: rtsp://169.254.169.254/"]);
    assert!(
        matches!(last, Err(Error::Refused { status: 302, .. })),
        "{last:?}"
    );
    // An answer to something else is none.
    let (last, client, _) = after(&["RTSP/1.0 200 OK\r\nCSeq: 9"]);
    assert_eq!((last, client.state), (Ok(None), State::ExpectAnnounced));
}

#[test]
fn a_wrong_answer_needs_no_second_question() {
    let mut out = BytesMut::new();
    let config = config("rtsp://h/a", Some("wrong"));
    let mut client = Session::begin(config, "v=0".to_owned(), 1, secs(0), &mut out);
    let mut answer = |text: &str| {
        let mut input = BytesMut::from(text);
        let message = Parser::new().parse(&mut input).expect("RTSP").expect("whole");
        client.handle_message(secs(0), &message, &mut out)
    };
    let asked = "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm=a, nonce=b\r\n\r\n";
    assert_eq!(answer(asked), Ok(None));
    let old = "RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Digest realm=a, nonce=c, stale=true\r\n\r\n";
    assert_eq!(answer(old), Ok(None));
    let wrong = "RTSP/1.0 401 Unauthorized\r\nCSeq: 3\r\n\r\n";
    assert_eq!(answer(wrong), Err(Error::WrongCredentials));
}

#[test]
fn servers_may_ask_and_end_it() {
    let setup = "RTSP/1.0 200 OK\r\nCSEQ";
    let recording = [ANNOUNCED, setup, setup, setup];
    let (last, _, out) = after(&[&recording[..], &["OPTIONS * RTSP/1.0\r\nCSEQ"]].concat());
    assert_eq!(last, Ok(None));
    assert_eq!(out, "RTSP/1.0 200 OK\r\nCSeq: 5\r\n\r\n");
    let (last, client, _) = after(&[&recording[..], &["TEARDOWN * RTSP/1.0\r\nCSEQ"]].concat());
    assert_eq!((last, client.state), (Ok(Some(Event::Ended)), State::Ended));
}

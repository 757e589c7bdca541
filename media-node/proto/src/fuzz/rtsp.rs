//! RTSP messages, and a session that gets them.

use crate::media::codec::{g711, h264};
use crate::media::{CodecParameters, Track, Tracks};
use crate::rtsp::message::{MAX_BODY, MAX_HEAD};
use crate::rtsp::server::{Carrier, Challenge, Config, Denial, Event, Group};
use crate::rtsp::{Message, Parser, Session, Status};
use bytes::{Bytes, BytesMut};
use std::net::Ipv4Addr;

/// Messages come out the same whether the bytes come at once or in pieces, and no more waits in the
/// buffer than the bounds say.
pub(super) fn rtsp_message(data: &[u8]) {
    let whole = messages(data, usize::MAX);
    for step in [1, 5, 1000] {
        assert_eq!(messages(data, step), whole);
    }
}

fn messages(data: &[u8], step: usize) -> (Vec<Message>, Option<crate::rtsp::Error>) {
    let mut parser = Parser::new();
    let mut input = BytesMut::new();
    let mut messages = Vec::new();
    for piece in data.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            match parser.parse(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(input.len() <= MAX_HEAD.max(MAX_BODY).max(4 + 0xffff));
        assert!(parser.offset() + input.len() as u64 <= data.len() as u64);
    }
    (messages, None)
}

/// Every request is answered once, in RTSP, whatever the driver decides. The first byte decides.
pub(super) fn rtsp_server(data: &[u8]) {
    let Some((&choices, data)) = data.split_first() else {
        return;
    };
    let challenge = (choices & 1 != 0).then(|| Challenge {
        realm: "weir".to_owned(),
        nonce: "0".repeat(32),
        basic: choices & 2 != 0,
    });
    let path = (choices & 4 != 0).then(|| "/fixed".to_owned());
    let mut session = Session::new(Config {
        session_id: "s".to_owned(),
        challenge,
        path,
        carrier: Carrier::Tcp,
        multicast: choices & 2 != 0,
        udp_play: true,
        udp_publish: true,
    });
    let mut parser = Parser::new();
    let mut input = BytesMut::from(data);
    while let Ok(Some(message)) = parser.parse(&mut input) {
        let request = match message {
            Message::Request(request) => request,
            Message::Interleaved(packet) => {
                let _ = session.channel(packet.channel);
                continue;
            }
            Message::Response(_) => continue,
        };
        let sequence = request.headers.get("CSeq").map(str::to_owned);
        let mut out = BytesMut::new();
        let event = session.handle_request(request, &mut out);
        let closed = drive(&mut session, event, choices, &mut out);
        let answer = Parser::new().parse(&mut out);
        let Ok(Some(Message::Response(response))) = answer else {
            panic!("{answer:?}")
        };
        assert!(out.is_empty(), "two answers");
        assert_eq!(response.headers.get("CSeq").map(str::to_owned), sequence);
        assert!(session.setups().len() <= crate::sdp::parse::MAX_MEDIA);
        if closed {
            return;
        }
    }
}

/// Does what the event asks for; true when the connection ends.
pub(super) fn drive(session: &mut Session, event: Event, choices: u8, out: &mut BytesMut) -> bool {
    match event {
        Event::Answered | Event::Paused | Event::Resumed => false,
        Event::Close => true,
        Event::Authorize(authorize) => {
            let length = authorize
                .expected_response("secret")
                .map(|response| response.reveal().len());
            assert!(length.is_none_or(|length| length == 32));
            if choices & 8 != 0 {
                let denials = [
                    Denial::NoCredentials,
                    Denial::UnknownUser,
                    Denial::WrongCredentials {
                        next_nonce: "1".repeat(32),
                    },
                    Denial::Forbidden,
                ];
                session.deny(denials[usize::from(choices >> 6)].clone(), out);
                return false;
            }
            let event = session.allow(out);
            drive(session, event, choices, out)
        }
        _ if choices & 16 != 0 => {
            session.refuse(Status::NotFound, None, out);
            false
        }
        Event::Describe { path } => {
            assert!(path.starts_with('/'));
            session.describe(&path, &tracks(choices & 32 != 0), out);
            false
        }
        Event::Announce { description, .. } => {
            assert!(!description.media.is_empty());
            session.accept(out);
            false
        }
        Event::SetupUdp { client_ports, .. } => {
            assert!(client_ports.0 > 0 && client_ports.1 > 0);
            session.udp((7000, 7001), out);
            false
        }
        Event::SetupMulticast { .. } => {
            let group = Group {
                destination: Ipv4Addr::new(235, 0, 0, 0),
                ports: (16_666, 16_667),
                source: Ipv4Addr::LOCALHOST,
            };
            session.multicast(group, out);
            false
        }
        Event::Play { setups, .. } | Event::Record { setups, .. } => {
            assert!(!setups.is_empty());
            session.accept(out);
            false
        }
    }
}

fn tracks(video: bool) -> Tracks {
    let codec = CodecParameters::G711(g711::Parameters {
        law: g711::Law::A,
        channels: 1,
    });
    let sound = Track {
        codec,
        clock_rate: 8000,
    };
    let codec = CodecParameters::H264(h264::Parameters {
        sps: Bytes::from_static(&[0x67, 0x42, 0, 0x1f]),
        pps: Bytes::from_static(&[0x68]),
        width: 16,
        height: 16,
        frame_rate: None,
    });
    let picture = Track {
        codec,
        clock_rate: 90_000,
    };
    Tracks::new([if video { picture } else { sound.clone() }, sound])
}

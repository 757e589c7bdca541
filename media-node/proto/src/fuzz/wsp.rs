//! What a WSP player sends on its two sockets.

use super::rtsp::drive;
use crate::rtsp::server::{Carrier, Config};
use crate::rtsp::{Message, Parser, Session};
use crate::wsp::{ChannelId, Control, Event, Join};
use bytes::{Bytes, BytesMut};

/// Every message on the control socket is answered once, repeats its `seq`, and holds one RTSP
/// response to each RTSP request; or it ends the socket without an answer. The first byte decides what
/// the driver does; messages end with a zero byte.
pub(super) fn wsp(data: &[u8]) {
    let Some((&choices, data)) = data.split_first() else {
        return;
    };
    let mut control = Control::default();
    let mut session = Session::new(Config {
        session_id: "s".to_owned(),
        challenge: None,
        path: Some("/fixed".to_owned()),
        carrier: Carrier::Wsp,
        multicast: true,
        udp_play: true,
        udp_publish: true,
    });
    let mut over = false;
    for message in data.split(|b| *b == 0) {
        let message = Bytes::copy_from_slice(message);
        join(&message);
        let mut out = BytesMut::new();
        let event = match control.handle_message(&message, &mut out) {
            _ if over => continue,
            Ok(event) => event,
            Err(_) => {
                assert!(out.is_empty());
                over = true;
                continue;
            }
        };
        match event {
            Event::Ignored => {
                assert!(out.is_empty());
                continue;
            }
            Event::Answered => {}
            Event::Init => control.init(ChannelId::new(choices.into(), 7), &mut out),
            Event::Wrapped(request) => {
                let sequence = request.headers.get("CSeq").map(str::to_owned);
                let mut response = BytesMut::new();
                let event = session.handle_request(*request, &mut response);
                over = drive(&mut session, event, choices, &mut response);
                control.wrap(&response, &mut out);
                let answer = Parser::new().parse(&mut response);
                let Ok(Some(Message::Response(answer))) = answer else {
                    panic!("{answer:?}")
                };
                assert!(response.is_empty(), "two answers");
                assert_eq!(answer.headers.get("CSeq").map(str::to_owned), sequence);
            }
        }
        // It goes out as a text message.
        let out = std::str::from_utf8(&out).expect("UTF-8");
        let head = out.strip_prefix("WSP/1.1 200 OK\r\n").expect("a reply");
        let (head, _) = head.split_once("\r\n\r\n").expect("headers");
        let channel = control.channel().expect("a channel");
        let (first, second) = head.split_once("\r\n").expect("two headers");
        assert_eq!(first, format!("channel: {channel}"));
        assert!(second.starts_with("seq: ") && !second.contains(['\r', '\n']));
    }
    assert!(!session.is_recording());
}

fn join(message: &Bytes) {
    let Ok(join) = Join::parse(message) else { return };
    if let Some(channel) = join.channel {
        assert_eq!(ChannelId::parse(&channel.to_string()), Some(channel));
    }
    let (mut yes, mut no) = (BytesMut::new(), BytesMut::new());
    join.accept(&mut yes);
    join.not_found(&mut no);
    for reply in [yes, no] {
        let text = std::str::from_utf8(&reply).expect("UTF-8");
        assert_eq!(text.matches("\r\n").count(), 3, "{text}");
    }
}

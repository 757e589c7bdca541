//! RTMP: chunks, values, and a session that gets them.

use crate::flv::{TagKind, Unpacker};
use crate::rtmp::amf0::{self, Value};
use crate::rtmp::chunk::{self, Message, Reader};
use crate::rtmp::handshake::RANDOM_BYTES;
use crate::rtmp::message::{Command, kind};
use crate::rtmp::server::{Event, Refusal, Session};
use bytes::{BufMut, BytesMut};

/// What was read is written and read again.
pub(super) fn rtmp_amf0(data: &[u8]) {
    let Ok(values) = amf0::parse(data) else {
        return;
    };
    assert!(values.len() <= amf0::MAX_VALUES);
    assert!(values.iter().all(|value| depth(value) <= amf0::MAX_DEPTH));
    let written = write(&values);
    // Where it was not UTF-8, what stands in may be longer.
    let Ok(again) = amf0::parse(&written) else {
        assert!(written.len() > amf0::MAX_BYTES);
        return;
    };
    // Compared as bytes, because no NaN equals another.
    assert_eq!(write(&again), written);
}

fn write(values: &[Value]) -> BytesMut {
    let mut out = BytesMut::new();
    for value in values {
        value.write(&mut out);
    }
    out
}

fn depth(value: &Value) -> usize {
    let inside = match value {
        Value::StrictArray(values) => values.iter().map(depth).max(),
        _ => value
            .properties()
            .and_then(|properties| properties.iter().map(|(_, value)| depth(value)).max()),
    };
    1 + inside.unwrap_or(0)
}

/// Messages come out the same whether the bytes come at once or in pieces, and are the same after
/// being written and read again.
pub(super) fn rtmp_chunk(data: &[u8]) {
    let whole = messages(data, usize::MAX);
    for step in [1, 7, 1000] {
        assert_eq!(messages(data, step), whole);
    }
    let mut out = BytesMut::new();
    for Message { header, body } in &whole.0 {
        let expected = out.len() + chunk::measure(header, body.len(), chunk::DEFAULT_BYTES);
        chunk::write(header, body, chunk::DEFAULT_BYTES, &mut out);
        assert_eq!(out.len(), expected);
    }
    assert_eq!(messages(&out, usize::MAX), (whole.0, None));
}

fn messages(data: &[u8], step: usize) -> (Vec<Message>, Option<chunk::Error>) {
    let mut reader = Reader::new(0);
    let mut input = BytesMut::new();
    let mut messages = Vec::new();
    for piece in data.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            let read = reader.read(&mut input);
            if read.is_ok() {
                reader.check_invariants();
            }
            match read {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(input.len() < chunk::MAX_OVERHEAD_BYTES);
        assert!(reader.offset() + input.len() as u64 <= data.len() as u64);
    }
    (messages, None)
}

/// What a session answers can be read, and who sends in pieces gets the same answers and events.
/// The first byte decides what the driver does; the rest comes behind the handshake.
pub(super) fn rtmp_server(data: &[u8]) {
    let Some((&choices, data)) = data.split_first() else {
        return;
    };
    let whole = serve(choices, data, usize::MAX);
    assert_eq!(serve(choices, data, 1), whole);
    assert_eq!(serve(choices, data, 100), whole);
    for message in whole.1.iter().filter(|m| m.header.kind == kind::COMMAND) {
        let command = Command::parse(message).expect("a command");
        assert_eq!(command.arguments.len(), 2);
    }
}

/// The events' names, and what was answered. Acknowledgements are left out: when they come depends
/// on the pieces.
fn serve(choices: u8, data: &[u8], step: usize) -> (Vec<String>, Vec<Message>) {
    let (events, out) = serve_bytes(choices, data, step);
    let (mut messages, error) = messages(&out, usize::MAX);
    assert_eq!(error, None);
    messages.retain(|message| message.header.kind != kind::ACKNOWLEDGEMENT);
    (events, messages)
}

fn serve_bytes(choices: u8, data: &[u8], step: usize) -> (Vec<String>, BytesMut) {
    let (mut session, mut unpacker) = (Session::new(&[1; RANDOM_BYTES]), Unpacker::new());
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    input.put_u8(3);
    input.put_bytes(0, 2 * 1536);
    assert!(matches!(session.handle_input(&mut input, &mut out), Ok(None)));
    assert!(input.is_empty());
    out.clear();

    let mut events = Vec::new();
    for piece in data.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            match session.handle_input(&mut input, &mut out) {
                Ok(Some(event)) => {
                    drive(choices, &mut session, &mut unpacker, &event, &mut out);
                    events.push(name(&event));
                }
                Ok(None) => break,
                Err(error) => {
                    session.end(&mut out);
                    events.push(error.to_string());
                    return (events, out);
                }
            }
        }
        assert!(input.len() < chunk::MAX_OVERHEAD_BYTES);
    }
    session.end(&mut out);
    assert!(!session.is_publishing() && !session.is_playing());
    (events, out)
}

fn name(event: &Event) -> String {
    match event {
        Event::Publish(request) => format!("publish {}", request.path),
        Event::Play(request) => format!("play {}", request.path),
        Event::Media(tag) => format!("{:?} {} {}", tag.kind, tag.timestamp_ms, tag.body.len()),
        Event::Metadata(_) => "metadata".to_owned(),
        Event::Pause(paused) => format!("pause {paused}"),
        Event::Closed => "closed".to_owned(),
    }
}

fn drive(choices: u8, session: &mut Session, unpacker: &mut Unpacker, event: &Event, out: &mut BytesMut) {
    match event {
        Event::Publish(request) | Event::Play(request) => {
            assert!(request.path.starts_with('/'));
            let _ = request.token();
            if choices & 1 == 0 {
                session.accept(out);
                assert!(session.is_publishing() != session.is_playing());
            } else {
                let refusals = [Refusal::Denied, Refusal::NotFound, Refusal::Busy, Refusal::Failed];
                session.refuse(refusals[usize::from(choices >> 6)], out);
                assert!(!session.is_publishing() && !session.is_playing());
            }
        }
        Event::Media(tag) => {
            assert!(session.is_publishing() && tag.kind != TagKind::Script);
            let _ = unpacker.push(tag.kind, tag.timestamp_ms, &tag.body);
            while unpacker.pull().is_some() {}
        }
        Event::Metadata(_) => assert!(session.is_publishing()),
        Event::Pause(_) => assert!(session.is_playing()),
        Event::Closed => assert!(!session.is_publishing() && !session.is_playing()),
    }
}

//! RTMP: chunks and values.

use crate::rtmp::amf0::{self, Value};
use crate::rtmp::chunk::{self, Message, Reader};
use bytes::BytesMut;

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

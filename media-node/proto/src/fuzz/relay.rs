//! The protocol between a stream's owner and an edge.

use crate::relay::{Decoder, Error, MAX_MESSAGE, Message};
use bytes::BytesMut;

/// Messages come out the same whether the bytes come at once or in pieces, and survive being
/// written by us.
pub(super) fn relay(data: &[u8]) {
    let (messages, error) = decode(data, usize::MAX);
    assert_eq!(decode(data, 7), (messages.clone(), error));
    let mut out = BytesMut::new();
    let mut expected = Vec::new();
    for message in messages {
        // A name is for people, and cut.
        if !matches!(&message, Message::Hello(hello) if hello.name.len() > 255) {
            message.write(&mut out);
            expected.push(message);
        }
    }
    if matches!(expected.first(), Some(Message::Hello(_))) {
        let (again, error) = decode(&out, usize::MAX);
        // Where a hello was left out, the tracks before it are still in force.
        assert_eq!((again, error), (expected, None));
    }
}

fn decode(data: &[u8], step: usize) -> (Vec<Message>, Option<Error>) {
    let mut decoder = Decoder::new();
    let mut input = BytesMut::new();
    let mut messages = Vec::new();
    for piece in data.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(input.len() < 4 + MAX_MESSAGE);
    }
    (messages, None)
}

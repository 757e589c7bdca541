//! What a client sends on a WebSocket.

use crate::websocket::{Error, Message, Reader};
use bytes::BytesMut;

/// A header and the payload of a control frame are the most that waits.
const MOST_WAITING: usize = 14 + 125;

/// Messages come out the same whether the bytes come at once or in pieces, and data is not kept.
pub(super) fn websocket(data: &[u8]) {
    let whole = messages(data, usize::MAX);
    for step in [1, 7, 1000] {
        assert_eq!(messages(data, step), whole);
    }
}

fn messages(data: &[u8], step: usize) -> (Vec<Message>, Option<Error>) {
    let mut reader = Reader::default();
    let mut input = BytesMut::new();
    let mut messages = Vec::new();
    for piece in data.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            match reader.read(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(input.len() < MOST_WAITING);
    }
    (messages, None)
}

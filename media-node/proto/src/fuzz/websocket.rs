//! Frames of WebSocket clients.

use crate::websocket::{Error, Message, Reader, binary};
use bytes::BytesMut;

/// Bytes of a message that are kept.
const MOST: usize = 1000;

/// Messages come out the same whether the bytes come at once or in pieces, none is longer than is
/// taken, and no more waits than one frame. A reader that skips sees the same pings.
pub(super) fn websocket(data: &[u8]) {
    let whole = messages(Reader::keeping(MOST), data, usize::MAX);
    for step in [1, 3, 100] {
        assert_eq!(messages(Reader::keeping(MOST), data, step), whole);
    }
    let (skipped, error) = messages(Reader::default(), data, 7);
    let mut kept = Vec::new();
    for message in whole.0 {
        match message {
            Message::Data(data) => {
                assert!(data.len() <= MOST);
                assert_eq!(&binary(&data)[..1], [0x82]);
            }
            other => kept.push(other),
        }
    }
    // A reader that keeps is stricter, so it may have stopped before.
    assert_eq!(skipped.get(..kept.len()), Some(&kept[..]));
    if whole.1.is_none() {
        assert_eq!((skipped.len(), error), (kept.len(), None));
    }
}

fn messages(mut reader: Reader, data: &[u8], step: usize) -> (Vec<Message>, Option<Error>) {
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
        assert!(input.len() < MOST + 14, "{} bytes wait", input.len());
    }
    (messages, None)
}

use super::*;
use crate::rtmp::message::{self, kind};
use bytes::{BufMut, BytesMut};

fn message(chunk_stream: u32, timestamp_ms: u32, body: &[u8]) -> Message {
    Message {
        header: Header {
            chunk_stream,
            timestamp_ms,
            kind: kind::VIDEO,
            message_stream: 1,
        },
        body: Bytes::copy_from_slice(body),
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

/// Everything that comes out, in pieces of `step` bytes; checks the reader on the way.
fn read_in(reader: &mut Reader, bytes: &[u8], step: usize) -> Result<Vec<Message>, Error> {
    let (mut input, mut found) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(step) {
        input.extend_from_slice(piece);
        while let Some(message) = reader.read(&mut input)? {
            reader.check_invariants();
            found.push(message);
        }
        reader.check_invariants();
        assert!(input.len() < MAX_OVERHEAD_BYTES);
    }
    Ok(found)
}

fn read(bytes: &[u8]) -> Result<Vec<Message>, Error> {
    read_in(&mut Reader::new(0), bytes, usize::MAX)
}

#[test]
fn what_is_written_comes_back() {
    for chunk_bytes in [1, 127, 128, 129, 4096, BYTES] {
        for chunk_stream in [2, 63, 64, 319, 320, 65_599] {
            for timestamp_ms in [0, 0xff_fffe, 0xff_ffff, 0x100_0000, u32::MAX] {
                let mut bytes = BytesMut::new();
                message::set_chunk_size(chunk_bytes, &mut bytes);
                let messages: Vec<_> = [0, 1, 127, 128, 129, 256, 1000]
                    .into_iter()
                    .map(|length| message(chunk_stream, timestamp_ms, &pattern(length)))
                    .collect();
                for message in &messages {
                    let expected = bytes.len() + measure(&message.header, message.body.len(), chunk_bytes);
                    write(&message.header, &message.body, chunk_bytes, &mut bytes);
                    assert_eq!(bytes.len(), expected);
                }
                for step in [1, 1000, usize::MAX] {
                    assert_eq!(
                        read_in(&mut Reader::new(0), &bytes, step).as_ref(),
                        Ok(&messages),
                        "{chunk_bytes} {chunk_stream} {timestamp_ms}"
                    );
                }
            }
        }
    }
}

#[test]
fn bytes_are_those_of_the_specification() {
    let mut out = BytesMut::new();
    write(&message(4, 1000, &[7; 307]).header, &[7; 307], 128, &mut out);
    // The example of section 5.3.2.2, but that the message is of type 9.
    let expected = [
        &[4, 0, 3, 0xe8, 0, 1, 0x33, 9, 1, 0, 0, 0][..],
        &[7; 128],
        &[0xc4],
        &[7; 128],
        &[0xc4],
        &[7; 51],
    ];
    assert_eq!(out, expected.concat());

    out.clear();
    write(&message(70, 0x0102_0304, b"").header, &[7; 130], 128, &mut out);
    assert_eq!(
        out[..17],
        [0, 6, 0xff, 0xff, 0xff, 0, 0, 130, 9, 1, 0, 0, 0, 1, 2, 3, 4]
    );
    assert_eq!(out[17 + 128..], [0xc0, 6, 1, 2, 3, 4, 7, 7]);
}

#[test]
fn headers_leave_out_what_was_said_before() {
    // Section 5.3.2.1: fmt 0, 2, 3, and then fmt 1 with another length and type.
    let bytes = [
        &[3, 0, 3, 0xe8, 0, 0, 2, 8, 5, 0, 0, 0, b'a', b'b'][..],
        &[0x83, 0, 0, 20, b'c', b'd'],
        &[0xc3, b'e', b'f'],
        &[0x43, 0, 0, 5, 0, 0, 1, 9, b'g'],
        &[0xc3, b'h'],
    ]
    .concat();
    let found = read(&bytes).unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|m| {
            (
                m.header.timestamp_ms,
                m.header.kind,
                m.header.message_stream,
                &m.body[..],
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (1000, 8, 5, &b"ab"[..]),
            (1020, 8, 5, b"cd"),
            (1040, 8, 5, b"ef"),
            (1045, 9, 5, b"g"),
            (1050, 9, 5, b"h"),
        ]
    );
}

#[test]
fn after_fmt_0_the_timestamp_is_the_delta() {
    let bytes = [&[3, 0, 0, 40, 0, 0, 1, 8, 1, 0, 0, 0, b'a'][..], &[0xc3, b'b']].concat();
    let found = read(&bytes).unwrap();
    assert_eq!(
        (found[0].header.timestamp_ms, found[1].header.timestamp_ms),
        (40, 80)
    );
}

#[test]
fn librtmp_begins_with_fmt_1() {
    // Set Buffer Length as it sends it.
    let bytes = [0x42, 0, 0, 1, 0, 0, 10, 4, 0, 3, 0, 0, 0, 1, 0, 0, 0x0b, 0xb8];
    let found = read(&bytes).unwrap();
    assert_eq!(
        (found[0].header.timestamp_ms, found[0].header.message_stream),
        (1, 0)
    );
}

#[test]
fn extended_timestamps_may_be_missing_in_fmt_3() {
    let body = pattern(300);
    let sent = message(6, 0x0100_0000, &body);
    let mut bytes = BytesMut::new();
    write(&sent.header, &body, 128, &mut bytes);
    let mut without = BytesMut::new();
    without.put_slice(&bytes[..16 + 128]);
    for piece in body[128..].chunks(128) {
        without.put_u8(0xc6);
        without.put_slice(piece);
    }
    assert_eq!(bytes.len(), without.len() + 8);
    for step in [1, 1000] {
        for bytes in [&bytes, &without] {
            let found = read_in(&mut Reader::new(0), bytes, step).unwrap();
            assert_eq!(found, std::slice::from_ref(&sent));
        }
    }
}

#[test]
fn extended_deltas_add_up_and_wrap() {
    let bytes = [
        &[
            3, 0xff, 0xff, 0xff, 0, 0, 1, 8, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xf0, b'a',
        ][..],
        &[0x83, 0xff, 0xff, 0xff, 1, 0, 0, 0, b'b'],
        // The delta again, and the delta left out.
        &[0xc3, 1, 0, 0, 0, b'c'],
        &[0xc3, b'd', 0x83, 0, 0, 1, b'e'],
    ]
    .concat();
    let found = read(&bytes).unwrap();
    let times: Vec<_> = found.iter().map(|m| m.header.timestamp_ms).collect();
    assert_eq!(
        times,
        [0xffff_fff0, 0x00ff_fff0, 0x01ff_fff0, 0x02ff_fff0, 0x02ff_fff1]
    );
    let bodies: Vec<_> = found.iter().map(|m| m.body[0]).collect();
    assert_eq!(bodies, *b"abcde");
}

/// One chunk after the other of each message in turn.
fn interleave(messages: &[Message]) -> BytesMut {
    let mut out = BytesMut::new();
    let mut parts: Vec<Vec<BytesMut>> = messages
        .iter()
        .map(|message| {
            let mut bytes = BytesMut::new();
            write(&message.header, &message.body, 128, &mut bytes);
            let headers = bytes.len() - message.body.len();
            let separators = (message.body.len() - 1) / 128;
            let mut parts = vec![bytes.split_to(headers - separators + message.body.len().min(128))];
            while !bytes.is_empty() {
                parts.push(bytes.split_to(bytes.len().min(129)));
            }
            parts.reverse();
            parts
        })
        .collect();
    while parts.iter().any(|parts| !parts.is_empty()) {
        for part in parts.iter_mut().filter_map(Vec::pop) {
            out.unsplit(part);
        }
    }
    out
}

#[test]
fn chunk_streams_mix() {
    let messages = [
        message(4, 10, &pattern(500)),
        message(6, 20, &pattern(2000)),
        message(63, 30, &pattern(1)),
    ];
    let bytes = interleave(&messages);
    for step in [1, 100, usize::MAX] {
        let mut found = read_in(&mut Reader::new(0), &bytes, step).unwrap();
        found.sort_by_key(|message| message.header.chunk_stream);
        assert_eq!(found, messages);
    }
}

#[test]
fn sizes_change_between_the_chunks_of_a_message() {
    let body = pattern(300);
    let mut bytes = BytesMut::new();
    write(&message(6, 0, &body).header, &body, 128, &mut bytes);
    let rest = bytes.split_off(12 + 128);
    message::set_chunk_size(1000, &mut bytes);
    bytes.put_u8(rest[0]);
    bytes.put_slice(&body[128..]);
    assert_eq!(read(&bytes), Ok(vec![message(6, 0, &body)]));
}

#[test]
fn an_aborted_message_is_dropped() {
    let body = pattern(300);
    let mut bytes = BytesMut::new();
    write(&message(6, 0, &body).header, &body, 128, &mut bytes);
    bytes.truncate(12 + 128 + 129);
    bytes.put_slice(&[2, 0, 0, 0, 0, 0, 4, kind::ABORT, 0, 0, 0, 0, 0, 0, 0, 6]);
    // One that nothing is known of.
    bytes.put_slice(&[2, 0, 0, 0, 0, 0, 4, kind::ABORT, 0, 0, 0, 0, 0, 0, 0, 9]);
    let next = message(6, 7, b"next");
    write(&next.header, &next.body, 128, &mut bytes);
    assert_eq!(read(&bytes), Ok(vec![next]));
}

#[test]
fn a_cut_anywhere_waits_for_more() {
    let messages = [message(6, 0x0100_0000, &pattern(300)), message(400, 5, b"x")];
    let mut bytes = BytesMut::new();
    for message in &messages {
        write(&message.header, &message.body, 128, &mut bytes);
    }
    for end in 0..bytes.len() {
        let found = read(&bytes[..end]).unwrap();
        assert_eq!(found, messages[..found.len()]);
        assert!(found.len() < 2);
    }
}

#[test]
fn what_contradicts_what_was_before_is_refused() {
    let first = [3, 0, 0, 0, 0, 1, 0, 8, 1, 0, 0, 0];
    let with_body = [&first[..], &[0; 128]].concat();
    for fmt in [0, 0x40, 0x80] {
        let bytes = [&with_body[..], &[fmt | 3, 0, 0, 0, 0, 1, 0, 8, 1, 0, 0, 0]].concat();
        assert_eq!(
            read(&bytes),
            Err(Error::NotContinued {
                offset: 140,
                chunk_stream: 3
            })
        );
    }
    for bytes in [&[0x83, 0, 0, 0][..], &[0xc3]] {
        assert_eq!(
            read(bytes),
            Err(Error::NoHeader {
                offset: 0,
                chunk_stream: 3
            })
        );
    }
}

#[test]
fn absurd_sizes_are_refused() {
    let header = |chunk_stream: u8, length: usize| {
        let [.., a, b, c] = length.to_be_bytes();
        vec![chunk_stream, 0, 0, 0, a, b, c, 9, 1, 0, 0, 0]
    };
    assert_eq!(
        read_in(&mut Reader::new(3073), &header(3, MAX_COMMAND_BYTES + 1), 1),
        Err(Error::MessageTooLong {
            offset: 3073,
            length: MAX_COMMAND_BYTES + 1,
            limit: MAX_COMMAND_BYTES
        })
    );
    let mut reader = Reader::new(0);
    reader.set_limit(MAX_MEDIA_BYTES);
    assert_eq!(read_in(&mut reader, &header(3, MAX_MEDIA_BYTES), 1), Ok(vec![]));
    // Nothing has come, so nearly nothing is held.
    reader.check_invariants();

    for size in [0, 0x8000_0000_u32, u32::MAX] {
        let mut bytes = vec![2, 0, 0, 0, 0, 0, 4, kind::SET_CHUNK_SIZE, 0, 0, 0, 0];
        bytes.extend(size.to_be_bytes());
        assert_eq!(read(&bytes), Err(Error::ChunkSize { offset: 16, size }));
    }
    for kind in [kind::SET_CHUNK_SIZE, kind::ABORT] {
        let bytes = [2, 0, 0, 0, 0, 0, 3, kind, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(read(&bytes), Err(Error::Truncated { offset: 15 }));
    }
    let mut bytes = vec![
        2,
        0,
        0,
        0,
        0,
        0,
        4,
        kind::SET_CHUNK_SIZE,
        0,
        0,
        0,
        0,
        0x7f,
        0xff,
        0xff,
        0xff,
    ];
    bytes.extend(header(3, 60_000));
    bytes.extend(pattern(60_000));
    assert_eq!(read(&bytes).unwrap()[0].body, pattern(60_000));
}

#[test]
fn unfinished_messages_are_bounded_in_number_and_bytes() {
    let mut bytes = Vec::new();
    for chunk_stream in 0..=MAX_STREAMS as u8 {
        bytes.extend([0, chunk_stream, 0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0]);
        bytes.extend([0; 128]);
    }
    assert_eq!(
        read(&bytes),
        Err(Error::TooManyStreams {
            offset: MAX_STREAMS as u64 * 141
        })
    );

    // Each lacks its last byte.
    let mut bytes = BytesMut::new();
    message::set_chunk_size(MAX_COMMAND_BYTES - 1, &mut bytes);
    for chunk_stream in 3..10 {
        bytes.put_slice(&[chunk_stream, 0, 0, 0, 1, 0, 0, 9, 1, 0, 0, 0]);
        bytes.put_bytes(0, MAX_COMMAND_BYTES - 1);
    }
    let limit = 2 * MAX_COMMAND_BYTES;
    let refused = read(&bytes);
    assert!(
        matches!(refused, Err(Error::TooMuchUnfinished { limit: l, .. }) if l == limit),
        "{refused:?}"
    );
}

#[test]
fn buffers_grow_with_what_comes() {
    let mut reader = Reader::new(0);
    reader.set_limit(MAX_MEDIA_BYTES);
    let mut input = BytesMut::new();
    message::set_chunk_size(MAX_MEDIA_BYTES, &mut input);
    let body = pattern(1_000_000);
    write(&message(6, 0, &body).header, &body, MAX_MEDIA_BYTES, &mut input);
    let mut rest = input.split_off(100);
    let mut found = None;
    while found.is_none() {
        found = reader.read(&mut input).unwrap();
        input.unsplit(rest.split_to(1000.min(rest.len())));
    }
    let body_again = found.unwrap().body;
    assert_eq!(body_again, body);
    // No more than the message is kept with it.
    assert_eq!(Vec::from(body_again).capacity(), body.len());
}

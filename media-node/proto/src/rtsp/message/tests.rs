use super::*;

fn parse(input: &[u8]) -> Result<Vec<Message>, Error> {
    let mut parser = Parser::new();
    let mut buffer = BytesMut::from(input);
    let mut messages = Vec::new();
    while let Some(message) = parser.parse(&mut buffer)? {
        messages.push(message);
    }
    Ok(messages)
}

/// The same bytes, arriving one at a time.
fn parse_trickled(input: &[u8]) -> Result<Vec<Message>, Error> {
    let mut parser = Parser::new();
    let mut buffer = BytesMut::new();
    let mut messages = Vec::new();
    for byte in input {
        buffer.put_u8(*byte);
        while let Some(message) = parser.parse(&mut buffer)? {
            messages.push(message);
        }
    }
    Ok(messages)
}

fn request(input: &[u8]) -> Request {
    match parse(input).unwrap().pop() {
        Some(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_of_all_kinds_share_a_connection() {
    let input = b"\r\nANNOUNCE rtsp://h/a RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 4\r\n\r\nbody\
        $\x00\x00\x03abcRTSP/1.0 404 Not Found\r\nCSeq:7\r\n\r\n$\x01\x00\x00OPTIONS * RTSP/1.0\r\n\r\n";
    let messages = parse(input).unwrap();
    assert_eq!(messages, parse_trickled(input).unwrap());
    let [
        Message::Request(announce),
        Message::Interleaved(packet),
        Message::Response(response),
        Message::Interleaved(empty),
        Message::Request(options),
    ] = &messages[..]
    else {
        panic!("{messages:?}");
    };
    assert_eq!((announce.method(), announce.uri()), ("ANNOUNCE", "rtsp://h/a"));
    assert_eq!(
        (announce.headers.get("cseq"), &announce.body[..]),
        (Some("2"), &b"body"[..])
    );
    assert_eq!((packet.channel, &packet.data[..]), (0, &b"abc"[..]));
    assert_eq!((response.status, response.reason()), (404, "Not Found"));
    assert_eq!(response.headers.get("CSEQ"), Some("7"));
    assert_eq!((empty.channel, empty.data.len()), (1, 0));
    assert_eq!(
        (options.method(), options.uri(), options.headers.is_empty()),
        ("OPTIONS", "*", true)
    );
}

#[test]
fn methods_are_tokens() {
    for method in ["PLAY2", "X-FLUSH", "GET_PARAMETER", "a.b"] {
        let text = format!("{method} rtsp://h/a RTSP/1.0\r\n\r\n");
        assert_eq!(request(text.as_bytes()).method(), method);
    }
    for text in [
        &b"P(Y * RTSP/1.0\r\n\r\n"[..],
        b"A/B * RTSP/1.0\r\n\r\n",
        b"A:B * RTSP/1.0\r\n\r\n",
    ] {
        let refused = Parser::new().parse(&mut BytesMut::from(text));
        assert_eq!(refused, Err(Error::StartLine { offset: 0 }), "{text:?}");
    }
}

#[test]
fn line_ends_folding_and_repeated_headers() {
    let request = request(b"PLAY rtsp://h/a RTSP/1.0\nA: 1\nB:  x\r\n\t y  \r\nA:2\n\n");
    assert_eq!(request.headers.all("a").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(request.headers.get("b"), Some("x y"));
    let request = self::request(b"PLAY rtsp://h/a RTSP/1.0\r\nA:\r\n 1\r\n \r\nB: 2\r\n\r\n");
    assert_eq!(request.headers.get("a"), Some("1"));
}

#[test]
fn a_value_that_is_not_utf8_is_skipped() {
    let request = request(b"OPTIONS * RTSP/1.0\r\nUser-Agent: \xb5\xcf\r\nCSeq: 1\r\n\r\n");
    assert_eq!(request.headers.get("User-Agent"), None);
    assert_eq!(request.headers.get("CSeq"), Some("1"));
}

#[test]
fn what_is_not_rtsp_is_refused_with_its_offset() {
    let cases: &[(&[u8], Error)] = &[
        (
            b"\x16\x03\x01",
            Error::NotRtsp {
                offset: 0,
                byte: 0x16,
            },
        ),
        (b"$\0\0\x01x\0", Error::NotRtsp { offset: 5, byte: 0 }),
        (
            b"\r\n\r\n{",
            Error::NotRtsp {
                offset: 4,
                byte: b'{',
            },
        ),
        (b"OPTIONS\r\n\r\n", Error::StartLine { offset: 0 }),
        (b"OPTIONS *\r\n\r\n", Error::Version { offset: 0 }),
        (b"GET / HTTP/1.1\r\n\r\n", Error::Version { offset: 0 }),
        (b"OPTIONS  * RTSP/1.0\r\n\r\n", Error::StartLine { offset: 0 }),
        (b"OPTIONS * RTSP/1.0 x\r\n\r\n", Error::StartLine { offset: 0 }),
        (b"OPTIONS * RTSP/2.0\r\n\r\n", Error::Version { offset: 0 }),
        (b"OPT\xc3\x84 * RTSP/1.0\r\n\r\n", Error::StartLine { offset: 0 }),
        (b"PLAY \xff RTSP/1.0\r\n\r\n", Error::StartLine { offset: 0 }),
        (b"RTSP/1.0 OK\r\n\r\n", Error::StartLine { offset: 0 }),
        (b"RTSP/1.0 99 OK\r\n\r\n", Error::StartLine { offset: 0 }),
        (b"RTSP/9 200 OK\r\n\r\n", Error::Version { offset: 0 }),
        (
            b"PLAY * RTSP/1.0\r\nno colon\r\n\r\n",
            Error::HeaderLine { offset: 17 },
        ),
        (
            b"PLAY * RTSP/1.0\r\n: x\r\n\r\n",
            Error::HeaderLine { offset: 17 },
        ),
        (
            b"PLAY * RTSP/1.0\r\n fold\r\n\r\n",
            Error::HeaderLine { offset: 17 },
        ),
        (
            b"PLAY * RTSP/1.0\r\nA: \0\r\n\r\n",
            Error::ControlCharacter { offset: 20 },
        ),
        (
            b"PLAY * RTSP/1.0\r\nA: b\rC: d\r\n\r\n",
            Error::ControlCharacter { offset: 21 },
        ),
        (
            b"PLAY * RTSP/1.0\r\nContent-Length: -1\r\n\r\n",
            Error::ContentLength { offset: 17 },
        ),
        (
            b"PLAY * RTSP/1.0\r\nContent-Length: \r\n\r\n",
            Error::ContentLength { offset: 17 },
        ),
        (
            b"PLAY * RTSP/1.0\r\nContent-Length: 1\r\nContent-length: 2\r\n\r\n",
            Error::ContentLength { offset: 36 },
        ),
        (
            b"PLAY * RTSP/1.0\r\nContent-Length: 65537\r\n\r\n",
            Error::BodyTooLong {
                offset: 17,
                length: 65_537,
            },
        ),
    ];
    for (input, error) in cases {
        let text = String::from_utf8_lossy(input);
        assert_eq!(parse(input).as_ref(), Err(error), "{text}");
        assert_eq!(parse_trickled(input).as_ref(), Err(error), "{text}");
    }
}

#[test]
fn equal_content_lengths_are_one() {
    let request = request(b"SET_PARAMETER * RTSP/1.0\r\nContent-Length: 2\r\nContent-Length: 02\r\n\r\nok");
    assert_eq!(&request.body[..], b"ok");
}

#[test]
fn bounds_hold_whole_and_trickled() {
    let long_line = [b"OPTIONS ", &vec![b'a'; MAX_LINE][..], b" RTSP/1.0\r\n\r\n"].concat();
    assert_eq!(parse(&long_line), Err(Error::LineTooLong { offset: 0 }));
    assert_eq!(parse_trickled(&long_line), Err(Error::LineTooLong { offset: 0 }));
    // Refused as soon as it is too long, not at its end.
    assert_eq!(
        parse(&long_line[..MAX_LINE + 2]),
        Err(Error::LineTooLong { offset: 0 })
    );

    let mut many = b"OPTIONS * RTSP/1.0\r\n".to_vec();
    many.extend(b"A: b\r\n".repeat(MAX_HEADERS));
    let ok = [&many[..], b"\r\n"].concat();
    assert_eq!(request(&ok).headers.len(), MAX_HEADERS);
    many.extend(b"A: b\r\n\r\n");
    assert_eq!(
        parse(&many),
        Err(Error::TooManyHeaders {
            offset: 20 + 6 * MAX_HEADERS as u64
        })
    );

    let folded = [
        &b"OPTIONS * RTSP/1.0\r\nA: b\r\n"[..],
        &b" c\r\n".repeat(MAX_HEADERS),
        b"\r\n",
    ]
    .concat();
    assert!(matches!(parse(&folded), Err(Error::TooManyHeaders { .. })));

    let mut large = b"OPTIONS * RTSP/1.0\r\n".to_vec();
    large.extend([b"A: ", &vec![b'b'; 8000][..], b"\r\n"].concat().repeat(5));
    assert!(matches!(parse(&large), Err(Error::HeadTooLong { .. })));
    assert!(matches!(parse_trickled(&large), Err(Error::HeadTooLong { .. })));
    // Without any line end the line's bound comes first.
    assert_eq!(
        parse(&vec![b'a'; MAX_HEAD]),
        Err(Error::LineTooLong { offset: 0 })
    );
}

#[test]
fn the_largest_body_and_packet_are_taken() {
    let mut input = format!("ANNOUNCE * RTSP/1.0\r\nContent-Length: {MAX_BODY}\r\n\r\n").into_bytes();
    input.extend(vec![b'x'; MAX_BODY]);
    assert_eq!(request(&input).body.len(), MAX_BODY);
    let packet = [b"$\x05\xff\xff".to_vec(), vec![7; 0xffff]].concat();
    let expected = Interleaved {
        channel: 5,
        data: vec![7; 0xffff].into(),
    };
    assert_eq!(parse(&packet).unwrap(), [Message::Interleaved(expected)]);
    assert_eq!(parse(&packet[..packet.len() - 1]).unwrap(), []);
}

#[test]
fn the_body_shares_the_receive_buffer() {
    let mut buffer = BytesMut::from(&b"$\0\0\x04abcd"[..]);
    let begin = buffer.as_ptr() as usize;
    let Ok(Some(Message::Interleaved(packet))) = Parser::new().parse(&mut buffer) else {
        panic!()
    };
    assert_eq!(packet.data.as_ptr() as usize, begin + 4);
}

#[test]
fn debug_output_has_no_values() {
    let request = request(
        b"PLAY rtsp://user:hunter2@h/a?token=hunter2 RTSP/1.0\r\nAuthorization: Basic hunter2\r\n\r\n",
    );
    let text = format!("{request:?}");
    assert!(
        text.contains("Authorization") && text.contains("/a") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn responses_are_sorted_and_cannot_be_split() {
    let mut out = BytesMut::new();
    let headers = [
        ("Session", "x"),
        ("CSeq", "1\r\nEvil: 1"),
        ("Content-Type", "application/sdp"),
    ];
    write_response(&mut out, Status::NotFound, "No\nSuch", &headers, b"v=0");
    let expected = "RTSP/1.0 404 No Such\r\nCSeq: 1  Evil: 1\r\nContent-Length: 3\r\n\
        Content-Type: application/sdp\r\nSession: x\r\n\r\nv=0";
    assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
    let [Message::Response(response)] = &parse(&out).unwrap()[..] else {
        panic!()
    };
    assert_eq!((response.status, &response.body[..]), (404, &b"v=0"[..]));
}

use super::*;
use crate::media::codec::{aac, g711, h264, h265};
use crate::media::{CodecParameters, SegmentStart, Timestamp, Track};
use bytes::{BufMut, Bytes, BytesMut};

fn tracks() -> Tracks {
    let h264 = CodecParameters::H264(h264::Parameters {
        sps: Bytes::from_static(&[0x67, 1]),
        pps: Bytes::from_static(&[0x68]),
        width: 1280,
        height: 720,
        frame_rate: Some((25, 1)),
    });
    let h265 = CodecParameters::H265(h265::Parameters {
        vps: Bytes::from_static(&[0x40]),
        sps: Bytes::from_static(&[0x42, 1, 2]),
        pps: Bytes::from_static(&[0x44]),
        width: 3840,
        height: 2160,
        frame_rate: None,
    });
    let aac = CodecParameters::Aac(aac::Parameters {
        config: Bytes::from_static(&[0x12, 0x10]),
        sample_rate: 44_100,
        channels: 2,
    });
    let g711 = |law| CodecParameters::G711(g711::Parameters { law, channels: 1 });
    Tracks::new([
        Track {
            codec: h264,
            clock_rate: 90_000,
        },
        Track {
            codec: h265,
            clock_rate: 90_000,
        },
        Track {
            codec: aac,
            clock_rate: 44_100,
        },
        Track {
            codec: g711(g711::Law::A),
            clock_rate: 8000,
        },
        Track {
            codec: g711(g711::Law::Mu),
            clock_rate: 8000,
        },
    ])
}

fn unit(segment: Option<SegmentStart>) -> AccessUnit {
    AccessUnit {
        track: 1,
        pts: Timestamp::new(90_000, 90_000),
        dts: Timestamp::new(-3000, 90_000),
        keyframe: segment.is_some(),
        segment,
        data: Bytes::from_static(b"picture"),
    }
}

fn messages() -> Vec<Message> {
    vec![
        Message::Hello(Hello {
            session: 0x0102_0304_0506_0708,
            name: "media-node-0".into(),
        }),
        Message::Tracks(tracks()),
        Message::Unit(unit(Some(u64::MAX.into()))),
        Message::Unit(unit(Some(SegmentStart {
            number: 7,
            era: 1_800_000_000,
            opens_era: true,
        }))),
        Message::Unit(unit(None)),
        Message::Unit(unit(Some(8.into()))),
        Message::Unit(unit(None)),
        Message::Keepalive,
        Message::Hello(Hello {
            session: 2,
            name: String::new(),
        }),
        Message::Tracks(Tracks::default()),
        Message::End(EndReason::Ended),
        Message::End(EndReason::Moved),
        Message::End(EndReason::TooSlow),
        Message::End(EndReason::Replaced),
        Message::End(EndReason::Other(77)),
    ]
}

fn write(messages: &[Message]) -> BytesMut {
    let mut out = BytesMut::new();
    for message in messages {
        message.write(&mut out);
    }
    out
}

fn decode(mut input: BytesMut) -> Result<Vec<Message>, Error> {
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    while let Some(message) = decoder.decode(&mut input)? {
        messages.push(message);
    }
    Ok(messages)
}

#[test]
fn what_is_written_is_decoded_whole_and_trickled() {
    assert_eq!(decode(write(&messages())).unwrap(), messages());
    let mut decoder = Decoder::new();
    let mut input = BytesMut::new();
    let mut decoded = Vec::new();
    for byte in write(&messages()) {
        input.put_u8(byte);
        while let Some(message) = decoder.decode(&mut input).unwrap() {
            decoded.push(message);
        }
    }
    assert_eq!(decoded, messages());
}

#[test]
fn golden_bytes() {
    let hello = write(&[Message::Hello(Hello {
        session: 0x1122_3344_5566_7788,
        name: "n0".into(),
    })]);
    #[rustfmt::skip]
    assert_eq!(hello[..], [
        0, 0, 0, 18, 0, b'W', b'E', b'I', b'R', 1, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0, 2,
        b'n', b'0',
    ]);
    let mut unit = unit(Some(9.into()));
    unit.data = Bytes::from_static(&[0xaa]);
    let unit = write(&[Message::Unit(unit)]);
    #[rustfmt::skip]
    assert_eq!(unit[..], [
        0, 0, 0, 32, 2, 1, 3, 0, 1, 0x5f, 0x90,
        0, 0, 0, 0, 0, 1, 0x5f, 0x90,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf4, 0x48,
        0, 0, 0, 0, 0, 0, 0, 9,
        0xaa,
    ]);
}

#[test]
fn payloads_share_the_receive_buffer() {
    let mut input = write(&messages()[..3]);
    let range = input.as_ptr_range();
    let mut decoder = Decoder::new();
    let mut last = None;
    while let Some(message) = decoder.decode(&mut input).unwrap() {
        last = Some(message);
    }
    let Some(Message::Unit(unit)) = last else { panic!() };
    assert!(range.contains(&unit.data.as_ptr()));
}

#[test]
fn a_dts_in_another_clock_is_converted() {
    let unit = AccessUnit {
        dts: Timestamp::from_millis(500),
        ..unit(None)
    };
    let decoded = decode(write(&[
        messages()[0].clone(),
        messages()[1].clone(),
        Message::Unit(unit),
    ]));
    let Message::Unit(unit) = &decoded.unwrap()[2] else {
        panic!()
    };
    assert_eq!(unit.dts, Timestamp::new(45_000, 90_000));
}

#[test]
fn unknown_kinds_and_longer_bodies_are_skipped() {
    let mut input = write(&messages()[..2]);
    input.put_slice(&[0, 0, 0, 3, 200, 1, 2]);
    input.put_slice(&[0, 0, 0, 4, 4, 1, 9, 9]);
    assert_eq!(decode(input).unwrap()[2..], [Message::End(EndReason::Moved)]);
}

#[test]
fn what_is_no_relay_is_refused() {
    assert_eq!(
        decode(write(&[Message::Keepalive])),
        Err(Error::NoHello { offset: 0 })
    );
    // Taken for a length, "HTTP" is too large; an error page is refused at once.
    let html = BytesMut::from(&b"<html>"[..]);
    assert!(matches!(decode(html), Err(Error::Length { offset: 0, .. })));
    assert_eq!(
        decode(BytesMut::from(&[0; 5][..])),
        Err(Error::Length { offset: 0, length: 0 })
    );
    assert_eq!(
        decode(BytesMut::from(&[0, 0, 0, 9, 2][..])),
        Err(Error::NoHello { offset: 0 })
    );

    let hello = write(&messages()[..1]);
    let mut version = hello.clone();
    version[9] = 2;
    assert_eq!(
        decode(version),
        Err(Error::Version {
            offset: 5,
            version: 2
        })
    );
    let mut magic = hello.clone();
    magic[5] = b'w';
    assert_eq!(decode(magic), Err(Error::NoHello { offset: 5 }));

    let after_hello = |message: &[u8]| {
        let mut input = hello.clone();
        input.put_slice(message);
        decode(input)
    };
    let at = hello.len() as u64;
    let unit = after_hello(&write(&[Message::Unit(self::unit(None))]));
    assert_eq!(
        unit,
        Err(Error::UnknownTrack {
            offset: at + 5,
            track: 1
        })
    );
    let too_long = (MAX_MESSAGE as u32 + 1).to_be_bytes();
    assert_eq!(
        after_hello(&too_long),
        Err(Error::Length {
            offset: at,
            length: MAX_MESSAGE + 1
        })
    );
    for (body, error) in [
        (
            &[0, 0, 0, 2, 1, 33][..],
            Error::Value {
                offset: at + 6,
                what: "tracks",
            },
        ),
        (
            &[0, 0, 0, 2, 1, 1],
            Error::Truncated {
                offset: at + 6,
                what: "track",
            },
        ),
        (
            &[0, 0, 0, 7, 1, 1, 9, 0, 0, 0, 1],
            Error::Value {
                offset: at + 11,
                what: "codec",
            },
        ),
        (
            &[0, 0, 0, 7, 1, 1, 1, 0, 0, 0, 0],
            Error::Value {
                offset: at + 11,
                what: "clock rate",
            },
        ),
        (
            &[0, 0, 0, 8, 1, 1, 4, 0, 0, 0, 1, 2],
            Error::Value {
                offset: at + 12,
                what: "law",
            },
        ),
        (
            &[0, 0, 0, 9, 1, 1, 3, 0, 0, 0, 1, 0xff, 0xff],
            Error::Truncated {
                offset: at + 13,
                what: "track",
            },
        ),
        (
            &[0, 0, 0, 1, 4],
            Error::Truncated {
                offset: at + 5,
                what: "end",
            },
        ),
    ] {
        assert_eq!(after_hello(body), Err(error));
    }
}

#[test]
fn a_new_session_forgets_the_tracks() {
    let mut input = write(&messages()[..2]);
    Message::Hello(Hello {
        session: 2,
        name: String::new(),
    })
    .write(&mut input);
    let at = input.len() as u64;
    Message::Unit(unit(None)).write(&mut input);
    assert_eq!(
        decode(input),
        Err(Error::UnknownTrack {
            offset: at + 5,
            track: 1
        })
    );
}

#[test]
fn what_is_too_large_is_not_written() {
    let data = Bytes::from(vec![0; MAX_MESSAGE]);
    assert!(write(&[Message::Unit(AccessUnit { data, ..unit(None) })]).is_empty());
    let data = Bytes::from(vec![0; MAX_PICTURE_BYTES]);
    assert!(
        !write(&[Message::Unit(AccessUnit {
            data,
            ..unit(Some(1.into()))
        })])
        .is_empty()
    );
    let name = "ä".repeat(500);
    let hello = decode(write(&[Message::Hello(Hello { session: 1, name })])).unwrap();
    let Message::Hello(hello) = &hello[0] else {
        panic!()
    };
    assert_eq!(hello.name, "ä".repeat(127));
}

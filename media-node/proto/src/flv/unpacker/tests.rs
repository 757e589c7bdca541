use super::*;
use crate::flv::{H265Dialect, Muxer, Reader};
use crate::media::codec::nal;
use crate::testing::{self, Clip};
use bytes::BytesMut;

fn events(unpacker: &mut Unpacker) -> Vec<Event> {
    std::iter::from_fn(|| unpacker.pull()).collect()
}

/// Muxes a clip, reads it in pieces of `piece` bytes, and unpacks it.
fn through_flv(clip: &Clip, dialect: H265Dialect, piece: usize) -> Vec<Event> {
    let muxer = Muxer::new(&clip.tracks, dialect);
    let mut stream = BytesMut::new();
    muxer.header(&mut stream);
    for au in &clip.access_units {
        muxer.tag(au, &mut stream);
    }
    let (mut reader, mut unpacker) = (Reader::default(), Unpacker::new());
    for piece in stream.chunks(piece) {
        reader.push(piece);
        while let Some(tag) = reader.pull().unwrap() {
            unpacker.push(tag.kind, tag.timestamp_ms, &tag.body).unwrap();
        }
    }
    unpacker.finish();
    events(&mut unpacker)
}

#[test]
fn what_is_muxed_comes_back() {
    for (clip, dialect) in [
        (testing::h264_aac(), H265Dialect::Legacy),
        (testing::h265_aac(), H265Dialect::Legacy),
        (testing::h265_aac(), H265Dialect::Enhanced),
    ] {
        let events = through_flv(&clip, dialect, 1000);
        let (Event::Tracks(tracks), rest) = events.split_first().unwrap() else {
            panic!("tracks first")
        };
        assert_eq!(*tracks, clip.tracks);
        let origin_ms = clip.access_units[0].dts.as_millis().max(0);
        assert_eq!(rest.len(), clip.access_units.len());
        for (event, au) in rest.iter().zip(&clip.access_units) {
            let Event::AccessUnit(found) = event else {
                panic!("only access units")
            };
            assert_eq!(
                (found.track, found.keyframe, &found.data),
                (au.track, au.keyframe, &au.data)
            );
            let off = (found.pts.as_millis() + origin_ms - au.pts.as_millis()).abs();
            assert!(off <= 1, "off by {off} ms");
        }
        // Audio keeps its own exact times.
        let audio: Vec<i64> = rest
            .iter()
            .filter_map(|e| match e {
                Event::AccessUnit(au) if au.track == 1 => Some(au.pts.ticks()),
                _ => None,
            })
            .collect();
        assert!(audio.windows(2).all(|w| w[1] - w[0] == 1024));
    }
}

#[test]
fn pieces_of_any_size_give_the_same() {
    let mut clip = testing::h264_aac();
    clip.access_units.truncate(40);
    let whole = through_flv(&clip, H265Dialect::Legacy, usize::MAX);
    for piece in [1, 7, 188] {
        assert_eq!(through_flv(&clip, H265Dialect::Legacy, piece), whole);
    }
}

#[test]
fn a_stream_with_one_track_is_announced_after_a_second_or_at_the_end() {
    let video = testing::h264_aac().only(|t| t.kind() == TrackKind::Video);
    let mut short = video.clone();
    short.access_units.truncate(3);
    let events = through_flv(&short, H265Dialect::Legacy, 1000);
    assert_eq!(
        (events.len(), &events[0]),
        (4, &Event::Tracks(video.tracks.clone()))
    );
    assert_eq!(through_flv(&video, H265Dialect::Legacy, 1000).len(), 101);

    let audio = testing::h264_aac().only(|t| t.kind() == TrackKind::Audio);
    let events = through_flv(&audio, H265Dialect::Legacy, 1000);
    assert!(
        events[1..]
            .iter()
            .all(|e| matches!(e, Event::AccessUnit(au) if au.keyframe))
    );
}

#[test]
fn g711_is_taken_and_others_are_named_once() {
    let mut unpacker = Unpacker::new();
    for i in 0..100 {
        // A-law, mono
        let body = [&[0x72][..], &[0xd5; 160]].concat();
        unpacker.push(TagKind::Audio, i * 20, &body.into()).unwrap();
        // Sorenson H.263, which nobody sends any more
        unpacker
            .push(TagKind::Video, i * 20, &Bytes::from_static(&[0x22, 1, 2]))
            .unwrap();
    }
    let events = events(&mut unpacker);
    assert_eq!(events[0], Event::LeftOut(LeftOut::Video(2)));
    let Event::Tracks(tracks) = &events[1] else {
        panic!("tracks")
    };
    assert_eq!(
        (tracks.len(), tracks.iter().next().unwrap().clock_rate),
        (1, 8000)
    );
    assert_eq!(events.len(), 102);
    let Event::AccessUnit(last) = events.last().unwrap() else {
        panic!("an access unit")
    };
    assert_eq!(
        (last.pts.ticks(), last.data.len(), last.keyframe),
        (99 * 160, 160, true)
    );
}

#[test]
fn a_new_sequence_header_announces_new_tracks() {
    let first = testing::h264_aac().only(|t| t.kind() == TrackKind::Video);
    let second = testing::h265_aac().only(|t| t.kind() == TrackKind::Video);
    let mut unpacker = Unpacker::new();
    let mut out = BytesMut::new();
    for (clip, offset) in [(&first, 0), (&second, 5000)] {
        let muxer = Muxer::new(&clip.tracks, H265Dialect::Enhanced);
        out.clear();
        muxer.header(&mut out);
        for au in &clip.access_units {
            muxer.tag(au, &mut out);
        }
        let mut reader = Reader::default();
        reader.push(&out);
        while let Some(tag) = reader.pull().unwrap() {
            unpacker
                .push(tag.kind, tag.timestamp_ms + offset, &tag.body)
                .unwrap();
        }
    }
    let events = events(&mut unpacker);
    let tracks: Vec<_> = events
        .iter()
        .enumerate()
        .filter_map(|(i, e)| match e {
            Event::Tracks(tracks) => Some((i, tracks.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(tracks, [(0, first.tracks), (101, second.tracks)]);
}

#[test]
fn damaged_tags_are_errors_and_the_next_is_fine() {
    let clip = testing::h264_aac().only(|t| t.kind() == TrackKind::Video);
    let bodies = crate::flv::Bodies::new(&clip.tracks, H265Dialect::Legacy);
    let (kind, header) = bodies.sequence_headers().next().unwrap();
    let mut body = BytesMut::new();
    bodies.write(&clip.access_units[0], &mut body);
    let body = body.freeze();

    let mut unpacker = Unpacker::new();
    for end in 1..header.len() {
        // Cut inside the fields at the end, the record is still whole enough.
        if unpacker.push(kind, 0, &header.slice(..end)).is_ok() {
            assert!(end > header.len() - 5);
        }
    }
    unpacker.push(kind, 0, &header).unwrap();
    // Between two NAL units, a cut is not to be seen.
    let mut whole = vec![5];
    for unit in nal::units(&body[5..]) {
        whole.push(whole.last().unwrap() + 4 + unit.len());
    }
    for end in 0..body.len() {
        let cut = unpacker.push(kind, 0, &body.slice(..end));
        assert_eq!(cut.is_ok(), whole.contains(&end), "{end} bytes");
    }
    unpacker.push(kind, 0, &body).unwrap();
    unpacker.finish();
    let events = events(&mut unpacker);
    assert!(
        matches!(&events[..], [Event::Tracks(_), Event::AccessUnit(au)] if au.data == clip.access_units[0].data)
    );
}

#[test]
fn what_is_no_flv_is_refused() {
    for start in [
        &b"GIF89a..."[..],
        b"FLV\x01\x05\0\0\0\x08",
        b"FLV\x01\x05\x7f\0\0\x09",
    ] {
        let mut reader = Reader::default();
        reader.push(start);
        assert_eq!(reader.pull(), Err(Error::NotFlv));
    }
    let mut reader = Reader::default();
    reader.push(b"FLV\x01\x05\0\0\0");
    assert_eq!(reader.pull(), Ok(None));
}

#[test]
fn waiting_is_bounded() {
    let mut unpacker = Unpacker::new();
    let body = [&[0x72][..], &[0xd5; 8]].concat();
    for _ in 0..10_000 {
        unpacker
            .push(TagKind::Audio, 0, &Bytes::copy_from_slice(&body))
            .unwrap();
        assert!(unpacker.waiting.len() <= MAX_WAITING);
    }
}

/// The tags of H.265 and AAC in the forms of Enhanced RTMP, with `modifiers` before each packet type.
fn enhanced(clip: &Clip, modifiers: &[&[u8]]) -> Vec<(TagKind, u32, Bytes)> {
    let bodies = crate::flv::Bodies::new(&clip.tracks, H265Dialect::Enhanced);
    let mut tags: Vec<_> = bodies
        .sequence_headers()
        .map(|(kind, body)| (kind, 0, body))
        .collect();
    for au in &clip.access_units {
        let (kind, _) = bodies.measure(au).unwrap();
        let mut body = BytesMut::new();
        bodies.write(au, &mut body);
        tags.push((kind, au.dts.as_millis().max(0) as u32, body.freeze()));
    }
    for (kind, _, body) in &mut tags {
        let (mut head, code, mut rest) = match kind {
            TagKind::Video => (body[0], body[1..5].to_vec(), body.slice(5..)),
            _ => (0x90 | body[1], b"mp4a".to_vec(), body.slice(2..)),
        };
        // A composition time of 0 need not be written.
        if head & 0x8f == 0x81 && rest.starts_with(&[0, 0, 0]) {
            head += 2;
            rest = rest.slice(3..);
        }
        let mut out = vec![head | if modifiers.is_empty() { 0 } else { 7 }];
        for (i, data) in modifiers.iter().enumerate() {
            match data.len() {
                0..256 => out.push(data.len() as u8 - 1),
                long => {
                    out.push(255);
                    out.extend((long as u16 - 1).to_be_bytes());
                }
            }
            out.extend(*data);
            let last = i + 1 == modifiers.len();
            out.push(if last { head & 0x0f } else { 7 });
        }
        out.extend(code);
        out.extend(&rest);
        *body = out.into();
    }
    tags
}

#[test]
fn enhanced_rtmp_with_modifiers_and_short_forms() {
    let clip = testing::h265_aac();
    let modifiers: [&[&[u8]]; 3] = [&[], &[&[0, 0, 1]], &[&[7; 255], &[8; 256], &[9; 1000]]];
    for modifiers in modifiers {
        let mut unpacker = Unpacker::new();
        for (kind, timestamp_ms, body) in enhanced(&clip, modifiers) {
            unpacker.push(kind, timestamp_ms, &body).unwrap();
            // Cut inside the modifiers, they are errors.
            for end in 1..body
                .len()
                .min(1 + modifiers.iter().map(|m| m.len() + 2).sum::<usize>())
            {
                assert!(
                    Unpacker::new()
                        .push(kind, timestamp_ms, &body.slice(..end))
                        .is_err()
                );
            }
        }
        let events = events(&mut unpacker);
        assert_eq!(events[0], Event::Tracks(clip.tracks.clone()));
        assert_eq!(events.len(), 1 + clip.access_units.len());
        for (event, au) in events[1..].iter().zip(&clip.access_units) {
            assert!(matches!(event, Event::AccessUnit(found) if found.data == au.data));
        }
    }
}

#[test]
fn what_enhanced_rtmp_has_besides_is_left_out() {
    let mut unpacker = Unpacker::new();
    for _ in 0..2 {
        for (kind, body) in [
            (TagKind::Video, &b"\x96\x00hvc1\x01"[..]),
            (TagKind::Audio, b"\x95\x00mp4a\x01"),
            (TagKind::Video, b"\x90av01\x81"),
            (TagKind::Audio, b"\x91Opus\x01"),
            // A command for the player, the sequence's end, and colours.
            (TagKind::Video, b"\xd0\x00"),
            (TagKind::Video, b"\x92hvc1"),
            (TagKind::Video, b"\xd4hvc1\x02\x00\x09colorInfo"),
        ] {
            unpacker.push(kind, 0, &Bytes::from_static(body)).unwrap();
        }
    }
    let left_out = [
        LeftOut::Multitrack(TrackKind::Video),
        LeftOut::Multitrack(TrackKind::Audio),
        LeftOut::FourCc(*b"av01"),
        LeftOut::FourCc(*b"Opus"),
    ];
    assert_eq!(events(&mut unpacker), left_out.map(Event::LeftOut));
}

//! Captured peers, from their first byte to media time: handshake, chunks, session and unpacker
//! together, as a driver uses them.

#![expect(
    clippy::unwrap_used,
    reason = "the captures are good, so a failure is the test's result"
)]

use bytes::BytesMut;
use weir_proto::flv::{self, Tag, Unpacker};
use weir_proto::media::{AccessUnit, Codec, Tracks};
use weir_proto::rtmp::handshake::RANDOM_BYTES;
use weir_proto::rtmp::{client, server, url};

#[derive(Debug, Default, PartialEq)]
struct Unpacked {
    tracks: Option<Tracks>,
    access_units: Vec<AccessUnit>,
    last_ms: u32,
}

/// Tags on their way through an unpacker.
#[derive(Default)]
struct Media {
    unpacker: Unpacker,
    unpacked: Unpacked,
}

impl Media {
    fn push(&mut self, tag: &Tag) {
        self.unpacked.last_ms = tag.timestamp_ms;
        self.unpacker.push(tag.kind, tag.timestamp_ms, &tag.body).unwrap();
    }

    fn finish(mut self) -> Unpacked {
        self.unpacker.finish();
        while let Some(event) = self.unpacker.pull() {
            match event {
                flv::Event::Tracks(tracks) => assert_eq!(self.unpacked.tracks.replace(tracks), None),
                flv::Event::AccessUnit(au) => self.unpacked.access_units.push(au),
                flv::Event::LeftOut(kind) => panic!("{kind:?}"),
            }
        }
        self.unpacked
    }
}

/// What a server's driver sees of a client.
struct Served {
    request: server::Request,
    media: Unpacked,
    closed: u32,
}

/// Drives a session with everything that the client sent, in pieces of `step` bytes.
fn serve(capture: &[u8], step: usize) -> Served {
    let mut session = server::Session::new(&[0x5a; RANDOM_BYTES]);
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    let (mut request, mut media, mut closed) = (None, Media::default(), 0);
    for piece in capture.chunks(step) {
        input.extend_from_slice(piece);
        while let Some(event) = session.handle_input(&mut input, &mut out).unwrap() {
            match event {
                server::Event::Publish(found) | server::Event::Play(found) => {
                    assert!(request.replace(found).is_none());
                    session.accept(&mut out);
                }
                server::Event::Media(tag) => media.push(&tag),
                server::Event::Metadata(values) => assert!(values.property("encoder").is_some()),
                server::Event::Closed => closed += 1,
                server::Event::Pause(_) => panic!("nobody paused"),
            }
        }
    }
    assert!(input.is_empty());
    Served {
        request: request.unwrap(),
        media: media.finish(),
        closed,
    }
}

/// What holds for each capture: all pictures are there, in an order that can be decoded.
fn check(media: &Unpacked, pictures: usize, frame_ms: i64) {
    let codecs: Vec<_> = media.tracks.iter().flat_map(|tracks| tracks.iter()).collect();
    let codecs: Vec<_> = codecs.iter().map(|track| track.codec.codec()).collect();
    assert_eq!(codecs, [Codec::H264, Codec::Aac]);
    let of_track = |track| {
        let units = media.access_units.iter();
        units.filter(move |au| au.track == track).collect::<Vec<_>>()
    };
    let video = of_track(0);
    assert_eq!(video.len(), pictures);
    assert!(video[0].keyframe);
    assert!(
        video
            .windows(2)
            .all(|pair| pair[0].dts.ticks() <= pair[1].dts.ticks())
    );
    let mut shown: Vec<_> = video.iter().map(|au| au.pts.as_millis()).collect();
    shown.sort_unstable();
    let regular = |pair: &[i64]| (pair[1] - pair[0] - frame_ms).abs() <= 1;
    assert!(shown.windows(2).all(regular), "{shown:?}");
    let audio = of_track(1);
    assert!(
        audio
            .windows(2)
            .all(|pair| pair[1].pts.ticks() - pair[0].pts.ticks() == 1024)
    );
    assert!(audio.len() as i64 * 1024 / 48 >= frame_ms * (pictures as i64 - 1));
}

#[test]
fn ffmpeg_publishes() {
    let capture = include_bytes!("../testdata/rtmp/ffmpeg_5.1_publish_h264_aac.bin");
    let served = serve(capture, usize::MAX);
    assert_eq!(served.request.path, "/room/door");
    assert_eq!(served.request.token().unwrap().reveal(), "canary-a");
    assert!(!served.request.takes_hvc1 && served.request.encoder.contains("Lavf59"));
    assert_eq!(served.closed, 1);
    check(&served.media, 20, 100);
    for step in [1, 7, 1000] {
        assert_eq!(serve(capture, step).media, served.media);
    }
}

/// The URL has one segment, and timestamps take more than 24 bits.
#[test]
fn ffmpeg_publishes_late() {
    let capture = include_bytes!("../testdata/rtmp/ffmpeg_5.1_publish_late_h264_aac.bin");
    let served = serve(capture, usize::MAX);
    assert_eq!(served.request.path, "/cam");
    assert_eq!(served.request.token().unwrap().reveal(), "canary-a");
    assert!(served.media.last_ms > 0xff_ffff);
    check(&served.media, 10, 100);
    for step in [1, 7, 1000] {
        assert_eq!(serve(capture, step).media, served.media);
    }
}

#[test]
fn ffmpeg_plays() {
    let capture = include_bytes!("../testdata/rtmp/ffmpeg_5.1_play.bin");
    let served = serve(capture, usize::MAX);
    assert_eq!(served.request.path, "/live/cam");
    assert_eq!(served.request.token().unwrap().reveal(), "canary-b");
    assert_eq!(served.closed, 0);
    assert_eq!(served.media, Unpacked::default());
}

/// Everything that ffmpeg sends to who plays from it.
#[test]
fn ffmpeg_serves() {
    let capture = include_bytes!("../testdata/rtmp/ffmpeg_5.1_serve_h264_aac.bin");
    let pull = |step| {
        let url = url::Url::parse("rtmp://192.0.2.1/live/cam").unwrap();
        let mut session = client::Session::new(client::Purpose::Pull, url, &[0x5a; RANDOM_BYTES]);
        let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
        let (mut media, mut playing) = (Media::default(), 0);
        for piece in capture.chunks(step) {
            input.extend_from_slice(piece);
            while let Some(event) = session.handle_input(&mut input, &mut out).unwrap() {
                match event {
                    client::Event::Playing => playing += 1,
                    client::Event::Media(tag) => media.push(&tag),
                    client::Event::Metadata(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(playing, 1);
        media.finish()
    };
    let media = pull(usize::MAX);
    check(&media, 100, 40);
    for step in [1, 7, 1000] {
        assert_eq!(pull(step), media);
    }
}

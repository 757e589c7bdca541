//! Captured publishers, from their first byte to media time: parser, session, description,
//! depacketizers and timeline together, as a driver uses them.

#![expect(
    clippy::unwrap_used,
    reason = "the captures are good, so a failure is the test's result"
)]

use bytes::BytesMut;
use std::time::Duration;
use weir_proto::media::{Codec, CodecParameters, TrackKind};
use weir_proto::rtp::{Depacketizer, Packet, Timeline, Unit};
use weir_proto::rtsp::server::{Carrier, Config};
use weir_proto::rtsp::{Event, Message, Parser, Session};
use weir_proto::{rtcp, sdp};

#[derive(Default)]
struct Published {
    path: String,
    codecs: Vec<Option<Codec>>,
    parameters: Vec<Option<CodecParameters>>,
    /// By track, with pts and dts on the common timeline in ms.
    units: Vec<Vec<(i64, i64, Unit)>>,
    damaged: u64,
    responses: String,
}

/// Drives a session with everything that the publisher sent, in pieces of `step` bytes.
fn publish(capture: &[u8], step: usize) -> Published {
    let mut parser = Parser::new();
    let mut session = Session::new(Config {
        session_id: "1".into(),
        challenge: None,
        path: None,
        carrier: Carrier::Tcp,
        multicast: false,
        udp_play: true,
        udp_publish: true,
    });
    let mut published = Published::default();
    let mut depacketizers = Vec::new();
    let mut timeline = Timeline::new(0);
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    for piece in capture.chunks(step) {
        input.extend_from_slice(piece);
        while let Some(message) = parser.parse(&mut input).unwrap() {
            match message {
                Message::Request(request) => {
                    let mut event = session.handle_request(request, &mut out);
                    if let Event::Authorize(_) = event {
                        event = session.allow(&mut out);
                    }
                    match event {
                        Event::Announce { path, description } => {
                            published.path = path;
                            published.take_over(&description);
                            depacketizers = description
                                .media
                                .iter()
                                .map(|media| Depacketizer::new(media).unwrap())
                                .collect();
                            timeline = Timeline::new(description.media.len() as u8);
                            session.accept(&mut out);
                        }
                        Event::Record { .. } => session.accept(&mut out),
                        Event::Answered | Event::Close => {}
                        other => panic!("{other:?}"),
                    }
                }
                Message::Interleaved(packet) => {
                    let (track, is_rtcp) = session.channel(packet.channel).unwrap();
                    let depacketizer = &mut depacketizers[usize::from(track)];
                    if is_rtcp {
                        for report in rtcp::parse(&packet.data).unwrap() {
                            if let rtcp::Packet::SenderReport(report, _) = report
                                && let Some(at) = depacketizer.extend(report.rtp_timestamp)
                            {
                                timeline.report(track, report.ntp, at);
                            }
                        }
                        continue;
                    }
                    depacketizer.push(&Packet::parse(packet.data).unwrap()).unwrap();
                    while let Some(unit) = depacketizer.pull() {
                        let (pts, dts) = timeline.place(track, unit.pts, unit.dts, Duration::ZERO);
                        let track = usize::from(track);
                        if unit.new_parameters.is_some() {
                            published.parameters[track].clone_from(&unit.new_parameters);
                        }
                        published.units[track].push((pts.as_millis(), dts.as_millis(), unit));
                    }
                }
                Message::Response(response) => panic!("{response:?}"),
            }
        }
    }
    published.damaged = depacketizers
        .iter()
        .map(|d| d.statistics().damaged + d.statistics().malformed)
        .sum();
    published.responses = String::from_utf8(out.to_vec()).unwrap();
    published
}

impl Published {
    fn take_over(&mut self, description: &sdp::Description) {
        self.codecs = description.media.iter().map(sdp::Media::codec).collect();
        self.parameters = description.media.iter().map(sdp::Media::parameters).collect();
        self.units = vec![Vec::new(); description.media.len()];
    }
}

/// What holds for each capture: all thirty pictures are there, in an order that can be
/// decoded, and the tracks begin together.
fn check(capture: &[u8], path: &str, codecs: [Codec; 2], keyframes: &[usize]) {
    let published = publish(capture, usize::MAX);
    assert_eq!(published.path, path);
    assert_eq!(published.codecs, codecs.map(Some));
    assert!(
        published.responses.matches("RTSP/1.0 200 OK").count() >= 5,
        "{}",
        published.responses
    );
    assert!(
        !published.responses.contains("RTSP/1.0 4"),
        "{}",
        published.responses
    );
    assert_eq!(published.damaged, 0);
    for (track, units) in published.units.iter().enumerate() {
        let video = codecs[track].kind() == TrackKind::Video;
        let mut last = i64::MIN;
        for (pts, dts, unit) in units {
            assert!(dts <= pts && *dts >= last, "{pts} {dts} after {last}");
            assert_eq!(unit.lost_packets, 0);
            last = *dts;
        }
        if video {
            assert_eq!(units.len(), 30);
            let found: Vec<_> = (0..30).filter(|i| units[*i].2.keyframe).collect();
            assert_eq!(found, keyframes);
            let size = published.parameters[track]
                .as_ref()
                .and_then(CodecParameters::size);
            assert_eq!(size, Some((192, 108)));
            let mut shown: Vec<_> = units.iter().map(|(pts, ..)| *pts).collect();
            shown.sort_unstable();
            // Ten pictures a second, all shown, one after the other.
            assert!(
                shown.windows(2).all(|w| (90..=110).contains(&(w[1] - w[0]))),
                "{shown:?}"
            );
        } else {
            assert!(units.len() > 10);
            assert!(units.iter().all(|(pts, dts, _)| pts == dts));
        }
        assert!(
            units[0].0.abs() < 250,
            "track {track} begins at {} ms",
            units[0].0
        );
    }
    // How the bytes arrive makes no difference.
    let trickled = publish(capture, 7);
    assert_eq!(trickled.units, published.units);
}

#[test]
fn ffmpeg_h264_with_b_frames_and_aac() {
    let capture = include_bytes!("../testdata/rtsp/ffmpeg_5.1_publish_h264_aac.bin");
    check(capture, "/up", [Codec::H264, Codec::Aac], &[0, 10, 20]);
}

#[test]
fn ffmpeg_h265_with_b_frames_and_g711() {
    let capture = include_bytes!("../testdata/rtsp/ffmpeg_5.1_publish_h265_pcma.bin");
    check(capture, "/up", [Codec::H265, Codec::G711], &[0, 6, 19]);
}

#[test]
fn gstreamer_h264_and_latm() {
    let capture = include_bytes!("../testdata/rtsp/gstreamer_1.22_publish_h264_latm.bin");
    check(capture, "/gst", [Codec::Aac, Codec::H264], &[0, 1, 11, 21]);
}

use super::*;
use crate::media::Codec;
use std::fmt::Write;

/// One line for each section: what a driver goes by.
fn summary(text: &str) -> String {
    let mut out = String::new();
    for media in parse(text.as_bytes()).unwrap().media {
        let known = match (media.codec(), media.parameters()) {
            (None, _) => "unsupported".to_owned(),
            (Some(codec), None) => format!("{codec} in-band"),
            (Some(codec), Some(parameters)) => match parameters.size() {
                Some((width, height)) => format!("{codec} {width}x{height}"),
                None => format!("{codec} {}ch", parameters.channels().unwrap_or(0)),
            },
        };
        let Media {
            kind,
            payload_type,
            encoding,
            clock_rate,
            control,
            ..
        } = media;
        let control = control.unwrap_or_default();
        let _ = writeln!(
            out,
            "{kind:?} {payload_type} {encoding}/{clock_rate} {known} {control}"
        );
    }
    out
}

/// A description out of `testdata/sdp`, its name, and its summary.
macro_rules! cases {
    ($($name:literal: $($line:literal)*;)*) => {
        [$(($name, include_str!(concat!("../../../testdata/sdp/", $name, ".sdp")), concat!($($line, "\n"),*))),*]
    };
}

#[test]
fn descriptions_of_cameras_encoders_and_servers() {
    let cases = cases! {
        "ffmpeg_5.1_h264_aac":
            "Video 96 H264/90000 H264 320x240 streamid=0"
            "Audio 97 MPEG4-GENERIC/44100 AAC 1ch streamid=1";
        "ffmpeg_5.1_h265_pcma":
            "Video 96 H265/90000 H265 320x240 streamid=0"
            "Audio 8 PCMA/8000 G711 1ch streamid=1";
        "gstreamer_1.22_latm_h264":
            "Audio 96 MP4A-LATM/44100 AAC 1ch stream=1"
            "Video 99 H264/90000 H264 320x240 stream=0";
        "gstreamer_1.22_server_h264_aac":
            "Video 96 H264/90000 H264 640x360 stream=0"
            "Audio 97 MPEG4-GENERIC/48000 AAC 2ch stream=1";
        "gstreamer_1.22_server_h265_aac":
            "Video 96 H265/90000 H265 640x360 stream=0"
            "Audio 97 MPEG4-GENERIC/48000 AAC 2ch stream=1";
        "hikvision_h264_pcmu_metadata":
            "Video 96 H264/90000 H264 320x240 rtsp://192.168.1.64:554/Streaming/Channels/101/trackID=1"
            "Audio 0 PCMU/8000 G711 1ch rtsp://192.168.1.64:554/Streaming/Channels/101/trackID=2"
            "Other 107 vnd.onvif.metadata/90000 unsupported rtsp://192.168.1.64:554/Streaming/Channels/101/trackID=3";
        "dahua_h265_aac_metadata":
            "Video 98 H265/90000 H265 320x240 trackID=0"
            "Audio 97 MPEG4-GENERIC/16000 AAC 1ch trackID=1"
            "Other 107 vnd.onvif.metadata/90000 unsupported trackID=4";
        "axis_h264_mjpeg_choice":
            "Video 96 H264/90000 H264 320x240 rtsp://192.168.0.90/axis-media/media.amp/stream=0?videocodec=h264";
        "live555_h264_no_sets":
            "Video 96 H264/90000 H264 in-band track1";
        "tapo_h264_pcma_backchannel":
            "Video 96 H264/90000 H264 320x240 track1"
            "Audio 8 PCMA/8000 G711 1ch track2"
            "Other 0 /90000 unsupported track3";
        "reolink_h265_long_sets":
            "Video 96 H265/90000 H265 320x240 track1"
            "Audio 97 MPEG4-GENERIC/16000 AAC 1ch track2";
        "oem_lf_only_annexb_sets":
            "Video 96 H264/90000 H264 320x240 trackID=0"
            "Audio 8 PCMA/8000 G711 1ch trackID=1";
        "mediamtx_h264_opus":
            "Video 96 H264/90000 H264 320x240 rtsp://localhost:8554/mystream/trackID=0"
            "Audio 97 opus/48000 unsupported rtsp://localhost:8554/mystream/trackID=1";
        "vlc_h264_mpga":
            "Audio 14 MPA/90000 unsupported rtsp://127.0.0.1:8554/trackID=0"
            "Video 96 H264/90000 H264 320x240 rtsp://127.0.0.1:8554/trackID=1";
        "uniview_ctype_controls":
            "Video 105 H264/90000 H264 320x240 rtsp://192.168.0.13/media/video1/video"
            "Audio 0 PCMU/8000 G711 1ch rtsp://192.168.0.13/media/video1/audio1"
            "Other 107 vnd.onvif.metadata/90000 unsupported rtsp://192.168.0.13/media/video1/metadata";
        "g726_and_mode2":
            "Video 96 H264/90000 unsupported 0"
            "Audio 2 G726-32/8000 unsupported 1"
            "Audio 0 PCMU/8000 G711 1ch 2";
    };
    for (name, text, expected) in cases {
        assert_eq!(summary(text), expected, "{name}");
    }
}

#[test]
fn session_name_and_control_are_not_those_of_a_section() {
    let description =
        parse(b"v=0\ns=Cam 1\na=control:*\nm=video 0 RTP/AVP 96\ns=no\na=control:track1\n").unwrap();
    assert_eq!(
        (description.name.as_str(), description.control.as_deref()),
        ("Cam 1", Some("*"))
    );
    assert_eq!(description.media[0].control.as_deref(), Some("track1"));
}

#[test]
fn line_ends_zeros_and_other_encodings_are_tolerated() {
    for text in [
        &b"v=0\rs=x\rm=video 0 RTP/AVP 96\ra=rtpmap:96 H264/90000\r"[..],
        b"v=0\r\n\r\ns=\xc4\xe3\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\0\0\0",
        b"\r\nv=0\nm=video 0 RTP/AVP 96\nA=x\na=RTPMAP:96 h264/90000",
        b"v=0\nm=VIDEO 0 RTP/AVP 96\na=rtpmap:96\tH264/90000\ngarbage\n=\na=\na=fmtp\na=rtpmap:x\n",
    ] {
        assert_eq!(parse(text).unwrap().media[0].codec(), Some(Codec::H264));
    }
}

#[test]
fn attributes_that_make_no_sense_leave_the_section_unsupported() {
    for rtpmap in [
        "96 H264",
        "96 H264/",
        "96 H264/0",
        "96 H264/x",
        "97 H264/90000",
        "200 H264/90000",
        "96",
    ] {
        let text = format!("v=0\nm=video 0 RTP/AVP 96\na=rtpmap:{rtpmap}\n");
        assert_eq!(
            parse(text.as_bytes()).unwrap().media[0].format,
            Format::Unsupported,
            "{rtpmap}"
        );
    }
}

#[test]
fn broken_parameter_sets_are_as_none() {
    for sets in [
        "",
        "AAAA",
        "Z0I=,aM4=",
        "!,!",
        ",,,",
        "Z0LAHtoCgL/lwFqDAwNSgAAAAwCAAAAZR4sXUA==",
    ] {
        let text = format!(
            "v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 sprop-parameter-sets={sets}\n"
        );
        assert_eq!(
            parse(text.as_bytes()).unwrap().media[0].format,
            Format::H264(None),
            "{sets}"
        );
    }
}

#[test]
fn what_is_no_description_is_refused_with_its_line() {
    let cases: [(&[u8], Error); 7] = [
        (b"", Error::NoMedia),
        (b"v=0\r\ns=x\r\n", Error::NoMedia),
        (b"\r\n<html>", Error::NotSdp { line: 2 }),
        (b"m=video 0 RTP/AVP 96\r\n", Error::NotSdp { line: 1 }),
        (b"v=1\r\nm=video 0 RTP/AVP 96\r\n", Error::NotSdp { line: 1 }),
        (
            b"v=0\r\ns=x\r\nm=video 0 RTP/AVP\r\n",
            Error::MediaLine { line: 3 },
        ),
        (b"v=0\r\nm=audio\r\n", Error::MediaLine { line: 2 }),
    ];
    for (text, error) in cases {
        assert_eq!(parse(text), Err(error), "{}", String::from_utf8_lossy(text));
    }
    let many = format!("v=0\n{}", "m=video 0 RTP/AVP 96\n".repeat(MAX_MEDIA + 1));
    assert_eq!(
        parse(many.as_bytes()),
        Err(Error::TooManyMedia { line: MAX_MEDIA + 2 })
    );
    assert_eq!(
        parse(&vec![b'x'; MAX_LENGTH + 1]),
        Err(Error::TooLong {
            length: MAX_LENGTH + 1
        })
    );
}

use super::*;
use crate::media::codec::{aac, h264, h265};
use crate::sdp::{self, Format};
use bytes::Bytes;

fn h264() -> Track {
    let codec = CodecParameters::H264(h264::Parameters {
        sps: Bytes::from_static(&[0x67, 0x64, 0x00, 0x1f, 0xac]),
        pps: Bytes::from_static(&[0x68, 0xee, 0x3c, 0x80]),
        width: 1280,
        height: 720,
        frame_rate: Some((30_000, 1001)),
    });
    Track {
        codec,
        clock_rate: 90_000,
    }
}

fn h265() -> Track {
    let codec = CodecParameters::H265(h265::Parameters {
        vps: Bytes::from_static(&[0x40, 1, 0x0c]),
        sps: Bytes::from_static(&[0x42, 1, 1]),
        pps: Bytes::from_static(&[0x44, 1, 0xc1]),
        width: 1280,
        height: 720,
        frame_rate: Some((25, 1)),
    });
    Track {
        codec,
        clock_rate: 90_000,
    }
}

fn aac() -> Track {
    let parameters = aac::Parameters::low_complexity(44_100, 2).unwrap();
    Track {
        codec: CodecParameters::Aac(parameters),
        clock_rate: 44_100,
    }
}

fn g711(law: g711::Law, channels: u8, clock_rate: u32) -> Track {
    Track {
        codec: CodecParameters::G711(g711::Parameters { law, channels }),
        clock_rate,
    }
}

#[test]
fn golden_description() {
    let text = write(
        "room/door\r\n",
        &Tracks::new([h264(), aac(), h265(), g711(g711::Law::Mu, 1, 8000)]),
    );
    let expected = "v=0\r\n\
        o=- 0 0 IN IP4 0.0.0.0\r\n\
        s=room/door\r\n\
        c=IN IP4 0.0.0.0\r\n\
        t=0 0\r\n\
        a=control:*\r\n\
        m=video 0 RTP/AVP 96\r\n\
        a=rtpmap:96 H264/90000\r\n\
        a=fmtp:96 packetization-mode=1;profile-level-id=64001f;sprop-parameter-sets=Z2QAH6w=,aO48gA==\r\n\
        a=framerate:29.97\r\n\
        a=control:streamid=0\r\n\
        m=audio 0 RTP/AVP 97\r\n\
        a=rtpmap:97 mpeg4-generic/44100/2\r\n\
        a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;\
        indexdeltalength=3;config=1210\r\n\
        a=control:streamid=1\r\n\
        m=video 0 RTP/AVP 98\r\n\
        a=rtpmap:98 H265/90000\r\n\
        a=fmtp:98 sprop-vps=QAEM;sprop-sps=QgEB;sprop-pps=RAHB\r\n\
        a=framerate:25\r\n\
        a=control:streamid=2\r\n\
        m=audio 0 RTP/AVP 0\r\n\
        a=rtpmap:0 PCMU/8000\r\n\
        a=control:streamid=3\r\n";
    assert_eq!(text, expected);
}

#[test]
fn what_is_written_is_parsed() {
    let tracks = Tracks::new([
        h264(),
        h265(),
        aac(),
        g711(g711::Law::A, 1, 8000),
        g711(g711::Law::Mu, 2, 16_000),
    ]);
    let description = sdp::parse(write("", &tracks).as_bytes()).unwrap();
    assert_eq!(
        (description.name.as_str(), description.control.as_deref()),
        ("-", Some("*"))
    );
    for ((i, track), media) in (0..).zip(&tracks).zip(&description.media) {
        assert_eq!(media.codec(), Some(track.codec.codec()));
        assert_eq!(media.clock_rate, track.clock_rate);
        assert_eq!(media.payload_type, payload_type(i, track));
        assert_eq!(media.control, Some(control(i)));
        if !matches!(media.format, Format::H264(_) | Format::H265(_)) {
            assert_eq!(media.track().as_ref(), Some(track));
        }
    }
}

#[test]
fn a_name_cannot_add_lines() {
    let text = write("a\r\nm=evil", &Tracks::default());
    assert!(!text.contains("\nm="));
}

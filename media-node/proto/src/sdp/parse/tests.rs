use super::*;
use crate::media::Codec;

#[test]
fn a_publisher_of_ffmpeg() {
    let text = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        a=tool:libavformat 59.27.100\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
        a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtkAoD2hAAADAAEAAAMAMg8WLkg=,aMuMsg==; \
        profile-level-id=42C01E\r\na=control:streamid=0\r\n\
        m=audio 0 RTP/AVP 97\r\nb=AS:128\r\na=rtpmap:97 MPEG4-GENERIC/44100/1\r\n\
        a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; \
        config=1208\r\na=control:streamid=1\r\n";
    let description = parse(text.as_bytes()).unwrap();
    assert_eq!(description.name, "No Name");
    let [video, audio] = &description.media[..] else {
        panic!()
    };
    assert_eq!(
        (video.codec(), video.payload_type, video.clock_rate),
        (Some(Codec::H264), 96, 90_000)
    );
    assert_eq!(video.control.as_deref(), Some("streamid=0"));
    assert_eq!((audio.codec(), audio.clock_rate), (Some(Codec::Aac), 44_100));
}

//! RTMP messages: the same bytes for all viewers, and for all servers alike.

use crate::hub::{Form, FormKey, Packed};
use weir_proto::flv::H265Dialect;
use weir_proto::media::{AccessUnit, Timestamp, Tracks};
use weir_proto::rtmp::Muxer;

/// All viewers get the same bytes.
pub const KEY: FormKey = FormKey {
    name: "rtmp",
    layout: 0,
};

/// All servers that gave us this message stream get the same bytes.
pub const fn push_key(message_stream: u32) -> FormKey {
    FormKey {
        name: "rtmp-push",
        layout: message_stream as u64,
    }
}

/// The mark of a piece that is an access unit, which a viewer who pauses does without.
pub const MEDIA: u8 = 1;

/// RTMP for all viewers of a stream, or for servers that it is pushed to.
pub struct RtmpForm {
    muxer: Muxer,
    /// Of a server.
    message_stream: Option<u32>,
    /// Decoding time of the newest access unit.
    newest: Timestamp,
}

impl RtmpForm {
    /// Whether RTMP has a place for any of the tracks.
    pub fn carries_any(tracks: &Tracks) -> bool {
        muxer(tracks, None).carries_any()
    }

    pub fn new(tracks: &Tracks) -> Self {
        Self {
            muxer: muxer(tracks, None),
            message_stream: None,
            newest: Timestamp::from_millis(0),
        }
    }

    /// For servers that we publish to, on the message stream that they chose.
    pub fn for_servers(tracks: &Tracks, message_stream: u32) -> Self {
        let message_stream = Some(message_stream);
        Self {
            muxer: muxer(tracks, message_stream),
            message_stream,
            newest: Timestamp::from_millis(0),
        }
    }
}

/// H.265 as Enhanced RTMP has it: players and servers that take it over RTMP at all know no other way.
fn muxer(tracks: &Tracks, message_stream: Option<u32>) -> Muxer {
    match message_stream {
        None => Muxer::for_viewers(tracks, H265Dialect::Enhanced),
        Some(number) => Muxer::for_server(tracks, H265Dialect::Enhanced, number),
    }
}

impl Form for RtmpForm {
    fn start(&mut self, _: &Tracks, out: &mut Packed) {
        self.muxer.header(&mut out.buffer);
        out.cut(0, false);
    }

    fn unit(&mut self, _: &Tracks, unit: &AccessUnit, out: &mut Packed) {
        if self.muxer.message_bytes(unit).is_none() {
            return;
        }
        self.newest = unit.dts;
        self.muxer.message(unit, &mut out.buffer);
        out.cut(MEDIA, unit.keyframe);
    }

    fn tracks_changed(&mut self, tracks: &Tracks, out: &mut Packed) {
        self.muxer = muxer(tracks, self.message_stream);
        self.muxer.sequence_headers(self.newest, &mut out.buffer);
        out.cut(0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_proto::media::codec::{aac, g711};
    use weir_proto::media::{CodecParameters, Track};

    fn g711() -> Track {
        let law = g711::Law::A;
        Track {
            codec: CodecParameters::G711(g711::Parameters { law, channels: 1 }),
            clock_rate: 8000,
        }
    }

    #[test]
    fn a_track_that_rtmp_has_no_place_for_is_left_out() {
        let aac = aac::Parameters::parse(vec![0x11, 0x90].into()).expect("48 kHz stereo");
        let aac = Track {
            clock_rate: aac.sample_rate,
            codec: CodecParameters::Aac(aac),
        };
        assert!(!RtmpForm::carries_any(&Tracks::new([g711()])));
        let tracks = Tracks::new([g711(), aac]);
        assert!(RtmpForm::carries_any(&tracks));
        let (mut form, mut out) = (RtmpForm::new(&tracks), Packed::default());
        let unit = |track| AccessUnit {
            track,
            pts: Timestamp::from_millis(40),
            dts: Timestamp::from_millis(40),
            keyframe: true,
            segment: None,
            data: vec![1, 2, 3].into(),
        };
        form.unit(&tracks, &unit(0), &mut out);
        assert!(out.buffer.is_empty());
        form.unit(&tracks, &unit(1), &mut out);
        // Section 5.3.1: chunk stream, time, length, audio, message stream 1; then the body of an FLV tag.
        let want = [&[4, 0, 0, 40, 0, 0, 5, 8, 1, 0, 0, 0][..], &[0xaf, 1, 1, 2, 3]].concat();
        assert_eq!(out.buffer[1..], want[1..], "all but the chunk stream");
    }
}

//! The `onMetaData` script tag: a name and an ECMA array in AMF0 (annex E.4.4, E.5).

use super::Bodies;
use crate::media::CodecParameters;
use bytes::{BufMut, Bytes, BytesMut};

const NUMBER: u8 = 0;
const BOOLEAN: u8 = 1;
const STRING: u8 = 2;
const ECMA_ARRAY: u8 = 8;
const OBJECT_END: [u8; 3] = [0, 0, 9];

/// The body of the tag, or of RTMP's data message.
pub(crate) fn on_meta_data(bodies: &Bodies) -> Bytes {
    let mut array = Array {
        count: 0,
        out: BytesMut::with_capacity(320),
    };
    if let Some(parameters) = bodies.video_parameters() {
        if let Some((width, height)) = parameters.size() {
            array.number("width", f64::from(width));
            array.number("height", f64::from(height));
        }
        let frame_rate = match parameters {
            CodecParameters::H264(p) => p.frame_rate,
            CodecParameters::H265(p) => p.frame_rate,
            CodecParameters::Aac(_) | CodecParameters::G711(_) => None,
        };
        if let Some((numerator, denominator)) = frame_rate {
            array.number("framerate", f64::from(numerator) / f64::from(denominator));
        }
    }
    if let Some(id) = bodies.video_codec_id() {
        array.number("videocodecid", f64::from(id));
    }
    if let Some(CodecParameters::Aac(parameters)) = bodies.audio_parameters() {
        array.number("audiocodecid", 10.0);
        array.number("audiosamplerate", f64::from(parameters.sample_rate));
        array.boolean("stereo", parameters.channels > 1);
    }
    array.string("creator", "Weir");

    let mut out = BytesMut::with_capacity(array.out.len() + 32);
    out.put_u8(STRING);
    name("onMetaData", &mut out);
    out.put_u8(ECMA_ARRAY);
    out.put_u32(array.count);
    out.put_slice(&array.out);
    out.put_slice(&OBJECT_END);
    out.freeze()
}

struct Array {
    count: u32,
    out: BytesMut,
}

impl Array {
    fn key(&mut self, key: &str) {
        self.count += 1;
        name(key, &mut self.out);
    }

    fn number(&mut self, key: &str, value: f64) {
        self.key(key);
        self.out.put_u8(NUMBER);
        self.out.put_f64(value);
    }

    fn boolean(&mut self, key: &str, value: bool) {
        self.key(key);
        self.out.put_slice(&[BOOLEAN, u8::from(value)]);
    }

    fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        self.out.put_u8(STRING);
        name(value, &mut self.out);
    }
}

/// A string behind its length in 16 bits; all of ours are short.
fn name(text: &str, out: &mut BytesMut) {
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}

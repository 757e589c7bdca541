//! Parameter sets, configurations and NAL units.

use crate::media::codec::{Codec, PictureBuilder, aac, h264, h265, nal};
use bytes::{Bytes, BytesMut};

/// A picture parameter set of x264, and VPS and PPS of x265, to go with any SPS.
const H264_PPS: &[u8] = &[0x68, 0xcb, 0x83, 0xcb, 0x20];
const H265_VPS: &[u8] = b"\x40\x01\x0c\x01\xff\xff\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x78\x95\x98\x09";
const H265_PPS: &[u8] = &[0x44, 1, 0xc1, 0x72, 0xb4, 0x62, 0x40];

/// An SPS that parses comes back out of its configuration record. The same bytes are also tried as
/// a record.
pub(super) fn h264_sps(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let _ = h264::Record::parse(&data);
    if let Ok(parameters) = h264::Parameters::parse(data, Bytes::from_static(H264_PPS)) {
        assert!(parameters.width > 0 && parameters.height > 0);
        assert!(parameters.codec_string().len() == 11);
        let record = h264::Record::parse(&parameters.decoder_configuration()).expect("our own record");
        assert_eq!(record.parameters, parameters);
    }
}

/// As [`h264_sps`]. The same bytes are also tried as VPS and as a record.
pub(super) fn h265_sps(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let _ = h265::Record::parse(&data);
    let [vps, pps] = [H265_VPS, H265_PPS].map(Bytes::from_static);
    if let Ok(parameters) = h265::Parameters::parse(vps, data.clone(), pps.clone()) {
        assert!(parameters.width > 0 && parameters.height > 0);
        assert!(parameters.codec_string().starts_with("hvc1."));
        let record = h265::Record::parse(&parameters.decoder_configuration()).expect("our own record");
        assert_eq!(record.parameters, parameters);
        let _ = h265::Parameters::parse(data.clone(), parameters.sps, pps);
    }
}

/// What a configuration says can be written as ADTS and read again. The same bytes are also tried
/// as ADTS frames.
pub(super) fn aac_config(data: &[u8]) {
    let frames: usize = aac::adts::frames(data)
        .map(|(header, frame)| {
            assert_eq!(header.header_bytes + frame.len(), header.frame_bytes);
            header.frame_bytes
        })
        .sum();
    assert!(frames <= data.len());
    let Ok(parameters) = aac::Parameters::parse(Bytes::copy_from_slice(data)) else {
        return;
    };
    assert!(parameters.sample_rate > 0 && parameters.channels > 0);
    assert!(parameters.samples_per_access_unit() > 0);
    assert!(parameters.codec_string().starts_with("mp4a.40."));
    if let Some(writer) = aac::adts::Writer::new(&parameters) {
        let header = writer.header(100).expect("a frame of ordinary size");
        let header = aac::adts::Header::parse(&header).expect("our own header");
        assert_eq!(header.frame_bytes, 107);
    }
}

/// NAL units survive both framings; a picture built of them is whole NAL units.
pub(super) fn annexb(data: &[u8]) {
    let mut framed = BytesMut::new();
    let mut stream = BytesMut::new();
    for unit in nal::annexb(data) {
        nal::write_unit(unit, &mut framed);
        nal::write_annexb(unit, &mut stream);
    }
    assert!(nal::units(&framed).eq(nal::annexb(data)));
    assert!(nal::annexb(&stream).eq(nal::annexb(data)));
    let _ = nal::units(data).count();

    for codec in [Codec::H264, Codec::H265] {
        let mut builder = PictureBuilder::new(codec, None);
        // A picture of every four NAL units.
        for (i, unit) in nal::annexb(data).enumerate() {
            builder.push(unit);
            if i % 4 == 3
                && let Some(picture) = builder.finish()
            {
                let bytes: usize = nal::units(&picture.data).map(|unit| 4 + unit.len()).sum();
                assert_eq!(bytes, picture.data.len());
                assert!(
                    picture.new_parameters.is_none()
                        || picture.new_parameters.as_ref() == builder.parameters()
                );
            }
        }
        let _ = builder.finish();
    }
}

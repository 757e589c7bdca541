use super::*;

fn bytes(hex: &str) -> Bytes {
    hex::decode(hex).unwrap().into()
}

type Expected = (&'static str, &'static str, (u16, u16), (u32, u32), &'static str);

/// SPS and PPS, made with x264 for sources of the size and rate named.
const SETS: &[Expected] = &[
    // baseline
    (
        "6742c00cd9016096c044000003000400000300783c50a920",
        "68cb83cb20",
        (352, 288),
        (15, 1),
        "avc1.42c00c",
    ),
    // interlaced, cropped to 1080 lines
    (
        "674d4028eca03c0227ef011000000300100000030321f162d960",
        "68fba3cb20",
        (1920, 1080),
        (25, 1),
        "avc1.4d4028",
    ),
    (
        "67640028acd940780227e5c04400000fa40003a9803c60c658",
        "68ebe3cb22c0",
        (1920, 1080),
        (30_000, 1001),
        "avc1.640028",
    ),
    // 4:2:2, 10 bits
    (
        "677a001fb6cd940a02fea2f011000003000100000300640f183196",
        "68ebe3cb22c0",
        (638, 358),
        (50, 1),
        "avc1.7a001f",
    ),
    // 4:4:4, odd size
    (
        "67f4000d919b282a10f0842180880000030008000003019078a14cb0",
        "68ebe3c44844",
        (321, 241),
        (25, 1),
        "avc1.f4000d",
    ),
    // scaling matrices, colour description, HRD
    (
        "6764001facd9405005bb01b501020240000003004000000c9810003d090007a13930c01e30632c",
        "68ebecb3002c",
        (1280, 720),
        (25, 1),
        "avc1.64001f",
    ),
    // monochrome
    (
        "6764001ef3650280f6c05b20000003002000000641e2c5b2c0",
        "68ebe3cb22c0",
        (640, 480),
        (25, 1),
        "avc1.64001e",
    ),
];

#[test]
fn parameter_sets_tell_size_rate_and_codec_string() {
    for &(sps, pps, size, rate, codec) in SETS {
        let p = Parameters::parse(bytes(sps), bytes(pps)).unwrap();
        assert_eq!((p.width, p.height), size, "{sps}");
        assert_eq!(p.frame_rate, Some(rate), "{sps}");
        assert_eq!(p.codec_string(), codec);
    }
}

#[test]
fn every_cut_of_an_sps_is_an_error_or_lacks_only_the_vui() {
    for &(sps, _, size, ..) in SETS {
        let whole = bytes(sps);
        for end in 0..whole.len() {
            if let Ok(cut) = Sps::parse(&whole[..end]) {
                assert_eq!((cut.width, cut.height), size);
                assert!(end >= 8, "{end} bytes of {sps} passed");
            }
        }
    }
}

#[test]
fn a_vui_that_ends_early_costs_only_the_frame_rate() {
    let whole = bytes(SETS[2].0);
    let cut = Sps::parse(&whole[..12]).unwrap();
    assert_eq!((cut.width, cut.height, cut.frame_rate), (1920, 1080, None));
}

#[test]
fn impossible_sets_are_refused() {
    let (sps, pps) = (bytes(SETS[0].0), bytes(SETS[0].1));
    let wrong = Parameters::parse(pps.clone(), pps.clone());
    assert_eq!(
        wrong,
        Err(Error::WrongNalUnit {
            what: "H.264 SPS",
            nal_type: 8
        })
    );
    let wrong = Parameters::parse(sps.clone(), sps.clone());
    assert_eq!(
        wrong,
        Err(Error::WrongNalUnit {
            what: "H.264 PPS",
            nal_type: 7
        })
    );
    assert!(matches!(
        Parameters::parse(sps, Bytes::new()),
        Err(Error::WrongNalUnit { .. })
    ));
    let large = [&[0x67][..], &[0xff; 5000]].concat();
    assert_eq!(
        Sps::parse(&large),
        Err(Error::TooLarge {
            what: "H.264 SPS",
            bytes: 5001
        })
    );
    // pic_width_in_mbs_minus1 far beyond level 6.2
    let wide = [0x67, 0x42, 0, 0x1e, 0xff, 0xf0, 0x00, 0x00, 0x7f, 0xff, 0xff];
    assert!(matches!(Sps::parse(&wide), Err(Error::OutOfRange { .. })));
}

#[test]
fn configuration_records_round_trip() {
    for &(sps, pps, ..) in SETS {
        let parameters = Parameters::parse(bytes(sps), bytes(pps)).unwrap();
        let written = parameters.decoder_configuration();
        let record = Record::parse(&written).unwrap();
        assert_eq!(
            record,
            Record {
                parameters,
                further: vec![],
                length_size: 4
            }
        );
        for end in 0..written.len() - 4 {
            assert!(Record::parse(&written.slice(..end)).is_err());
        }
    }
}

#[test]
fn a_record_with_high_profile_fields_and_further_sets() {
    let (sps, pps) = (bytes(SETS[3].0), bytes(SETS[3].1));
    let written = Parameters::parse(sps.clone(), pps.clone())
        .unwrap()
        .decoder_configuration();
    assert_eq!(written[..6], [1, 0x7a, 0, 0x1f, 0xff, 0xe1]);
    // chroma 4:2:2, 10 bits each, no extensions
    assert_eq!(written[written.len() - 4..], [0xfe, 0xfa, 0xfa, 0]);

    let mut two = vec![1, 0x7a, 0, 0x1f, 0xfd, 0xe1, 0, sps.len() as u8];
    two.extend(&sps[..]);
    two.extend([2, 0, pps.len() as u8]);
    two.extend(&pps[..]);
    two.extend([0, 2, 0x68, 0x5f]);
    let record = Record::parse(&two.into()).unwrap();
    assert_eq!(
        (record.length_size, record.further),
        (2, vec![Bytes::from_static(&[0x68, 0x5f])])
    );
}

#[test]
fn recovery_points_are_found_behind_other_messages() {
    let mut sei = vec![6, 5, 255, 3];
    sei.extend([0x11; 258]);
    assert!(!has_recovery_point(&[&sei[..], &[0x80]].concat()));
    sei.extend([6, 1, 0xc4, 0x80]);
    assert!(has_recovery_point(&sei));
    assert!(!has_recovery_point(&[6]));
    assert!(!has_recovery_point(&[6, 255, 255]));
}

#[test]
fn slice_types() {
    assert!(is_intra_slice(&[0x41, 0x88])); // ue 0, ue 7
    assert!(!is_intra_slice(&[0x41, 0x9a])); // ue 0, ue 5
    assert!(!is_intra_slice(&[0x41]));
}

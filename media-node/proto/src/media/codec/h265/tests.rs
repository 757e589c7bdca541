use super::*;

fn bytes(hex: &str) -> Bytes {
    hex::decode(hex).unwrap().into()
}

type Expected = ((u16, u16), (u32, u32), &'static str);
/// Made with x265 for sources of the size and rate named: VPS, SPS, PPS.
const SETS: &[(&str, &str, &str, Expected)] = &[
    (
        "40010c01ffff016000000300900000030000030078959809",
        "420101016000000300900000030000030078a003c08010e596566924caf0168080000003008000000c84",
        "4401c172b46240",
        ((1920, 1080), (25, 1), "hvc1.1.6.L120.90"),
    ),
    // 10 bits, cropped, scaling lists
    (
        "40010c01ffff02200000030090000003000003005a959809",
        "42010102200000030090000003000003005aa005020169d5365959a49395e02d0100000303e90000ea6008",
        "4401c172b46240",
        ((638, 358), (60_000, 1001), "hvc1.2.4.L90.90"),
    ),
    // range extensions, 4:2:2
    (
        "40010c01ffff0408000003009d0800000300005a959809",
        "4201010408000003009d0800000300005ab00502016965959a4932bc05a020000003002000000641",
        "4401c172b46240",
        ((640, 360), (50, 1), "hvc1.4.10.L90.9d.8"),
    ),
];

#[test]
fn parameter_sets_tell_size_rate_and_codec_string() {
    for &(vps, sps, pps, (size, rate, codec)) in SETS {
        let p = Parameters::parse(bytes(vps), bytes(sps), bytes(pps)).unwrap();
        assert_eq!((p.width, p.height), size, "{sps}");
        assert_eq!(p.frame_rate, Some(rate), "{sps}");
        assert_eq!(p.codec_string(), codec);
    }
}

#[test]
fn bit_depth_and_chroma() {
    let sps = Sps::parse(&bytes(SETS[1].1)).unwrap();
    assert_eq!(
        (sps.chroma_format_idc, sps.bit_depth_luma, sps.bit_depth_chroma),
        (1, 10, 10)
    );
    let sps = Sps::parse(&bytes(SETS[2].1)).unwrap();
    assert_eq!(
        (sps.chroma_format_idc, sps.bit_depth_luma, sps.sub_layers),
        (2, 8, 1)
    );
}

#[test]
fn every_cut_of_an_sps_is_an_error_or_costs_only_the_frame_rate() {
    for &(_, sps, _, (size, ..)) in SETS {
        let whole = bytes(sps);
        for end in 0..whole.len() {
            if let Ok(cut) = Sps::parse(&whole[..end]) {
                assert_eq!((cut.width, cut.height), size);
                assert!(end > 20, "{end} bytes of {sps} passed");
            }
        }
    }
}

#[test]
fn wrong_sets_are_refused() {
    let [vps, sps, pps] = [SETS[0].0, SETS[0].1, SETS[0].2].map(bytes);
    let wrong = Parameters::parse(sps.clone(), sps.clone(), pps.clone());
    assert_eq!(
        wrong,
        Err(Error::WrongNalUnit {
            what: "H.265 VPS",
            nal_type: 33
        })
    );
    let wrong = Parameters::parse(vps.clone(), vps.clone(), pps);
    assert_eq!(
        wrong,
        Err(Error::WrongNalUnit {
            what: "H.265 SPS",
            nal_type: 32
        })
    );
    assert!(matches!(
        Parameters::parse(vps, sps, Bytes::new()),
        Err(Error::WrongNalUnit { .. })
    ));
    let large = [&[0x42, 1][..], &[0xff; 5000]].concat();
    assert_eq!(
        Sps::parse(&large),
        Err(Error::TooLarge {
            what: "H.265 SPS",
            bytes: 5002
        })
    );
}

#[test]
fn configuration_records_round_trip() {
    for &(vps, sps, pps, _) in SETS {
        let parameters = Parameters::parse(bytes(vps), bytes(sps), bytes(pps)).unwrap();
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
        for end in 0..written.len() {
            assert!(Record::parse(&written.slice(..end)).is_err());
        }
    }
}

#[test]
fn the_vps_tells_the_rate_where_the_sps_does_not() {
    // A main-profile VPS with vps_timing_info: 1 tick of 1/20 s.
    let mut w = BitWriter::default();
    w.u(0, 4).u(3, 2).u(0, 6).u(0, 3).u(1, 1).u(0xffff, 16);
    w.u(0x0160_0000, 32).u(0x00b0_0000, 32).u(0x0000_0078, 32);
    w.u(1, 1).ue(4).ue(2).ue(0); // sub-layer ordering
    w.u(0, 6).ue(0).u(1, 1).u(1, 32).u(20, 32);
    let vps = w.nal(nal_type::VPS);
    let sps = sps_with(|w| {
        w.ue(0); // num_short_term_ref_pic_sets
        w.u(0, 1).u(0, 2).u(0, 1); // no long-term pictures, no tools, no VUI
    });
    let p = Parameters::parse(vps.into(), sps.into(), bytes(SETS[0].2)).unwrap();
    assert_eq!((p.width, p.height, p.frame_rate), (640, 480, Some((20, 1))));
}

#[test]
fn reference_picture_sets_coded_by_difference_are_read_over() {
    let sps = sps_with(|w| {
        w.ue(3);
        // first: pictures at -1, -3 and +2
        w.ue(2).ue(1).ue(0).u(1, 1).ue(1).u(1, 1).ue(1).u(1, 1);
        // second: by -1 from it: -2, -4, then +1, and -1 for the first's own picture; +1 is dropped
        // by its use_delta_flag
        w.u(1, 1).u(1, 1).ue(0).u(1, 1).u(1, 1).u(0b00, 2).u(1, 1);
        // third: by -2 from the second's three, the last not kept
        w.u(1, 1).u(1, 1).ue(1).u(1, 1).u(1, 1).u(1, 1).u(0b00, 2);
        w.u(0, 1).u(0, 2); // no long-term pictures, no tools
        w.u(1, 1).u(0, 4).u(0, 3).u(0, 1).u(1, 1).u(1, 32).u(12, 32); // VUI with timing
    });
    assert_eq!(Sps::parse(&sps).unwrap().frame_rate, Some((12, 1)));
}

/// A 640x480 main-profile SPS up to its reference picture sets, then what `rest` writes.
fn sps_with(rest: impl FnOnce(&mut BitWriter)) -> Vec<u8> {
    let mut w = BitWriter::default();
    w.u(0, 4).u(0, 3).u(1, 1);
    w.u(0x0160_0000, 32).u(0x00b0_0000, 32).u(0x0000_0078, 32);
    w.ue(0).ue(1).ue(640).ue(480).u(0, 1).ue(0).ue(0); // id to bit depths
    w.ue(4).u(1, 1).ue(4).ue(2).ue(0); // picture order count, sub-layer ordering
    w.ue(0).ue(3).ue(0).ue(3).ue(0).ue(0).u(0, 1).u(0, 2).u(0, 1);
    rest(&mut w);
    w.nal(nal_type::SPS)
}

#[derive(Default)]
struct BitWriter(Vec<bool>);

impl BitWriter {
    fn u(&mut self, value: u32, width: u32) -> &mut Self {
        self.0.extend((0..width).rev().map(|i| value >> i & 1 == 1));
        self
    }

    fn ue(&mut self, value: u32) -> &mut Self {
        let width = (value + 1).ilog2();
        self.u(0, width).u(value + 1, width + 1)
    }

    /// A NAL unit of these bits, with emulation prevention.
    fn nal(&mut self, nal_type: u8) -> Vec<u8> {
        self.u(1, 1);
        self.0.resize(self.0.len().next_multiple_of(8), false);
        let mut nal = vec![nal_type << 1, 1];
        for bits in self.0.chunks(8) {
            let byte = bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
            if nal.ends_with(&[0, 0]) && byte <= 3 {
                nal.push(3);
            }
            nal.push(byte);
        }
        nal
    }
}

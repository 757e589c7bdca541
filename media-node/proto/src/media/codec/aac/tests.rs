use super::*;

fn parse(config: &[u8]) -> Result<(u32, u8, u32, String), Error> {
    let p = Parameters::parse(Bytes::copy_from_slice(config))?;
    Ok((
        p.sample_rate,
        p.channels,
        p.samples_per_access_unit(),
        p.codec_string(),
    ))
}

#[test]
fn configurations_as_encoders_write_them() {
    type Expected = (u32, u8, u32, &'static str);
    let table: &[(&[u8], Expected)] = &[
        (&[0x11, 0x90], (48_000, 2, 1024, "mp4a.40.2")),
        (&[0x12, 0x10], (44_100, 2, 1024, "mp4a.40.2")),
        (&[0x15, 0x88], (8000, 1, 1024, "mp4a.40.2")),
        // 960 samples a frame
        (&[0x11, 0x94], (48_000, 2, 960, "mp4a.40.2")),
        // explicit frequency 16000
        (&[0x17, 0x80, 0x1f, 0x40, 0x08], (16_000, 1, 1024, "mp4a.40.2")),
        // HE-AAC, hierarchical: SBR at 48000 over a core at 24000
        (&[0x2b, 0x11, 0x88, 0x00], (48_000, 2, 2048, "mp4a.40.5")),
        // HE-AAC, backward compatible: core at 24000, sync extension 0x2b7
        (&[0x13, 0x10, 0x56, 0xe5, 0x98], (48_000, 2, 2048, "mp4a.40.5")),
        // HE-AAC v2, hierarchical: mono core
        (&[0xeb, 0x09, 0x88, 0x00], (48_000, 2, 2048, "mp4a.40.29")),
        // AAC-LD
        (&[0xb9, 0x90], (48_000, 2, 512, "mp4a.40.23")),
        // AAC-ELD: 31 + 7
        (&[0xf8, 0xe6, 0x20], (48_000, 1, 512, "mp4a.40.39")),
    ];
    for (config, (rate, channels, samples, codec)) in table {
        assert_eq!(
            parse(config),
            Ok((*rate, *channels, *samples, (*codec).to_owned())),
            "{config:02x?}"
        );
    }
}

#[test]
fn channels_of_a_program_config_element() {
    // LC, 48000, configuration 0; then one front pair, one LFE, no comment
    let bits = "00010 0011 0000 000 \
        0000 01 0011 0001 0000 0000 01 000 0000 0 0 0 1 0000 0000";
    let mut bits: Vec<u8> = bits.bytes().filter(|b| *b != b' ').map(|b| b - b'0').collect();
    bits.resize(bits.len().next_multiple_of(8) + 8, 0);
    let config: Vec<u8> = bits
        .chunks(8)
        .map(|c| c.iter().fold(0, |n, b| n << 1 | b))
        .collect();
    assert_eq!(parse(&config).unwrap().1, 3);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    assert!(matches!(parse(&[]), Err(Error::Truncated { .. })));
    assert!(matches!(parse(&[0x11]), Err(Error::Truncated { .. })));
    // sampling frequency index 13, channel configuration 15, explicit frequency 0
    assert!(matches!(parse(&[0x16, 0x90]), Err(Error::OutOfRange { .. })));
    assert!(matches!(parse(&[0x11, 0xf8]), Err(Error::OutOfRange { .. })));
    assert!(matches!(
        parse(&[0x17, 0x80, 0, 0, 0x08]),
        Err(Error::OutOfRange { .. })
    ));
    // CELP
    assert!(matches!(parse(&[0x41, 0x90]), Err(Error::Unsupported { .. })));
    assert!(matches!(parse(&[0xff; 600]), Err(Error::TooLarge { .. })));
}

#[test]
fn low_complexity_configurations() {
    assert_eq!(
        Parameters::low_complexity(48_000, 2).unwrap().config[..],
        [0x11, 0x90]
    );
    assert_eq!(
        Parameters::low_complexity(8000, 1).unwrap().config[..],
        [0x15, 0x88]
    );
    assert!(Parameters::low_complexity(48_001, 2).is_err());
    assert!(Parameters::low_complexity(48_000, 7).is_err());
}

#[test]
fn adts_headers_round_trip() {
    for (rate, channels) in [(48_000, 2), (8000, 1), (96_000, 8), (44_100, 6)] {
        let parameters = Parameters::low_complexity(rate, channels).unwrap();
        let head = adts::Writer::new(&parameters).unwrap().header(1500).unwrap();
        let parsed = adts::Header::parse(&head).unwrap();
        assert_eq!((parsed.header_bytes, parsed.frame_bytes), (7, 1507));
        assert_eq!(parsed.parameters(), Ok(parameters));
    }
}

#[test]
fn adts_describes_he_aac_by_its_core() {
    let parameters = Parameters::parse(Bytes::from_static(&[0x2b, 0x11, 0x88, 0x00])).unwrap();
    let head = adts::Writer::new(&parameters).unwrap().header(10).unwrap();
    let parsed = adts::Header::parse(&head).unwrap();
    assert_eq!(
        (
            parsed.object_type,
            parsed.sample_rate,
            parsed.channel_configuration
        ),
        (2, 24_000, 2)
    );
}

#[test]
fn adts_has_no_words_for_some() {
    let explicit = Parameters::parse(Bytes::from_static(&[0x17, 0x80, 0x1f, 0x41, 0x08])).unwrap();
    assert_eq!(adts::Writer::new(&explicit), None);
    let low_delay = Parameters::parse(Bytes::from_static(&[0xb9, 0x90])).unwrap();
    assert_eq!(adts::Writer::new(&low_delay), None);
    let plain = Parameters::low_complexity(48_000, 2).unwrap();
    assert_eq!(adts::Writer::new(&plain).unwrap().header(8185), None);
}

#[test]
fn frames_end_at_damage() {
    let writer = adts::Writer::new(&Parameters::low_complexity(48_000, 2).unwrap()).unwrap();
    let mut data = Vec::new();
    for frame in [&[1, 2, 3][..], &[4; 300]] {
        data.extend(writer.header(frame.len()).unwrap());
        data.extend(frame);
    }
    let lengths = |data: &[u8]| {
        adts::frames(data)
            .map(|(_, frame)| frame.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(lengths(&data), [3, 300]);
    assert_eq!(lengths(&data[..data.len() - 1]), [3]);
    data[11] = 0;
    assert_eq!(lengths(&data), [3]);
    assert_eq!(lengths(&[]), [0; 0]);
}

use super::*;
use crate::fmp4::{Fragmenter, init_segment};
use crate::testing;

fn file() -> Vec<u8> {
    let clip = testing::h264_aac();
    let mut file = init_segment(&clip.tracks).to_vec();
    let mut fragmenter = Fragmenter::new(&clip.tracks);
    for (number, some) in clip.access_units.chunks(60).enumerate() {
        for au in some {
            fragmenter.push(au);
        }
        let end = some.last().expect("some").dts.offset(3600);
        file.extend_from_slice(&fragmenter.finish(number as u32 + 1, end));
    }
    file
}

#[test]
fn what_was_written_is_read() {
    let (clip, file) = (testing::h264_aac(), file());
    let scanned = scan(&file).expect("whole");
    assert_eq!(scanned.tracks, clip.tracks);
    assert_eq!((scanned.whole_bytes, scanned.tail), (file.len() as u64, None));
    for track in 0..2 {
        let read: Vec<&[u8]> = scanned
            .fragments
            .iter()
            .filter_map(|fragment| fragment.run(track))
            .flat_map(|run| {
                let mut at = run.data.start as usize;
                run.samples.iter().map(move |sample| {
                    at += sample.size as usize;
                    at - sample.size as usize..at
                })
            })
            .map(|range| &file[range])
            .collect();
        let written: Vec<&[u8]> = clip
            .access_units
            .iter()
            .filter(|au| au.track == track)
            .map(|au| &au.data[..])
            .collect();
        assert!(read == written, "track {track}");
    }
}

#[test]
fn every_codec_that_is_written_is_read() {
    use crate::media::CodecParameters;
    use crate::media::codec::g711::{Law, Parameters};
    for law in [Law::A, Law::Mu] {
        let sound = Track {
            codec: CodecParameters::G711(Parameters { law, channels: 1 }),
            clock_rate: 8000,
        };
        let video = testing::h265_aac().tracks.get(0).expect("video").clone();
        let tracks = Tracks::new([video, sound]);
        let scanned = scan(&init_segment(&tracks)).expect("whole");
        assert_eq!(scanned.tracks, tracks);
    }
}

#[test]
fn a_file_may_end_anywhere() {
    let file = file();
    let whole = scan(&file).expect("whole");
    let mut last = 0;
    for cut in (0..file.len()).step_by(97) {
        let Ok(scanned) = scan(&file[..cut]) else {
            assert!(cut < whole.init.end as usize, "{cut}");
            continue;
        };
        assert!(scanned.whole_bytes <= cut as u64);
        assert!(scanned.fragments.len() >= last, "{cut}");
        last = scanned.fragments.len();
        assert_eq!(scanned.fragments, whole.fragments[..last]);
    }
    assert_eq!(last + 1, whole.fragments.len());
}

#[test]
fn a_hole_of_zeros_ends_it() {
    let mut file = file();
    let second = scan(&file).expect("whole").fragments[1].offset as usize;
    file[second..].fill(0);
    let scanned = scan(&file).expect("an init segment");
    assert_eq!((scanned.fragments.len(), scanned.whole_bytes), (1, second as u64));
    assert!(scanned.tail.is_some());
}

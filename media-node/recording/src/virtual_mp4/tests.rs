use super::*;
use weir_proto::fmp4::{Fragmenter, init_segment, scan};
use weir_proto::media::AccessUnit;
use weir_proto::mp4;
use weir_proto::testing::{self, Clip};

const START: i64 = 1_767_603_600_000;

/// A stored file of some access units, a fragment for each GOP, as a source.
fn stored(tracks: &Tracks, units: &[AccessUnit], start_ms: i64, session: u64) -> (Vec<u8>, Source) {
    let mut file = init_segment(tracks).to_vec();
    let mut fragmenter = Fragmenter::new(tracks);
    let main = main_track(tracks);
    let mut last = None;
    for au in units {
        if au.track == main && au.keyframe && !fragmenter.is_empty() {
            file.extend_from_slice(&fragmenter.finish(1, au.dts));
        }
        if au.track == main {
            last = Some(au.dts);
        }
        fragmenter.push(au);
    }
    let last = last.expect("pictures");
    file.extend_from_slice(&fragmenter.finish(1, last.offset(i64::from(last.clock_rate() / 25))));
    let scanned = scan(&file).expect("whole");
    let source = Source {
        tracks: scanned.tracks,
        session,
        fragments: scanned.fragments,
        start_ms,
        from_ms: i64::MIN,
        to_ms: i64::MAX,
    };
    (file, source)
}

/// Before and after the keyframe with that number.
fn split(clip: &Clip, keyframe: usize) -> (Vec<AccessUnit>, Vec<AccessUnit>) {
    let at = clip
        .access_units
        .iter()
        .enumerate()
        .filter(|(_, au)| au.keyframe)
        .nth(keyframe)
        .expect("a keyframe")
        .0;
    let (before, after) = clip.access_units.split_at(at);
    (before.to_vec(), after.to_vec())
}

fn bytes_of(file: &VirtualMp4, objects: &[&[u8]], range: Range<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    for part in file.slice(range) {
        match part {
            Part::Header(range) => out.extend_from_slice(&file.header()[range]),
            Part::Object(piece) => {
                let range = piece.range.start as usize..piece.range.end as usize;
                out.extend_from_slice(&objects[piece.source][range]);
            }
        }
    }
    out
}

fn index(file: &[u8]) -> mp4::Index {
    let mut finder = mp4::MoovFinder::new(file.len() as u64);
    loop {
        let wanted = finder.wanted();
        let data = &file[wanted.start as usize..wanted.end as usize];
        if let Some(moov) = finder.push(data).expect("an MP4") {
            let moov = Bytes::copy_from_slice(&file[moov.start as usize..moov.end as usize]);
            return mp4::Index::parse(&moov).expect("an index");
        }
    }
}

/// The access units of a file, by track, as (time shown in ms, data).
fn played(file: &[u8]) -> Vec<Vec<(i64, Vec<u8>)>> {
    let index = index(file);
    let tracks = index.tracks.iter().map(|track| {
        let samples = track.samples.iter().map(|sample| {
            let data = file[sample.offset as usize..][..sample.size as usize].to_vec();
            let ms = sample.pts * 1000 / i64::from(track.track.clock_rate);
            (ms, data)
        });
        samples.collect()
    });
    tracks.collect()
}

#[test]
fn two_segments_are_one_file() {
    let clip = testing::h264_aac();
    let (before, after) = split(&clip, 2);
    let (first, one) = stored(&clip.tracks, &before, START, 1);
    let (second, two) = stored(&clip.tracks, &after, START + 2000, 1);
    let file = VirtualMp4::new(&[one, two], START, START + 60_000)
        .expect("short")
        .expect("footage");
    let bytes = bytes_of(&file, &[&first, &second], 0..file.len());
    assert_eq!(bytes.len() as u64, file.len());
    assert_eq!(
        (file.start_ms, (3990..=4050).contains(&file.duration_ms)),
        (START, true)
    );
    let index = index(&bytes);
    assert_eq!(index.media_tracks(), clip.tracks);
    for (track, samples) in played(&bytes).iter().enumerate() {
        let units: Vec<&AccessUnit> = clip
            .access_units
            .iter()
            .filter(|au| usize::from(au.track) == track)
            .collect();
        let of_file: Vec<&[u8]> = samples.iter().map(|(_, data)| &data[..]).collect();
        let of_clip: Vec<&[u8]> = units.iter().map(|au| &au.data[..]).collect();
        // Sound before the first picture is shown is left out by the reader.
        assert!(of_clip.ends_with(&of_file), "track {track}");
        assert!(of_clip.len() - of_file.len() <= 5, "track {track}");
    }
}

#[test]
fn any_range_of_bytes_is_exact() {
    let clip = testing::h264_aac();
    let (before, after) = split(&clip, 1);
    let (first, one) = stored(&clip.tracks, &before, START, 1);
    let (second, two) = stored(&clip.tracks, &after, START + 1000, 1);
    let file = VirtualMp4::new(&[one, two], START, START + 60_000)
        .expect("short")
        .expect("footage");
    let whole = bytes_of(&file, &[&first, &second], 0..file.len());
    let length = file.len();
    for from in (0..length).step_by(1231) {
        for take in [1, 2, 1000, 50_000, length] {
            let to = (from + take).min(length);
            let part = bytes_of(&file, &[&first, &second], from..to);
            assert!(part == whole[from as usize..to as usize], "{from}..{to}");
        }
    }
    assert_eq!(file.slice(length..length + 5), []);
}

#[test]
fn a_range_begins_at_the_keyframe_before_it_and_is_shown_from_its_start() {
    let clip = testing::h264_aac();
    let (object, source) = stored(&clip.tracks, &clip.access_units, START, 1);
    let file = VirtualMp4::new(&[source], START + 1500, START + 2500)
        .expect("short")
        .expect("footage");
    assert_eq!((file.start_ms, file.duration_ms), (START + 1500, 1000));
    let bytes = bytes_of(&file, &[&object], 0..file.len());
    let video = &played(&bytes)[0];
    // The GOPs that begin at 1 s and 2 s.
    assert_eq!(video.len(), 50);
    assert_eq!(video.iter().map(|(ms, _)| *ms).min(), Some(-500));
    assert_eq!(video.iter().filter(|(ms, _)| (0..1000).contains(ms)).count(), 25);
}

#[test]
fn a_gap_stays_a_gap() {
    let clip = testing::h264_aac();
    let (before, after) = split(&clip, 2);
    let (first, one) = stored(&clip.tracks, &before, START, 1);
    let (second, two) = stored(&clip.tracks, &after, START + 10_000, 2);
    let file = VirtualMp4::new(&[one, two], START, START + 60_000)
        .expect("short")
        .expect("footage");
    assert!(
        (11_990..=12_060).contains(&file.duration_ms),
        "{}",
        file.duration_ms
    );
    let bytes = bytes_of(&file, &[&first, &second], 0..file.len());
    let shown: Vec<i64> = played(&bytes)[0].iter().map(|(ms, _)| *ms).collect();
    assert_eq!(shown.len(), 100);
    assert!(shown[..50].iter().all(|ms| *ms < 2000), "{shown:?}");
    assert!(
        shown[50..].iter().all(|ms| (9_999..12_000).contains(ms)),
        "{shown:?}"
    );
}

#[test]
fn other_parameters_are_another_description() {
    let (one, two) = (testing::h264_aac(), testing::h265_aac());
    let (first, a) = stored(&one.tracks, &one.access_units, START, 1);
    let (second, b) = stored(&two.tracks, &two.access_units, START + 4000, 2);
    let file = VirtualMp4::new(&[a, b], START, START + 60_000)
        .expect("short")
        .expect("footage");
    let bytes = bytes_of(&file, &[&first, &second], 0..file.len());
    let text = String::from_utf8_lossy(&bytes[..file.header().len()]).into_owned();
    assert!(
        text.contains("avc1") && text.contains("hvc1"),
        "both are described"
    );
}

#[test]
fn overlapping_writers_give_every_picture_once() {
    let clip = testing::h264_aac();
    let (_, after) = split(&clip, 2);
    // The former owner has all of it, the newer one from the third GOP on, with a clock 7 ms off.
    let (first, mut one) = stored(&clip.tracks, &clip.access_units, START, 1);
    let (second, mut two) = stored(&clip.tracks, &after, START + 2007, 2);
    one.to_ms = START + 2007;
    two.from_ms = START + 2007;
    let file = VirtualMp4::new(&[one, two], START, START + 60_000)
        .expect("short")
        .expect("footage");
    let bytes = bytes_of(&file, &[&first, &second], 0..file.len());
    let video: Vec<Vec<u8>> = played(&bytes)[0].iter().map(|(_, data)| data.clone()).collect();
    let written: Vec<Vec<u8>> = clip
        .access_units
        .iter()
        .filter(|au| au.track == 0)
        .map(|au| au.data.to_vec())
        .collect();
    assert!(video == written);
}

#[test]
fn no_footage_no_file() {
    let clip = testing::h264_aac();
    let (_, source) = stored(&clip.tracks, &clip.access_units, START, 1);
    assert!(VirtualMp4::new(&[], START, START + 1).expect("short").is_none());
    for (from, to) in [(START - 1000, START - 1), (START + 5000, START + 6000)] {
        let file = VirtualMp4::new(std::slice::from_ref(&source), from, to).expect("short");
        assert!(file.is_none(), "{from}..{to}");
    }
}

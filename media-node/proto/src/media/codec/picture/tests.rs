use super::*;
use crate::media::codec::nal::units;

const SPS_A: &str = "6742c00cd9016096c044000003000400000300783c50a920";
const SPS_B: &str = "67640028acd940780227e5c04400000fa40003a9803c60c658";
const PPS: &str = "68cb83cb20";

fn set(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

fn nals(picture: &Picture) -> Vec<&[u8]> {
    units(&picture.data).collect()
}

fn push_all(builder: &mut PictureBuilder, nals: &[&[u8]]) -> Option<Picture> {
    for nal in nals {
        builder.push(nal);
    }
    builder.finish()
}

#[test]
fn an_idr_picture_gives_parameters_and_keeps_slices_and_sei() {
    let mut b = PictureBuilder::new(Codec::H264, None);
    assert_eq!(b.parameters(), None);
    let (sps, pps) = (set(SPS_A), set(PPS));
    let idr = [0x65, 0x88, 1];
    let sei = [6, 5, 1, 0, 0x80];
    let end = [0x0a];
    let filler = [0x0c, 0xff, 0x80];
    let p = push_all(&mut b, &[&[9, 0x10], &sps, &pps, &sei, &idr, &filler, &end]).unwrap();
    assert_eq!(nals(&p), [&sei[..], &idr]);
    assert!(p.keyframe);
    assert_eq!(p.new_parameters.as_ref(), b.parameters());
    assert_eq!(p.new_parameters.unwrap().size(), Some((352, 288)));

    let slice = [0x41, 0x9a, 1];
    let p = push_all(&mut b, &[&slice]).unwrap();
    assert_eq!(nals(&p), [&slice]);
    assert!(!p.keyframe && p.new_parameters.is_none());
}

#[test]
fn parameters_change_once_and_repeated_sets_change_nothing() {
    let mut b = PictureBuilder::new(Codec::H264, None);
    let (a, other, pps) = (set(SPS_A), set(SPS_B), set(PPS));
    let idr = [0x65, 0x88];
    assert!(
        push_all(&mut b, &[&a, &pps, &idr])
            .unwrap()
            .new_parameters
            .is_some()
    );
    assert_eq!(push_all(&mut b, &[&a, &pps, &idr]).unwrap().new_parameters, None);
    let changed = push_all(&mut b, &[&other, &pps, &idr])
        .unwrap()
        .new_parameters
        .unwrap();
    assert_eq!(changed.size(), Some((1920, 1080)));
    // Known from outside, they are not new either.
    let mut b = PictureBuilder::new(Codec::H264, Some(changed));
    assert_eq!(
        push_all(&mut b, &[&other, &pps, &idr]).unwrap().new_parameters,
        None
    );
}

#[test]
fn parameter_sets_in_a_picture_of_their_own_wait() {
    let mut b = PictureBuilder::new(Codec::H264, None);
    assert_eq!(
        push_all(&mut b, &[&set(SPS_A), &set(PPS), &[6, 5, 1, 0, 0x80]]),
        None
    );
    let p = push_all(&mut b, &[&[0x65, 0x88]]).unwrap();
    assert!(p.new_parameters.is_some());
    assert_eq!(nals(&p).len(), 2);
}

#[test]
fn a_second_pps_stays_in_band_and_a_damaged_set_goes() {
    let mut b = PictureBuilder::new(Codec::H264, None);
    let second = [0x68, 0x5b, 0x83, 0xcb, 0x20];
    let p = push_all(
        &mut b,
        &[&set(SPS_A), &set(PPS), &second, &[0x67, 1], &[0x65, 0x88]],
    )
    .unwrap();
    assert_eq!(nals(&p), [&second[..], &[0x65, 0x88]]);
    assert!(p.new_parameters.is_some());
}

#[test]
fn open_gops_start_at_recovery_points_with_intra_slices_only() {
    let recovery = [6, 6, 1, 0xc4, 0x80];
    let (intra, inter) = ([0x41, 0x88], [0x41, 0x9a]);
    let mut b = PictureBuilder::new(Codec::H264, None);
    assert!(push_all(&mut b, &[&recovery, &intra, &intra]).unwrap().keyframe);
    assert!(!push_all(&mut b, &[&recovery, &intra, &inter]).unwrap().keyframe);
    assert!(!push_all(&mut b, &[&intra]).unwrap().keyframe);
}

#[test]
fn h265_random_access_pictures() {
    for (nal_type, keyframe) in [
        (1, false),
        (16, true),
        (19, true),
        (20, true),
        (21, true),
        (9, false),
    ] {
        let mut b = PictureBuilder::new(Codec::H265, None);
        let p = push_all(&mut b, &[&[35 << 1, 1, 0x50], &[nal_type << 1, 1, 0x80]]).unwrap();
        assert_eq!((p.keyframe, nals(&p).len()), (keyframe, 1), "type {nal_type}");
    }
}

#[test]
fn h265_parameters_need_all_three_sets() {
    let vps = set("40010c01ffff016000000300900000030000030078959809");
    let sps = set("420101016000000300900000030000030078a003c08010e596566924caf0168080000003008000000c84");
    let pps = set("4401c172b46240");
    let idr = [0x26, 1, 0xaf];
    let mut b = PictureBuilder::new(Codec::H265, None);
    assert_eq!(
        push_all(&mut b, &[&sps, &pps, &idr]).unwrap().new_parameters,
        None
    );
    let p = push_all(&mut b, &[&vps, &idr]).unwrap();
    assert_eq!(p.new_parameters.unwrap().size(), Some((1920, 1080)));
}

#[test]
fn nothing_grows_without_bound() {
    let mut b = PictureBuilder::new(Codec::H264, None);
    let slice = vec![0x65; 1 << 20];
    for _ in 0..40 {
        b.push(&slice);
    }
    assert!(b.data.len() <= MAX_PICTURE_BYTES + (1 << 10));
    assert_eq!(b.finish(), None);
    assert!(push_all(&mut b, &[&slice]).is_some());

    let sei = vec![6; 60_000];
    for _ in 0..1000 {
        assert_eq!(push_all(&mut b, &[&sei]), None);
    }
    assert!(b.data.len() <= MAX_WAITING_BYTES + sei.len());
}

#[test]
fn a_discarded_picture_leaves_its_parameter_sets() {
    let mut b = PictureBuilder::new(Codec::H264, None);
    b.push(&set(SPS_A));
    b.push(&set(PPS));
    b.push(&[0x65, 0x88]);
    b.discard();
    assert_eq!(b.finish(), None);
    let p = push_all(&mut b, &[&[0x41, 0x9a]]).unwrap();
    assert!(!p.keyframe && p.new_parameters.is_some());
}

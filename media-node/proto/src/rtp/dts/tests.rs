use super::*;

/// Runs display times of 25 frames a second through an estimator with a clock of 25 Hz.
fn run(depth: Option<u8>, pts: &[i64]) -> Vec<Option<i64>> {
    let mut estimator = DtsEstimator::new(25, None);
    estimator.set_depth(depth);
    let dts: Vec<_> = pts.iter().map(|pts| estimator.next(*pts)).collect();
    check(pts, &dts);
    dts
}

/// What holds whatever comes, as long as the clock does not jump.
fn check(pts: &[i64], dts: &[Option<i64>]) {
    let mut last = i64::MIN;
    for (pts, dts) in pts.iter().zip(dts) {
        if let Some(dts) = dts {
            assert!(dts <= pts, "{dts} after {pts}");
            assert!(*dts >= last, "{dts} before {last}");
            last = *dts;
        }
    }
}

fn some(dts: &[i64]) -> Vec<Option<i64>> {
    dts.iter().copied().map(Some).collect()
}

#[test]
fn without_reordering_it_is_the_display_time() {
    let pts = [5, 6, 8, 8, 30];
    assert_eq!(run(None, &pts), some(&pts));
    assert_eq!(run(Some(0), &pts), some(&pts));
}

#[test]
fn a_known_depth_needs_no_learning() {
    assert_eq!(
        run(Some(1), &[0, 3, 1, 2, 6, 4, 5]),
        some(&[-1, 0, 1, 2, 3, 4, 5])
    );
    // A pyramid: I0 P4 B2 b1 b3 P8 B6 b5 b7.
    assert_eq!(
        run(Some(2), &[0, 4, 2, 1, 3, 8, 6, 5, 7]),
        some(&[-2, -1, 0, 1, 2, 3, 4, 5, 6])
    );
}

#[test]
fn an_unknown_depth_is_learned_at_the_cost_of_a_few_pictures() {
    let dts = run(None, &[0, 3, 1, 2, 6, 4, 5, 9, 7, 8]);
    let expected: Vec<_> = [&some(&[0, 3])[..], &[None, None], &some(&[3, 3, 4, 5, 6, 7])].concat();
    assert_eq!(dts, expected);
    // Afterwards nothing is left out any more, whatever the pattern of that depth.
    let pyramids: Vec<_> = (0..20)
        .flat_map(|gop| [4, 2, 1, 3].map(|pts| pts + 4 * gop))
        .collect();
    let dts = run(None, &pyramids);
    assert!(dts[12..].iter().all(Option::is_some), "{dts:?}");
}

#[test]
fn a_clock_that_jumps_back_starts_anew() {
    let mut estimator = DtsEstimator::new(90_000, None);
    assert_eq!(estimator.next(10_000_000), Some(10_000_000));
    assert_eq!(estimator.next(5), Some(5));
    assert_eq!(estimator.next(6), Some(6));
    // With a depth, the first pictures count back again.
    estimator.set_depth(Some(1));
    assert_eq!(estimator.next(10_000_000), Some(6));
    assert_eq!(estimator.next(10_003_600), Some(10_000_000));
    assert_eq!(estimator.next(90_000), Some(86_400));
}

#[test]
fn the_depth_may_shrink() {
    let mut estimator = DtsEstimator::new(25, None);
    estimator.set_depth(Some(3));
    let pts = [0, 4, 2, 1, 3];
    let mut dts: Vec<_> = pts.iter().map(|pts| estimator.next(*pts)).collect();
    estimator.set_depth(Some(0));
    dts.extend([5, 6, 7].map(|pts| estimator.next(pts)));
    check(&[0, 4, 2, 1, 3, 5, 6, 7], &dts);
    assert_eq!(dts[5..], some(&[5, 6, 7]));
}

#[test]
fn no_order_breaks_the_promise() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for depth in 0..=16 {
        for _ in 0..50 {
            let pts: Vec<i64> = (0..100)
                .map(|i| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    i + (state % 12) as i64
                })
                .collect();
            run(Some(depth), &pts);
        }
    }
    run(None, &[i64::MAX, i64::MAX]);
    run(Some(16), &[i64::MIN, i64::MIN + 1]);
}

#[test]
fn parameter_sets_tell_the_depth() {
    let bytes = |hex| bytes::Bytes::from(hex::decode(hex).unwrap());
    // x264, High, three B frames and a pyramid.
    let sps = bytes("6764000dacd94141fb0110000003001000000303c0f1429960");
    let pps = bytes("68ebe3cb22c0");
    let parameters = h264::Parameters::parse(sps, pps).unwrap();
    let estimator = DtsEstimator::new(90_000, Some(&CodecParameters::H264(parameters)));
    assert_eq!((estimator.depth, estimator.frame_duration), (2, 3000));
    // x265 with its defaults.
    let vps = bytes("40010c01ffff01600000030090000003000003003c959809");
    let sps = bytes("42010101600000030090000003000003003ca00a080f165959a4932bc05a020000030002000003003c10");
    let pps = bytes("4401c172b46240");
    let parameters = h265::Parameters::parse(vps, sps, pps).unwrap();
    let estimator = DtsEstimator::new(90_000, Some(&CodecParameters::H265(parameters)));
    assert_eq!((estimator.depth, estimator.frame_duration), (2, 3000));
}

//! The payload format of H.264 (RFC 6184): what one packet holds.

use super::{Fault, Piece, aggregated};

/// Hands the NAL units and fragments of a payload to `each`, in order.
///
/// ```text
/// single     | NAL unit                                          |  type 1 to 23
/// STAP-A     | 24 | length | NAL unit | length | NAL unit | ...  |
/// FU-A       | 28 | S E R type | fragment without NAL header     |
/// ```
pub(super) fn pieces<'a>(payload: &'a [u8], each: &mut dyn FnMut(Piece<'a>)) -> Result<(), Fault> {
    let Some((&indicator, rest)) = payload.split_first() else {
        return Ok(());
    };
    match indicator & 0x1f {
        // 0 is no type of NAL unit. Where it begins a start code, it is a byte stream, which some
        // cameras put into single packets; the caller takes those apart.
        0 if !payload.starts_with(&[0, 0]) => Err(Fault::Malformed("NAL unit type 0")),
        0..=23 => {
            each(Piece::Unit(payload));
            Ok(())
        }
        24 => aggregated(rest, each),
        28 => {
            let Some((&fu, body)) = rest.split_first() else {
                return Err(Fault::Malformed("FU-A without a header"));
            };
            each(Piece::Fragment {
                start: fu & 0x80 != 0,
                end: fu & 0x40 != 0,
                header: [(indicator & 0xe0) | (fu & 0x1f), 0],
                header_length: 1,
                body,
            });
            Ok(())
        }
        25..=27 | 29 => Err(Fault::Unsupported("interleaved mode")),
        _ => Err(Fault::Malformed("NAL unit type 30 or 31")),
    }
}

/// Whether a picture can begin with this NAL unit.
pub(super) fn begins_picture(unit: &[u8]) -> bool {
    match unit.first().map_or(0, |header| header & 0x1f) {
        // A slice: `first_mb_in_slice`, an Exp-Golomb number, is 0 if the first bit is 1.
        1 | 2 | 5 => unit.get(1).is_some_and(|byte| byte & 0x80 != 0),
        // SEI, parameter sets, access unit delimiter, prefix, extended parameter sets.
        6..=9 | 13..=18 => true,
        _ => false,
    }
}

/// Whether this NAL unit may have others glued to it, with start codes in between.
pub(super) fn may_hold_others(unit: &[u8]) -> bool {
    matches!(unit.first().map_or(0, |header| header & 0x1f), 0 | 6..=9)
}

//! The payload format of H.265 (RFC 7798), without decoding order numbers: what one packet holds.

use super::{Fault, Piece, aggregated};

/// Hands the NAL units and fragments of a payload to `each`, in order.
///
/// ```text
/// single  | NAL unit                                                 |  type 0 to 47
/// AP      | header, type 48 | length | NAL unit | length | NAL unit  |
/// FU      | header, type 49 | S E type | fragment without NAL header |
/// ```
pub(super) fn pieces<'a>(payload: &'a [u8], each: &mut dyn FnMut(Piece<'a>)) -> Result<(), Fault> {
    let Some((&[first, second], rest)) = payload.split_first_chunk::<2>() else {
        return Err(Fault::Malformed("payload shorter than a NAL unit header"));
    };
    match (first >> 1) & 0x3f {
        0..=47 => {
            each(Piece::Unit(payload));
            Ok(())
        }
        48 => aggregated(rest, each),
        49 => {
            let Some((&fu, body)) = rest.split_first() else {
                return Err(Fault::Malformed("FU without a header"));
            };
            each(Piece::Fragment {
                start: fu & 0x80 != 0,
                end: fu & 0x40 != 0,
                header: [(first & 0x81) | ((fu & 0x3f) << 1), second],
                header_length: 2,
                body,
            });
            Ok(())
        }
        50 => Err(Fault::Unsupported("PACI packet")),
        _ => Err(Fault::Malformed("NAL unit type above 50")),
    }
}

/// Whether a picture can begin with this NAL unit.
pub(super) fn begins_picture(unit: &[u8]) -> bool {
    match unit.first().map_or(0, |header| (header >> 1) & 0x3f) {
        // A slice segment: `first_slice_segment_in_pic_flag` is the first bit behind the header.
        0..=31 => unit.get(2).is_some_and(|byte| byte & 0x80 != 0),
        // Parameter sets, access unit delimiter, prefix SEI.
        32..=35 | 39 => true,
        _ => false,
    }
}

/// Whether this NAL unit may have others glued to it, with start codes in between.
pub(super) fn may_hold_others(unit: &[u8]) -> bool {
    // A start code in front reads as header 0, the type of a trailing picture.
    unit.starts_with(&[0, 0]) || matches!((unit.first().map_or(0, |h| h >> 1)) & 0x3f, 32..=35 | 39)
}

//! Messages into chunks.

use super::Header;
use bytes::{BufMut, BytesMut};

const EXTENDED: u32 = 0xff_ffff;
/// Headers of a message's first chunk are at most this long, those of the others at most 7 bytes.
pub const MAX_OVERHEAD_BYTES: usize = 18;

/// Appends a message, cut into chunks of `chunk_bytes`.
///
/// The first chunk has a whole header (fmt 0) always. So the bytes depend on nothing that was
/// written before, and one copy of a message serves every peer that was told the same chunk size;
/// the 4 to 8 bytes that fmt 1 or 2 would save are not worth a copy for each.
pub fn write(header: &Header, body: &[u8], chunk_bytes: usize, out: &mut BytesMut) {
    write_with(header, body.len(), chunk_bytes, out, |out| out.put_slice(body));
}

/// How many bytes [`write()`] appends for a body of this many.
pub fn measure(header: &Header, body_bytes: usize, chunk_bytes: usize) -> usize {
    let (_, basic) = basic_header(3, header.chunk_stream);
    let extended = if header.timestamp_ms >= EXTENDED { 4 } else { 0 };
    basic + 11 + extended + body_bytes + separators(body_bytes, chunk_bytes) * (basic + extended)
}

/// As [`write()`], with a body of `body_bytes` that `fill` appends.
pub fn write_with(
    header: &Header,
    body_bytes: usize,
    chunk_bytes: usize,
    out: &mut BytesMut,
    fill: impl FnOnce(&mut BytesMut),
) {
    out.reserve(measure(header, body_bytes, chunk_bytes));
    let extended = (header.timestamp_ms >= EXTENDED).then(|| header.timestamp_ms.to_be_bytes());
    let extended = extended.as_ref().map_or(&[][..], |bytes| &bytes[..]);
    let (basic, basic_bytes) = basic_header(0, header.chunk_stream);
    out.put_slice(&basic[..basic_bytes]);
    out.put_uint(u64::from(header.timestamp_ms.min(EXTENDED)), 3);
    out.put_uint(body_bytes as u64, 3);
    out.put_u8(header.kind);
    out.put_u32_le(header.message_stream);
    out.put_slice(extended);

    let start = out.len();
    fill(out);
    debug_assert_eq!(out.len() - start, body_bytes, "the length that was announced");

    // Headers go between the chunks from the end on, so that every byte moves once. Most bodies
    // are one chunk.
    let count = separators(body_bytes, chunk_bytes);
    let (basic, basic_bytes) = basic_header(3, header.chunk_stream);
    let separator = [&basic[..basic_bytes], extended].concat();
    let end = start + body_bytes;
    out.resize(end + count * separator.len(), 0);
    for n in (1..=count).rev() {
        let from = start + n * chunk_bytes;
        let to = from + n * separator.len();
        out.copy_within(from..end.min(from + chunk_bytes), to);
        out[to - separator.len()..to].copy_from_slice(&separator);
    }
}

/// Chunks besides the first.
const fn separators(body_bytes: usize, chunk_bytes: usize) -> usize {
    body_bytes.saturating_sub(1) / chunk_bytes
}

/// The header and its length.
fn basic_header(fmt: u8, chunk_stream: u32) -> ([u8; 3], usize) {
    let fmt = fmt << 6;
    match chunk_stream {
        0..64 => ([fmt | chunk_stream as u8, 0, 0], 1),
        64..320 => ([fmt, (chunk_stream - 64) as u8, 0], 2),
        _ => {
            let [low, high, ..] = (chunk_stream - 64).to_le_bytes();
            ([fmt | 1, low, high], 3)
        }
    }
}

//! Writing boxes whose sizes are known only once their content is written.

use bytes::{BufMut, BytesMut};

/// Appends a box: `content` writes what is inside.
pub fn write_box(out: &mut BytesMut, kind: [u8; 4], content: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(&kind);
    content(out);
    let size = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// A box with version and flags (24 bits) before its content.
pub fn write_full_box(
    out: &mut BytesMut,
    kind: [u8; 4],
    version: u8,
    flags: u32,
    content: impl FnOnce(&mut BytesMut),
) {
    write_box(out, kind, |out| {
        out.put_u32(u32::from(version) << 24 | flags);
        content(out);
    });
}

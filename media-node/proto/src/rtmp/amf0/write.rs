//! Values into bytes.

use super::{Properties, Value};
use bytes::{BufMut, BytesMut};

impl Value {
    /// Appends the value. Strings become long ones where they must.
    pub fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Number(number) => {
                out.put_u8(0);
                out.put_f64(*number);
            }
            Self::Boolean(value) => out.put_slice(&[1, u8::from(*value)]),
            Self::String(text) => {
                if text.len() > usize::from(u16::MAX) {
                    out.put_u8(12);
                    put_long_text(text, out);
                } else {
                    out.put_u8(2);
                    put_short_text(text, out);
                }
            }
            Self::Object(properties) => {
                out.put_u8(3);
                put_properties(properties, out);
            }
            Self::Null => out.put_u8(5),
            Self::Undefined => out.put_u8(6),
            Self::Reference(index) => {
                out.put_u8(7);
                out.put_u16(*index);
            }
            Self::EcmaArray(properties) => {
                out.put_u8(8);
                out.put_u32(properties.len() as u32);
                put_properties(properties, out);
            }
            Self::StrictArray(values) => {
                out.put_u8(10);
                out.put_u32(values.len() as u32);
                for value in values {
                    value.write(out);
                }
            }
            Self::Date { ms, time_zone } => {
                out.put_u8(11);
                out.put_f64(*ms);
                out.put_i16(*time_zone);
            }
            Self::Unsupported => out.put_u8(13),
            Self::Xml(text) => {
                out.put_u8(15);
                put_long_text(text, out);
            }
            Self::TypedObject { class, properties } => {
                out.put_u8(16);
                put_short_text(class, out);
                put_properties(properties, out);
            }
        }
    }
}

fn put_properties(properties: &Properties, out: &mut BytesMut) {
    for (name, value) in properties {
        put_short_text(name, out);
        value.write(out);
    }
    out.put_slice(&[0, 0, 9]);
}

/// Names and classes that were read fit, and ours are short; a longer one would lose its end.
fn put_short_text(text: &str, out: &mut BytesMut) {
    let end = text.floor_char_boundary(usize::from(u16::MAX));
    out.put_u16(end as u16);
    out.put_slice(&text.as_bytes()[..end]);
}

fn put_long_text(text: &str, out: &mut BytesMut) {
    out.put_u32(text.len() as u32);
    out.put_slice(text.as_bytes());
}

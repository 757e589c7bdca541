//! Bytes into values.

use super::{Error, MAX_BYTES, MAX_DEPTH, MAX_VALUES, Properties, Value};

const OBJECT_END: u8 = 9;

/// All values of a message.
pub fn parse(data: &[u8]) -> Result<Vec<Value>, Error> {
    if data.len() > MAX_BYTES {
        return Err(Error::TooLong { bytes: data.len() });
    }
    let mut parser = Parser {
        data,
        at: 0,
        values: 0,
    };
    let mut values = Vec::new();
    while parser.at < data.len() {
        values.push(parser.value(0)?);
    }
    Ok(values)
}

struct Parser<'a> {
    data: &'a [u8],
    at: usize,
    /// How many have begun.
    values: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        let offset = self.at;
        let marker = self.array::<1>()?[0];
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(Error::TooMany { offset });
        }
        if depth >= MAX_DEPTH {
            return Err(Error::TooDeep { offset });
        }
        Ok(match marker {
            0 => Value::Number(f64::from_be_bytes(self.array()?)),
            1 => Value::Boolean(self.array::<1>()?[0] != 0),
            2 => Value::String(self.short_text()?),
            3 => Value::Object(self.properties(depth)?),
            5 => Value::Null,
            6 => Value::Undefined,
            7 => Value::Reference(u16::from_be_bytes(self.array()?)),
            8 => {
                // The count is a hint, and wrong or 0 in practice.
                self.array::<4>()?;
                Value::EcmaArray(self.properties(depth)?)
            }
            10 => {
                let count = u32::from_be_bytes(self.array()?);
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(depth + 1)?);
                }
                Value::StrictArray(values)
            }
            11 => Value::Date {
                ms: f64::from_be_bytes(self.array()?),
                time_zone: i16::from_be_bytes(self.array()?),
            },
            12 => Value::String(self.long_text()?),
            13 => Value::Unsupported,
            15 => Value::Xml(self.long_text()?),
            16 => Value::TypedObject {
                class: self.short_text()?,
                properties: self.properties(depth)?,
            },
            17 => return Err(Error::Amf3 { offset }),
            _ => return Err(Error::Marker { offset, marker }),
        })
    }

    /// Up to the end marker behind an empty name. An empty name with a value is a property.
    fn properties(&mut self, depth: usize) -> Result<Properties, Error> {
        let mut properties = Properties::new();
        loop {
            let name = self.short_text()?;
            if name.is_empty() && self.data.get(self.at) == Some(&OBJECT_END) {
                self.at += 1;
                return Ok(properties);
            }
            properties.push((name, self.value(depth + 1)?));
        }
    }

    fn short_text(&mut self) -> Result<String, Error> {
        let length = u16::from_be_bytes(self.array()?);
        self.text(usize::from(length))
    }

    fn long_text(&mut self) -> Result<String, Error> {
        let length = u32::from_be_bytes(self.array()?);
        self.text(length as usize)
    }

    /// Where it is not UTF-8, something stands in: titles in local encodings are common in metadata.
    fn text(&mut self, length: usize) -> Result<String, Error> {
        let bytes = self.take(length)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let rest = &self.data[self.at..];
        let taken = rest.get(..length).ok_or(Error::Truncated { offset: self.at })?;
        self.at += length;
        Ok(taken)
    }
}

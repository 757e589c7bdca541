//! Reading whole bytes out of configuration records, slicing without copying.

use super::Error;
use bytes::Bytes;

pub(super) struct Reader<'a> {
    what: &'static str,
    data: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(what: &'static str, data: &'a Bytes) -> Self {
        Self { what, data, at: 0 }
    }

    pub(super) fn out_of_range(&self, field: &'static str, value: impl Into<u64>) -> Error {
        Error::OutOfRange {
            what: self.what,
            field,
            value: value.into(),
        }
    }

    pub(super) fn skip(&mut self, bytes: usize) -> Result<(), Error> {
        self.take(bytes).map(drop)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<Bytes, Error> {
        if self.data.len() - self.at < bytes {
            return Err(Error::Truncated {
                what: self.what,
                bit: self.data.len() * 8,
            });
        }
        let taken = self.data.slice(self.at..self.at + bytes);
        self.at += bytes;
        Ok(taken)
    }
}

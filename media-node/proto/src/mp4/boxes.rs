//! The box structure (ISO/IEC 14496-12 section 4.2), and reading fields without panics.

use super::{Error, FourCc};
use bytes::Bytes;

/// A box's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: FourCc,
    /// 8, or 16 where the size takes 64 bits.
    pub(crate) bytes: u64,
    /// Header included; none for a box that goes on to the end.
    pub(crate) size: Option<u64>,
}

impl Header {
    pub(crate) const MAX_BYTES: usize = 16;

    /// None when `data` is shorter than the header.
    pub(crate) fn parse(data: &[u8]) -> Result<Option<Self>, Error> {
        let Some((head, rest)) = data.split_first_chunk::<8>() else {
            return Ok(None);
        };
        let [s0, s1, s2, s3, kind @ ..] = *head;
        let kind = FourCc(kind);
        let (bytes, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            0 => (8, None),
            1 => match rest.first_chunk::<8>() {
                Some(size) => (16, Some(u64::from_be_bytes(*size))),
                None => return Ok(None),
            },
            size => (8, Some(u64::from(size))),
        };
        match size {
            Some(value) if value < bytes => Err(Error::OutOfRange {
                kind,
                field: "size",
                value,
            }),
            size => Ok(Some(Self { kind, bytes, size })),
        }
    }
}

/// The boxes inside `payload`, which is that of a box of type `parent`.
pub(crate) fn children(
    parent: FourCc,
    payload: &Bytes,
) -> impl Iterator<Item = Result<(FourCc, Bytes), Error>> {
    let mut rest = payload.clone();
    std::iter::from_fn(move || {
        // Some writers end a container with four zero bytes.
        if rest.len() < 8 {
            return None;
        }
        let found = first_box(parent, &mut rest);
        if found.is_err() {
            rest.clear();
        }
        Some(found)
    })
}

/// Takes the first box off `rest`.
fn first_box(parent: FourCc, rest: &mut Bytes) -> Result<(FourCc, Bytes), Error> {
    let header = Header::parse(rest)?.ok_or(Error::Truncated(parent))?;
    match usize::try_from(header.size.unwrap_or(rest.len() as u64)) {
        Ok(size) if size <= rest.len() => {
            let whole = rest.split_to(size);
            Ok((header.kind, whole.slice(header.bytes as usize..)))
        }
        _ => Err(Error::Truncated(header.kind)),
    }
}

/// The first child of a kind.
pub(crate) fn child(parent: FourCc, payload: &Bytes, kind: [u8; 4]) -> Result<Option<Bytes>, Error> {
    for found in children(parent, payload) {
        let (found, payload) = found?;
        if found.0 == kind {
            return Ok(Some(payload));
        }
    }
    Ok(None)
}

/// The first child of a kind that must be there.
pub(crate) fn required(parent: FourCc, payload: &Bytes, kind: [u8; 4]) -> Result<Bytes, Error> {
    child(parent, payload, kind)?.ok_or(Error::Missing(FourCc(kind)))
}

/// Reads fields of a box in order.
pub(crate) struct Fields {
    kind: FourCc,
    data: Bytes,
}

impl Fields {
    pub(crate) fn new(kind: [u8; 4], data: Bytes) -> Self {
        Self {
            kind: FourCc(kind),
            data,
        }
    }

    /// Of a full box: the fields behind version and flags, and the version.
    pub(crate) fn full(kind: [u8; 4], data: Bytes) -> Result<(Self, u8), Error> {
        let mut fields = Self::new(kind, data);
        let [version, ..] = fields.array::<4>()?;
        Ok((fields, version))
    }

    pub(crate) fn rest(self) -> Bytes {
        self.data
    }

    pub(crate) fn skip(&mut self, bytes: usize) -> Result<(), Error> {
        self.take(bytes).map(drop)
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Result<Bytes, Error> {
        if self.data.len() < bytes {
            return Err(Error::Truncated(self.kind));
        }
        Ok(self.data.split_to(bytes))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let array = self
            .data
            .first_chunk::<N>()
            .copied()
            .ok_or(Error::Truncated(self.kind))?;
        self.skip(N)?;
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn out_of_range(&self, field: &'static str, value: impl Into<u64>) -> Error {
        Error::OutOfRange {
            kind: self.kind,
            field,
            value: value.into(),
        }
    }

    /// `entry_count`, then as many entries of `entry_bytes` each: the entries' bytes.
    pub(crate) fn table(&mut self, entry_bytes: usize) -> Result<Bytes, Error> {
        let count = self.u32()? as usize;
        // No allocation: a count that lies finds no bytes.
        count
            .checked_mul(entry_bytes)
            .ok_or(Error::Truncated(self.kind))
            .and_then(|bytes| self.take(bytes))
    }
}

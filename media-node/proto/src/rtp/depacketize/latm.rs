//! The older payload format of AAC (RFC 6416 section 6), which GStreamer prefers when it publishes.
//!
//! ```text
//! element = length: (0xff)* and a last byte below 0xff, their sum | that many bytes: one frame
//! packet  = element ...    or a fragment of one; the marker ends it
//! ```
//!
//! The configuration is in the description, so that elements hold nothing else.

use super::aac::{assembled, duration};
use super::{Assembled, Fault};
use crate::media::codec::aac::Parameters;
use bytes::{Buf, Bytes, BytesMut};

/// Bytes of an element that is put together from fragments; more than eight channels need.
const MAX_ELEMENT: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Latm {
    duration: i64,
    /// The packets since the last marker.
    fragments: BytesMut,
    timestamp: i64,
    /// Skip to behind the next marker: something in front of it is missing.
    skip: bool,
    damaged_count: u32,
}

impl Latm {
    pub(super) fn new(parameters: &Parameters, clock_rate: u32) -> Self {
        Self {
            duration: duration(parameters, clock_rate),
            fragments: BytesMut::new(),
            timestamp: 0,
            skip: false,
            damaged_count: 0,
        }
    }

    /// Access units left out since the last call.
    pub(super) const fn take_damaged(&mut self) -> u32 {
        std::mem::replace(&mut self.damaged_count, 0)
    }

    /// Packets are missing in front of the next one.
    pub(super) fn lose(&mut self) {
        // Behind a marker, the next packet may well begin an element; its length will tell.
        if !self.fragments.is_empty() {
            self.fragments.clear();
            self.skip = true;
        }
    }

    pub(super) fn push(
        &mut self,
        timestamp: i64,
        marker: bool,
        payload: &Bytes,
        out: &mut Vec<Assembled>,
    ) -> Result<(), Fault> {
        if self.skip {
            if marker {
                self.skip = false;
                self.damaged_count += 1;
            }
            return Ok(());
        }
        if self.fragments.is_empty() {
            self.timestamp = timestamp;
            if marker {
                return self.elements(payload.clone(), out);
            }
        }
        if self.fragments.len() + payload.len() > MAX_ELEMENT {
            self.lose();
            return Err(Fault::Malformed("fragments without an end"));
        }
        self.fragments.extend_from_slice(payload);
        if marker {
            let whole = self.fragments.split().freeze();
            return self.elements(whole, out);
        }
        Ok(())
    }

    fn elements(&mut self, mut data: Bytes, out: &mut Vec<Assembled>) -> Result<(), Fault> {
        let mut at = self.timestamp;
        while !data.is_empty() {
            let mut length = 0;
            loop {
                if data.is_empty() {
                    self.damaged_count += 1;
                    return Err(Fault::Malformed("element ends in its length"));
                }
                let byte = data.get_u8();
                length += usize::from(byte);
                if byte != 0xff {
                    break;
                }
            }
            if length > data.len() {
                self.damaged_count += 1;
                return Err(Fault::Malformed("element is longer than its packets"));
            }
            if length > 0 {
                out.push(assembled(at, data.split_to(length)));
            }
            at = at.saturating_add(self.duration);
        }
        Ok(())
    }
}

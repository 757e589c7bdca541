//! What a form of a stream is to the hub: something that turns access units into bytes.

use bytes::{Bytes, BytesMut};
use weir_proto::media::{AccessUnit, Tracks};

/// Which form: viewers with equal keys get the same bytes. `layout` tells apart variants of one
/// form, such as interleaved channel numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FormKey {
    pub name: &'static str,
    pub layout: u64,
}

/// Packages a stream. One value lives per stream and key, while anybody watches in that form. What
/// it appends counts only up to its last [`Packed::cut`].
pub trait Form: Send {
    /// What a viewer gets before its first access unit, such as a file header.
    fn start(&mut self, tracks: &Tracks, out: &mut Packed);

    /// One access unit; appends nothing if the form leaves its track out.
    fn unit(&mut self, tracks: &Tracks, unit: &AccessUnit, out: &mut Packed);

    /// The parameter sets have changed; what viewers that go on must be told.
    fn tracks_changed(&mut self, tracks: &Tracks, out: &mut Packed);

    /// Whether a viewer that is too slow may miss pieces; otherwise its viewing ends.
    fn may_skip(&self) -> bool {
        true
    }

    /// The stream has ended; what properly closes the form, such as a last chunk.
    fn end(&mut self, _out: &mut Packed) {}
}

/// Where a form writes: bytes, and where the pieces that must not be torn apart begin and end.
#[derive(Default)]
pub struct Packed {
    pub buffer: BytesMut,
    /// Ends of datagrams in `buffer`, for forms that travel in datagrams; otherwise empty.
    pub ends: Vec<u32>,
    pieces: Vec<Cut>,
    piece_start: usize,
    piece_first_end: usize,
}

struct Cut {
    end: usize,
    ends: std::ops::Range<usize>,
    channel: u8,
    keyframe: bool,
}

impl Packed {
    /// Ends a piece: all that was appended since the last. `channel` is the form's own mark (for
    /// RTP, which port). Does nothing if nothing was appended.
    pub fn cut(&mut self, channel: u8, keyframe: bool) {
        if self.buffer.len() > self.piece_start {
            self.pieces.push(Cut {
                end: self.buffer.len(),
                ends: self.piece_first_end..self.ends.len(),
                channel,
                keyframe,
            });
            self.piece_start = self.buffer.len();
            self.piece_first_end = self.ends.len();
        }
    }

    /// Takes all pieces, and the bytes of all of them in one.
    pub(super) fn take(&mut self) -> (Bytes, Vec<Piece>) {
        let round = self.buffer.split().freeze();
        let mut start = 0;
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for cut in self.pieces.drain(..) {
            let ends = self.ends[cut.ends].iter().map(|e| e - start as u32).collect();
            let bytes = round.slice(start..cut.end);
            pieces.push(Piece {
                bytes,
                ends,
                channel: cut.channel,
                keyframe: cut.keyframe,
                whole: true,
            });
            start = cut.end;
        }
        self.ends.clear();
        self.piece_start = 0;
        self.piece_first_end = 0;
        (round.slice(..start), pieces)
    }
}

/// Packaged bytes that go out whole or not at all. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Piece {
    pub bytes: Bytes,
    /// Ends of the datagrams in `bytes`; empty if the form does not travel in datagrams.
    pub ends: Box<[u32]>,
    pub channel: u8,
    /// A viewer can start here.
    pub keyframe: bool,
    /// False for what is left of a piece that has gone out in part, and for replies: these must go out.
    pub whole: bool,
}

impl Piece {
    /// What goes between two pieces of the stream to one viewer alone.
    pub(super) fn reply(bytes: Bytes) -> Self {
        Self {
            bytes,
            ends: Box::default(),
            channel: 0,
            keyframe: false,
            whole: false,
        }
    }

    /// What is left of it without its first `taken` bytes, which end with a datagram if it has any.
    pub(super) fn without(&self, taken: usize) -> Self {
        let ends = self.ends.iter().filter(|&&end| end as usize > taken);
        Self {
            bytes: self.bytes.slice(taken..),
            ends: ends.map(|end| end - taken as u32).collect(),
            channel: self.channel,
            keyframe: self.keyframe && taken == 0,
            whole: self.whole && taken == 0,
        }
    }
}

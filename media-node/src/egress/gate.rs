//! Viewers that pause on a connection that stays.

use crate::hub::{Piece, Sink};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

/// Whether access units go out: open at first. Opened after it was closed, it lets them pass from the
/// next keyframe on, because the pictures until then need some of what was dropped.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<AtomicU8>);

const OPEN: u8 = 0;
const CLOSED: u8 = 1;
const EXPECT_KEYFRAME: u8 = 2;

impl Gate {
    pub fn close(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }

    pub fn open(&self) {
        self.change(CLOSED, EXPECT_KEYFRAME);
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) == OPEN
    }

    fn lets_pass(&self, piece: &Piece) -> bool {
        if piece.keyframe {
            // Closed again at this very moment: then one keyframe too many goes out.
            self.change(EXPECT_KEYFRAME, OPEN);
        }
        self.is_open()
    }

    fn change(&self, from: u8, to: u8) {
        let _ = self
            .0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// A way out behind a gate. What it drops counts as taken.
pub(super) struct GatedSink<S> {
    pub(super) inner: S,
    pub(super) gate: Gate,
    /// What the viewer can do without while it pauses.
    pub(super) may_miss: fn(&Piece) -> bool,
}

impl<S: Sink> Sink for GatedSink<S> {
    fn try_write(&self, round: &[u8], pieces: &[Piece]) -> io::Result<usize> {
        if self.gate.is_open() {
            return self.inner.try_write(round, pieces);
        }
        let mut taken = 0;
        for piece in pieces {
            // The rest of a piece that was cut must not be missing in the middle of a message, and a reply is
            // no packet: both are not whole.
            if piece.whole && (self.may_miss)(piece) && !self.gate.lets_pass(piece) {
                taken += piece.bytes.len();
                continue;
            }
            match self.inner.try_write(&piece.bytes, std::slice::from_ref(piece)) {
                Ok(written) => {
                    taken += written;
                    if written < piece.bytes.len() {
                        break;
                    }
                }
                // What remains comes again: as a piece, or as the rest of one.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && taken > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_writable(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use parking_lot::Mutex;

    /// Takes so many bytes, and remembers them.
    #[derive(Default)]
    struct Room(Mutex<(usize, Vec<u8>)>);

    impl Sink for &Room {
        fn try_write(&self, round: &[u8], _: &[Piece]) -> io::Result<usize> {
            let (room, seen) = &mut *self.0.lock();
            let taken = round.len().min(*room);
            if taken == 0 && !round.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            *room -= taken;
            seen.extend_from_slice(&round[..taken]);
            Ok(taken)
        }

        fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Pieces of four bytes, and all of them in one; capitals begin at a keyframe.
    fn pieces(names: &str) -> (Bytes, Vec<Piece>) {
        let piece = |name: u8| Piece {
            bytes: vec![name; 4].into(),
            ends: Box::default(),
            channel: 0,
            keyframe: name.is_ascii_uppercase(),
            whole: true,
        };
        let pieces: Vec<_> = names.bytes().map(piece).collect();
        let round = names.bytes().flat_map(|name| [name; 4]).collect();
        (round, pieces)
    }

    /// A gate behind which digits are more than access units.
    fn sink(room: &Room) -> GatedSink<&Room> {
        GatedSink {
            inner: room,
            gate: Gate::default(),
            may_miss: |piece| !piece.bytes[0].is_ascii_digit(),
        }
    }

    fn write(sink: &GatedSink<&Room>, names: &str) -> io::Result<usize> {
        let (round, pieces) = pieces(names);
        sink.try_write(&round, &pieces)
    }

    #[test]
    fn packets_are_dropped_until_a_keyframe_after_the_pause() {
        let room = Room(Mutex::new((1000, Vec::new())));
        let sink = sink(&room);
        let seen = || String::from_utf8(std::mem::take(&mut room.0.lock().1)).unwrap();
        sink.gate.open();
        assert_eq!(write(&sink, "ab").unwrap(), 8);
        assert_eq!(seen(), "aaaabbbb", "opening an open gate changes nothing");
        sink.gate.close();
        assert_eq!(write(&sink, "cDe").unwrap(), 12);
        assert_eq!(seen(), "");
        sink.gate.open();
        assert_eq!(write(&sink, "fg").unwrap(), 8);
        assert_eq!(seen(), "");
        assert_eq!(write(&sink, "hIj").unwrap(), 12);
        assert_eq!(seen(), "IIIIjjjj");
        assert_eq!(write(&sink, "k").unwrap(), 4);
        assert_eq!(seen(), "kkkk");
    }

    #[test]
    fn what_was_begun_is_finished_and_replies_pass() {
        let room = Room(Mutex::new((6, Vec::new())));
        let sink = sink(&room);
        assert_eq!(write(&sink, "ab").unwrap(), 6);
        sink.gate.close();
        room.0.lock().0 = 100;
        for rest in ["bb", "pong"] {
            let piece = Piece {
                bytes: rest.into(),
                whole: false,
                ..pieces("b").1.remove(0)
            };
            let taken = sink.try_write(rest.as_bytes(), &[piece]).unwrap();
            assert_eq!(taken, rest.len());
        }
        assert_eq!(write(&sink, "c").unwrap(), 4);
        assert_eq!(room.0.lock().1, b"aaaabbbbpong");
    }

    #[test]
    fn a_full_socket_at_the_keyframe_loses_none_of_it() {
        let room = Room(Mutex::new((0, Vec::new())));
        let sink = sink(&room);
        sink.gate.close();
        sink.gate.open();
        assert_eq!(write(&sink, "aB").unwrap(), 4, "what was dropped counts as taken");
        assert_eq!(write(&sink, "B").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        room.0.lock().0 = 100;
        assert_eq!(write(&sink, "B").unwrap(), 4);
        assert_eq!(room.0.lock().1, b"BBBB");
    }

    #[test]
    fn what_must_not_be_missing_passes() {
        let room = Room(Mutex::new((1000, Vec::new())));
        let sink = sink(&room);
        sink.gate.close();
        assert_eq!(write(&sink, "a1Bc2").unwrap(), 20);
        sink.gate.open();
        assert_eq!(write(&sink, "d3Ef").unwrap(), 16);
        assert_eq!(room.0.lock().1, b"111122223333EEEEffff");
    }
}

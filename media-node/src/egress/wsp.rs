//! WSP playback: packets go to the data socket, and may pause (ipchub contract, 7.1).
//!
//! The conversation on the control socket, and how a data socket is found, are `listen::wsp`'s.

use super::form::rtp::Layout;
use super::rtsp::{channels, watch};
use crate::hub::{Piece, Seat, Sink, Stream, TcpSink, Visitor};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use weir_proto::rtsp::server::Setup;

/// Seats a viewer whose packets go to `data` while the gate is open. None when viewers of this stream have
/// chosen too many different channels already.
pub fn seat(stream: &Arc<Stream>, setups: &[Setup], data: &Arc<TcpStream>, gate: &Gate) -> Option<Seat> {
    let sink = GatedSink {
        inner: TcpSink::new(data.clone()),
        gate: gate.clone(),
    };
    let visitor = Visitor {
        protocol: "wsp",
        detail: String::new(),
    };
    let layout = Layout::WebSocket(channels(setups));
    stream
        .has_room_for(layout.key())
        .then(|| watch(stream, layout, Box::new(sink), visitor))
}

/// Whether packets go out: open at first. Opened after it was closed, it lets them pass from the
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
        let _ = self
            .0
            .compare_exchange(CLOSED, EXPECT_KEYFRAME, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Leading bytes of the pieces that are dropped.
    fn dropped(&self, pieces: &[Piece]) -> usize {
        let lengths = |pieces: &[Piece]| pieces.iter().map(|piece| piece.bytes.len()).sum();
        match self.0.load(Ordering::Acquire) {
            OPEN => 0,
            EXPECT_KEYFRAME => match pieces.iter().position(|piece| piece.keyframe) {
                Some(keyframe) => {
                    // Closed again at this very moment: then one keyframe too many goes out.
                    let _ =
                        self.0
                            .compare_exchange(EXPECT_KEYFRAME, OPEN, Ordering::AcqRel, Ordering::Acquire);
                    lengths(&pieces[..keyframe])
                }
                None => lengths(pieces),
            },
            _ => lengths(pieces),
        }
    }
}

/// A TCP connection behind a gate.
struct GatedSink<S = TcpSink> {
    inner: S,
    gate: Gate,
}

impl<S: Sink> Sink for GatedSink<S> {
    fn try_write(&self, round: &[u8], pieces: &[Piece]) -> io::Result<usize> {
        // The rest of a piece that was cut must not be missing in the middle of a message, and a reply is
        // no packet.
        if pieces.iter().any(|piece| !piece.whole) {
            return self.inner.try_write(round, pieces);
        }
        match self.gate.dropped(pieces) {
            0 => self.inner.try_write(round, pieces),
            all if all == round.len() => Ok(all),
            // What remains comes again: as a piece, or as the rest of one.
            some => match self.inner.try_write(&round[some..], &[]) {
                Ok(taken) => Ok(some + taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(some),
                Err(error) => Err(error),
            },
        }
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

    fn write(sink: &GatedSink<&Room>, names: &str) -> io::Result<usize> {
        let (round, pieces) = pieces(names);
        sink.try_write(&round, &pieces)
    }

    #[test]
    fn packets_are_dropped_until_a_keyframe_after_the_pause() {
        let room = Room(Mutex::new((1000, Vec::new())));
        let sink = GatedSink {
            inner: &room,
            gate: Gate::default(),
        };
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
        let sink = GatedSink {
            inner: &room,
            gate: Gate::default(),
        };
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
        let sink = GatedSink {
            inner: &room,
            gate: Gate::default(),
        };
        sink.gate.close();
        sink.gate.open();
        assert_eq!(write(&sink, "aB").unwrap(), 4, "what was dropped counts as taken");
        assert_eq!(write(&sink, "B").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        room.0.lock().0 = 100;
        assert_eq!(write(&sink, "B").unwrap(), 4);
        assert_eq!(room.0.lock().1, b"BBBB");
    }
}

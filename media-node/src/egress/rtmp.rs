//! RTMP playback: seats a viewer, who may pause.
//!
//! The conversation itself is `listen::rtmp`'s, because the same connection may publish instead.

use super::form::rtmp::{KEY, MEDIA, RtmpForm};
use crate::hub::{Form, Piece, Seat, Sink, Stream, TcpSink, Visitor};
use parking_lot::Mutex;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// Whether the stream has anything for an RTMP viewer.
pub fn carries_any(stream: &Stream) -> bool {
    RtmpForm::carries_any(&stream.tracks())
}

/// Seats a viewer. Its session must have been told already that the stream plays.
pub fn seat(stream: &Arc<Stream>, socket: &Arc<TcpStream>, peer: SocketAddr) -> (Seat, Pause) {
    let pause = Pause::default();
    let sink = Pausable {
        sink: TcpSink::new(socket.clone()),
        pause: pause.clone(),
    };
    let tracks = stream.tracks();
    let form = || Box::new(RtmpForm::new(&tracks)) as Box<dyn Form>;
    let visitor = Visitor {
        protocol: "rtmp",
        detail: peer.to_string(),
    };
    (stream.watch(KEY, form, Box::new(sink), visitor), pause)
}

/// Whether a viewer wants media now.
#[derive(Clone, Default)]
pub struct Pause(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    paused: bool,
    /// Access units are left out: the viewer pauses, or has gone on and waits for a keyframe.
    silent: bool,
    /// The viewer has got a part of a piece, and must get the rest.
    inside: bool,
}

impl Pause {
    /// From the next piece on, or from the next keyframe on when it is over.
    pub fn set(&self, paused: bool) {
        let mut state = self.0.lock();
        state.paused = paused;
        state.silent |= paused;
    }
}

/// Leaves access units out while the viewer pauses. They count as sent.
struct Pausable<S> {
    sink: S,
    pause: Pause,
}

impl<S: Sink> Sink for Pausable<S> {
    fn try_write(&self, round: &[u8], pieces: &[Piece]) -> io::Result<usize> {
        let mut state = self.pause.0.lock();
        if !state.silent {
            let taken = self.sink.try_write(round, pieces)?;
            state.inside = !is_between(pieces, taken);
            return Ok(taken);
        }
        let mut taken = 0;
        for piece in pieces {
            if state.silent && !state.inside && piece.channel == MEDIA {
                if state.paused || !piece.keyframe {
                    taken += piece.bytes.len();
                    continue;
                }
                state.silent = false;
            }
            match self.sink.try_write(&piece.bytes, std::slice::from_ref(piece)) {
                Ok(written) => {
                    taken += written;
                    state.inside = written < piece.bytes.len();
                    if state.inside {
                        break;
                    }
                }
                Err(_) if taken > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sink.poll_writable(cx)
    }
}

/// Whether the first `taken` bytes end with a piece.
fn is_between(pieces: &[Piece], mut taken: usize) -> bool {
    for piece in pieces {
        if taken < piece.bytes.len() {
            return taken == 0;
        }
        taken -= piece.bytes.len();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// Takes as many bytes as it has room for.
    #[derive(Default)]
    struct Tub(Mutex<(Vec<u8>, usize)>);

    impl Sink for Tub {
        fn try_write(&self, round: &[u8], _: &[Piece]) -> io::Result<usize> {
            let (got, room) = &mut *self.0.lock();
            let taken = round.len().min(*room);
            if taken == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            *room -= taken;
            got.extend_from_slice(&round[..taken]);
            Ok(taken)
        }

        fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Pieces by their text: a capital is a keyframe, a lower-case letter another access unit, and digits
    /// are not media.
    fn write(sink: &Pausable<Tub>, texts: &[&'static str]) -> Option<usize> {
        let pieces: Vec<Piece> = texts
            .iter()
            .map(|text| Piece {
                bytes: Bytes::from_static(text.as_bytes()),
                ends: Box::default(),
                channel: if text.as_bytes()[0].is_ascii_digit() {
                    0
                } else {
                    MEDIA
                },
                keyframe: text.as_bytes()[0].is_ascii_uppercase(),
                whole: true,
            })
            .collect();
        sink.try_write(texts.concat().as_bytes(), &pieces).ok()
    }

    fn got(sink: &Pausable<Tub>) -> String {
        String::from_utf8(std::mem::take(&mut sink.sink.0.lock().0)).expect("text")
    }

    fn sink(room: usize) -> Pausable<Tub> {
        let sink = Tub::default();
        sink.0.lock().1 = room;
        Pausable {
            sink,
            pause: Pause::default(),
        }
    }

    #[test]
    fn who_pauses_gets_all_but_access_units_and_goes_on_at_a_keyframe() {
        let sink = sink(1000);
        assert_eq!(write(&sink, &["00", "Aa", "bb"]), Some(6));
        sink.pause.set(true);
        assert_eq!(write(&sink, &["cc", "11", "Dd", "ee"]), Some(8));
        assert_eq!(got(&sink), "00Aabb11");
        sink.pause.set(false);
        assert_eq!(write(&sink, &["ff", "22", "gg"]), Some(6));
        assert_eq!(write(&sink, &["hh", "Ii", "jj", "33"]), Some(8));
        assert_eq!(write(&sink, &["kk"]), Some(2));
        assert_eq!(got(&sink), "22Iijj33kk");
    }

    #[test]
    fn a_piece_that_was_begun_is_finished() {
        let sink = sink(3);
        assert_eq!(write(&sink, &["Aaaa", "bbbb"]), Some(3));
        sink.pause.set(true);
        assert_eq!(write(&sink, &["a"]), None, "no room");
        sink.sink.0.lock().1 = 3;
        assert_eq!(write(&sink, &["a"]), Some(1));
        assert_eq!(
            write(&sink, &["bbbb", "1111", "cccc"]),
            Some(6),
            "the answer is cut"
        );
        sink.pause.set(false);
        sink.sink.0.lock().1 = 100;
        assert_eq!(write(&sink, &["11"]), Some(2));
        assert_eq!(write(&sink, &["dddd", "Eeee"]), Some(8));
        assert_eq!(got(&sink), "Aaaa1111Eeee");
    }
}

//! The handshake (section 5.2), in its simple form.
//!
//! ```text
//! C0, S0    version u8 = 3
//! C1, S1    time u32, version u32 = 0, 1528 random bytes
//! C2, S2    the other's C1 or S1
//!
//! client ---- C0 C1 ----> server
//!        <-- S0 S1 S2 ---
//!        ------ C2 ----->
//! ```
//! Flash Player and what imitates it sign C1, and put their version where the zero should be. They
//! look for a signature in S1 and S2 only if S1 has a version, too; ours has none, and repeats theirs
//! to the letter, so that they are content. Signatures prove nothing: the keys are known to all.

use bytes::{BufMut, Bytes, BytesMut};

/// Random bytes that a side needs.
pub const RANDOM_BYTES: usize = 1528;
const VERSION: u8 = 3;
const PACKET_BYTES: usize = 1536;

/// The peer speaks something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// 6 and 8 are encrypted forms, `G` is an HTTP request, 22 is TLS.
    #[error("byte 0: version {0}, {VERSION} is taken")]
    Version(u8),
}

/// The side that is dialled.
#[derive(Debug)]
pub struct Server {
    state: ServerState,
}

#[derive(Debug)]
enum ServerState {
    ExpectC1 { random: Bytes },
    ExpectC2,
    Done,
}

impl Server {
    /// The random bytes need not be secret.
    pub fn new(random: &[u8; RANDOM_BYTES]) -> Self {
        let random = Bytes::copy_from_slice(random);
        Self {
            state: ServerState::ExpectC1 { random },
        }
    }

    /// Takes its part of `input`, which it leaves there until a packet is whole; true when the
    /// handshake is done, and what follows in `input` are chunks.
    pub fn read(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<bool, Error> {
        if let ServerState::ExpectC1 { random } = &self.state {
            let Some(c1) = versioned_packet(input)? else {
                return Ok(false);
            };
            put_first(random, out);
            out.put_slice(&c1);
            self.state = ServerState::ExpectC2;
        }
        if matches!(self.state, ServerState::ExpectC2) {
            // Not looked at: many clients send something else than our S1.
            if packet(input).is_none() {
                return Ok(false);
            }
            self.state = ServerState::Done;
        }
        Ok(true)
    }
}

/// The side that dials.
#[derive(Debug)]
pub struct Client {
    state: ClientState,
}

#[derive(Debug)]
enum ClientState {
    Start { random: Bytes },
    ExpectS1,
    ExpectS2,
    Done,
}

impl Client {
    /// The random bytes need not be secret.
    pub fn new(random: &[u8; RANDOM_BYTES]) -> Self {
        let random = Bytes::copy_from_slice(random);
        Self {
            state: ClientState::Start { random },
        }
    }

    /// As [`Server::read`]; the first call, which may be without input, begins.
    pub fn read(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<bool, Error> {
        if let ClientState::Start { random } = &self.state {
            put_first(random, out);
            self.state = ClientState::ExpectS1;
        }
        if matches!(self.state, ClientState::ExpectS1) {
            let Some(s1) = versioned_packet(input)? else {
                return Ok(false);
            };
            out.put_slice(&s1);
            self.state = ClientState::ExpectS2;
        }
        if matches!(self.state, ClientState::ExpectS2) {
            if packet(input).is_none() {
                return Ok(false);
            }
            self.state = ClientState::Done;
        }
        Ok(true)
    }
}

/// C0 and C1, or S0 and S1.
fn put_first(random: &[u8], out: &mut BytesMut) {
    out.reserve(1 + 2 * PACKET_BYTES);
    out.put_u8(VERSION);
    out.put_u64(0);
    out.put_slice(random);
}

/// The packet behind the version, once it is whole. A wrong version is noticed at once.
fn versioned_packet(input: &mut BytesMut) -> Result<Option<BytesMut>, Error> {
    match input.first() {
        Some(&VERSION) if input.len() > PACKET_BYTES => {
            let mut found = input.split_to(1 + PACKET_BYTES);
            Ok(Some(found.split_off(1)))
        }
        None | Some(&VERSION) => Ok(None),
        Some(&other) => Err(Error::Version(other)),
    }
}

fn packet(input: &mut BytesMut) -> Option<BytesMut> {
    (input.len() >= PACKET_BYTES).then(|| input.split_to(PACKET_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree_whatever_the_pieces() {
        for piece in [1, 7, 1536, 1537, 5000] {
            let (mut client, mut server) = (Client::new(&[1; RANDOM_BYTES]), Server::new(&[2; RANDOM_BYTES]));
            let (mut to_client, mut to_server) = (BytesMut::new(), BytesMut::new());
            let (mut at_client, mut at_server) = (BytesMut::new(), BytesMut::new());
            let mut done = (false, false);
            for _ in 0..10_000 {
                done.0 = client.read(&mut at_client, &mut to_server).unwrap();
                at_server.unsplit(to_server.split_to(piece.min(to_server.len())));
                done.1 = server.read(&mut at_server, &mut to_client).unwrap();
                at_client.unsplit(to_client.split_to(piece.min(to_client.len())));
                if done == (true, true) {
                    break;
                }
            }
            assert_eq!(done, (true, true), "pieces of {piece}");
            assert!(at_client.is_empty() && at_server.is_empty());
        }
    }

    #[test]
    fn a_signed_c1_is_repeated_and_ours_claims_no_version() {
        let mut c1: Vec<u8> = (0..PACKET_BYTES).map(|i| (i % 251) as u8).collect();
        c1[4..8].copy_from_slice(&[9, 0, 124, 2]);
        let mut input = BytesMut::from(&[&[3][..], &c1].concat()[..]);
        let mut out = BytesMut::new();
        let mut server = Server::new(&[7; RANDOM_BYTES]);
        assert_eq!(server.read(&mut input, &mut out), Ok(false));
        assert_eq!(out.len(), 1 + 2 * PACKET_BYTES);
        assert_eq!(out[..9], [3, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(out[1 + PACKET_BYTES..], c1);
        // Chunks right behind C2 stay.
        input.put_bytes(0xee, PACKET_BYTES);
        input.put_slice(b"chunk");
        assert_eq!(server.read(&mut input, &mut out), Ok(true));
        assert_eq!(input, &b"chunk"[..]);
        assert_eq!(server.read(&mut input, &mut out), Ok(true));
        assert_eq!(input, &b"chunk"[..]);
    }

    #[test]
    fn other_protocols_are_noticed_at_the_first_byte() {
        for first in [6, b'G', 22, 0] {
            let mut out = BytesMut::new();
            let mut server = Server::new(&[0; RANDOM_BYTES]);
            let input = &mut BytesMut::from(&[first][..]);
            assert_eq!(server.read(input, &mut out), Err(Error::Version(first)));
            assert!(out.is_empty());
            let mut client = Client::new(&[0; RANDOM_BYTES]);
            let input = &mut BytesMut::from(&[first][..]);
            assert_eq!(client.read(input, &mut out), Err(Error::Version(first)));
        }
    }
}

//! Puts packets that came by UDP back in order.
//!
//! A packet goes on at once if it is the next; behind a gap it waits until the gap is filled, its
//! time is up, or too many wait. What was skipped is not made up for: the depacketizer sees the gap
//! in the sequence numbers. Time is the caller's, from any start, as in [`super::Timeline`].

use super::Packet;
use std::collections::BTreeMap;
use std::time::Duration;

/// How far behind a packet may be and count as late; further, the sender has started anew.
const MAX_LATE: i64 = 1000;
/// How far ahead a packet may be and count as one behind a gap.
const MAX_AHEAD: i64 = 3000;

/// The waiting packets of one source.
#[derive(Debug)]
pub struct JitterBuffer {
    max_packets: usize,
    max_delay: Duration,
    /// The extended sequence number that goes out next.
    next: Option<i64>,
    waiting: BTreeMap<i64, (Duration, Packet)>,
    /// Where another sender's packets begin; nothing before it is waited for.
    other: Option<i64>,
    late: u64,
}

impl JitterBuffer {
    /// At most `max_packets` wait, none longer than `max_delay`.
    pub const fn new(max_packets: usize, max_delay: Duration) -> Self {
        Self {
            max_packets,
            max_delay,
            next: None,
            waiting: BTreeMap::new(),
            other: None,
            late: 0,
        }
    }

    /// Packets that came twice or after their turn.
    pub const fn late(&self) -> u64 {
        self.late
    }

    /// Takes a packet; then [`Self::pop`] until there is nothing more.
    pub fn push(&mut self, now: Duration, packet: Packet) {
        let sequence_number = packet.header.sequence_number;
        let next = *self.next.get_or_insert(i64::from(sequence_number));
        let distance = i64::from(sequence_number.wrapping_sub(next as u16) as i16);
        if !(-MAX_LATE..MAX_AHEAD).contains(&distance) {
            self.anew(now, packet);
            return;
        }
        if distance < 0 || self.waiting.insert(next + distance, (now, packet)).is_some() {
            self.late += 1;
        }
    }

    /// Takes the first packet of another sender, whose sequence numbers have nothing to do with those before:
    /// what waits goes at once, and then this one.
    pub fn push_other(&mut self, now: Duration, packet: Packet) {
        if self.next.is_some() {
            self.other = Some(self.anew(now, packet));
        } else {
            self.push(now, packet);
        }
    }

    /// Whatever waits is older than this: first it, then the new beginning.
    fn anew(&mut self, now: Duration, packet: Packet) -> i64 {
        let last = self.waiting.last_key_value().map(|(last, _)| last + 1);
        let next = last.or(self.next).unwrap_or_default();
        let anew = (next | 0xffff) + 1 + i64::from(packet.header.sequence_number);
        self.waiting.insert(anew, (now, packet));
        anew
    }

    /// The next packet whose turn it is.
    pub fn pop(&mut self, now: Duration) -> Option<Packet> {
        let entry = self.waiting.first_entry()?;
        let number = *entry.key();
        let is_former = self.other.is_some_and(|other| number <= other);
        let due =
            is_former || Some(number) == self.next || now.saturating_sub(entry.get().0) >= self.max_delay;
        if !due && self.waiting.len() <= self.max_packets {
            return None;
        }
        self.next = Some(number + 1);
        self.waiting.pop_first().map(|(_, (_, packet))| packet)
    }

    /// When [`Self::pop`] has something to give, if nothing more comes until then.
    pub fn deadline(&self) -> Option<Duration> {
        self.waiting
            .first_key_value()
            .map(|(_, (arrival, _))| arrival.saturating_add(self.max_delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::Header;
    use bytes::Bytes;

    const DELAY: Duration = Duration::from_millis(100);

    fn packet(sequence_number: u16) -> Packet {
        let header = Header {
            marker: false,
            payload_type: 96,
            sequence_number,
            timestamp: 0,
            ssrc: 1,
        };
        Packet {
            header,
            payload: Bytes::new(),
        }
    }

    struct Fixture {
        buffer: JitterBuffer,
    }

    impl Fixture {
        fn new(max_packets: usize) -> Self {
            Self {
                buffer: JitterBuffer::new(max_packets, DELAY),
            }
        }

        /// Pushes at a time in ms and pops what is due.
        fn at(&mut self, ms: u64, numbers: &[u16]) -> Vec<u16> {
            let now = Duration::from_millis(ms);
            for number in numbers {
                self.buffer.push(now, packet(*number));
            }
            std::iter::from_fn(|| self.buffer.pop(now))
                .map(|p| p.header.sequence_number)
                .collect()
        }
    }

    #[test]
    fn packets_in_order_do_not_wait() {
        let mut fixture = Fixture::new(10);
        for number in [65_534, 65_535, 0, 1, 2] {
            assert_eq!(fixture.at(0, &[number]), [number]);
        }
        assert_eq!(fixture.buffer.deadline(), None);
    }

    #[test]
    fn a_filled_gap_lets_the_rest_go() {
        let mut fixture = Fixture::new(10);
        assert_eq!(fixture.at(0, &[65_535]), [65_535]);
        assert_eq!(fixture.at(1, &[2, 1]), []);
        assert_eq!(fixture.at(2, &[0]), [0, 1, 2]);
        // Twice, and after its turn.
        assert_eq!(fixture.at(3, &[1, 4, 4, 3]), [3, 4]);
        assert_eq!(fixture.buffer.late(), 2);
    }

    #[test]
    fn a_gap_is_given_up_in_time() {
        let mut fixture = Fixture::new(10);
        fixture.at(0, &[1]);
        assert_eq!(fixture.at(10, &[3]), []);
        assert_eq!(fixture.at(50, &[5]), []);
        assert_eq!(fixture.buffer.deadline(), Some(Duration::from_millis(110)));
        assert_eq!(fixture.at(109, &[]), []);
        assert_eq!(fixture.at(110, &[]), [3]);
        assert_eq!(fixture.at(120, &[2]), []);
        assert_eq!(fixture.at(150, &[]), [5]);
        assert_eq!(fixture.buffer.late(), 1);
    }

    #[test]
    fn no_more_than_the_bound_wait() {
        let mut fixture = Fixture::new(3);
        fixture.at(0, &[1]);
        assert_eq!(fixture.at(0, &[3, 5, 7]), []);
        assert_eq!(fixture.at(0, &[9]), [3]);
        assert!(fixture.buffer.waiting.len() <= 3);
    }

    #[test]
    fn a_sender_that_starts_anew_is_followed() {
        let mut fixture = Fixture::new(10);
        fixture.at(0, &[1, 3]);
        // Far away: what waits goes first, in time.
        assert_eq!(fixture.at(1, &[40_000, 40_001]), []);
        assert_eq!(fixture.at(101, &[]), [3, 40_000, 40_001]);
        assert_eq!(fixture.at(102, &[40_002]), [40_002]);
        assert_eq!(fixture.at(102, &[40_004, 40_003]), [40_003, 40_004]);
    }
}

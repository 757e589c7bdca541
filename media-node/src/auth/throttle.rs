//! Slows down peers that try one password after the other.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Wrong attempts that a peer has free.
const BURST: u32 = 20;
/// How long it takes to get one of them back.
const RECOVERY: Duration = Duration::from_secs(3);
/// Most peers that are remembered.
const PEERS: usize = 4096;

/// Counts wrong attempts per peer, as [`machine_of`] tells them apart.
///
/// An attempt is counted before it is known to be wrong, and given back when it was not, so that many at
/// the same time are no way around the count. A peer's account is the instant at which all its attempts
/// will be free again.
pub(super) struct Throttle {
    peers: Mutex<HashMap<IpAddr, Instant>>,
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self {
            peers: Mutex::new(HashMap::new()),
        }
    }

    /// Whether the peer may try: for work that comes before the attempt itself.
    ///
    /// # Errors
    /// How long it has to wait.
    pub(super) fn check(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let free = self.peers.lock().get(&machine_of(peer)).copied();
        free.and_then(|free| wait(free, now)).map_or(Ok(()), Err)
    }

    /// Counts an attempt as wrong, if the peer may try; [`Self::give_back`] takes that back.
    ///
    /// # Errors
    /// How long it has to wait.
    pub(super) fn count(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let peer = machine_of(peer);
        let mut peers = self.peers.lock();
        if let Some(wait) = peers.get(&peer).and_then(|free| wait(*free, now)) {
            return Err(wait);
        }
        if peers.len() >= PEERS && !peers.contains_key(&peer) {
            peers.retain(|_, free| *free > now);
            if peers.len() >= PEERS {
                // Thousands of peers guess at once. The one that has been wrong least is forgotten.
                let least = peers.iter().min_by_key(|(_, free)| **free).map(|(peer, _)| *peer);
                least.and_then(|least| peers.remove(&least));
            }
        }
        let free = peers.entry(peer).or_insert(now);
        *free = (*free).max(now) + RECOVERY;
        Ok(())
    }

    /// An attempt that was counted was not wrong.
    pub(super) fn give_back(&self, peer: IpAddr) {
        let mut peers = self.peers.lock();
        if let Some(free) = peers.get_mut(&machine_of(peer)) {
            *free = free.checked_sub(RECOVERY).unwrap_or(*free);
        }
    }
}

/// How long a peer has to wait whose attempts will all be free at `free`.
fn wait(free: Instant, now: Instant) -> Option<Duration> {
    let wait = (free + RECOVERY).saturating_duration_since(now + RECOVERY * BURST);
    (!wait.is_zero()).then_some(wait)
}

/// Addresses that are one machine's become one: an IPv6 /64, and the two forms of an IPv4 address.
pub fn machine_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(prefix).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, PEERS, RECOVERY, Throttle};
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    fn peer(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(n).into()
    }

    #[test]
    fn wrong_attempts_run_out_and_come_back() {
        let throttle = Throttle::new();
        let start = Instant::now();
        for _ in 0..BURST {
            assert_eq!(throttle.check(peer(1), start), Ok(()));
            assert_eq!(throttle.count(peer(1), start), Ok(()));
        }
        assert_eq!(throttle.check(peer(1), start), Err(RECOVERY));
        assert_eq!(throttle.count(peer(1), start), Err(RECOVERY));
        assert_eq!(throttle.check(peer(2), start), Ok(()), "others are not concerned");
        // Asking again does not make it longer.
        assert_eq!(
            throttle.count(peer(1), start + Duration::from_secs(1)),
            Err(Duration::from_secs(2))
        );
        let later = start + RECOVERY;
        assert_eq!(throttle.count(peer(1), later), Ok(()));
        assert!(throttle.check(peer(1), later).is_err());
    }

    #[test]
    fn right_attempts_cost_nothing_and_wrong_ones_at_the_same_time_all_count() {
        let throttle = Throttle::new();
        let start = Instant::now();
        for _ in 0..10 * BURST {
            assert_eq!(throttle.count(peer(1), start), Ok(()));
            throttle.give_back(peer(1));
        }
        // None of these has an answer yet.
        let passed = (0..10 * BURST).filter(|_| throttle.count(peer(1), start).is_ok());
        assert_eq!(passed.count(), BURST as usize);
        throttle.give_back(peer(1));
        assert_eq!(throttle.count(peer(1), start), Ok(()));
        assert!(throttle.count(peer(1), start).is_err());
        // One that is forgotten has nothing to get back.
        throttle.give_back(peer(9));
        assert_eq!(throttle.check(peer(9), start), Ok(()));
    }

    #[test]
    fn one_machine_can_not_pose_as_many() {
        let throttle = Throttle::new();
        let start = Instant::now();
        for n in 0..BURST {
            let _ = throttle.count(format!("2001:db8::{n:x}").parse().unwrap(), start);
        }
        assert!(
            throttle
                .check("2001:db8::abcd:1".parse().unwrap(), start)
                .is_err()
        );
        assert!(throttle.check("2001:db8:0:1::1".parse().unwrap(), start).is_ok());
        for form in ["10.0.0.1", "::ffff:10.0.0.1"] {
            for _ in 0..BURST / 2 {
                let _ = throttle.count(form.parse().unwrap(), start);
            }
        }
        assert!(throttle.check("10.0.0.1".parse().unwrap(), start).is_err());
    }

    #[test]
    fn it_remembers_a_bounded_number_of_peers_and_the_worst_longest() {
        let throttle = Throttle::new();
        let start = Instant::now();
        for _ in 0..BURST {
            let _ = throttle.count(peer(0), start);
        }
        for n in 1..2 * PEERS as u32 {
            let _ = throttle.count(peer(n), start);
            assert!(throttle.peers.lock().len() <= PEERS);
        }
        assert!(throttle.check(peer(0), start).is_err());
    }
}

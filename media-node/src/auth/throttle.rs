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

/// Counts wrong attempts per peer: an IPv4 address or an IPv6 /64, which one machine has to itself.
///
/// Attempts are counted once they have turned out wrong, so that many right ones may run at the
/// same time. A peer's account is the instant at which all its attempts will be free again.
pub(super) struct Throttle {
    peers: Mutex<HashMap<IpAddr, Instant>>,
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self {
            peers: Mutex::new(HashMap::new()),
        }
    }

    /// Whether the peer may try.
    ///
    /// # Errors
    /// How long it has to wait.
    pub(super) fn check(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some(free) = self.peers.lock().get(&group(peer)).copied() else {
            return Ok(());
        };
        let wait = (free + RECOVERY).saturating_duration_since(now + RECOVERY * BURST);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// The peer's attempt was wrong.
    pub(super) fn count(&self, peer: IpAddr, now: Instant) {
        let peer = group(peer);
        let mut peers = self.peers.lock();
        if peers.len() >= PEERS && !peers.contains_key(&peer) {
            peers.retain(|_, free| *free > now);
            if peers.len() >= PEERS {
                // Thousands of peers guess at once. The one that has been wrong least is forgotten.
                let least = peers.iter().min_by_key(|(_, free)| **free).map(|(peer, _)| *peer);
                least.and_then(|least| peers.remove(&least));
            }
        }
        let free = peers.entry(peer).or_insert(now);
        *free = ((*free).max(now) + RECOVERY).min(now + RECOVERY * BURST);
    }
}

fn group(peer: IpAddr) -> IpAddr {
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
            throttle.count(peer(1), start);
        }
        assert_eq!(throttle.check(peer(1), start), Err(RECOVERY));
        assert_eq!(throttle.check(peer(2), start), Ok(()), "others are not concerned");
        // Attempts that ran at the same time do not add up to a wait without end.
        throttle.count(peer(1), start);
        assert_eq!(
            throttle.check(peer(1), start + Duration::from_secs(1)),
            Err(Duration::from_secs(2))
        );
        let later = start + RECOVERY;
        assert_eq!(throttle.check(peer(1), later), Ok(()));
        throttle.count(peer(1), later);
        assert!(throttle.check(peer(1), later).is_err());
    }

    #[test]
    fn one_machine_can_not_pose_as_many() {
        let throttle = Throttle::new();
        let start = Instant::now();
        for n in 0..BURST {
            throttle.count(format!("2001:db8::{n:x}").parse().unwrap(), start);
        }
        assert!(
            throttle
                .check("2001:db8::abcd:1".parse().unwrap(), start)
                .is_err()
        );
        assert!(throttle.check("2001:db8:0:1::1".parse().unwrap(), start).is_ok());
        for form in ["10.0.0.1", "::ffff:10.0.0.1"] {
            for _ in 0..BURST / 2 {
                throttle.count(form.parse().unwrap(), start);
            }
        }
        assert!(throttle.check("10.0.0.1".parse().unwrap(), start).is_err());
    }

    #[test]
    fn it_remembers_a_bounded_number_of_peers_and_the_worst_longest() {
        let throttle = Throttle::new();
        let start = Instant::now();
        for _ in 0..BURST {
            throttle.count(peer(0), start);
        }
        for n in 1..2 * PEERS as u32 {
            throttle.count(peer(n), start);
            assert!(throttle.peers.lock().len() <= PEERS);
        }
        assert!(throttle.check(peer(0), start).is_err());
    }
}

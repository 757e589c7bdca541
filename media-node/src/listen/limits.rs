//! How many connections may be open, in all and from one peer.

use crate::auth::machine_of;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Connections that are kept back for probes.
const SPARE: usize = 64;
/// Of these for one peer.
const SPARE_PER_PEER: usize = 16;

/// Bounds shared by all ports of the process.
#[derive(Clone)]
pub struct Limits {
    all: Arc<Bound>,
    spare: Arc<Bound>,
}

struct Bound {
    most: usize,
    most_per_peer: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// By machine; none with 0.
    by_peer: HashMap<IpAddr, usize>,
}

/// A connection's place among those that may be open at once; free again when the last copy is dropped.
#[derive(Clone)]
pub struct Place(#[expect(dead_code, reason = "it is held, and that is all")] Arc<Taking>);

struct Taking {
    bound: Arc<Bound>,
    peer: IpAddr,
}

impl Limits {
    /// Of the connections, one peer may have a quarter unless told otherwise: it can't take them from all
    /// others, and a proxy or a gateway of a network still has room.
    pub fn new(most: usize, most_per_peer: Option<usize>) -> Self {
        Self {
            all: Bound::new(most, most_per_peer.unwrap_or(most.div_ceil(4))),
            spare: Bound::new(SPARE, SPARE_PER_PEER),
        }
    }

    /// A place, unless all are taken, or all that this peer may have.
    pub(super) fn take(&self, peer: IpAddr) -> Option<Place> {
        Bound::take(&self.all, peer)
    }

    /// One of those that are kept back.
    pub(super) fn take_spare(&self, peer: IpAddr) -> Option<Place> {
        Bound::take(&self.spare, peer)
    }
}

impl Bound {
    fn new(most: usize, most_per_peer: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_per_peer,
            taken: Mutex::default(),
        })
    }

    fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let peer = machine_of(peer);
        let mut taken = self.taken.lock();
        let by_peer = taken.by_peer.get(&peer).copied().unwrap_or_default();
        if taken.all >= self.most || by_peer >= self.most_per_peer {
            return None;
        }
        taken.all += 1;
        taken.by_peer.insert(peer, by_peer + 1);
        Some(Place(Arc::new(Taking {
            bound: self.clone(),
            peer,
        })))
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let mut taken = self.bound.taken.lock();
        taken.all -= 1;
        if let Some(by_peer) = taken.by_peer.get_mut(&self.peer) {
            *by_peer -= 1;
            if *by_peer == 0 {
                taken.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(n).into()
    }

    #[test]
    fn one_peer_can_not_take_all_places() {
        let limits = Limits::new(8, None);
        let mut one: Vec<_> = (0..2).map_while(|_| limits.take(peer(1))).collect();
        assert_eq!(one.len(), 2);
        assert!(limits.take(peer(1)).is_none());
        assert!(
            limits.take("::ffff:0.0.0.1".parse().unwrap()).is_none(),
            "it is the same"
        );
        let others: Vec<_> = (2..9).map_while(|n| limits.take(peer(n))).collect();
        assert_eq!(others.len(), 6, "as many as there are");
        one.pop();
        drop(others);
        assert!(limits.take(peer(1)).is_some());
        drop(one);
        assert!(limits.all.taken.lock().by_peer.is_empty());
        assert_eq!(limits.all.taken.lock().all, 0);
    }

    #[test]
    fn some_places_are_kept_back() {
        let limits = Limits::new(1, Some(1));
        let _taken = limits.take(peer(1)).expect("a place");
        assert!(limits.take(peer(2)).is_none());
        let spare: Vec<_> = (0..SPARE).map_while(|_| limits.take_spare(peer(1))).collect();
        assert_eq!(spare.len(), SPARE_PER_PEER);
        assert!(limits.take_spare(peer(2)).is_some());
    }
}

//! Which node owns a stream that nobody has placed: rendezvous hashing over the ready nodes.
//!
//! Every pod computes the same owner from the same set of nodes, without asking. When a node comes
//! or goes, only the streams move that it gets or had. The weight of a node for a path is the first
//! eight bytes, big-endian, of `SHA-256(node name, 0x00, path)`: fixed by a standard, so that
//! processes of different builds and machines agree.

use sha2::{Digest, Sha256};

/// How much `node` wants `path`.
fn weight(node: &str, path: &str) -> u64 {
    let digest = Sha256::new()
        .chain_update(node)
        .chain_update([0])
        .chain_update(path)
        .finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |all, byte| all << 8 | u64::from(*byte))
}

/// The nodes in the order in which they own `path`: the owner first, then who would own it without
/// the owner, and so on. `path` is in canonical form; the order of `nodes` means nothing.
pub fn ranked<'a>(path: &str, nodes: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all: Vec<(u64, &str)> = nodes.into_iter().map(|n| (weight(n, path), n)).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.into_iter().map(|(_, node)| node).collect()
}

/// The node that owns `path`; none when there are no nodes.
pub fn owner<'a>(path: &str, nodes: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nodes
        .into_iter()
        .map(|n| (weight(n, path), n))
        .max()
        .map(|(_, node)| node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn paths() -> impl Iterator<Item = String> {
        (0..2000).map(|i| format!("building-{}/camera-{i}", i % 7))
    }

    /// The values were computed with `printf 'media-node-0\0hall/door' | sha256sum` and the like.
    #[test]
    fn owners_are_the_same_everywhere_and_for_ever() {
        assert_eq!(weight("media-node-0", "hall/door"), GOLDEN_0);
        assert_eq!(weight("media-node-1", "hall/door"), GOLDEN_1);
        let nodes = ["media-node-0", "media-node-1"];
        let owner_of = owner("hall/door", nodes);
        assert_eq!(
            owner_of,
            Some(if GOLDEN_0 > GOLDEN_1 { nodes[0] } else { nodes[1] })
        );
        assert_eq!(owner("hall/door", ["media-node-1", "media-node-0"]), owner_of);
        assert_eq!(owner("hall/door", []), None);
    }

    #[test]
    fn the_owner_is_the_first_of_the_ranking() {
        let nodes = ["a", "b", "c", "d"];
        for path in paths() {
            let ranked = ranked(&path, nodes);
            assert_eq!(ranked.len(), 4);
            assert_eq!(owner(&path, nodes), ranked.first().copied());
            // Without the owner, the second owns.
            let rest = nodes.into_iter().filter(|n| *n != ranked[0]);
            assert_eq!(owner(&path, rest), Some(ranked[1]));
        }
    }

    #[test]
    fn only_what_must_move_moves() {
        let (few, many) = (["n-0", "n-1", "n-2"], ["n-0", "n-1", "n-2", "n-3"]);
        let mut moved = 0;
        for path in paths() {
            let (before, after) = (owner(&path, few), owner(&path, many));
            if before != after {
                assert_eq!(after, Some("n-3"), "{path} moved between nodes that stayed");
                moved += 1;
            }
        }
        // A quarter of 2000, give or take.
        assert!((400..600).contains(&moved), "{moved}");
    }

    #[test]
    fn streams_spread_evenly() {
        let nodes = ["n-0", "n-1", "n-2", "n-3"];
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for path in paths() {
            *counts
                .entry(owner(&path, nodes).expect("there are nodes"))
                .or_default() += 1;
        }
        assert!(counts.values().all(|n| (400..600).contains(n)), "{counts:?}");
    }

    const GOLDEN_0: u64 = 0xd7d4_6d81_1e37_28d9;
    const GOLDEN_1: u64 = 0x25cb_db7b_72b0_46e5;
}

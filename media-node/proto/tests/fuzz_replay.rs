//! Replays the corpus of every fuzz target, and a fixed set of mutations of each seed, so that stable
//! builds notice what the fuzzer once found, and some of what it would find.

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;
use weir_proto::fuzz::TARGETS;

/// Mutations of a seed.
const MUTATIONS: usize = 200;
/// Longer seeds are mutated in their first part only, and not made longer.
const MAX_LENGTH: usize = 16 * 1024;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("a folder that can be read").path();
            let data = fs::read(&path).expect("a seed that can be read");
            (path, data)
        })
        .collect();
    seeds.sort();
    seeds
}

#[test]
fn every_corpus_has_a_target_and_every_target_a_corpus() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |what: &str| {
        let entries = fs::read_dir(folder.join(what)).expect("a folder");
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .path()
                    .file_stem()
                    .expect("a name")
                    .to_owned()
            })
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let targets: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert!(targets.is_sorted());
    assert_eq!(names("corpus"), targets);
    assert_eq!(names("fuzz_targets"), targets);
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
    for target in targets {
        assert!(
            manifest.contains(&format!("name = \"{target}\"")),
            "{target} has no [[bin]]"
        );
        assert!(!corpus(target).is_empty(), "{target} has no seeds");
    }
}

#[test]
fn corpora_replay() {
    for target in TARGETS {
        for (path, seed) in corpus(target.name) {
            run(target.body, &seed, || format!("{}", path.display()));
        }
    }
}

#[test]
fn mutated_corpora_replay() {
    for target in TARGETS {
        let seeds = corpus(target.name);
        for (i, (path, seed)) in seeds.iter().enumerate() {
            let (_, other) = &seeds[(i + 1) % seeds.len()];
            let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (i as u64 + 1));
            // The count is of one seed of ordinary size; a large one gets fewer.
            for n in 0..MUTATIONS.min((1 << 20) / (seed.len() + 1)) {
                let data = mutate(&mut random, seed, other);
                run(target.body, &data, || {
                    format!("{} mutated, {n}: {}", path.display(), hex::encode(&data))
                });
            }
        }
    }
}

fn run(body: fn(&[u8]), data: &[u8], what: impl Fn() -> String) {
    assert!(catch_unwind(|| body(data)).is_ok(), "{}", what());
}

/// Xorshift: the same numbers on every machine.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    const fn below(&mut self, bound: usize) -> usize {
        if bound == 0 {
            0
        } else {
            (self.next() % bound as u64) as usize
        }
    }
}

/// One to four changes: bits, bytes of meaning, cuts, repeats, and pieces of another seed.
fn mutate(random: &mut Random, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut data = seed[..seed.len().min(MAX_LENGTH)].to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len());
        let length = random.below(data.len() - at).min(1 + random.below(64));
        match random.below(7) {
            0 if !data.is_empty() => data[at] ^= 1 << random.below(8),
            1 if !data.is_empty() => data[at] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'$'][random.below(7)],
            2 => data.truncate(at),
            3 => {
                data.drain(at..at + length);
            }
            4 if data.len() < MAX_LENGTH => {
                let piece = data[at..at + length].to_vec();
                data.splice(at..at, piece);
            }
            5 if data.len() < MAX_LENGTH => {
                let from = random.below(other.len());
                let piece = &other[from..from + random.below(other.len() - from).min(256)];
                data.splice(at..at, piece.iter().copied());
            }
            _ => {
                let noise: Vec<_> = (0..length).map(|_| random.next() as u8).collect();
                data.splice(at..at + length, noise);
            }
        }
    }
    data
}

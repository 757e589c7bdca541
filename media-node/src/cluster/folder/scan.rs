//! Looking at the folder: which files there are, and which of them have changed for good.
//!
//! The folder is looked at every [`PERIOD`] instead of watched: that works alike on every file
//! system, through the symbolic links by which a `ConfigMap` is mounted, and with editors that
//! rename. A change counts once it was seen twice, so that a file that is being written is not
//! taken half.

use super::state::Content;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Time between two looks.
pub(super) const PERIOD: Duration = Duration::from_millis(250);
/// Larger files are refused, in bytes.
const MOST_BYTES: u64 = 4 << 20;
/// More files are not looked at.
const MOST_FILES: usize = 10_000;
/// A file that was changed less than this ago may change again within the granularity of the
/// file system's clock.
const RACY: Duration = Duration::from_secs(2);

/// What tells that a file may have changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

#[derive(Default)]
struct Sight {
    stamp: Option<Stamp>,
    /// As last read; `None` when the file was not there.
    content: Option<Content>,
}

/// What was seen so far.
#[derive(Default)]
pub(super) struct Scanner {
    seen: BTreeMap<String, Sight>,
}

impl Scanner {
    /// Looks once. Answers with the files whose content differs from what `taken` says was taken,
    /// and was the same at the look before; with `at_once`, without the second look.
    ///
    /// # Errors
    /// When the folder itself can't be read; nothing is said of its files then.
    pub(super) fn look(
        &mut self,
        dir: &Path,
        at_once: bool,
        taken: impl Fn(&str) -> Option<Content>,
        known: impl IntoIterator<Item = String>,
    ) -> io::Result<Vec<(String, Option<Content>)>> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name();
            if let Some(name) = name.to_str().filter(|n| is_manifest(n)) {
                names.insert(name.to_owned());
            }
            if names.len() == MOST_FILES {
                break;
            }
        }
        let all: BTreeSet<String> = names.into_iter().chain(known).collect();
        self.seen.retain(|name, _| all.contains(name));
        let mut changes = Vec::new();
        for name in all {
            let sight = self.seen.entry(name.clone()).or_default();
            let path = dir.join(&name);
            let now = match stamp(&path) {
                // The same stamp as at the last look is the same content, unless it is too fresh.
                Ok(Some((stamp, fresh))) if fresh || sight.stamp != Some(stamp) => {
                    sight.stamp = Some(stamp);
                    Some(read(&path, stamp.bytes))
                }
                Ok(Some(_)) => sight.content.clone(),
                Ok(None) => {
                    sight.stamp = None;
                    None
                }
                Err(e) => Some(Content::Unreadable(format!("can't be read: {e}"))),
            };
            let steady = at_once || sight.content == now;
            sight.content.clone_from(&now);
            if steady && taken(&name) != now {
                changes.push((name, now));
            }
        }
        Ok(changes)
    }
}

/// Files that kubectl would take, save hidden ones: editors and `ConfigMap` mounts keep their own there.
fn is_manifest(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|e| e.to_str());
    !name.starts_with('.') && matches!(extension, Some("yaml" | "yml" | "json"))
}

/// The stamp of a file, and whether it is fresh; `None` when there is no such file.
fn stamp(path: &Path) -> io::Result<Option<(Stamp, bool)>> {
    let meta = match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => meta,
        Ok(_) => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let age = meta
        .modified()
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok());
    let stamp = Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        bytes: meta.len(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
    };
    Ok(Some((stamp, age.is_none_or(|age| age < RACY))))
}

fn read(path: &Path, bytes: u64) -> Content {
    let too_large = || {
        Content::Unreadable(format!(
            "is larger than {MOST_BYTES} bytes: split it into several files"
        ))
    };
    if bytes > MOST_BYTES {
        return too_large();
    }
    let mut data = Vec::new();
    let outcome = std::fs::File::open(path).and_then(|f| f.take(MOST_BYTES + 1).read_to_end(&mut data));
    match outcome {
        Ok(n) if n as u64 > MOST_BYTES => too_large(),
        Ok(_) => match String::from_utf8(data) {
            Ok(text) => Content::Text(text.into()),
            Err(_) => Content::Unreadable("is no text in UTF-8: write it as such".to_owned()),
        },
        Err(e) => Content::Unreadable(format!("can't be read: {e}")),
    }
}

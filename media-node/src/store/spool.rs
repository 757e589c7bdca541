//! The disk between a recorder and the object store: what is not stored yet, and is lost with the disk.
//!
//! ```text
//! <folder>/open/<camera uid>/<start>-<epoch>-<session>-<seq>.mp4     being written
//!          open/<camera uid>/<the same>.json                         what is known of it before that
//!          whole/<camera uid>/<the same>.mp4                         whole and synced; waits to be stored
//!          whole/<camera uid>/<the same>.json                        all that is known of it
//!          recordings/<name>.json                                    recordings that the index doesn't know yet
//!          recordings/<name>.torn                                    such a note that can't be read; kept for people
//!          refused/<camera uid>/<the same>.mp4                       nothing in it can be read; kept for people, for a while
//! ```
//! A file is moved from one folder to the other, so that a kill at any moment leaves it in one of them.

use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use weir_recording::{SegmentFacts, SegmentKey};

/// What is in one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    pub key: SegmentKey,
    pub path: PathBuf,
    pub bytes: u64,
}

/// A spool. Its functions block on the disk: call them where that is allowed.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
    /// Most bytes that whole segments may take.
    most_bytes: u64,
    /// Those that somebody writes.
    writing: Arc<Mutex<HashSet<SegmentKey>>>,
    /// Notes on recordings that the disk has not taken yet, by name: newer than what it has.
    unwritten: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

/// Whoever has it writes that segment: as long as it lives, nobody takes the segment for one that was left.
#[derive(Debug)]
pub struct Claim {
    writing: Arc<Mutex<HashSet<SegmentKey>>>,
    key: SegmentKey,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.writing.lock().remove(&self.key);
    }
}

const OPEN: &str = "open";
const WHOLE: &str = "whole";
const REFUSED: &str = "refused";
const RECORDINGS: &str = "recordings";
/// Notes that are remembered while the disk takes none.
const MOST_UNWRITTEN: usize = 10_000;

impl Spool {
    /// Makes the folders that are missing.
    ///
    /// # Errors
    /// When the folder can't be written to.
    pub fn open(folder: &Path, most_bytes: u64) -> io::Result<Self> {
        for part in [OPEN, WHOLE, REFUSED, RECORDINGS] {
            fs::create_dir_all(folder.join(part))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            most_bytes,
            writing: Arc::default(),
            unwritten: Arc::default(),
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub const fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    /// A new file for a segment that is being written, and what is known of it.
    ///
    /// # Errors
    /// When there is one of that name, or the disk refuses.
    pub fn create(&self, key: &SegmentKey, note: &[u8]) -> io::Result<(File, Claim)> {
        if !self.writing.lock().insert(key.clone()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let claim = Claim {
            writing: self.writing.clone(),
            key: key.clone(),
        };
        let path = self.place(OPEN, key);
        self.make_folder(OPEN, key)?;
        fs::write(beside(&path), note)?;
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok((file, claim))
    }

    /// Where the segment lies while it is being written.
    pub fn open_path(&self, key: &SegmentKey) -> PathBuf {
        self.place(OPEN, key)
    }

    /// Where it lies when it is whole.
    pub fn whole_path(&self, key: &SegmentKey) -> PathBuf {
        self.place(WHOLE, key)
    }

    /// What was known of a segment when it was begun.
    pub fn open_note(&self, key: &SegmentKey) -> io::Result<Vec<u8>> {
        fs::read(beside(&self.place(OPEN, key)))
    }

    /// The segment is whole and synced: from here on it counts. `facts` are [`SegmentFacts`] as JSON.
    pub fn seal(&self, key: &SegmentKey, facts: &[u8]) -> io::Result<()> {
        use io::Write;
        let note = beside(&self.place(WHOLE, key));
        self.make_folder(WHOLE, key)?;
        let mut file = File::create(&note)?;
        file.write_all(facts)?;
        file.sync_all()?;
        self.shift(OPEN, WHOLE, key)?;
        gone(fs::remove_file(beside(&self.place(OPEN, key))))
    }

    /// All that is known of a whole segment.
    pub fn facts(&self, key: &SegmentKey) -> io::Result<SegmentFacts> {
        let text = fs::read(beside(&self.place(WHOLE, key)))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Nothing in the segment can be read.
    pub fn refuse(&self, key: &SegmentKey) -> io::Result<()> {
        self.shift(OPEN, REFUSED, key)?;
        gone(fs::remove_file(beside(&self.place(OPEN, key))))
    }

    /// Removes what nobody has come for: segments in which nothing can be read and notes that can't be, if they were written before
    /// `before`, and of the segments the oldest, until they take `most_bytes` at most. Answers with the segments that went, and the
    /// bytes of those that are left.
    pub fn trim_refused(&self, before: SystemTime, most_bytes: u64) -> io::Result<(Vec<Spooled>, u64)> {
        let (mut removed, mut kept) = (Vec::new(), Vec::new());
        for spooled in self.list(REFUSED)? {
            if Self::written(&spooled)? < before {
                removed.push(spooled);
            } else {
                kept.push(spooled);
            }
        }
        let mut bytes: u64 = kept.iter().map(|spooled| spooled.bytes).sum();
        for spooled in kept {
            if bytes <= most_bytes {
                break;
            }
            bytes -= spooled.bytes;
            removed.push(spooled);
        }
        for spooled in &removed {
            gone(fs::remove_file(&spooled.path))?;
        }
        for entry in fs::read_dir(self.folder.join(RECORDINGS))? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "torn") && fs::metadata(&path)?.modified()? < before
            {
                gone(fs::remove_file(path))?;
            }
        }
        Ok((removed, bytes))
    }

    /// A whole segment that is not what its facts say is looked at as those that were being written.
    pub fn reopen(&self, key: &SegmentKey) -> io::Result<()> {
        self.shift(WHOLE, OPEN, key)?;
        gone(fs::remove_file(beside(&self.place(WHOLE, key))))
    }

    /// A segment that was never begun in earnest.
    pub fn discard(&self, key: &SegmentKey) -> io::Result<()> {
        gone(fs::remove_file(self.place(OPEN, key)))?;
        gone(fs::remove_file(beside(&self.place(OPEN, key))))
    }

    /// The segment is stored: its file goes.
    pub fn remove(&self, key: &SegmentKey) -> io::Result<()> {
        gone(fs::remove_file(self.place(WHOLE, key)))?;
        gone(fs::remove_file(beside(&self.place(WHOLE, key))))
    }

    /// Those that were being written, and that nobody writes any more.
    pub fn left_open(&self) -> io::Result<Vec<Spooled>> {
        // Nobody begins or ends one meanwhile: what is there and not claimed was left.
        let writing = self.writing.lock();
        let mut left = self.list(OPEN)?;
        left.retain(|spooled| !writing.contains(&spooled.key));
        Ok(left)
    }

    /// Those that wait to be stored, the oldest first.
    pub fn whole(&self) -> io::Result<Vec<Spooled>> {
        self.list(WHOLE)
    }

    /// Drops the oldest until what is whole takes no more than it may, and the disk has `reserve` bytes left. Where others have
    /// filled the disk so far that this can't be had, half of what is left is for what waits. Answers with what was dropped.
    pub fn make_room(&self, reserve: u64) -> io::Result<Vec<Spooled>> {
        let mut whole = self.whole()?.into_iter();
        let mut used: u64 = whole.as_slice().iter().map(|s| s.bytes).sum();
        let reserve = attainable(reserve, self.free_bytes()?, used);
        let mut dropped = Vec::new();
        while used > self.most_bytes || self.free_bytes()? < reserve {
            let Some(oldest) = whole.next() else { break };
            self.remove(&oldest.key)?;
            used -= oldest.bytes;
            dropped.push(oldest);
        }
        Ok(dropped)
    }

    /// What the disk has left.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// What the disk has in all.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.folder)?;
        Ok(disk.f_blocks.saturating_mul(disk.f_frsize))
    }

    /// Writes a note on a recording, for good.
    ///
    /// # Errors
    /// When the disk refuses. Then it is remembered, and is among the notes as long as this process runs.
    pub fn write_note(&self, name: &str, text: &[u8]) -> io::Result<()> {
        let mut unwritten = self.unwritten.lock();
        let written = self.put_note(name, text);
        if written.is_ok() {
            unwritten.remove(name);
        } else if unwritten.len() < MOST_UNWRITTEN {
            unwritten.insert(name.to_owned(), text.to_vec());
        }
        written
    }

    fn put_note(&self, name: &str, text: &[u8]) -> io::Result<()> {
        use io::Write;
        let folder = self.folder.join(RECORDINGS);
        let part = folder.join(format!("{name}.part"));
        let mut file = File::create(&part)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&part, folder.join(format!("{name}.json")))?;
        sync(&folder)
    }

    pub fn remove_note(&self, name: &str) -> io::Result<()> {
        self.unwritten.lock().remove(name);
        gone(fs::remove_file(
            self.folder.join(RECORDINGS).join(format!("{name}.json")),
        ))
    }

    /// A note that can't be read is none any more; people may look at it.
    pub fn lay_note_aside(&self, name: &str) -> io::Result<()> {
        let note = self.folder.join(RECORDINGS).join(format!("{name}.json"));
        fs::rename(&note, note.with_extension("torn"))
    }

    /// All notes, by name. Those that the disk has not taken are offered to it again.
    pub fn notes(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut unwritten = self.unwritten.lock();
        unwritten.retain(|name, text| self.put_note(name, text).is_err());
        let mut notes = unwritten.clone();
        for entry in fs::read_dir(self.folder.join(RECORDINGS))? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "json")
                && let Some(name) = path.file_stem().and_then(|name| name.to_str())
                && !notes.contains_key(name)
            {
                match fs::read(&path) {
                    Ok(text) => notes.insert(name.to_owned(), text),
                    // Told and removed meanwhile, or none of ours.
                    Err(error) if error.kind() == io::ErrorKind::NotFound || path.is_dir() => None,
                    Err(error) => return Err(error),
                };
            }
        }
        Ok(notes.into_iter().collect())
    }

    /// When a file was last written to.
    pub fn written(spooled: &Spooled) -> io::Result<SystemTime> {
        fs::metadata(&spooled.path)?.modified()
    }

    fn place(&self, part: &str, key: &SegmentKey) -> PathBuf {
        self.folder.join(part).join(&key.camera_uid).join(key.file_name())
    }

    fn shift(&self, from_part: &str, to_part: &str, key: &SegmentKey) -> io::Result<()> {
        let (from, to) = (self.place(from_part, key), self.place(to_part, key));
        self.make_folder(to_part, key)?;
        fs::rename(&from, &to)?;
        to.parent().map_or(Ok(()), sync)
    }

    /// The camera's folder in that part, there for good: what is synced in a folder that is not goes with it.
    fn make_folder(&self, part: &str, key: &SegmentKey) -> io::Result<()> {
        let part = self.folder.join(part);
        match fs::create_dir(part.join(&key.camera_uid)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => sync(&part),
        }
    }

    fn list(&self, part: &str) -> io::Result<Vec<Spooled>> {
        let mut found = Vec::new();
        for camera in fs::read_dir(self.folder.join(part))? {
            let camera = camera?;
            let Ok(uid) = camera.file_name().into_string() else {
                continue;
            };
            if !camera.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(camera.path())? {
                let file = file?;
                let Ok(name) = file.file_name().into_string() else {
                    continue;
                };
                // What has another name is not ours, and stays.
                let Ok(key) = SegmentKey::of_file(&uid, &name) else {
                    continue;
                };
                let bytes = match file.metadata() {
                    Ok(metadata) if metadata.is_file() => metadata.len(),
                    // Stored and removed meanwhile.
                    _ => continue,
                };
                found.push(Spooled {
                    key,
                    path: file.path(),
                    bytes,
                });
            }
        }
        found.sort_by(|a, b| (a.key.start_ms, &a.path).cmp(&(b.key.start_ms, &b.path)));
        Ok(found)
    }
}

/// What may be kept free of a disk that has `free` bytes left, and `used` by what can be dropped.
fn attainable(reserve: u64, free: u64, used: u64) -> u64 {
    reserve.min(free.saturating_add(used) / 2)
}

/// The note on a segment.
fn beside(segment: &Path) -> PathBuf {
    segment.with_extension("json")
}

/// What isn't there needn't be removed.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Makes the names in a folder last.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;

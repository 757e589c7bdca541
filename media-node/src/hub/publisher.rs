//! The one writer of a stream.

use super::{Hub, Stream};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use weir_proto::media::{AccessUnit, SegmentStart, Timestamp, Tracks};

/// Who numbers the stream's segments.
#[derive(Clone, Copy, Debug)]
pub enum Segmentation {
    /// This publisher: it owns the stream. A segment starts at the first keyframe this long after
    /// the start of the one before.
    Own(Duration),
    /// They come with the access units, from the owner.
    Carried,
}

/// Adds access units to a stream. Dropping it ends the stream.
pub struct Publisher {
    hub: Arc<Hub>,
    stream: Arc<Stream>,
    pending: Vec<(u64, AccessUnit)>,
    numbering: Option<Numbering>,
    /// Audio alone: every access unit can be started at.
    has_video: bool,
    /// What comes before the first keyframe is left out: nobody can decode the pictures, and sound that
    /// begins earlier would make players wait.
    expects_keyframe: bool,
}

/// Numbers for the first eras of sessions, which begin anew after as many seconds. Players keep tables by them:
/// hls.js comes to a standstill at one of ten digits. Across sessions nothing is compared but whether it is the
/// same.
const SESSIONS: u64 = 1 << 14;

/// Gives segments their numbers.
struct Numbering {
    target: Duration,
    next: u64,
    era: u64,
    /// Since the era's begin.
    opened: Option<Timestamp>,
}

impl Numbering {
    /// Numbers start at the seconds since 1970, and grow by one per segment of at least a second:
    /// so they never go back, whatever restarts or moves, and players can go on. Eras likewise, but modulo
    /// [`SESSIONS`].
    fn new(target: Duration) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            target: target.max(Duration::from_secs(1)),
            next: now.as_secs(),
            era: 1 + now.as_secs() % SESSIONS,
            opened: None,
        }
    }

    fn number(&mut self, unit: &AccessUnit) -> Option<SegmentStart> {
        // 10 ms less: keyframes at every 2 s come a tick early or late.
        let enough = self.target.saturating_sub(Duration::from_millis(10));
        if !unit.keyframe || self.opened.is_some_and(|at| unit.dts.since(at) < enough) {
            return None;
        }
        let opens_era = self.opened.replace(unit.dts).is_none();
        self.next += 1;
        Some(SegmentStart {
            number: self.next - 1,
            era: self.era,
            opens_era,
        })
    }
}

impl Publisher {
    pub(super) fn new(hub: Arc<Hub>, stream: Arc<Stream>, segmentation: Segmentation) -> Self {
        let numbering = match segmentation {
            Segmentation::Own(target) => Some(Numbering::new(target)),
            Segmentation::Carried => None,
        };
        let has_video = stream.tracks().video().is_some();
        Self {
            hub,
            stream,
            pending: Vec::new(),
            numbering,
            has_video,
            expects_keyframe: true,
        }
    }

    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// False once a newcomer has taken the path, or somebody has closed the stream.
    pub fn is_live(&self) -> bool {
        !self.stream.has_ended()
    }

    /// New parameter sets, in force from the next access unit on. What is pending goes out first.
    pub fn set_tracks(&mut self, tracks: &Tracks) {
        self.flush();
        if self.stream.tracks() == *tracks {
            return;
        }
        self.has_video |= tracks.video().is_some();
        // A segment holds one set of parameters.
        if let Some(numbering) = &mut self.numbering
            && numbering.opened.take().is_some()
        {
            numbering.era += 1;
        }
        self.stream.change_tracks(tracks);
    }

    #[cfg(test)]
    pub(super) fn set_has_video(&mut self, has_video: bool) {
        self.has_video = has_video;
    }

    /// Adds an access unit; viewers get it with the next [`Self::flush`].
    pub fn push(&mut self, mut unit: AccessUnit) {
        if !self.has_video {
            unit.keyframe = true;
        }
        if self.expects_keyframe && !unit.keyframe {
            return;
        }
        self.expects_keyframe = false;
        if let Some(numbering) = &mut self.numbering {
            unit.segment = numbering.number(&unit);
        }
        let number = self.stream.lock().push(unit.clone());
        self.pending.push((number, unit));
    }

    /// Sends what was pushed since the last flush to everybody, in one write per viewer. To be
    /// called when the source has nothing more at hand: so gathering happens exactly when sending
    /// is slower than receiving.
    pub fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let bytes = self.pending.iter().map(|(_, u)| u.data.len() as u64).sum();
        self.stream.count_in(self.pending.len() as u64, bytes);
        self.stream.fan_out(&self.pending);
        self.pending.clear();
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.flush();
        // First out of the table, so that nobody finds a stream that has ended.
        self.hub.remove(&self.stream);
        self.stream.end();
    }
}

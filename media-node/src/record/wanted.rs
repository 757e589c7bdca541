//! What is to be recorded.

use std::time::Duration;
use weir_proto::media::StreamPath;

/// A camera that is to be recorded now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub camera_uid: String,
    /// Its name, for people.
    pub camera: String,
    pub path: StreamPath,
    /// That of the placement: it tells apart what two owners write.
    pub epoch: i64,
    /// The stream is asked for, and not only waited for.
    pub on_demand: bool,
    /// The camera is another node's now: what is recorded goes on until its stream here ends, and nothing new
    /// begins.
    pub leaving: bool,
    /// Why it is recorded; not empty.
    pub labels: Vec<Label>,
}

/// One reason to record a camera. The recordings made for it are ranges over segments that all labels share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub schedule_uid: String,
    pub schedule: String,
    /// A recording that has become this long is ended at the next keyframe, and another begins. Without it, one recording
    /// takes all.
    pub length: Option<Duration>,
    /// Number of GOPs that a recording repeats of the one before it.
    pub overlap: u32,
    /// A picture of the camera is stored this often.
    pub snapshots: Option<Duration>,
}

impl Wanted {
    /// Takes what is wanted now, and answers whether that differs. What goes on of a camera that is another node's now stays
    /// that of the former placement: where both have something, the new owner's counts.
    pub(super) fn become_now(&mut self, now: Self) -> bool {
        let epoch = if now.leaving { self.epoch } else { now.epoch };
        let now = Self { epoch, ..now };
        let differs = *self != now;
        *self = now;
        differs
    }

    /// How often a picture is stored: as often as the most eager of the labels wants.
    pub fn snapshot_interval(&self) -> Option<Duration> {
        self.labels.iter().filter_map(|label| label.snapshots).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(epoch: i64, leaving: bool) -> Wanted {
        Wanted {
            camera_uid: "0a1b".to_owned(),
            camera: "door".to_owned(),
            path: StreamPath::parse("door").expect("a path"),
            epoch,
            on_demand: false,
            leaving,
            labels: Vec::new(),
        }
    }

    #[test]
    fn what_a_former_owner_still_writes_is_of_its_own_placement() {
        let mut now = wanted(3, false);
        assert!(now.become_now(wanted(4, true)));
        assert_eq!(now, wanted(3, true));
        assert!(!now.become_now(wanted(4, true)));
        // It is back.
        assert!(now.become_now(wanted(5, false)));
        assert_eq!(now.epoch, 5);
    }
}

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
    /// How often a picture is stored: as often as the most eager of the labels wants.
    pub fn snapshot_interval(&self) -> Option<Duration> {
        self.labels.iter().filter_map(|label| label.snapshots).min()
    }
}

//! Recording: streams are cut into segments on this node's disk, and brought from there to the object store.
//!
//! ```text
//! hub: Subscriber --> Recorder: Cutter --queue--> writer: SegmentFile --> Spool --> Uploader --> bucket, index
//!                        |                           |
//!                        +-- recordings begin, end --+--> notes in the spool ------> index, when all of it is there
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `wanted` | what is to be recorded, and what recordings are made of it |
//! | `recorders` | a recorder for each camera that is wanted |
//! | `recorder` | one camera: its stream's sessions, segments and recordings |
//! | `cutter` | from access units to fragments and segments; pure |
//! | `writer` | puts what a recorder cuts on the disk, in its order |
//! | `segment_file` | one segment being written |
//! | `recovery` | what a killed process left |
//! | `uploader` | from the spool to the bucket and the index |
//! | `note` | a recording until the index has it |
//! | `catalogue` | that index, in SQL |
//! | `report` | what is told to the index, between pods |
//! | `playback` | what is stored, as MP4 and HLS of any range |
//! | `keeper` | deletes what is too old |
//! | `clock` | whether our clock is believed so far |
//! | `census` | the index against the bucket |
//! | `finisher` | what a recording gets once it is whole |
//! | `snapshots` | pictures of cameras, by ffmpeg |
//! | `portraits` | the one that the cloud recorder's API shows of each channel |
//! | `still` | the keyframe that one is made from |
//! | `states` | what can be said of each camera's recording |
//!
//! When a camera is to be recorded is the cluster's to say, from schedules; what is in a segment is
//! `weir-recording`'s.

mod catalogue;
mod census;
mod clock;
mod cutter;
mod finisher;
mod keeper;
mod note;
mod playback;
mod portraits;
mod recorder;
mod recorders;
mod recovery;
mod report;
mod segment_file;
mod snapshots;
mod states;
mod still;
mod uploader;
mod wanted;
mod writer;

/// For who asks for a picture and may not know who makes it.
pub use crate::worker::Fit;
pub use catalogue::SqlCatalogue;
pub use census::{Census, CensusError, Depth, Problem, rebuild, verify};
pub use finisher::Finisher;
pub use keeper::{Keeper, Rules};
pub use note::{Begun, Catalogue, CatalogueError, Finished};
pub use playback::{Footage, Playback, PlaybackError, Span};
pub use portraits::{Portraits, Sitter};
pub use recorders::{Recorders, Settings};
pub use recovery::recover;
pub use report::Report;
pub use snapshots::{Shown, SnapshotError, Snapshots};
pub use states::{Backlog, CameraState, States, Trouble};
pub use uploader::{Uploader, UploaderParts};
pub use wanted::{Label, Wanted};

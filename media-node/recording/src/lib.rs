//! What a recording is, as plain values and functions: no I/O, no clock.
//!
//! | module | holds |
//! |---|---|
//! | `schedule` | when is recorded: windows of local time |
//! | `timeline` | from a camera's clock to the time of day |
//! | `key` | what objects are called in the bucket |
//! | `facts` | what is said of a stored segment |
//! | `cover` | which parts of which segments show a span of time |
//! | `virtual_mp4` | an MP4 of any range, without copying media |
//! | `playlist` | the same for HLS |

pub mod cover;
pub mod facts;
pub mod key;
pub mod playlist;
pub mod schedule;
pub mod timeline;
pub mod virtual_mp4;

pub use facts::{MetadataError, SegmentFacts, TrackFacts};
pub use key::{KeyError, SegmentKey};

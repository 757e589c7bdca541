//! What flows through the hub: timestamps, tracks and access units.
//!
//! Every ingest turns its protocol into these types and every egress starts from them. No
//! protocol is known here; codecs are, as far as their parameter sets and NAL units go.

pub mod access_unit;
pub mod codec;
pub mod path;
pub mod time;
pub mod track;

pub use access_unit::{AccessUnit, SegmentStart};
pub use codec::{Codec, CodecParameters};
pub use path::StreamPath;
pub use time::Timestamp;
pub use track::{Track, TrackKind, Tracks};

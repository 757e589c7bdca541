//! Session descriptions.

use crate::media::Tracks;
use crate::sdp;

/// The tracks of a description survive being described by us.
pub(super) fn sdp(data: &[u8]) {
    let Ok(description) = sdp::parse(data) else { return };
    assert!((1..=sdp::parse::MAX_MEDIA).contains(&description.media.len()));
    let tracks: Vec<_> = description.media.iter().filter_map(sdp::Media::track).collect();
    if tracks.is_empty() {
        return;
    }
    let text = sdp::write(&description.name, &Tracks::new(tracks.clone()));
    let ours = sdp::parse(text.as_bytes()).expect("our own description");
    let again: Vec<_> = ours.media.iter().filter_map(sdp::Media::track).collect();
    assert_eq!(again, tracks, "{text}");
}

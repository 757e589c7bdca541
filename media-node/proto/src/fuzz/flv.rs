//! FLV streams.

use crate::flv::{Event, Reader, Unpacker};
use crate::media::TrackKind;
use crate::media::codec::nal;

/// The bytes are taken for a stream, in pieces as a socket might cut them.
pub(super) fn flv(data: &[u8]) {
    let (mut reader, mut unpacker) = (Reader::default(), Unpacker::new());
    let mut video_tracks = Vec::new();
    let mut check = |unpacker: &mut Unpacker| {
        while let Some(event) = unpacker.pull() {
            match event {
                Event::Tracks(tracks) => {
                    video_tracks = tracks
                        .iter()
                        .map(|track| track.kind() == TrackKind::Video)
                        .collect();
                }
                Event::AccessUnit(au) => {
                    let video = video_tracks.get(usize::from(au.track)).expect("announced tracks");
                    let units: usize = nal::units(&au.data).map(|unit| 4 + unit.len()).sum();
                    assert!(!video || units == au.data.len());
                }
                Event::LeftOut(_) => {}
            }
        }
    };
    for piece in data.chunks(1024) {
        reader.push(piece);
        loop {
            match reader.pull() {
                Ok(Some(tag)) => {
                    let _ = unpacker.push(tag.kind, tag.timestamp_ms, &tag.body);
                    check(&mut unpacker);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    unpacker.finish();
    check(&mut unpacker);
}

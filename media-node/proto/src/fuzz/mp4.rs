//! Indexes of MP4 files.

use crate::mp4::{Index, MoovFinder};
use bytes::Bytes;

/// The bytes are taken for a whole file, and for a `moov` box's payload whose samples are in them.
pub(super) fn mp4_index(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let mut finder = MoovFinder::new(data.len() as u64);
    let found = loop {
        let wanted = finder.wanted();
        match finder.push(&data[wanted.start as usize..wanted.end as usize]) {
            Ok(Some(found)) => break Some(data.slice(found.start as usize..found.end as usize)),
            Ok(None) => {}
            Err(_) => break None,
        }
    };
    for moov in found.into_iter().chain([data.clone()]) {
        let Ok(index) = Index::parse(&moov) else { continue };
        let mut unpackers = index.unpackers();
        let schedule = index.schedule();
        assert_eq!(
            schedule.len(),
            index.tracks.iter().map(|t| t.samples.len()).sum::<usize>()
        );
        let _ = (index.duration(), index.media_tracks());
        for (track, number) in schedule.into_iter().take(1000) {
            let sample = index.tracks[usize::from(track)].samples[number as usize];
            let end = sample.offset.saturating_add(u64::from(sample.size));
            if end <= data.len() as u64 {
                let bytes = data.slice(sample.offset as usize..end as usize);
                let _ = unpackers[usize::from(track)].access_unit(&sample, &bytes);
            }
        }
    }
}

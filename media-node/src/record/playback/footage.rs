//! A range as one MP4, of which any bytes can be read.

use super::head::Heads;
use super::{Playback, PlaybackError};
use crate::store::object::{self, Bucket};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use std::ops::Range;
use weir_recording::cover::cover;
use weir_recording::virtual_mp4::{Part, Source, VirtualMp4};

/// A virtual MP4, and where its bytes are.
pub struct Footage {
    file: VirtualMp4,
    heads: Heads,
    bucket: Bucket,
    /// Keys of the objects, by source.
    keys: Vec<String>,
}

impl Playback {
    /// An MP4 of a range; none if there is no footage in it.
    pub async fn mp4(
        &self,
        camera_uid: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Option<Footage>, PlaybackError> {
        let segments = self.segments(camera_uid, from_ms, to_ms).await?;
        let covered = cover(&segments, from_ms, to_ms);
        if covered.is_empty() {
            return Ok(None);
        }
        let bucket = self.bucket()?;
        let shown = self.heads.of(&bucket, covered).await?;
        let sources: Vec<Source> = shown
            .iter()
            .map(|(part, head)| Source {
                tracks: head.tracks.clone(),
                session: part.segment.session,
                fragments: head.fragments.clone(),
                start_ms: part.segment.start_ms,
                from_ms: part.from_ms,
                to_ms: part.to_ms,
            })
            .collect();
        let keys = shown
            .iter()
            .map(|(part, _)| part.segment.key().to_string())
            .collect();
        let file = VirtualMp4::new(&sources, from_ms, to_ms)?;
        Ok(file.map(|file| Footage {
            file,
            heads: self.heads.clone(),
            bucket,
            keys,
        }))
    }
}

impl Footage {
    /// Bytes of the file.
    pub fn len(&self) -> u64 {
        self.file.len()
    }

    pub fn is_empty(&self) -> bool {
        self.file.is_empty()
    }

    /// Milliseconds since 1970 at the file's time 0, and how long it is.
    pub const fn extent(&self) -> (i64, i64) {
        (self.file.start_ms, self.file.duration_ms)
    }

    /// A range of the file's bytes.
    pub fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, object::Error>> {
        let header = self.file.header().clone();
        // Pieces of one object lie behind each other, with little between: they are read in one go.
        let mut runs: Vec<Run> = Vec::new();
        for part in self.file.slice(range) {
            match (part, runs.last_mut()) {
                (Part::Header(range), _) => runs.push(Run::Header(header.slice(range))),
                (Part::Object(piece), Some(Run::Object { source, ranges })) if *source == piece.source => {
                    ranges.push(piece.range);
                }
                (Part::Object(piece), _) => runs.push(Run::Object {
                    source: piece.source,
                    ranges: vec![piece.range],
                }),
            }
        }
        let (heads, bucket, keys) = (self.heads.clone(), self.bucket.clone(), self.keys.clone());
        stream::iter(runs)
            .then(move |run| {
                let key = match &run {
                    Run::Object { source, .. } => keys.get(*source).cloned().unwrap_or_default(),
                    Run::Header(_) => String::new(),
                };
                let (heads, bucket) = (heads.clone(), bucket.clone());
                async move {
                    let ranges = match run {
                        Run::Header(bytes) => return Ok(stream::iter([Ok(bytes)]).boxed()),
                        Run::Object { ranges, .. } => ranges,
                    };
                    let read = read_ranges(&bucket, &key, ranges).await;
                    let read = read.inspect_err(|_| heads.forget(&key))?;
                    Ok(read.inspect_err(move |_| heads.forget(&key)).boxed())
                }
            })
            .try_flatten()
            .boxed()
    }
}

enum Run {
    Header(Bytes),
    Object { source: usize, ranges: Vec<Range<u64>> },
}

/// Reads from the first range to the last, and leaves out what is between them.
async fn read_ranges(
    bucket: &Bucket,
    key: &str,
    ranges: Vec<Range<u64>>,
) -> Result<BoxStream<'static, Result<Bytes, object::Error>>, object::Error> {
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
        return Ok(stream::empty().boxed());
    };
    let whole = first.start..last.end;
    let body = object::chunks(bucket.stream(key, whole.clone()).await?);
    let (mut at, mut next) = (whole.start, 0);
    let kept = body.map_ok(move |chunk: Bytes| {
        let (start, end) = (at, at + chunk.len() as u64);
        at = end;
        let mut kept = Vec::new();
        while let Some(range) = ranges.get(next) {
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                kept.push(Ok(chunk.slice((from - start) as usize..(to - start) as usize)));
            }
            if range.end > end {
                break;
            }
            next += 1;
        }
        stream::iter(kept)
    });
    Ok(kept.try_flatten().boxed())
}

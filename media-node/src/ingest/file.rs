//! An MP4 file as a live source: played in real time, and again from the start if asked to.

use super::retry::{Attempt, Failure, Session};
use super::{Job, Reason};
use crate::hub::{Hub, Provenance, Publisher, Segmentation};
use bytes::{Bytes, BytesMut};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::info;
use weir_proto::media::{CodecParameters, Timestamp, Track, Tracks};
use weir_proto::mp4::{Index, MoovFinder, Sample, Unpacker};

/// Files up to this size are read once and kept; larger ones a batch of samples at a time.
const KEEP_BYTES: u64 = 16 << 20;
/// Samples read from a large file at a time: a second or two.
const BATCH: usize = 64;

/// One file, over all its attempts.
pub(super) struct FileLoop<'a> {
    pub(super) hub: &'a Arc<Hub>,
    pub(super) job: &'a Job,
    pub(super) file: &'a Path,
    pub(super) repeat: bool,
    pub(super) segment: Duration,
}

/// Why a file can't be played.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("it can't be read: {0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Mp4(#[from] weir_proto::mp4::Error),
}

/// An opened file.
struct Media {
    index: Index,
    /// Samples in decoding order: track, and index into the track's samples.
    schedule: Vec<(u8, u32)>,
    bytes: Source,
}

#[derive(Clone)]
enum Source {
    Kept(Bytes),
    Disk(Arc<File>),
}

impl Attempt for FileLoop<'_> {
    /// Plays until the file ends, fails, or somebody else takes the path.
    async fn attempt(&self, session: &mut Session<'_>) -> Failure {
        let file = self.file.to_owned();
        let shown = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let opened = tokio::task::spawn_blocking(move || open(&file)).await;
        let media = match opened {
            Ok(Ok(media)) => media,
            Ok(Err(Error::Io(error))) if error.kind() == io::ErrorKind::NotFound => {
                let text = format!(
                    "there is no file {shown} in the node's media folder; put it there or correct spec.source.file.path"
                );
                return Failure::new(Reason::NotFound, text);
            }
            Ok(Err(error)) => return Failure::new(Reason::UnsupportedCodec, format!("{shown}: {error}")),
            Err(_) => return Failure::new(Reason::ProtocolError, format!("reading {shown} failed")),
        };
        let selected = self.select(&media.index);
        let tracks = Tracks::new(selected.iter().map(|t| t.1.clone()));
        if tracks.is_empty() {
            let text = format!("{shown} has nothing to play; H.264, H.265, AAC and G.711 are carried");
            return Failure::new(Reason::UnsupportedCodec, text);
        }
        let from = Provenance {
            protocol: "file",
            address: format!("file:{shown}"),
            session: rand::random(),
        };
        let mut publisher = self.hub.publish(
            &self.job.path,
            tracks.clone(),
            from,
            Segmentation::Own(self.segment),
        );
        info!(stream = %self.job.path, file = shown, "the file is played");
        session.live(&tracks);
        match self.play(&media, &selected, &mut publisher, session).await {
            Ok(()) if !publisher.is_live() => Failure::new(
                Reason::Closed,
                "another publisher took the path, or the stream was closed",
            ),
            Ok(()) => Failure::new(Reason::Ended, format!("{shown} has been played to its end")),
            Err(error) => Failure::new(Reason::Unreachable, format!("{shown}: {error}")),
        }
    }
}

impl FileLoop<'_> {
    /// The file's tracks that are played, in the order of the stream's: index in the file, track.
    fn select(&self, index: &Index) -> Vec<(u8, Track)> {
        let all = index.media_tracks();
        let video = all.video().map(|(n, t)| (n, t.clone()));
        let audio = all
            .audio()
            .filter(|_| self.job.audio)
            .map(|(n, t)| (n, t.clone()));
        video.into_iter().chain(audio).collect()
    }

    async fn play(
        &self,
        media: &Media,
        selected: &[(u8, Track)],
        publisher: &mut Publisher,
        session: &mut Session<'_>,
    ) -> io::Result<()> {
        let start = Instant::now();
        let length = media.index.duration().max(Duration::from_millis(1));
        let mut tracks: Vec<Track> = selected.iter().map(|t| t.1.clone()).collect();
        for round in 0_u32.. {
            let offset = length * round;
            let mut unpackers = media.index.unpackers();
            for batch in media.schedule.chunks(BATCH) {
                let samples = batch.iter().filter_map(|&(track, sample)| {
                    let at = selected.iter().position(|(n, _)| *n == track)?;
                    let sample = media
                        .index
                        .tracks
                        .get(usize::from(track))?
                        .samples
                        .get(sample as usize)?;
                    Some((at, track, *sample))
                });
                let samples: Vec<(usize, u8, Sample)> = samples.collect();
                let data = media.bytes.read(samples.iter().map(|s| s.2).collect()).await?;
                for ((at, track, sample), data) in samples.iter().zip(&data) {
                    let clock_rate = tracks[*at].clock_rate;
                    let due = Duration::from_micros(
                        Timestamp::new(sample.dts, clock_rate).as_micros().max(0) as u64,
                    );
                    let due = start + offset + due;
                    if due > Instant::now() {
                        publisher.flush();
                        if !publisher.is_live() {
                            return Ok(());
                        }
                        tokio::time::sleep_until(due).await;
                    }
                    let unpacked = unpackers
                        .get_mut(usize::from(*track))
                        .and_then(|u: &mut Unpacker| u.access_unit(sample, data));
                    let Some((mut unit, changed)) = unpacked else {
                        continue;
                    };
                    if let Some(codec) = changed {
                        tell_change(&mut tracks, *at, codec, publisher, session);
                    }
                    let shift = Timestamp::new(offset.as_micros() as i64, 1_000_000).rescale(clock_rate);
                    unit.track = *at as u8;
                    unit.pts = unit.pts.offset(shift);
                    unit.dts = unit.dts.offset(shift);
                    publisher.push(unit);
                }
            }
            publisher.flush();
            if !self.repeat {
                break;
            }
        }
        Ok(())
    }
}

/// Some files change parameter sets between sync samples.
fn tell_change(
    tracks: &mut [Track],
    at: usize,
    codec: CodecParameters,
    publisher: &mut Publisher,
    session: &mut Session<'_>,
) {
    if tracks[at].codec != codec {
        tracks[at].codec = codec;
        let changed = Tracks::new(tracks.iter().cloned());
        publisher.set_tracks(&changed);
        session.live(&changed);
    }
}

fn open(path: &PathBuf) -> Result<Media, Error> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Error::Io(io::ErrorKind::NotFound.into()));
    }
    let length = metadata.len();
    let mut finder = MoovFinder::new(length);
    let moov = loop {
        let header = read_at(&file, finder.wanted())?;
        if let Some(moov) = finder.push(&header)? {
            break moov;
        }
    };
    let index = Index::parse(&read_at(&file, moov)?)?;
    let schedule = index.schedule();
    let bytes = if length <= KEEP_BYTES {
        Source::Kept(read_at(&file, 0..length)?)
    } else {
        Source::Disk(Arc::new(file))
    };
    Ok(Media {
        index,
        schedule,
        bytes,
    })
}

fn read_at(file: &File, range: std::ops::Range<u64>) -> io::Result<Bytes> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
    let mut bytes = BytesMut::zeroed(length);
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes.freeze())
}

impl Source {
    /// The samples' bytes, in their order.
    async fn read(&self, samples: Vec<Sample>) -> io::Result<Vec<Bytes>> {
        let beyond = || {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a sample lies beyond the end of the file",
            )
        };
        match self {
            Self::Kept(all) => samples
                .iter()
                .map(|sample| {
                    let start = usize::try_from(sample.offset).map_err(io::Error::other)?;
                    let end = start
                        .checked_add(sample.size as usize)
                        .filter(|end| *end <= all.len());
                    end.map(|end| all.slice(start..end)).ok_or_else(beyond)
                })
                .collect(),
            Self::Disk(file) => {
                let file = file.clone();
                let read = move || {
                    let length = file.metadata()?.len();
                    samples
                        .iter()
                        .map(|sample| {
                            let end = sample
                                .offset
                                .checked_add(u64::from(sample.size))
                                .filter(|end| *end <= length);
                            read_at(&file, sample.offset..end.ok_or_else(beyond)?)
                        })
                        .collect()
                };
                tokio::task::spawn_blocking(read)
                    .await
                    .map_err(io::Error::other)?
            }
        }
    }
}

//! What was recorded, picture by picture.
//!
//! The pictures of the clips that the cameras play differ from each other, so that the bytes of a picture tell its number in
//! the clip. A camera plays its clip round and round and goes on while nobody listens: of what was recorded, the numbers must
//! follow each other, and where they don't, something is missing. ffmpeg reads the files, which knows nothing of Weir.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::process::Command;

use crate::{eventually, media_node::MediaNode, process, setup, wait::secs};

/// All clips have so many pictures a second.
const PER_SECOND: f64 = 25.0;
/// Time in a file may differ from what the numbers say by so much: a camera's jitter, and that of a new session's start.
const TOLERANCE: f64 = 0.6;

/// The pictures of a clip by their bytes.
pub struct Clip {
    numbers: HashMap<String, u64>,
}

/// The pictures of a file, in its order.
#[derive(Clone, Debug)]
pub struct Footage {
    /// How many different ones the camera has.
    round: u64,
    pictures: Vec<Picture>,
}

/// One picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picture {
    /// Which of the clip's.
    pub number: u64,
    /// When it is shown, in seconds of the file's time.
    pub at: f64,
}

/// Where pictures are missing, or come again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Break {
    /// When the last picture before it is shown, in seconds from the first.
    pub at: f64,
    /// Pictures that are missing; how many come again, if it is negative.
    pub missing: i64,
    /// Seconds from the picture before it to the picture behind it.
    pub lasts: f64,
}

/// A span of time that has footage, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first picture.
    pub start_ms: i64,
    /// The end of its last.
    pub end_ms: i64,
}

impl Clip {
    /// Reads a clip of `tests/media`.
    ///
    /// # Errors
    /// When two of its pictures are the same, or it can't be read.
    pub async fn of(name: &str) -> Result<Self> {
        let file = setup::clip(name).await?;
        let pictures = hashes(&file.to_string_lossy()).await?;
        let count = pictures.len();
        let numbers: HashMap<String, u64> = pictures
            .into_iter()
            .enumerate()
            .map(|(number, (hash, _))| (hash, number as u64))
            .collect();
        ensure!(numbers.len() == count, "{name} has pictures that are the same");
        Ok(Self { numbers })
    }

    /// The pictures of an MP4, from a file or a URL.
    ///
    /// # Errors
    /// When it can't be read, or has a picture that is none of this clip's.
    pub async fn pictures(&self, url: &str) -> Result<Footage> {
        let found = hashes(url).await?;
        let pictures = found.iter().enumerate().map(|(place, (hash, at))| {
            let number = self.numbers.get(hash);
            let number =
                number.with_context(|| format!("picture {place} of {url} is none of the camera's"))?;
            Ok(Picture {
                number: *number,
                at: *at,
            })
        });
        Ok(Footage {
            round: self.numbers.len() as u64,
            pictures: pictures.collect::<Result<_>>()?,
        })
    }

    /// The numbers of the pictures of a playlist, in its order: a player's times begin anew where parts are joined, and tell
    /// nothing.
    ///
    /// # Errors
    /// As [`Clip::pictures`].
    pub async fn listed(&self, url: &str) -> Result<Vec<u64>> {
        let found = hashes(url).await?;
        let numbers = found.iter().enumerate().map(|(place, (hash, _))| {
            let number = self.numbers.get(hash).copied();
            number.with_context(|| format!("picture {place} of {url} is none of the camera's"))
        });
        numbers.collect()
    }

    /// All that a node has recorded of a stream up to now.
    ///
    /// # Errors
    /// As [`Clip::pictures`].
    pub async fn recorded(&self, node: &MediaNode, path: &str) -> Result<Footage> {
        self.pictures(&node.http(&format!("/recordings/{path}.mp4?from=0")))
            .await
    }
}

impl Footage {
    /// The pictures, in the file's order.
    pub fn pictures(&self) -> &[Picture] {
        &self.pictures
    }

    /// From the first picture to the last, in seconds.
    pub fn seconds(&self) -> f64 {
        match (self.pictures.first(), self.pictures.last()) {
            (Some(first), Some(last)) => last.at - first.at,
            _ => 0.0,
        }
    }

    /// Where a picture is not followed by the next.
    pub fn breaks(&self) -> Vec<Break> {
        let begin = self.pictures.first().map_or(0.0, |p| p.at);
        let round = self.round as i64;
        self.pictures
            .windows(2)
            .filter_map(|pair| {
                let (before, after) = (pair[0], pair[1]);
                let lasts = after.at - before.at;
                let step = (after.number as i64 - before.number as i64).rem_euclid(round);
                // Whole rounds that passed meanwhile are told by the time alone.
                let rounds = ((lasts * PER_SECOND - step as f64) / round as f64).round() as i64;
                let missing = step + rounds * round - 1;
                let is_odd = (lasts - (missing + 1) as f64 / PER_SECOND).abs() > TOLERANCE;
                (missing != 0 || is_odd).then_some(Break {
                    at: before.at - begin,
                    missing,
                    lasts,
                })
            })
            .collect()
    }

    /// Asserts that each picture is followed by the next.
    ///
    /// # Errors
    /// Where it is not so.
    pub fn expect_whole(&self) -> Result<()> {
        ensure!(!self.pictures.is_empty(), "there is not a picture");
        ensure!(self.breaks().is_empty(), "{self}");
        Ok(())
    }

    /// Asserts that pictures are missing at `most` places, no more than `missing` at each, and that none comes again.
    ///
    /// # Errors
    /// What is not so.
    pub fn expect_breaks(&self, most: usize, missing: i64) -> Result<()> {
        let breaks = self.breaks();
        ensure!(!self.pictures.is_empty(), "there is not a picture");
        ensure!(breaks.len() <= most, "more than {most} breaks: {self}");
        for found in &breaks {
            ensure!(found.missing > 0, "a picture comes again: {self}");
            ensure!(
                found.missing <= missing,
                "more than {missing} are missing: {self}"
            );
            let told = (found.missing + 1) as f64 / PER_SECOND;
            ensure!(
                (found.lasts - told).abs() <= TOLERANCE,
                "the file's time is not the camera's: {told:.2} s became {:.2} s: {self}",
                found.lasts
            );
        }
        Ok(())
    }
}

impl fmt::Display for Footage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pictures in {:.2} s", self.pictures.len(), self.seconds())?;
        for found in self.breaks() {
            write!(
                f,
                "; {} missing after {:.2} s, over {:.2} s",
                found.missing, found.at, found.lasts
            )?;
        }
        Ok(())
    }
}

/// Now, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_millis() as i64
}

/// The spans of a stream that a node has footage of, of all time.
///
/// # Errors
/// When it doesn't tell.
pub async fn spans(node: &MediaNode, path: &str) -> Result<Vec<Span>> {
    // To the end of the century: a node's clock may have been ahead.
    let url = format!("/api/weir/v1/recordings?path={path}&from=0&to=4102444800000");
    let (status, body) = node.text(&url).await?;
    ensure!(status == StatusCode::OK, "recordings: {status} {body}");
    listed(&body)
}

/// The spans in an answer of the API.
///
/// # Errors
/// When it is none.
pub fn listed(body: &str) -> Result<Vec<Span>> {
    let told: Value = serde_json::from_str(body)?;
    let spans = told["spans"].as_array().context("spans")?;
    spans
        .iter()
        .map(|span| {
            Ok(Span {
                start_ms: span["startMs"].as_i64().context("startMs")?,
                end_ms: span["endMs"].as_i64().context("endMs")?,
            })
        })
        .collect()
}

/// Waits until footage of that time is stored and listed.
///
/// # Errors
/// When it is not after `limit`.
pub async fn until_stored(node: &MediaNode, path: &str, at_ms: i64, limit: Duration) -> Result<()> {
    eventually(limit, &format!("{path} to be stored up to {at_ms}"), async || {
        let spans = spans(node, path).await?;
        let end = spans.last().map_or(0, |span| span.end_ms);
        ensure!(
            end >= at_ms,
            "it is stored up to {end}, {} ms before",
            at_ms - end
        );
        Ok(())
    })
    .await
}

/// Waits until so many seconds of a stream are stored from now on, and returns when that was.
///
/// # Errors
/// When they are not in time.
pub async fn record_for(node: &MediaNode, path: &str, seconds: u64) -> Result<i64> {
    let at = now_ms() + seconds as i64 * 1000;
    until_stored(node, path, at, secs(seconds + 20)).await?;
    Ok(at)
}

/// The hash of each picture's slices, and when it is shown. What differs from one container to the other (parameter sets,
/// delimiters) is left out.
async fn hashes(url: &str) -> Result<Vec<(String, f64)>> {
    let mut probe = Command::new("ffprobe");
    probe.args([
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_entries",
        "stream=codec_name",
    ]);
    probe.args(["-of", "csv=p=0", url]);
    let codec = process::output(&mut probe, secs(30)).await?;
    let slices = match codec.trim() {
        "hevc" => "0-31",
        _ => "1-5",
    };
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "error"]);
    // Playlists have none.
    if !url.contains(".m3u8") {
        command.args(["-ignore_editlist", "1"]);
    }
    command.args(["-i", url]);
    command.args(["-map", "0:v:0", "-c", "copy", "-copyts", "-bsf:v"]);
    command.arg(format!("filter_units=pass_types={slices}"));
    command.args(["-f", "framemd5", "-"]);
    let text = process::output(&mut command, secs(30)).await?;
    let mut tick = None;
    let mut pictures = Vec::new();
    for line in text.lines() {
        if let Some(base) = line.strip_prefix("#tb 0: ") {
            let (numerator, denominator) = base.split_once('/').context("a time base")?;
            tick = Some(numerator.parse::<f64>()? / denominator.parse::<f64>()?);
        }
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [_, _, pts, _, _, hash] = fields[..] else {
            continue;
        };
        let at = pts.parse::<f64>()? * tick.context("a time base before the pictures")?;
        pictures.push((hash.to_owned(), at));
    }
    Ok(pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footage(pictures: &[(u64, f64)]) -> Footage {
        Footage {
            round: 300,
            pictures: pictures
                .iter()
                .map(|(number, at)| Picture {
                    number: *number,
                    at: *at,
                })
                .collect(),
        }
    }

    #[test]
    fn rounds_go_on() {
        let all: Vec<_> = (0..700_u32)
            .map(|n| (u64::from(n) % 300, f64::from(n) * 0.04))
            .collect();
        assert!(footage(&all).expect_whole().is_ok());
    }

    #[test]
    fn what_is_missing_is_counted_over_rounds() {
        let some = footage(&[(298, 0.0), (299, 0.04), (9, 0.44), (10, 12.48)]);
        let missing: Vec<i64> = some.breaks().iter().map(|b| b.missing).collect();
        assert_eq!(missing, [9, 300]);
        assert!(some.expect_breaks(2, 300).is_ok());
        assert!(some.expect_breaks(2, 299).is_err());
        assert!(some.expect_breaks(1, 300).is_err());
    }

    #[test]
    fn a_picture_that_comes_again_is_found() {
        for again in [
            footage(&[(5, 0.0), (6, 0.04), (6, 0.08), (7, 0.12)]),
            footage(&[(5, 0.0), (6, 0.04), (5, 0.08), (6, 0.12)]),
        ] {
            assert!(again.expect_whole().is_err());
            let error = again
                .expect_breaks(9, 300)
                .expect_err("it comes again")
                .to_string();
            assert!(error.contains("again"), "{error}");
        }
    }

    #[test]
    fn time_that_runs_away_is_found() {
        let slow = footage(&[(5, 0.0), (6, 0.04), (7, 2.04), (8, 2.08)]);
        assert!(slow.expect_whole().is_err());
    }
}

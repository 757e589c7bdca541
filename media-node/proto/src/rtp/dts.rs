//! Decoding times for pictures that RTP delivers in decoding order with display times only.

use crate::media::CodecParameters;
use crate::media::codec::{h264, h265};
use std::collections::VecDeque;

/// Pictures that may be displayed ahead of one that was decoded before them; no level of H.264 or
/// H.265 allows more.
const MAX_DEPTH: usize = 16;

/// Frame duration assumed where the parameter sets say nothing, as a fraction of a second.
const DEFAULT_FRAME_RATE: (u32, u32) = (25, 1);

/// A display time this far behind, in seconds, is no reordering but another clock.
const JUMP_SECONDS: i64 = 2;

/// Gives each picture of a track a decoding time: never after its display time, never before the
/// decoding time of the picture ahead.
///
/// With a reordering depth of n, n pictures may be decoded before they are shown. Then the
/// decoding time of a picture is the smallest display time among it and the last n that have not
/// been used; the first n count back from the first display time. With depth 0 that is the display
/// time itself. No picture is ever held back.
///
/// The depth comes from the parameter sets. Where they say nothing it starts at 0, and grows
/// when a picture turns up that has to be shown before the last decoding time; that picture can't
/// be placed and is left out.
#[derive(Clone, Debug)]
pub struct DtsEstimator {
    clock_rate: u32,
    frame_duration: i64,
    depth: usize,
    /// Sorted display times that are not used yet, at most `depth`.
    window: VecDeque<i64>,
    last: Option<i64>,
    /// Fewer pictures than the depth have come.
    starting: bool,
}

impl DtsEstimator {
    /// `clock_rate` in Hz. `parameters` as far as they are known yet.
    pub fn new(clock_rate: u32, parameters: Option<&CodecParameters>) -> Self {
        let mut estimator = Self {
            clock_rate: clock_rate.max(1),
            frame_duration: 0,
            depth: 0,
            window: VecDeque::new(),
            last: None,
            starting: true,
        };
        estimator.set_frame_rate(None);
        if let Some(parameters) = parameters {
            estimator.set_parameters(parameters);
        }
        estimator
    }

    /// Takes over the frame rate and reordering depth of new parameter sets.
    pub fn set_parameters(&mut self, parameters: &CodecParameters) {
        match parameters {
            CodecParameters::H264(p) => {
                self.set_frame_rate(p.frame_rate);
                self.set_depth(h264::Sps::parse(&p.sps).ok().and_then(|sps| sps.reorder));
            }
            CodecParameters::H265(p) => {
                self.set_frame_rate(p.frame_rate);
                self.set_depth(h265::Sps::parse(&p.sps).ok().and_then(|sps| sps.reorder));
            }
            CodecParameters::Aac(_) | CodecParameters::G711(_) => {}
        }
    }

    fn set_frame_rate(&mut self, frame_rate: Option<(u32, u32)>) {
        let (numerator, denominator) = frame_rate
            .filter(|r| r.0 > 0 && r.1 > 0)
            .unwrap_or(DEFAULT_FRAME_RATE);
        let ticks = i64::from(self.clock_rate) * i64::from(denominator) / i64::from(numerator);
        // A frame rate below one a second is more likely a slip of the encoder.
        self.frame_duration = ticks.clamp(1, i64::from(self.clock_rate));
    }

    /// Sets how many pictures may be decoded before they are shown, at most 16. `None`: what is
    /// known so far stays.
    pub fn set_depth(&mut self, depth: Option<u8>) {
        if let Some(depth) = depth {
            self.depth = usize::from(depth).min(MAX_DEPTH);
        }
    }

    /// The decoding time of the picture with this display time, in ticks. `None` if there is none
    /// that fits.
    pub fn next(&mut self, pts: i64) -> Option<i64> {
        let jump = JUMP_SECONDS * i64::from(self.clock_rate);
        if self.last.is_some_and(|last| pts < last.saturating_sub(jump)) {
            self.window.clear();
            self.last = None;
            self.starting = true;
        }
        if self.last.is_some_and(|last| pts < last) {
            self.depth = (self.depth + 1).min(MAX_DEPTH);
            return None;
        }
        let at = self.window.partition_point(|other| *other <= pts);
        self.window.insert(at, pts);
        // A depth that shrank leaves more behind than will be used.
        let surplus = self.window.len().saturating_sub(self.depth + 1);
        self.window.drain(..surplus);

        let first = self.window.front().copied().unwrap_or(pts);
        let missing = (self.depth + 1 - self.window.len()) as i64;
        let dts = match self.last {
            _ if missing == 0 => {
                self.starting = false;
                self.window.pop_front();
                first
            }
            // The depth has grown: later pictures may be due right behind the last one.
            Some(last) if !self.starting => last,
            _ => first.saturating_sub(missing * self.frame_duration),
        };
        let dts = self.last.map_or(dts, |last| dts.max(last));
        self.last = Some(dts);
        Some(dts)
    }
}

#[cfg(test)]
mod tests;

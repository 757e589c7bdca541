//! What there is of a range.

use super::{JOINED_MS, Playback, PlaybackError};
use weir_recording::cover::cover;

/// A span that has footage. Milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    pub start_ms: i64,
    pub end_ms: i64,
}

impl Playback {
    /// What there is of a camera in a range: spans without a gap.
    pub async fn spans(
        &self,
        camera_uid: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<Span>, PlaybackError> {
        let segments = self.segments(camera_uid, from_ms, to_ms).await?;
        let mut spans: Vec<Span> = Vec::new();
        for part in cover(&segments, from_ms, to_ms) {
            let (start_ms, end_ms) = (part.from_ms.max(from_ms), part.to_ms.min(to_ms));
            match spans.last_mut() {
                Some(last) if start_ms - last.end_ms <= JOINED_MS => last.end_ms = end_ms.max(last.end_ms),
                _ => spans.push(Span { start_ms, end_ms }),
            }
        }
        Ok(spans)
    }
}

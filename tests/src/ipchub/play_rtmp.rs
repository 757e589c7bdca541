//! Section 12, RTMP: an addition of the older document.

use anyhow::{Result, ensure};

use super::Place;
use crate::player;

/// Plays for those who may pull, by a token.
pub async fn ipchub_play_rtmp(place: &Place) -> Result<()> {
    let (path, tokens) = place.stream("rtmp").await?;
    let guard = place.guard().await?.access.clone();
    for entry in place.entries() {
        for path in [&path, "/ids/Rtmp"] {
            let url = entry.rtmp(&format!("{path}?token={}", tokens.access));
            player::probe(&url, &[], 1.0)
                .await?
                .expect(&["h264", "aac"], 1.0)?;
        }
        for wrong in [
            "",
            "token=",
            "token=0123456789abcdef0123456789abcdef",
            &format!("token={}", tokens.refresh),
            &format!("token={guard}"),
        ] {
            let url = super::place::with(&entry.rtmp(&path), wrong);
            ensure!(player::probe(&url, &[], 0.5).await.is_err(), "{url} plays");
        }
        let unknown = entry.rtmp(&format!("/ids/unknown?token={}", place.token));
        ensure!(
            player::probe(&unknown, &[], 0.5).await.is_err(),
            "{unknown} plays"
        );
    }
    place.close("rtmp").await
}

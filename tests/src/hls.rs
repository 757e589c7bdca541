//! HLS as a player sees it who changes gateways: playlists, segments by number, and a player that keeps what it fetched.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use reqwest::Client;
use tokio::task::JoinHandle;

use crate::{eventually, wait::secs};

/// How long a player asks for the next segment: it lasts 2 s, and a gateway that has it keeps it for 14 s.
const LATE: Duration = secs(20);

/// A segment in a playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number, in its address.
    pub number: u64,
    /// Whether something is missing before it.
    pub discontinuity: bool,
}

/// A client that makes a connection for each request, so that a Service sends each to any of its pods.
///
/// # Errors
/// When there can't be one.
pub fn client() -> Result<Client> {
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0);
    // Long enough for a first playlist, and for a segment that is yet to come.
    Ok(client.connect_timeout(secs(2)).timeout(secs(25)).build()?)
}

/// What a playlist lists, the oldest first.
///
/// # Errors
/// When it is none.
pub fn listed(playlist: &str) -> Result<Vec<Listed>> {
    ensure!(playlist.starts_with("#EXTM3U"), "no playlist: {playlist}");
    let mut segments = Vec::new();
    let mut discontinuity = false;
    for line in playlist.lines() {
        if line == "#EXT-X-DISCONTINUITY" {
            discontinuity = true;
        } else if line.starts_with('/') {
            let name = line.rsplit('/').next().unwrap_or_default();
            let number = name.split('.').next().unwrap_or_default();
            segments.push(Listed {
                number: number.parse().with_context(|| line.to_owned())?,
                discontinuity: std::mem::take(&mut discontinuity),
            });
        }
    }
    Ok(segments)
}

/// The numbers of the segments that are certain to be whole: another follows on without a break.
pub fn whole(segments: &[Listed]) -> Vec<u64> {
    let pairs = segments.windows(2).filter(|pair| !pair[1].discontinuity);
    pairs.map(|pair| pair[0].number).collect()
}

/// The playlist of a stream at `base`, such as `http://192.0.2.1:8080`.
///
/// # Errors
/// When there is none, or no segment in it yet.
pub async fn playlist(client: &Client, base: &str, stream: &str) -> Result<Vec<Listed>> {
    let bytes = get(client, &format!("{base}/streams/{stream}.m3u8")).await?;
    listed(&String::from_utf8_lossy(&bytes))
}

/// A segment in transport stream form.
///
/// # Errors
/// When it is not there.
pub async fn segment(client: &Client, base: &str, stream: &str, number: u64) -> Result<Bytes> {
    get(client, &format!("{base}/streams/{stream}/{number}.ts")).await
}

async fn get(client: &Client, url: &str) -> Result<Bytes> {
    Ok(client.get(url).send().await?.error_for_status()?.bytes().await?)
}

/// A segment without the continuity counters of its packets (ISO/IEC 13818-1 section 2.4.3.2): each gateway counts from
/// when it began.
pub fn uncounted(segment: &[u8]) -> Vec<u8> {
    let mut segment = segment.to_vec();
    for packet in segment.chunks_mut(188) {
        if let Some(flags) = packet.get_mut(3) {
            *flags &= 0xf0;
        }
    }
    segment
}

/// A player that wants every segment from a number on, without a gap. Each of its requests is a connection of its own.
/// What fails it asks for again, as players do.
pub struct Follower {
    task: JoinHandle<()>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    segments: Vec<Bytes>,
    /// Why it has given up.
    failed: Option<String>,
}

impl Follower {
    /// Follows a stream at `base` from the segment of that number on.
    ///
    /// # Errors
    /// When there can't be a client.
    pub fn start(base: &str, stream: &str, from: u64) -> Result<Self> {
        let state = Arc::<Mutex<State>>::default();
        let (client, kept) = (client()?, state.clone());
        let (base, stream) = (base.to_owned(), stream.to_owned());
        let task = tokio::spawn(async move {
            for number in from.. {
                let next = patiently(&client, &base, &stream, number).await;
                let mut state = kept.lock().unwrap_or_else(PoisonError::into_inner);
                match next {
                    Ok(segment) => state.segments.push(segment),
                    Err(e) => {
                        state.failed = Some(format!("has given up: {e:#}"));
                        break;
                    }
                }
            }
        });
        Ok(Self { task, state })
    }

    /// What it has fetched, in order.
    pub fn segments(&self) -> Vec<Bytes> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.segments.clone()
    }

    /// Waits until it has fetched so many.
    ///
    /// # Errors
    /// When it has not within `limit`, with the reason if it has given up.
    pub async fn has(&self, count: usize, limit: Duration) -> Result<()> {
        eventually(limit, &format!("a player to have {count} segments"), async || {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let failed = state.failed.as_deref().unwrap_or("goes on");
            let has = state.segments.len();
            ensure!(has >= count, "it has {has} and {failed}");
            Ok(())
        })
        .await
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A segment, which is asked for until it comes.
async fn patiently(client: &Client, base: &str, stream: &str, number: u64) -> Result<Bytes> {
    let deadline = Instant::now() + LATE;
    loop {
        // A try that is in vain leaves time for others.
        let error = match tokio::time::timeout(secs(5), next(client, base, stream, number)).await {
            Ok(Ok(segment)) => return Ok(segment),
            Ok(Err(e)) => e,
            Err(e) => e.into(),
        };
        if Instant::now() > deadline {
            return Err(error.context(format!("segment {number} did not come within {LATE:?}")));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// A segment, once a playlist lists it or a newer one.
async fn next(client: &Client, base: &str, stream: &str, number: u64) -> Result<Bytes> {
    let listed = playlist(client, base, stream).await?;
    let newest = listed.last().context("an empty playlist")?.number;
    ensure!(newest >= number, "the newest that is listed is {newest}");
    segment(client, base, stream, number).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_whole_when_the_next_follows_on() -> Result<()> {
        let playlist = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n\n#EXTINF:2.000,\n/streams/a/b/7.ts\n#EXT-X-DISCONTINUITY\n\
                        #EXTINF:2.000,\n/streams/a/b/8.ts?token=x\n#EXTINF:2.000,\n/streams/a/b/9.ts\n";
        let listed = listed(playlist)?;
        assert_eq!(listed.iter().map(|s| s.number).collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!(whole(&listed), [8]);
        Ok(())
    }

    #[test]
    fn only_the_counter_of_a_packet_is_left_out() {
        let mut packets = vec![0xff; 2 * 188];
        packets[3] = 0x17;
        packets[188 + 3] = 0x38;
        let plain = uncounted(&packets);
        assert_eq!((plain[3], plain[188 + 3], plain[4]), (0x10, 0x30, 0xff));
    }
}

//! The streams that run, as far as APIs tell about them. How a documented API spells it is said in its
//! folder.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;
use std::time::SystemTime;
use weir_proto::media::StreamPath;

/// Knows the streams that run in the whole pool, and ends them. Asking never starts one. A pod that
/// does not answer in time is left out.
#[async_trait]
pub trait StreamDirectory: Send + Sync + 'static {
    /// All that runs.
    async fn survey(&self) -> Survey;

    /// The stream with this path, if it runs.
    async fn stream(&self, path: &StreamPath) -> Option<Stream>;

    /// Ends the stream, if it runs: its source and everybody who watches are let go.
    async fn close(&self, path: &StreamPath);

    /// Lets one consumer of the stream go, if it is there.
    async fn close_consumer(&self, path: &StreamPath, consumer: ConsumerId);
}

/// What runs at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// In any order, each path once.
    pub streams: Vec<Stream>,
    pub sessions: SessionCounts,
}

/// Sessions by family of protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCounts {
    /// Players, publishers and sources.
    pub rtsp: SessionCount,
    pub flv: SessionCount,
    pub wsp: SessionCount,
    pub rtmp: SessionCount,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCount {
    /// Since the processes started.
    pub total: u64,
    /// Open now.
    pub active: u64,
}

impl AddAssign for SessionCounts {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in [
            (&mut self.rtsp, other.rtsp),
            (&mut self.flv, other.flv),
            (&mut self.wsp, other.wsp),
            (&mut self.rtmp, other.rtmp),
        ] {
            count.total += more.total;
            count.active += more.active;
        }
    }
}

/// A running stream, as far as an API tells about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    #[serde(with = "as_text")]
    pub path: StreamPath,
    /// How far it is here from where it came into the pool: 0 there, 1 where a publisher's pod brings it,
    /// 2 where it is read from another pod.
    pub hops: u8,
    pub started: SystemTime,
    /// The upstream URL without credentials and with its port, or the publisher's `ip:port`.
    pub provider: String,
    pub received_bytes: u64,
    pub video: Option<Video>,
    pub audio: Option<Audio>,
    pub consumers: Vec<Consumer>,
}

/// The codec is named as in SDP, with `H265` for it and `AAC` for MPEG4-GENERIC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Video {
    pub codec: String,
    /// Pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub frame_rate: Option<FrameRate>,
    pub data_rate_kbps: Option<u32>,
    pub clock_rate_hz: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameRate {
    pub per_second: f64,
    /// Whether it never changes, by the codec's parameters.
    pub fixed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audio {
    pub codec: String,
    pub sample_rate_hz: Option<u32>,
    pub channels: Option<u32>,
    pub data_rate_kbps: Option<u32>,
}

/// Somebody who watches: not a relay, and not a reader of HLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    pub id: ConsumerId,
    pub started: SystemTime,
    /// How it is connected, such as `net=rtsp-tcp` or `net=http-flv,10.0.0.20:46060`.
    pub extra: String,
    pub queued_bytes: u64,
    pub sent_bytes: u64,
}

/// Names a consumer of a stream in the whole pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConsumerId {
    pub kind: ConsumerKind,
    /// Ordinal of the pod that serves it; 0 when there is one.
    pub pod: u8,
    /// Counts a stream's consumers on that pod from 1, below 2^22.
    pub number: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConsumerKind {
    Rtp,
    Flv,
}

/// ```text
///  31 30 29        22 21                    0
/// | kind |    pod    |        number         |
/// ```
impl ConsumerId {
    pub fn bits(self) -> u32 {
        let kind = match self.kind {
            ConsumerKind::Rtp => 0,
            ConsumerKind::Flv => 1,
        };
        kind << 30 | u32::from(self.pod) << 22 | self.number & 0x3f_ffff
    }

    /// None: of a kind that there is not.
    pub fn from_bits(bits: u32) -> Option<Self> {
        let kind = match bits >> 30 {
            0 => ConsumerKind::Rtp,
            1 => ConsumerKind::Flv,
            _ => return None,
        };
        Some(Self {
            kind,
            pod: (bits >> 22) as u8,
            number: bits & 0x3f_ffff,
        })
    }
}

/// A path as its text.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use weir_proto::media::StreamPath;

    pub(super) fn serialize<S: Serializer>(path: &StreamPath, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(path.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StreamPath, D::Error> {
        let text = String::deserialize(deserializer)?;
        StreamPath::parse(&text).ok_or_else(|| de::Error::custom("not a stream path"))
    }
}

#[cfg(test)]
mod tests {
    use super::{ConsumerId, ConsumerKind};

    #[test]
    fn ids_are_numbers_and_back() {
        let id = |kind, pod, number| ConsumerId { kind, pod, number };
        for (id, bits) in [
            (id(ConsumerKind::Rtp, 0, 1), 1),
            (id(ConsumerKind::Flv, 0, 1), 1_073_741_825),
            (id(ConsumerKind::Flv, 3, 7), (1 << 30) + (3 << 22) + 7),
            (id(ConsumerKind::Rtp, 255, 0x3f_ffff), (1 << 30) - 1),
        ] {
            assert_eq!(id.bits(), bits);
            assert_eq!(ConsumerId::from_bits(bits), Some(id));
        }
        assert_eq!(ConsumerId::from_bits(1 << 31), None);
    }
}

//! What the APIs ask of this process: its streams and cameras, as plain values.

use crate::api::{
    Audio, Camera, CameraDirectory, CameraTrack, Consumer, ConsumerKind, DirectoryError, FrameRate, Stream,
    StreamDirectory, Video,
};
use crate::cluster::directory::{CameraEntry, cameras};
use crate::cluster::resource::World;
use crate::hub::{self, Hub, View};
use async_trait::async_trait;
use std::sync::Arc;
use weir_crds::camera::TrackStatus;
use weir_proto::media::{Codec, CodecParameters, StreamPath, Track};

/// Reads the hub and the stores.
pub(super) struct Directory {
    pub(super) hub: Arc<Hub>,
    pub(super) world: World,
    /// For streams that say nothing of themselves: where media comes in over a relay, its node.
    pub(super) ordinal: u8,
}

#[async_trait]
impl StreamDirectory for Directory {
    async fn streams(&self) -> Result<Vec<Stream>, DirectoryError> {
        Ok(self
            .hub
            .streams()
            .iter()
            .map(|stream| self.stream_of(stream))
            .collect())
    }

    async fn stream(&self, path: &StreamPath) -> Result<Option<Stream>, DirectoryError> {
        Ok(self.hub.stream(path).map(|stream| self.stream_of(&stream)))
    }
}

#[async_trait]
impl CameraDirectory for Directory {
    async fn cameras(&self) -> Vec<Camera> {
        cameras(&self.world, &self.hub)
            .into_iter()
            .map(camera_of)
            .collect()
    }
}

impl Directory {
    fn stream_of(&self, stream: &hub::Stream) -> Stream {
        let tracks = stream.tracks();
        Stream {
            path: stream.path().clone(),
            started: stream.started(),
            provider: stream.provenance().address.clone(),
            received_bytes: stream.traffic().bytes_in,
            video: tracks.video().map(|(_, track)| video_of(track)),
            audio: tracks.audio().map(|(_, track)| audio_of(track)),
            consumers: stream
                .views()
                .iter()
                .filter_map(|view| self.consumer_of(view))
                .collect(),
        }
    }

    fn consumer_of(&self, view: &View) -> Option<Consumer> {
        let detail = &view.visitor.detail;
        let (kind, extra) = match view.visitor.protocol {
            "rtsp" => (ConsumerKind::Rtp, format!("net=rtsp-{detail}")),
            "rtsp-multicast" => (ConsumerKind::Rtp, format!("net = rtsp-multicast, {detail}")),
            "wsp" => (ConsumerKind::Rtp, "wsp".to_owned()),
            "http-flv" => (ConsumerKind::Flv, format!("net=http-flv,{detail}")),
            "ws-flv" => (ConsumerKind::Flv, format!("net=websocket-flv,{detail}")),
            "rtmp" => (ConsumerKind::Flv, format!("net=rtmp,{detail}")),
            // A relay's viewers are counted where they are.
            _ => return None,
        };
        Some(Consumer {
            kind,
            node: self.ordinal,
            number: view.number,
            started: view.started,
            extra,
            queued_bytes: view.bytes_out,
            sent_bytes: view.bytes_out,
        })
    }
}

fn camera_of(entry: CameraEntry) -> Camera {
    let track = |track: TrackStatus| CameraTrack {
        kind: match track.kind {
            weir_crds::camera::TrackKind::Video => "video",
            weir_crds::camera::TrackKind::Audio => "audio",
            weir_crds::camera::TrackKind::Data => "data",
        },
        codec: track.codec,
        width: track.width,
        height: track.height,
    };
    Camera {
        name: entry.name,
        namespace: entry.namespace,
        path: entry.path,
        display_name: entry.display_name,
        source: entry.source,
        node: entry.node,
        ready: entry.ready,
        reason: entry.reason,
        message: entry.message,
        codec: entry.codec,
        size: entry.size,
        tracks: entry.tracks.into_iter().map(track).collect(),
        viewers: entry.viewers as u64,
    }
}

fn video_of(track: &Track) -> Video {
    let rate = match &track.codec {
        CodecParameters::H264(p) => p.frame_rate,
        CodecParameters::H265(p) => p.frame_rate,
        CodecParameters::Aac(_) | CodecParameters::G711(_) => None,
    };
    let size = track.codec.size();
    Video {
        codec: track.codec.codec().to_string(),
        width: size.map(|(width, _)| width.into()),
        height: size.map(|(_, height)| height.into()),
        frame_rate: rate
            .filter(|(_, seconds)| *seconds > 0)
            .map(|(pictures, seconds)| FrameRate {
                per_second: f64::from(pictures) / f64::from(seconds),
                fixed: false,
            }),
        data_rate_kbps: None,
        clock_rate_hz: Some(track.clock_rate),
    }
}

fn audio_of(track: &Track) -> Audio {
    let codec = match (&track.codec, track.codec.codec()) {
        (CodecParameters::G711(p), Codec::G711) => match p.law {
            weir_proto::media::codec::g711::Law::A => "PCMA".to_owned(),
            weir_proto::media::codec::g711::Law::Mu => "PCMU".to_owned(),
        },
        (_, codec) => codec.to_string(),
    };
    let sample_rate = match &track.codec {
        CodecParameters::Aac(p) => p.sample_rate,
        _ => track.clock_rate,
    };
    Audio {
        codec,
        sample_rate_hz: Some(sample_rate),
        channels: track.codec.channels().map(u32::from),
        data_rate_kbps: None,
    }
}

//! What the APIs ask of this process: its streams and cameras, as plain values.

use super::ordinal::Ordinal;
use crate::api::{
    Audio, Camera, CameraDirectory, CameraForwarding, CameraTrack, Consumer, ConsumerId, ConsumerKind,
    FrameRate, LocalStreams, SessionCount, SessionCounts, Stream, Survey, Video,
};
use crate::cluster::directory::{CameraEntry, cameras};
use crate::cluster::resource::World;
use crate::hub::{self, Hub, View};
use crate::telemetry::sessions::{self, Sessions};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use weir_crds::camera::TrackStatus;
use weir_proto::media::{Codec, CodecParameters, StreamPath, Track};

/// Reads the hub and the stores.
pub(super) struct Directory {
    pub(super) hub: Arc<Hub>,
    pub(super) world: World,
    /// Of this pod, in the ids of its consumers.
    pub(super) ordinal: Ordinal,
}

impl LocalStreams for Directory {
    fn survey(&self) -> Survey {
        let count = |sessions: &Sessions| SessionCount {
            total: sessions.total(),
            active: sessions.active(),
        };
        Survey {
            streams: self.hub.streams().iter().map(|s| self.stream_of(s)).collect(),
            sessions: SessionCounts {
                rtsp: count(&sessions::RTSP),
                flv: count(&sessions::FLV),
                wsp: count(&sessions::WSP),
                rtmp: count(&sessions::RTMP),
            },
        }
    }

    fn stream(&self, path: &StreamPath) -> Option<Stream> {
        self.hub.stream(path).map(|stream| self.stream_of(&stream))
    }

    fn close(&self, path: &StreamPath) {
        self.hub.close(path);
    }

    fn close_consumer(&self, path: &StreamPath, consumer: ConsumerId) {
        if consumer.pod != self.ordinal.load(Ordering::Relaxed) {
            return;
        }
        let is_kind = |protocol: &str| kind_of(protocol) == Some(consumer.kind);
        let stream = self.hub.stream(path);
        if let Some(seat) = stream.and_then(|stream| stream.seat(consumer.number, is_kind)) {
            seat.close();
        }
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
        let provenance = stream.provenance();
        Stream {
            path: stream.path().clone(),
            hops: match provenance.protocol {
                "relay" => 2,
                "relay-push" => 1,
                _ => 0,
            },
            started: stream.started(),
            provider: provenance.address.clone(),
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
        let protocol = view.visitor.protocol;
        let kind = kind_of(protocol)?;
        let extra = match protocol {
            "rtsp" => format!("net=rtsp-{detail}"),
            "rtsp-multicast" => format!("net = rtsp-multicast, {detail}"),
            "wsp" => "wsp".to_owned(),
            "ws-flv" => format!("net=websocket-flv,{detail}"),
            "ws-ts" => format!("net=websocket-ts,{detail}"),
            _ => format!("net={protocol},{detail}"),
        };
        Some(Consumer {
            id: ConsumerId {
                kind,
                pod: self.ordinal.load(Ordering::Relaxed),
                number: view.number,
            },
            started: view.started,
            extra,
            queued_bytes: view.bytes_out,
            sent_bytes: view.bytes_out,
        })
    }
}

/// None: not a consumer. A relay's viewers are counted where they are.
fn kind_of(protocol: &str) -> Option<ConsumerKind> {
    match protocol {
        "rtsp" | "rtsp-multicast" | "wsp" => Some(ConsumerKind::Rtp),
        // The documented API knows two kinds; this is the one for what has no packets of RTP.
        "http-flv" | "ws-flv" | "rtmp" | "http-ts" | "ws-ts" => Some(ConsumerKind::Flv),
        // A relay's viewers are counted where they are.
        _ => None,
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
        forwarding: entry.forwarding.map(|condition| CameraForwarding {
            ready: condition.is_true(),
            reason: condition.reason,
            message: condition.message,
        }),
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

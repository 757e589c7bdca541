//! Bodies of the fuzz targets: here, so that stable builds keep them compiling and the tests replay
//! their corpora, `fuzz/corpus/<name>/`. Each takes any bytes; it may reject them, but neither panic
//! nor contradict itself.
//!
//! A target has its body here, a line in [`TARGETS`], a file in `fuzz/fuzz_targets/`, a `[[bin]]` in
//! `fuzz/Cargo.toml`, and seeds. `cargo +nightly fuzz run <name>`, here, hunts for more.

mod codec;
mod flv;
mod http;
mod mp4;
mod relay;
mod rtmp;
mod rtp;
mod rtsp;
mod sdp;
mod websocket;
mod wsp;

/// A target and its body.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Of the target, and of the folder of its corpus.
    pub name: &'static str,
    pub body: fn(&[u8]),
}

/// Every target, by name.
pub const TARGETS: &[Target] = &[
    Target {
        name: "aac_config",
        body: codec::aac_config,
    },
    Target {
        name: "annexb",
        body: codec::annexb,
    },
    Target {
        name: "flv",
        body: flv::flv,
    },
    Target {
        name: "h264_sps",
        body: codec::h264_sps,
    },
    Target {
        name: "h265_sps",
        body: codec::h265_sps,
    },
    Target {
        name: "http_request",
        body: http::http_request,
    },
    Target {
        name: "mp4_index",
        body: mp4::mp4_index,
    },
    Target {
        name: "relay",
        body: relay::relay,
    },
    Target {
        name: "rtcp",
        body: rtp::rtcp,
    },
    Target {
        name: "rtmp_amf0",
        body: rtmp::rtmp_amf0,
    },
    Target {
        name: "rtmp_chunk",
        body: rtmp::rtmp_chunk,
    },
    Target {
        name: "rtmp_server",
        body: rtmp::rtmp_server,
    },
    Target {
        name: "rtp_depacketize_aac",
        body: rtp::rtp_depacketize_aac,
    },
    Target {
        name: "rtp_depacketize_h264",
        body: rtp::rtp_depacketize_h264,
    },
    Target {
        name: "rtp_depacketize_h265",
        body: rtp::rtp_depacketize_h265,
    },
    Target {
        name: "rtp_depacketize_latm",
        body: rtp::rtp_depacketize_latm,
    },
    Target {
        name: "rtp_packet",
        body: rtp::rtp_packet,
    },
    Target {
        name: "rtsp_message",
        body: rtsp::rtsp_message,
    },
    Target {
        name: "rtsp_server",
        body: rtsp::rtsp_server,
    },
    Target {
        name: "sdp",
        body: sdp::sdp,
    },
    Target {
        name: "websocket",
        body: websocket::websocket,
    },
    Target {
        name: "wsp",
        body: wsp::wsp,
    },
];

/// Runs the body of the target of this name.
///
/// # Panics
/// If the body finds a contradiction, or if there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("a target of that name");
    (target.body)(data);
}

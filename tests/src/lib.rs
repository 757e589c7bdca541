//! Helpers of the tests that run Weir as its users do: real processes, real cameras, real players, a real Kubernetes.
//!
//! | module | holds |
//! |---|---|
//! | `process` | a child process with its log, ended with the test |
//! | `setup` | where the things are that `tests/setup` made, and the binaries under test |
//! | `wait` | `eventually`: poll until it is so, or say what was awaited |
//! | `media_node` | `media-node standalone` in a folder of its own, and its API |
//! | `manifest` | resources as YAML |
//! | `camera` | RTSP and RTMP servers and publishers that are not ours |
//! | `footage` | what was recorded, picture by picture |
//! | `line` | connections that can be cut, slowed and broken |
//! | `s3` | an object store that is not ours |
//! | `player` | ffprobe, ffmpeg and WebSocket viewers, and what they saw |
//! | `hls` | playlists and segments, and a player that wants every segment |
//! | `parted_playlist` | low-latency HLS playlists, and the rules that they must keep |
//! | `rtsp` | RTSP as the tests speak it themselves |
//! | `web_socket` | RTSP and WSP as web pages speak them |
//! | `browser` | players in headless Chromium |
//! | `tls` | certificates, and clients that trust them |
//! | `cluster` | kubectl, helm, and a namespace of the test's own |
//! | `archive` | a namespace whose nodes record, and what can be watched of it |
//! | `ingress` | an ingress controller in front of a namespace's gateways |
//! | `ipchub` | the lines of the ipchub contract, as checks for any place |
//! | `recorder` | likewise, of the cloud recorder's |
//!
//! The tests are in `tests/loopback_*.rs` (one process, no cluster) and `tests/e2e_*.rs` (a cluster). Run them by
//! `just loopback` and `just e2e`, which build what they need.

pub mod archive;
pub mod browser;
pub mod camera;
pub mod cluster;
pub mod footage;
pub mod hls;
pub mod ingress;
pub mod ipchub;
pub mod line;
pub mod manifest;
pub mod media_node;
pub mod parted_playlist;
pub mod player;
pub mod process;
pub mod recorder;
pub mod rtsp;
pub mod s3;
pub mod setup;
pub mod tls;
pub mod wait;
pub mod web_socket;

pub use anyhow::{Context, Result, bail, ensure};
pub use wait::eventually;

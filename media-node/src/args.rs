//! The command line; every option is also an environment variable.

use clap::builder::BoolishValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Ingests, relays and serves video streams.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Args {
    #[command(subcommand)]
    pub role: Role,
    /// How log lines look, on standard error.
    #[arg(long, global = true, env = "WEIR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// What a variable of a switch may say: `1`, `true`, `yes`, `on`, or their opposites.
fn yes_or_no() -> BoolishValueParser {
    BoolishValueParser::new()
}

#[derive(Debug, Subcommand)]
pub enum Role {
    /// Everything in one process, without Kubernetes: cameras from a folder of manifests.
    Standalone(Standalone),
    /// A pod that ingests the cameras placed on it, and serves them to gateways.
    Node(Pod),
    /// A pod that viewers and API clients talk to.
    Gateway(Gateway),
    /// Makes the index of recordings again from the bucket, or compares the two.
    Index(Index),
    /// Plays a stream for a moment and says what came; for tests and probes.
    Probe(Probe),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Ports of every role.
#[derive(Clone, Debug, ClapArgs)]
pub struct Ports {
    /// Address to listen on.
    #[arg(long, env = "WEIR_BIND", default_value = "0.0.0.0")]
    pub bind: IpAddr,
    /// Port that takes RTSP and HTTP; 0 takes a free one, as for the other ports.
    #[arg(long, env = "WEIR_PORT", default_value_t = 1554)]
    pub port: u16,
    /// Port that takes HTTP.
    #[arg(long, env = "WEIR_HTTP_PORT", default_value_t = 8080)]
    pub http_port: u16,
    /// Port that takes RTMP; on a node, only held.
    #[arg(long, env = "WEIR_RTMP_PORT", default_value_t = 1935)]
    pub rtmp_port: u16,
    /// UDP port held for WebRTC, which is not served yet.
    #[arg(long, env = "WEIR_WEBRTC_PORT", default_value_t = 8189)]
    pub webrtc_port: u16,
    /// Connections open at once, all ports together.
    #[arg(long, env = "WEIR_MOST_CONNECTIONS", default_value_t = 20_000)]
    pub most_connections: usize,
    /// Connections that one peer (an IPv4 address or an IPv6 /64) may have open at once; by default a
    /// quarter of all. Raise it where all viewers come through one proxy.
    #[arg(long, env = "WEIR_MOST_CONNECTIONS_PER_PEER")]
    pub most_connections_per_peer: Option<usize>,
}

/// TLS on the ports of a role that viewers reach. Each takes it besides plain text.
#[derive(Clone, Debug, ClapArgs)]
pub struct Tls {
    /// PEM file with the certificate that the server shows, followed by those of its authorities. RTSPS, RTMPS,
    /// https and wss are then spoken on the ports of their plain kin. A new certificate in the file is
    /// served without a restart.
    #[arg(long, env = "WEIR_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the key of that certificate.
    #[arg(long, env = "WEIR_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Refuses viewers, publishers and API clients without TLS. Probes, metrics and the other pods of a pool
    /// still come without.
    #[arg(long, env = "WEIR_TLS_REQUIRED", value_parser = yes_or_no())]
    pub tls_required: bool,
}

/// How streams are cut for HLS.
#[derive(Clone, Debug, ClapArgs)]
pub struct Media {
    /// Length of HLS segments in seconds; each ends at the first keyframe after it.
    #[arg(long, env = "WEIR_HLS_SEGMENT", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=60))]
    pub hls_segment: u16,
    /// Length of the parts of segments in low-latency HLS, in milliseconds, as nearly as pictures allow.
    #[arg(long, env = "WEIR_HLS_PART", default_value_t = 200, value_parser = clap::value_parser!(u16).range(50..=1000))]
    pub hls_part: u16,
}

impl Media {
    /// What segments last at least.
    pub fn segment(&self) -> Duration {
        Duration::from_secs(self.hls_segment.into())
    }

    pub fn part(&self) -> Duration {
        Duration::from_millis(self.hls_part.into())
    }
}

/// How streams are recorded.
#[derive(Clone, Debug, ClapArgs)]
pub struct Recording {
    /// Length of recorded segments in seconds; each ends at the first keyframe after it.
    #[arg(long, env = "WEIR_SEGMENT_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub segment_seconds: u16,
    /// MiB that segments may take on this machine's disk until they are in the object store. When they take more, the
    /// oldest are dropped.
    #[arg(long, env = "WEIR_SPOOL_MIB", default_value_t = 10_240, value_parser = clap::value_parser!(u64).range(64..))]
    pub spool_mib: u64,
}

impl Recording {
    pub fn segment(&self) -> Duration {
        Duration::from_secs(self.segment_seconds.into())
    }

    pub const fn spool_bytes(&self) -> u64 {
        self.spool_mib << 20
    }
}

/// Programs that decode.
#[derive(Clone, Debug, ClapArgs)]
pub struct Workers {
    /// The ffmpeg that makes snapshots and thumbnails; by default that on PATH. Without one, all but those works.
    #[arg(long, env = "WEIR_FFMPEG")]
    pub ffmpeg: Option<PathBuf>,
}

/// The cloud recorder's API.
#[derive(Clone, Debug, ClapArgs)]
pub struct Recorder {
    /// Name of the site, which the cloud recorder's API tells.
    #[arg(long, env = "WEIR_RECORDER_TITLE", default_value = "云录播")]
    pub recorder_title: String,
    /// Time zone of the cloud recorder's API, by its name in the IANA database; by default the pool's.
    #[arg(long, env = "WEIR_RECORDER_TIME_ZONE")]
    pub recorder_time_zone: Option<String>,
    /// Address of recordings and snapshots as clients of the cloud recorder's API see it, such as
    /// `http://media.example.org:80`; by default that of their request.
    #[arg(long, env = "WEIR_RECORDER_STORAGE_ADDRESS")]
    pub recorder_storage_address: Option<String>,
    /// Seconds for which the cloud recorder's tokens are good.
    #[arg(long, env = "WEIR_RECORDER_TOKEN_SECONDS", default_value_t = 7200, hide = true, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub recorder_token_seconds: u64,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct Standalone {
    /// Folder for everything that is kept: accounts, media files, recordings.
    #[arg(long, env = "WEIR_DATA", default_value = "weir-data")]
    pub data: PathBuf,
    /// Folder of Camera and Route manifests; by default `manifests` in the data folder.
    #[arg(long, env = "WEIR_MANIFESTS")]
    pub manifests: Option<PathBuf>,
    #[command(flatten)]
    pub ports: Ports,
    #[command(flatten)]
    pub media: Media,
    #[command(flatten)]
    pub recording: Recording,
    #[command(flatten)]
    pub workers: Workers,
    #[command(flatten)]
    pub tls: Tls,
    /// File that holds the administrator's password; without it, the first start makes one and
    /// prints it.
    #[arg(long, env = "WEIR_ADMIN_PASSWORD_FILE")]
    pub admin_password_file: Option<PathBuf>,
    /// What clients of the cloud recorder's API show as `unionid`, or its base64; without it, the first start makes one
    /// and prints it.
    #[arg(long, env = "WEIR_RECORDER_UNIONID", hide_env_values = true)]
    pub recorder_unionid: Option<String>,
    #[command(flatten)]
    pub recorder: Recorder,
    /// Lets everybody watch without credentials.
    #[arg(long, env = "WEIR_ANONYMOUS_VIEW", value_parser = yes_or_no())]
    pub anonymous_view: bool,
    /// Adds a camera that needs no hardware, under the path `demo`.
    #[arg(long, env = "WEIR_DEMO", value_parser = yes_or_no())]
    pub demo: bool,
}

/// A pod of a MediaPool.
#[derive(Clone, Debug, ClapArgs)]
pub struct Pod {
    /// Name of this pod.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: String,
    /// Namespace of this pod and of its MediaPool.
    #[arg(long, env = "POD_NAMESPACE")]
    pub pod_namespace: String,
    /// Name of the MediaPool.
    #[arg(long, env = "WEIR_POOL")]
    pub pool: String,
    /// Folder of the pool's Secret: files `username`, `password` and `relay`.
    #[arg(long, env = "WEIR_AUTH_DIR", default_value = "/etc/weir/auth")]
    pub auth_dir: PathBuf,
    /// Folder for what is kept.
    #[arg(long, env = "WEIR_DATA", default_value = "/var/lib/weir")]
    pub data: PathBuf,
    /// Lets everybody watch without credentials.
    #[arg(long, env = "WEIR_ANONYMOUS_VIEW", value_parser = yes_or_no())]
    pub anonymous_view: bool,
    /// Networks that no source may be dialled at, besides those that the pool's policy denies: the
    /// cluster's own.
    #[arg(long, env = "WEIR_DENY_SOURCES", value_delimiter = ',')]
    pub deny_sources: Vec<String>,
    /// Milliseconds for which a camera's former node goes on while the new one has no media.
    #[arg(long, env = "WEIR_HANDOVER_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(500..=60_000))]
    pub handover_ms: u32,
    #[command(flatten)]
    pub ports: Ports,
    #[command(flatten)]
    pub media: Media,
    #[command(flatten)]
    pub recording: Recording,
    #[command(flatten)]
    pub workers: Workers,
    /// Folder of the object store's Secret: files `accessKeyId` and `secretAccessKey`.
    #[arg(long, env = "WEIR_STORAGE_DIR")]
    pub storage_dir: Option<PathBuf>,
}

impl Pod {
    pub fn handover(&self) -> Duration {
        Duration::from_millis(self.handover_ms.into())
    }
}

#[derive(Clone, Debug, ClapArgs)]
pub struct Gateway {
    #[command(flatten)]
    pub pod: Pod,
    #[command(flatten)]
    pub tls: Tls,
    /// Where accounts are kept: `postgres://…`; by default a SQLite file in the data folder, for a
    /// single gateway.
    #[arg(long, env = "WEIR_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    #[command(flatten)]
    pub recorder: Recorder,
}

/// The index of recordings. Run it in a gateway's pod, or beside a standalone node with its data folder.
#[derive(Clone, Debug, ClapArgs)]
pub struct Index {
    #[command(subcommand)]
    pub action: IndexAction,
    /// The data folder of a standalone node, or of the gateway.
    #[arg(long, env = "WEIR_DATA", default_value = "weir-data")]
    pub data: PathBuf,
    /// Folder of a standalone node's manifests, whose MediaPool may name a bucket; by default `manifests` in the data folder.
    #[arg(long, env = "WEIR_MANIFESTS")]
    pub manifests: Option<PathBuf>,
    /// Name of the gateway's pod; without it, the index is a standalone node's.
    #[arg(long, env = "POD_NAME", requires = "pod_namespace", requires = "pool")]
    pub pod_name: Option<String>,
    /// Namespace of the pod and of its MediaPool.
    #[arg(long, env = "POD_NAMESPACE")]
    pub pod_namespace: Option<String>,
    /// Name of the MediaPool.
    #[arg(long, env = "WEIR_POOL")]
    pub pool: Option<String>,
    /// Folder of the object store's Secret: files `accessKeyId` and `secretAccessKey`.
    #[arg(long, env = "WEIR_STORAGE_DIR")]
    pub storage_dir: Option<PathBuf>,
    /// Where the index is: `postgres://…`; by default a SQLite file in the data folder.
    #[arg(long, env = "WEIR_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum IndexAction {
    /// Makes the index say what is in the bucket.
    Rebuild,
    /// Says what is missing, cut short or not listed, and changes nothing.
    Verify {
        /// Reads all segments rather than asking for their sizes.
        #[arg(long)]
        deep: bool,
    },
}

#[derive(Clone, Debug, ClapArgs)]
pub struct Probe {
    /// HTTP-FLV URL to play, `http://host:port/streams/path.flv?token=…`; `https://` with `--tls-cert`.
    #[arg(long, env = "WEIR_PROBE_URL", hide_env_values = true)]
    pub url: String,
    /// Folder of the pool's Secret: logs in with it when the URL has no token.
    #[arg(long, env = "WEIR_AUTH_DIR")]
    pub auth_dir: Option<PathBuf>,
    /// PEM file with the certificate that the server of an `https://` URL has to show.
    #[arg(long, env = "WEIR_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// Seconds until the stream must play.
    #[arg(long, env = "WEIR_PROBE_PATIENCE", default_value_t = 60)]
    pub patience: u64,
}

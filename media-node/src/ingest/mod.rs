//! Media in. Each file turns one protocol into access units for the hub.
//!
//! We dial: [`rtsp_pull`], [`rtmp_pull`], [`file`], [`relay`] (another pod); they dial:
//! [`rtsp_publish`], [`rtmp_publish`]. Placement, demand and when to start or stop are the
//! supervisor's; how to reconnect is [`retry`]'s.

mod clock;
mod file;
mod flv;
mod job;
mod publishing;
pub mod relay;
mod retry;
pub mod rtmp_publish;
mod rtmp_pull;
pub mod rtsp_publish;
mod rtsp_pull;
mod rtsp_tls;
pub mod rtsp_udp;
mod unreadable;

pub use crate::dial::{Authorities, AuthoritiesError, Credentials, RtmpUrl, RtmpUrlError, TlsFault, Trust};
pub use flv::Error as FlvError;
pub use job::{Job, Launch, Reason, Reporter, Source, State, Transport};
pub use publishing::{Published, Publishing};

use crate::auth::source_policy::SourcePolicy;
use crate::hub::Hub;
use file::FileLoop;
use relay::Relay;
use retina::client::SessionGroup;
use rtmp_pull::RtmpPull;
use rtsp_pull::RtspPull;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{Instrument, info_span};

/// Starts the jobs of this process.
pub struct Ingest {
    pub hub: Arc<Hub>,
    /// Which addresses may be dialled; follows the MediaPool.
    pub policy: watch::Receiver<Arc<SourcePolicy>>,
    /// Target length of HLS segments of the streams that this node owns.
    pub segment: Duration,
}

impl Launch for Ingest {
    fn launch(&self, job: Job, reporter: Reporter) -> tokio::task::JoinHandle<()> {
        let (hub, policy, segment) = (self.hub.clone(), self.policy.clone(), self.segment);
        let span = info_span!(
            "ingest",
            camera = job.camera,
            stream = %job.path,
            protocol = job.source.protocol(),
            peer = job.source.peer(),
        );
        tokio::spawn(run(hub, policy, segment, job, reporter).instrument(span))
    }
}

async fn run(
    hub: Arc<Hub>,
    policy: watch::Receiver<Arc<SourcePolicy>>,
    segment: Duration,
    job: Job,
    reporter: Reporter,
) {
    let (hub, job) = (&hub, &job);
    match &job.source {
        Source::Rtsp {
            url,
            transport,
            credentials,
            trust,
        } => {
            let (transport, credentials) = (*transport, credentials.as_ref());
            let sessions = Arc::new(SessionGroup::default());
            let pull = RtspPull {
                hub,
                policy,
                job,
                url,
                transport,
                credentials,
                trust,
                segment,
                sessions,
            };
            retry::keep(job, reporter, pull).await;
        }
        Source::Rtmp { url, trust } => {
            let pull = RtmpPull {
                hub,
                policy,
                job,
                url,
                trust,
                segment,
            };
            retry::keep(job, reporter, pull).await;
        }
        Source::File { file, repeat } => {
            let played = FileLoop {
                hub,
                job,
                file,
                repeat: *repeat,
                segment,
            };
            retry::keep(job, reporter, played).await;
        }
        Source::Relay { address, secret } => {
            retry::keep(
                job,
                reporter,
                Relay {
                    hub,
                    job,
                    address,
                    secret,
                },
            )
            .await;
        }
    }
}

//! Redialling: attempt after attempt, and what is told meanwhile.

use super::{Job, Reason, Reporter, Source, State};
use crate::dial::{Backoff, TlsError};
use rand::RngExt;
use std::fmt::Display;
use std::future::Future;
use std::time::SystemTime;
use tracing::{debug, info, warn};
use weir_proto::media::Tracks;

/// Why an attempt ended, in words for a person.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// The source, given as people may see it, has not shaken hands.
    pub(super) fn tls(shown: impl Display, error: &TlsError) -> Self {
        Self::new(Reason::Tls(error.fault), format!("{shown} {error}"))
    }
}

/// Tells the job's state to whoever watches, and remembers since when it is live.
pub(super) struct Session<'a> {
    reporter: &'a Reporter,
    live_since: Option<SystemTime>,
}

impl Session<'_> {
    /// The source is connected and its tracks are known, or have changed.
    pub(super) fn live(&mut self, tracks: &Tracks) {
        let since = *self.live_since.get_or_insert_with(SystemTime::now);
        self.reporter.state.send_replace(State::Live {
            tracks: tracks.clone(),
            since,
        });
    }

    fn was_steady(&self) -> bool {
        self.live_since
            .and_then(|s| s.elapsed().ok())
            .is_some_and(|lived| lived >= Backoff::STEADY)
    }
}

/// A source that can be dialled again and again.
pub(super) trait Attempt: Sync {
    /// Dials, and publishes until it is over; the result is why.
    fn attempt(&self, session: &mut Session<'_>) -> impl Future<Output = Failure> + Send;
}

/// Attempts again and again, until the job is told to stop.
pub(super) async fn keep(job: &Job, reporter: Reporter, source: impl Attempt) {
    let mut backoff = Backoff::new();
    loop {
        reporter.state.send_replace(State::Connecting);
        let mut session = Session {
            reporter: &reporter,
            live_since: None,
        };
        let failure = tokio::select! {
            () = reporter.stop.cancelled() => break,
            failure = source.attempt(&mut session) => failure,
        };
        if session.was_steady() {
            backoff = Backoff::new();
        }
        let retry_in = job.redial.then(|| backoff.wait(rand::rng().random()));
        let reason = failure.reason.as_str();
        metrics::counter!("weir_ingest_failures_total", "reason" => reason).increment(1);
        if session.live_since.is_some() {
            info!(stream = %job.path, reason, why = failure.message, ?retry_in, "the source was lost");
        } else if matches!(job.source, Source::Relay { .. }) {
            // Every name that somebody asks a gateway for; whoever may bring it says what matters.
            debug!(stream = %job.path, reason, why = failure.message, "no relay");
        } else {
            warn!(stream = %job.path, reason, why = failure.message, ?retry_in, "the source could not be had");
        }
        reporter.state.send_replace(State::Failed {
            reason: failure.reason,
            message: failure.message,
            retry_in,
        });
        let Some(wait) = retry_in else { break };
        tokio::select! {
            () = reporter.stop.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
    }
    if !matches!(&*reporter.state.borrow(), State::Failed { retry_in: None, .. }) {
        reporter.state.send_replace(State::Stopped);
    }
}

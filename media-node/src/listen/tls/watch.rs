//! Files whose certificate is replaced while we run, as Kubernetes and certbot do it.

use super::Files;
use super::certificate::{Contents, Current, Error, Held};
use crate::telemetry::error_chain;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What was last found in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is served.
    Served(Contents),
    /// It can't be served. The two files may be replaced one after the other, so this is news only when it
    /// is found again. None: they could not be read.
    Broken(Option<Contents>, Told),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    No,
    Yes,
}

/// Serves what the files hold, until `stop`; `served` is what they held.
pub(super) async fn follow(files: Files, served: Contents, current: Arc<Current>, stop: CancellationToken) {
    let mut found = Found::Served(served);
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        found = again(&files, found, &current).await;
    }
}

impl Found {
    /// Whether nothing is to be done about files that hold this.
    fn is_settled(self, contents: Option<Contents>) -> bool {
        match self {
            Self::Served(served) => contents == Some(served),
            Self::Broken(before, told) => told == Told::Yes && contents == before,
        }
    }

    /// What holds `contents` can't be served.
    fn broken(self, contents: Option<Contents>, error: &Error) -> Self {
        match self {
            Self::Broken(before, Told::Yes) if contents == before => self,
            Self::Broken(before, Told::No) if contents == before => {
                warn!(
                    error = error_chain(error),
                    "the new certificate can't be served; the one before it goes on"
                );
                Self::Broken(contents, Told::Yes)
            }
            _ => Self::Broken(contents, Told::No),
        }
    }
}

/// Looks once. Files that hold what they held are not taken apart again.
pub(super) async fn again(files: &Files, found: Found, current: &Current) -> Found {
    let held = match Held::read(files).await {
        Ok(held) => held,
        Err(error) => return found.broken(None, &error),
    };
    let contents = held.contents();
    if found.is_settled(Some(contents)) {
        return found;
    }
    match held.pair(files) {
        Ok(pair) => {
            info!(certificate = %files.certificate.display(), "a new certificate is served");
            current.replace(pair);
            Found::Served(contents)
        }
        Err(error) => found.broken(Some(contents), &error),
    }
}

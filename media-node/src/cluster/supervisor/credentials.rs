//! The Secrets that sources and forwards need, read once and kept: so that cameras can be redialled while the
//! API server is away. They are read again when a source refuses them, when they change where
//! that is told, and before a dial when they are old.

use crate::cluster::job_of::{self, Known as Learnt, Refusal};
use crate::cluster::resource::{SecretData, Secrets, WriteError};
use kube::runtime::reflector::Store;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;
use weir_crds::MediaPool;
use weir_crds::condition::reason;

/// A Secret that isn't there, or couldn't be read, is asked for again after this.
const RETRY: Duration = Duration::from_secs(5);
/// ... and sooner at first: an API call makes a Route before its Secret, and nodes are allowed to read
/// that a moment later.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// For how long that is so.
pub(super) const SETTLING: Duration = Duration::from_secs(5);

/// Namespace and name.
pub(super) type SecretName = (String, String);

/// The outcome of reading one.
pub(super) type Answer = (SecretName, Result<Option<SecretData>, WriteError>);

/// What was read.
enum Known {
    Data(SecretData),
    /// There is none of that name.
    Absent,
}

#[derive(Default)]
struct Slot {
    value: Option<Known>,
    read_at: Option<Instant>,
    reading: bool,
    trouble: Option<String>,
    /// Since when it could not be had.
    missing: Option<Instant>,
}

pub(super) struct SecretCache {
    source: Arc<dyn Secrets>,
    pools: Store<MediaPool>,
    slots: HashMap<SecretName, Slot>,
    answers: mpsc::Sender<Answer>,
}

/// What is known of a Secret.
pub(super) enum Found<T> {
    Ready(T),
    Refused(Refusal),
    /// Being read; the text says why that takes longer.
    Pending(Option<String>),
}

impl SecretCache {
    /// `pools` have Secrets of their own, which nobody else is sent.
    pub(super) fn new(
        source: Arc<dyn Secrets>,
        pools: Store<MediaPool>,
        answers: mpsc::Sender<Answer>,
    ) -> Self {
        Self {
            source,
            pools,
            slots: HashMap::new(),
            answers,
        }
    }

    /// What `read` makes of the Secret. `keys` are those that it should have, for people.
    pub(super) fn find<T>(
        &mut self,
        name: &SecretName,
        keys: &str,
        read: impl FnOnce(&SecretData, &str) -> Result<T, Refusal>,
    ) -> Found<T> {
        if self.pools.find(|pool| pool.owns_secret(&name.1)).is_some() {
            let message = format!(
                "the Secret {} is the MediaPool's own, which no other server is sent: name another in secretName",
                name.1
            );
            return Found::Refused(Refusal::new(reason::INVALID_SPEC, message));
        }
        let slot = self.slots.entry(name.clone()).or_default();
        let found = match &slot.value {
            Some(Known::Data(data)) => match read(data, &name.1) {
                Ok(value) => return Found::Ready(value),
                Err(refusal) => Found::Refused(refusal),
            },
            Some(Known::Absent) => {
                let message = format!("the Secret {} does not exist: make it, with {keys}", name.1);
                Found::Refused(Refusal::new(reason::SECRET_NOT_FOUND, message))
            }
            None => Found::Pending(slot.trouble.clone()),
        };
        let settles = slot.missing.is_none_or(|since| since.elapsed() < SETTLING);
        self.refresh(name, if settles { FIRST_RETRY } else { RETRY });
        found
    }

    /// What those Secrets of a namespace say that a source needs: the one with its credentials, and the one with the
    /// authorities that vouch for it.
    pub(super) fn learn(
        &mut self,
        credentials: Option<&SecretName>,
        authorities: Option<&SecretName>,
    ) -> Found<Learnt> {
        let mut learnt = Learnt::default();
        if let Some(name) = credentials {
            match self.find(name, job_of::SOURCE_KEYS, job_of::credentials) {
                Found::Ready(found) => learnt.credentials = Some(found),
                Found::Refused(refusal) => return Found::Refused(refusal),
                Found::Pending(trouble) => return Found::Pending(trouble),
            }
        }
        if let Some(name) = authorities {
            match self.find(name, job_of::AUTHORITY_KEYS, job_of::authorities) {
                Found::Ready(found) => learnt.authorities = Some(found),
                Found::Refused(refusal) => return Found::Refused(refusal),
                Found::Pending(trouble) => return Found::Pending(trouble),
            }
        }
        Found::Ready(learnt)
    }

    /// Reads it again, unless it was read less than `age` ago.
    pub(super) fn refresh(&mut self, name: &SecretName, age: Duration) {
        let slot = self.slots.entry(name.clone()).or_default();
        if slot.reading || slot.read_at.is_some_and(|at| at.elapsed() < age) {
            return;
        }
        slot.reading = true;
        let (source, answers, name) = (self.source.clone(), self.answers.clone(), name.clone());
        tokio::spawn(async move {
            let outcome = source.read(&name.0, &name.1).await;
            let _ = answers.send((name, outcome)).await;
        });
    }

    /// Reads all again: some may have changed.
    pub(super) fn refresh_all(&mut self) {
        let names: Vec<SecretName> = self.slots.keys().cloned().collect();
        for name in names {
            self.refresh(&name, Duration::ZERO);
        }
    }

    /// Takes an answer.
    pub(super) fn answered(&mut self, (name, outcome): Answer) {
        let Some(slot) = self.slots.get_mut(&name) else {
            return;
        };
        slot.reading = false;
        slot.read_at = Some(Instant::now());
        slot.missing = match &outcome {
            Ok(Some(_)) => None,
            Ok(None) | Err(_) => slot.missing.or(slot.read_at),
        };
        match outcome {
            Ok(data) => {
                slot.trouble = None;
                slot.value = Some(data.map_or(Known::Absent, Known::Data));
            }
            // What was known goes on to count.
            Err(error) => {
                warn!(namespace = name.0, secret = name.1, %error, "a Secret can't be read");
                slot.trouble = Some(format!(
                    "the Secret {} can't be read: {error}; trying again",
                    name.1
                ));
            }
        }
    }

    /// Forgets those that nobody uses.
    pub(super) fn retain(&mut self, used: &HashSet<SecretName>) {
        self.slots
            .retain(|name, slot| slot.reading || used.contains(name));
    }
}

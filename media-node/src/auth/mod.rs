//! Who may watch, publish and call what: asked by every listener and every API.
//!
//! A listener turns what a peer showed into a [`Caller`] and asks [`Auth::authorize`] before it
//! does anything for it. Which status or message a refusal becomes is the listener's: nothing here
//! knows a protocol. Addresses that we dial ourselves are judged in [`source_policy`].

mod account;
mod bootstrap;
mod cache;
pub mod digest;
mod known_passwords;
mod login;
mod password;
mod path_mask;
mod recorder;
mod relay_secret;
mod revision;
mod sealed;
pub mod source_policy;
mod throttle;
mod ticket;
mod token;
mod users;

pub use account::{Account, Caller};
pub use bootstrap::{AdminFiles, Bootstrap, BootstrapError};
pub use login::LoginError;
pub use path_mask::PathMasks;
pub use recorder::{RECORDER_TOKEN, RecorderTokenError, UnionIdError, UnionIdSetupError};
pub use relay_secret::{RelaySecret, RelaySecretError};
pub use throttle::machine_of;
pub use token::TokenPair;
pub use users::{SaveError, UserEntry, UserPage};

use crate::store::sql::{self, Database};
use cache::{Cache, Entry};
use parking_lot::Mutex;
use password::Hasher;
use revision::Revisions;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use throttle::Throttle;
use tokio_util::sync::CancellationToken;
use weir_proto::media::StreamPath;

/// What a caller wants to do.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    /// View a stream, in any form.
    Subscribe(&'a StreamPath),
    /// Bring a stream.
    Publish(&'a StreamPath),
    /// Call an API.
    Call(Call),
}

/// What an API call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Lists what the caller may view; each entry is asked for by [`Action::Subscribe`].
    Browse,
    /// Reads facts that any login may know.
    Read,
    /// All else that accounts may do.
    Administer,
    /// What pods of a pool tell and do for one another.
    Pool,
}

/// Why something may not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No credentials, or wrong, expired or revoked ones.
    Unidentified,
    /// The caller is known and lacks the right.
    Forbidden,
    /// This peer has shown wrong credentials too often; it may try again after this time.
    Throttled(Duration),
    /// The account store is away, so nobody can tell.
    Unavailable,
}

/// What is decided when a process starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everybody may view; publishing and calls still need credentials.
    pub anonymous_view: bool,
    /// What pods show one another.
    pub relay: RelaySecret,
}

/// How long what the account store said of a token or user is used while nothing was taken away, and
/// so how late the end of a token may be noticed.
const FRESH: Duration = Duration::from_secs(2);
/// How long it is used while the store is away.
const STALE: Duration = Duration::from_mins(1);
/// How long the store is left alone after it did not answer.
const AWAY: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_mins(5);

/// The one place that says yes or no. Shared by all listeners of a process.
pub struct Auth {
    settings: Settings,
    /// None where no account is known: on a node, which only gateways call.
    store: Option<Database>,
    tokens: Cache<token::Hash, Caller>,
    users: Cache<String, Option<Arc<sql::accounts::User>>>,
    revisions: Revisions,
    away_until: Mutex<Option<Instant>>,
    hasher: Hasher,
    throttle: Throttle,
}

impl Auth {
    pub fn new(store: Database, settings: Settings) -> Arc<Self> {
        Self::build(Some(store), settings)
    }

    /// Knows no accounts: only the relay secret opens anything, and viewing if it is anonymous.
    pub fn without_accounts(settings: Settings) -> Arc<Self> {
        Self::build(None, settings)
    }

    fn build(store: Option<Database>, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            store,
            tokens: Cache::new(),
            users: Cache::new(),
            revisions: Revisions::default(),
            away_until: Mutex::new(None),
            hasher: Hasher::new(),
            throttle: Throttle::new(),
        })
    }

    /// Whether everybody may view.
    pub fn anonymous_view(&self) -> bool {
        self.settings.anonymous_view
    }

    /// What pods show one another.
    pub fn relay_secret(&self) -> &RelaySecret {
        &self.settings.relay
    }

    /// The decision.
    pub fn authorize(&self, caller: &Caller, action: Action<'_>) -> Result<(), Denied> {
        if self.settings.anonymous_view && matches!(action, Action::Subscribe(_) | Action::Call(Call::Browse))
        {
            return Ok(());
        }
        let allowed = match caller {
            Caller::Anonymous | Caller::Unknown => return Err(Denied::Unidentified),
            Caller::Throttled(wait) => return Err(Denied::Throttled(*wait)),
            Caller::Unverifiable => return Err(Denied::Unavailable),
            // A relay serves viewers whom a gateway has asked about already.
            Caller::Relay => matches!(action, Action::Subscribe(_) | Action::Call(Call::Pool)),
            Caller::Account(account) => match action {
                Action::Subscribe(path) => account.pull().allow(path),
                Action::Publish(path) => account.push().allow(path),
                Action::Call(Call::Browse | Call::Read) => true,
                Action::Call(Call::Administer) => account.is_admin(),
                Action::Call(Call::Pool) => false,
            },
            Caller::Viewer(account) => match action {
                Action::Subscribe(path) => account.pull().allow(path),
                Action::Call(call) => call == Call::Browse,
                Action::Publish(_) => false,
            },
            Caller::Ticket(stream) => matches!(action, Action::Subscribe(path) if path == stream),
            Caller::Deleted => matches!(action, Action::Call(Call::Browse | Call::Read)),
        };
        if allowed { Ok(()) } else { Err(Denied::Forbidden) }
    }

    /// Who shows this access token; no token, and an empty one, is [`Caller::Anonymous`].
    pub async fn caller_by_token(&self, token: Option<&str>) -> Caller {
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Caller::Anonymous;
        };
        if let Some(caller) = self.caller_by_ticket(token) {
            return caller;
        }
        let (Some(hash), Some(store)) = (token::Hash::of(token), &self.store) else {
            return Caller::Unknown;
        };
        let ask = async || {
            let holder = store.token_holder(hash.as_hex()).await?;
            Ok(holder.map_or(Caller::Unknown, Caller::from))
        };
        self.look_up(store, &self.tokens, &hash, ask)
            .await
            .unwrap_or(Caller::Unverifiable)
    }

    /// Who shows this value of an `Authorization` header to another pod: `Bearer <relay secret>`.
    pub fn caller_by_relay(&self, authorization: Option<&str>) -> Caller {
        match authorization {
            None => Caller::Anonymous,
            Some(value) if self.settings.relay.is_shown_by(value) => Caller::Relay,
            Some(_) => Caller::Unknown,
        }
    }

    /// Who answers a Digest challenge so.
    pub async fn caller_by_digest(&self, peer: IpAddr, answer: digest::Answer<'_>) -> Caller {
        let Some(store) = &self.store else {
            return Caller::Unknown;
        };
        if let Err(wait) = self.throttle.check(peer, Instant::now()) {
            return Caller::Throttled(wait);
        }
        let name = answer.username.to_lowercase();
        if name.len() > login::LONGEST {
            return Caller::Unknown;
        }
        let ask = async || Ok(store.user(&name).await?.map(Arc::new));
        let Some(user) = self.look_up(store, &self.users, &name, ask).await else {
            return Caller::Unverifiable;
        };
        // Only from here to the answer, so that many right ones may come at the same time.
        if let Err(wait) = self.throttle.count(peer, Instant::now()) {
            return Caller::Throttled(wait);
        }
        let right = answer.is_right(user.as_deref().map(|user| &user.secrets));
        if let Some(user) = user.filter(|_| right) {
            self.throttle.give_back(peer);
            return Caller::Account(Arc::new(Account::from(&*user)));
        }
        tracing::info!(%peer, "a Digest answer was wrong");
        Caller::Unknown
    }

    /// What the store says, or said before if nothing was taken away since, by whichever gateway.
    /// None: it is away and has said nothing lately.
    async fn look_up<K, V>(
        &self,
        store: &Database,
        cache: &Cache<K, V>,
        key: &K,
        ask: impl AsyncFnOnce() -> Result<V, sql::Error>,
    ) -> Option<V>
    where
        K: std::hash::Hash + Eq + Clone,
        V: Clone,
    {
        let is_away = |until: &Mutex<Option<Instant>>| until.lock().is_some_and(|at| at > Instant::now());
        if !is_away(&self.away_until) {
            // Read before the store is asked: what changes in between is found out the next time.
            if let Some(revision) = self.revisions.now(store).await {
                let known = cache.look_up(key);
                if let Some(known) = known
                    && known.revision == revision
                    && known.age(Instant::now()) <= FRESH
                {
                    return Some(known.value);
                }
                match ask().await {
                    Ok(value) => {
                        let entry = Entry {
                            value: value.clone(),
                            revision,
                            since: Instant::now(),
                        };
                        cache.insert(key.clone(), entry);
                        return Some(value);
                    }
                    Err(error) => {
                        tracing::warn!(error = %error.chain(), "the account store did not answer");
                    }
                }
            }
            *self.away_until.lock() = Some(Instant::now() + AWAY);
        }
        let known = cache.look_up(key)?;
        (known.age(Instant::now()) <= STALE).then_some(known.value)
    }

    /// Deletes expired tokens every five minutes, until told to stop.
    pub async fn sweep(&self, stop: CancellationToken) {
        let Some(store) = &self.store else {
            return stop.cancelled().await;
        };
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match store.sweep_tokens().await {
                Ok(0) => {}
                Ok(count) => tracing::debug!(count, "deleted expired tokens"),
                Err(error) => tracing::warn!(error = %error.chain(), "could not delete expired tokens"),
            }
        }
    }
}

#[cfg(test)]
mod tests;

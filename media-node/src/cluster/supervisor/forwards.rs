//! The servers that one stream is pushed to: starting and stopping what pushes, and what is said of it.
//! A change of the list concerns those entries alone that have changed.

use super::Context;
use super::credentials::{Found, SecretName};
use crate::cluster::job_of::{self, Refusal};
use crate::cluster::resource::{SecretData, Target};
use crate::cluster::status::{Forwarding, tls_reason};
use crate::cluster::work::{WorkId, follow, next_id};
use crate::egress::forward::{Forward, Reason, Reporter, State};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use weir_crds::condition::reason;
use weir_crds::field;
use weir_proto::media::StreamPath;

/// A Secret is read again this long after a server refused what is in it.
const REFUSED_SECRET_AGE: Duration = Duration::from_secs(5);
/// Characters of what is said of one server.
const MOST_SAID: usize = 600;

/// All forwards of one stream.
#[derive(Default)]
pub(super) struct Forwards(Vec<Entry>);

/// One server of the list.
struct Entry {
    asked: field::Forward,
    standing: Standing,
    /// What events have told last.
    told: Option<Told>,
}

enum Standing {
    Runs(Running),
    /// The Secret is being read; the text says why that takes longer.
    Waits(Option<String>),
    Refused(Refusal),
    /// The stream can't run.
    Off,
}

struct Running {
    id: WorkId,
    forward: Forward,
    state: watch::Receiver<State>,
    /// Dropped, it stops.
    _stop: DropGuard,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Live,
    Failed(Reason),
}

/// Whose stream is pushed.
pub(super) struct Of<'a> {
    /// The Camera or Route, for its namespace and for events.
    pub(super) target: &'a Target,
    /// None: it can't run now.
    pub(super) path: Option<&'a StreamPath>,
    /// Of a Route's directory, what follows it in the path.
    pub(super) rest: Option<&'a str>,
}

impl Forwards {
    /// Brings what runs to what is asked for.
    pub(super) fn step(&mut self, asked: &[field::Forward], of: &Of<'_>, c: &mut Context<'_>) {
        let mut before = std::mem::take(&mut self.0);
        for asked in asked {
            let at = before.iter().position(|entry| entry.asked == *asked);
            let former = at.map(|at| before.swap_remove(at));
            let (former, told) = former.map_or((None, None), |entry| (Some(entry.standing), entry.told));
            let mut entry = Entry {
                standing: standing(asked, former, of, c),
                asked: asked.clone(),
                told,
            };
            entry.tell(of.target, c);
            self.0.push(entry);
        }
    }

    /// Stops those whose servers don't have the stream: another node pushes it there now.
    pub(super) fn keep_live(&mut self) {
        for entry in &mut self.0 {
            if !matches!(&entry.standing, Standing::Runs(running) if running.state() == State::Live) {
                entry.standing = Standing::Off;
            }
        }
    }

    /// Stops all.
    pub(super) fn stop(&mut self) {
        for entry in &mut self.0 {
            entry.standing = Standing::Off;
        }
    }

    pub(super) fn has(&self, id: WorkId) -> bool {
        self.ids().any(|known| known == id)
    }

    /// Those that run.
    pub(super) fn ids(&self) -> impl Iterator<Item = WorkId> {
        self.0.iter().filter_map(|entry| match &entry.standing {
            Standing::Runs(running) => Some(running.id),
            _ => None,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether time alone can change something.
    pub(super) fn needs_tick(&self) -> bool {
        let waits = |entry: &Entry| matches!(entry.standing, Standing::Waits(_) | Standing::Refused(_));
        self.0.iter().any(waits)
    }

    /// How many there are by state, for the metric.
    pub(super) fn count(&self, label: &str) -> usize {
        self.0.iter().filter(|entry| entry.label() == label).count()
    }

    /// What the condition says; none where nothing is asked for.
    pub(super) fn said(&self) -> Option<Forwarding> {
        if self.0.is_empty() {
            return None;
        }
        let all: Vec<(&'static str, String)> = self.0.iter().filter_map(Entry::trouble).collect();
        let Some((reason, _)) = all.first() else {
            let servers: Vec<String> = self.0.iter().map(Entry::shown).collect();
            return Some(Forwarding {
                holds: true,
                reason: reason::FORWARDING,
                message: format!("the stream arrives at {}", servers.join(", ")),
            });
        };
        // One sentence is enough where it holds for all of them.
        let mut texts: Vec<&str> = all.iter().map(|(_, text)| text.as_str()).collect();
        texts.dedup();
        Some(Forwarding {
            holds: false,
            reason,
            message: texts.join("; "),
        })
    }
}

/// The labels of the metric.
pub(super) const LABELS: [&str; 5] = ["live", "connecting", "failed", "idle", "refused"];

/// What is to become of an entry. `former` is how it stood until now.
fn standing(asked: &field::Forward, former: Option<Standing>, of: &Of<'_>, c: &mut Context<'_>) -> Standing {
    let Some(path) = of.path else {
        return Standing::Off;
    };
    let running = match former {
        // One whose task is gone, by a fault of ours, is begun anew.
        Some(Standing::Runs(running)) if running.state.has_changed().is_ok() => Some(running),
        _ => None,
    };
    if let Some(State::Failed { .. }) = running.as_ref().map(Running::state) {
        // Servers have many ways to refuse a key: some just close the connection.
        for name in secrets(asked, &of.target.namespace) {
            c.secrets.refresh(&name, REFUSED_SECRET_AGE);
        }
    }
    match (found(asked, path, of, c), running) {
        // What was known goes on to count.
        (Found::Pending(_), Some(running)) => Standing::Runs(running),
        (Found::Pending(trouble), None) => Standing::Waits(trouble),
        (Found::Refused(refusal), _) => Standing::Refused(refusal),
        (Found::Ready(forward), running) => run(forward, running, c),
    }
}

/// What an entry comes to with what its Secrets say.
fn found(asked: &field::Forward, path: &StreamPath, of: &Of<'_>, c: &mut Context<'_>) -> Found<Forward> {
    let namespace = &of.target.namespace;
    let named = |name: &str| (namespace.clone(), name.to_owned());
    let authorities = job_of::authorities_of(asked.tls.as_ref()).map(named);
    let authorities = match c.secrets.learn(None, authorities.as_ref()) {
        Found::Ready(known) => known.authorities,
        Found::Refused(refusal) => return Found::Refused(refusal),
        Found::Pending(trouble) => return Found::Pending(trouble),
    };
    let made = |secret: Option<(&SecretData, &str)>| {
        job_of::forward(asked, secret, authorities.as_ref(), path.clone(), of.rest)
    };
    match asked.secret_name.as_deref().map(named) {
        Some(name) => {
            let read = |data: &SecretData, name: &str| made(Some((data, name)));
            c.secrets.find(&name, job_of::forward_keys(asked), read)
        }
        None => made(None).map_or_else(Found::Refused, Found::Ready),
    }
}

fn run(forward: Forward, running: Option<Running>, c: &Context<'_>) -> Standing {
    if let Some(running) = running {
        // What a server takes is not broken by a new key; the next dial takes it.
        let live = running.state() == State::Live && running.forward.path == forward.path;
        if live || running.forward == forward {
            return Standing::Runs(running);
        }
    }
    let (id, stop) = (next_id(), CancellationToken::new());
    let (sender, state) = watch::channel(State::NoStream);
    let reporter = Reporter {
        state: sender,
        stop: stop.clone(),
    };
    let task = c.forward.launch(forward.clone(), reporter);
    tokio::spawn(follow(id, state.clone(), task, stop.clone(), c.news.clone()));
    Standing::Runs(Running {
        id,
        forward,
        state,
        _stop: stop.drop_guard(),
    })
}

/// The Secrets of an entry.
pub(super) fn secrets(asked: &field::Forward, namespace: &str) -> impl Iterator<Item = SecretName> {
    asked
        .secret_names()
        .map(move |name| (namespace.to_owned(), name.clone()))
}

impl Running {
    fn state(&self) -> State {
        self.state.borrow().clone()
    }
}

impl Entry {
    /// The server, for people.
    fn shown(&self) -> String {
        match &self.standing {
            Standing::Runs(running) => running.forward.target.shown(),
            _ => self.asked.url.split('?').next().unwrap_or_default().to_owned(),
        }
    }

    fn label(&self) -> &'static str {
        match &self.standing {
            Standing::Off => "idle",
            Standing::Waits(_) => "connecting",
            Standing::Refused(_) => "refused",
            Standing::Runs(running) => match running.state() {
                State::NoStream | State::Stopped => "idle",
                State::Connecting => "connecting",
                State::Live => "live",
                State::Failed { .. } => "failed",
            },
        }
    }

    /// Why the server doesn't have the stream: a reason, and in words. None if it has.
    fn trouble(&self) -> Option<(&'static str, String)> {
        let no_stream = || (reason::NO_STREAM, "there is no stream to push".to_owned());
        let (reason, text) = match &self.standing {
            Standing::Off => no_stream(),
            Standing::Waits(trouble) => {
                let text = trouble
                    .clone()
                    .unwrap_or_else(|| format!("connecting to {}", self.shown()));
                (reason::CONNECTING, text)
            }
            Standing::Refused(refusal) => (refusal.reason, format!("{}: {}", self.shown(), refusal.message)),
            Standing::Runs(running) => match running.state() {
                State::Live => return None,
                State::NoStream | State::Stopped => no_stream(),
                State::Connecting => (reason::CONNECTING, format!("connecting to {}", self.shown())),
                State::Failed { reason, message } => (reason_of(reason), message),
            },
        };
        Some((
            reason,
            text.chars().filter(|c| !c.is_control()).take(MOST_SAID).collect(),
        ))
    }

    /// Events for what a person would ask about.
    fn tell(&mut self, target: &Target, c: &Context<'_>) {
        let Standing::Runs(running) = &self.standing else {
            return;
        };
        match running.state() {
            State::Live if self.told != Some(Told::Live) => {
                self.told = Some(Told::Live);
                let note = format!("the stream arrives at {}", self.shown());
                c.reports.notice(target, false, reason::FORWARDING, note);
            }
            State::Failed { reason, message } if self.told != Some(Told::Failed(reason)) => {
                self.told = Some(Told::Failed(reason));
                c.reports.notice(target, true, "ForwardFailed", message);
            }
            _ => {}
        }
    }
}

/// The condition's reason for a failure.
const fn reason_of(reason: Reason) -> &'static str {
    match reason {
        Reason::Unreachable => reason::UNREACHABLE,
        Reason::AuthFailed => reason::AUTH_FAILED,
        Reason::Refused => reason::REFUSED,
        Reason::Loop => reason::LOOP,
        Reason::UnsupportedCodec => reason::UNSUPPORTED_CODEC,
        Reason::AddressDenied => reason::ADDRESS_DENIED,
        Reason::Tls(fault) => tls_reason(fault),
        Reason::ProtocolError => reason::PROTOCOL_ERROR,
        Reason::TooSlow => reason::TOO_SLOW,
        Reason::ClosedByTarget => reason::CLOSED_BY_TARGET,
        Reason::Closed => reason::CLOSED,
    }
}

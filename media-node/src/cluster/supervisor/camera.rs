//! One Camera that is ours: whether its job runs, and what is said of it.

use super::Context;
use super::credentials::{Found, SecretName};
use super::forwards::{self, Forwards, Of};
use crate::cluster::at_risk::AtRisk;
use crate::cluster::job_of::{self, Difference, Plan, Refusal};
use crate::cluster::recorded::Recorded;
use crate::cluster::resource::{Kind, Target};
use crate::cluster::status::{self, Phase};
use crate::cluster::work::{Work, WorkId};
use crate::ingest::{Job, Reason, Source, State};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tracing::{debug, info};
use weir_crds::condition::{self, kind, reason};
use weir_crds::jiff::Timestamp;
use weir_crds::{Camera, CameraStatus};
use weir_proto::media::StreamPath;

/// A Secret that is older is read again when a source is dialled.
const SECRET_AGE: Duration = Duration::from_mins(1);
/// ... and this much after a source refused what is in it.
const REFUSED_SECRET_AGE: Duration = Duration::from_secs(5);
/// How long a camera on demand is redialled for those who watched it when it broke.
const ON_DEMAND_GRACE: Duration = Duration::from_secs(15);
/// While a camera that was connected before is dialled by its new owner, or after a restart, what
/// stands in its status is left for so long: most are back by then.
const HOLD: Duration = Duration::from_secs(3);
/// A camera that is recorded goes on here for so long after its new owner has media: a recording begins with a keyframe, and
/// by then two have come to the other node from all but the slowest. What both have is shown once.
const RECORDED_LINGER: Duration = Duration::from_secs(6);
/// A failure whose next attempt comes this soon is worth waiting for.
const SOON: Duration = Duration::from_secs(3);

pub(super) struct Entry {
    camera: Arc<Camera>,
    target: Target,
    /// Another camera that has the path.
    taken_by: Option<String>,
    work: Option<Work>,
    forwards: Forwards,
    phase: Phase,
    /// Since the stream was last live.
    failure: Option<(Reason, String)>,
    /// On demand: when somebody last asked or watched; none while it is off.
    wanted_at: Option<Instant>,
    /// The running job has been live.
    was_live: bool,
    /// The source came to its end, and doesn't repeat.
    finished: bool,
    /// At the last step.
    was_on_demand: bool,
    /// Jobs in a row that ended by themselves, and when to start the next.
    crashes: u32,
    restart_at: Option<Instant>,
    /// Since when it is another node's.
    leaving: Option<Instant>,
    /// Since when that node has media.
    taken_over: Option<Instant>,
    said: Option<CameraStatus>,
    at_risk: AtRisk,
    born: Instant,
}

/// What shall be done, apart from whether anybody watches.
enum Decision {
    Nothing(Phase),
    Dial(Box<Job>),
    AwaitPublisher(StreamPath),
}

impl Entry {
    pub(super) fn new(camera: Arc<Camera>) -> Self {
        Self {
            target: Target::of(Kind::Camera, &*camera),
            camera,
            taken_by: None,
            work: None,
            forwards: Forwards::default(),
            phase: Phase::Connecting,
            failure: None,
            wanted_at: None,
            was_live: false,
            finished: false,
            was_on_demand: false,
            crashes: 0,
            restart_at: None,
            leaving: None,
            taken_over: None,
            said: None,
            at_risk: AtRisk::default(),
            born: Instant::now(),
        }
    }

    pub(super) fn path(&self) -> Option<StreamPath> {
        job_of::path_of(&self.camera).ok()
    }

    pub(super) fn has_path(&self) -> bool {
        self.taken_by.is_none()
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    pub(super) fn work_id(&self) -> Option<WorkId> {
        self.work.as_ref().map(|w| w.id)
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// That of the source's credentials.
    fn secret(&self) -> Option<SecretName> {
        let name = job_of::secret_of(&self.camera)?;
        Some((self.target.namespace.clone(), name.to_owned()))
    }

    /// That of the authorities which vouch for the source.
    fn authorities(&self) -> Option<SecretName> {
        let name = job_of::authorities_of(self.camera.spec.source.tls())?;
        Some((self.target.namespace.clone(), name.to_owned()))
    }

    /// Those of source and forwards.
    pub(super) fn secrets(&self) -> impl Iterator<Item = SecretName> {
        let namespace = &self.target.namespace;
        let of_forwards = self.camera.spec.forward.iter();
        let of_forwards = of_forwards.flat_map(|asked| forwards::secrets(asked, namespace));
        let of_source = self.secret().into_iter().chain(self.authorities());
        of_source.chain(of_forwards)
    }

    pub(super) fn forwards(&self) -> &Forwards {
        &self.forwards
    }

    /// Takes the newest version. True if anything may have changed.
    pub(super) fn update(&mut self, camera: &Arc<Camera>, taken_by: Option<String>) -> bool {
        let back = self.leaving.take().is_some();
        if back {
            // Its status has been another's in the meantime.
            self.said = None;
            self.taken_over = None;
        }
        if Arc::ptr_eq(&self.camera, camera) && self.taken_by == taken_by {
            return back;
        }
        if self.camera.metadata.generation != camera.metadata.generation {
            self.finished = false;
        }
        self.camera = camera.clone();
        self.taken_by = taken_by;
        true
    }

    /// It is another node's now. False if there is nothing to hand over.
    pub(super) fn leave(&mut self, camera: &Arc<Camera>, now: Instant) -> bool {
        self.camera = camera.clone();
        let live = self
            .work
            .as_ref()
            .is_some_and(|w| w.is_live() && !w.is_stopping());
        if self.leaving.is_none() && live {
            info!(camera = %self.target, node = camera.node(), "handing a camera over");
            self.leaving = Some(now);
        }
        self.leaving.is_some() && self.work.is_some()
    }

    /// Somebody wants to watch.
    pub(super) fn demand(&mut self, now: Instant) {
        if self.camera.is_on_demand() {
            self.finished = false;
            self.wanted_at = Some(now);
        }
    }

    /// Whether asking for the path brings it soon.
    pub(super) fn can_come(&self) -> bool {
        if self.leaving.is_some() || self.taken_by.is_some() {
            return false;
        }
        let on_demand = self.camera.is_on_demand();
        match (&self.phase, &self.work) {
            (Phase::Disabled | Phase::Refused(_) | Phase::NoPublisher, _) => false,
            (Phase::Finished | Phase::Idle, _) | (Phase::Failed { .. }, None) => on_demand,
            (Phase::Failed { .. }, Some(work)) => match work.state() {
                State::Failed { retry_in, .. } => retry_in.is_some_and(|t| t <= SOON),
                _ => true,
            },
            (Phase::Connecting | Phase::Waiting(_) | Phase::Live { .. }, _) => true,
        }
    }

    /// Whether time alone can change something.
    pub(super) fn needs_tick(&self) -> bool {
        self.leaving.is_some()
            || self.said.is_none()
            || self.restart_at.is_some()
            || (self.wanted_at.is_some() && self.work.is_some())
            || self.forwards.needs_tick()
            || matches!(
                self.phase,
                Phase::Waiting(_) | Phase::Refused(_) | Phase::NoPublisher
            )
            || self.camera.spec.source.is_publish()
    }

    /// The job's state has changed.
    pub(super) fn state_changed(&mut self, now: Instant, c: &mut Context<'_>) {
        let Some(work) = &self.work else { return };
        match work.state() {
            State::Live { .. } => {
                self.failure = None;
                self.crashes = 0;
                if !self.was_live {
                    self.was_live = true;
                    self.wanted_at = self.wanted_at.map(|_| now);
                }
            }
            State::Failed { reason, message, .. } => {
                debug!(camera = %self.target, reason = reason.as_str(), error = message, "no media");
                c.failed(&work.job.path, now);
                self.failure = Some((reason, message));
                let doubtful = match reason {
                    Reason::AuthFailed => self.secret(),
                    Reason::Tls(_) => self.authorities(),
                    _ => None,
                };
                if let Some(secret) = doubtful {
                    c.secrets.refresh(&secret, REFUSED_SECRET_AGE);
                }
                // Nobody waits any more; whoever asks next starts it again.
                let watched = self.was_live && self.wanted_at.is_some_and(|at| now - at < ON_DEMAND_GRACE);
                if !watched {
                    self.wanted_at = None;
                }
            }
            State::Connecting | State::Stopped => {}
        }
        self.step(now, c);
    }

    /// The job is over.
    pub(super) fn ended(&mut self, now: Instant, c: &mut Context<'_>) {
        let Some(work) = self.work.take() else { return };
        self.was_live = false;
        if work.is_stopping() {
            self.restart_at = None;
        } else {
            c.hub.refuse(&work.job.path);
            let at_its_end = matches!(self.failure, None | Some((Reason::Ended | Reason::Closed, _)));
            if matches!(work.job.source, Source::File { repeat: false, .. }) && at_its_end {
                self.failure = None;
                self.finished = true;
                self.wanted_at = None;
            } else {
                let pause = Duration::from_secs(1 << self.crashes.min(5)).min(Duration::from_secs(30));
                self.crashes += 1;
                self.restart_at = Some(now + pause);
            }
        }
        self.step(now, c);
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant, c: &mut Context<'_>) {
        if let (Some(at), Some(work)) = (self.wanted_at, &self.work) {
            if c.hub.stream(&work.job.path).is_some_and(|s| s.is_in_use()) {
                self.wanted_at = Some(now);
            } else if now - at >= self.camera.spec.idle_timeout.get() {
                debug!(camera = %self.target, "nobody watches any more");
                self.wanted_at = None;
            }
        }
        self.step(now, c);
    }

    /// Brings the job to what it shall be, and says how it stands.
    pub(super) fn step(&mut self, now: Instant, c: &mut Context<'_>) {
        if let Some(since) = self.leaving {
            self.hand_over(since, now, c);
            return;
        }
        let decision = self.decide(c);
        let on_demand = self.camera.is_on_demand();
        if on_demand && !self.was_on_demand && self.work.is_some() {
            // Until now it ran without anybody asking; those who watch may stay.
            self.wanted_at = Some(now);
        }
        self.was_on_demand = on_demand;
        let wanted = match &decision {
            Decision::Dial(job) if on_demand => self.wanted_at.map(|_| job),
            Decision::Dial(job) => (!self.finished).then_some(job),
            _ => None,
        };
        match (&self.work, wanted) {
            (Some(work), _) if work.is_stopping() => {}
            (Some(work), Some(job)) => match job_of::difference(&work.job, job) {
                Difference::None => {}
                // A stream that runs is not broken by a new password; the next dial takes it.
                Difference::Secrets if work.is_live() => {}
                _ => {
                    debug!(camera = %self.target, "the spec has changed: starting anew");
                    self.failure = None;
                    work.stop();
                }
            },
            (Some(work), None) => work.stop(),
            (None, Some(job)) if self.restart_at.is_none_or(|at| at <= now) => {
                self.restart_at = None;
                for secret in self.secret().into_iter().chain(self.authorities()) {
                    c.secrets.refresh(&secret, SECRET_AGE);
                }
                self.work = Some(c.start(Job::clone(job)));
            }
            (None, _) => {}
        }
        let phase = self.phase_of(&decision, c);
        let path = match &decision {
            Decision::Nothing(_) => None,
            Decision::Dial(job) => Some(&job.path),
            Decision::AwaitPublisher(path) => Some(path),
        };
        let of = Of {
            target: &self.target,
            path,
            rest: None,
        };
        self.forwards.step(&self.camera.spec.forward, &of, c);
        self.say(phase, c);
    }

    /// Goes on until the new node has media and what it records has begun, or for so long.
    fn hand_over(&mut self, since: Instant, now: Instant, c: &Context<'_>) {
        self.forwards.keep_live();
        if self.work.is_none() {
            return;
        }
        let connected = self
            .camera
            .condition(kind::CONNECTED)
            .is_some_and(condition::Condition::is_true);
        if connected && self.camera.reported_by_owner() && self.taken_over.is_none() {
            self.taken_over = Some(now);
        }
        let is_due = match self.taken_over {
            Some(at) => !self.is_recorded(c) || now - at >= RECORDED_LINGER,
            None => now - since >= c.settings.handover,
        };
        if self.taken_over.is_some() || is_due {
            // Servers have the stream from the new node now: none gets it twice.
            self.forwards.stop();
        }
        let Some(work) = self.work.as_ref().filter(|work| is_due && !work.is_stopping()) else {
            return;
        };
        let taken_over = self.taken_over.is_some();
        info!(camera = %self.target, node = self.camera.node(), taken_over, "handed a camera over");
        work.stop();
    }

    /// Whether a segment of it is being written here.
    fn is_recorded(&self, c: &Context<'_>) -> bool {
        let state = c.recording.camera(&self.target.uid);
        state.is_some_and(|state| state.writing_since_ms.is_some())
    }

    fn decide(&self, c: &mut Context<'_>) -> Decision {
        if let Some(other) = &self.taken_by {
            let message = format!(
                "the older Camera {other} has this path: write another in spec.path, or delete one of the two"
            );
            return Decision::Nothing(Phase::Refused(Refusal::new(reason::PATH_TAKEN, message)));
        }
        if !self.camera.spec.enabled {
            return Decision::Nothing(Phase::Disabled);
        }
        let learnt = c
            .secrets
            .learn(self.secret().as_ref(), self.authorities().as_ref());
        let known = match learnt {
            Found::Ready(known) => known,
            Found::Refused(refusal) => return Decision::Nothing(Phase::Refused(refusal)),
            Found::Pending(trouble) => {
                let waiting = trouble.map_or(Phase::Connecting, Phase::Waiting);
                return Decision::Nothing(waiting);
            }
        };
        match job_of::camera(&self.camera, &known, &c.settings.media) {
            Ok(Plan::Dial(job)) => Decision::Dial(job),
            Ok(Plan::AwaitPublisher) => match job_of::path_of(&self.camera) {
                Ok(path) => Decision::AwaitPublisher(path),
                Err(refusal) => Decision::Nothing(Phase::Refused(refusal)),
            },
            Err(refusal) => Decision::Nothing(Phase::Refused(refusal)),
        }
    }

    fn phase_of(&self, decision: &Decision, c: &Context<'_>) -> Phase {
        match decision {
            Decision::Nothing(phase) => return phase.clone(),
            Decision::AwaitPublisher(path) => {
                return c
                    .hub
                    .stream(path)
                    .map_or(Phase::NoPublisher, |stream| Phase::Live {
                        tracks: stream.tracks(),
                        since: stream.started(),
                    });
            }
            Decision::Dial(_) if self.finished => return Phase::Finished,
            Decision::Dial(_) => {}
        }
        let failed = self
            .failure
            .clone()
            .map(|(reason, detail)| Phase::Failed { reason, detail });
        let off = self.camera.is_on_demand() && self.wanted_at.is_none();
        match &self.work {
            _ if off => failed.unwrap_or(Phase::Idle),
            Some(work) => match work.state() {
                State::Live { tracks, since } if !work.is_stopping() => Phase::Live { tracks, since },
                // An attempt after a failure is no news until it ends.
                _ => failed.unwrap_or(Phase::Connecting),
            },
            None => failed.unwrap_or(Phase::Connecting),
        }
    }

    fn say(&mut self, phase: Phase, c: &mut Context<'_>) {
        let status_now = self.camera.status.as_ref();
        let before = match (&self.said, status_now) {
            (Some(said), _) => said.conditions.as_slice(),
            (None, Some(status)) => status.conditions.as_slice(),
            (None, None) => &[],
        };
        let was_connected = condition::is_true(before, kind::CONNECTED);
        if self.said.is_none() && phase == Phase::Connecting && was_connected && self.born.elapsed() < HOLD {
            self.phase = phase;
            return;
        }
        let node = c.settings.standalone.then_some(c.settings.me.as_str());
        let forwarding = self.forwards.said();
        let now = SystemTime::now();
        let mut status = status::of(&self.camera, &phase, forwarding.as_ref(), before, node, now);
        if let Some(recorded) = self.recorded(&phase, status_now, c) {
            recorded.add_to(&mut status, before);
        }
        self.tell(&phase, &status, c);
        self.tell_risks(c);
        self.phase = phase;
        let version = self.camera.metadata.resource_version.clone();
        if self.said.as_ref() == Some(&status) {
            c.reports.rebase(&self.target, version.as_deref());
            return;
        }
        let minor = self
            .said
            .as_ref()
            .is_some_and(|said| status::same_but_words(said, &status));
        match serde_json::to_value(&status) {
            Ok(value) => c.reports.put(&self.target, version, value, minor),
            Err(error) => tracing::error!(%error, "a status can't be written as JSON"),
        }
        self.said = Some(status);
    }

    /// What the status says of the camera's recording; nothing where it was never recorded.
    fn recorded(
        &self,
        phase: &Phase,
        status_now: Option<&CameraStatus>,
        c: &Context<'_>,
    ) -> Option<Recorded> {
        let told = match &self.said {
            Some(said) => said.last_segment_time.as_ref(),
            None => status_now.and_then(|status| status.last_segment_time.as_ref()),
        };
        let state = c.recording.camera(&self.target.uid);
        if state.is_none() && told.is_none() {
            return None;
        }
        let is_live = matches!(phase, Phase::Live { .. });
        Some(Recorded::of(
            &state.unwrap_or_default(),
            &c.recording.backlog(),
            is_live,
            told,
            Timestamp::now(),
        ))
    }

    /// Events for what a person would ask about.
    fn tell(&self, phase: &Phase, status: &CameraStatus, c: &Context<'_>) {
        let message = condition::find(&status.conditions, kind::CONNECTED).map(|c| c.message.clone());
        let message = message.unwrap_or_default();
        let was_live = matches!(self.phase, Phase::Live { .. });
        match phase {
            Phase::Live { tracks, .. } if !was_live => {
                let note = format!("{message}: {}", status::described(tracks));
                info!(camera = %self.target, tracks = status::described(tracks), "connected");
                c.reports.notice(&self.target, false, reason::CONNECTED, note);
            }
            Phase::Failed { reason, .. } => {
                let known = matches!(&self.phase, Phase::Failed { reason: known, .. } if known == reason);
                if was_live {
                    info!(camera = %self.target, reason = reason.as_str(), error = message, "disconnected");
                    c.reports.notice(&self.target, true, "Disconnected", message);
                } else if !known {
                    info!(camera = %self.target, reason = reason.as_str(), error = message, "not connected");
                    c.reports
                        .notice(&self.target, true, status::reason_of(*reason), message);
                }
            }
            Phase::Refused(refusal) if self.phase != *phase => {
                info!(camera = %self.target, reason = refusal.reason, error = refusal.message, "refused");
                c.reports
                    .notice(&self.target, true, refusal.reason, refusal.message.clone());
            }
            Phase::NoPublisher if was_live => {
                c.reports.notice(
                    &self.target,
                    true,
                    "Disconnected",
                    "the device stopped sending".to_owned(),
                );
            }
            _ => {}
        }
    }

    /// Events for footage that is lost, or may be.
    fn tell_risks(&mut self, c: &Context<'_>) {
        let Some(state) = c.recording.camera(&self.target.uid) else {
            return;
        };
        let now_ms = Timestamp::now().as_millisecond();
        for (warns, reason, note) in self.at_risk.news(&state, &c.recording.backlog(), now_ms) {
            c.reports.notice(&self.target, warns, reason, note);
        }
    }

    /// Stops what it started; the job is handed back as long as it runs.
    pub(super) fn end(mut self) -> Option<Work> {
        self.forwards.stop();
        let work = self.work?;
        work.stop();
        Some(work)
    }
}

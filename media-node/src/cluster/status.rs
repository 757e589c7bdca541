//! From how it stands with a camera to what its status says: the node's part of it. Pure; writing
//! it is `report`'s.

use super::job_of::{Refusal, secret_of, shown_of};
use crate::ingest::{Reason, TlsFault};
use std::time::SystemTime;
use weir_crds::camera::{TrackKind, TrackStatus};
use weir_crds::condition::{self, Condition, kind, reason};
use weir_crds::jiff::Timestamp;
use weir_crds::{Camera, CameraStatus, Route, RouteStatus, Time};
use weir_proto::media::{self, CodecParameters, Tracks};

/// Characters that are told of a failed handshake: a URL, a fingerprint, and a few names.
const MOST_OF_TLS: usize = 1800;

/// How it stands with a camera.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// `spec.enabled` is false.
    Disabled,
    /// Something in the spec or its Secret must change first.
    Refused(Refusal),
    /// On demand, and nobody watches.
    Idle,
    /// Nothing came yet since the job began.
    Connecting,
    /// The first attempt waits for something else than the camera.
    Waiting(String),
    Live {
        tracks: Tracks,
        since: SystemTime,
    },
    /// The last attempt failed. Detail is the ingest's.
    Failed {
        reason: Reason,
        detail: String,
    },
    /// A source that doesn't repeat has come to its end.
    Finished,
    /// The device sends to us, and doesn't.
    NoPublisher,
}

impl Phase {
    /// For the metric label.
    pub(super) const ALL: [&'static str; 6] = ["live", "connecting", "failed", "idle", "disabled", "refused"];

    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Refused(_) => "refused",
            Self::Idle | Self::NoPublisher | Self::Finished => "idle",
            Self::Connecting | Self::Waiting(_) => "connecting",
            Self::Live { .. } => "live",
            Self::Failed { .. } => "failed",
        }
    }
}

/// What a phase means for the conditions.
struct Words {
    connected: bool,
    ready: bool,
    /// Of `Connected`; that of `Ready` where it isn't said otherwise.
    reason: &'static str,
    ready_reason: Option<&'static str>,
    message: String,
    going: Going,
}

#[derive(PartialEq)]
enum Going {
    Steady,
    Reconciling,
    Stalled,
}

/// What is said of the servers that a stream is pushed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forwarding {
    /// All of them take it.
    pub(super) holds: bool,
    /// Of [`reason`].
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Forwarding {
    fn condition(&self, before: &[Condition], generation: Option<i64>, now: Time) -> Condition {
        let new = Condition::new(
            kind::FORWARDING,
            self.holds,
            self.reason,
            self.message.as_str(),
            now,
        );
        let mut one: Vec<Condition> = condition::find(before, kind::FORWARDING)
            .cloned()
            .into_iter()
            .collect();
        condition::set(&mut one, new.observed(generation));
        one.swap_remove(0)
    }
}

/// The status, with nothing in it but what the nodes say. `node` is set where nobody else places
/// cameras. Times of conditions that stay are those in `before`.
pub(super) fn of(
    camera: &Camera,
    phase: &Phase,
    forwarding: Option<&Forwarding>,
    before: &[Condition],
    node: Option<&str>,
    now: SystemTime,
) -> CameraStatus {
    let words = words(camera, phase);
    let now = time(now);
    let mut status = CameraStatus {
        node: node.map(str::to_owned),
        observed_epoch: camera.status.as_ref().and_then(|s| s.epoch),
        path: Some(camera.path().into_owned()),
        source: Some(camera.spec.source.kind().to_owned()),
        observed_generation: camera.metadata.generation,
        ..CameraStatus::default()
    };
    if let Phase::Live { tracks, since } = phase {
        status.live_since = Some(time(*since));
        status.tracks = tracks.iter().map(track).collect();
        let (main, size) = match (tracks.video(), tracks.audio()) {
            (Some((_, video)), _) => (Some(video), video.codec.size()),
            (None, audio) => (audio.map(|(_, t)| t), None),
        };
        status.codec = main.map(|t| t.codec.codec().to_string());
        status.size = size.map(|(width, height)| format!("{width}x{height}"));
    }
    let refused = matches!(phase, Phase::Refused(_));
    let ready_reason = words.ready_reason.unwrap_or(words.reason);
    let accepted = if refused {
        (false, words.reason, words.message.clone())
    } else {
        (true, reason::ACCEPTED, String::new())
    };
    let mut all = vec![
        (kind::ACCEPTED, accepted.0, accepted.1, accepted.2),
        (
            kind::CONNECTED,
            words.connected,
            words.reason,
            words.message.clone(),
        ),
        (kind::READY, words.ready, ready_reason, words.message.clone()),
    ];
    match words.going {
        Going::Steady => {}
        Going::Reconciling => all.push((kind::RECONCILING, true, words.reason, words.message)),
        Going::Stalled => all.push((kind::STALLED, true, words.reason, words.message)),
    }
    for (kind, holds, reason, message) in all {
        let new =
            Condition::new(kind, holds, reason, message, now.clone()).observed(camera.metadata.generation);
        let mut one: Vec<Condition> = condition::find(before, kind).cloned().into_iter().collect();
        condition::set(&mut one, new);
        status.conditions.append(&mut one);
    }
    let forwarding = forwarding.map(|f| f.condition(before, camera.metadata.generation, now));
    status.conditions.extend(forwarding);
    status
}

/// The status of a Route, for where no operator writes it. `streams` counts what it has started.
pub(super) fn of_route(
    route: &Route,
    refused: Option<&Refusal>,
    streams: usize,
    forwarding: Option<&Forwarding>,
    before: &[Condition],
    now: SystemTime,
) -> RouteStatus {
    let (holds, reason, message) = match refused {
        Some(refusal) => (false, refusal.reason, refusal.message.as_str()),
        None => (
            true,
            reason::ACCEPTED,
            "streams start when somebody asks for them",
        ),
    };
    let mut all = vec![(kind::ACCEPTED, holds), (kind::READY, holds)];
    if refused.is_some() {
        all.push((kind::STALLED, true));
    }
    let mut conditions = Vec::new();
    for (kind, holds) in all {
        let new = Condition::new(kind, holds, reason, message, time(now)).observed(route.metadata.generation);
        let mut one: Vec<Condition> = condition::find(before, kind).cloned().into_iter().collect();
        condition::set(&mut one, new);
        conditions.append(&mut one);
    }
    let forwarding = forwarding.map(|f| f.condition(before, route.metadata.generation, time(now)));
    conditions.extend(forwarding);
    RouteStatus {
        streams: Some(streams as i64),
        observed_generation: route.metadata.generation,
        conditions,
    }
}

/// What a node says of a Route whose other conditions are the operator's.
pub(super) fn of_forwarded_route(
    route: &Route,
    forwarding: Option<&Forwarding>,
    before: &[Condition],
    now: SystemTime,
) -> RouteStatus {
    let forwarding = forwarding.map(|f| f.condition(before, route.metadata.generation, time(now)));
    RouteStatus {
        conditions: forwarding.into_iter().collect(),
        ..RouteStatus::default()
    }
}

/// Whether `b` says nothing else than `a` but in other words: worth telling, but not in a hurry.
pub(super) fn same_but_words(a: &CameraStatus, b: &CameraStatus) -> bool {
    let mute = |status: &CameraStatus| {
        let mut status = status.clone();
        for condition in &mut status.conditions {
            condition.message.clear();
        }
        status
    };
    mute(a) == mute(b)
}

fn words(camera: &Camera, phase: &Phase) -> Words {
    let on_demand = camera.is_on_demand();
    let from = shown_of(camera);
    let words = |connected, ready, reason, message: String, going| Words {
        connected,
        ready,
        reason,
        ready_reason: None,
        message,
        going,
    };
    match phase {
        Phase::Disabled => {
            let message = "spec.enabled is false: set it to true to run the camera";
            words(false, false, reason::DISABLED, message.to_owned(), Going::Steady)
        }
        Phase::Refused(Refusal { reason, message }) => {
            words(false, false, reason, message.clone(), Going::Stalled)
        }
        Phase::Idle => Words {
            ready_reason: Some(reason::STANDBY),
            ..words(
                false,
                true,
                reason::IDLE,
                "nobody watches; the first viewer starts it".to_owned(),
                Going::Steady,
            )
        },
        Phase::Connecting => Words {
            // A camera on demand is as ready while it starts as before.
            ready: on_demand,
            ready_reason: Some(if on_demand {
                reason::STANDBY
            } else {
                reason::PROGRESSING
            }),
            ..words(
                false,
                false,
                reason::CONNECTING,
                format!("connecting to {from}"),
                Going::Reconciling,
            )
        },
        Phase::Waiting(what) => Words {
            ready_reason: Some(reason::PROGRESSING),
            ..words(false, false, reason::CONNECTING, what.clone(), Going::Reconciling)
        },
        Phase::Live { .. } => Words {
            ready_reason: Some(reason::LIVE),
            ..words(
                true,
                true,
                reason::CONNECTED,
                format!("media arrives from {from}"),
                Going::Steady,
            )
        },
        Phase::Failed { reason, detail } => {
            let (message, for_user) = failure(camera, *reason, &from, detail);
            let going = if for_user {
                Going::Stalled
            } else {
                Going::Reconciling
            };
            words(false, false, reason_of(*reason), message, going)
        }
        Phase::Finished => {
            let message = format!("{from} has come to its end: set loop to true to begin again");
            words(false, false, reason::CLOSED_BY_SOURCE, message, Going::Steady)
        }
        Phase::NoPublisher => {
            let message = format!(
                "no device sends to /{} yet: publish there with an account that may",
                camera.path()
            );
            words(
                false,
                false,
                reason::WAITING_FOR_PUBLISHER,
                message,
                Going::Reconciling,
            )
        }
    }
}

/// The condition's reason for a failure of the ingest.
pub(super) const fn reason_of(reason: Reason) -> &'static str {
    match reason {
        Reason::Unreachable => reason::UNREACHABLE,
        Reason::AuthFailed => reason::AUTH_FAILED,
        Reason::NotFound => reason::NOT_FOUND,
        Reason::UnsupportedCodec => reason::UNSUPPORTED_CODEC,
        Reason::NoData => reason::NO_DATA,
        Reason::AddressDenied => reason::ADDRESS_DENIED,
        Reason::Tls(fault) => tls_reason(fault),
        Reason::ProtocolError => reason::PROTOCOL_ERROR,
        Reason::Ended | Reason::Closed => reason::CLOSED_BY_SOURCE,
    }
}

/// The same for a failed handshake, of a source or of a server that is pushed to.
pub(super) const fn tls_reason(fault: TlsFault) -> &'static str {
    match fault {
        TlsFault::Untrusted => reason::TLS_CERTIFICATE_UNTRUSTED,
        TlsFault::Expired => reason::TLS_CERTIFICATE_EXPIRED,
        TlsFault::OtherName => reason::TLS_NAME_MISMATCH,
        TlsFault::OtherFingerprint => reason::TLS_FINGERPRINT_MISMATCH,
        TlsFault::Failed => reason::TLS_FAILED,
    }
}

/// What a failure means for a person, and whether nothing will change without one.
fn failure(camera: &Camera, reason: Reason, from: &str, detail: &str) -> (String, bool) {
    let plain = |most: usize| {
        detail
            .chars()
            .filter(|c| !c.is_control())
            .take(most)
            .collect::<String>()
    };
    let (what, for_user) = match reason {
        Reason::Tls(fault) => {
            // All of it: the fingerprint stands in it.
            let message = format!("{}: {}", plain(MOST_OF_TLS), fault.advice());
            return (message, fault.is_for_user());
        }
        Reason::Unreachable => {
            let what = format!(
                "no answer from {from}: check that it is on, and the address in the spec; trying again"
            );
            (what, false)
        }
        Reason::AuthFailed => match secret_of(camera) {
            Some(secret) => (
                format!("{from} refused the credentials in Secret {secret}: check username and password"),
                true,
            ),
            None => (
                format!(
                    "{from} wants credentials: put username and password into a Secret and name it in \
                     spec.credentials.secretName"
                ),
                true,
            ),
        },
        Reason::NotFound => (
            format!("{from} does not exist there: check the path in the spec"),
            true,
        ),
        Reason::UnsupportedCodec => (
            format!("{from} has no track that can be carried: set the camera to H.264 or H.265"),
            true,
        ),
        Reason::NoData => (
            format!("{from} answers but sends no media: check the camera; trying again"),
            false,
        ),
        Reason::AddressDenied => (
            format!(
                "the address of {from} is denied by the source policy: change the address, or allow it in the \
                 MediaPool's spec.sourcePolicy.allow"
            ),
            true,
        ),
        Reason::ProtocolError => (format!("{from} breaks its protocol; trying again"), false),
        Reason::Ended => (format!("{from} ended the stream; trying again"), false),
        Reason::Closed => (
            format!("the stream of {from} was closed, or another took its path; trying again"),
            false,
        ),
    };
    let detail = plain(300);
    if detail.is_empty() {
        (what, for_user)
    } else {
        (format!("{what} ({detail})"), for_user)
    }
}

/// What a person reads in an event about media that began to arrive.
pub(super) fn described(tracks: &Tracks) -> String {
    let all: Vec<String> = tracks
        .iter()
        .map(|t| match t.codec.size() {
            Some((width, height)) => format!("{} {width}x{height}", t.codec.codec()),
            None => t.codec.codec().to_string(),
        })
        .collect();
    all.join(", ")
}

fn track(track: &media::Track) -> TrackStatus {
    let size = track.codec.size();
    let audio = track.kind() == media::TrackKind::Audio;
    TrackStatus {
        kind: if audio { TrackKind::Audio } else { TrackKind::Video },
        codec: track.codec.codec().to_string(),
        width: size.map(|(width, _)| width.into()),
        height: size.map(|(_, height)| height.into()),
        clock_rate: (!audio).then_some(track.clock_rate),
        sample_rate: match &track.codec {
            CodecParameters::Aac(p) => Some(p.sample_rate),
            _ => audio.then_some(track.clock_rate),
        },
        channels: track.codec.channels().map(u32::from),
    }
}

/// In whole seconds, as the API server shows them.
fn time(at: SystemTime) -> Time {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(Timestamp::from_second(since.as_secs() as i64).unwrap_or_default())
}

#[cfg(test)]
mod tests;

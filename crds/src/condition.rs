//! Conditions: their types, their reasons, and setting one in a status. What a reason means for a camera is decided by
//! whoever sets it; here are only the words, so that every writer and reader spells them alike.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Condition types. `READY`, `RECONCILING` and `STALLED` follow kstatus and stand on every kind.
pub mod kind {
    /// The object does what its spec says.
    pub const READY: &str = "Ready";
    /// Somebody is working towards the spec; absent or `False` otherwise.
    pub const RECONCILING: &str = "Reconciling";
    /// No progress without a change by the user; absent or `False` otherwise.
    pub const STALLED: &str = "Stalled";
    /// The spec can be served: it names no path, pattern or address that is taken or not allowed.
    pub const ACCEPTED: &str = "Accepted";
    /// A node was chosen.
    pub const PLACED: &str = "Placed";
    /// Media arrives from the source.
    pub const CONNECTED: &str = "Connected";
    /// The stream arrives at all servers that `spec.forward` names.
    pub const FORWARDING: &str = "Forwarding";
    /// Media is being recorded.
    pub const RECORDING: &str = "Recording";
    /// Everything recorded so far is in the object store.
    pub const UPLOADED: &str = "Uploaded";
}

/// Reasons, CamelCase, each used with the condition types its comment names.
pub mod reason {
    /// Any type: the good case that needs no more words.
    pub const OK: &str = "Ok";

    // Ready
    /// Ready: media arrives and can be viewed.
    pub const LIVE: &str = "Live";
    /// Ready: an on-demand camera that waits for its first viewer.
    pub const STANDBY: &str = "Standby";
    /// Ready, Connected: `spec.enabled` is false.
    pub const DISABLED: &str = "Disabled";
    /// Ready, Accepted: no part of the running version carries this kind out yet.
    pub const NOT_IMPLEMENTED: &str = "NotImplemented";
    /// Ready, Reconciling: work towards the spec goes on.
    pub const PROGRESSING: &str = "Progressing";

    // Accepted
    /// Accepted: the spec is served.
    pub const ACCEPTED: &str = "Accepted";
    /// Accepted: an older Camera has this path.
    pub const PATH_TAKEN: &str = "PathTaken";
    /// Accepted: an older Route has this pattern.
    pub const DUPLICATE_PATTERN: &str = "DuplicatePattern";
    /// Accepted: the URL's scheme is not one that can be pulled.
    pub const UNSUPPORTED_SCHEME: &str = "UnsupportedScheme";
    /// Accepted: this kind of source is not carried out by the running version.
    pub const UNSUPPORTED_SOURCE: &str = "UnsupportedSource";
    /// Accepted: something in the spec is wrong that the schema can't see; the message says what.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// Accepted: the namespace has another, older `MediaPool`.
    pub const POOL_EXISTS: &str = "PoolExists";
    /// Accepted, Connected: the Secret that the spec names does not exist or lacks a key.
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";

    // Placed
    /// Placed: `status.node` names the node.
    pub const PLACED: &str = "Placed";
    /// Placed: no `MediaPool` in this namespace.
    pub const NO_POOL: &str = "NoPool";
    /// Placed: no node of the pool is ready.
    pub const NO_READY_NODE: &str = "NoReadyNode";
    /// Placed: no node matches `spec.nodeSelector`.
    pub const NO_MATCHING_NODE: &str = "NoMatchingNode";
    /// Placed: the node that `spec.node` pins does not exist or is not ready.
    pub const PINNED_NODE_UNAVAILABLE: &str = "PinnedNodeUnavailable";
    /// Placed: the former node still holds the object while the new one takes over.
    pub const MOVING: &str = "Moving";

    // Connected
    /// Connected: media arrives.
    pub const CONNECTED: &str = "Connected";
    /// Connected: the first attempt is under way.
    pub const CONNECTING: &str = "Connecting";
    /// Connected: no viewer, and the source is dialled on demand.
    pub const IDLE: &str = "Idle";
    /// Connected: a pushed stream whose device has not come yet.
    pub const WAITING_FOR_PUBLISHER: &str = "WaitingForPublisher";
    /// Connected: the name does not resolve, or the address does not answer.
    pub const UNREACHABLE: &str = "Unreachable";
    /// Connected: the source refuses the credentials, or wants some.
    pub const AUTH_FAILED: &str = "AuthFailed";
    /// Connected: the source answers and has no such stream; or the file is not there.
    pub const NOT_FOUND: &str = "NotFound";
    /// Connected: no track has a codec that can be carried.
    pub const UNSUPPORTED_CODEC: &str = "UnsupportedCodec";
    /// Connected: the session stands and no media comes.
    pub const NO_DATA: &str = "NoData";
    /// Connected: the source broke its protocol; the message says where.
    pub const PROTOCOL_ERROR: &str = "ProtocolError";
    /// Connected: the source ended the session.
    pub const CLOSED_BY_SOURCE: &str = "ClosedBySource";
    /// Connected: the pool's source policy denies the address that the name resolves to.
    pub const ADDRESS_DENIED: &str = "AddressDenied";
    // Connected, with TLS
    /// Connected: nobody who is known vouches for the source's certificate; the message tells its fingerprint.
    pub const TLS_CERTIFICATE_UNTRUSTED: &str = "TlsCertificateUntrusted";
    /// Connected: the source's certificate has expired, or is not valid yet.
    pub const TLS_CERTIFICATE_EXPIRED: &str = "TlsCertificateExpired";
    /// Connected: the source's certificate is not one for the host in the URL.
    pub const TLS_NAME_MISMATCH: &str = "TlsNameMismatch";
    /// Connected: the source's certificate is another than the one whose fingerprint the spec names.
    pub const TLS_FINGERPRINT_MISMATCH: &str = "TlsFingerprintMismatch";
    /// Connected: the TLS handshake failed for another reason than the source's certificate.
    pub const TLS_FAILED: &str = "TlsFailed";

    // Forwarding; besides it has those of Connected, said of the server that the stream is pushed to
    /// Forwarding: all servers take the stream.
    pub const FORWARDING: &str = "Forwarding";
    /// Forwarding: there is no stream to push; `Connected` says why.
    pub const NO_STREAM: &str = "NoStream";
    /// Forwarding: the server does not take the stream: somebody publishes there already, or it knows no such path.
    pub const REFUSED: &str = "Refused";
    /// Forwarding: the server is this one, and the path the stream's own.
    pub const LOOP: &str = "Loop";
    /// Forwarding: the server takes less than is sent, or nothing.
    pub const TOO_SLOW: &str = "TooSlow";
    /// Forwarding: the server ended the session.
    pub const CLOSED_BY_TARGET: &str = "ClosedByTarget";
    /// Forwarding: somebody ended the session here, through the API.
    pub const CLOSED: &str = "Closed";

    // Recording, Uploaded
    /// Recording: a schedule is active and media is stored.
    pub const SCHEDULED: &str = "Scheduled";
    /// Recording: no schedule selects the camera.
    pub const NOT_SCHEDULED: &str = "NotScheduled";
    /// Recording: no schedule that selects the camera has a window open.
    pub const OUTSIDE_WINDOWS: &str = "OutsideWindows";
    /// Recording: the spool is full.
    pub const SPOOL_FULL: &str = "SpoolFull";
    /// Uploaded: the object store does not take what is recorded.
    pub const STORE_UNAVAILABLE: &str = "StoreUnavailable";

    // MediaPool
    /// Ready: nodes or gateways that should run are not ready yet.
    pub const PODS_NOT_READY: &str = "PodsNotReady";
    /// Ready, Reconciling: pods of an older version are being replaced.
    pub const ROLLING_OUT: &str = "RollingOut";
}

/// `True`, `False` or `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Status {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is not known whether it holds.
    Unknown,
}

impl From<bool> for Status {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One aspect of the object's state, as `metav1.Condition`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition is about.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,
    /// Whether it holds.
    pub status: Status,
    /// Why, as a CamelCase word for programs.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Why, for a person, with what to do about it.
    #[serde(default)]
    #[schemars(length(max = 32768))]
    pub message: String,
    /// When `status` last changed.
    #[schemars(schema_with = "crate::rule::time")]
    pub last_transition_time: Time,
    /// The `metadata.generation` that this was decided for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

impl Condition {
    /// A condition that changed `now`. [`set`] puts it into a status and keeps the older time if the status is the same.
    pub fn new(
        type_: impl Into<String>,
        status: impl Into<Status>,
        reason: impl Into<String>,
        message: impl Into<String>,
        now: Time,
    ) -> Self {
        Self {
            type_: type_.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.into(),
            last_transition_time: now,
            observed_generation: None,
        }
    }

    /// The same, decided for this `metadata.generation`.
    #[must_use]
    pub fn observed(mut self, generation: Option<i64>) -> Self {
        self.observed_generation = generation;
        self
    }

    /// Whether it holds.
    pub fn is_true(&self) -> bool {
        self.status == Status::True
    }
}

/// The condition of that type.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether there is a condition of that type and it holds.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(Condition::is_true)
}

/// Puts `new` in the place of the condition of its type. `lastTransitionTime` stays when the status does. Says whether
/// anything changed, so that a caller writes on change only.
pub fn set(conditions: &mut Vec<Condition>, mut new: Condition) -> bool {
    let Some(old) = conditions.iter_mut().find(|c| c.type_ == new.type_) else {
        conditions.push(new);
        return true;
    };
    if old.status == new.status {
        new.last_transition_time = old.last_transition_time.clone();
    }
    let changed = *old != new;
    *old = new;
    changed
}

/// Takes the condition of that type away. Says whether there was one.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|c| c.type_ != type_);
    conditions.len() != before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).expect("in range"))
    }

    #[test]
    fn the_time_stays_while_the_status_does() {
        let mut all = vec![];
        assert!(set(
            &mut all,
            Condition::new(kind::READY, false, reason::CONNECTING, "", at(1))
        ));
        assert!(!set(
            &mut all,
            Condition::new(kind::READY, false, reason::CONNECTING, "", at(2))
        ));
        assert!(set(
            &mut all,
            Condition::new(kind::READY, false, reason::UNREACHABLE, "dead", at(3))
        ));
        assert_eq!(
            find(&all, kind::READY).map(|c| c.last_transition_time.clone()),
            Some(at(1))
        );
        assert!(set(
            &mut all,
            Condition::new(kind::READY, true, reason::LIVE, "", at(4)).observed(Some(2))
        ));
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].last_transition_time, at(4));
        assert!(is_true(&all, kind::READY));
        assert!(remove(&mut all, kind::READY) && !remove(&mut all, kind::READY));
    }

    #[test]
    fn it_is_written_as_kubernetes_writes_it() {
        let c = Condition::new(kind::PLACED, true, reason::PLACED, "on media-node-0", at(0));
        assert_eq!(
            serde_json::to_value(c).expect("serializes"),
            serde_json::json!({"type": "Placed", "status": "True", "reason": "Placed",
                "message": "on media-node-0", "lastTransitionTime": "1970-01-01T00:00:00Z"})
        );
    }
}

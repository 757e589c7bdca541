//! One of several operators leads: the one that holds the Lease (`coordination.k8s.io/v1`). Clocks of different machines
//! are not compared: a holder counts as gone when its record has not changed for the lease's time as this process measured
//! it. A holder that cannot renew stops some time before others may take over.

use std::time::{Duration, Instant};

use k8s_openapi::{
    api::coordination::v1::{Lease as Record, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

use crate::{
    apply::request,
    error::{Category, Error},
};

/// What to do about a record.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// There is none: make it.
    Create,
    /// It is ours, or nobody's, or its holder is gone: write ourselves into it.
    Take,
    /// Somebody holds it.
    Wait,
}

/// When a record was last seen to change.
#[derive(Clone, Debug)]
struct Seen {
    spec: LeaseSpec,
    at: Instant,
}

/// The lease, as one of those who want it.
pub(super) struct Lease {
    api: Api<Record>,
    name: String,
    identity: String,
    time: Duration,
    seen: Option<Seen>,
    held: Option<Record>,
}

impl Lease {
    pub(super) fn new(client: Client, namespace: &str, name: &str, identity: String, time: Duration) -> Self {
        let api = Api::namespaced(client, namespace);
        Self {
            api,
            name: name.into(),
            identity,
            time,
            seen: None,
            held: None,
        }
    }

    /// Waits until it is ours.
    pub(super) async fn acquire(&mut self) {
        self.held = None;
        loop {
            match self.attempt().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) if error.category() == Category::Conflict => {}
                Err(error) => {
                    tracing::warn!(error = %error.chain(), lease = %self.name, "lease cannot be taken");
                }
            }
            tokio::time::sleep(self.pause()).await;
        }
    }

    /// Keeps it. Returns when it is lost, in good time before anybody else may have it.
    pub(super) async fn hold(&mut self) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.pause()).await;
            let left = (self.time * 2 / 3).saturating_sub(renewed.elapsed());
            let begun = Instant::now();
            match tokio::time::timeout(left, self.attempt()).await {
                Ok(Ok(true)) => renewed = begun,
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => {
                    tracing::warn!(error = %error.chain(), lease = %self.name, "lease was not renewed");
                }
            }
            if renewed.elapsed() >= self.time * 2 / 3 {
                return;
            }
        }
    }

    /// Gives it back, so that another need not wait.
    pub(super) async fn release(&mut self) {
        let Some(mut record) = self.held.take() else {
            return;
        };
        if let Some(spec) = &mut record.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        let params = PostParams::default();
        let replace = self.api.replace(&self.name, &params, &record);
        if let Err(error) = request(|| "give back the lease".into(), replace).await {
            tracing::warn!(error = %error.chain(), lease = %self.name, "lease was not given back");
        }
    }

    /// A fifth of the lease's time, two seconds at most: how often it is looked at or renewed.
    fn pause(&self) -> Duration {
        (self.time / 5).min(Duration::from_secs(2))
    }

    /// Takes or renews it, if it can be had. Says whether it is ours.
    async fn attempt(&mut self) -> Result<bool, Error> {
        let doing = || format!("read Lease {}", self.name);
        let current = request(doing, self.api.get_opt(&self.name)).await?;
        let now = Instant::now();
        let step = decide(current.as_ref(), &self.identity, &mut self.seen, self.time, now);
        let spec = current.as_ref().and_then(|r| r.spec.as_ref());
        let record = Record {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: current.as_ref().and_then(|r| r.metadata.resource_version.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(next(spec, &self.identity, self.time, Timestamp::now())),
        };
        let doing = || format!("write Lease {}", self.name);
        let written = match step {
            Step::Wait => return Ok(false),
            Step::Create => request(doing, self.api.create(&PostParams::default(), &record)).await?,
            Step::Take => {
                request(
                    doing,
                    self.api.replace(&self.name, &PostParams::default(), &record),
                )
                .await?
            }
        };
        self.held = Some(written);
        Ok(true)
    }
}

fn decide(record: Option<&Record>, me: &str, seen: &mut Option<Seen>, time: Duration, now: Instant) -> Step {
    let Some(record) = record else { return Step::Create };
    let spec = record.spec.clone().unwrap_or_default();
    if seen.as_ref().is_none_or(|s| s.spec != spec) {
        *seen = Some(Seen {
            spec: spec.clone(),
            at: now,
        });
    }
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    if holder.is_empty() || holder == me {
        return Step::Take;
    }
    // The holder's own promise counts, should it have been started with another.
    let time = spec
        .lease_duration_seconds
        .and_then(|s| u64::try_from(s).ok())
        .map_or(time, Duration::from_secs);
    match seen {
        Some(seen) if now.saturating_duration_since(seen.at) >= time => Step::Take,
        _ => Step::Wait,
    }
}

/// The record that makes `me` the holder.
fn next(old: Option<&LeaseSpec>, me: &str, time: Duration, now: Timestamp) -> LeaseSpec {
    let mine = old.filter(|s| s.holder_identity.as_deref() == Some(me));
    let transitions = old.and_then(|s| s.lease_transitions).unwrap_or(0);
    LeaseSpec {
        holder_identity: Some(me.into()),
        lease_duration_seconds: Some(time.as_secs().max(1) as i32),
        acquire_time: mine.and_then(|s| s.acquire_time.clone()).or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if mine.is_some() || old.is_none() {
            transitions
        } else {
            transitions + 1
        }),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::ApiServer;

    const TIME: Duration = Duration::from_secs(15);
    const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/studio/leases/weir-operator";
    const MAKE: &str = "/apis/coordination.k8s.io/v1/namespaces/studio/leases";

    fn held_by(holder: &str, renewed: i64) -> Record {
        let spec = next(
            None,
            holder,
            TIME,
            Timestamp::from_second(renewed).expect("in range"),
        );
        Record {
            metadata: ObjectMeta {
                resource_version: Some("5".into()),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        }
    }

    fn json_of(record: &Record) -> serde_json::Value {
        serde_json::to_value(record).expect("JSON")
    }

    #[test]
    fn a_holder_is_gone_when_its_record_stands_still_for_us() {
        let start = Instant::now();
        let mut seen = None;
        let record = held_by("other", 1);
        let mut at = |record: &Record, seconds| {
            decide(
                Some(record),
                "me",
                &mut seen,
                TIME,
                start + Duration::from_secs(seconds),
            )
        };
        assert_eq!(
            at(&record, 0),
            Step::Wait,
            "however old its time stamp is: clocks may differ"
        );
        assert_eq!(at(&record, 14), Step::Wait);
        assert_eq!(at(&held_by("other", 2), 14), Step::Wait, "it was renewed");
        assert_eq!(at(&held_by("other", 2), 28), Step::Wait);
        assert_eq!(at(&held_by("other", 2), 29), Step::Take);
    }

    #[test]
    fn what_is_ours_or_nobodys_is_taken_at_once() {
        let now = Instant::now();
        for (record, step) in [
            (None, Step::Create),
            (Some(held_by("me", 1)), Step::Take),
            (Some(held_by("", 1)), Step::Take),
            (Some(Record::default()), Step::Take),
            (Some(held_by("other", 1)), Step::Wait),
        ] {
            assert_eq!(
                decide(record.as_ref(), "me", &mut None, TIME, now),
                step,
                "{record:?}"
            );
        }
    }

    #[test]
    fn transitions_are_counted() {
        let now = Timestamp::from_second(9).expect("in range");
        let other = held_by("other", 1).spec.expect("a spec");
        let mine = next(Some(&other), "me", TIME, now);
        assert_eq!(mine.lease_transitions, Some(1));
        let later = Timestamp::from_second(10).expect("in range");
        let renewed = next(Some(&mine), "me", TIME, later);
        assert_eq!(
            (renewed.lease_transitions, renewed.acquire_time),
            (Some(1), Some(MicroTime(now)))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_made_held_lost_and_not_given_back_then() {
        let server = ApiServer::default()
            .fails("GET", PATH, 404, "NotFound", "no lease")
            .on("POST", MAKE, 201, json_of(&held_by("me", 1)))
            .on("GET", PATH, 200, json_of(&held_by("me", 1)))
            .on("PUT", PATH, 200, json_of(&held_by("me", 2)))
            .on("GET", PATH, 200, json_of(&held_by("thief", 3)));
        let mut lease = Lease::new(server.client(), "studio", "weir-operator", "me".into(), TIME);
        lease.acquire().await;
        lease.hold().await;
        let methods: Vec<String> = server.asked().into_iter().map(|a| a.method).collect();
        assert_eq!(methods, ["GET", "POST", "GET", "PUT", "GET"]);
    }

    #[tokio::test]
    async fn a_release_names_nobody() {
        let server = ApiServer::default()
            .on("GET", PATH, 200, json_of(&held_by("", 1)))
            .on("PUT", PATH, 200, json_of(&held_by("me", 2)))
            .on("PUT", PATH, 200, json_of(&held_by("", 3)));
        let mut lease = Lease::new(server.client(), "studio", "weir-operator", "me".into(), TIME);
        lease.acquire().await;
        lease.release().await;
        lease.release().await;
        let asked = server.asked();
        assert_eq!(asked.len(), 3, "given back once");
        assert_eq!(asked[1].body["spec"]["holderIdentity"], "me");
        assert_eq!(asked[2].body["spec"]["holderIdentity"], "");
        assert_eq!(
            asked[2].body["metadata"]["resourceVersion"], "5",
            "only if nobody took it meanwhile"
        );
    }

    #[tokio::test]
    async fn two_that_want_it_at_once_do_not_both_get_it() {
        let server = ApiServer::default()
            .on("GET", PATH, 200, json_of(&held_by("", 1)))
            .fails("PUT", PATH, 409, "Conflict", "the object has been modified");
        let mut lease = Lease::new(server.client(), "studio", "weir-operator", "me".into(), TIME);
        let error = lease.attempt().await.expect_err("somebody was faster");
        assert_eq!(error.category(), Category::Conflict);
        assert!(lease.held.is_none());
    }
}

//! Routes: accepted or refused. The streams that they start belong to nodes that gateways choose by themselves.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use weir_crds::{
    Route, RouteStatus,
    condition::{Condition, kind, reason},
    field::Forward,
};

use super::{Context, Plain, Rest, World, is_of_a_pool, write_conditions};
use crate::{
    plan::{Plan, PoolPlan, Refusal, Verdict},
    snapshot::Objects,
    status::Wanted,
};

pub(super) async fn reconcile(
    context: &Context,
    objects: &Objects,
    plan: &Plan,
    world: &mut World,
    rest: &mut Rest,
    now: Timestamp,
) {
    let served = plan.pools.values().any(|p| matches!(p, PoolPlan::Serve(_)));
    let wanted = |route: &Route| {
        let verdict = plan.routes.get(&route.name_any())?;
        let for_source = route.spec.credentials.as_ref().map(|c| &c.secret_name);
        let trusted = route
            .spec
            .tls
            .as_ref()
            .and_then(|tls| tls.ca_secret_name.as_ref());
        let for_targets = route.spec.forward.iter().flat_map(Forward::secret_names);
        let mut secrets = for_source.into_iter().chain(trusted).chain(for_targets);
        match secrets.find(|s| is_of_a_pool(objects, s)) {
            Some(secret) => Some(conditions(&not_for_others(secret), served)),
            None => Some(conditions(verdict, served)),
        }
    };
    write_conditions(context, &objects.routes, world, rest, now, wanted).await;
}

fn not_for_others(secret: &str) -> Verdict {
    Verdict::Refuse(Refusal {
        reason: reason::INVALID_SPEC,
        message: format!(
            "the Secret {secret} is the MediaPool's own, which no other server is sent: name one for this source in \
             spec.credentials.secretName or spec.tls.caSecretName, or for this target in spec.forward"
        ),
    })
}

impl Plain for Route {
    const KIND: &'static str = "Route";

    fn said(&self) -> (&[Condition], Option<i64>) {
        self.status
            .as_ref()
            .map_or((&[], None), |s| (&s.conditions, s.observed_generation))
    }

    fn status(conditions: Vec<Condition>, observed_generation: Option<i64>) -> impl Serialize + Sync {
        RouteStatus {
            conditions,
            observed_generation,
            ..RouteStatus::default()
        }
    }
}

fn conditions(verdict: &Verdict, served: bool) -> Vec<Wanted> {
    match verdict {
        Verdict::Refuse(why) => vec![
            Wanted::new(kind::ACCEPTED, false, why.reason, &why.message),
            Wanted::new(kind::READY, false, why.reason, &why.message),
            Wanted::new(kind::STALLED, true, why.reason, &why.message),
        ],
        Verdict::Accept if served => vec![
            Wanted::new(kind::ACCEPTED, true, reason::ACCEPTED, ""),
            Wanted::new(kind::READY, true, reason::OK, ""),
        ],
        Verdict::Accept => vec![
            Wanted::new(kind::ACCEPTED, true, reason::ACCEPTED, ""),
            Wanted::new(
                kind::READY,
                false,
                reason::NO_POOL,
                "this namespace has no MediaPool: apply one",
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_route_is_stalled() {
        let why = Refusal {
            reason: reason::DUPLICATE_PATTERN,
            message: "m".into(),
        };
        let all = conditions(&Verdict::Refuse(why), true);
        assert!(all.iter().any(|c| c.kind == kind::STALLED && c.holds));
        assert!(all.iter().all(|c| c.reason == reason::DUPLICATE_PATTERN));
        assert!(conditions(&Verdict::Accept, true).iter().all(|c| c.holds));
        assert!(
            conditions(&Verdict::Accept, false)
                .iter()
                .any(|c| c.kind == kind::READY && !c.holds)
        );
    }
}

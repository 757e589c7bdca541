//! Routes: accepted or refused. The streams that they start belong to nodes that gateways choose by themselves.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use weir_crds::{
    Route, RouteStatus,
    condition::{Condition, kind, reason},
};

use super::{Context, Plain, Rest, World, write_conditions};
use crate::{
    plan::{Plan, PoolPlan, Verdict},
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
    let wanted = |route: &Route| Some(conditions(plan.routes.get(&route.name_any())?, served));
    write_conditions(context, &objects.routes, world, rest, now, wanted).await;
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
    use crate::plan::Refusal;

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

//! `RecordSchedule`s: accepted, and honest about that nothing records yet.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use weir_crds::{
    RecordSchedule, RecordScheduleStatus,
    condition::{Condition, kind, reason},
};

use super::{Context, Plain, Rest, World, write_conditions};
use crate::{snapshot::Objects, status::Wanted};

pub(super) async fn reconcile(
    context: &Context,
    objects: &Objects,
    world: &mut World,
    rest: &mut Rest,
    now: Timestamp,
) {
    let wanted = |_: &RecordSchedule| {
        Some(vec![
            Wanted::new(kind::ACCEPTED, true, reason::ACCEPTED, ""),
            Wanted::new(
                kind::READY,
                false,
                reason::NOT_IMPLEMENTED,
                "this version of Weir records nothing yet",
            ),
        ])
    };
    write_conditions(context, &objects.schedules, world, rest, now, wanted).await;
}

impl Plain for RecordSchedule {
    const KIND: &'static str = "RecordSchedule";

    fn said(&self) -> (&[Condition], Option<i64>) {
        self.status
            .as_ref()
            .map_or((&[], None), |s| (&s.conditions, s.observed_generation))
    }

    fn status(conditions: Vec<Condition>, observed_generation: Option<i64>) -> impl Serialize + Sync {
        RecordScheduleStatus {
            conditions,
            observed_generation,
            ..RecordScheduleStatus::default()
        }
    }
}

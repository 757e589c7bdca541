//! `RecordSchedule`s: accepted, and honest about that nothing records yet.

use k8s_openapi::jiff::Timestamp;
use weir_crds::{
    RecordSchedule, RecordScheduleStatus,
    condition::{kind, reason},
};

use super::{Context, Rest, World, write_conditions};
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
    let parts = |schedule: &RecordSchedule| {
        let status = schedule.status.as_ref();
        (
            status.map(|s| s.conditions.clone()).unwrap_or_default(),
            status.and_then(|s| s.observed_generation),
        )
    };
    let status = |conditions, observed_generation| RecordScheduleStatus {
        conditions,
        observed_generation,
        ..RecordScheduleStatus::default()
    };
    write_conditions(
        context,
        &objects.schedules,
        world,
        rest,
        now,
        wanted,
        parts,
        status,
    )
    .await;
}

//! Rooms: accepted, and honest about that nothing runs them yet.

use k8s_openapi::jiff::Timestamp;
use weir_crds::{
    Room, RoomStatus,
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
    let wanted = |_: &Room| {
        Some(vec![
            Wanted::new(kind::ACCEPTED, true, reason::ACCEPTED, ""),
            Wanted::new(
                kind::READY,
                false,
                reason::NOT_IMPLEMENTED,
                "this version of Weir runs no rooms yet",
            ),
        ])
    };
    let parts = |room: &Room| {
        let status = room.status.as_ref();
        (
            status.map(|s| s.conditions.clone()).unwrap_or_default(),
            status.and_then(|s| s.observed_generation),
        )
    };
    let status = |conditions, observed_generation| RoomStatus {
        conditions,
        observed_generation,
        ..RoomStatus::default()
    };
    write_conditions(context, &objects.rooms, world, rest, now, wanted, parts, status).await;
}

//! Rooms: accepted, and honest about that nothing runs them yet.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use weir_crds::{
    Room, RoomStatus,
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
    write_conditions(context, &objects.rooms, world, rest, now, wanted).await;
}

impl Plain for Room {
    const KIND: &'static str = "Room";

    fn said(&self) -> (&[Condition], Option<i64>) {
        self.status
            .as_ref()
            .map_or((&[], None), |s| (&s.conditions, s.observed_generation))
    }

    fn status(conditions: Vec<Condition>, observed_generation: Option<i64>) -> impl Serialize + Sync {
        RoomStatus {
            conditions,
            observed_generation,
            ..RoomStatus::default()
        }
    }
}

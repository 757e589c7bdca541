//! `RecordSchedule`s: says whether their windows are open. Recording is the nodes', each by its own clock.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use weir_crds::condition::reason;

use super::{Context, Rest, World};
use crate::{events::Note, metrics as names, resources::names::MANAGER, snapshot::Objects, status};

const KIND: &str = "RecordSchedule";
/// The clock may be set, and a window end sooner than its timer.
const LONGEST: Duration = Duration::from_mins(5);

pub(super) async fn reconcile(
    context: &Context,
    objects: &Objects,
    world: &mut World,
    rest: &mut Rest,
    now: Timestamp,
) {
    let pool = objects
        .pools
        .iter()
        .reduce(|best, p| if p.goes_before(best) { p } else { best });
    let zone = pool.map(|pool| pool.spec.time_zone.clone()).unwrap_or_default();
    for schedule in &objects.schedules {
        if schedule.meta().deletion_timestamp.is_some() {
            continue;
        }
        let name = schedule.name_any();
        let evaluated = schedule.evaluate(objects.cameras.iter().map(|c| &**c), &zone, now);
        if let Some(at) = evaluated.changes {
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            rest.again(wait.clamp(Duration::from_millis(100), LONGEST));
        }
        if schedule.status.as_ref() == Some(&evaluated.status) {
            continue;
        }
        if let Some(wait) = world.retries.waits(&format!("{KIND}/{name}"), Instant::now()) {
            rest.again(wait);
            continue;
        }
        let written = status::write(&context.client, &**schedule, MANAGER, None, &evaluated.status).await;
        if rest.note(world, KIND, &name, written).is_none() {
            continue;
        }
        metrics::counter!(names::STATUS_WRITES, "kind" => KIND).increment(1);
        if let Some(text) = evaluated.refused {
            context.events.tell(Note {
                about: schedule.object_ref(&()),
                warning: true,
                reason: reason::INVALID_SPEC.to_owned(),
                action: "Accept",
                text,
            });
        }
    }
}

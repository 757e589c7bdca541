//! A namespace brought to its plan: read, plan, apply, say so. One file a kind, none with logic of its own worth a name;
//! when namespaces are due is `runtime`'s.

mod camera;
mod media_pool;
mod record_schedule;
mod retries;
mod room;
mod route;
mod totals;

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::jiff::Timestamp;
use kube::{Client, Resource, ResourceExt, core::NamespaceResourceScope};
use serde::{Serialize, de::DeserializeOwned};
use tracing::Instrument;
use weir_crds::{
    condition::{self, Condition},
    field::Forward,
};

use crate::{
    error::Error,
    events::{Events, Note},
    metrics as names,
    plan::{self, Limits},
    resources::{Settings, names::MANAGER},
    snapshot::{self, Memory, Objects},
    status::{self, Wanted},
};
use retries::Retries;
use totals::Totals;

/// What all reconciliations share.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Where events go.
    pub events: Events,
    /// What pods are made with.
    pub settings: Settings,
    /// Delays and bounds of plans.
    pub limits: Limits,
    totals: Totals,
}

impl Context {
    /// With nothing reconciled yet.
    pub fn new(client: Client, events: Events, settings: Settings, limits: Limits) -> Self {
        Self {
            client,
            events,
            settings,
            limits,
            totals: Totals::default(),
        }
    }

    /// Forgets a namespace in which there is nothing any more.
    pub fn forget(&self, namespace: &str) {
        self.totals.forget(namespace);
    }
}

/// What the operator remembers of a namespace. It may be lost.
#[derive(Debug, Default)]
pub struct World {
    memory: Memory,
    retries: Retries,
    pool: media_pool::Applied,
}

/// What is left to do in a namespace.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    next: Option<Duration>,
    errors: usize,
}

impl Rest {
    /// Comes back after that time at the latest.
    fn again(&mut self, after: Duration) {
        self.next = Some(self.next.map_or(after, |next| next.min(after)));
    }

    /// Notes how work on an object ended, and when to try again.
    fn note<T>(
        &mut self,
        world: &mut World,
        kind: &'static str,
        name: &str,
        result: Result<T, Error>,
    ) -> Option<T> {
        let key = format!("{kind}/{name}");
        match result {
            Ok(value) => {
                world.retries.succeeded(&key);
                Some(value)
            }
            Err(error) => {
                let category = error.category();
                let after = world.retries.failed(key, category, Instant::now());
                let error = error.chain();
                if category.is_ordinary() {
                    tracing::debug!(kind, name, category = category.label(), %error, ?after, "has to be done again");
                } else {
                    tracing::warn!(kind, name, category = category.label(), %error, ?after, "could not be done");
                    self.errors += 1;
                }
                metrics::counter!(names::ERRORS, "kind" => kind, "category" => category.label()).increment(1);
                self.again(after);
                None
            }
        }
    }
}

/// Brings one namespace to its plan. Says after which time it wants to be called again at the latest.
pub async fn reconcile(
    context: &Context,
    namespace: &str,
    mut objects: Objects,
    world: &mut World,
) -> Option<Duration> {
    let start = Instant::now();
    let snapshot = snapshot::take(&mut objects, &mut world.memory, start);
    let planning = Instant::now();
    let plan = plan::plan(&snapshot, &context.limits);
    metrics::histogram!(names::PLAN_SECONDS).record(planning.elapsed().as_secs_f64());
    context.totals.set(namespace, &plan);

    let mut rest = Rest::default();
    if let Some(wake) = plan.wake {
        rest.again(wake);
    }
    // The role before placements: a node that is given a camera may read its Secret by then. The many other objects of a
    // pool come after them, and hold up no camera.
    let now = Timestamp::now();
    for pool in &objects.pools {
        media_pool::grant(context, pool, &objects, &plan, world, &mut rest).await;
    }
    camera::reconcile(context, &objects, &snapshot, &plan, world, &mut rest, now).await;
    for pool in &objects.pools {
        let span = span("MediaPool", namespace, &pool.name_any(), pool.metadata.generation);
        media_pool::reconcile(context, pool, &objects, &plan, world, &mut rest, now)
            .instrument(span)
            .await;
    }
    route::reconcile(context, &objects, &plan, world, &mut rest, now).await;
    room::reconcile(context, &objects, world, &mut rest, now).await;
    record_schedule::reconcile(context, &objects, world, &mut rest, now).await;
    world.retries.forget_old(Instant::now());

    let result = if rest.errors == 0 { "ok" } else { "error" };
    metrics::counter!(names::RECONCILES, "result" => result).increment(1);
    metrics::histogram!(names::RECONCILE_SECONDS).record(start.elapsed().as_secs_f64());
    rest.next
}

fn span(kind: &'static str, namespace: &str, name: &str, generation: Option<i64>) -> tracing::Span {
    tracing::info_span!("reconcile", kind, namespace, name, generation)
}

/// A kind whose status is the operator's alone, and holds nothing but conditions.
trait Plain:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug
{
    /// Name of the kind, as a label of metrics.
    const KIND: &'static str;

    /// The conditions as they stand, and the generation that they were decided for.
    fn said(&self) -> (&[Condition], Option<i64>);

    /// The status with those conditions.
    fn status(conditions: Vec<Condition>, generation: Option<i64>) -> impl Serialize + Sync;
}

/// Writes the conditions of all those objects for which `wanted` knows some, in turn, each on change only.
async fn write_conditions<K: Plain>(
    context: &Context,
    objects: &[Arc<K>],
    world: &mut World,
    rest: &mut Rest,
    now: Timestamp,
    wanted: impl Fn(&K) -> Option<Vec<Wanted>>,
) {
    for object in objects.iter().filter(|o| o.meta().deletion_timestamp.is_none()) {
        let name = object.name_any();
        let Some(wanted) = wanted(object) else { continue };
        let (old, observed) = object.said();
        let generation = object.meta().generation;
        let new = status::conditions(old, &wanted, generation, now);
        if status::stand(old, &new) && observed == generation {
            continue;
        }
        if let Some(wait) = world
            .retries
            .waits(&format!("{}/{name}", K::KIND), Instant::now())
        {
            rest.again(wait);
            continue;
        }
        let status = K::status(new, generation);
        let written = status::write(&context.client, object.as_ref(), MANAGER, None, &status).await;
        if rest.note(world, K::KIND, &name, written).is_none() {
            continue;
        }
        metrics::counter!(names::STATUS_WRITES, "kind" => K::KIND).increment(1);
        for refusal in wanted
            .iter()
            .filter(|w| w.kind == condition::kind::ACCEPTED && !w.holds)
        {
            context.events.tell(Note {
                about: object.object_ref(&()),
                warning: true,
                reason: refusal.reason.clone(),
                action: "Accept",
                text: refusal.message.clone(),
            });
        }
    }
}

/// Secrets that Cameras of the namespace name for their sources, which nodes may read: none that is a pool's own.
fn camera_secrets(objects: &Objects) -> BTreeSet<String> {
    let named = objects.cameras.iter().filter_map(|c| c.spec.credentials.as_ref());
    of_others(objects, named.map(|s| &s.secret_name))
}

/// Secrets that Routes of the namespace name for their sources, which nodes and gateways may read: none that is a pool's
/// own.
fn route_secrets(objects: &Objects) -> BTreeSet<String> {
    let named = objects.routes.iter().filter_map(|r| r.spec.credentials.as_ref());
    of_others(objects, named.map(|s| &s.secret_name))
}

/// Secrets that Cameras and Routes of the namespace name for servers that they push to, and for the authorities of those that
/// they pull from, which nodes alone may read: none that is a pool's own.
fn node_secrets(objects: &Objects) -> BTreeSet<String> {
    let of_cameras = objects.cameras.iter().flat_map(|c| &c.spec.forward);
    let of_routes = objects.routes.iter().flat_map(|r| &r.spec.forward);
    let pushed = of_cameras.chain(of_routes).flat_map(Forward::secret_names);
    let by_cameras = objects.cameras.iter().filter_map(|c| c.spec.source.tls());
    let by_routes = objects.routes.iter().filter_map(|r| r.spec.tls.as_ref());
    let authorities = by_cameras
        .chain(by_routes)
        .filter_map(|tls| tls.ca_secret_name.as_ref());
    of_others(objects, pushed.chain(authorities))
}

fn of_others<'a>(objects: &Objects, named: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    named
        .filter(|name| !is_of_a_pool(objects, name))
        .cloned()
        .collect()
}

/// Whether a Secret is one of a pool, whose content nobody else may be sent.
fn is_of_a_pool(objects: &Objects, secret: &str) -> bool {
    objects.pools.iter().any(|p| p.owns_secret(secret))
}

#[cfg(test)]
mod tests;

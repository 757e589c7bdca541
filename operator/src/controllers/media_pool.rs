//! `MediaPool`s: the pool's objects are applied, pods whose turn it is are deleted, and the status says how far all is.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    jiff::Timestamp,
};
use kube::{Api, Resource, ResourceExt, api::DeleteParams};
use sha2::{Digest, Sha256};
use weir_crds::{
    MediaPool, MediaPoolStatus, POOL_LABEL,
    condition::{self, kind, reason},
    media_pool::NodeStatus,
};

use super::{Context, Rest, World, camera_secrets, node_secrets, route_secrets};
use crate::{
    apply::{self, request},
    error::{Category, Error},
    events::Note,
    metrics::{PODS_REPLACED, STATUS_WRITES},
    plan::{Cause, Plan, PoolPlan, Refusal, Serving, Standing},
    resources::{self, Built, Input, names},
    snapshot::Objects,
    status::{self, Wanted},
};

/// Every so often all objects are applied again, whatever became of them meanwhile.
const RESYNC: Duration = Duration::from_mins(1);
/// How long after they were applied objects may still be missing from the watch.
const SETTLE: Duration = Duration::from_secs(3);
/// Failures in a row of which only the last is news, unless the first wants a person: API servers throttle and restart.
const PATIENCE: u32 = 3;
/// A status in which nothing but numbers of cameras changed is written this often at most.
const COUNTS: Duration = Duration::from_secs(1);

/// Condition: accounts survive the pod that holds them.
const DURABLE: &str = "Durable";
/// Reason: accounts are in a file of the gateway's pod.
const NO_DATABASE: &str = "NoDatabase";
/// Reason: the API server does not take an object of the pool.
const APPLY_FAILED: &str = "ApplyFailed";

/// What was last applied for the pool.
#[derive(Debug, Default)]
pub(super) struct Applied {
    uid: Option<String>,
    /// Of the role of nodes.
    role: Option<[u8; 32]>,
    /// Of all objects.
    hash: Option<[u8; 32]>,
    at: Option<Instant>,
    failure: Option<(Category, String)>,
    status_at: Option<Instant>,
}

/// Applies the role of nodes, if it is another than was applied last. Whatever becomes of it, [`reconcile`] applies it with the
/// rest, and says what is wrong in the status.
pub(super) async fn grant(
    context: &Context,
    pool: &MediaPool,
    objects: &Objects,
    plan: &Plan,
    world: &mut World,
    rest: &mut Rest,
) {
    let name = pool.name_any();
    let Some(PoolPlan::Serve(serving)) = plan.pools.get(&name) else {
        return;
    };
    if world.pool.uid != pool.metadata.uid {
        world.pool = Applied {
            uid: pool.metadata.uid.clone(),
            ..Applied::default()
        };
    }
    let built = build(context, pool, objects, serving);
    let is_role = |b: &&Built| b.resource.kind == "Role" && b.name == names::node(&name);
    let Some(role) = built.iter().find(is_role) else {
        return;
    };
    let hash = hash(std::slice::from_ref(role));
    if world.pool.role == Some(hash) {
        return;
    }
    if let Some(wait) = world
        .retries
        .waits(&format!("Role/{}", role.name), Instant::now())
    {
        rest.again(wait);
        return;
    }
    let result = apply::apply(&context.client, &pool.namespace().unwrap_or_default(), role).await;
    if rest.note(world, "Role", &role.name, result).is_some() {
        world.pool.role = Some(hash);
    }
}

fn build(context: &Context, pool: &MediaPool, objects: &Objects, serving: &Serving) -> Vec<Built> {
    let route_secrets = route_secrets(objects);
    resources::build(&Input {
        pool,
        settings: &context.settings,
        nodes: serving.replicas,
        secrets: &(&(&camera_secrets(objects) | &route_secrets) | &node_secrets(objects)),
        gateway_secrets: &(&camera_secrets(objects) | &route_secrets),
    })
}

fn hash(built: &[Built]) -> [u8; 32] {
    let all = built
        .iter()
        .fold(Sha256::new(), |h, b| h.chain_update(b.body.to_string()));
    all.finalize().into()
}

pub(super) async fn reconcile(
    context: &Context,
    pool: &MediaPool,
    objects: &Objects,
    plan: &Plan,
    world: &mut World,
    rest: &mut Rest,
    now: Timestamp,
) {
    let name = pool.name_any();
    match plan.pools.get(&name) {
        None => {}
        Some(PoolPlan::Refuse(why)) => {
            let status = MediaPoolStatus {
                observed_generation: pool.metadata.generation,
                ..MediaPoolStatus::default()
            };
            write(context, pool, status, &refused(why), world, rest, now).await;
        }
        Some(PoolPlan::Serve(serving)) => {
            let built = build(context, pool, objects, serving);
            apply_objects(context, pool, objects, &built, world, rest).await;
            if world.pool.failure.is_none() {
                remove_pods(context, pool, plan, world, rest).await;
            }
            let (status, conditions) = summary(pool, serving, objects, context, world.pool.failure.as_ref());
            write(context, pool, status, &conditions, world, rest, now).await;
        }
    }
}

async fn apply_objects(
    context: &Context,
    pool: &MediaPool,
    objects: &Objects,
    built: &[Built],
    world: &mut World,
    rest: &mut Rest,
) {
    let name = pool.name_any();
    let started = Instant::now();
    let hash = hash(built);
    let age = world.pool.at.map(|at| started.saturating_duration_since(at));
    let present = objects
        .stateful_sets
        .iter()
        .any(|s| s.name_any() == names::node(&name))
        && objects
            .deployments
            .iter()
            .any(|d| d.name_any() == names::gateway(&name));
    let due =
        world.pool.hash != Some(hash) || age.is_none_or(|age| age >= RESYNC || (!present && age >= SETTLE));
    if !due {
        let next = if present { RESYNC } else { SETTLE };
        rest.again(next.saturating_sub(age.unwrap_or_default()));
        return;
    }
    if let Some(wait) = world.retries.waits(&format!("MediaPool/{name}"), started) {
        rest.again(wait);
        return;
    }
    let result = apply_all(context, pool, built).await;
    let failure = result.as_ref().err().map(|e| (e.category(), e.chain()));
    if rest.note(world, "MediaPool", &name, result).is_some() {
        world.pool.hash = Some(hash);
        world.pool.at = Some(started);
        rest.again(RESYNC);
    } else {
        // Part of it may stand: all of it is due.
        world.pool.hash = None;
    }
    let times = world.retries.times(&format!("MediaPool/{name}"));
    world.pool.failure = failure.filter(|(category, _)| is_news(*category, times));
}

/// Whether a failure belongs into a condition rather than being tried again silently.
fn is_news(category: Category, times: u32) -> bool {
    category.wants_a_person() || (!category.is_ordinary() && times >= PATIENCE)
}

/// Applies all that can be applied, and returns the first failure. An API server that is away is not asked for the rest.
async fn apply_all(context: &Context, pool: &MediaPool, built: &[Built]) -> Result<(), Error> {
    let namespace = pool.namespace().unwrap_or_default();
    let mut first = None;
    match apply::ensure_secret(&context.client, &namespace, pool).await {
        Ok(true) => tracing::info!(
            secret = names::auth(&pool.name_any()),
            "Secret of the administrator was made"
        ),
        Ok(false) => {}
        Err(error) if error.is_of_the_server() => return Err(error),
        Err(error) => first = Some(error),
    }
    for object in built {
        match apply::apply(&context.client, &namespace, object).await {
            Ok(()) => {}
            Err(error) if error.is_of_the_server() => return Err(error),
            Err(error) => _ = first.get_or_insert(error),
        }
    }
    match first {
        Some(error) => Err(error),
        None => apply::remove_orphans(&context.client, &namespace, pool, built)
            .await
            .map(drop),
    }
}

async fn remove_pods(context: &Context, pool: &MediaPool, plan: &Plan, world: &mut World, rest: &mut Rest) {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &pool.namespace().unwrap_or_default());
    for removal in &plan.removals {
        let key = format!("Pod/{}", removal.pod);
        if let Some(wait) = world.retries.waits(&key, Instant::now()) {
            rest.again(wait);
            continue;
        }
        let params = DeleteParams {
            preconditions: apply::exactly(Some(removal.uid.clone())),
            ..DeleteParams::default()
        };
        let result = request(
            || format!("delete Pod {}", removal.pod),
            api.delete(&removal.pod, &params),
        )
        .await;
        if rest.note(world, "Pod", &removal.pod, result).is_some() {
            metrics::counter!(PODS_REPLACED).increment(1);
            tracing::info!(pod = %removal.pod, "pod of an older version is replaced");
            context.events.tell(Note {
                about: pool.object_ref(&()),
                warning: false,
                reason: "PodReplaced".into(),
                action: "RollOut",
                text: format!(
                    "{} ran an older version and carries nothing any more: replaced",
                    removal.pod
                ),
            });
        }
    }
}

fn refused(why: &Refusal) -> Vec<Wanted> {
    vec![
        Wanted::new(kind::ACCEPTED, false, why.reason, &why.message),
        Wanted::new(kind::READY, false, why.reason, &why.message),
        Wanted::new(kind::STALLED, true, why.reason, &why.message),
    ]
}

async fn write(
    context: &Context,
    pool: &MediaPool,
    mut status: MediaPoolStatus,
    wanted: &[Wanted],
    world: &mut World,
    rest: &mut Rest,
    now: Timestamp,
) {
    let old = pool.status.clone().unwrap_or_default();
    status.conditions = status::conditions(&old.conditions, wanted, pool.metadata.generation, now);
    let same_conditions =
        old.conditions.len() == status.conditions.len() && status::stand(&old.conditions, &status.conditions);
    if same_conditions
        && (MediaPoolStatus {
            conditions: vec![],
            ..old.clone()
        }) == (MediaPoolStatus {
            conditions: vec![],
            ..status.clone()
        })
    {
        return;
    }
    let name = pool.name_any();
    let started = Instant::now();
    let pause = world
        .pool
        .status_at
        .map(|at| COUNTS.saturating_sub(started.saturating_duration_since(at)));
    let waits = world.retries.waits(&format!("MediaPoolStatus/{name}"), started);
    if let Some(wait) = waits.or(pause.filter(|p| same_conditions && !p.is_zero())) {
        rest.again(wait);
        return;
    }
    let result = status::write(&context.client, pool, names::MANAGER, None, &status).await;
    if rest.note(world, "MediaPoolStatus", &name, result).is_none() {
        return;
    }
    world.pool.status_at = Some(started);
    metrics::counter!(STATUS_WRITES, "kind" => "MediaPool").increment(1);
    let of = |conditions: &[condition::Condition]| {
        condition::find(conditions, kind::READY).map(|c| c.reason.clone())
    };
    if let Some(ready) = condition::find(&status.conditions, kind::READY)
        && of(&old.conditions).as_ref() != Some(&ready.reason)
    {
        context.events.tell(Note {
            about: pool.object_ref(&()),
            warning: !ready.is_true() && ready.reason != reason::ROLLING_OUT,
            reason: if ready.is_true() {
                "Ready".into()
            } else {
                ready.reason.clone()
            },
            action: "Reconcile",
            text: ready.message.clone(),
        });
    }
}

/// The status of a pool that serves, and its conditions.
fn summary(
    pool: &MediaPool,
    serving: &Serving,
    objects: &Objects,
    context: &Context,
    failure: Option<&(Category, String)>,
) -> (MediaPoolStatus, Vec<Wanted>) {
    let name = pool.name_any();
    let nodes: Vec<NodeStatus> = serving
        .nodes
        .iter()
        .map(|n| NodeStatus {
            name: n.name.clone(),
            ready: n.standing == Standing::Usable,
            draining: matches!(n.standing, Standing::Leaving(_)),
            cameras: n.cameras as i64,
            mbps: None,
        })
        .collect();
    let gateways = Gateways::of(pool, objects);
    let input = Input {
        pool,
        settings: &context.settings,
        nodes: serving.replicas,
        secrets: &BTreeSet::new(),
        gateway_secrets: &BTreeSet::new(),
    };
    let exist = objects
        .pods
        .iter()
        .filter(|p| names::ordinal(&name, &p.name_any()).is_some())
        .count();
    let status = MediaPoolStatus {
        replicas: Some(exist as i64),
        selector: Some(selector(&name)),
        ready_nodes: Some(serving.nodes.iter().filter(|n| works(n.standing)).count() as i64),
        ready_gateways: Some(i64::from(gateways.ready)),
        cameras: Some(serving.nodes.iter().map(|n| n.cameras as i64).sum()),
        image: Some(resources::image(&input).to_owned()),
        nodes,
        observed_generation: pool.metadata.generation,
        conditions: vec![],
    };
    (status, conditions(pool, serving, &gateways, failure))
}

/// Whether a node in that standing carries media.
fn works(standing: Standing) -> bool {
    match standing {
        Standing::Usable => true,
        Standing::Leaving(cause) => cause != Cause::Ending,
        Standing::Unready | Standing::Lost => false,
    }
}

fn selector(pool: &str) -> String {
    let labels = names::selector(pool, names::Component::Node);
    let pairs = labels.as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join(",")
}

/// How far the gateways are.
#[derive(Debug, Default)]
struct Gateways {
    wanted: u32,
    ready: u32,
    outdated: bool,
    trouble: Option<String>,
}

impl Gateways {
    fn of(pool: &MediaPool, objects: &Objects) -> Self {
        let name = names::gateway(&pool.name_any());
        let wanted = resources::gateway_replicas(pool);
        let deployment: Option<&Deployment> = objects
            .deployments
            .iter()
            .find(|d| d.name_any() == name)
            .map(AsRef::as_ref);
        let status = deployment.and_then(|d| d.status.as_ref());
        let count = |n: Option<i32>| n.unwrap_or(0).unsigned_abs();
        let seen =
            status.is_some_and(|s| s.observed_generation >= deployment.and_then(|d| d.metadata.generation));
        let all = count(status.and_then(|s| s.replicas));
        let updated = count(status.and_then(|s| s.updated_replicas));
        let trouble = objects
            .pods
            .iter()
            .filter(|p| p.labels().get(POOL_LABEL) == Some(&pool.name_any()))
            .filter(|p| {
                p.labels()
                    .get(names::COMPONENT)
                    .is_some_and(|c| c == names::Component::Gateway.as_str())
            })
            .find_map(|p| Some(format!("{}: {}", p.name_any(), crate::snapshot::trouble(p)?)));
        Self {
            wanted,
            ready: if seen {
                count(status.and_then(|s| s.ready_replicas))
            } else {
                0
            },
            outdated: seen && updated < all,
            trouble,
        }
    }
}

/// Words of Kubernetes for what does not get better by waiting.
const STUCK: [&str; 7] = [
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "CrashLoopBackOff",
];
/// Most problems that one message names.
const NAMED: usize = 3;

fn conditions(
    pool: &MediaPool,
    serving: &Serving,
    gateways: &Gateways,
    failure: Option<&(Category, String)>,
) -> Vec<Wanted> {
    let mut problems = vec![];
    let working = serving
        .nodes
        .iter()
        .filter(|n| n.wanted && works(n.standing))
        .count() as u32;
    for node in serving.nodes.iter().filter(|n| n.wanted && !works(n.standing)) {
        let trouble = node
            .trouble
            .as_ref()
            .map(|t| format!(": {t}"))
            .unwrap_or_default();
        let ends = if node.standing == Standing::Leaving(Cause::Ending) {
            "ends"
        } else {
            "is not ready"
        };
        problems.push(format!("{} {ends}{trouble}", node.name));
    }
    if gateways.ready < gateways.wanted {
        let trouble = gateways
            .trouble
            .as_ref()
            .map(|t| format!(": {t}"))
            .unwrap_or_default();
        problems.push(format!(
            "{} of {} gateways are ready{trouble}",
            gateways.ready, gateways.wanted
        ));
    } else if gateways.outdated
        && let Some(trouble) = &gateways.trouble
    {
        // The old ones serve on until a new one is ready, which this one won't be by itself.
        problems.push(trouble.clone());
    }
    let mut said = problems
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    if problems.len() > NAMED {
        said = format!("{said}; and {} more", problems.len() - NAMED);
    }
    let rolling = serving.outdated > 0 || gateways.outdated;
    let (ready, why, message) = if let Some((_, text)) = failure {
        (
            false,
            APPLY_FAILED,
            format!("{text}: see kubectl describe mediapool {}", pool.name_any()),
        )
    } else if rolling {
        let so_far = format!(
            "{} of {} nodes run the version of the spec",
            (serving.nodes.len() as u32).saturating_sub(serving.outdated),
            serving.nodes.len()
        );
        (
            false,
            reason::ROLLING_OUT,
            if said.is_empty() {
                so_far
            } else {
                format!("{so_far}; {said}")
            },
        )
    } else if !problems.is_empty() || working < serving.wanted {
        let nodes = format!("{working} of {} nodes are ready", serving.wanted);
        (
            false,
            reason::PODS_NOT_READY,
            if said.is_empty() { nodes } else { said.clone() },
        )
    } else {
        let message = format!(
            "{working} of {} nodes and {} of {} gateways are ready",
            serving.wanted, gateways.ready, gateways.wanted
        );
        (true, reason::OK, message)
    };
    let mut notes = vec![];
    if pool.spec.gateways.autoscale.is_some() {
        notes.push("gateways.autoscale is not carried out by this version, save its bounds");
    }
    let mut all = vec![
        Wanted::new(kind::ACCEPTED, true, reason::ACCEPTED, notes.join("; ")),
        Wanted::new(kind::READY, ready, why, &message),
    ];
    if pool.spec.database.is_none() {
        let message = "accounts and tokens are in a file of the only gateway and go with its pod: write \
                       database.secretName to keep them, and to have several gateways";
        all.push(Wanted::new(DURABLE, false, NO_DATABASE, message));
    }
    let stuck = failure.is_some_and(|(category, _)| category.wants_a_person())
        || STUCK.iter().any(|word| said.contains(word));
    if stuck {
        all.push(Wanted::new(kind::STALLED, true, why, &message));
    } else if !ready {
        all.push(Wanted::new(kind::RECONCILING, true, why, &message));
    }
    all
}

#[cfg(test)]
#[path = "media_pool/tests.rs"]
mod tests;

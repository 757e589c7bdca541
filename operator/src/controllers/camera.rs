//! Cameras: each gets the node that the plan gives it. While no process can be running a camera, the operator also says
//! what its node would say, under the node's name, so that `kubectl get cameras` tells the truth and the next node
//! replaces every word of it.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use weir_crds::{
    Camera, CameraStatus, NODE_MANAGER,
    condition::{self, kind, reason},
};

use super::{Context, Rest, World};
use crate::{
    error::Error,
    events::Note,
    metrics::{PLACEMENTS, STATUS_WRITES},
    plan::{Change, Kind, Placement, Plan, State},
    resources::names::MANAGER,
    snapshot::{Objects, Snapshot},
    status::{self, Wanted},
};

/// Cameras that are written at a time.
const AT_ONCE: usize = 16;
/// Cameras that are written before the world is looked at again: a node that is lost meanwhile waits no longer than that.
const IN_A_ROUND: usize = 256;

/// What is to be written of a camera.
struct Work<'a> {
    camera: &'a Camera,
    placement: &'a Placement,
    own: Option<CameraStatus>,
    in_place_of_node: Option<CameraStatus>,
}

pub(super) async fn reconcile(
    context: &Context,
    objects: &Objects,
    world_seen: &Snapshot,
    plan: &Plan,
    world: &mut World,
    rest: &mut Rest,
    now: Timestamp,
) {
    let mut work = vec![];
    for camera in &objects.cameras {
        let name = camera.name_any();
        let Some(placement) = plan.cameras.get(&name) else {
            continue;
        };
        let own = own_part(camera, placement, now);
        let in_place_of_node = node_part(camera, placement, now);
        if own.is_none() && in_place_of_node.is_none() {
            continue;
        }
        match world
            .retries
            .waits(&format!("Camera/{name}"), std::time::Instant::now())
        {
            Some(wait) => rest.again(wait),
            None => work.push(Work {
                camera,
                placement,
                own,
                in_place_of_node,
            }),
        }
    }
    work.sort_by_key(|w| match &w.placement.state {
        State::Moved { cause, .. } if cause.is_urgent() => 0,
        State::Moved { .. } | State::Placed if w.camera.node() != w.placement.node.as_deref() => 1,
        _ => 2,
    });
    if work.len() > IN_A_ROUND {
        work.truncate(IN_A_ROUND);
        rest.again(Duration::ZERO);
    }
    let changes: HashMap<String, Change> = plan
        .changes(world_seen)
        .into_iter()
        .map(|c| (c.camera.clone(), c))
        .collect();
    let mut results = stream::iter(work)
        .map(|w| async move { (w.camera, write(context, &w).await) })
        .buffer_unordered(AT_ONCE);
    while let Some((camera, result)) = results.next().await {
        let name = camera.name_any();
        let Some(written) = rest.note(world, "Camera", &name, result) else {
            continue;
        };
        world.memory.note_written(written);
        metrics::counter!(STATUS_WRITES, "kind" => "Camera").increment(1);
        if let Some(change) = changes.get(&name) {
            tell(context, camera, change);
        }
    }
}

async fn write(context: &Context, work: &Work<'_>) -> Result<Camera, Error> {
    let mut camera = None;
    if let Some(own) = &work.own {
        // A placement counts only for the camera that it was decided for: two of them never share an epoch.
        let placed = work.camera.node() != own.node.as_deref();
        let version = work
            .camera
            .metadata
            .resource_version
            .as_deref()
            .filter(|_| placed);
        camera = Some(status::write(&context.client, work.camera, MANAGER, version, own).await?);
    }
    if let Some(node) = &work.in_place_of_node {
        camera = Some(status::write(&context.client, work.camera, NODE_MANAGER, None, node).await?);
    }
    Ok(camera.unwrap_or_else(|| work.camera.clone()))
}

/// The operator's part of the status, if it does not stand so already.
fn own_part(camera: &Camera, placement: &Placement, now: Timestamp) -> Option<CameraStatus> {
    let old = camera.status.clone().unwrap_or_default();
    let conditions = match placement.condition() {
        Some((holds, reason, message)) => {
            let wanted = [Wanted::new(kind::PLACED, holds, reason, message)];
            status::conditions(&old.conditions, &wanted, camera.metadata.generation, now)
        }
        None => condition::find(&old.conditions, kind::PLACED)
            .cloned()
            .into_iter()
            .collect(),
    };
    let epoch = (placement.epoch > 0).then_some(placement.epoch);
    let stands =
        old.node == placement.node && old.epoch == epoch && status::stand(&old.conditions, &conditions);
    (!stands).then(|| CameraStatus {
        node: placement.node.clone(),
        epoch,
        conditions,
        ..CameraStatus::default()
    })
}

/// What a node would say of a camera that no node can be running, if it does not stand so already.
fn node_part(camera: &Camera, placement: &Placement, now: Timestamp) -> Option<CameraStatus> {
    if !placement.silent {
        return None;
    }
    let (_, reason, message) = placement.condition()?;
    let mut wanted = vec![
        Wanted::new(kind::READY, false, reason, &message),
        Wanted::new(kind::CONNECTED, false, reason, &message),
    ];
    match &placement.state {
        State::PathTaken { .. } => wanted.push(Wanted::new(kind::ACCEPTED, false, reason, &message)),
        State::Disabled => wanted.push(Wanted::new(kind::ACCEPTED, true, reason::ACCEPTED, "")),
        _ => {}
    }
    if !camera.spec.forward.is_empty() {
        wanted.push(Wanted::new(kind::FORWARDING, false, reason::NO_STREAM, &message));
    }
    match reason {
        reason::DISABLED => {}
        // Pods are on their way, as far as anybody knows.
        reason::NO_READY_NODE => wanted.push(Wanted::new(kind::RECONCILING, true, reason, &message)),
        _ => wanted.push(Wanted::new(kind::STALLED, true, reason, &message)),
    }
    let old = camera.status.clone().unwrap_or_default();
    let new = CameraStatus {
        observed_epoch: (placement.epoch > 0).then_some(placement.epoch),
        path: Some(camera.path().into_owned()),
        source: Some(camera.spec.source.kind().into()),
        last_segment_time: old.last_segment_time.clone(),
        observed_generation: camera.metadata.generation,
        conditions: status::conditions(&old.conditions, &wanted, camera.metadata.generation, now),
        ..CameraStatus::default()
    };
    // The operator's own part is not compared here.
    let as_node = CameraStatus {
        node: None,
        epoch: None,
        conditions: old
            .conditions
            .iter()
            .filter(|c| c.type_ != kind::PLACED)
            .cloned()
            .collect(),
        ..old
    };
    let same = as_node.conditions.len() == new.conditions.len()
        && status::stand(&as_node.conditions, &new.conditions);
    let same = same
        && CameraStatus {
            conditions: vec![],
            ..as_node
        } == CameraStatus {
            conditions: vec![],
            ..new.clone()
        };
    (!same).then_some(new)
}

fn tell(context: &Context, camera: &Camera, change: &Change) {
    let (reason, text, cause) = match &change.kind {
        Kind::Placed { to } => ("Placed", format!("placed on {to}"), "new"),
        Kind::Moved { from, to, cause } => (
            "Moved",
            format!("moved from {from} to {to}: {}", cause.text()),
            cause.label(),
        ),
        Kind::Arrived => return,
        Kind::Without { reason, message } => (*reason, message.clone(), ""),
    };
    if !cause.is_empty() {
        metrics::counter!(PLACEMENTS, "cause" => cause).increment(1);
        tracing::info!(
            kind = "Camera",
            namespace = camera.namespace(),
            name = camera.name_any(),
            cause,
            change = %change.kind,
            "camera has a new node"
        );
    }
    context.events.tell(Note {
        about: camera.object_ref(&()),
        warning: change.is_warning(),
        reason: reason.into(),
        action: "Place",
        text,
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{fixtures, plan::Refusal};

    fn now() -> Timestamp {
        Timestamp::from_second(1_000).expect("in range")
    }

    fn placed(node: &str, epoch: i64, state: State) -> Placement {
        Placement {
            node: Some(node.into()),
            epoch,
            state,
            silent: false,
        }
    }

    fn apply(camera: &mut Camera, part: CameraStatus) {
        let mut base = serde_json::to_value(camera.status.clone().unwrap_or_default()).expect("JSON");
        let mut conditions = camera.status.clone().unwrap_or_default().conditions;
        for condition in &part.conditions {
            condition::set(&mut conditions, condition.clone());
        }
        fixtures::merge(&mut base, serde_json::to_value(part).expect("JSON"));
        base["conditions"] = serde_json::to_value(conditions).expect("JSON");
        camera.status = serde_json::from_value(base).expect("a status");
    }

    #[test]
    fn a_placement_is_written_once() {
        let mut camera = fixtures::camera("front");
        let placement = placed("media-node-0", 1, State::Placed);
        let part = own_part(&camera, &placement, now()).expect("news");
        assert_eq!(
            (part.node.as_deref(), part.epoch),
            (Some("media-node-0"), Some(1))
        );
        assert_eq!(part.conditions.len(), 1);
        apply(&mut camera, part);
        assert_eq!(own_part(&camera, &placement, now()), None);
        assert_eq!(node_part(&camera, &placement, now()), None);
    }

    #[test]
    fn a_hand_over_leaves_the_condition_as_it_is() {
        let mut camera = fixtures::camera("front");
        let state = State::Moved {
            from: "media-node-0".into(),
            cause: crate::plan::Cause::RollOut,
            handover: true,
        };
        let part = own_part(&camera, &placed("media-node-1", 2, state), now()).expect("news");
        apply(&mut camera, part);
        assert_eq!(
            camera.condition(kind::PLACED).map(|c| c.reason.as_str()),
            Some("Moving")
        );
        assert_eq!(
            own_part(&camera, &placed("media-node-1", 2, State::HandingOver), now()),
            None
        );
        let part = own_part(&camera, &placed("media-node-1", 2, State::Placed), now()).expect("news");
        assert_eq!(part.conditions[0].reason, "Placed");
    }

    #[test]
    fn the_operator_speaks_for_a_node_that_is_not_there() {
        let mut camera = fixtures::camera("front");
        camera.status = serde_json::from_value(json!({
            "node": "media-node-0", "epoch": 3, "observedEpoch": 3, "codec": "H264", "path": "front", "source": "RTSP",
            "liveSince": "2026-01-01T00:00:00Z", "lastSegmentTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
            "tracks": [{"kind": "Video", "codec": "H264"}],
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Live", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                {"type": "Connected", "status": "True", "reason": "Connected", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ],
        }))
        .expect("a status");
        let why = Refusal {
            reason: reason::NO_READY_NODE,
            message: "m".into(),
        };
        let mut placement = placed("media-node-0", 3, State::Stranded(why));
        assert_eq!(
            node_part(&camera, &placement, now()),
            None,
            "its process may be alive"
        );
        placement.silent = true;
        let part = node_part(&camera, &placement, now()).expect("news");
        assert_eq!(
            (part.codec.as_ref(), part.live_since.as_ref(), part.tracks.len()),
            (None, None, 0)
        );
        assert_eq!(
            part.last_segment_time,
            camera.status.as_ref().and_then(|s| s.last_segment_time.clone())
        );
        assert!(
            part.conditions
                .iter()
                .any(|c| c.type_ == kind::READY && !c.is_true())
        );
        assert!(
            part.node.is_none() && part.epoch.is_none(),
            "those are not the node's"
        );
        // Server-side apply takes away what the part does not say.
        let own = own_part(&camera, &placement, now()).expect("news");
        camera.status = Some(part);
        apply(&mut camera, own);
        assert_eq!(node_part(&camera, &placement, now()), None);
    }

    #[test]
    fn what_waits_for_the_user_is_stalled_and_what_waits_for_pods_is_not() {
        let camera = fixtures::camera("front");
        let kinds = |state| {
            let placement = Placement {
                node: None,
                epoch: 0,
                state,
                silent: true,
            };
            let part = node_part(&camera, &placement, now()).expect("news");
            part.conditions
                .into_iter()
                .filter(condition::Condition::is_true)
                .map(|c| c.type_)
                .collect::<Vec<_>>()
        };
        let why = |reason| Refusal {
            reason,
            message: "m".into(),
        };
        assert_eq!(kinds(State::Unplaced(why(reason::NO_MATCHING_NODE))), ["Stalled"]);
        assert_eq!(
            kinds(State::Unplaced(why(reason::NO_READY_NODE))),
            ["Reconciling"]
        );
        assert_eq!(kinds(State::PathTaken { by: "older".into() }), ["Stalled"]);
        assert_eq!(kinds(State::Disabled), ["Accepted"]);
    }
}

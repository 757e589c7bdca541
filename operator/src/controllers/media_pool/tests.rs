use serde_json::json;

use super::*;
use crate::{fixtures, plan::NodePlan};

fn node(name: &str, standing: Standing, trouble: Option<&str>) -> NodePlan {
    NodePlan {
        name: name.into(),
        standing,
        wanted: true,
        cameras: 2,
        trouble: trouble.map(Into::into),
    }
}

fn serving(nodes: Vec<NodePlan>) -> Serving {
    Serving {
        wanted: nodes.len() as u32,
        replicas: nodes.len() as u32,
        nodes,
        outdated: 0,
    }
}

fn good() -> Gateways {
    Gateways {
        wanted: 1,
        ready: 1,
        outdated: false,
        trouble: None,
    }
}

/// The conditions as `Type=Status Reason`, and the message of `Ready`.
fn said(
    spec: serde_json::Value,
    serving: &Serving,
    gateways: &Gateways,
    failure: Option<&(Category, String)>,
) -> (Vec<String>, String) {
    let all = conditions(&fixtures::pool("media", spec), serving, gateways, failure);
    let message = all
        .iter()
        .find(|c| c.kind == kind::READY)
        .map(|c| c.message.clone())
        .unwrap_or_default();
    (
        all.iter()
            .map(|c| format!("{}={} {}", c.kind, c.holds, c.reason))
            .collect(),
        message,
    )
}

#[test]
fn a_pool_is_ready_when_all_of_it_is() {
    let nodes = vec![
        node("media-node-0", Standing::Usable, None),
        node("media-node-1", Standing::Usable, None),
    ];
    let with_database = json!({"database": {"secretName": "db"}});
    let (conditions, message) = said(with_database, &serving(nodes.clone()), &good(), None);
    assert_eq!(conditions, ["Accepted=true Accepted", "Ready=true Ok"]);
    assert_eq!(message, "2 of 2 nodes and 1 of 1 gateways are ready");
    let (conditions, _) = said(json!({}), &serving(nodes), &good(), None);
    assert_eq!(conditions[2], "Durable=false NoDatabase");
}

#[test]
fn what_does_not_work_is_named_in_kubernetes_words() {
    let nodes = vec![
        node("media-node-0", Standing::Usable, None),
        node(
            "media-node-1",
            Standing::Lost,
            Some("ImagePullBackOff: no such image"),
        ),
    ];
    let gateways = Gateways {
        ready: 0,
        trouble: Some("media-gateway-x: Unschedulable: no room".into()),
        ..good()
    };
    let (conditions, message) = said(json!({}), &serving(nodes), &gateways, None);
    assert_eq!(
        message,
        "media-node-1 is not ready: ImagePullBackOff: no such image; 0 of 1 gateways are ready: media-gateway-x: \
         Unschedulable: no room"
    );
    assert!(conditions.contains(&"Ready=false PodsNotReady".into()));
    assert!(conditions.contains(&"Stalled=true PodsNotReady".into()));
}

#[test]
fn pods_that_start_are_progress() {
    let (conditions, message) = said(
        json!({}),
        &serving(vec![node("media-node-0", Standing::Unready, None)]),
        &good(),
        None,
    );
    assert_eq!(message, "media-node-0 is not ready");
    assert!(conditions.contains(&"Reconciling=true PodsNotReady".into()));
    assert!(!conditions.iter().any(|c| c.starts_with("Stalled")));
}

#[test]
fn a_roll_out_is_said_to_be_one() {
    let mut serving = serving(vec![
        node("media-node-0", Standing::Usable, None),
        node("media-node-1", Standing::Unready, None),
    ]);
    serving.outdated = 1;
    let (conditions, message) = said(json!({}), &serving, &good(), None);
    assert!(conditions.contains(&"Ready=false RollingOut".into()));
    assert_eq!(
        message,
        "1 of 2 nodes run the version of the spec; media-node-1 is not ready"
    );
}

#[test]
fn a_new_gateway_that_lacks_something_is_named_while_the_old_ones_serve() {
    let serving = serving(vec![node("media-node-0", Standing::Usable, None)]);
    let trouble = "media-gateway-x: CreateContainerConfigError: secret \"media-tls\" not found";
    let gateways = Gateways {
        outdated: true,
        trouble: Some(trouble.into()),
        ..good()
    };
    let (conditions, message) = said(json!({}), &serving, &gateways, None);
    assert_eq!(
        message,
        format!("1 of 1 nodes run the version of the spec; {trouble}")
    );
    assert!(conditions.contains(&"Ready=false RollingOut".into()));
    assert!(conditions.contains(&"Stalled=true RollingOut".into()));
}

#[test]
fn what_the_api_server_refuses_is_stalled() {
    let serving = serving(vec![node("media-node-0", Standing::Usable, None)]);
    let failure = |category| (category, "apply Service media-gateway: no".to_owned());
    let (conditions, message) = said(json!({}), &serving, &good(), Some(&failure(Category::Forbidden)));
    assert!(conditions.contains(&"Stalled=true ApplyFailed".into()));
    assert!(message.starts_with("apply Service media-gateway: no"));
    let (conditions, _) = said(
        json!({}),
        &serving,
        &good(),
        Some(&failure(Category::Unavailable)),
    );
    assert!(conditions.contains(&"Reconciling=true ApplyFailed".into()));
}

#[test]
fn many_problems_make_a_short_message() {
    let nodes = (0..9)
        .map(|i| node(&format!("media-node-{i}"), Standing::Lost, None))
        .collect();
    let (_, message) = said(json!({}), &serving(nodes), &good(), None);
    assert!(message.ends_with("; and 6 more"), "{message}");
}

#[test]
fn nodes_that_are_to_go_are_no_problem() {
    let mut leaving = node("media-node-1", Standing::Leaving(Cause::Ending), None);
    leaving.wanted = false;
    let mut serving = serving(vec![node("media-node-0", Standing::Usable, None), leaving]);
    serving.wanted = 1;
    let (conditions, message) = said(json!({}), &serving, &good(), None);
    assert!(conditions.contains(&"Ready=true Ok".into()));
    assert_eq!(message, "1 of 1 nodes and 1 of 1 gateways are ready");
}

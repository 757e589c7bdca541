//! Pools in `testdata/resources/*.yaml`, each with the objects that are built of it beside it. `WEIR_BLESS=1 cargo test`
//! writes those anew.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::PathBuf, time::Duration};

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
    rbac::v1::{Role, RoleBinding},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use weir_crds::MediaPool;

use super::*;
use crate::fixtures;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    spec: Value,
    #[serde(default)]
    nodes: Option<u32>,
    #[serde(default)]
    secrets: BTreeSet<String>,
    #[serde(default)]
    gateway_secrets: BTreeSet<String>,
    #[serde(default)]
    network_policies: bool,
    #[serde(default)]
    metrics_from: Vec<NetworkPolicyPeer>,
    #[serde(default)]
    deny_sources: Vec<String>,
    #[serde(default)]
    image_pull_secrets: Vec<String>,
}

fn objects(case: &Case) -> (MediaPool, Vec<Built>) {
    let pool = fixtures::pool("media", case.spec.clone());
    let settings = Settings {
        image: "registry.example/media-node:1".into(),
        image_pull_policy: Some("IfNotPresent".into()),
        image_pull_secrets: case.image_pull_secrets.clone(),
        network_policies: case.network_policies,
        metrics_from: case.metrics_from.clone(),
        deny_sources: case.deny_sources.clone(),
        handover: Duration::from_secs(10),
    };
    let nodes = case.nodes.unwrap_or(pool.spec.nodes.replicas);
    let built = build(&Input {
        pool: &pool,
        settings: &settings,
        nodes,
        secrets: &case.secrets,
        gateway_secrets: &case.gateway_secrets,
    });
    (pool, built)
}

fn cases() -> Vec<(PathBuf, Case)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/resources");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .expect("the folder")
        .flatten()
        .map(|e| e.path())
        .collect();
    paths.retain(|p| {
        p.extension().is_some_and(|e| e == "yaml") && !p.to_string_lossy().ends_with(".objects.yaml")
    });
    paths.sort();
    assert!(!paths.is_empty());
    let read = |p: PathBuf| {
        let text = fs::read_to_string(&p).expect("readable");
        let case = serde_norway::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", p.display()));
        (p, case)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn pools_become_these_objects() {
    let bless = std::env::var_os("WEIR_BLESS").is_some();
    let mut wrong = String::new();
    for (path, case) in cases() {
        let mut got = String::new();
        for object in objects(&case).1 {
            _ = write!(
                got,
                "---\n{}",
                serde_norway::to_string(&object.body).expect("YAML")
            );
        }
        let golden = path.with_extension("objects.yaml");
        if bless {
            fs::write(&golden, &got).expect("writable");
        }
        if fs::read_to_string(&golden).unwrap_or_default() != got {
            _ = writeln!(wrong, "{} ({}) got\n{got}", path.display(), case.what);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A misspelt field would be lost on the way through the type.
fn survives<T: Serialize + DeserializeOwned>(body: &Value) {
    let typed: T = serde_json::from_value(body.clone()).unwrap_or_else(|e| panic!("{e}: {body:#}"));
    assert_eq!(&serde_json::to_value(typed).expect("JSON"), body);
}

#[test]
fn all_fields_are_fields_of_their_kinds() {
    for (_, case) in cases() {
        for object in objects(&case).1 {
            match object.resource.kind.as_str() {
                "ServiceAccount" => survives::<ServiceAccount>(&object.body),
                "Role" => survives::<Role>(&object.body),
                "RoleBinding" => survives::<RoleBinding>(&object.body),
                "Service" => survives::<Service>(&object.body),
                "PodDisruptionBudget" => survives::<PodDisruptionBudget>(&object.body),
                "NetworkPolicy" => survives::<NetworkPolicy>(&object.body),
                "StatefulSet" => survives::<StatefulSet>(&object.body),
                "Deployment" => survives::<Deployment>(&object.body),
                other => panic!("{other} has no type here"),
            }
        }
    }
}

#[test]
fn everything_goes_with_its_pool_and_can_be_found() {
    for (_, case) in cases() {
        let (pool, objects) = objects(&case);
        for object in objects {
            let metadata = &object.body["metadata"];
            assert_eq!(
                metadata["ownerReferences"][0]["uid"],
                json!(pool.metadata.uid),
                "{}",
                object.name
            );
            assert_eq!(metadata["labels"]["weir.video/pool"], "media");
            assert_eq!(
                metadata["labels"]["app.kubernetes.io/managed-by"],
                "weir-operator"
            );
        }
    }
}

#[test]
fn no_secret_is_readable_when_none_is_named() {
    let names = |names: &[&str]| names.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<_>>();
    let case = |secrets: &[&str], gateway_secrets: &[&str]| Case {
        what: String::new(),
        spec: json!({}),
        nodes: None,
        secrets: names(secrets),
        gateway_secrets: names(gateway_secrets),
        network_policies: false,
        metrics_from: vec![],
        deny_sources: vec![],
        image_pull_secrets: vec![],
    };
    let rules = |component: &str, secrets: &[&str], gateway_secrets: &[&str]| {
        let role = objects(&case(secrets, gateway_secrets))
            .1
            .into_iter()
            .find(|o| o.resource.kind == "Role" && o.name == format!("media-{component}"));
        let rules = role.expect("a role").body["rules"]
            .as_array()
            .expect("rules")
            .clone();
        rules
            .into_iter()
            .filter(|r| r["resources"] == json!(["secrets"]))
            .map(|r| (r["resourceNames"].clone(), r["verbs"].clone()))
            .collect::<Vec<_>>()
    };
    assert!(rules("node", &[], &[]).is_empty());
    assert_eq!(
        rules("node", &["front-door"], &[]),
        [(json!(["front-door"]), json!(["get"]))]
    );
    // A gateway may make Secrets, and read those of Cameras and Routes; it deletes those alone that it has made.
    let create = (Value::Null, json!(["create"]));
    assert_eq!(
        rules("gateway", &["front-door"], &[]),
        std::slice::from_ref(&create)
    );
    let made = "route-0123456789abcdef0123-89abcdef";
    assert_eq!(
        rules("gateway", &["front-door", "mine", made], &["mine", made]),
        [
            create,
            (json!(["mine"]), json!(["get"])),
            (json!([made]), json!(["get", "delete"])),
        ]
    );
}

#[test]
fn the_secret_holds_what_pods_read() {
    let pool = fixtures::pool("media", json!({}));
    let secret = auth_secret(&pool, "p".into(), "r".into(), "u".into()).expect("a secret");
    assert_eq!(secret.metadata.name.as_deref(), Some("media-auth"));
    let data = secret.data.expect("data");
    let text = |key: &str| String::from_utf8(data[key].0.clone()).expect("text");
    assert_eq!(
        (text("username"), text("password"), text("relay"), text("unionid")),
        ("admin".into(), "p".into(), "r".into(), "u".into())
    );
}

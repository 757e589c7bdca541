//! The pod template that nodes and gateways share: one container, no rights, a folder to write to, the pool's secrets.

use serde_json::{Value, json};
use weir_crds::media_pool::{Resources, Tls};

use super::{Input, names, names::Component, pool_name, unless_empty};

/// User and group of the process; the image has no others.
const UID: u32 = 65_532;
/// Seconds from the request to end until the kill. A node hands its cameras over meanwhile, a gateway its viewers.
const GRACE_SECONDS: u32 = 60;
/// Seconds for which a gateway that is to end is still served by the Service's endpoints in some proxy.
const ENDPOINTS_SECONDS: u32 = 5;

/// Where the pool's Secret is mounted.
const AUTH_DIR: &str = "/etc/weir/auth";
/// Where the object store's Secret is mounted.
const STORAGE_DIR: &str = "/etc/weir/storage";
/// Where the gateways' certificate is mounted.
const TLS_DIR: &str = "/etc/weir/tls";
/// Keys of a Secret of type `kubernetes.io/tls`.
const TLS_CERT: &str = "tls.crt";
const TLS_KEY: &str = "tls.key";
/// Where the process may write.
const DATA_DIR: &str = "/var/lib/weir";
/// Name of the volume there.
pub(super) const DATA: &str = "data";

/// The template. `data` is the volume for [`DATA_DIR`]; null when the pods get it by claim.
pub(super) fn template(input: &Input, component: Component, data: &Value) -> Value {
    let spec = &input.pool.spec;
    let pool = pool_name(input.pool);
    let (resources, node_selector) = match component {
        Component::Node => (&spec.nodes.resources, &spec.nodes.node_selector),
        Component::Gateway => (&spec.gateways.resources, &spec.gateways.node_selector),
    };
    let secret = |name: &str| json!({"secretName": name, "defaultMode": 0o440});
    let mut volumes = vec![json!({"name": "auth", "secret": secret(&names::auth(pool))})];
    let mut mounts = vec![
        json!({"name": DATA, "mountPath": DATA_DIR}),
        json!({"name": "auth", "mountPath": AUTH_DIR, "readOnly": true}),
    ];
    if !data.is_null() {
        volumes.push(data.clone());
    }
    let storage_secret = spec.storage.as_ref().and_then(|s| s.secret_name.as_ref());
    if let Some(name) = storage_secret {
        volumes.push(json!({"name": "storage", "secret": secret(name)}));
        mounts.push(json!({"name": "storage", "mountPath": STORAGE_DIR, "readOnly": true}));
    }
    // Nobody but gateways meets viewers.
    let tls = spec.tls.as_ref().filter(|_| component == Component::Gateway);
    if let Some(tls) = tls {
        let mut source = secret(&tls.secret_name);
        // A pod whose volume waits for its Secret tells nobody what it waits for; the variable in `env` does.
        source["optional"] = true.into();
        volumes.push(json!({"name": "tls", "secret": source}));
        mounts.push(json!({"name": "tls", "mountPath": TLS_DIR, "readOnly": true}));
    }
    let pull_secrets: Vec<Value> = input
        .settings
        .image_pull_secrets
        .iter()
        .map(|name| json!({"name": name}))
        .collect();
    json!({
        "metadata": {
            "labels": names::labels(pool, Some(component)),
            "annotations": {"kubectl.kubernetes.io/default-container": names::CONTAINER},
        },
        "spec": {
            "serviceAccountName": component.name(pool),
            // A Service named "weir" would set WEIR_PORT and the like, which are our flags.
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "imagePullSecrets": unless_empty(&pull_secrets),
            "nodeSelector": unless_empty(node_selector),
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": UID,
                "runAsGroup": UID,
                "fsGroup": UID,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [{
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": names::selector(pool, component)},
            }],
            "containers": [{
                "name": names::CONTAINER,
                "image": image(input),
                "imagePullPolicy": input.settings.image_pull_policy,
                "args": args(input, component),
                "env": env(input, component, storage_secret.is_some(), tls),
                "ports": [
                    {"name": "rtsp", "containerPort": spec.ports.rtsp, "protocol": "TCP"},
                    {"name": "http", "containerPort": spec.ports.http, "protocol": "TCP"},
                    {"name": "rtmp", "containerPort": spec.ports.rtmp, "protocol": "TCP"},
                ],
                // Migrations of the database may take a while at the first start.
                "startupProbe": probe("/healthz", 1, 120),
                "livenessProbe": probe("/healthz", 2, 5),
                "readinessProbe": probe("/readyz", 1, 2),
                "lifecycle": match component {
                    Component::Node => Value::Null,
                    Component::Gateway => json!({"preStop": {"sleep": {"seconds": ENDPOINTS_SECONDS}}}),
                },
                "resources": {
                    "requests": requests(resources),
                    "limits": resources.requirements().limits,
                },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        },
    })
}

/// The image of the pool's pods.
pub fn image<'a>(input: &Input<'a>) -> &'a str {
    input.pool.spec.image.as_deref().unwrap_or(&input.settings.image)
}

/// What is set aside for a pod. A spec that says nothing of a resource gets enough to start with: without any the pod
/// would be the first to be ended when its Kubernetes node is full. Where only a limit is said, Kubernetes sets that aside.
fn requests(said: &Resources) -> Value {
    let mut requests = json!(said.requirements().requests.unwrap_or_default());
    for (resource, amount) in [("cpu", "100m"), ("memory", "128Mi")] {
        if !said.requests.contains_key(resource) && !said.limits.contains_key(resource) {
            requests[resource] = amount.into();
        }
    }
    unless_empty(&requests)
}

fn args(input: &Input, component: Component) -> Value {
    let ports = &input.pool.spec.ports;
    json!([
        component.as_str(),
        "--port",
        ports.rtsp.to_string(),
        "--http-port",
        ports.http.to_string(),
        "--rtmp-port",
        ports.rtmp.to_string(),
    ])
}

fn env(input: &Input, component: Component, storage: bool, tls: Option<&Tls>) -> Vec<Value> {
    let field =
        |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut env = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("POD_IP", "status.podIP"),
        json!({"name": "WEIR_LOG_FORMAT", "value": "json"}),
        json!({"name": "WEIR_POOL", "value": pool_name(input.pool)}),
        json!({"name": "WEIR_DATA", "value": DATA_DIR}),
        json!({"name": "WEIR_AUTH_DIR", "value": AUTH_DIR}),
        json!({"name": "WEIR_HANDOVER_MS", "value": input.settings.handover.as_millis().to_string()}),
        json!({"name": "WEIR_ANONYMOUS_VIEW", "value": input.pool.spec.access.anonymous_view.to_string()}),
    ];
    if storage {
        env.push(json!({"name": "WEIR_STORAGE_DIR", "value": STORAGE_DIR}));
    }
    if component == Component::Node {
        // The rest is for what is being written, and for the file system itself.
        let mib = (input.pool.spec.nodes.spool.size.bytes() >> 20) * 8 / 10;
        env.push(json!({"name": "WEIR_SPOOL_MIB", "value": mib.max(64).to_string()}));
    }
    // Accounts are the gateways' alone.
    if component == Component::Gateway
        && let Some(database) = &input.pool.spec.database
    {
        let key = json!({"name": database.secret_name, "key": "url"});
        env.push(json!({"name": "WEIR_DATABASE_URL", "valueFrom": {"secretKeyRef": key}}));
    }
    if let Some(tls) = tls {
        for (name, key) in [("WEIR_TLS_CERT", TLS_CERT), ("WEIR_TLS_KEY", TLS_KEY)] {
            env.push(json!({"name": name, "value": format!("{TLS_DIR}/{key}")}));
        }
        env.push(json!({"name": "WEIR_TLS_REQUIRED", "value": tls.required.to_string()}));
        // Read by nobody: without the Secret, or a certificate in it, the kubelet starts no container, and says why in
        // the pod's status, which is what the pool's conditions are made of. It is what every client is shown.
        let key = json!({"name": tls.secret_name, "key": TLS_CERT});
        env.push(json!({"name": "TLS_SECRET_MUST_EXIST", "valueFrom": {"secretKeyRef": key}}));
    }
    if !input.settings.deny_sources.is_empty() {
        env.push(json!({"name": "WEIR_DENY_SOURCES", "value": input.settings.deny_sources.join(",")}));
    }
    env
}

fn probe(path: &str, period_seconds: u32, failures: u32) -> Value {
    json!({
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    })
}

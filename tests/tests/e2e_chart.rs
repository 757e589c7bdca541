//! What the chart makes of its values, as `helm template` prints it, and what it refuses. Nothing is installed here.

use std::{collections::BTreeSet, fs};

use serde_json::Value;
use weir_tests::{Context, Result, cluster::Cluster, ensure, setup};

fn chart(file: &str) -> Result<String> {
    let path = setup::root().join("charts/weir").join(file);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// `helm template` with some `--set`, or Helm's words.
async fn template(values: &[&str]) -> Result<String> {
    let chart = setup::root().join("charts/weir");
    let chart = chart.to_string_lossy();
    // Without a cluster to ask, Helm takes an old version for granted.
    let mut arguments = vec![
        "template",
        "weir",
        &chart,
        "--namespace",
        "studio",
        "--kube-version",
        "1.34",
    ];
    for value in values {
        arguments.extend(["--set", value]);
    }
    Cluster::connect()?.helm(&arguments).await
}

/// The objects that it prints, as `(kind, name, object)`.
async fn objects(values: &[&str]) -> Result<Vec<(String, String, Value)>> {
    let text = template(values).await?;
    let mut objects = vec![];
    for part in text.split("\n---\n") {
        let value: Value = serde_norway::from_str(part.trim_start_matches("---\n"))?;
        if value.is_null() {
            continue;
        }
        let word = |at: &Value| at.as_str().unwrap_or_default().to_owned();
        objects.push((word(&value["kind"]), word(&value["metadata"]["name"]), value));
    }
    Ok(objects)
}

fn has(objects: &[(String, String, Value)], kind: &str) -> bool {
    objects.iter().any(|(k, _, _)| k == kind)
}

fn find<'a>(objects: &'a [(String, String, Value)], kind: &str, name: &str) -> Result<&'a Value> {
    let found = objects.iter().find(|(k, n, _)| k == kind && n == name);
    found
        .map(|(_, _, object)| object)
        .with_context(|| format!("no {kind} {name}"))
}

/// Values that are wrong, with words that tell which and why.
const REFUSED: [(&str, &[&str]); 44] = [
    ("alerts.enabled=perhaps", &["/alerts/enabled", "boolean"]),
    ("alerts.rules=x", &["/alerts", "rules"]),
    ("dashboards.labels=x", &["/dashboards/labels", "object"]),
    ("noSuchValue=1", &["noSuchValue"]),
    ("images.registrie=x", &["/images", "registrie"]),
    ("images.registry=", &["/images/registry"]),
    ("images.tag=a b", &["/images/tag"]),
    ("images.operator=a b", &["/images/operator"]),
    ("images.mediaNode=:x", &["/images/mediaNode"]),
    (
        "images.pullPolicy=Sometimes",
        &["/images/pullPolicy", "IfNotPresent"],
    ),
    ("images.pullSecrets=one", &["/images/pullSecrets", "array"]),
    ("images.pullSecrets={One}", &["/images/pullSecrets/0"]),
    ("crds.install=perhaps", &["/crds/install", "boolean"]),
    ("crds.keep=false", &["/crds", "keep"]),
    ("operator.image=x", &["/operator", "image"]),
    ("operator.replicas=0", &["/operator/replicas"]),
    ("operator.replicas=two", &["/operator/replicas", "integer"]),
    ("operator.allNamespaces=all", &["/operator/allNamespaces"]),
    ("operator.denySources={10.0.0.0}", &["/operator/denySources/0"]),
    ("operator.graceMs=10", &["/operator/graceMs", "500"]),
    ("operator.handoverMs=90000", &["/operator/handoverMs", "60"]),
    ("operator.leaseSeconds=1", &["/operator/leaseSeconds"]),
    ("operator.port=80", &["/operator/port", "1,024"]),
    ("operator.log.format=xml", &["/operator/log/format", "json"]),
    (
        "operator.resources.request.cpu=1",
        &["/operator/resources", "request"],
    ),
    ("serviceAccount.create=false", &["serviceAccount.name"]),
    ("pool.name=Media", &["/pool/name"]),
    ("pool.nodes.replicas=101", &["/pool/nodes/replicas", "100"]),
    ("pool.nodes.replica=2", &["/pool/nodes", "replica"]),
    ("pool.nodes.spool.size=big", &["/pool/nodes/spool/size"]),
    ("pool.gateways.replicas=2", &["/pool", "database"]),
    (
        "pool.gateways.service.type=External",
        &["/pool/gateways/service/type", "LoadBalancer"],
    ),
    ("pool.ports.http=80", &["/pool/ports/http", "1,024"]),
    (
        "pool.ports.http=1554",
        &["pool.ports.http", "pool.ports.rtsp", "1554"],
    ),
    ("pool.image=a b", &["/pool/image"]),
    (
        "pool.sourcePolicy.deny={10.0.0.0}",
        &["/pool/sourcePolicy/deny/0"],
    ),
    ("pool.access.anonymous=true", &["/pool/access", "anonymous"]),
    ("pool.tls.required=true", &["/pool/tls", "secretName"]),
    (
        "metrics.serviceMonitor.interval=soon",
        &["/metrics/serviceMonitor/interval"],
    ),
    ("test.patience=0", &["/test/patience"]),
    ("ingress.host=Video Example", &["/ingress/host"]),
    ("ingress.className=a b", &["/ingress/className"]),
    ("ingress.tls.secret=shown", &["/ingress/tls", "secret"]),
    (
        "ingress.enabled=true,pool.create=false",
        &["ingress.enabled", "pool.create is false"],
    ),
];

#[tokio::test]
async fn helm_finds_no_fault() -> Result<()> {
    let chart = setup::root().join("charts/weir");
    let lint = ["lint", "--strict", &chart.to_string_lossy()];
    Cluster::connect()?.helm(&lint).await.map(drop)
}

#[tokio::test]
async fn wrong_values_are_refused_by_their_name() -> Result<()> {
    for (value, words) in REFUSED {
        let Err(error) = template(&[value]).await else {
            weir_tests::bail!("{value} is accepted");
        };
        let error = format!("{error:#}");
        // The value is in the command, too, which comes first.
        let (_, said) = error.split_once("\nError: ").context(error.clone())?;
        for word in words {
            ensure!(said.contains(word), "{value}: no {word} in {said}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn by_default_the_operator_keeps_to_its_namespace() -> Result<()> {
    let all = objects(&[]).await?;
    for (kind, name, object) in &all {
        let namespace = object["metadata"]["namespace"].as_str();
        if kind == "ClusterRole" && name.ends_with("-operator") {
            let rules = object["rules"].as_array().context("rules")?;
            let resources: Vec<_> = rules.iter().map(|r| &r["resources"]).collect();
            ensure!(
                serde_json::json!(resources) == serde_json::json!([["nodes"], ["servicecidrs"]]),
                "{rules:?}"
            );
        }
        let of_the_cluster = ["ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"];
        ensure!(
            namespace == Some("studio") || of_the_cluster.contains(&kind.as_str()),
            "{kind} {name} is in {namespace:?}"
        );
        // No wildcards, and nothing that would let it give away more than it has.
        let text = object["rules"].to_string();
        for word in ["*", "escalate", "bind", "impersonate"] {
            ensure!(!text.contains(&format!("\"{word}\"")), "{kind} {name}: {word}");
        }
    }
    let role = find(&all, "Role", "weir-operator")?;
    let secrets = role["rules"].as_array().into_iter().flatten();
    let verbs: Vec<_> = secrets
        .filter(|r| r["resources"] == serde_json::json!(["secrets"]))
        .map(|r| r["verbs"].clone())
        .collect();
    ensure!(
        verbs == [serde_json::json!(["get", "create", "delete"])],
        "{verbs:?}"
    );

    let nothing_of_the_cluster = [
        "crds.install=false",
        "rbac.readNodes=false",
        "rbac.aggregate=false",
    ];
    for (kind, name, object) in objects(&nothing_of_the_cluster).await? {
        ensure!(object["metadata"]["namespace"] == "studio", "{kind} {name}");
    }
    Ok(())
}

#[tokio::test]
async fn values_arrive() -> Result<()> {
    let all = objects(&[
        "operator.allNamespaces=true",
        "operator.replicas=2",
        "operator.denySources={10.96.0.0/12,fd00::/8}",
        "images.registry=registry.example/weir",
        "images.tag=v7",
        "images.pullPolicy=Always",
        "images.pullSecrets={pull}",
        "networkPolicy.enabled=true",
        "networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus",
        "metrics.serviceMonitor.enabled=true",
        "metrics.serviceMonitor.labels.team=video",
        "pool.name=yard",
        "pool.ports.http=9000",
        "pool.gateways.replicas=2",
        "pool.database.secretName=db",
    ])
    .await?;
    let pod = &find(&all, "Deployment", "weir-operator")?["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    ensure!(
        container["image"] == "registry.example/weir/weir-operator:v7",
        "{container}"
    );
    let arguments: Vec<_> = container["args"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for argument in [
        "--all-namespaces",
        "--media-node-image=registry.example/weir/weir-media-node:v7",
        "--image-pull-policy=Always",
        "--image-pull-secrets=pull",
        "--network-policies",
        r#"--metrics-from=[{"podSelector":{"matchLabels":{"app":"prometheus"}}}]"#,
        "--deny-sources=10.96.0.0/12,fd00::/8",
        "--pool-owner=weir-pool-yard",
    ] {
        ensure!(arguments.contains(&argument), "no {argument} in {arguments:?}");
    }
    ensure!(pod["imagePullSecrets"][0]["name"] == "pull", "{pod}");
    let map = find(&all, "ConfigMap", "weir-pool-yard")?;
    let pool: Value = serde_norway::from_str(map["data"]["pool.yaml"].as_str().context("a pool")?)?;
    ensure!(
        pool["metadata"]["name"] == "yard"
            && pool["spec"]["database"]["secretName"] == "db"
            && pool["spec"]["ports"]["http"] == 9000,
        "{pool}"
    );
    ensure!(
        pool["spec"].get("create").is_none() && pool["spec"].get("name").is_none(),
        "{pool}"
    );
    let probe = find(&all, "Pod", "weir-test")?["spec"]["containers"][0]["args"].to_string();
    ensure!(probe.contains("http://yard-gateway:9000/"), "{probe}");
    for kind in ["PodDisruptionBudget", "NetworkPolicy"] {
        find(&all, kind, "weir-operator")?;
    }
    let monitor = find(&all, "ServiceMonitor", "weir-pool-yard")?;
    ensure!(monitor["metadata"]["labels"]["team"] == "video", "{monitor}");

    for (required, scheme, argument) in [
        ("false", "http", ""),
        ("true", "https", "--tls-cert=/etc/weir/tls/tls.crt"),
    ] {
        let required = format!("pool.tls.required={required}");
        let secured = objects(&["pool.tls.secretName=shown", &required]).await?;
        let pod = &find(&secured, "Pod", "weir-test")?["spec"];
        let probe = pod["containers"][0]["args"].to_string();
        ensure!(
            probe.contains(&format!("{scheme}://media-gateway:8080/")),
            "{probe}"
        );
        ensure!(probe.contains(argument), "{probe}");
        // The key is the gateways' alone.
        let volumes = pod["volumes"].to_string();
        ensure!(
            volumes.contains("shown") == (scheme == "https") && !volumes.contains("tls.key"),
            "{volumes}"
        );
    }

    let none = objects(&["pool.create=false"]).await?;
    ensure!(
        !has(&none, "ConfigMap") && !has(&none, "Pod") && !has(&none, "Camera"),
        "a pool of nobody"
    );
    Ok(())
}

#[tokio::test]
async fn alerts_and_dashboards_come_when_they_are_wanted() -> Result<()> {
    let all = objects(&[]).await?;
    ensure!(
        !has(&all, "PrometheusRule") && !all.iter().any(|(_, name, _)| name.contains("dashboard")),
        "what nobody asked for"
    );
    let all = objects(&[
        "alerts.enabled=true",
        "alerts.labels.release=prometheus",
        "dashboards.enabled=true",
        "dashboards.annotations.grafana_folder=Video",
    ])
    .await?;
    let rule = find(&all, "PrometheusRule", "weir")?;
    ensure!(rule["metadata"]["labels"]["release"] == "prometheus", "{rule}");
    let files: Value = serde_norway::from_str(&chart("files/alerts.yaml")?)?;
    ensure!(rule["spec"] == files, "{rule}");
    let map = find(&all, "ConfigMap", "weir-dashboard")?;
    ensure!(
        map["metadata"]["labels"]["grafana_dashboard"] == "1"
            && map["metadata"]["annotations"]["grafana_folder"] == "Video",
        "{map}"
    );
    let dashboard: Value = serde_json::from_str(map["data"]["weir.json"].as_str().context("a dashboard")?)?;
    ensure!(dashboard["title"] == "Weir", "{dashboard}");
    Ok(())
}

#[tokio::test]
async fn an_ingress_leads_to_the_gateways() -> Result<()> {
    ensure!(!has(&objects(&[]).await?, "Ingress"), "one that nobody asked for");
    let bare = objects(&["ingress.enabled=true"]).await?;
    let bare = &find(&bare, "Ingress", "media-gateway")?["spec"];
    let rules = serde_json::json!({"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix",
        "backend": {"service": {"name": "media-gateway", "port": {"name": "http"}}}}]}}]});
    ensure!(*bare == rules, "{bare}");
    let whole = objects(&[
        "ingress.enabled=true",
        "ingress.className=traefik",
        "ingress.host=video.example",
        "ingress.tls.secretName=shown",
        "ingress.annotations.one\\.example/x=y",
        "pool.name=yard",
    ])
    .await?;
    let whole = find(&whole, "Ingress", "yard-gateway")?;
    ensure!(
        whole["metadata"]["annotations"] == serde_json::json!({"one.example/x": "y"}),
        "{whole}"
    );
    let spec = &whole["spec"];
    ensure!(
        spec["ingressClassName"] == "traefik"
            && spec["tls"] == serde_json::json!([{"secretName": "shown", "hosts": ["video.example"]}])
            && spec["rules"][0]["host"] == "video.example"
            && spec["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] == "yard-gateway",
        "{spec}"
    );
    Ok(())
}

#[tokio::test]
async fn another_pool_restarts_the_operator_and_nothing_else_does() -> Result<()> {
    let mut sums = BTreeSet::new();
    for values in [
        vec![],
        vec!["pool.create=true"],
        vec!["test.patience=30"],
        vec!["pool.nodes.replicas=2"],
    ] {
        let all = objects(&values).await?;
        let template = &find(&all, "Deployment", "weir-operator")?["spec"]["template"];
        sums.insert(template.to_string());
    }
    ensure!(sums.len() == 2, "{sums:#?}");
    Ok(())
}

/// What the schema says of `pool` is what the custom resource definition says of a MediaPool's spec.
#[test]
fn the_schema_knows_the_fields_of_a_pool() -> Result<()> {
    let definition: Value = serde_norway::from_str(&fs::read_to_string(
        setup::root().join("crds/yaml/mediapools.yaml"),
    )?)?;
    let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let schema: Value = serde_json::from_str(&chart("values.schema.json")?)?;
    let (mut wanted, mut found) = (BTreeSet::new(), BTreeSet::new());
    fields(spec, "pool", &mut wanted);
    fields(&schema["properties"]["pool"], "pool", &mut found);
    wanted.extend(["pool.create".to_owned(), "pool.name".to_owned()]);
    let differ: Vec<_> = wanted.symmetric_difference(&found).collect();
    ensure!(differ.is_empty(), "{differ:?}");
    Ok(())
}

fn fields(schema: &Value, path: &str, all: &mut BTreeSet<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        fields(inner, &path, all);
        all.insert(path);
    }
    if schema["items"].is_object() {
        fields(&schema["items"], &format!("{path}[]"), all);
    }
}

/// Nothing in the schema takes what it does not know, but what is Kubernetes' own or a map of the user's.
#[test]
fn the_schema_is_strict() -> Result<()> {
    let schema: Value = serde_json::from_str(&chart("values.schema.json")?)?;
    let mut open = vec![];
    loose(&schema, "", &mut open);
    let known = [
        ".global",
        ".operator.affinity",
        ".operator.tolerations[]",
        ".networkPolicy.metricsFrom[]",
    ];
    ensure!(open.iter().all(|path| known.contains(&path.as_str())), "{open:?}");
    Ok(())
}

fn loose(schema: &Value, path: &str, open: &mut Vec<String>) {
    if schema["type"] == "object" && schema.get("additionalProperties").is_none() {
        open.push(path.to_owned());
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        loose(inner, &format!("{path}.{name}"), open);
    }
    if schema["items"].is_object() {
        loose(&schema["items"], &format!("{path}[]"), open);
    }
}

#[test]
fn each_value_is_in_the_readme() -> Result<()> {
    let values: Value = serde_norway::from_str(&chart("values.yaml")?)?;
    let readme = chart("README.md")?;
    let mut paths = vec![];
    leaves(&values, "", &mut paths);
    ensure!(paths.len() > 40, "{paths:?}");
    for path in paths {
        // A row may be of all that is below it, as of a container's resources.
        let mut known = path.as_str();
        while !readme.contains(&format!("`{known}`")) {
            known = known
                .rsplit_once('.')
                .with_context(|| format!("the README says nothing of {path}"))?
                .0;
        }
    }
    Ok(())
}

fn leaves(value: &Value, path: &str, all: &mut Vec<String>) {
    match value.as_object() {
        Some(members) if !members.is_empty() => {
            for (name, inner) in members {
                leaves(inner, format!("{path}.{name}").trim_start_matches('.'), all);
            }
        }
        _ => all.push(path.to_owned()),
    }
}

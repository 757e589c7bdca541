//! The chart as a user installs it: `with-cluster` has run `helm install`, here is what must be true then.

use serde_json::Value;
use weir_tests::{
    Context, Result,
    cluster::{Cluster, RELEASE},
    ensure, eventually, setup,
    wait::secs,
};

async fn release(cluster: &Cluster, arguments: &[&str]) -> Result<Value> {
    let mut all = vec!["--namespace", RELEASE];
    all.extend(arguments);
    cluster.get(&all).await
}

#[tokio::test]
async fn it_is_up_and_tells_what_comes_next() -> Result<()> {
    let cluster = Cluster::connect()?;
    let notes = cluster.helm(&["get", "notes", RELEASE, "-n", RELEASE]).await?;
    for word in ["kubectl", "password", "apply"] {
        ensure!(notes.contains(word), "the notes do not mention {word}:\n{notes}");
    }
    let pools = release(&cluster, &["mediapools"]).await?;
    let pool = pools["items"].get(0).context("the chart makes no MediaPool")?;
    let name = pool["metadata"]["name"].as_str().context("a name")?;
    let wait = format!("mediapool/{name}");
    cluster
        .kubectl(&[
            "wait",
            "-n",
            RELEASE,
            "--for=condition=Ready",
            "--timeout=120s",
            &wait,
        ])
        .await?;

    let crds = cluster.get(&["customresourcedefinitions"]).await?;
    let crds = crds["items"].as_array().context("a list")?;
    let ours: Vec<_> = crds
        .iter()
        .filter(|c| c["spec"]["group"] == "weir.video")
        .collect();
    ensure!(ours.len() == 5, "{} kinds", ours.len());
    for crd in ours {
        ensure!(
            crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep",
            "{}",
            crd["metadata"]["name"]
        );
    }
    Ok(())
}

#[tokio::test]
async fn helm_test_plays_a_stream() -> Result<()> {
    let out = Cluster::connect()?
        .helm(&["test", RELEASE, "-n", RELEASE, "--timeout", "120s"])
        .await?;
    ensure!(out.contains("Succeeded"), "{out}");
    Ok(())
}

#[tokio::test]
async fn the_same_upgrade_again_restarts_nothing() -> Result<()> {
    let cluster = Cluster::connect()?;
    let pods = async || -> Result<Vec<String>> {
        let list = release(&cluster, &["pods", "-l", "app.kubernetes.io/component"]).await?;
        let mut ids: Vec<String> = list["items"]
            .as_array()
            .context("a list")?
            .iter()
            // What `helm test` started is no part of it.
            .filter(|p| p["metadata"]["annotations"]["helm.sh/hook"].is_null())
            .map(|p| format!("{} {}", p["metadata"]["name"], p["metadata"]["uid"]))
            .collect();
        ids.sort();
        Ok(ids)
    };
    let secret = async || -> Result<Value> {
        Ok(release(&cluster, &["secrets", "-l", "app.kubernetes.io/name=weir"]).await?["items"].clone())
    };
    let data = |secrets: &Value| -> Vec<Value> {
        secrets
            .as_array()
            .into_iter()
            .flatten()
            .map(|s| s["data"].clone())
            .collect()
    };
    // Pods that have yet to come would be taken for others.
    let wait = [
        "wait",
        "mediapools",
        "--all",
        "-n",
        RELEASE,
        "--for=condition=Ready",
        "--timeout=10s",
    ];
    eventually(secs(120), "the chart's pool to be ready", async || {
        cluster.kubectl(&wait).await
    })
    .await?;
    let (before, password) = (pods().await?, secret().await?);
    ensure!(!before.is_empty(), "no pods");
    ensure!(!data(&password).is_empty(), "no Secret with a password");
    let chart = setup::root().join("charts/weir");
    cluster
        .helm(&[
            "upgrade",
            RELEASE,
            &chart.to_string_lossy(),
            "-n",
            RELEASE,
            "--reuse-values",
            "--wait",
            "--timeout",
            "180s",
        ])
        .await?;
    ensure!(
        data(&secret().await?) == data(&password),
        "the upgrade made another password"
    );
    ensure!(pods().await? == before, "{before:?}\n{:?}", pods().await?);
    Ok(())
}

#[tokio::test]
async fn pods_may_do_little() -> Result<()> {
    let cluster = Cluster::connect()?;
    let list = release(&cluster, &["pods", "-l", "app.kubernetes.io/component"]).await?;
    let pods = list["items"].as_array().context("a list")?;
    for pod in pods {
        let name = pod["metadata"]["name"].as_str().unwrap_or("?");
        ensure!(
            pod["spec"]["securityContext"]["runAsNonRoot"] == true,
            "{name} may run as root"
        );
        ensure!(
            pod["spec"]["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
            "{name}: seccomp"
        );
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            let context = &container["securityContext"];
            ensure!(
                context["readOnlyRootFilesystem"] == true,
                "{name} may write its root"
            );
            ensure!(
                context["allowPrivilegeEscalation"] == false,
                "{name} may gain rights"
            );
            ensure!(
                context["capabilities"]["drop"] == serde_json::json!(["ALL"]),
                "{name}: {}",
                context["capabilities"]
            );
            ensure!(
                container["resources"]["requests"].is_object(),
                "{name} names no resources"
            );
        }
    }
    let components: Vec<_> = pods
        .iter()
        .map(|p| &p["metadata"]["labels"]["app.kubernetes.io/component"])
        .collect();
    for component in ["operator", "node", "gateway"] {
        ensure!(
            components.iter().any(|c| *c == component),
            "no {component} among {components:?}"
        );
    }
    // Each may do what it does, and no more.
    for account in ["operator", "node"] {
        let pod = pods
            .iter()
            .find(|p| p["metadata"]["labels"]["app.kubernetes.io/component"] == account);
        let user = pod.context("a pod")?["spec"]["serviceAccountName"]
            .as_str()
            .context("an account")?;
        let user = format!("--as=system:serviceaccount:{RELEASE}:{user}");
        for (verb, what) in [
            ("delete", "nodes"),
            ("create", "clusterroles"),
            ("get", "secrets --namespace=kube-system"),
        ] {
            let mut arguments = vec!["auth", "can-i", verb];
            arguments.extend(what.split(' '));
            arguments.push(&user);
            let (answer, _, _) = cluster.try_kubectl(&arguments).await?;
            // The operator serves all namespaces, so that it reads the Secrets of all.
            ensure!(
                answer.trim() == "no" || account == "operator" && what.starts_with("secrets"),
                "{account} may {verb} {what}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn it_is_measured() -> Result<()> {
    let cluster = Cluster::connect()?;
    let list = release(&cluster, &["pods", "-l", "app.kubernetes.io/component"]).await?;
    for pod in list["items"].as_array().context("a list")? {
        let (name, ip) = (
            &pod["metadata"]["name"],
            pod["status"]["podIP"].as_str().context("an address")?,
        );
        let Some(port) = pod["spec"]["containers"][0]["ports"]
            .as_array()
            .and_then(|ports| {
                ports
                    .iter()
                    .find(|p| p["name"] == "metrics")
                    .or_else(|| ports.iter().find(|p| p["name"] == "http"))
            })
        else {
            weir_tests::bail!("{name} has neither a port metrics nor http");
        };
        let client = reqwest::Client::builder().no_proxy().timeout(secs(20)).build()?;
        for path in ["metrics", "healthz", "readyz"] {
            let url = format!("http://{ip}:{}/{path}", port["containerPort"]);
            let text = eventually(secs(60), &url, async || {
                Ok(client.get(&url).send().await?.error_for_status()?.text().await?)
            })
            .await?;
            ensure!(
                path != "metrics" || text.contains("# TYPE weir_"),
                "{name}:\n{text}"
            );
        }
    }
    Ok(())
}

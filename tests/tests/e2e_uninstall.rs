//! The last test in a cluster: what `helm uninstall` leaves are the kinds and the users' own objects.

use serde_json::Value;
use weir_tests::{
    Context, Result,
    cluster::{Cluster, RELEASE},
    ensure, eventually,
    wait::secs,
};

#[tokio::test]
async fn helm_uninstall_leaves_the_kinds_alone() -> Result<()> {
    let cluster = Cluster::connect()?;
    let folder = tempfile::TempDir::new()?;
    let file = folder.path().join("camera.yaml");
    std::fs::write(
        &file,
        weir_tests::manifest::rtsp_camera("mine", "rtsp://192.0.2.1/x", ""),
    )?;
    cluster.kubectl(&["create", "namespace", "mine"]).await?;
    cluster
        .kubectl(&["apply", "-n", "mine", "-f", &file.to_string_lossy()])
        .await?;

    cluster
        .helm(&["uninstall", RELEASE, "-n", RELEASE, "--wait", "--timeout", "180s"])
        .await?;
    eventually(secs(60), "everything of the release to be gone", async || {
        let kinds = "pods,services,deployments,statefulsets,poddisruptionbudgets,mediapools,serviceaccounts,roles,rolebindings,networkpolicies";
        let list = cluster.get(&[kinds, "-n", RELEASE, "-l", "app.kubernetes.io/name=weir"]).await?;
        let mut left = names(&list);
        for kind in ["clusterroles", "clusterrolebindings", "validatingwebhookconfigurations"] {
            left.extend(names(&cluster.get(&[kind, "-l", "app.kubernetes.io/name=weir"]).await?));
        }
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;

    let crds = cluster.get(&["customresourcedefinitions"]).await?;
    let ours = crds["items"]
        .as_array()
        .context("a list")?
        .iter()
        .filter(|c| c["spec"]["group"] == "weir.video");
    ensure!(ours.count() == 5, "the kinds went with the release");
    cluster.kubectl(&["get", "camera", "mine", "-n", "mine"]).await?;
    // Nothing of ours holds what nobody looks after any more.
    cluster
        .kubectl(&["delete", "namespace", "mine", RELEASE, "--timeout=120s"])
        .await?;
    Ok(())
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items
        .iter()
        .map(|i| format!("{}/{}", i["kind"].as_str().unwrap_or("?"), i["metadata"]["name"]))
        .collect()
}

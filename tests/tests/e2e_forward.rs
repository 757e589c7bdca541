//! Streams that nodes push to a server that is not ours: in a cluster, who pushes is whoever has the stream.

use std::time::Duration;

use weir_tests::{
    Context, Result,
    camera::{Auth, Camera, Make, PASSWORD, USER},
    cluster::{Namespace, Pool, camera, with_namespace},
    ensure, eventually,
    manifest::{route, rtsp_camera, secret},
    player::{self, Watching},
    wait::{secs, throughout},
};

const TWO: Pool = Pool {
    nodes: 2,
    gateways: 1,
    anonymous: true,
    node_fields: "",
};

/// How long nothing may change: longer than the pauses between two attempts to reach a server.
const QUIET: Duration = secs(25);

/// Lines of a spec that push to a server with the credentials of the Secret `out`.
fn forward(url: &str) -> String {
    format!("  forward:\n    - {{url: \"{url}\", secretName: out}}\n")
}

/// The nodes from which a path of the server is published just now.
async fn pushing(ns: &Namespace, server: &Camera, path: &str) -> Result<Vec<String>> {
    let mut nodes = Vec::new();
    for node in ns.pods("node").await? {
        // One that has only just been made has no address.
        let Ok(address) = ns.address(&node, "http").await else {
            continue;
        };
        let ip = address.rsplit_once(':').context("a port")?.0;
        let publishers = server.publishers(path);
        nodes.extend(publishers.iter().filter(|from| *from == ip).map(|_| node.clone()));
    }
    let publishers = server.publishers(path);
    ensure!(
        publishers.len() == nodes.len(),
        "{publishers:?} publish, of whom {nodes:?} are nodes"
    );
    Ok(nodes)
}

/// Waits until one node pushes, and gives its name.
async fn pusher(ns: &Namespace, server: &Camera, path: &str, not: &str) -> Result<String> {
    eventually(secs(60), &format!("a node to publish {path}"), async || {
        let nodes = pushing(ns, server, path).await?;
        ensure!(nodes.len() == 1 && nodes[0] != not, "{nodes:?}");
        Ok(nodes.concat())
    })
    .await
}

/// How many nodes want to push: those whose server refuses a second publisher, too.
async fn forwards(ns: &Namespace) -> Result<u64> {
    let mut all = 0;
    for node in ns.pods("node").await? {
        // A node that is on its way has none.
        for state in ["live", "connecting", "failed", "refused"] {
            let series = format!("weir_forwards{{state=\"{state}\"}}");
            all += ns.metric(&node, &series).await.unwrap_or_default();
        }
    }
    Ok(all)
}

/// Asserts that the server's path is played, and that its condition says so without what nobody may read.
async fn arrives(ns: &Namespace, server: &Camera, object: &str, path: &str) -> Result<()> {
    let said = ns
        .until_condition(object, "Forwarding", "True", "Forwarding")
        .await?;
    let (url, text) = (server.url(path), said.to_string());
    ensure!(text.contains(&url) && !text.contains(PASSWORD), "{text}");
    let url = url.replace("rtsp://", &format!("rtsp://{USER}:{PASSWORD}@"));
    eventually(secs(30), &format!("{path} to play at the server"), async || {
        let seen = player::probe(&url, &["-rtsp_transport", "tcp"], 3.0).await?;
        let pictures = seen.packets("video").len();
        ensure!(
            seen.codecs() == ["aac", "h264"] && pictures > 30,
            "{pictures} pictures"
        );
        Ok(())
    })
    .await
}

/// Asserts that it is this node that pushes, and no other, for a while.
async fn stays(ns: &Namespace, server: &Camera, object: &str, path: &str, node: &str) -> Result<()> {
    throughout(QUIET, &format!("{node} alone pushes {path}"), async || {
        let nodes = pushing(ns, server, path).await?;
        ensure!(nodes == [node], "{nodes:?} push");
        let forwards = forwards(ns).await?;
        ensure!(forwards == 1, "{forwards} want to push");
        let said = ns.condition(object, "Forwarding").await?;
        ensure!(said["status"] == "True", "{said}");
        Ok(())
    })
    .await
}

async fn until_ready_again(ns: &Namespace, nodes: usize) -> Result<()> {
    eventually(secs(90), &format!("{nodes} nodes to be ready"), async || {
        let pods = ns.pods("node").await?;
        ensure!(pods.len() == nodes, "{pods:?}");
        for pod in pods {
            let ready = format!("pod/{pod}");
            let said = ns.condition(&ready, "Ready").await?;
            ensure!(said["status"] == "True", "{pod}: {said}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_camera_that_moves_is_pushed_from_its_new_node() -> Result<()> {
    with_namespace(TWO, async |ns| {
        let server = camera(Make::Go, Auth::Digest).await?;
        ns.apply(&secret("out", USER, PASSWORD)).await?;
        let more = format!(
            "  credentials: {{secretName: out}}\n{}",
            forward(&server.url("out/door"))
        );
        ns.apply(&rtsp_camera("door", server.url("h264"), &more)).await?;
        ns.until_ready("door").await?;
        arrives(ns, &server, "camera/door", "out/door").await?;
        let first = pusher(ns, &server, "out/door", "").await?;
        ensure!(first == ns.node_of("door").await?, "{first} pushes");

        // It is told to end, and its camera moves; then as a power cut does it.
        ns.kubectl(&["delete", "pod", &first, "--wait=false"]).await?;
        let second = pusher(ns, &server, "out/door", &first).await?;
        ensure!(second == ns.node_of("door").await?, "{second} pushes");
        until_ready_again(ns, 2).await?;
        arrives(ns, &server, "camera/door", "out/door").await?;
        stays(ns, &server, "camera/door", "out/door", &second).await?;

        // Its pod may be back before its camera would move.
        ns.kill_pod(&second).await?;
        let third = pusher(ns, &server, "out/door", "").await?;
        ensure!(third == ns.node_of("door").await?, "{third} pushes");
        until_ready_again(ns, 2).await?;
        arrives(ns, &server, "camera/door", "out/door").await?;
        stays(ns, &server, "camera/door", "out/door", &third).await?;

        // What is taken out of the list is pushed no more.
        let patch = r#"{"spec": {"forward": []}}"#;
        ns.kubectl(&["patch", "camera/door", "--type=merge", "-p", patch])
            .await?;
        eventually(secs(20), "the push to end", async || {
            let nodes = pushing(ns, &server, "out/door").await?;
            ensure!(nodes.is_empty(), "{nodes:?}");
            ensure!(
                ns.condition("camera/door", "Forwarding").await.is_err(),
                "it says so still"
            );
            Ok(())
        })
        .await?;
        let logs = ns.logs().await;
        ensure!(!logs.contains("canary-"), "a password is in the logs");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_routes_stream_is_pushed_by_one_node_whoever_that_is() -> Result<()> {
    with_namespace(TWO, async |ns| {
        let server = camera(Make::Go, Auth::Digest).await?;
        ns.apply(&secret("out", USER, PASSWORD)).await?;
        let more = format!(
            "  credentials: {{secretName: out}}\n{}",
            forward(&server.url("out/lab"))
        );
        let spec = route("lab", "/lab/door", server.url("h264"), true);
        ns.apply(&format!("{spec}{more}")).await?;
        ns.until_condition("route/lab", "Accepted", "True", "Accepted")
            .await?;
        let viewer = Watching::start(&ns.http("/streams/lab/door.flv").await?, &[]);
        viewer.until_picture(secs(60)).await?;
        arrives(ns, &server, "route/lab", "out/lab").await?;
        let first = pusher(ns, &server, "out/lab", "").await?;
        stays(ns, &server, "route/lab", "out/lab", &first).await?;

        ns.kill_pod(&first).await?;
        viewer.until_picture(secs(60)).await?;
        pusher(ns, &server, "out/lab", "").await?;
        // The name of the node that is back has won the path before, and wins it again.
        until_ready_again(ns, 2).await?;
        eventually(secs(60), "one node to push", async || {
            let forwards = forwards(ns).await?;
            ensure!(forwards == 1, "{forwards} want to push");
            Ok(())
        })
        .await?;
        arrives(ns, &server, "route/lab", "out/lab").await?;
        let last = pusher(ns, &server, "out/lab", "").await?;
        stays(ns, &server, "route/lab", "out/lab", &last).await?;
        viewer.until_picture(secs(10)).await?;
        Ok(())
    })
    .await
}

//! What it survives. Each of these takes a part of the cluster away, so each runs alone.

use std::time::{Duration, Instant};

use tokio::process::Command;
use weir_tests::{
    Context, Result,
    camera::{Auth, Camera, Make},
    cluster::{Cluster, Namespace, POOL, Pool, RELEASE, camera, variable, with_namespace},
    ensure, eventually,
    manifest::rtsp_camera,
    player, process,
    wait::{secs, throughout},
};

/// How long viewers may have to try again.
const BACK: Duration = secs(10);

async fn plays(ns: &Namespace, path: &str) -> Result<()> {
    let url = ns.http(&format!("/streams/{path}.flv")).await?;
    ensure!(
        !player::probe(&url, &["-rw_timeout", "3000000"], 1.0)
            .await?
            .packets("video")
            .is_empty(),
        "no picture"
    );
    Ok(())
}

#[tokio::test]
async fn a_node_is_killed() -> Result<()> {
    with_namespace(
        Pool {
            nodes: 2,
            ..Pool::default()
        },
        async |ns| {
            let source = camera(Make::Go, Auth::None).await?;
            for name in ["one", "two"] {
                ns.apply(&rtsp_camera(name, source.url("h264"), "")).await?;
                ns.until_ready(name).await?;
                plays(ns, name).await?;
            }
            let node = ns.node_of("one").await?;
            ns.kubectl(&["delete", "pod", &node, "--grace-period=0", "--force"])
                .await?;
            let begin = Instant::now();
            // The old picture may still be in the gateway's cache: what counts is one that comes after.
            tokio::time::sleep(Duration::from_millis(500)).await;
            eventually(BACK, "viewers who reconnect to see both cameras", async || {
                plays(ns, "one").await?;
                plays(ns, "two").await
            })
            .await?;
            println!("back after {:?}", begin.elapsed());
            ns.until_ready("one").await
        },
    )
    .await
}

#[tokio::test]
async fn a_node_process_crashes() -> Result<()> {
    with_namespace(Pool::default(), async |ns| {
        let source = camera(Make::Go, Auth::None).await?;
        ns.apply(&rtsp_camera("one", source.url("h264"), "")).await?;
        ns.until_ready("one").await?;
        // Its only node: the kubelet starts it again, and the operator has nothing to decide.
        let node = ns.node_of("one").await?;
        kill_in(ns, &node).await?;
        eventually(BACK, "viewers who reconnect to see it", async || {
            plays(ns, "one").await
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_gateway_is_killed_between_two_requests_of_hls() -> Result<()> {
    with_namespace(
        Pool {
            nodes: 1,
            gateways: 2,
            anonymous: true,
        },
        async |ns| {
            let source = camera(Make::Go, Auth::None).await?;
            ns.apply(&rtsp_camera("one", source.url("h264"), "")).await?;
            ns.until_ready("one").await?;

            // Both cut alike: a segment has one number and one content, whoever serves it.
            let list = ns
                .get(&["pods", "-l", "app.kubernetes.io/component=gateway"])
                .await?;
            let pods = list["items"].as_array().context("a list")?;
            let address = |i: usize| pods[i]["status"]["podIP"].as_str().context("an address");
            let (first, second) = (address(0)?, address(1)?);
            let client = reqwest::Client::builder().no_proxy().timeout(secs(50)).build()?;
            let get = async |ip: &str, path: &str| -> Result<Vec<u8>> {
                let reply = client
                    .get(format!("http://{ip}:8080{path}"))
                    .send()
                    .await?
                    .error_for_status()?;
                Ok(reply.bytes().await?.to_vec())
            };
            let segments = async |ip: &str| -> Result<Vec<String>> {
                let text = String::from_utf8(get(ip, "/streams/one.m3u8").await?)?;
                Ok(text
                    .lines()
                    .filter(|l| l.starts_with('/'))
                    .map(str::to_owned)
                    .collect())
            };
            let both = eventually(secs(60), "a segment at both gateways", async || {
                let (a, b) = (segments(first).await?, segments(second).await?);
                a.into_iter().find(|s| b.contains(s)).context("none in common")
            })
            .await?;
            ensure!(
                uncounted(get(first, &both).await?) == uncounted(get(second, &both).await?),
                "{both} differs between the gateways"
            );

            // A player that is served by the first, until that one is gone.
            let playlist = segments(first).await?;
            let name = pods[0]["metadata"]["name"].as_str().context("a name")?;
            ns.kubectl(&["delete", "pod", name, "--grace-period=0", "--force"])
                .await?;
            let last = playlist.last().context("a segment")?;
            eventually(
                BACK,
                "the last segment of its playlist, from the other",
                async || get(second, last).await,
            )
            .await?;
            let next = eventually(secs(30), "the playlist to go on", async || {
                let now = segments(second).await?;
                let at = now
                    .iter()
                    .position(|s| s == last)
                    .context("it does not follow on")?;
                now.get(at + 1).cloned().context("no new segment yet")
            })
            .await?;
            get(second, &next).await?;

            // And as a real player sees it, by the Service.
            let url = ns.http("/streams/one.m3u8").await?;
            player::probe(&url, &[], 10.0)
                .await?
                .expect(&["h264", "aac"], 10.0)
        },
    )
    .await
}

#[tokio::test]
async fn the_operator_is_away() -> Result<()> {
    with_namespace(Pool::default(), async |ns| {
        let source = camera(Make::Go, Auth::None).await?;
        ns.apply(&rtsp_camera("one", source.url("h264"), "")).await?;
        ns.until_ready("one").await?;
        let scale = async |replicas: &str| {
            let list = ns
                .cluster
                .kubectl(&[
                    "get",
                    "deployments",
                    "-n",
                    RELEASE,
                    "-l",
                    "app.kubernetes.io/component=operator",
                    "-o",
                    "name",
                ])
                .await?;
            let name = list.trim();
            let replicas = format!("--replicas={replicas}");
            ns.cluster
                .kubectl(&["scale", "-n", RELEASE, name, &replicas])
                .await?;
            ns.cluster
                .kubectl(&["rollout", "status", "-n", RELEASE, name, "--timeout=60s"])
                .await
        };
        let url = ns.rtsp("one").await?;
        let viewer = tokio::spawn(async move { player::probe_rtsp(&url, "tcp", 15.0).await });
        scale("0").await?;
        let result = async {
            throughout(secs(6), "new viewers should come in", async || {
                plays(ns, "one").await
            })
            .await?;
            // What is applied meanwhile is done later.
            ns.apply(&rtsp_camera("later", source.url("other"), "")).await?;
            viewer.await??.expect(&["h264", "aac"], 15.0)
        }
        .await;
        scale("1").await?;
        result?;
        ns.until_ready("later").await
    })
    .await
}

#[tokio::test]
async fn the_api_server_is_away() -> Result<()> {
    // Only of our own cluster can it be taken away.
    let Some(files) = std::env::var_os(variable::FILES) else {
        println!("not run: the cluster is not ours");
        return Ok(());
    };
    let pid = std::fs::read_to_string(std::path::Path::new(&files).join("node-0/pid"))?;
    with_namespace(Pool::default(), async |ns| {
        let mut source = camera(Make::Go, Auth::None).await?;
        ns.apply(&rtsp_camera("one", source.url("h264"), "")).await?;
        ns.until_ready("one").await?;
        let (flv, rtsp) = (ns.http("/streams/one.flv").await?, ns.rtsp("one").await?);
        let signal = async |signal: &str| {
            let mut command = Command::new("pkill");
            command.args([signal, "--parent", pid.trim(), "--full", "kube-apiserver"]);
            process::output(&mut command, secs(5)).await
        };
        let url = rtsp.clone();
        let viewer = tokio::spawn(async move { player::probe_rtsp(&url, "tcp", 20.0).await });
        tokio::time::sleep(secs(1)).await;
        // Stopped, not ended: connections stay open and nothing answers, which is worse.
        signal("-STOP").await?;
        let result = async {
            throughout(secs(8), "new viewers should come in", async || {
                player::probe(&flv, &["-rw_timeout", "3000000"], 1.0)
                    .await
                    .map(drop)
            })
            .await?;
            viewer.await??.expect(&["h264", "aac"], 20.0)?;
            // A camera that goes meanwhile comes back meanwhile.
            source.unplug().await?;
            tokio::time::sleep(secs(2)).await;
            source.plug_in().await?;
            eventually(secs(40), "the camera to be live again", async || {
                player::probe(&flv, &["-rw_timeout", "3000000"], 1.0)
                    .await
                    .map(drop)
            })
            .await
        }
        .await;
        signal("-CONT").await?;
        result?;
        eventually(secs(60), "the API server to answer", async || {
            ns.cluster.kubectl(&["get", "--raw", "/readyz"]).await
        })
        .await?;
        ns.until_ready("one").await?;
        // And the watches live: what is applied now is done.
        ns.apply(&rtsp_camera("two", source.url("other"), "")).await?;
        ns.until_ready("two").await
    })
    .await
}

#[tokio::test]
async fn a_camera_is_unplugged_and_back() -> Result<()> {
    with_namespace(Pool::default(), async |ns| {
        let mut source = camera(Make::Go, Auth::None).await?;
        ns.apply(&rtsp_camera("one", source.url("h264"), "")).await?;
        ns.until_ready("one").await?;
        source.unplug().await?;
        ns.until_condition("camera/one", "Connected", "False", "Unreachable")
            .await?;
        source.plug_in().await?;
        ns.until_ready("one").await?;
        plays(ns, "one").await
    })
    .await
}

#[tokio::test]
async fn a_roll_out_moves_cameras_before_their_pod_goes() -> Result<()> {
    with_namespace(
        Pool {
            nodes: 2,
            ..Pool::default()
        },
        async |ns| {
            // A camera each, so that their logs tell how many connections each has at any time.
            let mut sources = Vec::new();
            for name in ["one", "two"] {
                let source = camera(Make::Go, Auth::None).await?;
                ns.apply(&rtsp_camera(name, source.url("h264"), "")).await?;
                ns.until_ready(name).await?;
                sources.push(source);
            }
            let image = std::env::var(variable::OTHER_IMAGE).context("a second image")?;
            let patch = format!("{{\"spec\": {{\"image\": \"{image}\"}}}}");
            ns.kubectl(&["patch", "mediapool", POOL, "--type=merge", "-p", &patch])
                .await?;
            eventually(secs(120), "every pod to have the new image", async || {
                let list = ns
                    .get(&["pods", "-l", "app.kubernetes.io/component in (node, gateway)"])
                    .await?;
                for pod in list["items"].as_array().context("a list")? {
                    ensure!(
                        pod["spec"]["containers"][0]["image"] == image.as_str(),
                        "{}",
                        pod["metadata"]["name"]
                    );
                    ensure!(
                        pod["metadata"]["deletionTimestamp"].is_null(),
                        "{} is ending",
                        pod["metadata"]["name"]
                    );
                }
                ns.wait(&format!("mediapool/{POOL}"), "Ready", secs(5)).await
            })
            .await?;
            for name in ["one", "two"] {
                ns.until_ready(name).await?;
                plays(ns, name).await?;
            }
            for source in &sources {
                let least = least_connections(source);
                ensure!(
                    least >= 1,
                    "the camera was left alone during the roll-out:\n{}",
                    source.log()
                );
            }
            Ok(())
        },
    )
    .await
}

/// The fewest sessions that a camera had at any time after its first.
fn least_connections(camera: &Camera) -> i32 {
    // Connections that only looked (a check of the address, say) say "gone" and never "plays".
    let (mut now, mut least, mut playing) = (0, i32::MAX, Vec::new());
    for line in camera.log().lines() {
        let Some(peer) = line.split_whitespace().nth(1) else {
            continue;
        };
        if line.contains(" plays ") {
            playing.push(peer.to_owned());
            now += 1;
        } else if line.contains(" gone") && playing.iter().any(|p| p == peer) {
            now -= 1;
            least = least.min(now);
        }
    }
    if least == i32::MAX { now } else { least }
}

#[tokio::test]
async fn scaling_in_moves_cameras() -> Result<()> {
    with_namespace(
        Pool {
            nodes: 2,
            ..Pool::default()
        },
        async |ns| {
            let source = camera(Make::Go, Auth::None).await?;
            for name in ["one", "two"] {
                ns.apply(&rtsp_camera(name, source.url("other"), "")).await?;
                ns.until_ready(name).await?;
            }
            ns.kubectl(&["scale", "mediapool", POOL, "--replicas=1"]).await?;
            eventually(secs(60), "both on the node that is left", async || {
                for name in ["one", "two"] {
                    let node = ns.node_of(name).await?;
                    ensure!(node == "media-node-0", "{name} is on {node}");
                    plays(ns, name).await?;
                }
                let pods = ns.pods("node").await?;
                ensure!(pods == ["media-node-0"], "{pods:?}");
                Ok(())
            })
            .await
        },
    )
    .await
}

/// Kills the container's process, as a crash does.
async fn kill_in(ns: &Namespace, pod: &str) -> Result<()> {
    let files = std::env::var_os(variable::FILES);
    ensure!(files.is_some() || Cluster::connect().is_ok(), "no cluster");
    let pod = ns.get(&["pod", pod]).await?;
    let uid = pod["metadata"]["uid"].as_str().context("a uid")?.to_owned();
    // Its control group has the pod's uid in its name; a process of this machine like any other.
    let find = format!("grep -l 'pod{uid}/' /proc/[0-9]*/cgroup 2>/dev/null");
    let mut command = Command::new("sh");
    command.args(["-c", &find]);
    let (found, _, _) = process::outcome(&mut command, secs(10)).await?;
    let mut killed = 0;
    for file in found.lines() {
        let pid = file.trim_start_matches("/proc/").trim_end_matches("/cgroup");
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name.trim() == "media-node" {
            process::output(Command::new("kill").args(["-KILL", pid]), secs(5)).await?;
            killed += 1;
        }
    }
    ensure!(killed == 1, "{killed} processes named media-node in the pod");
    Ok(())
}

/// A segment without the continuity counters of its packets (ISO/IEC 13818-1 section 2.4.3.2): each gateway counts from
/// when it began.
fn uncounted(mut segment: Vec<u8>) -> Vec<u8> {
    for packet in segment.chunks_mut(188) {
        if let Some(flags) = packet.get_mut(3) {
            *flags &= 0xf0;
        }
    }
    segment
}

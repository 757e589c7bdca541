//! What it survives. What takes something away from other namespaces too runs alone: `.config/nextest.toml` names it.

use std::time::{Duration, Instant};

use tokio::process::Command;
use weir_tests::{
    Context, Result,
    archive::with_archive,
    bail,
    camera::{Auth, Camera, Make},
    cluster::{self, Namespace, POOL, Pool, RELEASE, camera, variable, with_namespace},
    ensure, eventually, hls,
    manifest::rtsp_camera,
    player::{self, Watching},
    process,
    wait::{secs, throughout},
};

/// How long viewers who connect again may be without a picture.
const BACK: Duration = secs(10);
/// The same where a container has to start first, which takes Kubernetes' time.
const BACK_AFTER_START: Duration = secs(25);
/// The same by HLS: ffmpeg ends at the first playlist that it does not get, and plays seconds of what it fetches at once.
const BACK_BY_HLS: Duration = secs(25);

/// The operator's lease. Nodes have none: what they do goes on without the API server.
const LEASE: Duration = secs(15);

/// A viewer over HTTP-FLV at the gateways' Service, who has seen a picture.
async fn viewer(ns: &Namespace, path: &str) -> Result<Watching> {
    let viewer = Watching::start(&ns.http(&format!("/streams/{path}.flv")).await?, &[]);
    viewer.until_picture(secs(60)).await?;
    Ok(viewer)
}

/// Asserts that a viewer has a picture again, and was not without for longer.
async fn was_back_within(viewer: &Watching, limit: Duration) -> Result<()> {
    viewer.until_picture(secs(60)).await?;
    let gap = viewer.longest_gap();
    println!("without a picture for {gap:?} at most");
    ensure!(gap <= limit, "without a picture for {gap:?}: {viewer}");
    Ok(())
}

async fn plays(ns: &Namespace, path: &str) -> Result<()> {
    let url = ns.http(&format!("/streams/{path}.flv")).await?;
    ensure!(
        !player::probe(&url, &["-rw_timeout", "8000000"], 1.0)
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
            let mut viewers = Vec::new();
            for name in ["one", "two"] {
                ns.apply(&rtsp_camera(name, source.url("h264"), "")).await?;
                ns.until_ready(name).await?;
                viewers.push(viewer(ns, name).await?);
            }
            ns.kill_pod(&ns.node_of("one").await?).await?;
            eventually(secs(60), "the camera to be dialled again", async || {
                let dialled = source.plays();
                ensure!(dialled > viewers.len(), "it was dialled {dialled} times");
                Ok(())
            })
            .await?;
            for viewer in &viewers {
                was_back_within(viewer, BACK).await?;
            }
            ns.until_ready("one").await
        },
    )
    .await
}

#[tokio::test]
async fn a_node_process_crashes() -> Result<()> {
    if cluster::ours().is_none() {
        println!("not run: the cluster is not ours");
        return Ok(());
    }
    with_namespace(Pool::default(), async |ns| {
        let source = camera(Make::Go, Auth::None).await?;
        ns.apply(&rtsp_camera("one", source.url("h264"), "")).await?;
        ns.until_ready("one").await?;
        let viewer = viewer(ns, "one").await?;
        // Its only node: the kubelet starts it again, and the operator has nothing to decide.
        ns.kill_process(&ns.node_of("one").await?).await?;
        eventually(secs(60), "the camera to be dialled again", async || {
            ensure!(source.plays() > 1, "{}", source.log());
            Ok(())
        })
        .await?;
        was_back_within(&viewer, BACK_AFTER_START).await
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
            node_fields: "",
        },
        async |ns| {
            let source = camera(Make::Go, Auth::None).await?;
            ns.apply(&rtsp_camera("one", source.url("h264"), "")).await?;
            ns.until_ready("one").await?;
            let gateways = ns.pods("gateway").await?;
            let [first, second] = gateways.as_slice() else {
                bail!("two gateways are wanted, not {gateways:?}");
            };
            let bases = (
                format!("http://{}", ns.address(first, "http").await?),
                format!("http://{}", ns.address(second, "http").await?),
            );
            let service = ns.http("").await?;

            // Both cut alike: a segment has one number and one content, whoever serves it. One is compared that has ended at
            // both: a gateway that has lost its node for a moment may have a part of a segment for a while.
            let client = hls::client()?;
            let number = eventually(secs(90), "a segment that both gateways have", async || {
                let (one, other) = tokio::try_join!(
                    hls::playlist(&client, &bases.0, "one"),
                    hls::playlist(&client, &bases.1, "one"),
                )?;
                let other = hls::whole(&other);
                let both = hls::whole(&one).into_iter().filter(|n| other.contains(n));
                both.max().context("none in common")
            })
            .await?;
            let (one, other) = tokio::try_join!(
                hls::segment(&client, &bases.0, "one", number),
                hls::segment(&client, &bases.1, "one", number),
            )?;
            let (one, other) = (hls::uncounted(&one), hls::uncounted(&other));
            ensure!(
                one == other,
                "segment {number} differs from byte {:?} on: {} and {} bytes",
                one.iter().zip(&other).position(|(a, b)| a != b),
                one.len(),
                other.len()
            );

            // One player asks a gateway now and the other then, and misses nothing when one of them is gone. The other is
            // ffmpeg, which a person starts again when it has ended.
            let player = hls::Follower::start(&service, "one", number + 1)?;
            let viewer = Watching::start(&format!("{service}/streams/one.m3u8"), &[]);
            player.has(3, secs(60)).await?;
            viewer.until_picture(secs(60)).await?;
            ns.kill_pod(first).await?;
            let before = player.segments().len();
            player.has(before + 6, secs(90)).await?;
            was_back_within(&viewer, BACK_BY_HLS).await?;

            // In what it has fetched there is no seam: times go on, and no picture is missing.
            let segments = player.segments();
            let folder = tempfile::TempDir::new()?;
            let film = folder.path().join("film.ts");
            std::fs::write(&film, segments.concat())?;
            let seen = player::probe(&film.to_string_lossy(), &[], 600.0).await?;
            seen.expect(&["h264", "aac"], 2.0 * segments.len() as f64)?;
            let times: Vec<f64> = seen.packets("video").iter().filter_map(|p| p.dts).collect();
            let gap = times.windows(2).find(|pair| pair[1] - pair[0] > 0.06);
            ensure!(gap.is_none(), "a picture is missing between {gap:?}");
            Ok(())
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
                .kubectl(&["rollout", "status", "-n", RELEASE, name, "--timeout=120s"])
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
    let Some(files) = cluster::ours() else {
        println!("not run: the cluster is not ours");
        return Ok(());
    };
    let pid = std::fs::read_to_string(files.join("node-0/pid"))?;
    with_archive(1, async |archive| {
        let ns = archive.ns;
        let mut source = camera(Make::Go, Auth::None).await?;
        ns.apply(&rtsp_camera("one", source.url("h264"), "")).await?;
        // Another one's pictures are counted.
        let recorded = camera(Make::Go, Auth::None).await?;
        ns.apply(&rtsp_camera("door", recorded.url("h264"), "")).await?;
        for name in ["one", "door"] {
            ns.until_ready(name).await?;
        }
        ns.until_condition("camera/door", "Recording", "True", "Scheduled")
            .await?;
        let (flv, rtsp) = (ns.http("/streams/one.flv").await?, ns.rtsp("one").await?);
        let signal = async |signal: &str| {
            let mut command = Command::new("pkill");
            command.args([signal, "--parent", pid.trim(), "--full", "kube-apiserver"]);
            process::output(&mut command, secs(30)).await
        };
        let gateways = ns.pods("gateway").await?;
        let gateway = gateways.first().context("a gateway")?;
        let viewer = tokio::spawn(async move { player::probe_rtsp(&rtsp, "tcp", 20.0).await });
        eventually(secs(30), "the viewer to be there", async || {
            let viewers = ns.metric(gateway, "weir_viewers{protocol=\"rtsp\"}").await?;
            ensure!(viewers > 0, "{viewers} viewers");
            Ok(())
        })
        .await?;
        // Stopped, not ended: connections stay open and nothing answers, which is worse.
        signal("-STOP").await?;
        let away = Instant::now();
        let result = async {
            throughout(secs(8), "new viewers should come in", async || {
                player::probe(&flv, &["-rw_timeout", "8000000"], 1.0)
                    .await
                    .map(drop)
            })
            .await?;
            viewer.await??.expect(&["h264", "aac"], 20.0)?;
            // A camera that goes meanwhile comes back meanwhile.
            let watching = Watching::start(&flv, &[]);
            watching.until_picture(secs(30)).await?;
            source.unplug().await?;
            eventually(secs(30), "the picture to stop", async || {
                ensure!(watching.longest_gap() > secs(2), "{watching}");
                Ok(())
            })
            .await?;
            source.plug_in().await?;
            eventually(secs(60), "the camera to be live again", async || {
                player::probe(&flv, &["-rw_timeout", "8000000"], 1.0)
                    .await
                    .map(drop)
            })
            .await?;
            // What is recorded is stored and listed as ever.
            archive.record_for("door", 1).await
        }
        .await;
        let away = away.elapsed();
        signal("-CONT").await?;
        result?;
        eventually(secs(60), "the API server to answer", async || {
            ns.cluster.kubectl(&["get", "--raw", "/readyz"]).await
        })
        .await?;
        ns.until_ready("one").await?;
        // And the watches live: what is applied now is done.
        ns.apply(&rtsp_camera("two", source.url("other"), "")).await?;
        ns.until_ready("two").await?;
        let footage = archive.footage("door").await?;
        println!("measured: the API server is away: {footage}; away for {away:.1?}");
        ensure!(
            away > LEASE,
            "no longer away than the operator's lease lasts: {away:?}"
        );
        footage.expect_whole()
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
    let Ok(image) = std::env::var(variable::OTHER_IMAGE) else {
        println!("not run: {} names no second image", variable::OTHER_IMAGE);
        return Ok(());
    };
    with_namespace(
        Pool {
            nodes: 2,
            ..Pool::default()
        },
        async |ns| {
            // A camera each, so that their logs tell how many connections each has at any time.
            let (mut sources, mut viewers) = (Vec::new(), Vec::new());
            for name in ["one", "two"] {
                let source = camera(Make::Go, Auth::None).await?;
                ns.apply(&rtsp_camera(name, source.url("h264"), "")).await?;
                ns.until_ready(name).await?;
                // The roll-out replaces the gateway too, and with it every connection: what counts is how long a viewer
                // who connects again is without a picture.
                viewers.push(viewer(ns, name).await?);
                sources.push(source);
            }
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
            for (name, viewer) in ["one", "two"].iter().zip(&viewers) {
                ns.until_ready(name).await?;
                was_back_within(viewer, BACK).await?;
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

//! Two gateways and two nodes: what is watched at one gateway, and what comes in at another.

use weir_tests::{
    Result, bail,
    camera::{self, Auth, Make},
    cluster::{ADMIN_PASSWORD, Namespace, Pool, with_namespace},
    ensure, eventually,
    manifest::{publish_camera, route, rtsp_camera},
    player::{self, Watching},
    setup,
    wait::secs,
};

const TWO: Pool = Pool {
    nodes: 2,
    gateways: 2,
    anonymous: true,
    node_fields: "",
};

/// The names of the two gateways.
async fn gateways(ns: &Namespace) -> Result<[String; 2]> {
    let found = ns.pods("gateway").await?;
    match <[String; 2]>::try_from(found) {
        Ok(two) => Ok(two),
        Err(found) => bail!("two gateways are wanted, not {found:?}"),
    }
}

async fn rtsp(ns: &Namespace, gateway: &str, path: &str) -> Result<String> {
    Ok(format!("rtsp://{}/{path}", ns.address(gateway, "rtsp").await?))
}

async fn http(ns: &Namespace, gateway: &str, file: &str) -> Result<String> {
    Ok(format!(
        "http://{}/streams/{file}",
        ns.address(gateway, "http").await?
    ))
}

#[tokio::test]
async fn one_relay_however_many_watch_at_a_gateway() -> Result<()> {
    with_namespace(TWO, async |ns| {
        let source = weir_tests::cluster::camera(Make::Go, Auth::None).await?;
        ns.apply(&rtsp_camera("one", source.url("other"), "")).await?;
        ns.apply(&route("lab", "/lab/", source.url(""), false)).await?;
        ns.until_ready("one").await?;
        let [first, second] = gateways(ns).await?;
        let node = ns.node_of("one").await?;
        let relays = async || ns.metric(&node, "weir_viewers{protocol=\"relay\"}").await;

        let (flv, hls) = (
            http(ns, &first, "one.flv").await?,
            http(ns, &first, "one.m3u8").await?,
        );
        let rtsp = rtsp(ns, &first, "one").await?;
        let tcp = ["-rtsp_transport", "tcp"];
        let viewers = [
            Watching::start(&flv, &[]),
            Watching::start(&rtsp, &tcp),
            Watching::start(&hls, &[]),
            Watching::start(&flv, &[]),
            Watching::start(&rtsp, &tcp),
        ];
        for viewer in &viewers {
            viewer.until_picture(secs(60)).await?;
        }
        // All five are there at once; `hls` counts streams and not players.
        for (protocol, want) in [("http-flv", 2), ("rtsp", 2), ("hls", 1)] {
            let series = format!("weir_viewers{{protocol=\"{protocol}\"}}");
            let viewers = ns.metric(&first, &series).await?;
            ensure!(viewers == want, "{viewers} viewers by {protocol}, not {want}");
        }
        let many = relays().await?;
        ensure!(many == 1, "{many} relays for one gateway");

        let other = Watching::start(&http(ns, &second, "one.flv").await?, &[]);
        other.until_picture(secs(60)).await?;
        let many = relays().await?;
        ensure!(many == 2, "{many} relays for two gateways");
        drop(other);
        eventually(secs(60), "the second gateway's relay to end", async || {
            let many = relays().await?;
            ensure!(many == 1, "{many} relays");
            Ok(())
        })
        .await?;
        let dialled = source.log().matches(" plays ").count();
        ensure!(dialled == 1, "the camera was dialled {dialled} times");
        drop(viewers);

        // A path that no Camera has: both gateways ask the same node for it, which dials once.
        ns.until_condition("route/lab", "Accepted", "True", "Accepted")
            .await?;
        let both = [
            Watching::start(&http(ns, &first, "lab/h264.flv").await?, &[]),
            Watching::start(&http(ns, &second, "lab/h264.flv").await?, &[]),
        ];
        for viewer in &both {
            viewer.until_picture(secs(60)).await?;
        }
        let dialled = source.log().matches(" plays ").count();
        ensure!(
            dialled == 2,
            "the route's source was dialled {} times",
            dialled - 1
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_published_at_one_gateway_plays_at_the_other() -> Result<()> {
    with_namespace(TWO, async |ns| {
        ns.apply(&publish_camera("gate", "")).await?;
        ns.until_condition("camera/gate", "Connected", "False", "WaitingForPublisher")
            .await?;
        let [first, second] = gateways(ns).await?;
        let clip = setup::clip("h264_aac.mp4").await?;
        // To a camera's path, which the operator has placed, and to one that no Camera has.
        for (path, at, elsewhere) in [("gate", &first, &second), ("studio/free", &second, &first)] {
            let url = rtsp(ns, at, path).await?;
            let url = url.replace("rtsp://", &format!("rtsp://admin:{ADMIN_PASSWORD}@"));
            let mut publisher = camera::publish(&clip, &url, "tcp")?;
            // It goes by way of a node, and a path that was asked for too early is unknown for a while.
            let file = http(ns, elsewhere, &format!("{path}.flv")).await?;
            let seen = eventually(secs(60), "it to play at the other gateway", async || {
                player::probe(&file, &[], 3.0).await
            });
            seen.await?.expect(&["h264", "aac"], 3.0)?;
            for gateway in [elsewhere, at] {
                player::probe_rtsp(&rtsp(ns, gateway, path).await?, "tcp", 2.0)
                    .await?
                    .expect(&["h264", "aac"], 2.0)
                    .map_err(|e| e.context(format!("{path} at {gateway}")))?;
            }
            if path == "gate" {
                ns.until_ready("gate").await?;
            }
            publisher.stop(secs(30)).await?;
        }
        Ok(())
    })
    .await
}

//! A user's day: apply a Camera, look at it, play it, get it wrong, delete it.

use std::{fs, time::Duration};

use weir_tests::{
    Context, Result,
    camera::{Auth, Make, PASSWORD, USER},
    cluster::{ADMIN_PASSWORD, Pool, RELAY_SECRET, RELEASE, camera, with_namespace},
    ensure, eventually,
    manifest::{self, publish_camera, rtsp_camera, rtsp_camera_by, secret},
    media_node::Tokens,
    player, setup,
    wait::secs,
};

#[tokio::test]
async fn apply_watch_delete() -> Result<()> {
    with_namespace(Pool::default(), async |ns| {
        let source = camera(Make::Go, Auth::Digest).await?;
        ns.apply(&secret("front-door", USER, PASSWORD)).await?;
        let more = "  path: a/Front\n  credentials: {secretName: front-door}\n";
        ns.apply(&rtsp_camera("front-door", source.url("h264"), more))
            .await?;
        ns.until_ready("front-door").await?;

        // The columns are true.
        let table = ns.kubectl(&["get", "cameras"]).await?;
        let (head, row) = table.split_once('\n').context("a head and a row")?;
        // Cells stand below their heads; one may be empty.
        let cell = |name: &str| {
            let text = row.get(head.find(name)?..)?;
            text.split([' ', '\n']).next()
        };
        let age = cell("AGE").unwrap_or_default();
        ensure!(is_age(age), "AGE is {age:?}:\n{table}");
        for (column, want) in [
            ("NAME", "front-door"),
            ("READY", "True"),
            ("SOURCE", "RTSP"),
            ("NODE", "media-node-0"),
            ("CODEC", "H264"),
            ("SIZE", "1280x720"),
        ] {
            ensure!(cell(column) == Some(want), "{column} should be {want}:\n{table}");
        }
        for short in ["cam", "weir"] {
            ensure!(
                ns.kubectl(&["get", short]).await?.contains("front-door"),
                "kubectl get {short}"
            );
        }
        let mine = ns
            .kubectl(&[
                "get",
                "cameras",
                "--field-selector",
                "status.node=media-node-0",
                "-o",
                "name",
            ])
            .await?;
        ensure!(
            mine.contains("front-door"),
            "the field selector of the node: {mine:?}"
        );

        let text = ns.kubectl(&["describe", "camera", "front-door"]).await?;
        for word in ["Placed", "Connected", "Ready", "media-node-0"] {
            ensure!(text.contains(word), "describe does not tell {word}:\n{text}");
        }
        ensure!(
            text.contains("Events:") && !text.contains("Events:  <none>"),
            "no events:\n{text}"
        );

        // It plays, through the gateways' Service.
        player::probe_rtsp(&ns.rtsp("a/front").await?, "tcp", 3.0)
            .await?
            .expect(&["h264", "aac"], 3.0)?;
        let version = async || -> Result<String> {
            let camera = ns.get(&["camera", "front-door"]).await?;
            Ok(camera["metadata"]["resourceVersion"].to_string())
        };
        let before = version().await?;
        player::probe(&ns.http("/streams/a/front.flv").await?, &[], 3.0)
            .await?
            .expect(&["h264", "aac"], 3.0)?;
        player::probe(&ns.http("/streams/a/front.m3u8").await?, &[], 8.0)
            .await?
            .expect(&["h264", "aac"], 8.0)?;
        let page = reqwest::Client::builder()
            .no_proxy()
            .build()?
            .get(ns.http("/").await?)
            .send()
            .await?;
        ensure!(page.status() == 200, "the page: {}", page.status());

        // A thousand viewers of a gateway are one connection to the camera.
        let plays = source.log().matches("plays").count();
        ensure!(plays == 1, "the camera was dialled {plays} times");

        // Meanwhile the status was still: viewers, rates and counters are none of its business.
        ensure!(
            version().await? == before,
            "the resource is written although nothing changed"
        );

        let gone = source.log().matches("gone").count();
        ns.kubectl(&["delete", "camera", "front-door", "--timeout=60s"])
            .await?;
        eventually(secs(60), "everything to end", async || {
            ensure!(
                source.log().matches("gone").count() > gone,
                "the camera is still connected"
            );
            let (url, rtsp) = (ns.http("/streams/a/front.flv").await?, ns.rtsp("a/front").await?);
            let answer = player::probe(&url, &[], 0.5).await;
            ensure!(
                answer.is_err_and(|e| e.to_string().contains("404")),
                "HTTP-FLV still answers"
            );
            ensure!(
                player::probe_rtsp(&rtsp, "tcp", 0.5).await.is_err(),
                "RTSP still answers"
            );
            Ok(())
        })
        .await
    })
    .await
}

/// Whether it reads like an age that kubectl prints, such as `5s` or `2m10s`.
fn is_age(text: &str) -> bool {
    let mut parts = text.split_inclusive(|c: char| !c.is_ascii_digit());
    !text.is_empty() && parts.all(|part| part.len() > 1 && part.strip_suffix(['s', 'm', 'h']).is_some())
}

#[tokio::test]
async fn h265_and_udp() -> Result<()> {
    with_namespace(Pool::default(), async |ns| {
        let source = camera(Make::Gst, Auth::None).await?;
        ns.apply(&rtsp_camera("tcp", source.url("h265"), "")).await?;
        ns.apply(&rtsp_camera_by("udp", source.url("h264"), "Udp", ""))
            .await?;
        ns.until_ready("tcp").await?;
        ns.until_ready("udp").await?;
        // The camera encodes while the machine is busy. Once a player ended after two segments; probably because the first
        // sender report moved the late pictures, which happens once and is not what is tested here.
        let url = ns.http("/streams/tcp.m3u8").await?;
        eventually(secs(60), "H.265 by HLS", async || {
            player::probe(&url, &[], 6.0).await?.expect(&["hevc", "aac"], 6.0)
        })
        .await?;
        player::probe_rtsp(&ns.rtsp("udp").await?, "tcp", 3.0)
            .await?
            .expect(&["h264", "aac"], 3.0)
    })
    .await
}

#[tokio::test]
async fn each_failure_has_its_reason() -> Result<()> {
    with_namespace(Pool::default(), async |ns| {
        let source = camera(Make::Go, Auth::Digest).await?;
        ns.apply(&secret("wrong", USER, "canary-wrong-2mLp")).await?;
        ns.apply(&rtsp_camera(
            "wrong",
            source.url("h264"),
            "  credentials: {secretName: wrong}\n",
        ))
        .await?;
        ns.apply(&rtsp_camera(
            "absent",
            source.url("h264"),
            "  credentials: {secretName: absent}\n",
        ))
        .await?;
        ns.apply(&rtsp_camera("denied", "rtsp://127.0.0.1/x", "")).await?;
        ns.apply(&rtsp_camera(
            "api",
            "rtsp://kubernetes.default.svc.cluster.local:443/x",
            "",
        ))
        .await?;
        ns.apply(&rtsp_camera(
            "pinned",
            source.url("h264"),
            "  node: media-node-7\n",
        ))
        .await?;
        for (camera, condition, reason) in [
            ("wrong", "Connected", "AuthFailed"),
            ("absent", "Ready", "SecretNotFound"),
            ("denied", "Connected", "AddressDenied"),
            ("api", "Connected", "AddressDenied"),
            ("pinned", "Placed", "PinnedNodeUnavailable"),
        ] {
            ns.until_condition(&format!("camera/{camera}"), condition, "False", reason)
                .await?;
            let ready = ns.condition(&format!("camera/{camera}"), "Ready").await?;
            ensure!(ready["status"] == "False", "{camera}: {ready}");
        }
        let events = ns
            .kubectl(&["get", "events", "--field-selector", "involvedObject.name=wrong"])
            .await?;
        ensure!(events.contains("AuthFailed"), "{events}");

        // Put right, it works by itself.
        ns.apply(&secret("wrong", USER, PASSWORD)).await?;
        ns.until_ready("wrong").await
    })
    .await
}

#[tokio::test]
async fn secrets_show_up_nowhere() -> Result<()> {
    with_namespace(
        Pool {
            anonymous: false,
            ..Pool::default()
        },
        async |ns| {
            let source = camera(Make::Go, Auth::Digest).await?;
            ns.apply(&secret("door", USER, PASSWORD)).await?;
            ns.apply(&rtsp_camera(
                "door",
                source.url("h264"),
                "  credentials: {secretName: door}\n",
            ))
            .await?;
            ns.until_ready("door").await?;
            let refused = player::probe_rtsp(&ns.rtsp("door").await?, "tcp", 0.5).await;
            ensure!(
                refused.is_err_and(|e| e.to_string().contains("401")),
                "it plays without a password"
            );
            let url = ns
                .rtsp("door")
                .await?
                .replace("rtsp://", &format!("rtsp://admin:{ADMIN_PASSWORD}@"));
            player::probe_rtsp(&url, "tcp", 2.0)
                .await?
                .expect(&["h264", "aac"], 2.0)?;

            // With tokens, as pages do. They show up nowhere either.
            let client = reqwest::Client::builder().no_proxy().timeout(secs(30)).build()?;
            let login = client.post(ns.http("/api/v1/login").await?);
            let login = login.json(&serde_json::json!({"username": "admin", "password": ADMIN_PASSWORD}));
            let tokens = Tokens::of(&login.send().await?.error_for_status()?.json().await?)?;
            let url = ns
                .http(&format!("/streams/door.flv?token={}", tokens.access))
                .await?;
            player::probe(&url, &[], 2.0)
                .await?
                .expect(&["h264", "aac"], 2.0)?;
            let refresh = ns
                .http(&format!("/api/v1/refreshtoken?token={}", tokens.refresh))
                .await?;
            let again = Tokens::of(
                &client
                    .get(refresh)
                    .send()
                    .await?
                    .error_for_status()?
                    .json()
                    .await?,
            )?;

            // Streams go from pod to pod only to those who know the pool's secret.
            let node = ns.node_of("door").await?;
            let relay = format!("http://{}/relay/v1/door", ns.address(&node, "http").await?);
            for (secret, want) in [
                (None, 401_u16),
                (Some("canary-relay-4wRn"), 401),
                (Some(ADMIN_PASSWORD), 401),
                (Some(tokens.access.as_str()), 401),
                // What is missing then is the request to speak the relay's protocol.
                (Some(RELAY_SECRET), 426),
            ] {
                for request in [client.get(&relay), client.post(&relay)] {
                    let request = match secret {
                        Some(secret) => request.bearer_auth(secret),
                        None => request,
                    };
                    let status = request.send().await?.status();
                    ensure!(
                        status == want,
                        "the relay answers {status} to {secret:?}, not {want}"
                    );
                }
            }

            let mut metrics = String::new();
            for component in ["node", "gateway"] {
                for pod in ns.pods(component).await? {
                    metrics += &ns.metrics(&pod).await?;
                }
            }
            let operator = [
                "logs",
                "-n",
                RELEASE,
                "-l",
                "app.kubernetes.io/component=operator",
                "--tail=-1",
            ];
            let operator = ns.cluster.kubectl(&operator).await?;
            let kinds = "cameras,mediapools,routes,pods,services,statefulsets,deployments,configmaps,events";
            for (place, text) in [
                ("objects", ns.kubectl(&["get", kinds, "-o", "yaml"]).await?),
                ("logs", ns.logs().await),
                ("the operator's log", operator),
                ("metrics", metrics),
            ] {
                ensure!(!text.is_empty(), "{place}: there is nothing to look into");
                // The manifest that kubectl applied is of the Secret alone.
                let secrets = [
                    "canary-",
                    &tokens.access,
                    &tokens.refresh,
                    &again.access,
                    &again.refresh,
                ];
                let line = text.lines().find(|l| secrets.iter().any(|s| l.contains(s)));
                ensure!(line.is_none(), "{place}: {line:?}");
            }
            Ok(())
        },
    )
    .await
}

#[tokio::test]
async fn other_kinds_are_accepted() -> Result<()> {
    with_namespace(Pool::default(), async |ns| {
        let source = camera(Make::Go, Auth::None).await?;
        ns.apply(&manifest::route("dir", "/hr/", source.url(""), false))
            .await?;
        ns.until_condition("route/dir", "Accepted", "True", "Accepted")
            .await?;
        player::probe_rtsp(&ns.rtsp("hr/h264").await?, "tcp", 2.0)
            .await?
            .expect(&["h264", "aac"], 2.0)?;
        player::probe_rtsp(&ns.rtsp("hr/h265").await?, "tcp", 2.0)
            .await?
            .expect(&["hevc", "aac"], 2.0)?;

        ns.apply(&publish_camera("gate", "")).await?;
        ns.until_condition("camera/gate", "Connected", "False", "WaitingForPublisher")
            .await?;
        let url = ns
            .rtsp("gate")
            .await?
            .replace("rtsp://", &format!("rtsp://admin:{ADMIN_PASSWORD}@"));
        let mut publisher = weir_tests::camera::publish(&setup::clip("h264_aac.mp4").await?, &url, "tcp")?;
        ns.until_ready("gate").await?;
        player::probe_rtsp(&ns.rtsp("gate").await?, "tcp", 2.0)
            .await?
            .expect(&["h264", "aac"], 2.0)?;
        publisher.stop(secs(30)).await?;

        let examples = setup::root().join("crds/examples");
        for (file, kind, ready, reason) in [
            ("room.yaml", "rooms", "False", "NotImplemented"),
            ("record-schedule.yaml", "recordschedules", "True", "Accepted"),
        ] {
            ns.apply(&fs::read_to_string(examples.join(file))?).await?;
            let list = ns.get(&[kind]).await?;
            let name = list["items"][0]["metadata"]["name"]
                .as_str()
                .context("a name")?
                .to_owned();
            ns.until_condition(&format!("{kind}/{name}"), "Ready", ready, reason)
                .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_older_of_two_with_one_path_serves() -> Result<()> {
    with_namespace(
        Pool {
            nodes: 2,
            ..Pool::default()
        },
        async |ns| {
            let source = camera(Make::Go, Auth::None).await?;
            ns.apply(&rtsp_camera("first", source.url("h264"), "  path: gate\n"))
                .await?;
            ns.until_ready("first").await?;
            // Times of creation have a resolution of a second.
            tokio::time::sleep(Duration::from_millis(1100)).await;
            ns.apply(&rtsp_camera("a-second", source.url("other"), "  path: Gate\n"))
                .await?;
            ns.until_condition("camera/a-second", "Accepted", "False", "PathTaken")
                .await?;
            ns.kubectl(&["delete", "camera", "first"]).await?;
            ns.until_ready("a-second").await?;
            eventually(secs(60), "the second to be served", async || {
                let seen = player::probe_rtsp(&ns.rtsp("gate").await?, "tcp", 1.0).await?;
                ensure!(seen.size()? == (640, 480), "{:?}", seen.size());
                Ok(())
            })
            .await
        },
    )
    .await
}

#[tokio::test]
async fn cameras_spread_over_nodes_and_any_gateway_serves_them() -> Result<()> {
    with_namespace(
        Pool {
            nodes: 2,
            gateways: 2,
            anonymous: true,
            node_fields: "",
        },
        async |ns| {
            let source = camera(Make::Go, Auth::None).await?;
            let names: Vec<String> = (0..6).map(|i| format!("cam-{i}")).collect();
            for name in &names {
                ns.apply(&rtsp_camera(name, source.url("other"), "")).await?;
            }
            let mut on = std::collections::BTreeMap::<String, u32>::new();
            for name in &names {
                ns.until_ready(name).await?;
                *on.entry(ns.node_of(name).await?).or_default() += 1;
            }
            ensure!(on.len() == 2 && on.values().all(|n| *n == 3), "{on:?}");
            let list = ns
                .get(&["pods", "-l", "app.kubernetes.io/component=gateway"])
                .await?;
            let gateways = list["items"].as_array().context("a list")?;
            ensure!(gateways.len() == 2, "{} gateways", gateways.len());
            for gateway in gateways {
                let ip = gateway["status"]["podIP"].as_str().context("an address")?;
                for name in &names {
                    let url = format!("http://{ip}:8080/streams/{name}.flv");
                    player::probe(&url, &[], 1.0).await.with_context(|| url.clone())?;
                }
            }
            // However many gateways: each camera is dialled once, by its node.
            let plays = source.log().matches("plays").count();
            ensure!(
                plays == names.len(),
                "{plays} connections for {} cameras",
                names.len()
            );
            Ok(())
        },
    )
    .await
}

#[tokio::test]
async fn on_demand() -> Result<()> {
    with_namespace(Pool::default(), async |ns| {
        let source = camera(Make::Go, Auth::None).await?;
        let more = "  connect: OnDemand\n  idleTimeout: 3s\n";
        ns.apply(&rtsp_camera("door", source.url("h264"), more)).await?;
        ns.until_condition("camera/door", "Connected", "False", "Idle")
            .await?;
        ensure!(!source.log().contains("plays"), "it was dialled");
        // Nothing is wrong with a camera that waits for viewers.
        ns.until_ready("door").await?;
        player::probe_rtsp(&ns.rtsp("door").await?, "tcp", 3.0)
            .await?
            .expect(&["h264", "aac"], 3.0)?;
        ns.until_condition("camera/door", "Connected", "False", "Idle")
            .await?;
        Ok(())
    })
    .await
}

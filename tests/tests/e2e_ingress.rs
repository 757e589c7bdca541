//! Gateways behind an ingress controller that is not ours: by host, with TLS that ends there, and with web sockets.

use reqwest::{StatusCode, header};
use weir_tests::{
    Context, Result,
    cluster::{ADMIN_PASSWORD, MACHINE, Pool, variable, with_namespace},
    ensure, eventually,
    ingress::Controller,
    ipchub::{self, Entry, Place},
    manifest::file_camera,
    player, tls,
    wait::secs,
    web_socket::{Rtsp, Wsp, count},
};

const BOTH: [&str; 2] = ["h264", "aac"];

/// Lines of the ipchub contract that are about RTSP and RTMP on their own ports, which is not what an Ingress is for.
const OTHER_PORTS: [&str; 6] = [
    "ipchub.play.rtsp_tcp",
    "ipchub.play.rtsp_udp",
    "ipchub.play.rtsp_multicast",
    "ipchub.play.rtmp",
    "ipchub.push.rtsp",
    "ipchub.pull.rtsp",
];

#[tokio::test]
async fn every_ipchub_line_over_http() -> Result<()> {
    let pool = Pool {
        anonymous: false,
        ..Pool::default()
    };
    with_namespace(pool, async |ns| {
        let controller = Controller::start(ns).await?;
        let gateway = ns.pods("gateway").await?.pop().context("a gateway")?;
        let entry = Entry {
            http: controller.address.clone(),
            secure: true,
            rtsp: ns.address(&gateway, "rtsp").await?,
            rtmp: ns.address(&gateway, "rtmp").await?,
        };
        let machine = std::env::var(variable::MACHINE).unwrap_or_else(|_| MACHINE.to_owned());
        let place = Place::new(entry.clone(), entry, true, &machine, ADMIN_PASSWORD).await?;
        ipchub::check(&place, |line| !OTHER_PORTS.contains(&line.id)).await?;
        controller.stop().await
    })
    .await
}

#[tokio::test]
async fn players_by_host_and_with_tls() -> Result<()> {
    with_namespace(Pool::default(), async |ns| {
        ns.apply(&file_camera("demo", "demo.mp4", "")).await?;
        ns.until_ready("demo").await?;
        let controller = Controller::start(ns).await?;
        ensure!(tls::serial(&controller.address, "tls1_3").await? == "01");

        // Players that believe no other certificate.
        let folder = tempfile::TempDir::with_prefix("weir-ingress-")?;
        controller.certificate.write(folder.path())?;
        let authority = folder.path().join(tls::CERTIFICATE);
        let verified = ["-tls_verify", "1", "-ca_file", &authority.to_string_lossy()];
        for ending in ["flv", "m3u8", "ts"] {
            let url = controller.https(&format!("/streams/demo.{ending}"));
            let seen = player::probe(&url, &verified, 4.0).await?;
            seen.expect(&BOTH, 4.0).with_context(|| url)?;
        }
        let url = controller.wss("/ws/demo.flv");
        let seen = player::probe_web_socket(&url, folder.path(), 4.0).await?;
        seen.expect(&BOTH, 3.0)?;

        let url = controller.wss("/streams/demo");
        let mut by_rtsp = Rtsp::open(&url).await?;
        by_rtsp.play(&[0, 1]).await?;
        let packets = count(&by_rtsp.packets(100).await?)?;
        ensure!(packets.get(&0).is_some_and(|n| *n > 30), "{packets:?}");
        let mut by_wsp = Wsp::open(&url).await?;
        by_wsp.play(&[0, 1]).await?;
        let packets = count(&by_wsp.packets(100).await?)?;
        ensure!(packets.get(&0).is_some_and(|n| *n > 30), "{packets:?}");

        // The page, with what it loads; and nothing of ours by another name.
        let client = tls::client()?.timeout(secs(20)).build()?;
        let page = client.get(controller.https("/")).send().await?;
        ensure!(page.status() == StatusCode::OK, "{page:?}");
        let cameras = client
            .get(controller.https("/api/weir/v1/cameras"))
            .send()
            .await?;
        ensure!(
            cameras.text().await?.contains("demo"),
            "the page would list no camera"
        );
        for host in ["other.example", "127.0.0.1"] {
            let request = client.get(controller.https("/")).header(header::HOST, host);
            let reply = request.send().await?;
            let (status, headers) = (reply.status(), reply.headers().clone());
            ensure!(status == StatusCode::NOT_FOUND, "{host}: {status}");
            // Which every answer of a gateway has.
            let ours = headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
            ensure!(ours.is_none(), "{host}: {headers:?}");
        }
        controller.stop().await
    })
    .await
}

/// Whoever guesses passwords can write into a header whom he likes to be.
#[tokio::test]
async fn a_made_up_address_is_not_believed() -> Result<()> {
    with_namespace(Pool::default(), async |ns| {
        let controller = Controller::start(ns).await?;
        let client = tls::client()?.timeout(secs(20)).build()?;
        let mut tries = 0;
        eventually(secs(60), "guesses to be slowed down", async || {
            tries += 1;
            let guess = client
                .post(controller.https("/api/v1/login"))
                .body(r#"{"username": "admin", "password": "guess"}"#)
                .header("forwarded", format!("for=192.0.2.{tries}"))
                .header("x-real-ip", format!("192.0.2.{tries}"))
                .header("x-forwarded-for", format!("192.0.2.{tries}"));
            let status = guess.send().await?.status();
            ensure!(
                status == StatusCode::TOO_MANY_REQUESTS,
                "{status} after {tries} guesses"
            );
            Ok(())
        })
        .await?;
        let logs = ns.logs().await;
        ensure!(
            !logs.contains("192.0.2."),
            "an address that was made up is in the logs"
        );
        controller.stop().await
    })
    .await
}

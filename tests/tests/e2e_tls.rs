//! Certificates of gateways from a Secret: one that is missing, one that comes, and one that is renewed.

use weir_tests::{
    Context, Result,
    cluster::{Namespace, POOL, Pool, with_namespace},
    ensure, eventually,
    manifest::{self, file_camera},
    player, tls,
    wait::secs,
};

/// Puts a certificate with that serial number into the Secret, which may be there already.
async fn issue(ns: &Namespace, serial: u64) -> Result<()> {
    let certificate = tls::Certificate::new(serial)?;
    ns.apply(&manifest::certificate("shown", &certificate)).await?;
    Ok(())
}

/// The only gateway.
async fn gateway(ns: &Namespace) -> Result<String> {
    eventually(secs(60), "a single gateway", async || {
        let found = ns.pods("gateway").await?;
        ensure!(found.len() == 1, "{found:?}");
        Ok(found.concat())
    })
    .await
}

#[tokio::test]
async fn gateways_show_what_the_secret_holds() -> Result<()> {
    with_namespace(Pool::default(), async |ns| {
        let pool = format!("mediapool/{POOL}");
        ns.apply(&file_camera("demo", "demo.mp4", "")).await?;
        ns.until_ready("demo").await?;
        let former = gateway(ns).await?;
        let plain = format!("http://{}/streams/demo.flv", ns.address(&former, "http").await?);

        let spec = r#"{"spec": {"tls": {"secretName": "shown", "required": true}}}"#;
        ns.kubectl(&["patch", &pool, "--type=merge", "-p", spec]).await?;
        eventually(secs(60), "the pool to miss the Secret", async || {
            let stalled = ns.condition(&pool, "Stalled").await?;
            let message = stalled["message"].as_str().unwrap_or_default();
            ensure!(message.contains("secret \"shown\" not found"), "{stalled}");
            Ok(())
        })
        .await?;
        // The one that was there goes on.
        player::probe(&plain, &[], 2.0)
            .await?
            .expect(&["h264", "aac"], 2.0)?;

        issue(ns, 1).await?;
        ns.wait(&pool, "Ready", secs(150)).await?;
        let present = gateway(ns).await?;
        ensure!(present != former, "{former} has not been replaced");
        let address = ns.address(&present, "http").await?;
        ensure!(tls::serial(&address, "tls1_3").await? == "01");
        let encrypted = format!("https://{address}/streams/demo.flv");
        player::probe(&encrypted, &[], 2.0)
            .await?
            .expect(&["h264", "aac"], 2.0)?;
        let plain = player::probe(&format!("http://{address}/streams/demo.flv"), &[], 1.0).await;
        ensure!(plain.is_err(), "it plays in clear text");

        issue(ns, 2).await?;
        // The kubelet looks for what is new once a minute, more or less.
        eventually(secs(150), "the renewed certificate", async || {
            let serial = tls::serial(&address, "tls1_3").await?;
            ensure!(serial == "02", "{serial}");
            Ok(())
        })
        .await?;
        let pod = ns.get(&["pod", &present]).await.context("it is the same pod")?;
        let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
        ensure!(*restarts == 0, "{restarts} restarts");
        Ok(())
    })
    .await
}

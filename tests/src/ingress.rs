//! An ingress controller in front of a namespace's gateways: Traefik, as `tests/setup ingress` compiled it.
//!
//! It runs on this machine, from which pods are reached at their own addresses, and follows the Ingresses of one namespace:
//! each test has a controller and a port of its own. The Ingress is the chart's.

use anyhow::{Result, ensure};
use tokio::process::Command;

use crate::{
    camera::free_port,
    cluster::{Namespace, POOL},
    eventually, manifest,
    process::Process,
    setup, tls,
    wait::secs,
};

/// The host of the Ingress: a name that every client here finds by itself.
pub const HOST: &str = "localhost";

/// A controller that serves the chart's Ingress for the namespace's pool, by https alone.
pub struct Controller {
    process: Process,
    /// `host:port`.
    pub address: String,
    /// The certificate of the Ingress, which this process trusts.
    pub certificate: tls::Certificate,
}

impl Controller {
    /// Makes the Ingress, starts the controller, and waits until a gateway answers through both.
    ///
    /// # Errors
    /// When none does.
    pub async fn start(ns: &Namespace) -> Result<Self> {
        let certificate = tls::Certificate::new(1)?;
        certificate.trust();
        ns.apply(&manifest::certificate("ingress", &certificate)).await?;
        ns.apply(&class(ns).await?).await?;
        ns.apply(&ingress(ns).await?).await?;

        let address = format!("{HOST}:{}", free_port("127.0.0.1")?);
        let port = address.replace(HOST, "127.0.0.1");
        let mut command = Command::new(setup::part("ingress").await?.join("traefik"));
        command.env("KUBECONFIG", ns.cluster.kubeconfig()).args([
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            "--log.level=INFO",
            "--accesslog=true",
            "--providers.kubernetesingress=true",
            &format!("--providers.kubernetesingress.namespaces={}", ns.name),
            &format!("--providers.kubernetesingress.ingressclass={}", ns.name),
            &format!("--entrypoints.websecure.address={port}"),
            "--entrypoints.websecure.http.tls=true",
        ]);
        let process = Process::start("traefik", &mut command)?;
        let controller = Self {
            process,
            address,
            certificate,
        };
        let client = tls::client()?.timeout(secs(5)).build()?;
        eventually(secs(60), "a gateway to answer through the ingress", async || {
            let reply = client.get(controller.https("/readyz")).send().await?;
            ensure!(reply.status() == 200, "{}", reply.status());
            Ok(())
        })
        .await?;
        Ok(controller)
    }

    /// A URL; `path` begins with a slash.
    pub fn https(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// A URL of a WebSocket; `path` begins with a slash.
    pub fn wss(&self, path: &str) -> String {
        format!("wss://{}{path}", self.address)
    }

    /// What it has printed, among it a line for each request.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Has it end.
    ///
    /// # Errors
    /// When it does not.
    pub async fn stop(mut self) -> Result<()> {
        let status = self.process.stop(secs(20)).await?;
        ensure!(status.success(), "{status}: {}", self.log());
        Ok(())
    }
}

/// A class for the controller of this namespace. No namespace holds it; it goes with the one that owns it.
async fn class(ns: &Namespace) -> Result<String> {
    let owner = ns.cluster.get(&["namespace", &ns.name]).await?;
    let (name, uid) = (&ns.name, &owner["metadata"]["uid"]);
    Ok(format!(
        "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata:\n  name: {name}\n  ownerReferences:\n  - {{apiVersion: v1, kind: Namespace, name: {name}, uid: {uid}}}\nspec: {{controller: traefik.io/ingress-controller}}\n"
    ))
}

/// The Ingress as the chart makes it.
async fn ingress(ns: &Namespace) -> Result<String> {
    let chart = setup::root().join("charts/weir");
    let (chart, class) = (chart.to_string_lossy(), format!("ingress.className={}", ns.name));
    let (pool, host) = (format!("pool.name={POOL}"), format!("ingress.host={HOST}"));
    let mut arguments = vec!["template", "weir", &chart, "--namespace", &ns.name];
    arguments.extend(["--kube-version", "1.34", "--show-only", "templates/ingress.yaml"]);
    for value in [
        "ingress.enabled=true",
        "ingress.tls.secretName=ingress",
        &class,
        &pool,
        &host,
    ] {
        arguments.extend(["--set", value]);
    }
    ns.cluster.helm(&arguments).await
}

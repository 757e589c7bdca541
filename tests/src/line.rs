//! Connections that can be cut, slowed and broken: toxiproxy stands between the two ends.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{camera::free_port, eventually, process::Process, setup, wait::secs};

/// The proxy. Its lines end with it.
pub struct Lines {
    _process: Process,
    api: String,
    client: Client,
}

/// One line: a port that leads to another.
pub struct Line {
    name: String,
    api: String,
    client: Client,
    port: u16,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From who has dialled.
    There,
    /// To who has dialled.
    Back,
}

impl Lines {
    /// Starts the proxy, without a line.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start() -> Result<Self> {
        let port = free_port("127.0.0.1")?;
        let mut command = Command::new(setup::part("s3").await?.join("server"));
        command.args(["-host", "127.0.0.1", "-port", &port.to_string()]);
        let process = Process::start("toxiproxy", &mut command)?;
        let lines = Self {
            _process: process,
            api: format!("http://127.0.0.1:{port}"),
            client: Client::builder().no_proxy().timeout(secs(10)).build()?,
        };
        eventually(secs(10), "the proxy to answer", async || {
            ask(
                &lines.client,
                Method::GET,
                &format!("{}/version", lines.api),
                None,
            )
            .await
        })
        .await?;
        Ok(lines)
    }

    /// A line to a port of this machine.
    ///
    /// # Errors
    /// When the proxy refuses.
    pub async fn to(&self, name: &str, port: u16) -> Result<Line> {
        let wanted = json!({
            "name": name, "listen": "127.0.0.1:0", "upstream": format!("127.0.0.1:{port}"), "enabled": true,
        });
        let made = ask(
            &self.client,
            Method::POST,
            &format!("{}/proxies", self.api),
            Some(&wanted),
        )
        .await?;
        let listen = made["listen"].as_str().context("where it listens")?;
        let (_, port) = listen.rsplit_once(':').context("a port")?;
        Ok(Line {
            name: name.to_owned(),
            api: self.api.clone(),
            client: self.client.clone(),
            port: port.parse()?,
        })
    }
}

impl Line {
    /// Where it begins.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends its connections, and refuses others.
    ///
    /// # Errors
    /// When the proxy refuses.
    pub async fn cut(&self) -> Result<()> {
        self.change(&json!({"enabled": false})).await
    }

    /// Takes connections again.
    ///
    /// # Errors
    /// When the proxy refuses.
    pub async fn mend(&self) -> Result<()> {
        self.change(&json!({"enabled": true})).await
    }

    /// Has it lead to another port from now on.
    ///
    /// # Errors
    /// When the proxy refuses.
    pub async fn lead_to(&self, port: u16) -> Result<()> {
        self.change(&json!({"upstream": format!("127.0.0.1:{port}"), "enabled": true}))
            .await
    }

    /// Spoils it: `kind` and `attributes` are toxiproxy's (`latency`, `bandwidth`, `limit_data`, `timeout`, …).
    ///
    /// # Errors
    /// When the proxy refuses.
    pub async fn spoil(&self, kind: &str, way: Way, attributes: &Value) -> Result<()> {
        let stream = match way {
            Way::There => "upstream",
            Way::Back => "downstream",
        };
        let toxic = json!({"type": kind, "name": format!("{kind}-{stream}"), "stream": stream, "attributes": attributes});
        let url = format!("{}/proxies/{}/toxics", self.api, self.name);
        ask(&self.client, Method::POST, &url, Some(&toxic))
            .await
            .map(drop)
    }

    /// Takes back what `spoil` did.
    ///
    /// # Errors
    /// When the proxy refuses.
    pub async fn heal(&self) -> Result<()> {
        let url = format!("{}/proxies/{}/toxics", self.api, self.name);
        let toxics = ask(&self.client, Method::GET, &url, None).await?;
        for toxic in toxics.as_array().into_iter().flatten() {
            let name = toxic["name"].as_str().unwrap_or_default();
            ask(&self.client, Method::DELETE, &format!("{url}/{name}"), None).await?;
        }
        Ok(())
    }

    async fn change(&self, change: &Value) -> Result<()> {
        let url = format!("{}/proxies/{}", self.api, self.name);
        ask(&self.client, Method::POST, &url, Some(change))
            .await
            .map(drop)
    }
}

async fn ask(client: &Client, method: Method, url: &str, body: Option<&Value>) -> Result<Value> {
    let mut request = client.request(method, url);
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "toxiproxy at {url}: {status} {text}");
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

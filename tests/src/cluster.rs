//! A Kubernetes cluster as a user has it: kubectl, helm, and a namespace of the test's own. `with-cluster` starts the
//! cluster and installs the chart; here is what a test does in it.

use std::{
    fs,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use futures::FutureExt;
use serde_json::Value;
use tokio::process::Command;

use crate::{
    camera::{Auth, Camera, Make},
    eventually, process,
    wait::secs,
};

/// The namespace that the chart is installed in, and the release's name.
pub const RELEASE: &str = "weir";
/// The pool that `with_namespace` makes.
pub const POOL: &str = "media";
/// The password of `admin` in the pools that tests make. It may show up nowhere but in its Secret.
pub const ADMIN_PASSWORD: &str = "canary-pool-3jHs";
/// What the pods of these pools prove themselves to each other with. Likewise.
pub const RELAY_SECRET: &str = "canary-relay-9dKe";
/// What clients of the cloud recorder show in pools that tests make.
pub const UNION_ID: &str = "canary-unionid-7hTq";
/// This machine as pods see it: where cameras listen.
pub const MACHINE: &str = "10.99.0.1";

/// Variables by which `with-cluster` tells its children about the cluster; CONTRIBUTING.md says which are set by hand.
pub mod variable {
    /// The administrator's kubeconfig.
    pub const KUBECONFIG: &str = "WEIR_TEST_KUBECONFIG";
    /// The folder of `kubectl` and `helm`.
    pub const PROGRAMS: &str = "WEIR_TEST_CLUSTER_PROGRAMS";
    /// The folder of the test cluster's files; unset when the cluster is not ours.
    pub const FILES: &str = "WEIR_TEST_CLUSTER_FILES";
    /// This machine's address as pods see it.
    pub const MACHINE: &str = "WEIR_TEST_MACHINE";
    /// URL of the PostgreSQL server, without a database's name.
    pub const DATABASE: &str = "WEIR_TEST_DATABASE";
    /// The operator's image.
    pub const OPERATOR_IMAGE: &str = "WEIR_TEST_OPERATOR_IMAGE";
    /// The image of the media node.
    pub const IMAGE: &str = "WEIR_TEST_IMAGE";
    /// The same image under a second name.
    pub const OTHER_IMAGE: &str = "WEIR_TEST_OTHER_IMAGE";
}

/// The cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    programs: Option<PathBuf>,
}

impl Cluster {
    /// The cluster that `with-cluster` has started, or that `WEIR_TEST_KUBECONFIG` names.
    ///
    /// # Errors
    /// When there is none.
    pub fn connect() -> Result<Self> {
        let kubeconfig = std::env::var_os(variable::KUBECONFIG).context("no cluster: run `just e2e`")?;
        Ok(Self {
            kubeconfig: kubeconfig.into(),
            programs: std::env::var_os(variable::PROGRAMS).map(PathBuf::from),
        })
    }

    /// The cluster of a kubeconfig, with `kubectl` and `helm` from a folder.
    pub fn new(kubeconfig: PathBuf, programs: Option<PathBuf>) -> Self {
        Self { kubeconfig, programs }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    fn program(&self, name: &str) -> Command {
        let mut command = match &self.programs {
            Some(folder) => Command::new(folder.join(name)),
            None => Command::new(name),
        };
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Runs kubectl and returns what it printed.
    ///
    /// # Errors
    /// When it fails, with its words.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        process::output(self.program("kubectl").args(arguments), secs(150)).await
    }

    /// Runs kubectl and returns stdout, stderr and how it ended, whatever that was.
    ///
    /// # Errors
    /// When it hangs.
    pub async fn try_kubectl(&self, arguments: &[&str]) -> Result<(String, String, ExitStatus)> {
        process::outcome(self.program("kubectl").args(arguments), secs(150)).await
    }

    /// Runs helm and returns what it printed.
    ///
    /// # Errors
    /// When it fails, with its words.
    pub async fn helm(&self, arguments: &[&str]) -> Result<String> {
        let home = tempfile::TempDir::new()?;
        let mut command = self.program("helm");
        command.args(arguments);
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, home.path());
        }
        process::output(&mut command, secs(300)).await
    }

    /// `kubectl get` as JSON.
    ///
    /// # Errors
    /// When there is no such thing.
    pub async fn get(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = vec!["get", "-o", "json"];
        all.extend(arguments);
        Ok(serde_json::from_str(&self.kubectl(&all).await?)?)
    }
}

/// The folder of the test cluster's files; none when the cluster is somebody else's, whose processes are not here.
pub fn ours() -> Option<PathBuf> {
    std::env::var_os(variable::FILES).map(PathBuf::from)
}

/// A namespace of a test, with a MediaPool in it.
pub struct Namespace {
    /// Its cluster.
    pub cluster: Cluster,
    /// Its name.
    pub name: String,
    files: tempfile::TempDir,
    applied: AtomicU32,
    /// The name of its database.
    database: OnceLock<String>,
    client: reqwest::Client,
}

/// What a pool is made with.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// How many nodes.
    pub nodes: u32,
    /// How many gateways; for more than one, a database is made.
    pub gateways: u32,
    /// Whether anybody may view.
    pub anonymous: bool,
    /// Further fields of `spec.nodes`, each behind a comma.
    pub node_fields: &'static str,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            nodes: 1,
            gateways: 1,
            anonymous: true,
            node_fields: "",
        }
    }
}

/// Makes a namespace, with a pool that is ready if one is asked for, calls `test` with it, and removes all of it again. When the test fails,
/// it prints what a person would look at. Without a database, a test that wants several gateways is not run.
///
/// # Errors
/// The test's; or when the namespace does not go away, which means that something of ours holds it.
pub async fn with_namespace<F>(pool: impl Into<Option<Pool>>, test: F) -> Result<()>
where
    F: AsyncFnOnce(&Namespace) -> Result<()>,
{
    let pool = pool.into();
    if pool.is_some_and(|p| p.gateways > 1) && std::env::var_os(variable::DATABASE).is_none() {
        println!(
            "not run: several gateways need a database, and {} names none",
            variable::DATABASE
        );
        return Ok(());
    }
    let ns = Namespace::create(Cluster::connect()?).await?;
    let run = async {
        if let Some(pool) = pool {
            ns.start_pool(pool).await?;
        }
        test(&ns).await
    };
    let result = AssertUnwindSafe(run).catch_unwind().await;
    if !matches!(result, Ok(Ok(()))) {
        ns.report().await;
    }
    let removed = ns.remove().await;
    match result {
        Ok(Ok(())) => removed,
        Ok(Err(e)) => Err(e),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl Namespace {
    async fn create(cluster: Cluster) -> Result<Self> {
        let files = tempfile::TempDir::with_prefix("weir-e2e-")?;
        let random = files
            .path()
            .file_name()
            .context("a name")?
            .to_string_lossy()
            .replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let name = format!("e2e-{}", random.to_lowercase().trim_start_matches("weire2e"));
        let ns = Self {
            cluster,
            name,
            files,
            applied: AtomicU32::new(0),
            database: OnceLock::new(),
            client: reqwest::Client::builder().no_proxy().timeout(secs(30)).build()?,
        };
        // Pods of ours keep to the strictest of Kubernetes' three levels.
        ns.apply(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {}\n  labels: {{pod-security.kubernetes.io/enforce: restricted}}\n",
            ns.name
        ))
        .await?;
        Ok(ns)
    }

    async fn start_pool(&self, pool: Pool) -> Result<()> {
        self.start_pool_with(pool, "").await
    }

    /// Starts a pool in a namespace that was made without one. `more` are further lines of its spec.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start_pool_with(&self, pool: Pool, more: &str) -> Result<()> {
        self.apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {POOL}-auth}}\nstringData: {{username: admin, password: {ADMIN_PASSWORD}, relay: {RELAY_SECRET}, unionid: {UNION_ID}}}\n"
        ))
        .await?;
        let mut database = "";
        if pool.gateways > 1 {
            let url = std::env::var(variable::DATABASE).context("several gateways need a database")?;
            let name = self.name.replace('-', "_");
            psql(&url, &format!("CREATE DATABASE {name}")).await?;
            self.database.get_or_init(|| name.clone());
            self.apply(&format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: database}}\nstringData: {{url: \"{url}/{name}\"}}\n"
            ))
            .await?;
            database = "  database: {secretName: database}\n";
        }
        self.apply(&format!(
            "apiVersion: weir.video/v1alpha1\nkind: MediaPool\nmetadata: {{name: {POOL}}}\nspec:\n  nodes: {{replicas: {}{}}}\n  gateways: {{replicas: {}}}\n  access: {{anonymousView: {}}}\n{database}{more}",
            pool.nodes, pool.node_fields, pool.gateways, pool.anonymous
        ))
        .await?;
        self.wait(&format!("mediapool/{POOL}"), "Ready", secs(120)).await
    }

    /// Runs kubectl in the namespace.
    ///
    /// # Errors
    /// When it fails, with its words.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["--namespace", &self.name];
        all.extend(arguments);
        self.cluster.kubectl(&all).await
    }

    /// `kubectl get` as JSON.
    ///
    /// # Errors
    /// When there is no such thing.
    pub async fn get(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = vec!["--namespace", &self.name];
        all.extend(arguments);
        self.cluster.get(&all).await
    }

    fn file(&self, text: &str) -> Result<String> {
        let number = self.applied.fetch_add(1, Ordering::Relaxed);
        let file = self.files.path().join(format!("{number}.yaml"));
        fs::write(&file, text)?;
        Ok(file.to_string_lossy().into_owned())
    }

    /// `kubectl apply` of a manifest.
    ///
    /// # Errors
    /// When it is refused, with the words of the API server.
    pub async fn apply(&self, text: &str) -> Result<String> {
        let file = self.file(text)?;
        self.kubectl(&["apply", "-f", &file]).await
    }

    /// What `kubectl apply` would still change, as `kubectl diff` shows it.
    ///
    /// # Errors
    /// When it can't be told.
    pub async fn diff(&self, text: &str) -> Result<String> {
        let file = self.file(text)?;
        let arguments = ["--namespace", &self.name, "diff", "-f", &file];
        let (stdout, stderr, status) = self.cluster.try_kubectl(&arguments).await?;
        // 1 means that there is a difference.
        ensure!(matches!(status.code(), Some(0 | 1)), "kubectl diff: {stderr}");
        Ok(stdout)
    }

    /// What `kubectl apply` says when it is refused.
    ///
    /// # Errors
    /// When it is accepted.
    pub async fn refused(&self, text: &str) -> Result<String> {
        let file = self.file(text)?;
        let arguments = [
            "--namespace",
            &self.name,
            "apply",
            "--dry-run=server",
            "-f",
            &file,
        ];
        let (stdout, stderr, status) = self.cluster.try_kubectl(&arguments).await?;
        ensure!(!status.success(), "it is accepted: {stdout}");
        Ok(stderr)
    }

    /// `kubectl wait --for=condition=…`.
    ///
    /// # Errors
    /// When it is not so within `limit`: with the object as `describe` shows it.
    pub async fn wait(&self, object: &str, condition: &str, limit: Duration) -> Result<()> {
        let (condition, limit) = (
            format!("--for=condition={condition}"),
            format!("--timeout={}s", limit.as_secs()),
        );
        if let Err(e) = self.kubectl(&["wait", &condition, &limit, object]).await {
            let described = self.kubectl(&["describe", object]).await.unwrap_or_default();
            bail!("{e:#}\n{described}");
        }
        Ok(())
    }

    /// Waits until a camera is ready.
    ///
    /// # Errors
    /// When it is not within a minute.
    pub async fn until_ready(&self, camera: &str) -> Result<()> {
        self.wait(&format!("camera/{camera}"), "Ready", secs(60)).await
    }

    /// A condition of an object, as `{"status":…, "reason":…, "message":…}`.
    ///
    /// # Errors
    /// When it has none of that type.
    pub async fn condition(&self, object: &str, kind: &str) -> Result<Value> {
        let value = self.get(&[object]).await?;
        let conditions = value["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = conditions.iter().find(|c| c["type"] == kind).cloned();
        found.with_context(|| format!("{object} has no condition {kind}: {}", value["status"]))
    }

    /// Waits until a condition has that status and reason.
    ///
    /// # Errors
    /// When it has not within a minute.
    pub async fn until_condition(
        &self,
        object: &str,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> Result<Value> {
        eventually(
            secs(60),
            &format!("{object} to be {kind}={status}, {reason}"),
            async || {
                let condition = self.condition(object, kind).await?;
                ensure!(
                    condition["status"] == status && condition["reason"] == reason,
                    "{condition}"
                );
                Ok(condition)
            },
        )
        .await
    }

    /// The node that runs a camera.
    ///
    /// # Errors
    /// When none does.
    pub async fn node_of(&self, camera: &str) -> Result<String> {
        let camera = self.get(&["camera", camera]).await?;
        Ok(camera["status"]["node"]
            .as_str()
            .context("it is not placed")?
            .to_owned())
    }

    /// The names of the pods of a component, `node` or `gateway`, that are not on their way out.
    ///
    /// # Errors
    /// When they can't be listed.
    pub async fn pods(&self, component: &str) -> Result<Vec<String>> {
        let label = format!("app.kubernetes.io/component={component}");
        let list = self.get(&["pods", "-l", &label]).await?;
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        let here = pods
            .iter()
            .filter(|p| p["metadata"]["deletionTimestamp"].is_null());
        Ok(here
            .filter_map(|p| p["metadata"]["name"].as_str().map(str::to_owned))
            .collect())
    }

    /// `host:port` of a port of a pod's container.
    ///
    /// # Errors
    /// When there is no such pod or port, or it has no address yet.
    pub async fn address(&self, pod: &str, port: &str) -> Result<String> {
        let object = self.get(&["pod", pod]).await?;
        let ip = object["status"]["podIP"].as_str().context("an address")?;
        let ports = object["spec"]["containers"][0]["ports"].as_array();
        let found = ports.into_iter().flatten().find(|p| p["name"] == port);
        let number = &found.with_context(|| format!("{pod} has no port {port}"))?["containerPort"];
        Ok(format!("{ip}:{number}"))
    }

    /// What a pod tells at `/metrics`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self, pod: &str) -> Result<String> {
        let url = format!("http://{}/metrics", self.address(pod, "http").await?);
        let reply = self.client.get(url).send().await?.error_for_status()?;
        Ok(reply.text().await?)
    }

    /// The whole number that one of a pod's metrics is, with its labels as they are written:
    /// `weir_viewers{protocol="relay"}`. 0 while the pod has nothing to tell of it.
    ///
    /// # Errors
    /// When the pod does not answer.
    pub async fn metric(&self, pod: &str, series: &str) -> Result<u64> {
        let text = self.metrics(pod).await?;
        let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        match lines.find(|(name, _)| *name == series) {
            Some((_, value)) => Ok(value.parse::<f64>()? as u64),
            None => Ok(0),
        }
    }

    /// Kills the process in a pod, as a crash does. Only in a cluster of ours, which runs on this machine.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn kill_process(&self, pod: &str) -> Result<()> {
        let pid = self.process(pod).await?;
        process::output(Command::new("kill").args(["-KILL", &pid]), secs(20))
            .await
            .map(drop)
    }

    /// Takes the API server away from a pod, and from it alone: nothing arrives any more, and nobody says so. Only in a
    /// cluster of ours.
    ///
    /// # Errors
    /// When the pod is not there.
    pub async fn cut_off(&self, pod: &str) -> Result<()> {
        self.api_server(pod, "--insert").await
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When it was not taken away.
    pub async fn reconnect(&self, pod: &str) -> Result<()> {
        self.api_server(pod, "--delete").await
    }

    async fn api_server(&self, pod: &str, change: &str) -> Result<()> {
        let service = self
            .cluster
            .get(&["service", "kubernetes", "--namespace", "default"])
            .await?;
        let ip = service["spec"]["clusterIP"].as_str().context("an address")?;
        let pid = self.process(pod).await?;
        for (chain, side) in [("INPUT", "--source"), ("OUTPUT", "--destination")] {
            let mut command = Command::new("nsenter");
            command.args(["--net", "--target", &pid, "iptables", "--wait", change, chain]);
            command.args([side, ip, "--jump", "DROP"]);
            process::output(&mut command, secs(20)).await?;
        }
        Ok(())
    }

    /// The media node in a pod, a process of this machine like any other.
    async fn process(&self, pod: &str) -> Result<String> {
        let pod = self.get(&["pod", pod]).await?;
        let uid = pod["metadata"]["uid"].as_str().context("a uid")?;
        // Its control group has the pod's uid in its name.
        let find = format!("grep -l 'pod{uid}/' /proc/[0-9]*/cgroup 2>/dev/null");
        let (found, _, _) = process::outcome(Command::new("sh").args(["-c", &find]), secs(20)).await?;
        let pids = found
            .lines()
            .map(|file| file.trim_start_matches("/proc/").trim_end_matches("/cgroup"));
        let is_node = |pid: &&str| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == "media-node"
        };
        let nodes: Vec<&str> = pids.filter(is_node).collect();
        let [pid] = nodes[..] else {
            bail!("{} processes named media-node in the pod", nodes.len());
        };
        Ok(pid.to_owned())
    }

    /// Takes a pod away as a power cut does: its process and its object are gone at once. Of somebody else's cluster, only
    /// the object.
    ///
    /// # Errors
    /// When there is none.
    pub async fn kill_pod(&self, pod: &str) -> Result<()> {
        // Told to end, a pod would go on for a while, also without an object.
        if ours().is_some() {
            self.kill_process(pod).await?;
        }
        self.kubectl(&[
            "delete",
            "pod",
            pod,
            "--grace-period=0",
            "--force",
            "--wait=false",
        ])
        .await
        .map(drop)
    }

    async fn gateway(&self, port: &str) -> Result<String> {
        let service = self.get(&["service", &format!("{POOL}-gateway")]).await?;
        let ip = service["spec"]["clusterIP"].as_str().context("an address")?;
        let ports = service["spec"]["ports"].as_array().context("ports")?;
        let found = ports
            .iter()
            .find(|p| p["name"] == port)
            .with_context(|| format!("no port {port}"))?;
        Ok(format!("{ip}:{}", found["port"]))
    }

    /// A stream's URL at the gateways' Service, over RTSP.
    ///
    /// # Errors
    /// When there is no Service.
    pub async fn rtsp(&self, path: &str) -> Result<String> {
        Ok(format!("rtsp://{}/{path}", self.gateway("rtsp").await?))
    }

    /// A URL at the gateways' Service; `path` begins with a slash.
    ///
    /// # Errors
    /// When there is no Service.
    pub async fn http(&self, path: &str) -> Result<String> {
        Ok(format!("http://{}{path}", self.gateway("http").await?))
    }

    /// All that the containers of the namespace have logged.
    pub async fn logs(&self) -> String {
        let label = "app.kubernetes.io/name=weir";
        let arguments = [
            "logs",
            "-l",
            label,
            "--all-containers",
            "--prefix",
            "--tail=-1",
            "--max-log-requests=50",
        ];
        self.kubectl(&arguments).await.unwrap_or_default()
    }

    async fn report(&self) {
        eprintln!("--- namespace {}", self.name);
        let tail = "app.kubernetes.io/name=weir";
        for arguments in [
            [
                "get",
                "mediapools,cameras,routes,pods,services",
                "-o",
                "wide",
                "",
                "",
            ]
            .as_slice(),
            &["describe", "cameras,mediapools"],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &[
                "logs",
                "-l",
                tail,
                "--all-containers",
                "--prefix",
                "--tail=40",
                "--max-log-requests=50",
            ],
        ] {
            let arguments: Vec<_> = arguments.iter().copied().filter(|a| !a.is_empty()).collect();
            eprintln!("--- kubectl {}", arguments.join(" "));
            match self.kubectl(&arguments).await {
                Ok(text) => eprintln!("{text}"),
                Err(e) => eprintln!("{e:#}"),
            }
        }
        let arguments = [
            "logs",
            "-n",
            RELEASE,
            "-l",
            "app.kubernetes.io/component=operator",
            "--tail=60",
        ];
        eprintln!(
            "--- the operator\n{}",
            self.cluster.kubectl(&arguments).await.unwrap_or_default()
        );
    }

    async fn remove(&self) -> Result<()> {
        // Pods have a minute to end, and Kubernetes looks at a namespace with such pods again after half of it. So they are
        // ended before, after what would start them again.
        let above = "mediapools,deployments,statefulsets,replicasets";
        for arguments in [
            ["delete", above, "--all", "--timeout=30s"].as_slice(),
            &["delete", "pods", "--all", "--grace-period=1", "--timeout=60s"],
        ] {
            if let Err(e) = self.kubectl(arguments).await {
                eprintln!("--- the namespace may take longer to go: {e:#}");
            }
        }
        let gone = self
            .cluster
            .kubectl(&["delete", "namespace", &self.name, "--timeout=120s"])
            .await;
        if gone.is_err() {
            let rest = self
                .kubectl(&[
                    "get",
                    "all,cameras,mediapools,routes,rooms,recordschedules",
                    "-o",
                    "yaml",
                ])
                .await;
            eprintln!("--- what keeps the namespace\n{}", rest.unwrap_or_default());
        }
        let dropped = match self.database.get() {
            Some(name) => self.drop_database(name).await,
            None => Ok(()),
        };
        gone.map(drop).context("remove the namespace")?;
        dropped
    }

    async fn drop_database(&self, name: &str) -> Result<()> {
        let url = std::env::var(variable::DATABASE)?;
        psql(&url, &format!("DROP DATABASE {name} WITH (FORCE)")).await
    }
}

/// Has the database server do something.
async fn psql(server: &str, command: &str) -> Result<()> {
    let mut psql = Command::new("psql");
    psql.args([&format!("{server}/postgres"), "-c", command]);
    process::output(&mut psql, secs(60)).await.map(drop)
}

/// Starts a camera that pods can reach.
///
/// # Errors
/// When it does not start.
pub async fn camera(make: Make, auth: Auth) -> Result<Camera> {
    Camera::start_at(make, auth, &machine(), 0).await
}

/// This machine's address as pods see it.
pub fn machine() -> String {
    std::env::var(variable::MACHINE).unwrap_or_else(|_| MACHINE.to_owned())
}

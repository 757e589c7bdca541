//! `with-cluster COMMAND…` runs a command with a Kubernetes cluster in which Weir is installed, and leaves nothing behind.
//!
//! It starts `tests/cluster` with two nodes, makes images of the programs that `cargo build` left, loads them, starts a
//! PostgreSQL, and installs the chart. CONTRIBUTING.md has the variables that name another cluster to use.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};
use tempfile::TempDir;
use tokio::{process::Command, signal::unix};
use weir_tests::{
    cluster::{Cluster, MACHINE, RELEASE, variable},
    eventually,
    process::{self, Process},
    setup,
    wait::secs,
};

const IMAGE: &str = "localhost/weir-media-node:e2e";
const OTHER_IMAGE: &str = "localhost/weir-media-node:e2e-next";
const OPERATOR_IMAGE: &str = "localhost/weir-operator:e2e";

/// What runs for the command, and what tells it so.
struct Stage {
    cluster: Cluster,
    images: Images,
    variables: Vec<(&'static str, OsString)>,
    /// The database, and the folder of the images and its files; none when the cluster is not ours.
    own: Option<(Process, TempDir)>,
}

struct Images {
    operator: String,
    media_node: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    with_cluster().await.unwrap_or_else(|error| {
        eprintln!("with-cluster: {error:#}");
        ExitCode::FAILURE
    })
}

async fn with_cluster() -> Result<ExitCode> {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    let Some((program, arguments)) = words.split_first() else {
        bail!("usage: with-cluster COMMAND…");
    };
    // A machine holds one such cluster.
    let lock = File::create(env::temp_dir().join("weir-testcluster.lock"))?;
    tokio::task::spawn_blocking(move || flock(&lock, FlockOperation::LockExclusive).map(|()| lock)).await??;

    // Signals are watched before anything starts, so that none can leave it behind.
    let mut end = pin!(signalled()?);
    let folder = TempDir::with_prefix("weir-cluster-")?;
    let files = PathBuf::from("/var/tmp/testcluster");
    // Processes that have one of these in their command line are the cluster's.
    let marks = [files.join("node-"), folder.path().to_owned()];
    let guest = match env::var_os(variable::KUBECONFIG) {
        Some(kubeconfig) => Some(Guest::arrive(Cluster::new(kubeconfig.into(), None)).await?),
        None => None,
    };
    let result = async {
        let stage = tokio::select! {
            stage = start(folder, &files, guest.as_ref()) => stage?,
            () = &mut end => bail!("ended by a signal"),
        };
        println!("cluster: ready, runs {}", program.display());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(stage.variables.iter().map(|(k, v)| (k, v)))
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("run {}", program.display()))?;
        let status = tokio::select! {
            status = child.wait() => status?,
            () = &mut end => {
                // The tests end their own processes, if they are asked to.
                if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id as i32)) {
                    kill_process(pid, Signal::TERM)?;
                }
                tokio::time::timeout(secs(20), child.wait()).await??
            }
        };
        if !status.success() {
            report(&stage.cluster).await;
        }
        if let Some((mut database, folder)) = stage.own {
            database.signal(Signal::INT)?;
            database.ended(secs(20)).await?;
            drop(folder);
        }
        Ok(ExitCode::from(u8::from(!status.success())))
    }
    .await;
    let gone = match guest {
        Some(guest) => guest.leave().await.context("leave the cluster as it was"),
        None => down(&files, &marks).await,
    };
    match result {
        Ok(code) => gone.map(|()| code),
        Err(error) => {
            if let Err(gone) = gone {
                eprintln!("with-cluster: {gone:#}");
            }
            Err(error)
        }
    }
}

/// Waits for SIGTERM or Ctrl-C.
fn signalled() -> Result<impl Future<Output = ()>> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Starts or finds the cluster, and installs the chart.
async fn start(folder: TempDir, files: &Path, guest: Option<&Guest>) -> Result<Stage> {
    let stage = match guest {
        Some(guest) => guest.stage()?,
        None => ours(folder, files).await?,
    };
    install(&stage).await?;
    Ok(stage)
}

/// What there was in somebody else's cluster, so that it is left so.
struct Guest {
    cluster: Cluster,
    kinds: Vec<String>,
    had_namespace: bool,
}

impl Guest {
    /// Looks around.
    async fn arrive(cluster: Cluster) -> Result<Self> {
        match cluster.helm(&["status", RELEASE, "--namespace", RELEASE]).await {
            Ok(_) => bail!("the cluster has a release {RELEASE} in namespace {RELEASE} already"),
            Err(e) if format!("{e:#}").contains("not found") => {}
            Err(e) => return Err(e),
        }
        let namespace = ["get", "namespace", RELEASE, "--ignore-not-found", "-o", "name"];
        let had_namespace = !cluster.kubectl(&namespace).await?.trim().is_empty();
        let kinds = kinds(&cluster).await?;
        Ok(Self {
            cluster,
            kinds,
            had_namespace,
        })
    }

    fn stage(&self) -> Result<Stage> {
        let name = |variable: &str| {
            env::var(variable).with_context(|| format!("{variable} is needed with a cluster of your own"))
        };
        Ok(Stage {
            cluster: self.cluster.clone(),
            images: Images {
                operator: name(variable::OPERATOR_IMAGE)?,
                media_node: name(variable::IMAGE)?,
            },
            variables: Vec::new(),
            own: None,
        })
    }

    /// Takes away what was installed, as far as it is still there.
    async fn leave(self) -> Result<()> {
        let uninstall = [
            "uninstall",
            RELEASE,
            "--namespace",
            RELEASE,
            "--ignore-not-found",
            "--wait",
            "--timeout",
            "180s",
        ];
        self.cluster.helm(&uninstall).await?;
        for kind in kinds(&self.cluster).await? {
            if !self.kinds.contains(&kind) {
                self.cluster.kubectl(&["delete", &kind, "--timeout=120s"]).await?;
            }
        }
        if !self.had_namespace {
            let delete = [
                "delete",
                "namespace",
                RELEASE,
                "--ignore-not-found",
                "--timeout=120s",
            ];
            self.cluster.kubectl(&delete).await?;
        }
        Ok(())
    }
}

/// Weir's kinds in a cluster, as `kubectl delete` takes them.
async fn kinds(cluster: &Cluster) -> Result<Vec<String>> {
    let all = cluster
        .kubectl(&["get", "customresourcedefinitions", "-o", "name"])
        .await?;
    let ours = all.lines().filter(|name| name.ends_with(".weir.video"));
    Ok(ours.map(str::to_owned).collect())
}

async fn ours(folder: TempDir, files: &Path) -> Result<Stage> {
    let programs = setup::part("cluster").await?;
    let testcluster = programs.join("testcluster");
    let mut up = Command::new(&testcluster);
    up.arg("up").arg("-dir").arg(files).args(["-nodes", "2"]);
    print!("{}", process::output(&mut up, secs(300)).await?);
    let kubeconfig = files.join("pki/admin.kubeconfig");

    let mut make = Command::new(setup::sources().join("image"));
    make.arg(folder.path())
        .arg(setup::program("media-node")?.parent().context("a folder")?);
    make.args([OPERATOR_IMAGE, IMAGE, OTHER_IMAGE]);
    process::output(&mut make, secs(300)).await?;
    let mut load = Command::new(&testcluster);
    load.arg("load");
    for entry in fs::read_dir(folder.path())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "tar") {
            load.arg(path);
        }
    }
    process::output(&mut load, secs(300)).await?;
    println!("cluster: images loaded");

    let (database, url) = database(folder.path()).await?;
    let variables = vec![
        (variable::KUBECONFIG, kubeconfig.clone().into()),
        (variable::PROGRAMS, programs.clone().into()),
        (variable::FILES, files.into()),
        (variable::MACHINE, MACHINE.into()),
        (variable::DATABASE, url.into()),
        (variable::IMAGE, IMAGE.into()),
        (variable::OTHER_IMAGE, OTHER_IMAGE.into()),
    ];
    Ok(Stage {
        cluster: Cluster::new(kubeconfig, Some(programs)),
        images: Images {
            operator: OPERATOR_IMAGE.to_owned(),
            media_node: IMAGE.to_owned(),
        },
        variables,
        own: Some((database, folder)),
    })
}

/// Starts Debian's PostgreSQL where pods reach it, with its files in the folder.
async fn database(folder: &Path) -> Result<(Process, String)> {
    let data = folder.join("postgresql");
    let port = weir_tests::camera::free_port(MACHINE)?;
    let mut command = Command::new(setup::sources().join("postgresql"));
    command.arg(&data).arg(MACHINE).arg(port.to_string());
    let mut database = Process::start("postgresql", &mut command)?;
    database.ready(secs(60)).await?;
    Ok((
        database,
        format!("postgresql://weir:canary-database-6tBn@{MACHINE}:{port}"),
    ))
}

async fn install(stage: &Stage) -> Result<()> {
    let chart =
        env::var_os("WEIR_TEST_CHART").map_or_else(|| setup::root().join("charts/weir"), PathBuf::from);
    let chart = chart.to_string_lossy();
    let (operator, media_node) = (
        format!("images.operator={}", stage.images.operator),
        format!("images.mediaNode={}", stage.images.media_node),
    );
    let out = stage
        .cluster
        .helm(&[
            "install",
            RELEASE,
            &chart,
            "--namespace",
            RELEASE,
            "--create-namespace",
            "--wait",
            "--timeout",
            "240s",
            "--set",
            &operator,
            "--set",
            &media_node,
            // Tests make namespaces of their own, with a pool in each.
            "--set",
            "operator.allNamespaces=true",
        ])
        .await;
    if out.is_err() {
        report(&stage.cluster).await;
    }
    out.map(drop).context("install the chart")
}

async fn report(cluster: &Cluster) {
    for arguments in [
        [
            "get",
            "pods,deployments,statefulsets,mediapools,cameras",
            "-A",
            "-o",
            "wide",
        ]
        .as_slice(),
        &["get", "events", "-A", "--sort-by=.lastTimestamp"],
        &["describe", "pods", "-n", RELEASE],
        &[
            "logs",
            "-n",
            RELEASE,
            "-l",
            "app.kubernetes.io/name=weir",
            "--tail=100",
            "--prefix",
            "--all-containers",
        ],
    ] {
        eprintln!("--- kubectl {}", arguments.join(" "));
        match cluster.kubectl(arguments).await {
            Ok(text) => eprintln!("{text}"),
            Err(e) => eprintln!("{e:#}"),
        }
    }
}

async fn down(files: &Path, marks: &[PathBuf]) -> Result<()> {
    let mut down = Command::new(setup::part("cluster").await?.join("testcluster"));
    down.arg("down").arg("-dir").arg(files);
    process::output(&mut down, secs(150)).await?;
    // The kernel takes its time to end what belonged to a process.
    eventually(secs(30), "nothing of the cluster to be left", async || {
        let left = left(files, marks)?;
        ensure!(left.is_empty(), "{}", left.join(", "));
        Ok(())
    })
    .await
}

/// What a cluster that has ended must not leave: processes, network links, mounts, control groups.
fn left(files: &Path, marks: &[PathBuf]) -> Result<Vec<String>> {
    let mut left = Vec::new();
    let names = |folder: &str| -> Result<Vec<String>> {
        let entries = fs::read_dir(folder)?;
        Ok(entries
            .filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned()))
            .collect())
    };
    for pid in names("/proc")? {
        if !pid.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        // A process that ends in this moment has no files, and is not left.
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let (groups, words) = (read("cgroup"), read("cmdline"));
        let (groups, words) = (String::from_utf8_lossy(&groups), String::from_utf8_lossy(&words));
        let marked = marks.iter().any(|mark| words.contains(&*mark.to_string_lossy()));
        if marked || words.starts_with("testcluster\0node\0") || groups.contains(":/testcluster/") {
            left.push(format!("process {pid}: {}", words.replace('\0', " ").trim_end()));
        }
    }
    for link in names("/sys/class/net")? {
        if link == "testcluster0" || link.starts_with("testnode") {
            left.push(format!("network link {link}"));
        }
    }
    let files = files.to_string_lossy();
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    for mount in mounts.lines().filter(|line| line.contains(&*files)) {
        left.push(format!("mount {mount}"));
    }
    for hierarchy in names("/sys/fs/cgroup")? {
        let group = Path::new("/sys/fs/cgroup").join(hierarchy).join("testcluster");
        if group.exists() {
            left.push(format!("control group {}", group.display()));
        }
    }
    Ok(left)
}

//! `media-node index rebuild | verify`: the index of recordings against the bucket.

use super::recording::{self, KeySource};
use crate::args::{self, IndexAction};
use crate::cluster::folder::Folder;
use crate::cluster::resource::World;
use crate::cluster::{Identity, kubernetes};
use crate::record::{Census, Depth, rebuild, verify};
use crate::store::object::Bucket;
use crate::store::sql::{Database, Location};
use anyhow::{Context, bail};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long the bucket is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Does it once, and prints what was found as JSON. An error where something is wrong.
pub async fn run(args: args::Index) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let _stops = stop.clone().drop_guard();
    let location = if let Some(url) = &args.database_url {
        Location::parse(url)?
    } else {
        if !args.data.is_dir() {
            let folder = args.data.display();
            bail!("there is no folder {folder}: give the data folder of a node by --data");
        }
        Location::Sqlite(args.data.join("weir.sqlite"))
    };
    let database = Database::open(&location).await?;
    let bucket = match &args.pod_name {
        Some(name) => of_pool(&args, name, &stop).await?,
        None => of_node(&args, &stop).await?,
    };
    bucket.check().await.context("the bucket can't be used")?;
    let begun = Instant::now();
    let census = match args.action {
        IndexAction::Rebuild => rebuild(&bucket, &database).await?,
        IndexAction::Verify { deep } => {
            let depth = if deep { Depth::Contents } else { Depth::Sizes };
            verify(&bucket, &database, depth).await?
        }
    };
    database.close().await;
    print(&census)?;
    eprintln!(
        "{} segments in {:.1} s",
        census.segments,
        begun.elapsed().as_secs_f64()
    );
    if census.wrong == 0 {
        Ok(())
    } else {
        bail!("{} segments are not as they should be", census.wrong)
    }
}

fn print(census: &Census) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, census)?;
    writeln!(out)?;
    Ok(())
}

/// What the pool's own pods use.
async fn of_pool(args: &args::Index, name: &str, stop: &CancellationToken) -> anyhow::Result<Bucket> {
    let client = kubernetes::connect()
        .await
        .context("no way to reach the cluster's API server is configured")?;
    let me = Identity {
        name: name.to_owned(),
        namespace: args.pod_namespace.clone().unwrap_or_default(),
        pool: args.pool.clone().unwrap_or_default(),
    };
    let (world, _feeds) = kubernetes::feed(&client, &me, stop);
    let keys = KeySource::Folder(args.storage_dir.clone());
    named(world, keys, stop).await
}

/// What a standalone node with these folders uses: the bucket that its MediaPool names, or the object store in its data folder.
async fn of_node(args: &args::Index, stop: &CancellationToken) -> anyhow::Result<Bucket> {
    let manifests = args.manifests.clone();
    let manifests = manifests.unwrap_or_else(|| args.data.join("manifests"));
    if args.manifests.is_some() && !manifests.is_dir() {
        bail!(
            "there is no folder {}: give that of the node's manifests",
            manifests.display()
        );
    }
    if manifests.is_dir() {
        let (world, folder) = Folder::open(manifests.clone())
            .await
            .with_context(|| format!("can't read the folder {}", manifests.display()))?;
        let problems = folder.problems();
        let may_be_pool = |object: Option<&str>| object.is_none_or(|object| object.starts_with("MediaPool"));
        let unread = problems
            .borrow()
            .iter()
            .find(|p| may_be_pool(p.object.as_deref()))
            .cloned();
        if let Some(problem) = unread {
            let (file, line) = (&problem.file, problem.line);
            bail!(
                "{file}, line {line}: {}; put it right first, for it may name the bucket",
                problem.error
            );
        }
        if world.pool().is_some_and(|pool| pool.spec.storage.is_some()) {
            return named(world, KeySource::Secrets(Arc::new(folder)), stop).await;
        }
    }
    Ok(recording::embedded(&args.data, stop).await?.bucket())
}

async fn named(world: World, keys: KeySource, stop: &CancellationToken) -> anyhow::Result<Bucket> {
    let mut bucket = recording::follow_bucket(world, keys, None, stop.clone());
    let found = tokio::time::timeout(PATIENCE, bucket.wait_for(Option::is_some)).await;
    let found = found.context("the MediaPool names no bucket that can be used: write spec.storage")??;
    found.clone().context("no bucket")
}

//! `media-node index rebuild | verify`: the index of recordings against the bucket.

use super::recording::{self, KeySource};
use crate::args::{self, IndexAction};
use crate::cluster::Identity;
use crate::cluster::kubernetes;
use crate::record::{Census, Depth, rebuild, verify};
use crate::store::object::Bucket;
use crate::store::sql::{Database, Location};
use anyhow::{Context, bail};
use std::io::Write;
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
        None => recording::embedded(&args.data, &stop).await?.bucket(),
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
    if census.problems.is_empty() {
        Ok(())
    } else {
        bail!("{} segments are not as they should be", census.problems.len())
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
    let mut bucket = recording::follow_bucket(world, keys, None, stop.clone());
    let found = tokio::time::timeout(PATIENCE, bucket.wait_for(Option::is_some)).await;
    let found = found.context("the MediaPool names no bucket that can be used: write spec.storage")??;
    found.clone().context("no bucket")
}

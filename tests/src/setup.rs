//! Where the parts of a test lie: the binaries under test, and what `tests/setup` builds and caches.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::{process, wait::secs};

/// The folder `tests/` of the sources.
pub fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The root of the sources.
pub fn root() -> PathBuf {
    sources().join("..")
}

/// Has `tests/setup` make a part (`cluster`, `ingress`, `cameras`, `media`, `browser`, `s3`) unless it is there, and returns
/// its folder.
///
/// # Errors
/// When it can't be made; the first build of the cluster takes many minutes, so `just setup` comes first.
pub async fn part(name: &str) -> Result<PathBuf> {
    let out = process::output(Command::new(sources().join("setup")).arg(name), secs(1800)).await?;
    let line = out.lines().last().context("tests/setup prints a folder")?;
    Ok(PathBuf::from(line))
}

/// A clip that `tests/media` made.
///
/// # Errors
/// When there is none of that name.
pub async fn clip(name: &str) -> Result<PathBuf> {
    let path = part("media").await?.join(name);
    ensure!(path.exists(), "tests/media makes no clip {name}");
    Ok(path)
}

/// A program of the workspace, as `cargo build --workspace --bins` leaves it beside the tests; or the one that the
/// environment names, such as `WEIR_TEST_MEDIA_NODE` for `media-node`.
///
/// # Errors
/// When it has not been built.
pub fn program(name: &str) -> Result<PathBuf> {
    let variable = format!("WEIR_TEST_{}", name.to_uppercase().replace('-', "_"));
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    // target/debug/deps/loopback_x-0123 or target/debug/with-cluster
    let near = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join(name))
        .find(|p| p.is_file());
    near.with_context(|| {
        format!("{name} is not built; run the tests by `just`, or `cargo build --workspace --bins` first")
    })
}

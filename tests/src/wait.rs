//! Waiting with a deadline and a reason. Tests never just sleep and hope.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Calls `f` until it gives `Ok`, and returns that. After `limit` it fails with `what` and the last error.
///
/// # Errors
/// What was awaited and the last reason why it was not so.
pub async fn eventually<T, F>(limit: Duration, what: &str, mut f: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<T>,
{
    let begin = Instant::now();
    let mut pause = Duration::from_millis(50);
    loop {
        let left = limit.saturating_sub(begin.elapsed());
        let last = match tokio::time::timeout(left.max(Duration::from_millis(1)), f()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(e)) => format!("{e:#}"),
            Err(_) => "the last try took until the deadline".to_owned(),
        };
        if begin.elapsed() + pause >= limit {
            bail!("waited {limit:?} for {what}: {last}");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(500));
    }
}

/// Fails as soon as `f` does, within `span`: for what must stay as it is.
///
/// # Errors
/// What should have stayed so, and how it changed.
pub async fn throughout<F>(span: Duration, what: &str, mut f: F) -> Result<()>
where
    F: AsyncFnMut() -> Result<()>,
{
    let begin = Instant::now();
    while begin.elapsed() < span {
        if let Err(e) = f().await {
            bail!("{what}, but after {:?}: {e:#}", begin.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Seconds as a `Duration`.
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

//! ffmpeg in processes of its own, behind pipes: it decodes what cameras send, which nobody has looked through, where it can
//! cost a picture and no more.
//!
//! | file | holds |
//! |---|---|
//! | `program` | where ffmpeg is |
//! | `process` | one run of it, and what it may not do |
//! | `picture` | the runs there are: a snapshot, a picture made smaller |
//!
//! Without an ffmpeg all else works, and [`Error::Missing`] says what is to be done. What is decoded when is others' to
//! say.

mod picture;
mod process;
mod program;

pub use picture::Fit;
pub use process::Limits;

use bytes::Bytes;
use program::Program;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Runs that wait for their turn, for each that goes on.
const WAITING: usize = 16;

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("there is no ffmpeg: install one, or name it by --ffmpeg or WEIR_FFMPEG")]
    Missing,
    #[error("{0} is no program: --ffmpeg or WEIR_FFMPEG has to name an ffmpeg")]
    NoProgram(PathBuf),
    #[error("too many pictures are wanted at once")]
    Busy,
    #[error("ffmpeg can't be run: {0}")]
    Environment(String),
    #[error("ffmpeg was not done after {0:?}")]
    Late(Duration),
    #[error("the picture has more than {0} bytes")]
    TooLarge(u64),
    #[error("ffmpeg made no picture: {0}")]
    Refused(String),
}

impl Error {
    /// For metrics.
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Missing | Self::NoProgram(_) => "missing",
            Self::Busy => "busy",
            Self::Environment(_) => "environment",
            Self::Late(_) => "late",
            Self::TooLarge(_) => "too_large",
            Self::Refused(_) => "refused",
        }
    }
}

/// All workers of this process: so many at once, and so many that wait. Cheap to clone.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

struct Shared {
    program: Program,
    limits: Limits,
    /// Those that run or wait.
    places: Semaphore,
    running: Semaphore,
}

impl Workers {
    /// As many at once as there are cores. `named` is the ffmpeg to use; by default that on `PATH`.
    pub fn new(named: Option<PathBuf>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with(named, cores, Limits::default())
    }

    pub fn with(named: Option<PathBuf>, at_once: usize, limits: Limits) -> Self {
        Self(Arc::new(Shared {
            program: Program::new(named),
            limits,
            places: Semaphore::new(at_once * (1 + WAITING)),
            running: Semaphore::new(at_once),
        }))
    }

    /// Whether there is an ffmpeg now.
    ///
    /// # Errors
    /// When there is none: what to do about it.
    pub fn check(&self) -> Result<(), Error> {
        self.0.program.find().map(drop)
    }

    /// Runs ffmpeg once it has its turn. When nobody waits for the answer any more, it ends.
    async fn run(&self, arguments: &[&str], input: Bytes) -> Result<Bytes, Error> {
        let done = self.take_turn(arguments, input).await;
        let result = done.as_ref().map_or_else(Error::category, |_| "ok");
        metrics::counter!("weir_worker_runs_total", "result" => result).increment(1);
        done
    }

    async fn take_turn(&self, arguments: &[&str], input: Bytes) -> Result<Bytes, Error> {
        let shared = &self.0;
        let program = shared.program.find()?;
        let _place = shared.places.try_acquire().map_err(|_| Error::Busy)?;
        let turn = tokio::time::timeout(shared.limits.patience, shared.running.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Error::Busy);
        };
        let begun = Instant::now();
        let done = process::run(&program, arguments, input, &shared.limits).await;
        metrics::histogram!("weir_worker_seconds").record(begun.elapsed().as_secs_f64());
        done
    }
}

#[cfg(test)]
mod tests;

//! One running job, seen from outside: starting it, hearing of it, and making sure that it ends.

use crate::ingest::{Job, Launch, Reporter, State};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::error;

/// A job that was told to stop and goes on for longer is ended.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Names a running job within this process.
pub(super) type WorkId = u64;

/// News of a job or a forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Its state changed.
    State(WorkId),
    /// It is over.
    Ended(WorkId),
}

/// A running job. Dropping it stops the job.
pub(super) struct Work {
    pub(super) id: WorkId,
    pub(super) job: Job,
    stop: CancellationToken,
    state: watch::Receiver<State>,
}

impl Work {
    /// Starts the job; what becomes of it is told in `news`.
    pub(super) fn start(launch: &dyn Launch, job: Job, news: mpsc::Sender<News>) -> Self {
        let id = next_id();
        let (sender, state) = watch::channel(State::Connecting);
        let stop = CancellationToken::new();
        let reporter = Reporter {
            state: sender,
            stop: stop.clone(),
        };
        let task = launch.launch(job.clone(), reporter);
        tokio::spawn(follow(id, state.clone(), task, stop.clone(), news));
        Self { id, job, stop, state }
    }

    pub(super) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(*self.state.borrow(), State::Live { .. })
    }

    /// Tells the job to stop; [`News::Ended`] follows.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A number that nothing else has which runs in this process.
pub(super) fn next_id() -> WorkId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Tells in `news` what becomes of a task that tells its state, and makes sure that it ends.
pub(super) async fn follow<S: Send + Sync>(
    id: WorkId,
    mut state: watch::Receiver<S>,
    task: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
    news: mpsc::Sender<News>,
) {
    let mut task = task;
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_PATIENCE).await;
    };
    tokio::pin!(late);
    let mut open = true;
    let over = loop {
        tokio::select! {
            changed = state.changed(), if open => match changed {
                // Nobody listens any more: only the end of the task matters.
                Ok(()) => open = news.send(News::State(id)).await.is_ok(),
                Err(_) => open = false,
            },
            over = &mut task => break over,
            () = &mut late => {
                error!(job = id, "a job did not end when told to");
                task.abort();
                break (&mut task).await;
            }
        }
    };
    if let Err(e) = over
        && e.is_panic()
    {
        error!(job = id, "a job panicked");
    }
    // What it said last may have come with its end.
    let _ = news.send(News::State(id)).await;
    let _ = news.send(News::Ended(id)).await;
}

//! The order of the end: not serving, no new connections, open requests end, background work ends, all of it within
//! the grace period.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The two groups of tasks of a process, and the tokens that end them.
pub struct Drain {
    /// Ends listeners and health.
    pub requests: CancellationToken,
    /// Ends background work; cancelled after the requests have ended.
    pub workers: CancellationToken,
    listeners: TaskTracker,
    background: TaskTracker,
    /// Cancelled at the end of the grace period.
    over: CancellationToken,
    grace: Duration,
}

/// How the end went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Whether every request ended within the grace period.
    pub requests_ended: bool,
    /// Whether every worker ended within the grace period.
    pub workers_ended: bool,
}

impl Drain {
    /// A process that may take `grace` to end.
    pub fn new(grace: Duration) -> Self {
        Self {
            requests: CancellationToken::new(),
            workers: CancellationToken::new(),
            listeners: TaskTracker::new(),
            background: TaskTracker::new(),
            over: CancellationToken::new(),
            grace,
        }
    }

    /// Owns a listener. One that ends before it is told to ends the process.
    pub fn listener(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.listeners.spawn(self.owned("listener", task));
    }

    /// Owns background work. Work that ends before it is told to is an error, and ends the process.
    pub fn worker(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.background.spawn(self.owned(name, task));
    }

    /// Runs `task` until the end of the grace period, and notices when it ends or panics early.
    fn owned(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (requests, over) = (self.requests.clone(), self.over.clone());
        async move {
            let task = AssertUnwindSafe(task).catch_unwind();
            let has_panicked = over
                .run_until_cancelled(task)
                .await
                .is_some_and(|ended| ended.is_err());
            if has_panicked {
                tracing::error!(name, "background work panicked");
            }
            if !requests.is_cancelled() {
                tracing::error!(name, "background work ended early, the process stops");
                requests.cancel();
            }
        }
    }

    /// Ends everything, in order. What has not ended when the grace period is over is dropped.
    pub async fn end(self) -> DrainReport {
        let deadline = Instant::now() + self.grace;
        self.requests.cancel();
        self.listeners.close();
        // Workers get the last fifth of the time even when a request does not end.
        let requests_ended = tokio::time::timeout_at(deadline - self.grace / 5, self.listeners.wait())
            .await
            .is_ok();
        self.workers.cancel();
        self.background.close();
        let workers_ended = tokio::time::timeout_at(deadline, self.background.wait())
            .await
            .is_ok();
        self.over.cancel();
        DrainReport {
            requests_ended,
            workers_ended,
        }
    }
}

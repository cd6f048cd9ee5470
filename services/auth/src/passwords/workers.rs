//! Threads that hash passwords and do nothing else. They keep the memory that a hash fills, which would cost as much
//! again if it were asked of the system for every hash; and they let whoever answers requests go first.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use argon2::Block;
use tokio::sync::{Semaphore, oneshot};

use super::PasswordError;

/// How long a thread keeps its memory after its last hash.
const KEPT: Duration = Duration::from_secs(10);

/// How far behind others the threads stand (`nice`): a flood of logins takes what the requests of others leave.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

type Work = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// The threads. They end with the last clone of this.
#[derive(Clone)]
pub(super) struct Workers {
    queue: mpsc::Sender<Work>,
    admission: Arc<Semaphore>,
}

impl Workers {
    /// As many threads as that, for which `waiting` more may wait.
    pub(super) fn new(threads: usize, waiting: usize) -> Self {
        let (queue, work) = mpsc::channel();
        let work = Arc::new(Mutex::new(work));
        for number in 0..threads {
            let work = Arc::clone(&work);
            let started = std::thread::Builder::new()
                .name(format!("password-{number}"))
                .spawn(move || serve(&work));
            if let Err(error) = started {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a thread for passwords did not start"
                );
            }
        }
        Self {
            queue,
            admission: Arc::new(Semaphore::new(threads + waiting)),
        }
    }

    /// Does `work` on one of the threads, with memory that may hold anything. It is not begun any more for a caller who gave
    /// up; where it has begun, it keeps its place until it ends.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] at once when too many wait already; [`PasswordError::Ended`] for work that panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = Arc::clone(&self.admission).try_acquire_owned();
        let place = place.map_err(|_| PasswordError::Busy)?;
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |memory: &mut Vec<Block>| {
            if !answer.is_closed() {
                let done = work(memory);
                // Before the answer: who has it may ask for the next one at once.
                drop(place);
                // Who gave up meanwhile hears nothing.
                let _ = answer.send(done);
            }
        });
        self.queue.send(work).map_err(|_| PasswordError::Ended)?;
        answered.await.map_err(|_| PasswordError::Ended)
    }
}

/// One thread: takes work until nobody can send any more.
fn serve(queue: &Mutex<mpsc::Receiver<Work>>) {
    stand_back();
    let mut memory = Vec::new();
    loop {
        // One of the threads waits with the lock, the others for it.
        let next = queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv_timeout(KEPT);
        match next {
            Ok(work) => {
                // A panic is the caller's alone, who hears that the work did not end.
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&mut memory)));
                if done.is_err() {
                    tracing::error!("hashing a password panicked");
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => memory = Vec::new(),
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// On Linux the priority is that of a thread; elsewhere it is that of the whole process, and is left alone.
fn stand_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "passwords are hashed at the priority of requests"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn who_gave_up_before_the_turn_costs_nothing() {
        let workers = Workers::new(1, 2);
        let (go, wait) = mpsc::channel::<()>();
        let begun = Arc::new(AtomicUsize::new(0));
        let mut first = Box::pin(workers.run(move |_| wait.recv()));
        assert!(futures::poll!(first.as_mut()).is_pending());
        let count = Arc::clone(&begun);
        let mut gone = Box::pin(workers.run(move |_| count.fetch_add(1, Ordering::SeqCst)));
        assert!(futures::poll!(gone.as_mut()).is_pending());
        drop(gone);
        let count = Arc::clone(&begun);
        let mut last = Box::pin(workers.run(move |_| count.fetch_add(1, Ordering::SeqCst)));
        assert!(futures::poll!(last.as_mut()).is_pending());
        assert!(matches!(workers.run(|_| ()).await, Err(PasswordError::Busy)));
        go.send(()).expect("the first one waits");
        assert!(matches!(first.await, Ok(Ok(()))));
        assert!(matches!(last.await, Ok(0)));
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_panic_takes_no_thread_along() {
        let workers = Workers::new(1, 1);
        let failed = workers.run(|_| -> () { panic!("of the test") }).await;
        assert!(matches!(failed, Err(PasswordError::Ended)));
        assert!(matches!(workers.run(|_| 7).await, Ok(7)));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_let_others_go_first() {
        let workers = Workers::new(1, 1);
        let nice = workers.run(|_| rustix::process::getpriority_process(None)).await;
        assert!(matches!(nice, Ok(Ok(NICE))));
        assert_ne!(rustix::process::getpriority_process(None), Ok(NICE));
    }
}

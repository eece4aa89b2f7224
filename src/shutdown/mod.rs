//! How a server ends: softly, within a grace period, or at once; and whether it is ready meanwhile.
//!
//! It refuses to know what ends. Parts watch the soft token, do what they must, and return; whatever is still running when
//! the grace is over, or a second signal comes, is dropped by the hard token. A part that crashes takes the server down with
//! a failing exit code: a half-dead alert server is worse than a restarted one.

mod readiness;

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use readiness::{Phase, Readiness};

/// The state shared by everything that has to end together. Clones are the same shutdown.
#[derive(Clone, Debug)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
    failures: Arc<Mutex<Vec<Failure>>>,
    grace: Duration,
}

/// A part that ended before it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{task}: {reason}")]
pub struct Failure {
    /// Which part.
    pub task: &'static str,
    /// What is known of why.
    pub reason: String,
}

/// Parts crashed; that is why the server ended.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
pub struct Crashed(pub Vec<Failure>);

/// How a server ended that did not crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every part finished.
    Complete,
    /// So many tasks were still busy when the grace was over or a second signal came, and were dropped.
    Cut(usize),
}

impl Shutdown {
    /// A shutdown that nothing but [`begin`](Self::begin) starts: no signals.
    pub fn without_signals(grace: Duration) -> Self {
        Self {
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
            tasks: TaskTracker::new(),
            failures: Arc::default(),
            grace,
        }
    }

    /// A shutdown that SIGTERM and SIGINT begin, and that a second signal finishes at once.
    ///
    /// # Errors
    /// If the signals cannot be listened to.
    pub fn on_signals(grace: Duration) -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let shutdown = Self::without_signals(grace);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let on_signal = shutdown.clone();
        // Not tracked: it must outlive everything else to hear the second signal.
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if on_signal.soft.is_cancelled() {
                    tracing::warn!(signal = name, "second signal: stopping at once");
                    on_signal.hard.cancel();
                    return;
                }
                tracing::info!(signal = name, grace_s = on_signal.grace.as_secs_f64(), "stopping");
                on_signal.begin();
            }
        });
        Ok(shutdown)
    }

    /// Begins the soft end: unready from now on, parts finish what they have.
    pub fn begin(&self) {
        self.soft.cancel();
    }

    /// Cancelled when the server shall end: stop taking new work, finish what is there.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when there is no time left.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// How long the soft end may take.
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// Runs a part that lives as long as the server. If it panics, fails or ends before it was asked to, the server shuts
    /// down and [`finished`](Self::finished) says so.
    pub fn supervise<F, E>(&self, task: &'static str, part: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let (soft, this) = (self.soft.clone(), self.clone());
        self.run(task, async move {
            match part.await {
                Ok(()) if soft.is_cancelled() => {}
                Ok(()) => this.fail(task, "ended by itself".to_owned()),
                Err(error) => this.fail(task, error.to_string()),
            }
        });
    }

    /// Runs something that may end whenever it likes. If it panics, the server shuts down.
    pub fn spawn<F>(&self, task: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.run(task, work);
    }

    fn run(&self, task: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let hard = self.hard.clone();
        // The runtime catches the panic; the tracked task around it hears of it.
        let inner = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = hard.cancelled() => {}
                () = work => {}
            }
        });
        let this = self.clone();
        self.tasks.spawn(async move {
            if let Err(error) = inner.await {
                this.fail(
                    task,
                    if error.is_panic() {
                        "panicked".to_owned()
                    } else {
                        error.to_string()
                    },
                );
            }
        });
    }

    fn fail(&self, task: &'static str, reason: String) {
        tracing::error!(task, reason, "a part of the server failed: stopping");
        lock(&self.failures).push(Failure { task, reason });
        self.begin();
    }

    /// Waits for the end: until somebody begins it, then until all parts have ended or the grace is over.
    ///
    /// # Errors
    /// If a part crashed.
    pub async fn finished(&self) -> Result<Ending, Crashed> {
        self.soft.cancelled().await;
        self.tasks.close();
        let mut ending = Ending::Complete;
        tokio::select! {
            biased;
            () = self.tasks.wait() => {}
            () = self.out_of_time() => {
                ending = Ending::Cut(self.tasks.len());
                self.hard.cancel();
                self.tasks.wait().await;
            }
        }
        let failures = std::mem::take(&mut *lock(&self.failures));
        if failures.is_empty() {
            Ok(ending)
        } else {
            Err(Crashed(failures))
        }
    }

    async fn out_of_time(&self) {
        tokio::select! {
            () = self.hard.cancelled() => {}
            () = tokio::time::sleep(self.grace) => {}
        }
    }
}

/// Locks. What is inside is replaced as a whole, so a panic elsewhere leaves nothing half-written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::sync::oneshot;

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    fn failure(task: &'static str, reason: &str) -> Result<Ending, Crashed> {
        Err(Crashed(vec![Failure {
            task,
            reason: reason.to_owned(),
        }]))
    }

    #[tokio::test]
    async fn parts_that_end_when_they_are_asked_to_make_a_complete_end() {
        let shutdown = Shutdown::without_signals(LONG);
        let soft = shutdown.soft().clone();
        shutdown.supervise("part", async move {
            soft.cancelled().await;
            Ok::<_, io::Error>(())
        });

        shutdown.begin();

        assert_eq!(shutdown.finished().await, Ok(Ending::Complete));
    }

    #[tokio::test]
    async fn the_end_waits_for_what_is_still_being_done() {
        let shutdown = Shutdown::without_signals(LONG);
        let (finish, finished) = oneshot::channel();
        shutdown.spawn("work", async move {
            finished.await.unwrap();
        });
        shutdown.begin();

        let end = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.finished().await }
        });
        tokio::task::yield_now().await;
        assert!(!end.is_finished());
        finish.send(()).unwrap();

        assert_eq!(end.await.unwrap(), Ok(Ending::Complete));
    }

    #[tokio::test]
    async fn what_is_still_busy_when_the_grace_is_over_is_cut() {
        let shutdown = Shutdown::without_signals(Duration::ZERO);
        shutdown.spawn("work", std::future::pending());
        shutdown.begin();

        assert_eq!(shutdown.finished().await, Ok(Ending::Cut(1)));
    }

    #[tokio::test]
    async fn a_second_signal_does_not_wait_for_the_grace() {
        let shutdown = Shutdown::without_signals(LONG);
        shutdown.spawn("work", std::future::pending());
        shutdown.begin();
        shutdown.hard().cancel();

        assert_eq!(shutdown.finished().await, Ok(Ending::Cut(1)));
    }

    #[tokio::test]
    async fn a_part_that_ends_by_itself_ends_the_server() {
        let shutdown = Shutdown::without_signals(LONG);
        shutdown.supervise("part", async { Ok::<_, io::Error>(()) });

        assert_eq!(shutdown.finished().await, failure("part", "ended by itself"));
    }

    #[tokio::test]
    async fn a_part_that_fails_ends_the_server_also_while_it_is_ending() {
        let shutdown = Shutdown::without_signals(LONG);
        let soft = shutdown.soft().clone();
        shutdown.supervise("part", async move {
            soft.cancelled().await;
            Err::<(), _>(io::Error::other("the disk is full"))
        });
        shutdown.begin();

        assert_eq!(shutdown.finished().await, failure("part", "the disk is full"));
    }

    #[tokio::test]
    async fn a_panic_ends_the_server() {
        let shutdown = Shutdown::without_signals(LONG);
        shutdown.spawn("work", async { panic!("on purpose") });

        assert_eq!(shutdown.finished().await, failure("work", "panicked"));
    }

    #[tokio::test]
    async fn work_may_end_whenever_it_likes() {
        let shutdown = Shutdown::without_signals(LONG);
        let (done, is_done) = oneshot::channel();
        shutdown.spawn("work", async move { done.send(()).unwrap() });
        is_done.await.unwrap();

        assert!(!shutdown.soft().is_cancelled());
    }
}

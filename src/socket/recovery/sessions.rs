//! Sessions on their way to the store: in order, many in one commit, and who holds which.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::copies::Copies;
use crate::ports::{SessionChange, SessionCopies, SessionStore};
use crate::socket::lock;
use crate::socket::member::Member;

/// Changes that share a commit.
const MAX_BATCH: usize = 512;
/// How long a change may take. A store that is slower counts as down.
const PATIENCE: Duration = Duration::from_secs(5);
/// Sessions whose kept state is known to be behind, at most.
const MAX_BEHIND: usize = 100_000;

/// The sessions of this node's sockets.
pub(in crate::socket) struct Sessions {
    queue: mpsc::UnboundedSender<Write>,
    writes: Mutex<Option<mpsc::UnboundedReceiver<Write>>>,
    holders: Mutex<HashMap<String, Weak<Member>>>,
    /// Sessions of which a change could not be committed: they cannot be trusted until they are written anew.
    behind: Mutex<HashSet<String>>,
    /// What is known of them beside the store.
    pub(in crate::socket) copies: Copies,
}

struct Write {
    change: Option<SessionChange>,
    done: oneshot::Sender<bool>,
}

/// Whether a change of a session was committed, to be waited for.
#[must_use]
pub(in crate::socket) struct Committed(Option<oneshot::Receiver<bool>>);

impl Committed {
    /// There was nothing to commit.
    pub(in crate::socket) fn nothing() -> Self {
        Self(None)
    }

    /// Waits for it. `false`: the store did not take it, or not in time.
    pub(in crate::socket) async fn wait(self) -> bool {
        match self.0 {
            None => true,
            Some(done) => matches!(tokio::time::timeout(PATIENCE, done).await, Ok(Ok(true))),
        }
    }
}

impl Sessions {
    pub(in crate::socket) fn new(copies: Option<Arc<dyn SessionCopies>>) -> Self {
        // Each socket has at most a handful of changes waiting: it waits for one before it makes the next.
        let (queue, writes) = mpsc::unbounded_channel();
        Self {
            queue,
            writes: Mutex::new(Some(writes)),
            holders: Mutex::default(),
            behind: Mutex::default(),
            copies: Copies::new(copies),
        }
    }

    /// Has a change written after all that were handed over before.
    pub(in crate::socket) fn save(&self, change: Option<SessionChange>) -> Committed {
        match &change {
            None => return Committed::nothing(),
            // Whoever leaves or says goodbye has that noted with what it had.
            Some(SessionChange::Forget { .. } | SessionChange::Seen { .. }) => {}
            // Without a holder here there is nothing that a copy could be made from; what its last one had may still wait.
            Some(changed) if self.holder(pid_of(changed)).is_some() => self.copies.note_changed(pid_of(changed)),
            Some(_) => {}
        }
        self.write(change)
    }

    /// Waits until everything that was handed over before is written, or given up.
    pub(super) async fn settled(&self) {
        self.write(None).wait().await;
    }

    fn write(&self, change: Option<SessionChange>) -> Committed {
        let (done, committed) = oneshot::channel();
        match self.queue.send(Write { change, done }) {
            Ok(()) => Committed(Some(committed)),
            // Nobody writes any more: the node shuts down.
            Err(closed) => {
                let _nobody_waits_yet = closed.0.done.send(false);
                Committed(Some(committed))
            }
        }
    }

    /// Writes what is handed over, for ever. Called once.
    pub(in crate::socket) async fn run(&self, store: &(impl SessionStore + ?Sized)) {
        let taken = self.writes.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut writes) = taken else { return };
        let mut batch = Vec::with_capacity(MAX_BATCH);
        let mut was_down = false;
        while writes.recv_many(&mut batch, MAX_BATCH).await > 0 {
            let (changes, done): (Vec<_>, Vec<_>) = batch.drain(..).map(|write| (write.change, write.done)).unzip();
            let changes: Vec<SessionChange> = changes.into_iter().flatten().collect();
            let pids: Vec<String> = changes.iter().map(|change| pid_of(change).to_owned()).collect();
            let weights: Vec<Weight> = changes.iter().map(weight_of).collect();
            let committed = if changes.is_empty() {
                true
            } else {
                match store.save(changes).await {
                    Ok(()) => {
                        was_down = false;
                        true
                    }
                    Err(error) => {
                        if !was_down {
                            tracing::warn!(
                                error = &error as &dyn std::error::Error,
                                "could not keep sessions; sockets go on without a promise of recovery"
                            );
                        }
                        was_down = true;
                        false
                    }
                }
            };
            self.note(&pids, &weights, committed);
            for done in done {
                let _unless_nobody_waits = done.send(committed);
            }
        }
    }

    fn note(&self, pids: &[String], weights: &[Weight], committed: bool) {
        let mut behind = lock(&self.behind);
        for (pid, weight) in pids.iter().zip(weights) {
            if committed && *weight == Weight::Whole {
                behind.remove(pid);
            } else if !committed && *weight != Weight::Hint && behind.len() < MAX_BEHIND {
                behind.insert(pid.clone());
            }
        }
    }

    /// Sessions that are to be written anew, with the sockets that hold them.
    pub(super) fn behind(&self) -> Vec<(String, Option<Arc<Member>>)> {
        let behind: Vec<String> = lock(&self.behind).iter().take(MAX_BATCH).cloned().collect();
        let holders = lock(&self.holders);
        behind
            .into_iter()
            .map(|pid| (pid.clone(), holders.get(&pid).and_then(Weak::upgrade)))
            .collect()
    }

    /// Whether what the store has of this session is what it was.
    pub(super) fn is_trusted(&self, pid: &str) -> bool {
        !lock(&self.behind).contains(pid)
    }

    /// Makes `member` the holder of a session; answers who was.
    pub(super) fn hold(&self, pid: &str, member: &Arc<Member>) -> Option<Arc<Member>> {
        lock(&self.holders)
            .insert(pid.to_owned(), Arc::downgrade(member))
            .and_then(|before| before.upgrade())
    }

    /// The socket that holds a session.
    pub(super) fn holder(&self, pid: &str) -> Option<Arc<Member>> {
        lock(&self.holders).get(pid).and_then(Weak::upgrade)
    }

    /// `member` holds it no more, if it did.
    pub(in crate::socket) fn release(&self, pid: &str, member: &Member) {
        let mut holders = lock(&self.holders);
        if holders
            .get(pid)
            .is_some_and(|holder| std::ptr::eq(holder.as_ptr(), member))
        {
            holders.remove(pid);
        }
    }
}

fn pid_of(change: &SessionChange) -> &str {
    match change {
        SessionChange::Open(session) => &session.pid,
        SessionChange::Advance { pid, .. }
        | SessionChange::Join { pid, .. }
        | SessionChange::Leave { pid, .. }
        | SessionChange::Seen { pid, .. }
        | SessionChange::Forget { pid } => pid,
    }
}

/// What it means for a session that a change was kept, or was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// It says everything that the session is.
    Whole,
    /// Without it, the session is not what the client believes it to be.
    Part,
    /// Without it, more is owed than need be.
    Hint,
}

fn weight_of(change: &SessionChange) -> Weight {
    match change {
        SessionChange::Open(_) | SessionChange::Forget { .. } => Weight::Whole,
        SessionChange::Join { .. } | SessionChange::Leave { .. } => Weight::Part,
        SessionChange::Advance { .. } | SessionChange::Seen { .. } => Weight::Hint,
    }
}

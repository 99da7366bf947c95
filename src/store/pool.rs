//! Connections that survive what becomes of the database: it is restarted, fails over, may only be read, or no longer answers.
//!
//! All connections of one time are a [`Generation`]. While nobody can use the database, questions fail at once instead of
//! each waiting for itself, and what was under way is let go of: a connection into a network that swallows everything would
//! hold it for a quarter of an hour. [`super::watch`] looks when that begins and ends, and then makes new connections:
//! those of before may lead to a server that is no longer the one to write to.
//!
//! What is written to `SQLite` is committed together with what others write at the same time ([`group`]).

mod group;
mod line;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use arc_swap::ArcSwapOption;
use sqlx::AnyPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use group::Groups;
pub(super) use line::Transaction;

/// How long connections are waited for that are let go of.
const CLOSES_WITHIN: Duration = Duration::from_secs(30);

/// How long a commit waits while others wait to be part of it: about as long as a disk takes to write one.
const GATHERS: Duration = Duration::from_millis(5);

/// Why nothing is asked: in words, from whoever looked last.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Outage(pub(super) String);

/// The connections that are in use now.
#[derive(Debug, Clone)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    now: ArcSwap<Generation>,
    /// Set while nobody can use the database.
    outage: ArcSwapOption<Outage>,
    /// Something failed that may be the database's: whoever watches looks at once.
    suspicion: Notify,
    /// A newer quell has changed a table that statements were prepared for.
    stale: AtomicBool,
    /// Longest time for one answer.
    longest: Duration,
    /// What is committed together, where that is done.
    groups: Option<Groups>,
}

/// Connections that end together.
#[derive(Debug)]
pub(super) struct Generation {
    pool: AnyPool,
    over: CancellationToken,
}

impl Pool {
    /// Over these connections, on which no answer may take longer than this.
    pub(super) fn new(pool: AnyPool, longest: Duration) -> Self {
        Self::with(pool, longest, None)
    }

    /// The same over one connection, for `SQLite`: what many write at the same time is committed at once.
    pub(super) fn grouped(pool: AnyPool, longest: Duration) -> Self {
        Self::with(pool, longest, Some(Groups::new(GATHERS)))
    }

    fn with(pool: AnyPool, longest: Duration, groups: Option<Groups>) -> Self {
        let now = ArcSwap::from_pointee(Generation { pool, over: CancellationToken::new() });
        let (outage, suspicion) = (ArcSwapOption::empty(), Notify::new());
        let stale = AtomicBool::new(false);
        Self(Arc::new(Shared { now, outage, suspicion, stale, longest, groups }))
    }

    /// The connections themselves, for who looks whether the database can be used.
    pub(super) fn connections(&self) -> AnyPool {
        self.0.now.load().pool.clone()
    }

    /// Lets go of all connections at once, and makes others when they are needed.
    pub(super) fn renew(&self, pool: AnyPool) {
        let before = self.over();
        self.replace(pool);
        before.cancel();
    }

    /// Makes others when they are needed, and closes those of before when what is under way on them is over.
    pub(super) fn replace(&self, pool: AnyPool) {
        let next = Generation { pool, over: CancellationToken::new() };
        let before = self.0.now.swap(Arc::new(next));
        let old = before.pool.clone();
        // those that are in use are closed when they come back; one that nobody answers never does
        drop(tokio_util::task::TaskTracker::new().spawn(async move {
            let _late = tokio::time::timeout(CLOSES_WITHIN, old.close()).await;
        }));
    }

    /// From now on, or no longer, questions fail at once.
    pub(super) fn set_outage(&self, outage: Option<Outage>) {
        self.0.outage.store(outage.map(Arc::new));
    }

    /// Why nothing is asked.
    pub(super) fn outage(&self) -> Option<Arc<Outage>> {
        self.0.outage.load_full()
    }

    /// Returns when something failed that may be the database's.
    pub(super) async fn suspected(&self) {
        self.0.suspicion.notified().await;
    }

    /// Whether connections remember tables as they no longer are; asked once.
    pub(super) fn was_stale(&self) -> bool {
        self.0.stale.swap(false, Ordering::AcqRel)
    }

    /// When these connections are let go of.
    pub(super) fn over(&self) -> CancellationToken {
        self.0.now.load().over.clone()
    }

    /// Closes them, after what is under way.
    pub(super) async fn close(&self) {
        // one that nobody answers would be waited for until the network gives up
        let _late = tokio::time::timeout(CLOSES_WITHIN, self.connections().close()).await;
    }

    /// Waits for an answer, but not beyond the end of its connections.
    async fn watched<T>(
        &self,
        generation: &Generation,
        answer: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        let lost = |words: String| Err(sqlx::Error::AnyDriverError(Box::new(Outage(words))));
        if let Some(outage) = self.outage() {
            return lost(outage.0.clone());
        }
        let answered = tokio::select! {
            biased;
            answered = answer => answered,
            () = generation.over.cancelled() => {
                let words = self.outage().map(|it| it.0.clone());
                return lost(words.unwrap_or_else(|| "the connection to the database was lost".into()));
            }
            () = tokio::time::sleep(self.0.longest) => {
                self.0.suspicion.notify_one();
                return lost(format!("the database did not answer within {}s", self.0.longest.as_secs()));
            }
        };
        if answered.as_ref().is_err_and(is_stale) {
            self.0.stale.store(true, Ordering::Release);
            self.0.suspicion.notify_one();
        } else if answered.as_ref().is_err_and(is_suspicious) {
            self.0.suspicion.notify_one();
        }
        answered
    }
}

/// `PostgreSQL` refuses a statement that was prepared for a table before a column was added to it, on each connection and
/// for as long as that lives ("cached plan must not change result type").
fn is_stale(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    error.code().as_deref() == Some("0A000") && error.message().contains("cached plan")
}

/// Whether the error may say that the database cannot be used, rather than that this question cannot be answered.
pub(super) fn is_suspicious(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // read-only transactions, too many connections, those that the server ended or refuses
            matches!(&*code, "25006" | "53300" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03")
                || code.len() == 5 && code.starts_with("08")
        }),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

//! Joins decisions with the outside: supervised loops that claim what is due, decide, and do it.
//!
//! Each loop claims by `due_at`, so a wake-up may be lost: polling is the truth. A loop that panics is started
//! again; what it held becomes due when its lease ends.

pub mod act_on;
pub mod audit;
pub mod checks;
pub mod credentials;
pub mod deliver;
pub mod escalate;
pub mod explain;
pub mod facts;
pub mod fallback;
pub mod glass;
pub mod heartbeat;
pub mod intake;
pub mod judge;
mod lease;
pub(crate) mod outside;
pub mod people;
pub mod population;
pub mod prune;
pub mod queue;
pub mod reconcile;
pub mod replicas;
pub mod schedules;
pub mod surroundings;
pub mod troubles;
pub mod trust;
pub mod turns;
pub mod updates;
pub mod watch;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::engine::outside::Outside;
use crate::engine::queue::Queue;
use crate::engine::troubles::Troubles;
use crate::engine::turns::Turns;
use crate::library::Library;
use crate::store::Store;
use crate::store::StoreError;
use crate::telemetry::Metrics;
use crate::wake::Bell;
use crate::wake::Wake;

/// How often each loop looks without being woken.
const POLL: Duration = Duration::from_millis(500);
/// Runs that one process works on at once; limits of rules are far below it.
const WORKERS: usize = 64;

/// Waits until a slot is free, and takes all that are, so that as much is claimed together; each is split off for what it is
/// used for. Only one loop takes them.
async fn free(slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    let mut free = Arc::clone(slots).acquire_owned().await.ok()?;
    let others = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX);
    if let Ok(others) = Arc::clone(slots).try_acquire_many_owned(others) {
        free.merge(others);
    }
    Some(free)
}

/// What the loops share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The database.
    pub store: Store,
    /// Rules, playbooks and settings that are in force.
    pub library: Arc<ArcSwap<Library>>,
    /// Wakes the loops.
    pub wake: Arc<Wake>,
    /// Time.
    pub clock: Clock,
    /// Targets, probes, channels, and time that has to pass.
    pub(crate) outside: Outside,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Names this process in claims.
    pub owner: String,
    /// Signs links.
    pub link_key: Arc<[u8]>,
    /// Takes the alerts that checks raise.
    pub intake: crate::store::alerts::Intake,
    /// Whether the loops turn.
    pub turns: Arc<Turns>,
    /// Whose facts changed while it judged takes its turn for the next try: else one of many gets its run, and all others judge again.
    pub judging: Arc<tokio::sync::Mutex<()>>,
    /// Who waits for a run to end.
    pub queue: Arc<Queue>,
    /// What failed last, which is not said again each second.
    pub troubles: Arc<Troubles>,
    /// What does not work about the audit.
    pub audit: Arc<audit::Troubles>,
    /// Set when the server stops: nothing new is begun.
    pub stop: CancellationToken,
    /// Everything that runs; awaited at the end.
    pub tasks: TaskTracker,
}

impl Engine {
    /// Starts all loops.
    pub fn start(&self) {
        self.supervise("intake", |engine| async move { intake::run(engine).await });
        self.supervise("worker", |engine| async move { worker::run(engine).await });
        self.supervise("deliver", |engine| async move { deliver::run(engine).await });
        self.supervise("checks", |engine| async move { checks::run(engine).await });
        self.supervise("schedules", |engine| async move { schedules::run(engine).await });
        self.supervise("prune", |engine| async move { prune::run(engine).await });
        self.supervise("reconcile", |engine| async move { reconcile::run(engine).await });
        self.supervise("trust", |engine| async move { trust::run(engine).await });
        self.supervise("glass", |engine| async move { glass::run(engine).await });
        self.supervise("escalate", |engine| async move { escalate::run(engine).await });
        self.supervise("updates", |engine| async move { updates::run(engine).await });
        self.supervise("audit", |engine| async move { audit::run(engine).await });
        self.supervise("audit check", |engine| async move { audit::check::run(engine).await });
        self.supervise("watch", |engine| async move { watch::run(engine).await });
        self.tasks.spawn(heartbeat::run(self.clone()));
        replicas::start(self);
    }

    /// Runs a loop until the server stops, and begins it again when it panics.
    fn supervise<F>(&self, name: &'static str, body: fn(Self) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let engine = self.clone();
        engine.turns.begun(name, Instant::now());
        self.tasks.spawn(async move {
            while !engine.stop.is_cancelled() {
                if let Err(panic) = engine.tasks.spawn(body(engine.clone())).await {
                    tracing::error!(task = name, %panic, "a loop died and is started again");
                    engine.metrics.loop_restarts.inc();
                    engine.pause(POLL).await;
                }
            }
        });
    }

    /// A loop has come to the end of its body.
    fn turned(&self, name: &'static str) {
        self.turns.turned(name, Instant::now());
    }

    /// Waits, but not beyond the stop.
    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.outside.sleep(time) => {}
        }
    }

    /// Waits for a wake-up, the next poll, or the stop.
    async fn idle(&self, wake: &Bell) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = wake.notified() => {}
            () = self.outside.sleep(POLL) => {}
        }
    }

    /// Logs a store error once, where it is handled, and says how long to wait before the next try.
    async fn trouble(&self, task: &'static str, error: &StoreError) {
        self.metrics.store_errors.inc();
        if error.is_outage() {
            tracing::debug!(task, %error, "the store failed; trying again");
        } else if self.troubles.is_news(task, &error.to_string(), Instant::now()) {
            tracing::error!(task, %error, "the store failed; trying again");
        }
        self.pause(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests;

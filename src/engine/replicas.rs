//! Wake-ups between replicas, and a watch over the database that they share.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::Engine;
use crate::store;

/// Time between two wake-ups of other replicas, at least: many commits are one.
const TELL_EVERY: Duration = Duration::from_millis(20);

/// Starts what carries wake-ups to other replicas and from them, and what watches the database. Nothing but returns at once with
/// `SQLite`.
pub(super) fn start(engine: &Engine) {
    if engine.store.engine() == store::Engine::Sqlite {
        return;
    }
    let store = engine.store.clone();
    // until the store is closed: what is in flight when the server stops is written after that
    drop(TaskTracker::new().spawn(async move { store.watch().await }));
    let (store, wake, own) = (engine.store.clone(), engine.wake.clone(), engine.owner.clone());
    engine.tasks.spawn(until_stop(&engine.stop, async move {
        store
            .hear_replicas(|told| match told.map(|it| it.split_once(' ').unwrap_or((it, ""))) {
                Some((owner, _)) if owner == own => {}
                Some((_, names)) => wake.heard(Some(names)),
                None => wake.heard(None),
            })
            .await;
    }));
    let (store, wake, own) = (engine.store.clone(), engine.wake.clone(), engine.owner.clone());
    engine.tasks.spawn(until_stop(&engine.stop, async move {
        loop {
            let names = wake.rung().await;
            // one that is lost only costs the time to the next poll
            if let Err(error) = store.tell_replicas(&format!("{own} {names}")).await {
                tracing::debug!(%error, "other replicas were not woken");
            }
            tokio::time::sleep(TELL_EVERY).await;
        }
    }));
}

/// Runs until the server stops.
fn until_stop<B: Future<Output = ()> + Send + 'static>(
    stop: &CancellationToken,
    body: B,
) -> impl Future<Output = ()> + Send + 'static + use<B> {
    let stop = stop.clone();
    async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = body => {}
        }
    }
}

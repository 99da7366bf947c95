//! Tells another service that quell lives, so that somebody notices when it does not: a dead man's switch (G18).
//!
//! It beats only while every loop turns and the store takes what is written. Nobody is told by silence alone: a heartbeat that
//! is not taken is counted, logged, and after three in a row an alert of quell's own.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::decide::own;
use crate::engine::Engine;
use crate::engine::watch;
use crate::model::alert::Alert;
use crate::model::config::Heartbeat;
use crate::notify;
use crate::notify::Sent;

/// Source of its alert.
const SOURCE: &str = "quell:heartbeat";
/// Failures in a row before people are told.
const IN_A_ROW: u32 = 3;
/// How often the settings are looked at: a reload changes them.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Longest time that writing to the store may take.
const STORE_WITHIN: Duration = Duration::from_secs(10);

/// The loop.
pub async fn run(engine: Engine) {
    let mut heart = Heart::default();
    while !engine.stop.is_cancelled() {
        let library = engine.library.load_full();
        match &library.config.heartbeat {
            Some(heartbeat) if heart.is_due(heartbeat.every) => {
                heart.last = Some(Instant::now());
                heart.beat(&engine, heartbeat).await;
            }
            Some(_) => {}
            None => heart.well(&engine).await,
        }
        engine.pause(LOOK_EVERY).await;
    }
}

#[derive(Default)]
struct Heart {
    last: Option<Instant>,
    failures: u32,
    since: Option<Timestamp>,
    /// Whether its alert fires; `None`: an earlier process may have left it.
    told: Option<bool>,
    /// The alert as it was raised.
    alert: Option<Alert>,
}

impl Heart {
    fn is_due(&self, every: Duration) -> bool {
        self.last.is_none_or(|last| last.elapsed() >= every)
    }

    async fn beat(&mut self, engine: &Engine, heartbeat: &Heartbeat) {
        if let Err(why) = alive(engine).await {
            engine.metrics.heartbeat("withheld");
            tracing::error!(why, "no heartbeat is sent");
            return;
        }
        match notify::beat(heartbeat).await {
            Sent::Delivered => {
                engine.metrics.heartbeat("sent");
                self.well(engine).await;
            }
            Sent::Retry { reason, .. } | Sent::Refused { reason } => {
                engine.metrics.heartbeat("failed");
                self.failures = self.failures.saturating_add(1);
                let since = *self.since.get_or_insert_with(|| engine.clock.now());
                tracing::warn!(reason, in_a_row = self.failures, "the heartbeat was not taken");
                if self.failures >= IN_A_ROW && self.told != Some(true) {
                    let place = notify::place(heartbeat.url.reveal());
                    let alert = own::heartbeat_failing(&place, &reason, self.failures, since);
                    if watch::raise(engine, SOURCE, vec![alert.clone()]).await {
                        (self.told, self.alert) = (Some(true), Some(alert));
                    }
                }
            }
        }
    }

    /// It was taken, or nobody listens any more: the alert is over.
    async fn well(&mut self, engine: &Engine) {
        (self.failures, self.since) = (0, None);
        if self.told == Some(false) {
            return;
        }
        let now = engine.clock.now();
        let alert = self.alert.take().unwrap_or_else(|| own::heartbeat_failing("", "", 0, now));
        let over = own::mended(alert.labels, alert.annotations, now);
        if watch::raise(engine, SOURCE, vec![over]).await {
            self.told = Some(false);
        }
    }
}

/// Whether quell does its work, or why not.
async fn alive(engine: &Engine) -> Result<(), String> {
    if let Some((name, time)) = engine.turns.stalled(Instant::now()) {
        return Err(format!("the loop {name} has not turned for {}s", time.as_secs()));
    }
    match tokio::time::timeout(STORE_WITHIN, engine.store.beat()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("the store cannot be written: {error}")),
        Err(_) => Err(format!("the store took no write within {}s", STORE_WITHIN.as_secs())),
    }
}

//! Looks after what holds around all cases: keeps the breaker of storms and those of groups, notices a watchdog that is silent,
//! a clock that was set, a disk that fills, and quell's own error budget; and says which alerts of quell's own they are worth.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::decide::guard::Limits;
use crate::decide::own::surroundings as own;
use crate::decide::population::Tripped;
use crate::decide::surroundings;
use crate::engine::Engine;
use crate::engine::facts::JUMPS_KEPT;
use crate::engine::population;
use crate::engine::population::Look;
use crate::library::Library;
use crate::model::alert::Alert;
use crate::model::decision::Watchdog;
use crate::model::time::after;
use crate::model::time::before;
use crate::model::time::show_duration;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::surroundings::StoredTrip;
use crate::telemetry::Metrics;

/// How often a group whose breaker has tripped is counted again.
const COUNT_EVERY: Duration = Duration::from_secs(15);
/// How often the time is written down, so that a clock which is set while quell is down is noticed.
const MARK_EVERY: Duration = Duration::from_secs(10);
/// How often what is old is dropped.
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// Targets of a storm that are named to people.
const NAMED: u32 = 10;
/// Less than this part of the disk, in percent, or fewer bytes than this, is too little.
const DISK_PERCENT: u64 = 5;
const DISK_BYTES: u64 = 256 << 20;

/// What this process looked at last, and when.
#[derive(Debug, Default)]
pub struct Surroundings {
    counted: Option<Instant>,
    marked: Option<Instant>,
    forgot: Option<Instant>,
    /// Since when the disk is low.
    disk_low: Option<Timestamp>,
}

impl Surroundings {
    /// Looks once, and returns the alerts of quell's own that hold now.
    pub async fn look(&mut self, engine: &Engine, library: &Library) -> Result<Vec<Alert>> {
        let mut alerts = Vec::new();
        alerts.extend(self.clock(engine, library).await?);
        alerts.extend(storm(engine, library).await?);
        alerts.extend(self.groups(engine, library).await?);
        alerts.extend(watchdog(engine, library).await?);
        alerts.extend(failing(engine, library).await?);
        alerts.extend(self.disk(engine));
        if is_time(&mut self.forgot, FORGET_EVERY) {
            engine.store.forget_surroundings(before(engine.clock.now(), JUMPS_KEPT)).await?;
        }
        Ok(alerts)
    }

    /// Keeps the time, and says whether the wall clock was set lately.
    async fn clock(&mut self, engine: &Engine, library: &Library) -> Result<Option<Alert>> {
        if keep_time(&engine.store, &engine.metrics).await? {
            self.marked = None;
            engine.wake.all();
        }
        if is_time(&mut self.marked, MARK_EVERY) {
            engine.store.mark_time().await?;
        }
        let now = engine.clock.now();
        let hold = library.config.limits.max_skew.value;
        let jumps = engine.store.jumps(before(now, hold)).await?;
        let last = jumps.iter().rfind(|jump| after(jump.at.min(now), hold) > now);
        Ok(last.map(|jump| own::clock_jumped(jump, &show_duration(hold))))
    }

    /// Counts the groups whose breakers have tripped again.
    async fn groups(&mut self, engine: &Engine, library: &Library) -> Result<Vec<Alert>> {
        let count = is_time(&mut self.counted, COUNT_EVERY);
        let mut alerts = Vec::new();
        for stored in engine.store.trips().await? {
            let StoredTrip { scope, trip, body } = &stored;
            if scope == surroundings::STORM {
                continue;
            }
            let Tripped { census, measured } = match serde_json::from_str(body) {
                Ok(tripped) => tripped,
                Err(error) => {
                    return Err(StoreError::Corrupt(format!("the breaker {scope}: {error}")));
                }
            };
            let rule = library
                .all_rules()
                .find(|rule| rule.name == census.rule && rule.population.is_some());
            let Some(rule) = rule else {
                // its rule has gone, or names no population any more
                engine.store.change_trip(scope, Some(trip), None, "").await?;
                continue;
            };
            let limits = Limits::of_everything(&library.config.limits).tightened(&rule.limits);
            if count {
                let look = Look::ToDecide;
                let group = population::counted(engine, library, &census, &limits, look).await?;
                if group.trip.is_none() {
                    continue;
                }
            }
            let limit = format!("{} %", limits.max_unhealthy.value);
            alerts.push(own::too_sick(&census, &measured, &limit, trip.since));
        }
        Ok(alerts)
    }

    /// Whether the disk under the database is nearly full.
    fn disk(&mut self, engine: &Engine) -> Option<Alert> {
        let space = engine.store.disk_space()?;
        let low = space.free < DISK_BYTES || space.free < space.total / 100 * DISK_PERCENT;
        engine.metrics.disk_free.set(i64::try_from(space.free).unwrap_or(i64::MAX));
        if !low {
            self.disk_low = None;
            return None;
        }
        let since = *self.disk_low.get_or_insert(engine.clock.now());
        Some(own::disk_low(&size(space.free), &size(space.total), since))
    }
}

/// Compares quell's clock with the one that it follows, and notices that this was set: says whether it was.
pub async fn keep_time(store: &Store, metrics: &Metrics) -> Result<bool> {
    let jump = store.keep_time().await?;
    if let Some(jump) = jump {
        tracing::error!(by_ms = jump.by_ms, "the wall clock was set: what waits was moved with it");
    }
    metrics.clock_offset.set(store.clock_offset());
    Ok(jump.is_some())
}

/// Counts the targets in trouble, and changes the breaker.
async fn storm(engine: &Engine, library: &Library) -> Result<Option<Alert>> {
    let now = engine.clock.now();
    let limits = library.config.limits.storm.value;
    let since = before(now, limits.within);
    let targets = engine.store.troubled_targets(since).await?;
    let was = engine.store.trip(surroundings::STORM).await?;
    let is = surroundings::storm(was.clone(), targets, limits, now);
    if was != is
        && engine.store.change_trip(surroundings::STORM, was.as_ref(), is.as_ref(), "").await?
    {
        match (&was, &is) {
            (None, Some(_)) => {
                tracing::error!(targets, "a storm: all automation stands still");
            }
            (Some(_), None) => {
                tracing::warn!("the storm is over: automation goes on");
                engine.store.wake_all_episodes().await?;
            }
            _ => {}
        }
        engine.wake.all();
    }
    let Some(trip) = is else { return Ok(None) };
    // what it was when it tripped is told, not what is left of it
    let some = engine.store.some_troubled(before(trip.since, limits.within), NAMED).await?;
    let targets = targets.max(limits.targets.saturating_add(1));
    Ok(Some(own::storm(targets, &some, limits, trip.since)))
}

/// Whether the watchdog is silent; from when on it is waited for is written down once.
async fn watchdog(engine: &Engine, library: &Library) -> Result<Option<Alert>> {
    let Some(source) = &library.config.watchdog else {
        if engine.store.marked(surroundings::WATCHDOG).await?.is_some() {
            engine.store.unmark(surroundings::WATCHDOG).await?;
        }
        return Ok(None);
    };
    let now = engine.clock.now();
    let Some(seen) = engine.store.marked(surroundings::WATCHDOG).await? else {
        engine.store.mark(surroundings::WATCHDOG, now).await?;
        return Ok(None);
    };
    let missing =
        matches!(surroundings::watchdog(&library.config, Some(seen), now), Watchdog::Missing(_));
    let within = show_duration(source.within.value);
    Ok(missing.then(|| own::watchdog_missing(&within, after(seen, source.within.value))))
}

/// Whether quell's own error budget is spent.
async fn failing(engine: &Engine, library: &Library) -> Result<Option<Alert>> {
    let limit = library.config.limits.failures.value;
    let ended = engine.store.failed_since(before(engine.clock.now(), limit.per)).await?;
    // it was spent by the failure that is one too many
    let spent = (limit.count as usize).checked_sub(1).and_then(|last| ended.get(last));
    Ok(spent.map(|at| own::failing(ended.len(), limit, *at)))
}

fn is_time(last: &mut Option<Instant>, every: Duration) -> bool {
    let now = Instant::now();
    let is = last.is_none_or(|last| now.duration_since(last) >= every);
    if is {
        *last = Some(now);
    }
    is
}

/// `1.5 GiB`
fn size(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib < 1024 {
        format!("{mib} MiB")
    } else {
        format!("{}.{} GiB", mib / 1024, mib % 1024 * 10 / 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_units_that_people_read() {
        assert_eq!((size(100 << 20), size(3 << 29)), ("100 MiB".into(), "1.5 GiB".into()));
    }
}

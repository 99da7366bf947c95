//! Cron checks: probes on a schedule that raise and resolve alerts of their own, through the same intake as any
//! source. One slot is claimed once over all replicas; what was missed while quell was down is not made up.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::decide::check;
use crate::decide::check::Raise;
use crate::engine::Engine;
use crate::engine::facts;
use crate::library::Library;
use crate::model::alert::Delivery;
use crate::model::incident::Episode;
use crate::model::labels::Labels;
use crate::model::rule::Check;
use crate::store::Result;

/// Source of alerts raised by checks, before the check's name.
pub const SOURCE: &str = "check:";
/// How often schedules are looked at: the resolution of cron with seconds.
const TICK: Duration = Duration::from_millis(200);

/// The loop.
pub async fn run(engine: Engine) {
    let mut known = None;
    while !engine.stop.is_cancelled() {
        let library = engine.library.load_full();
        let result = async {
            let in_force = (library.digest.clone(), engine.clock.era());
            if known.as_ref() != Some(&in_force) {
                know(&engine, &library).await?;
                known = Some(in_force);
            }
            due(&engine, &library).await
        };
        if let Err(error) = result.await {
            engine.trouble("checks", &error).await;
        }
        engine.turned("checks");
        engine.pause(TICK).await;
    }
}

/// Writes down the checks of a new rule set, and moves slots of those whose schedule changed.
async fn know(engine: &Engine, library: &Library) -> Result<()> {
    let now = engine.clock.now();
    for check in &library.checks {
        if let Some(first) = check::next_slot(check, now) {
            engine.store.know_check(&check.name, first).await?;
            engine.store.reschedule_check(&check.name, first).await?;
        }
    }
    Ok(())
}

async fn due(engine: &Engine, library: &Arc<Library>) -> Result<()> {
    let now = engine.clock.now();
    let states = engine.store.checks().await?;
    for check in &library.checks {
        let due = states.iter().any(|state| state.name == check.name && state.due_at <= now);
        let Some(next) = check::next_slot(check, now).filter(|_| due) else { continue };
        if let Some(state) = engine.store.claim_check(&check.name, next).await? {
            let (engine, library, check) = (engine.clone(), Arc::clone(library), Arc::clone(check));
            engine.tasks.clone().spawn(async move {
                if let Err(error) = look(&engine, &library, &check, state, now).await {
                    engine.metrics.store_errors.inc();
                    tracing::error!(check = check.name, %error, "a check could not be noted");
                }
            });
        }
    }
    Ok(())
}

async fn look(
    engine: &Engine,
    library: &Library,
    check: &Check,
    before: crate::store::checks::CheckState,
    now: Timestamp,
) -> Result<()> {
    let labels = check::labels(check);
    // probes observe for an episode; a check has none yet
    let stand_in = Episode::unstored(SOURCE, labels.clone(), Labels::default(), now);
    let seen = facts::observe(engine, library, &check.probe, &stand_in).await;
    let streak = if seen.health == before.health { before.streak.saturating_add(1) } else { 1 };
    let raise = check::raise(check, seen.health, streak, before.firing, before.blind);
    engine.metrics.checked(&check.name, seen.health.as_str());
    tracing::debug!(
        check = check.name,
        health = seen.health.as_str(),
        streak,
        measured = seen.measured,
        "checked"
    );
    let mut state = before;
    (state.health, state.streak, state.at) = (seen.health, streak, now);
    state.measured.clone_from(&seen.measured);
    if let Some(alert) = check::alert(check, raise, state.firing, &seen, now) {
        let source = format!("{SOURCE}{}", check.name);
        let delivery =
            Delivery { source, receiver: String::new(), truncated: 0, alerts: vec![alert] };
        if let Err(error) = engine.intake.accept(delivery).await {
            // the streak is not written, so the next slot raises it again
            tracing::error!(check = check.name, %error, "the alert of a check was not stored");
            return Ok(());
        }
    }
    match raise {
        Raise::Fire => state.firing = true,
        Raise::Resolve => state.firing = false,
        Raise::Blind => state.blind = true,
        Raise::Sighted => state.blind = false,
        Raise::Nothing => {}
    }
    engine.store.check_seen(&state).await
}

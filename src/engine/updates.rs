//! Tells people who only watch where an incident stands, every so often until it is over.

use std::time::Duration;

use crate::decide::tell::Try;
use crate::decide::updates;
use crate::engine::Engine;
use crate::model::incident::IncidentStatus;
use crate::store::Result;
use crate::store::runs::RunRow;
use crate::store::updates::DueUpdate;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Most runs of an incident that are told of.
const MOST_RUNS: u32 = 1000;

/// The loop.
pub async fn run(engine: Engine) {
    while !engine.stop.is_cancelled() {
        if let Err(error) = look(&engine).await {
            engine.trouble("updates", &error).await;
        }
        engine.turned("updates");
        engine.pause(LOOK_EVERY).await;
    }
}

/// Tells every update that is due.
async fn look(engine: &Engine) -> Result<()> {
    let library = engine.library.load_full();
    let rules = library.all_rules().any(|rule| rule.updates.is_some());
    if !rules && library.config.severities.values().all(|it| it.updates.is_none()) {
        return Ok(());
    }
    for due in engine.store.due_updates().await? {
        tell(engine, &due).await?;
    }
    Ok(())
}

async fn tell(engine: &Engine, due: &DueUpdate) -> Result<()> {
    let library = engine.library.load_full();
    let incident = &due.incident;
    let over = incident.status == IncidentStatus::Resolved;
    let rule = library.all_rules().find(|rule| rule.name == incident.rule);
    let Some(wanted) = updates::wanted(&library.config, rule.map(|it| &**it), incident) else {
        if over {
            engine.store.end_updates(due, Vec::new()).await?;
        }
        return Ok(());
    };
    let now = engine.clock.now();
    let episodes = engine.store.episodes_of(incident.id).await?;
    let mut runs = engine.store.runs(Some(incident.id), None, MOST_RUNS).await?;
    runs.reverse();
    let tries: Vec<Try<'_>> = runs.iter().map(RunRow::as_try).collect();
    let owed = updates::owed(&library.config, wanted, incident, &episodes, &tries, now);
    let told = if over {
        engine.store.end_updates(due, owed).await?
    } else {
        let next = updates::next(wanted, incident, now);
        engine.store.tell_update(due, next, owed).await?
    };
    if told {
        engine.wake.deliver.notify_one();
    }
    Ok(())
}

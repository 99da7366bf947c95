//! Gives incidents to people, with everything that was tried, and sends pages that were held.

use jiff::Timestamp;

use crate::decide::audience;
use crate::decide::page;
use crate::decide::respond;
use crate::decide::surroundings;
use crate::decide::tell;
use crate::engine::Engine;
use crate::library::Library;
use crate::model::incident::Incident;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;
use crate::model::run::RunState;
use crate::model::time::before;
use crate::store::Result;

/// What is owed of an incident to those who may be told: while its page is held, not to channels that page. What needs a
/// person ends that, and says how long the page was held, and for what.
pub async fn held(
    engine: &Engine,
    library: &Library,
    incident: &Incident,
    owed: Vec<Owed>,
) -> Result<Vec<Owed>> {
    let mut owed = page::held(&library.config, incident, owed);
    if owed.iter().any(|it| it.notice.kind == NoticeKind::NeedsYou) {
        let words = words_of_hold(engine, incident, engine.clock.now()).await?;
        page::explain(&mut owed, words.as_deref());
    }
    Ok(owed)
}

/// How long the page of an incident has been held, and for what; `None` when it is not.
pub async fn words_of_hold(
    engine: &Engine,
    incident: &Incident,
    now: Timestamp,
) -> Result<Option<String>> {
    // without a deadline nothing was held: a schedule is silent until something needs a person
    if incident.held_until.is_none_or(|until| until <= incident.opened_at) {
        return Ok(None);
    }
    let mut runs = engine.store.runs(Some(incident.id), None, 1000).await?;
    runs.reverse();
    let tried: Vec<String> = runs
        .into_iter()
        .filter(|run| run.remedy > 0)
        .filter(|run| !matches!(run.state, RunState::Superseded | RunState::Observed))
        .map(|run| run.playbook)
        .collect();
    Ok(Some(page::words(incident, &tried, now)))
}

/// Sends the page of an incident that is held, once, for this reason; nothing when it is not held.
pub async fn page(
    engine: &Engine,
    library: &Library,
    incident: &Incident,
    reason: &str,
) -> Result<()> {
    if incident.held_until.is_none() || is_covered(engine, incident).await? {
        return Ok(());
    }
    let (tried, _) = engine.store.tried(incident.id).await?;
    let notice = tell::paged(incident, reason, tried, engine.clock.now());
    let owed = audience::owed(&library.config, &notice, incident.rule.is_empty());
    let owed = held(engine, library, incident, owed).await?;
    if engine.store.page_incident(incident.id, owed).await? {
        tracing::warn!(incident = %incident.id, reason, "the held page is sent");
        engine.wake.deliver.notify_one();
    }
    Ok(())
}

/// Whether a breaker that has tripped covers an incident: its own page explains, and this one's waits.
pub async fn is_covered(engine: &Engine, incident: &Incident) -> Result<bool> {
    let trips = engine.store.trips().await?;
    if trips.iter().any(|it| surroundings::covers(&it.scope, &incident.rule)) {
        return Ok(true);
    }
    // a storm that is seen before its breaker has been written down
    let limits = engine.library.load().config.limits.storm.value;
    let from = before(engine.clock.now(), limits.within);
    Ok(engine.store.troubled_targets(from).await? > limits.targets)
}

/// Gives an incident to people, once, with everything that was tried.
pub async fn escalate(
    engine: &Engine,
    library: &Library,
    incident: &Incident,
    reason: &str,
) -> Result<()> {
    let (tried, _) = engine.store.tried(incident.id).await?;
    let now = engine.clock.now();
    let owed = respond::given_to_people(&library.config, incident, reason, tried, now);
    let owed = held(engine, library, incident, owed).await?;
    if engine.store.escalate_incident(incident.id, owed).await? {
        tracing::warn!(incident = %incident.id, reason, "escalated to people");
        engine.wake.deliver.notify_one();
    }
    Ok(())
}

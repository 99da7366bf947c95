//! Gives incidents to people, with everything that was tried, and sends pages that were held.

use jiff::Timestamp;

use crate::decide::audience;
use crate::decide::page;
use crate::decide::tell;
use crate::engine::Engine;
use crate::library::Library;
use crate::model::incident::Incident;
use crate::model::incident::Notice;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;
use crate::model::run::RunState;
use crate::store::Result;

/// Rows for a notice of an incident of a rule: to all channels of its severity, or only to those that do not page while
/// the page is held. A notice that ends the hold says how long it was held, and for what.
pub async fn owed(
    engine: &Engine,
    library: &Library,
    incident: &Incident,
    mut notice: Notice,
) -> Result<Vec<Owed>> {
    explain_hold(engine, incident, &mut notice).await?;
    let owed = audience::owed(&library.config, &notice, incident.rule.is_empty());
    Ok(page::held(&library.config, incident, owed))
}

async fn explain_hold(engine: &Engine, incident: &Incident, notice: &mut Notice) -> Result<()> {
    if notice.kind == NoticeKind::NeedsYou
        && let Some(words) = words_of_hold(engine, incident, notice.at).await?
    {
        notice.details.insert(0, words);
    }
    Ok(())
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
    if incident.held_until.is_none() {
        return Ok(());
    }
    let (tried, _) = engine.store.tried(incident.id).await?;
    let notice = tell::paged(incident, reason, tried, engine.clock.now());
    let owed = owed(engine, library, incident, notice).await?;
    if engine.store.page_incident(incident.id, owed).await? {
        tracing::warn!(incident = %incident.id, reason, "the held page is sent");
        engine.wake.deliver.notify_one();
    }
    Ok(())
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
    let mut notice = tell::escalated(incident, reason, tried, now);
    explain_hold(engine, incident, &mut notice).await?;
    let mut owed = audience::owed(&library.config, &notice, incident.rule.is_empty());
    for more in audience::owed_escalation(&library.config, &notice) {
        if !owed.iter().any(|it| it.channel == more.channel) {
            owed.push(more);
        }
    }
    if engine.store.escalate_incident(incident.id, owed).await? {
        tracing::warn!(incident = %incident.id, reason, "escalated to people");
        engine.wake.deliver.notify_one();
    }
    Ok(())
}

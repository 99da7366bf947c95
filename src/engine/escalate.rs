//! Tells that nobody has acknowledged an incident in time, and sends pages whose time of grace is over.

use std::time::Duration;

use crate::decide::audience;
use crate::decide::page;
use crate::decide::plan;
use crate::decide::response;
use crate::decide::tell;
use crate::engine::Engine;
use crate::engine::people;
use crate::model::incident::Incident;
use crate::model::time::show_duration;
use crate::model::time::since;
use crate::store::Result;
use crate::store::incidents::DueIncident;

pub(super) const LEASE: Duration = Duration::from_secs(30);

/// The loop.
pub async fn run(engine: Engine) {
    while !engine.stop.is_cancelled() {
        let done = match engine.store.claim_incident(LEASE).await {
            Ok(Some(due)) => speak(&engine, &due).await,
            Ok(None) => {
                engine.pause(super::POLL).await;
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            engine.trouble("escalate", &error).await;
        }
        engine.turned("escalate");
    }
}

/// Does what a due incident asks for.
pub(super) async fn speak(engine: &Engine, due: &DueIncident) -> Result<()> {
    match due.incident.held_until {
        Some(_) => page_or_spare(engine, due).await,
        None => unanswered(engine, due).await,
    }
}

async fn unanswered(engine: &Engine, due: &DueIncident) -> Result<()> {
    let now = engine.clock.now();
    let library = engine.library.load_full();
    let waited = since(now, due.incident.opened_at);
    let notice = tell::unanswered(&due.incident, waited, now);
    let owed = audience::owed_escalation(&library.config, &notice);
    if engine.store.tell_unanswered(due, owed).await? {
        tracing::warn!(incident = %due.incident.id, "nobody acknowledged in time");
        engine.wake.deliver.notify_one();
    }
    Ok(())
}

/// The deadline of a held page: whoever is alive sends it, unless the incident was verified fixed in time.
async fn page_or_spare(engine: &Engine, due: &DueIncident) -> Result<()> {
    let incident = &due.incident;
    if people::is_covered(engine, incident).await? {
        let cooldown = engine.library.load().config.limits.storm.value.cooldown;
        let until = page::hold_in_trip(None, cooldown, engine.clock.now());
        return engine.store.hold_page(due, until).await;
    }
    if fixed_in_time(engine, incident).await? {
        tracing::info!(incident = %incident.id, "fixed before its page was due: nobody is paged");
        return engine.store.spare_page(due).await;
    }
    let library = engine.library.load_full();
    let grace = incident.held_until.map(|until| since(until, incident.opened_at));
    let reason = format!("not fixed within {}", show_duration(grace.unwrap_or_default()));
    people::page(engine, &library, incident, &reason).await
}

/// Whether every open episode of the incident was verified fixed by the deadline of its page.
async fn fixed_in_time(engine: &Engine, incident: &Incident) -> Result<bool> {
    let library = engine.library.load_full();
    let rule = library.rules.rules().iter().find(|rule| rule.name == incident.rule);
    let (Some(rule), Some(deadline)) = (rule, incident.held_until) else { return Ok(false) };
    let runs = engine.store.runs_of(incident.id).await?;
    let mine: Vec<_> = runs.iter().filter(|run| run.rule == rule.name).cloned().collect();
    let now = engine.clock.now();
    let episodes = engine.store.episodes_of(incident.id).await?;
    Ok(episodes.iter().filter(|episode| episode.open).all(|episode| {
        plan::target(rule, episode).is_ok_and(|target| {
            let remedies = rule.response.len();
            let next =
                response::next(remedies, incident.id, &target, episode.opened_at, &mine, now);
            page::fixed_in_time(&next, deadline)
        })
    }))
}

//! Gives incidents to people, with everything that was tried.

use jiff::Timestamp;

use crate::decide::audience;
use crate::decide::tell;
use crate::engine::Engine;
use crate::library::Library;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::run::RunState;
use crate::store::Result;
use crate::store::Store;

/// What was tried for an incident, one line a run, and the playbook that was verified to help, if one was.
pub async fn tried(engine: &Engine, incident: &Incident) -> Result<(Vec<String>, Option<String>)> {
    tried_from(&engine.store, incident.id).await
}

/// As [`tried`], from a store alone.
pub async fn tried_from(
    store: &Store,
    incident: IncidentId,
) -> Result<(Vec<String>, Option<String>)> {
    let (mut lines, mut fixed_by) = (Vec::new(), None);
    let mut rows = store.runs(Some(incident), None, 1000).await?;
    rows.reverse();
    for row in rows.iter().filter(|row| row.remedy > 0) {
        // nothing was done for these: they are decisions, not tries
        if matches!(row.state, RunState::Superseded | RunState::Observed) {
            continue;
        }
        if row.state == RunState::Fixed {
            fixed_by = Some(row.playbook.clone());
        }
        let outcome = if row.outcome.is_empty() {
            format!("{} on {}: {}", row.playbook, row.target, row.state.as_str())
        } else {
            row.outcome.clone()
        };
        lines.push(format!("{outcome} ({}, {})", row.id, clock_time(row.started_at)));
    }
    Ok((lines, fixed_by))
}

fn clock_time(at: Timestamp) -> String {
    at.strftime("%H:%M:%S UTC").to_string()
}

/// Gives an incident to people, once, with everything that was tried.
pub async fn escalate(
    engine: &Engine,
    library: &Library,
    incident: &Incident,
    reason: &str,
) -> Result<()> {
    let (tried, _) = tried(engine, incident).await?;
    let now = engine.clock.now();
    let notice = tell::escalated(incident, reason, tried, now);
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

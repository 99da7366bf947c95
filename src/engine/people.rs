//! Gives incidents to people, with everything that was tried.

use crate::decide::audience;
use crate::decide::tell;
use crate::engine::Engine;
use crate::library::Library;
use crate::model::incident::Incident;
use crate::store::Result;

/// Gives an incident to people, once, with everything that was tried.
pub async fn escalate(
    engine: &Engine,
    library: &Library,
    incident: &Incident,
    reason: &str,
) -> Result<()> {
    let (tried, _) = engine.store.tried(incident.id).await?;
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

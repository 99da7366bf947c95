//! Gives incidents to people, with everything that was tried.

use crate::decide::respond;
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
    let owed = respond::given_to_people(&library.config, incident, reason, tried, now);
    if engine.store.escalate_incident(incident.id, owed).await? {
        tracing::warn!(incident = %incident.id, reason, "escalated to people");
        engine.wake.deliver.notify_one();
    }
    Ok(())
}

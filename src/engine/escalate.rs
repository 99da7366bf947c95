//! Tells that nobody has acknowledged an incident in time.

use std::time::Duration;

use crate::decide::audience;
use crate::decide::tell;
use crate::engine::Engine;
use crate::model::time::since;

const LEASE: Duration = Duration::from_secs(30);

/// The loop.
pub async fn run(engine: Engine) {
    while !engine.stop.is_cancelled() {
        match engine.store.claim_incident(LEASE).await {
            Ok(Some(due)) => {
                let now = engine.clock.now();
                let library = engine.library.load_full();
                let waited = since(now, due.incident.opened_at);
                let notice = tell::unanswered(&due.incident, waited, now);
                let owed = audience::owed_escalation(&library.config, &notice);
                match engine.store.tell_unanswered(&due, owed).await {
                    Ok(true) => {
                        tracing::warn!(incident = %due.incident.id, "nobody acknowledged in time");
                        engine.wake.deliver.notify_one();
                    }
                    Ok(false) => {}
                    Err(error) => engine.trouble("escalate", &error).await,
                }
            }
            Ok(None) => engine.pause(super::POLL).await,
            Err(error) => engine.trouble("escalate", &error).await,
        }
    }
}

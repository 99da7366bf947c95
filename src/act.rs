//! Performs actions: command, http, redis.

use crate::model::config::Targets;
use crate::model::run::Intent;
use crate::model::run::Outcome;

/// Performs a rendered action to its end. Never panics; everything that can go wrong is an `Outcome`.
pub async fn perform(intent: &Intent, targets: &Targets) -> Outcome {
    let _ = (intent, targets);
    Outcome::Failed { reason: "not written yet".into(), retryable: false }
}

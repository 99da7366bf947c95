//! Performs actions: command, http, redis, kubernetes.
//!
//! Everything that can go wrong is an [`Outcome`], and the difference that matters is between *failed* (it
//! did not happen, or the target said no) and *unknown* (it may have happened, and nobody can tell): only
//! the step's `on_unknown` decides what follows the latter.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::action::Action;
use crate::model::config::Secret;
use crate::model::config::Targets;
use crate::model::run::Intent;
use crate::model::run::Outcome;

mod command;
mod http;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod later;
mod redis;
mod sealed;

/// Longest time to look at a target before an action.
const PREPARE_WITHIN: Duration = Duration::from_secs(20);

/// Performs a rendered action to its end, within the intent's timeout. Never panics; everything that can go
/// wrong is an `Outcome`. Dropping the future kills a process; a request that was sent is not taken back. `secrets` are those of
/// the run: they are put in here, and no outcome holds any of them. `attempt` is the fencing token of who holds the run.
pub async fn perform(
    intent: &Intent,
    attempt: i64,
    targets: &Targets,
    secrets: &BTreeMap<String, Secret>,
) -> Outcome {
    let Some(action) = &intent.action else { return failed("there is no action in this step") };
    let (action, mask) = match sealed::reveal(action, secrets) {
        Ok(revealed) => revealed,
        Err(reason) => return failed(reason),
    };
    let timeout = intent.timeout;
    let outcome = match &action {
        Action::Command(command) => {
            command::perform(&command::named(command, &intent.key, attempt), timeout, &mask).await
        }
        Action::Http(call) => http::perform(call, intent, attempt, targets, &mask).await,
        Action::RedisFlush(flush) => redis::flush(flush, timeout, targets).await,
        Action::RedisDelete(delete) => redis::delete(delete, timeout, targets).await,
        #[cfg(feature = "kubernetes")]
        Action::Kubernetes(it) => {
            kubernetes::perform(it, intent, targets, kubernetes::Effect::Real).await
        }
        #[cfg(not(feature = "kubernetes"))]
        Action::Kubernetes(_) => later::perform(&action),
        Action::RedisConfigSet(_)
        | Action::Postgres(_)
        | Action::Systemd(_)
        | Action::DockerRestart(_)
        | Action::Ssh(_)
        | Action::Silence(_)
        | Action::Unsilence(_)
        | Action::Notify(_) => later::perform(&action),
    };
    mask.outcome(outcome)
}

/// An action as it will be done, and what takes it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// With its prepared fields filled in: absolute, so that doing it again changes nothing.
    pub action: Action,
    /// What takes it back, where the action knows that and would change anything.
    pub previous: Option<Action>,
}

/// Looks at the target of a rendered action, changes nothing, and says what will be done: it stands in the intent, which is written
/// before the effect. The error is the outcome of the step, never [`Outcome::Unknown`]: nothing was done.
pub async fn prepare(
    action: &Action,
    timeout: Duration,
    targets: &Targets,
    now: Timestamp,
) -> Result<Prepared, Outcome> {
    #[cfg(feature = "kubernetes")]
    if let Action::Kubernetes(it) = action {
        let (action, previous) =
            kubernetes::prepare(it, timeout.min(PREPARE_WITHIN), targets, now).await?;
        let action = Action::Kubernetes(action);
        return Ok(Prepared { action, previous: previous.map(Action::Kubernetes) });
    }
    let _ = (timeout, targets, now);
    if action.is_prepared() {
        return Err(later::perform(action));
    }
    Ok(Prepared { action: action.clone(), previous: None })
}

/// Asks the target of a rendered action what it would say, where it can be asked; `None` where it cannot. Nothing is changed: *done* means
/// that it would be accepted. `key` is the one that the step would have.
#[cfg(feature = "kubernetes")]
pub async fn dry_run(
    action: &Action,
    key: &str,
    timeout: Duration,
    targets: &Targets,
    now: Timestamp,
) -> Option<Outcome> {
    let Action::Kubernetes(it) = action else { return None };
    let intent = Intent { action: None, previous: None, timeout, key: key.to_owned() };
    Some(kubernetes::dry_run(it, &intent, targets, now).await)
}

/// It did not happen, and trying again would not help.
fn failed(reason: impl Into<String>) -> Outcome {
    Outcome::Failed { reason: reason.into(), retryable: false }
}

/// It did not happen, and trying again may help.
fn failed_for_now(reason: impl Into<String>) -> Outcome {
    Outcome::Failed { reason: reason.into(), retryable: true }
}

/// The credential was refused. Whose it is, whoever asked for the action can tell.
fn denied(reason: impl Into<String>) -> Outcome {
    Outcome::Denied { credentials: Vec::new(), reason: reason.into() }
}

/// Nobody knows whether it happened.
fn unknown(reason: impl Into<String>) -> Outcome {
    Outcome::Unknown { reason: reason.into() }
}

/// What to write where a target is missing: the names that exist.
fn no_target(kind: &str, name: &str, names: &[&str]) -> String {
    let known = match names {
        [] => "there is none".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    };
    format!("no server `{name}` in targets.{kind} of quell.yml; {known}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_intent_without_an_action_fails() {
        let intent = Intent {
            action: None,
            previous: None,
            timeout: Duration::from_secs(1),
            key: "r-1/1".into(),
        };
        let outcome = perform(&intent, 1, &Targets::default(), &BTreeMap::new()).await;
        assert!(matches!(outcome, Outcome::Failed { retryable: false, .. }), "{outcome:?}");
    }
}

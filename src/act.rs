//! Performs actions: command, http, redis, kubernetes, ssh, systemd, docker, silences.
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
use crate::model::time::show_duration;

mod command;
mod docker;
mod http;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod later;
mod postgres;
mod redis;
mod sealed;
mod silence;
mod ssh;
#[cfg(feature = "systemd")]
mod systemd;

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
        Action::RedisConfigSet(set) => Box::pin(redis::config::set(set, timeout, targets)).await,
        // boxed: what every worker waits for stays small
        Action::Postgres(it) => {
            Box::pin(postgres::perform(it, &intent.key, timeout, targets)).await
        }
        Action::Ssh(ssh) => ssh::perform(ssh, timeout, targets, &mask).await,
        Action::DockerRestart(restart) => docker::perform(restart, timeout, targets).await,
        #[cfg(feature = "systemd")]
        Action::Systemd(it) => systemd::perform(it, timeout, targets).await,
        #[cfg(not(feature = "systemd"))]
        Action::Systemd(_) => later::perform(&action),
        Action::Silence(it) => {
            silence::perform(it, &intent.key, timeout, targets.alertmanager.as_ref()).await
        }
        Action::Unsilence(it) => silence::end(it, timeout, targets.alertmanager.as_ref()).await,
        Action::Notify(_) => later::perform(&action),
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
/// before the effect. The error is the outcome of the step, never [`Outcome::Unknown`]: nothing was done. It takes at most `within`.
pub async fn prepare(
    intent: &Intent,
    within: Duration,
    targets: &Targets,
    now: Timestamp,
) -> Result<Prepared, Outcome> {
    let Some(action) = &intent.action else {
        return Err(failed("there is no action in this step"));
    };
    let looking = look(action, &intent.key, within, targets, now);
    tokio::time::timeout(within, looking).await.unwrap_or_else(|_| {
        let within = show_duration(within);
        Err(failed_for_now(format!("its target could not be looked at within {within}")))
    })
}

async fn look(
    action: &Action,
    key: &str,
    within: Duration,
    targets: &Targets,
    now: Timestamp,
) -> Result<Prepared, Outcome> {
    match action {
        #[cfg(feature = "kubernetes")]
        Action::Kubernetes(it) => {
            let (action, previous) = kubernetes::prepare(it, within, targets, now).await?;
            let action = Action::Kubernetes(action);
            Ok(Prepared { action, previous: previous.map(Action::Kubernetes) })
        }
        Action::Silence(it) => silence::prepare(it, key, now),
        #[cfg(feature = "systemd")]
        Action::Systemd(it) => systemd::prepare(it, within, targets).await,
        Action::RedisConfigSet(set) => {
            let looking = Box::pin(redis::config::prepare(set, within, targets));
            let prepared = looking.await?;
            let previous = redis::config::previous(&prepared).map(Action::RedisConfigSet);
            Ok(Prepared { action: Action::RedisConfigSet(prepared), previous })
        }
        Action::Postgres(it) => {
            let looking = Box::pin(postgres::prepare(it, within, targets));
            Ok(Prepared { action: Action::Postgres(looking.await?), previous: None })
        }
        it if it.is_prepared() => Err(later::perform(it)),
        it => Ok(Prepared { action: it.clone(), previous: None }),
    }
}

/// Asks the target of a rendered action what it would say, where it can be asked; `None` where it cannot. Nothing is changed: *done* means
/// that it would be accepted.
#[cfg_attr(
    not(feature = "kubernetes"),
    expect(unused_variables, clippy::unused_async, reason = "only a cluster can be asked")
)]
pub async fn dry_run(intent: &Intent, targets: &Targets, now: Timestamp) -> Option<Outcome> {
    match intent.action.as_ref()? {
        #[cfg(feature = "kubernetes")]
        Action::Kubernetes(it) => Some(kubernetes::dry_run(it, intent, targets, now).await),
        #[cfg(not(feature = "kubernetes"))]
        it @ Action::Kubernetes(_) => Some(later::perform(it)),
        _ => None,
    }
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

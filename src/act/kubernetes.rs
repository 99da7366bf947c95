//! `kubernetes.*`: one file for each group of actions, over one client.
//!
//! [`prepare`] reads, and makes what will be done absolute: a number, a time, a revision, pods by UID. [`perform`] first looks whether it
//! is so already, so that doing it again changes nothing, and writes with the version of the object that it looked at.

#![expect(
    clippy::indexing_slicing,
    reason = "an absent part of a JSON value reads as null; only objects made here are written to by index"
)]

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::model::action::Kubernetes;
use crate::model::config::Targets;
use crate::model::run::Intent;
use crate::model::run::Outcome;

mod api;
mod drain;
mod env;
mod evidence;
mod node;
mod pods;
mod restart;
mod rollback;
mod scale;

use api::Api;

/// What will be done, made absolute, and what takes it back; `None` where nothing would.
pub(super) type Ready = (Kubernetes, Option<Kubernetes>);

/// Whether the server only says what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It is done.
    Real,
    /// Admission and validation only: nothing is stored.
    Dry,
}

/// Makes an action absolute. The error is the outcome of the step, of which nothing was done.
pub(super) async fn prepare(
    action: &Kubernetes,
    timeout: Duration,
    targets: &Targets,
    now: Timestamp,
) -> Result<Ready, Outcome> {
    let api = Api::open(action.cluster(), Instant::now() + timeout, targets)?;
    match action {
        Kubernetes::Scale(it) => scale::prepare(&api, it).await,
        Kubernetes::Restart(it) => restart::prepare(&api, it, now).await,
        Kubernetes::Rollback(it) => rollback::prepare(&api, it).await,
        Kubernetes::SetEnv(it) => env::prepare(&api, it).await,
        Kubernetes::Cordon(it) => node::prepare(&api, it, true).await,
        Kubernetes::Uncordon(it) => node::prepare(&api, it, false).await,
        Kubernetes::Drain(it) => drain::prepare(&api, it).await,
        Kubernetes::DeletePod(it) => pods::prepare(&api, it).await,
        Kubernetes::Events(_) | Kubernetes::Logs(_) | Kubernetes::Describe(_) => {
            Ok((action.clone(), None))
        }
    }
}

/// Does what was made absolute, to its end, within the intent's timeout.
pub(super) async fn perform(
    action: &Kubernetes,
    intent: &Intent,
    targets: &Targets,
    effect: Effect,
) -> Outcome {
    let deadline = Instant::now() + intent.timeout;
    let api = match Api::open(action.cluster(), deadline, targets) {
        Ok(api) => api.with(effect),
        Err(outcome) => return outcome,
    };
    let outcome = match action {
        Kubernetes::Scale(it) => scale::perform(&api, it).await,
        Kubernetes::Restart(it) => restart::perform(&api, it, &intent.key).await,
        Kubernetes::Rollback(it) => rollback::perform(&api, it).await,
        Kubernetes::SetEnv(it) => env::perform(&api, it).await,
        Kubernetes::Cordon(it) => node::perform(&api, it, true).await,
        Kubernetes::Uncordon(it) => node::perform(&api, it, false).await,
        Kubernetes::Drain(it) => drain::perform(&api, it).await,
        Kubernetes::DeletePod(it) => pods::perform(&api, it).await,
        Kubernetes::Events(it) => evidence::events(&api, it).await,
        Kubernetes::Logs(it) => evidence::logs(&api, it).await,
        Kubernetes::Describe(it) => evidence::describe(&api, it).await,
    };
    outcome.unwrap_or_else(|outcome| outcome)
}

/// Asks the server what it would say: admission and validation take place, and nothing is stored. Reads are done as they are.
pub(super) async fn dry_run(
    action: &Kubernetes,
    intent: &Intent,
    targets: &Targets,
    now: Timestamp,
) -> Outcome {
    let ready = match prepare(action, intent.timeout, targets, now).await {
        Ok((ready, _)) => ready,
        Err(outcome) => return outcome,
    };
    match perform(&ready, intent, targets, Effect::Dry).await {
        Outcome::Done { summary, output } => Outcome::Done {
            summary: format!(
                "the server accepts it in a dry run, and nothing was changed; it would be: {summary}"
            ),
            output,
        },
        // nothing is stored, whatever became of it
        Outcome::Unknown { reason } => super::failed_for_now(reason),
        refused => refused,
    }
}

/// The action was not made absolute: a step that was written by hand, or by another version.
fn unprepared(action: &str) -> Outcome {
    super::failed(format!("{action} was not prepared, so nobody knows what it would have to be"))
}

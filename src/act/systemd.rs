//! The actions `systemd.restart`, `systemd.start` and `systemd.stop`: jobs of a service manager, by their real results.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Prepared;
use crate::model::action::Action;
use crate::model::action::Systemd;
use crate::model::action::TargetKind;
use crate::model::config::Bus;
use crate::model::config::Targets;
use crate::model::run::Outcome;
use crate::model::time::show_duration;
use crate::net::systemd;
use crate::net::systemd::Change;
use crate::net::systemd::Failure;
use crate::net::systemd::Manager;
use crate::net::systemd::Place;
use crate::net::systemd::State;

/// Longest time to reach the bus, and for what is asked before and after the job.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Does it and waits for the end of the job, whose result decides.
pub(super) async fn perform(action: &Systemd, timeout: Duration, targets: &Targets) -> Outcome {
    let ends_at = Instant::now() + timeout;
    let unit = &action.unit().unit;
    let manager = match reach(action, timeout.min(ANSWERS_WITHIN), targets).await {
        Ok(manager) => manager,
        Err(outcome) => return outcome,
    };
    let change = match action {
        Systemd::Restart(_) => Change::Restart,
        Systemd::Start(_) => Change::Start,
        Systemd::Stop(_) => Change::Stop,
    };
    let result = match tokio::time::timeout_at(ends_at, manager.change(unit, change)).await {
        Ok(Ok(result)) => result,
        Ok(Err(failure)) => return explain(unit, failure),
        Err(_) => {
            return super::unknown(format!(
                "{unit}: the job did not end within {}; the service manager may go on with it",
                show_duration(timeout)
            ));
        }
    };
    let state = tokio::time::timeout(ANSWERS_WITHIN, manager.state(unit)).await;
    judge(action, &result, state.ok().and_then(Result::ok))
}

/// What takes it back: nothing where it would change nothing.
pub(super) async fn prepare(
    action: &Systemd,
    timeout: Duration,
    targets: &Targets,
) -> Result<Prepared, Outcome> {
    let unprepared = Prepared { action: Action::Systemd(action.clone()), previous: None };
    if matches!(action, Systemd::Restart(_)) {
        return Ok(unprepared);
    }
    let unit = action.unit();
    let asks = async {
        let manager = reach(action, timeout.min(ANSWERS_WITHIN), targets).await?;
        manager.state(&unit.unit).await.map_err(|failure| explain(&unit.unit, failure))
    };
    let state = tokio::time::timeout(timeout.min(ANSWERS_WITHIN), asks).await;
    let state = state
        .map_err(|_| super::failed_for_now(format!("{}: no answer from the bus", unit.unit)))??;
    if state.load == "not-found" {
        return Err(not_found(&unit.unit));
    }
    let runs =
        matches!(state.active.as_str(), "active" | "activating" | "reloading" | "refreshing");
    let previous = match action {
        Systemd::Start(unit) if !runs => Some(Systemd::Stop(unit.clone())),
        Systemd::Stop(unit) if runs => Some(Systemd::Start(unit.clone())),
        Systemd::Restart(_) | Systemd::Start(_) | Systemd::Stop(_) => None,
    };
    Ok(Prepared { previous: previous.map(Action::Systemd), ..unprepared })
}

/// The manager of the action's server. The error is the outcome of the step: nothing was done.
async fn reach(action: &Systemd, within: Duration, targets: &Targets) -> Result<Manager, Outcome> {
    let unit = action.unit();
    systemd::check_name(&unit.unit).map_err(super::failed)?;
    let place = match targets.bus(&unit.server) {
        Some(Bus::System) => Place::System,
        Some(Bus::User) => Place::User,
        Some(Bus::Address(address)) => Place::Address(address),
        None => {
            let names = targets.names(TargetKind::Systemd);
            return Err(super::failed(super::no_target("systemd", &unit.server, &names)));
        }
    };
    match tokio::time::timeout(within, systemd::connect(place)).await {
        Ok(Ok(manager)) => Ok(manager),
        Ok(Err(failure)) => Err(explain(&unit.unit, failure)),
        Err(_) => Err(super::failed_for_now(format!(
            "{}: no answer from the bus within {}",
            unit.unit,
            show_duration(within)
        ))),
    }
}

fn explain(unit: &str, failure: Failure) -> Outcome {
    match failure {
        Failure::Unreachable(reason) => super::failed_for_now(format!("{unit}: {reason}")),
        Failure::Denied(reason) => super::denied(format!(
            "{unit}: quell may not manage it: {reason}; docs/hosts.md has the polkit rule that lets it"
        )),
        Failure::Refused(reason) => super::failed(format!("{unit}: {reason}")),
        Failure::Lost(reason) => super::unknown(format!(
            "{unit}: {reason}; nobody knows whether the service manager did it"
        )),
    }
}

fn not_found(unit: &str) -> Outcome {
    super::failed(format!("{unit}: the service manager knows no such unit"))
}

/// What the end of a job means, and what the unit did right after it, as far as that is known.
fn judge(action: &Systemd, result: &str, state: Option<State>) -> Outcome {
    let unit = &action.unit().unit;
    let now = match &state {
        None => "what it does now could not be asked".to_owned(),
        Some(state) if matches!(state.result.as_str(), "" | "success") => {
            format!("now {} ({})", state.active, state.sub)
        }
        Some(state) => format!("now {} ({}, {})", state.active, state.sub, state.result),
    };
    let reason = match result {
        "done" => {
            let is = |words: &[&str]| {
                state.as_ref().is_some_and(|it| words.contains(&it.active.as_str()))
            };
            let restarts = state.as_ref().is_some_and(|it| it.sub.starts_with("auto-restart"));
            let stops = matches!(action, Systemd::Stop(_));
            if stops || !(is(&["failed"]) || restarts) {
                let state = state.unwrap_or_default();
                let what = match action {
                    Systemd::Restart(_) => "restarted",
                    Systemd::Start(_) => "started",
                    Systemd::Stop(_) => "stopped",
                };
                return Outcome::Done {
                    summary: format!("{unit} {what}: {now}"),
                    output: json!({
                        "result": result, "active": state.active, "sub": state.sub,
                        "service_result": state.result,
                    }),
                };
            }
            format!("{unit}: the job was done, but the unit failed right after it: {now}")
        }
        "failed" => format!("{unit}: the job failed: {now}"),
        "timeout" => format!("{unit}: the job took longer than systemd lets it: {now}"),
        "canceled" => format!("{unit}: another job took the place of this one: {now}"),
        "dependency" => format!("{unit}: a unit that it needs failed: {now}"),
        "skipped" => format!("{unit}: the job did not apply to what the unit was doing: {now}"),
        other => format!("{unit}: the job ended as `{other}`: {now}"),
    };
    match result {
        "done" | "failed" | "timeout" | "canceled" | "dependency" => super::failed_for_now(reason),
        _ => super::failed(reason),
    }
}

#[cfg(test)]
mod tests;

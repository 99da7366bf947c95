//! What follows from how a step ended: the next one, another try, an undo, or a question to a person.

use std::time::Duration;

use jiff::Timestamp;

use super::Phase;
use super::Record;
use super::Spot;
use super::State;
use super::each;
use super::hold;
use super::of_step;
use super::undo;
use crate::model::playbook::OnFailure;
use crate::model::playbook::OnUnknown;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::time::after;

/// Tries beyond `retry.times` that an unknown outcome may add, so that every run ends.
const UNKNOWN_TRIES: u32 = 3;
/// Longest delay between tries.
const MAX_BACKOFF: Duration = Duration::from_mins(5);

/// What follows from the end of a step, or of an item of one.
pub(super) fn ended_step(
    plan: &Plan,
    state: &mut State,
    spot: Spot,
    attempt: u32,
    outcome: &Outcome,
    jitter: u16,
    at: Timestamp,
) -> Phase {
    let Some(definition) = plan.playbook.steps.get(spot.step) else {
        return Phase::Final(RunState::Stuck);
    };
    // it did not happen: the next try looks anew
    if matches!(outcome, Outcome::Failed { .. } | Outcome::Denied { .. })
        && state.kept.get(&spot).is_some_and(|kept| !kept.doubtful)
    {
        state.kept.remove(&spot);
    }
    match outcome {
        Outcome::Done { summary, output } => {
            if let Some(phase) = hold::goes_on(plan, state, spot, at) {
                return phase;
            }
            let (summary, output) = (summary.clone(), output.clone());
            state.record(spot, Record::Done { summary, output });
            each::following(plan, state, spot, at)
        }
        Outcome::Failed { retryable: true, .. } if attempt <= definition.retry.times => {
            let at = after(at, backoff(definition.retry.backoff, attempt, jitter));
            state.healthy.remove(&spot.step);
            Phase::Ready { step: spot.step, item: spot.item, attempt: attempt + 1, at }
        }
        Outcome::Failed { reason, .. } | Outcome::Denied { reason, .. } => {
            failed_step(plan, state, spot, reason, at)
        }
        Outcome::Unknown { reason } => in_doubt(plan, state, spot, attempt, reason.clone(), at),
    }
}

/// It failed for good: what `on_failure` says.
pub(super) fn failed_step(
    plan: &Plan,
    state: &mut State,
    spot: Spot,
    reason: &str,
    at: Timestamp,
) -> Phase {
    let definition = plan.playbook.steps.get(spot.step);
    let sentence = format!("{} failed: {reason}", step_words(plan, state, spot));
    state.record(spot, Record::Failed { reason: reason.to_owned() });
    match definition.map(|step| step.on_failure) {
        Some(OnFailure::Continue) => each::following(plan, state, spot, at),
        Some(OnFailure::Abort) | None => {
            if let Some(words) = each::item_of(state, spot) {
                let reason = format!("{words}: {reason}");
                state.record(of_step(spot.step), Record::Failed { reason });
            }
            state.reason = sentence;
            undo::undo_or(plan, state, RunState::Failed)
        }
    }
}

/// `step 2 (restart)`, and which item of it.
fn step_words(plan: &Plan, state: &State, spot: Spot) -> String {
    let name = plan.playbook.steps.get(spot.step).map_or("?", |step| step.name.as_str());
    let item = each::item_of(state, spot).map(|words| format!(", {words}")).unwrap_or_default();
    format!("step {} ({name}){item}", spot.step + 1)
}

/// Nobody knows whether it happened: what `on_unknown` says.
pub(super) fn in_doubt(
    plan: &Plan,
    state: &mut State,
    spot: Spot,
    attempt: u32,
    reason: String,
    at: Timestamp,
) -> Phase {
    let Spot { step, item } = spot;
    if let Some(kept) = state.kept.get_mut(&spot) {
        kept.doubtful = true;
    }
    let Some(definition) = plan.playbook.steps.get(step) else {
        return Phase::Final(RunState::Stuck);
    };
    match definition.on_unknown {
        OnUnknown::Retry if attempt <= definition.retry.times.saturating_add(UNKNOWN_TRIES) => {
            Phase::Ready { step, item, attempt: attempt + 1, at }
        }
        OnUnknown::Retry => {
            let reason = format!("{reason}, {attempt} times in a row");
            failed_step(plan, state, spot, &reason, at)
        }
        OnUnknown::Probe if plan.verify.is_some() => Phase::ReadingBack { step, item, attempt },
        OnUnknown::Probe | OnUnknown::Ask => {
            state.reason = reason;
            Phase::InDoubt { step, item, attempt }
        }
    }
}

/// Doubles with each attempt, at most five minutes; `jitter` (0–999) spreads it over its upper half.
pub fn backoff(first: Duration, attempt: u32, jitter: u16) -> Duration {
    let full =
        first.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(MAX_BACKOFF);
    full / 2 + full.mul_f64(f64::from(jitter.min(999)) / 2000.0)
}

//! Undo: what was done is taken back, the last first.

use super::Phase;
use super::Record;
use super::Spot;
use super::State;
use super::each;
use super::of_step;
use crate::model::playbook::Undo;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::run::RunState;

/// Undoes what was done, the last first; or ends, when nothing can be undone.
pub(super) fn undo_or(plan: &Plan, state: &State, end: RunState) -> Phase {
    let undoable = |spot: &Spot| match plan
        .playbook
        .steps
        .get(spot.step)
        .and_then(|step| step.undo.as_ref())
    {
        Some(Undo::Action(_)) => true,
        Some(Undo::Previous) => state.previous(*spot).is_some(),
        None => false,
    };
    let left: Vec<Spot> = state.done().into_iter().rev().filter(undoable).collect();
    if left.is_empty() { Phase::Final(end) } else { Phase::Undoing { left } }
}

pub(super) fn undone(state: &mut State, spot: Spot, left: Vec<Spot>, outcome: &Outcome) -> Phase {
    match outcome {
        Outcome::Done { .. } => {
            state.record(spot, Record::Undone);
            conclude(state, spot);
            if left.is_empty() { Phase::Final(RunState::Failed) } else { Phase::Undoing { left } }
        }
        Outcome::Failed { reason, .. }
        | Outcome::Denied { reason, .. }
        | Outcome::Unknown { reason } => {
            let item = each::item_of(state, spot).map(|words| format!(", {words},"));
            state.reason = format!(
                "{}; undoing step {}{} failed: {reason}",
                state.reason,
                spot.step + 1,
                item.unwrap_or_default()
            );
            state.record(spot, Record::UndoFailed { reason: reason.clone() });
            Phase::Final(RunState::Stuck)
        }
    }
}

/// A `for_each` of which nothing stands any more is undone itself.
fn conclude(state: &mut State, spot: Spot) {
    let stands = |record: &Record| matches!(record, Record::Done { .. });
    let list = state.lists.get(&spot.step);
    if list.is_some_and(|list| !list.records.iter().any(stands))
        && state.steps.get(spot.step).is_some_and(stands)
    {
        state.record(of_step(spot.step), Record::Undone);
    }
}

//! Steps that are done a slice at a time (`guardrails.md` G10): each slice is an effect of its own, with its intent, and before the
//! next one everything is asked again.

use jiff::Timestamp;

use super::Phase;
use super::Progress;
use super::Spot;
use super::State;
use crate::model::action::Slices;
use crate::model::playbook::What;
use crate::model::run::Plan;
use crate::model::time::after;

/// How a step is done a slice at a time, if it is.
pub fn slices_of(plan: &Plan, step: usize) -> Option<&Slices> {
    match plan.playbook.steps.get(step).map(|step| &step.what) {
        Some(What::Action(action)) => action.slices(),
        Some(What::Probe { .. } | What::Wait(_) | What::Ask(_)) | None => None,
    }
}

/// A slice is done, and the next one comes after a pause.
pub(super) fn sliced(
    plan: &Plan,
    state: &mut State,
    (spot, attempt): (Spot, u32),
    (cursor, gone): (u64, u64),
    at: Timestamp,
) -> Phase {
    let before = state.slices.get(&spot).copied();
    let (slices, so_far) = before.map_or((0, 0), |it| (it.slices, it.gone));
    let (slices, gone) = (slices.saturating_add(1), so_far.saturating_add(gone));
    state.slices.insert(spot, Progress { cursor, slices, gone, at });
    let pause = slices_of(plan, spot.step).map(|it| it.pause).unwrap_or_default();
    Phase::Ready { step: spot.step, item: spot.item, attempt, at: after(at, pause) }
}

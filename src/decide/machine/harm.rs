//! What must not get worse (`guardrails.md` G16): measured before the first step, compared between waves and while the run
//! verifies. Worse is compensated at once; unknown is not worse, and no success either.

use std::time::Duration;

use jiff::Timestamp;

use super::Phase;
use super::Record;
use super::State;
use super::of_step;
use super::undo::undo_or;
use crate::model::run::Event;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::time::since;

/// Whether the plan names anything that must not get worse.
pub fn is_guarded(plan: &Plan) -> bool {
    plan.verify.as_ref().is_some_and(|verify| !verify.unharmed.is_empty())
}

/// Whether the baseline is still to be taken: nothing begins without it.
pub(super) fn needs_baseline(plan: &Plan, state: &State) -> bool {
    state.baseline.is_none() && is_guarded(plan)
}

/// Whether a baseline is what the plan asks for: each metric once, in order, and none without a sample.
pub(super) fn is_whole(plan: &Plan, taken: &[crate::model::run::Taken]) -> bool {
    let unharmed = plan.verify.as_ref().map_or(&[][..], |verify| &verify.unharmed);
    unharmed.len() == taken.len()
        && unharmed.iter().zip(taken).all(|(it, taken)| it.name == taken.name)
        && taken.iter().all(|it| !it.samples.is_empty())
}

/// The entry that a comparison is worth: a change, or harm.
pub fn comparison_event(state: &State, seen: Observation) -> Option<Event> {
    let (Phase::Verifying { harm, .. } | Phase::Looking { harm, .. }) = &state.phase else {
        return None;
    };
    let changed = harm.as_ref().is_none_or(|last| last.health != seen.health);
    (changed || seen.health == Health::Unhealthy).then_some(Event::Compared { seen })
}

/// Something is worse than it was: what was done is taken back, the last first.
pub(super) fn harmed(plan: &Plan, state: &mut State, phase: &Phase, seen: &Observation) -> Phase {
    state.reason = format!("it did harm: {}", seen.measured);
    if let Phase::Looking { step, item, .. } = phase {
        let count = state.lists.get(step).map_or(0, |list| list.items.len());
        let reason = format!("stopped after {item} of {count} items: {}", state.reason);
        state.record(of_step(*step), Record::Failed { reason });
    }
    undo_or(plan, state, RunState::Failed)
}

/// Whether another wave may begin.
pub(super) fn allows_more(plan: &Plan, harm: Option<&Observation>) -> bool {
    !is_guarded(plan) || harm.is_some_and(|seen| seen.health == Health::Healthy)
}

/// What a verification that has held for long enough says of harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harmless {
    /// Nothing got worse.
    Yes,
    /// Nobody can say yet.
    Wait,
    /// Nobody could say in all the time there was.
    Unknown,
}

/// Nothing may be called fixed while nobody knows whether it did harm; that is waited for as long as the verification may
/// take in all.
pub(super) fn harmless(
    plan: &Plan,
    harm: Option<&Observation>,
    started_at: Timestamp,
    now: Timestamp,
) -> Harmless {
    let most = plan
        .verify
        .as_ref()
        .map_or(Duration::ZERO, |verify| verify.within.saturating_add(verify.hold));
    if allows_more(plan, harm) {
        Harmless::Yes
    } else if since(now, started_at) >= most {
        Harmless::Unknown
    } else {
        Harmless::Wait
    }
}

//! Verification: what an observation is worth, and what it comes to.

use std::time::Duration;

use jiff::Timestamp;

use super::Phase;
use super::State;
use super::harm::Harmless;
use super::harm::harmless;
use super::undo::undo_or;
use crate::model::run::Event;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::time::after;
use crate::model::time::since;

/// The entry that an observation is worth: a change, or the end of the verification. Repeats are not written.
pub fn verification_event(
    plan: &Plan,
    state: &State,
    seen: Observation,
    now: Timestamp,
) -> Option<Event> {
    let Phase::Verifying { started_at, healthy_since, last, harm } = &state.phase else {
        return None;
    };
    let changed = last.as_ref().is_none_or(|last| last.health != seen.health);
    let verify = plan.verify.as_ref()?;
    let decisive = match seen.health {
        Health::Healthy => {
            healthy_since.is_some_and(|from| since(now, from) >= verify.hold)
                && harmless(plan, harm.as_ref(), *started_at, now) != Harmless::Wait
        }
        Health::Unhealthy | Health::Unknown => since(now, *started_at) >= verify.within,
    };
    (changed || decisive).then_some(Event::Verified { seen })
}

/// The next instant at which a verification that sees no change may end; `None` when none is under way.
pub fn next_look(plan: &Plan, state: &State, now: Timestamp) -> Option<Timestamp> {
    let Phase::Verifying { started_at, healthy_since, .. } = &state.phase else { return None };
    let verify = plan.verify.as_ref()?;
    let held = healthy_since.map(|from| after(from, verify.hold));
    let late = after(*started_at, verify.within);
    // what nobody can say of harm is waited for no longer than that
    let last = after(late, verify.hold);
    let ends = [held.or(Some(late)), Some(last)];
    Some(ends.into_iter().flatten().filter(|at| *at > now).min().unwrap_or(last))
}

pub(super) fn verified(
    plan: &Plan,
    state: &mut State,
    phase: Phase,
    seen: &Observation,
    at: Timestamp,
) -> Phase {
    let Phase::Verifying { started_at, healthy_since, harm, .. } = phase else { return phase };
    let (within, hold) = plan
        .verify
        .as_ref()
        .map_or((Duration::ZERO, Duration::ZERO), |verify| (verify.within, verify.hold));
    let late = since(at, started_at) >= within;
    match seen.health {
        Health::Healthy => {
            let from = healthy_since.unwrap_or(at);
            let held = since(at, from) >= hold;
            match harmless(plan, harm.as_ref(), started_at, at) {
                Harmless::Yes if held => {
                    state.reason.clone_from(&seen.measured);
                    return Phase::Final(RunState::Fixed);
                }
                Harmless::Unknown if held => {
                    let unseen = harm.map_or_else(|| "nobody looked".to_owned(), |it| it.measured);
                    state.inconclusive = true;
                    state.reason = format!("nobody knows whether it did harm: {unseen}");
                    return Phase::Final(RunState::Failed);
                }
                Harmless::Yes | Harmless::Unknown | Harmless::Wait => {}
            }
            let last = Some(seen.clone());
            Phase::Verifying { started_at, healthy_since: Some(from), last, harm }
        }
        Health::Unhealthy if late => {
            state.reason = format!("did not help: {}", seen.measured);
            undo_or(plan, state, RunState::Failed)
        }
        Health::Unknown if late => {
            // missing evidence is no reason to act, so nothing is undone: a person decides
            state.inconclusive = true;
            state.reason = format!("nobody knows whether it helped: {}", seen.measured);
            Phase::Final(RunState::Failed)
        }
        Health::Unhealthy | Health::Unknown => {
            Phase::Verifying { started_at, healthy_since: None, last: Some(seen.clone()), harm }
        }
    }
}

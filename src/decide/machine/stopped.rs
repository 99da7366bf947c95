//! A run is stopped between two steps: by a person, or because what it was planned for is no longer so.

use super::Phase;
use super::State;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::run::Stop;

/// The phase that follows from it.
pub(super) fn stopped(plan: &Plan, state: &mut State, phase: &Phase, why: &Stop) -> Phase {
    let free = !state.acted;
    state.withdrawn = free
        && match why {
            Stop::AlreadyHealthy { .. } | Stop::Changed { .. } | Stop::Refused { .. } => true,
            Stop::Resolved | Stop::TakenOver { .. } | Stop::Cancelled { .. } => false,
        };
    match why {
        Stop::Resolved => {
            "the alert resolved".clone_into(&mut state.reason);
            match phase {
                // it is being watched already: go on watching
                Phase::Verifying { .. } | Phase::ToVerify => phase.clone(),
                Phase::Empty
                | Phase::AwaitingApproval
                | Phase::Observing
                | Phase::Ready { .. }
                | Phase::InFlight { .. }
                | Phase::Waiting { .. }
                | Phase::Looking { .. }
                | Phase::Asking { .. }
                | Phase::ReadingBack { .. }
                | Phase::InDoubt { .. }
                | Phase::Undoing { .. }
                | Phase::UndoInFlight { .. }
                | Phase::Final(_) => {
                    if free {
                        Phase::Final(RunState::Superseded)
                    } else if plan.verify.is_some() {
                        Phase::ToVerify
                    } else {
                        Phase::Final(RunState::Cancelled)
                    }
                }
            }
        }
        Stop::AlreadyHealthy { measured } => {
            state.reason = format!("nothing to remedy: {measured}");
            Phase::Final(if free { RunState::Superseded } else { RunState::Cancelled })
        }
        Stop::Changed { what } => {
            state.reason = format!("no longer what was proposed: {what}");
            Phase::Final(if free { RunState::Superseded } else { RunState::Cancelled })
        }
        Stop::TakenOver { by } => {
            state.reason = format!("taken over by {by}");
            Phase::Final(if free { RunState::Superseded } else { RunState::Cancelled })
        }
        Stop::Refused { guard, reason } => {
            state.reason = format!("{guard}: {reason}");
            Phase::Final(if free { RunState::Superseded } else { RunState::Cancelled })
        }
        Stop::Cancelled { by } => {
            state.reason = format!("cancelled by {by}");
            Phase::Final(RunState::Cancelled)
        }
    }
}

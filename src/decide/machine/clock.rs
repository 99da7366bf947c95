//! The wall clock was set while a run was under way: every instant that its state waits for, or measures from, is moved by
//! as much. The journal stays as it was written, and says so by an entry; so a run's state is still the fold of its journal
//! alone, and the same whoever folds it, and when.

use jiff::Timestamp;

use crate::decide::machine::state::IllegalEvent;
use crate::decide::machine::state::Phase;
use crate::decide::machine::state::State;
use crate::model::run::Entry;
use crate::model::time::moved;

/// The state after the clock was set; legal whenever anything may still follow.
pub(super) fn set(mut state: State, entry: &Entry, by_ms: i64) -> Result<State, Box<IllegalEvent>> {
    if matches!(state.phase, Phase::Empty | Phase::Final(_)) {
        return Err(Box::new(IllegalEvent { phase: state.phase, event: entry.event.clone() }));
    }
    let by = |at: &mut Timestamp| *at = moved(*at, by_ms);
    state.seq += 1;
    // nothing happened to the run: what is measured from its last entry goes on
    by(&mut state.last_at);
    state.approve_until.iter_mut().for_each(by);
    state.slices.values_mut().for_each(|so_far| by(&mut so_far.at));
    for healthy in state.healthy.values_mut() {
        by(&mut healthy.from);
        by(&mut healthy.last);
    }
    match &mut state.phase {
        Phase::Ready { at, .. } | Phase::Looking { at, .. } => by(at),
        Phase::Waiting { until, .. } | Phase::Asking { until, .. } => by(until),
        Phase::Verifying { started_at, healthy_since, .. } => {
            by(started_at);
            healthy_since.iter_mut().for_each(by);
        }
        Phase::Empty
        | Phase::AwaitingApproval
        | Phase::Observing
        | Phase::InFlight { .. }
        | Phase::ReadingBack { .. }
        | Phase::InDoubt { .. }
        | Phase::ToVerify
        | Phase::Undoing { .. }
        | Phase::UndoInFlight { .. }
        | Phase::Final(_) => {}
    }
    Ok(state)
}

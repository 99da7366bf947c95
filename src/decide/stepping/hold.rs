//! A run that a guard holds before a step: for how long, and what ends it.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::guard;
use crate::decide::machine::Phase;
use crate::decide::machine::Spot;
use crate::decide::machine::State;
use crate::decide::machine::slices_of;
use crate::model::run::Event;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::run::Stop;
use crate::model::time::after;
use crate::model::time::show_duration;
use crate::model::time::since;

/// A hold before a step that lasts longer than this gives the run up: what it was planned for is old.
const GIVE_UP_AFTER: Duration = Duration::from_mins(15);

/// What holds a run before a step.
#[derive(Debug, Clone, Copy)]
pub struct Hold<'a> {
    /// Until.
    pub until: Timestamp,
    /// The guard.
    pub guard: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// What follows from a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// The run waits until then, and is asked again.
    Until(Timestamp),
    /// It has waited for long enough: this is written.
    Over(Box<Event>),
}

/// Whether a run that is held goes on waiting; the kill switch may hold for ever. A step that is done a slice at a time waits for
/// its next slice no longer than the step may take.
pub fn held(plan: &Plan, state: &State, hold: Hold<'_>, now: Timestamp) -> Held {
    let Hold { until, guard, reason } = hold;
    // what a person must end never does
    if [guard::KILL_SWITCH, guard::CREDENTIAL].contains(&guard) {
        return Held::Until(until);
    }
    if let Some((spot, so_far)) = slicing(plan, state) {
        let timeout = plan.playbook.steps.get(spot.step).map(|it| it.timeout).unwrap_or_default();
        let ends = after(so_far.at, timeout);
        if now < ends {
            return Held::Until(until.min(ends));
        }
        let reason = format!(
            "no slice for {} after {} keys went in {}: {guard}: {reason}",
            show_duration(timeout),
            so_far.gone,
            so_far.slices
        );
        let outcome = Outcome::Failed { reason, retryable: false };
        let Spot { step, item } = spot;
        return Held::Over(Box::new(Event::StepEnded { step, item, outcome, jitter: 0 }));
    }
    match gives_up(state, guard, reason, now) {
        Some(why) => Held::Over(Box::new(Event::Stopped { why })),
        None => Held::Until(until),
    }
}

/// The step whose next slice is due, and how far it has come.
fn slicing(plan: &Plan, state: &State) -> Option<(Spot, crate::decide::machine::Progress)> {
    let Phase::Ready { step, item, .. } = state.phase else { return None };
    slices_of(plan, step)?;
    let spot = Spot { step, item };
    state.slices.get(&spot).map(|so_far| (spot, *so_far))
}

/// What gives a run up that a guard has held before a step for too long.
fn gives_up(state: &State, guard: &str, reason: &str, now: Timestamp) -> Option<Stop> {
    // a delay of its own, such as the time between two waves, is no hold
    let from = if let Phase::Ready { at, .. } = state.phase {
        at.max(state.last_at)
    } else {
        state.last_at
    };
    let long = since(now, from) >= GIVE_UP_AFTER;
    long.then(|| Stop::Refused { guard: guard.to_owned(), reason: reason.to_owned() })
}

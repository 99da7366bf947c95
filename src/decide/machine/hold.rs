//! A probe step that must stay healthy for a while: it is looked at again and again, each look a try of its own, with the run let go of
//! between two; so it survives restarts, and hears whoever stops it.

use jiff::Timestamp;

use super::Phase;
use super::Spot;
use super::State;
use crate::model::playbook::Step;
use crate::model::playbook::What;
use crate::model::run::Plan;
use crate::model::time::after;
use crate::model::time::since;

/// Since when a step that must stay healthy has been so, as far as somebody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Healthy {
    /// The first look that counts.
    pub from: Timestamp,
    /// The last look.
    pub last: Timestamp,
}

/// What follows a look that was healthy, when it is not the last one.
pub(super) fn goes_on(plan: &Plan, state: &mut State, spot: Spot, at: Timestamp) -> Option<Phase> {
    let Step { what: What::Probe { within, .. }, hold: Some(hold), .. } =
        plan.playbook.steps.get(spot.step)?
    else {
        return None;
    };
    // what nobody watched does not count: the time begins again
    let longest = hold.every.saturating_mul(2).saturating_add(*within);
    let before = state.healthy.get(&spot.step).filter(|it| since(at, it.last) <= longest);
    let from = before.map_or(at, |it| it.from);
    state.healthy.insert(spot.step, Healthy { from, last: at });
    let ends = after(from, hold.lasts);
    (at < ends).then(|| Phase::Ready {
        step: spot.step,
        item: None,
        attempt: 1,
        at: after(at, hold.every).min(ends),
    })
}

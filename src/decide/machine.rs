//! The run machine: a run's state is the fold of its journal, and each state asks for one effect.
//!
//! ```text
//! planned ─▶ awaiting approval ─▶ running ─▶ verifying ─▶ fixed
//!    │             │               │  ▲          │
//!    ▼             ▼               ▼  │          ▼
//! observed  expired / rejected   in doubt     undoing ─▶ failed        cancelled, superseded: between steps
//!                                                │
//!                                                ▼
//!                                              stuck
//! ```
//!
//! [`apply`] is the only list of legal transitions; [`next`] says what to do in a state. Starting is
//! folding an empty journal, and recovering is folding a longer one: there is no second path.

mod ask;
mod clock;
mod each;
mod ended;
mod harm;
mod hold;
mod observe;
mod slices;
mod state;
mod stopped;
mod undo;
mod verify;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::model::action::Action;
use crate::model::playbook::Mode;
use crate::model::playbook::OnUnknown;
use crate::model::playbook::Step;
use crate::model::playbook::What;
use crate::model::run::Entry;
use crate::model::run::Event;
use crate::model::run::Health;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::time::after;
use crate::model::time::show_duration;

pub use ask::YES;
pub use ask::ask_of;
pub use each::MOST_ITEMS;
pub use each::item_words;
pub use each::wave_ends;
pub use ended::backoff;
pub use harm::comparison_event;
pub use harm::is_guarded;
pub use hold::Healthy;
pub use slices::slices_of;
pub use state::Effect;
pub use state::IllegalEvent;
pub use state::Kept;
pub use state::List;
pub use state::Phase;
pub use state::Progress;
pub use state::Record;
pub use state::Spot;
pub use state::State;
pub use verify::next_look;
pub use verify::verification_event;

/// Folds a whole journal.
pub fn fold(plan: &Plan, entries: &[Entry]) -> Result<State, Box<IllegalEvent>> {
    let mut state = State::empty(plan);
    for entry in entries {
        state = apply(plan, state, entry)?;
    }
    Ok(state)
}

/// One transition, and the effect that the new state asks for.
pub fn step(
    plan: &Plan,
    state: State,
    entry: &Entry,
    now: Timestamp,
) -> Result<(State, Effect), Box<IllegalEvent>> {
    let state = apply(plan, state, entry)?;
    let effect = next(plan, &state, now);
    Ok((state, effect))
}

/// The legal transitions; everything else is an [`IllegalEvent`].
#[expect(clippy::too_many_lines, reason = "one table of all transitions reads better than several")]
pub fn apply(plan: &Plan, mut state: State, entry: &Entry) -> Result<State, Box<IllegalEvent>> {
    if let Event::ClockSet { by_ms, .. } = entry.event {
        return clock::set(state, entry, by_ms);
    }
    let at = entry.at;
    let illegal = |phase: Phase| Err(Box::new(IllegalEvent { phase, event: entry.event.clone() }));
    state.seq += 1;
    state.last_at = at;
    let phase = std::mem::replace(&mut state.phase, Phase::Empty);
    state.phase = match (phase, &entry.event) {
        // whatever it was at, it may have gone on: nothing of it is done again
        (phase, Event::Restored { made_at })
            if !matches!(phase, Phase::Empty | Phase::Final(_)) =>
        {
            state.reason = format!(
                "it was at work when the backup was made ({}) that quell was restored from, and nobody knows what it did \
                 since",
                made_at.strftime("%Y-%m-%d %H:%M:%S UTC")
            );
            let began = state.acted || matches!(phase, Phase::InFlight { .. });
            Phase::Final(if began { RunState::Stuck } else { RunState::Cancelled })
        }
        // nothing begins before it is known what must not get worse
        (phase @ Phase::Ready { .. }, Event::Baseline { taken })
            if harm::needs_baseline(plan, &state) && harm::is_whole(plan, taken) =>
        {
            state.baseline = Some(taken.clone());
            phase
        }
        (phase @ Phase::Ready { .. }, event)
            if harm::needs_baseline(plan, &state) && !matches!(event, Event::Stopped { .. }) =>
        {
            return illegal(phase);
        }
        (Phase::Empty, Event::Planned { digest }) => {
            state.digest.clone_from(digest);
            match plan.mode {
                Mode::Observe => Phase::Observing,
                Mode::Approve => Phase::AwaitingApproval,
                Mode::Auto => ready(plan, 0, at),
            }
        }
        (Phase::Observing, Event::DryRun { step, outcome, .. })
            if *step < plan.playbook.steps.len() && !state.dry_runs.contains_key(step) =>
        {
            state.dry_runs.insert(*step, outcome.clone());
            Phase::Observing
        }
        (Phase::Observing, Event::Observed) => {
            state.reason = observe::came_to(plan, &state.dry_runs);
            Phase::Final(RunState::Observed)
        }
        (Phase::AwaitingApproval, Event::Approved { by, digest })
            if *digest == state.digest
                && *by != plan.proposed_by
                && !state.approved_by.contains(by) =>
        {
            state.approved_by.push(by.clone());
            if state.approved_by.len() < usize::from(plan.approvals) {
                Phase::AwaitingApproval
            } else {
                ready(plan, 0, at)
            }
        }
        (Phase::AwaitingApproval, Event::Lifted { by, .. }) => {
            state.lifted_by = Some(by.clone());
            ready(plan, 0, at)
        }
        (Phase::AwaitingApproval, Event::Rejected { by, reason }) => {
            state.reason = format!("rejected by {by}: {reason}");
            Phase::Final(RunState::Rejected)
        }
        (Phase::AwaitingApproval, Event::Expired) => {
            state.reason = match (state.approved_by.len(), plan.approvals) {
                (0, _) => "nobody approved in time".to_owned(),
                (some, of) => format!("only {some} of {of} people approved in time"),
            };
            Phase::Final(RunState::Expired)
        }
        (Phase::Ready { step, item: None, .. }, Event::Listed { step: listed, items })
            if step == *listed && is_each(plan, step) && !items.is_empty() =>
        {
            let records = vec![Record::Pending; items.len()];
            state.lists.insert(step, List { items: items.clone(), records });
            Phase::Ready { step, item: Some(0), attempt: 1, at }
        }
        (
            Phase::Ready { step, item, attempt, .. },
            Event::StepStarted { step: begun, item: of, attempt: nth, intent },
        ) if (step, item, attempt) == (*begun, *of, *nth)
            && item.is_some() == is_each(plan, step)
            && ask_of(plan, step).is_none() =>
        {
            match plan.playbook.steps.get(step).map(|step| &step.what) {
                Some(What::Wait(time)) => Phase::Waiting { step, until: after(at, *time) },
                Some(What::Action(_)) => {
                    state.acted = true;
                    state.keep(Spot { step, item }, intent);
                    Phase::InFlight { step, item, attempt }
                }
                Some(What::Probe { .. }) => Phase::InFlight { step, item, attempt },
                Some(What::Ask(_)) | None => {
                    return illegal(Phase::Ready { step, item, attempt, at });
                }
            }
        }
        (Phase::Ready { step, item: None, .. }, Event::Asked { step: asked, question })
            if step == *asked && ask_of(plan, step).is_some() =>
        {
            let within = ask_of(plan, step).map_or(Duration::ZERO, |ask| ask.within);
            Phase::Asking { step, question: question.clone(), until: after(at, within) }
        }
        (Phase::Asking { step, .. }, Event::Answered { by, answers }) => {
            ask::answered(plan, &mut state, step, by, answers, at)
        }
        (
            Phase::Asking { step, until, .. },
            Event::StepEnded { step: ended, item: None, outcome, jitter },
        ) if step == *ended
            && at >= until
            && matches!(outcome, Outcome::Failed { retryable: false, .. }) =>
        {
            ended::ended_step(plan, &mut state, of_step(step), 1, outcome, *jitter, at)
        }
        (
            Phase::Ready { step, item, .. },
            Event::StepSkipped { step: skipped, item: of, reason },
        ) if (step, item) == (*skipped, *of) => {
            let spot = Spot { step, item };
            state.record(spot, Record::Skipped { reason: reason.clone() });
            each::following(plan, &mut state, spot, at)
        }
        // a step that could not be rendered or prepared fails without having begun
        (
            Phase::Ready { step, item, attempt, .. },
            Event::StepEnded { step: ended, item: of, outcome, jitter },
        ) if (step, item) == (*ended, *of)
            && matches!(outcome, Outcome::Failed { .. } | Outcome::Denied { .. }) =>
        {
            ended::ended_step(plan, &mut state, Spot { step, item }, attempt, outcome, *jitter, at)
        }
        (
            Phase::InFlight { step, item, attempt },
            Event::Sliced { step: of, item: it, cursor, gone },
        ) if (step, item) == (*of, *it) && *cursor != 0 && slices_of(plan, step).is_some() => {
            let spot = Spot { step, item };
            slices::sliced(plan, &mut state, (spot, attempt), (*cursor, *gone), at)
        }
        (
            Phase::InFlight { step, item, attempt },
            Event::StepEnded { step: ended, item: of, outcome, jitter },
        ) if (step, item) == (*ended, *of) => {
            ended::ended_step(plan, &mut state, Spot { step, item }, attempt, outcome, *jitter, at)
        }
        (
            Phase::Looking { step, item, harm, .. },
            Event::Looked { step: looked, item: next, outcome },
        ) if (step, item) == (*looked, *next)
            && (harm::allows_more(plan, harm.as_ref())
                || !matches!(outcome, Outcome::Done { .. })) =>
        {
            each::looked(plan, &mut state, step, item, outcome, at)
        }
        (phase @ (Phase::Looking { .. } | Phase::Verifying { .. }), Event::Compared { seen })
            if state.baseline.is_some() =>
        {
            match (seen.health, phase) {
                (Health::Unhealthy, phase) => harm::harmed(plan, &mut state, &phase, seen),
                (_, Phase::Looking { step, item, at, .. }) => {
                    Phase::Looking { step, item, at, harm: Some(seen.clone()) }
                }
                (_, Phase::Verifying { started_at, healthy_since, last, .. }) => {
                    Phase::Verifying { started_at, healthy_since, last, harm: Some(seen.clone()) }
                }
                (_, phase) => return illegal(phase),
            }
        }
        (
            Phase::Waiting { step, until },
            Event::StepEnded { step: ended, item: None, outcome, jitter },
        ) if step == *ended && at >= until => {
            ended::ended_step(plan, &mut state, of_step(step), 1, outcome, *jitter, at)
        }
        (Phase::InFlight { step, item, attempt }, Event::Interrupted) => {
            match plan.playbook.steps.get(step) {
                Some(Step { what: What::Action(action), .. }) => {
                    let mut reason = "quell stopped while the step was in flight".to_owned();
                    if matches!(action, Action::Command(_)) {
                        // its keeper saw to that; nobody knows how far it came
                        reason.push_str("; its command was killed");
                    }
                    ended::in_doubt(plan, &mut state, Spot { step, item }, attempt, reason, at)
                }
                _ => Phase::Ready { step, item, attempt: attempt + 1, at },
            }
        }
        (Phase::ReadingBack { step, item, attempt }, Event::ReadBack { seen }) => match seen.health
        {
            Health::Healthy => {
                let spot = Spot { step, item };
                let summary = format!("read back: {}", seen.measured);
                state.record(spot, Record::Done { summary, output: Value::Null });
                each::following(plan, &mut state, spot, at)
            }
            Health::Unhealthy | Health::Unknown => {
                state.reason =
                    format!("nobody knows whether the step happened; read back: {}", seen.measured);
                Phase::InDoubt { step, item, attempt }
            }
        },
        (Phase::InDoubt { step, item, attempt }, Event::Settled { by, happened }) => {
            if *happened {
                let spot = Spot { step, item };
                let summary = format!("{by} says that it happened");
                state.record(spot, Record::Done { summary, output: Value::Null });
                each::following(plan, &mut state, spot, at)
            } else {
                state.kept.remove(&Spot { step, item });
                Phase::Ready { step, item, attempt: attempt + 1, at }
            }
        }
        (
            phase @ (Phase::AwaitingApproval
            | Phase::Ready { .. }
            | Phase::Waiting { .. }
            | Phase::Looking { .. }
            | Phase::Asking { .. }
            | Phase::InDoubt { .. }
            | Phase::ToVerify
            | Phase::Verifying { .. }),
            Event::Stopped { why },
        ) => stopped::stopped(plan, &mut state, &phase, why),
        (Phase::ToVerify, Event::VerifyStarted) => {
            Phase::Verifying { started_at: at, healthy_since: None, last: None, harm: None }
        }
        (Phase::Verifying { .. }, Event::Interrupted) => {
            // what was not watched does not count: the window begins again
            Phase::Verifying { started_at: at, healthy_since: None, last: None, harm: None }
        }
        (phase @ Phase::Verifying { .. }, Event::Verified { seen }) => {
            verify::verified(plan, &mut state, phase, seen, at)
        }
        (Phase::Undoing { left }, Event::UndoStarted { step, item, .. })
            if left.first() == Some(&Spot { step: *step, item: *item }) =>
        {
            let spot = Spot { step: *step, item: *item };
            Phase::UndoInFlight { spot, left: left.into_iter().skip(1).collect() }
        }
        // an undo that could not be rendered fails without having begun
        (Phase::Undoing { left }, Event::UndoEnded { step, item, outcome })
            if left.first() == Some(&Spot { step: *step, item: *item })
                && !matches!(outcome, Outcome::Done { .. }) =>
        {
            undo::undone(&mut state, Spot { step: *step, item: *item }, Vec::new(), outcome)
        }
        (Phase::UndoInFlight { spot, left }, Event::UndoEnded { step, item, outcome })
            if spot == (Spot { step: *step, item: *item }) =>
        {
            undo::undone(&mut state, spot, left, outcome)
        }
        (Phase::UndoInFlight { spot, left }, Event::Interrupted) => {
            match plan.playbook.steps.get(spot.step).map(|step| step.on_unknown) {
                Some(OnUnknown::Retry) => {
                    Phase::Undoing { left: std::iter::once(spot).chain(left).collect() }
                }
                Some(OnUnknown::Probe | OnUnknown::Ask) | None => {
                    let reason = "quell stopped while the undo was in flight".to_owned();
                    undo::undone(&mut state, spot, left, &Outcome::Unknown { reason })
                }
            }
        }
        (phase, _) => return illegal(phase),
    };
    Ok(state)
}

/// What a state asks for at `now`. A state that says "in flight" is one whose worker died: the worker that
/// is alive never asks while it performs.
pub fn next(plan: &Plan, state: &State, now: Timestamp) -> Effect {
    match &state.phase {
        Phase::Observing => Effect::Write(Event::Observed),
        Phase::AwaitingApproval => match state.approve_until {
            Some(until) if now >= until => Effect::Write(Event::Expired),
            Some(until) => Effect::Sleep { until },
            None => Effect::AskPerson,
        },
        Phase::Ready { step, item, attempt, at } => {
            if now >= *at && harm::needs_baseline(plan, state) {
                Effect::Measure
            } else if now >= *at {
                Effect::Begin { spot: Spot { step: *step, item: *item }, attempt: *attempt }
            } else {
                Effect::Sleep { until: *at }
            }
        }
        Phase::Waiting { step, until } => {
            if now >= *until {
                let outcome = Outcome::Done { summary: "waited".into(), output: Value::Null };
                Effect::Write(Event::StepEnded { step: *step, item: None, outcome, jitter: 0 })
            } else {
                Effect::Sleep { until: *until }
            }
        }
        Phase::Looking { step, item, at, .. } => {
            if now >= *at {
                Effect::Look { step: *step, item: *item }
            } else {
                Effect::Sleep { until: *at }
            }
        }
        Phase::Asking { step, until, .. } => {
            if now >= *until {
                let within = ask_of(plan, *step).map_or(Duration::ZERO, |ask| ask.within);
                let reason = format!("nobody answered within {}", show_duration(within));
                let outcome = Outcome::Failed { reason, retryable: false };
                Effect::Write(Event::StepEnded { step: *step, item: None, outcome, jitter: 0 })
            } else {
                Effect::Sleep { until: *until }
            }
        }
        Phase::InFlight { .. } | Phase::UndoInFlight { .. } => Effect::Write(Event::Interrupted),
        Phase::ReadingBack { .. } => Effect::ReadBack,
        Phase::InDoubt { .. } => Effect::AskPerson,
        Phase::ToVerify => Effect::Write(Event::VerifyStarted),
        Phase::Verifying { .. } => Effect::Verify,
        Phase::Undoing { left } => {
            left.first().map_or(Effect::Over, |spot| Effect::Undo { spot: *spot })
        }
        Phase::Empty | Phase::Final(_) => Effect::Over,
    }
}

fn of_step(step: usize) -> Spot {
    Spot { step, item: None }
}

fn is_each(plan: &Plan, step: usize) -> bool {
    plan.playbook.steps.get(step).is_some_and(|step| step.each.is_some())
}

fn ready(plan: &Plan, step: usize, at: Timestamp) -> Phase {
    if step < plan.playbook.steps.len() {
        Phase::Ready { step, item: None, attempt: 1, at }
    } else if plan.verify.is_some() {
        Phase::ToVerify
    } else {
        Phase::Final(RunState::Fixed)
    }
}

#[cfg(test)]
pub(crate) mod tests;

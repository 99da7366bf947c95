//! A run between its effects: whether a step may begin, what it does when it begins, and what people are told of it.
//! The engine performs and observes; the rehearsal answers from a script.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::audience;
use crate::decide::condition;
use crate::decide::guard;
use crate::decide::guard::Subject;
use crate::decide::items;
use crate::decide::machine::Phase;
use crate::decide::machine::Spot;
use crate::decide::machine::State;
use crate::decide::page;
use crate::decide::plan;
use crate::decide::plan::Wanted;
use crate::decide::render::Escape;
use crate::decide::render::render;
use crate::decide::respond;
use crate::decide::tell;
use crate::model::config::Config;
use crate::model::decision::Circumstances;
use crate::model::decision::Facts;
use crate::model::decision::HandKind;
use crate::model::decision::Pause;
use crate::model::decision::Verdict;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::incident::Notice;
use crate::model::incident::Owed;
use crate::model::playbook::Probe;
use crate::model::playbook::Step;
use crate::model::playbook::What;
use crate::model::rule::Set;
use crate::model::rule::is_schedule;
use crate::model::run::Event;
use crate::model::run::Health;
use crate::model::run::Intent;
use crate::model::run::Observation;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::run::Stop;
use crate::model::time::after;
use crate::model::time::show_duration;
use crate::model::time::since;
use crate::model::window::Window;

/// A hold before a step that lasts longer than this gives the run up: what it was planned for is old.
const GIVE_UP_AFTER: Duration = Duration::from_mins(15);

/// Whether a step may begin.
#[derive(Debug, PartialEq, Eq)]
pub enum StillTrue {
    /// Yes.
    Go,
    /// Not now.
    Hold {
        /// Until.
        until: Timestamp,
        /// The guard.
        guard: String,
        /// Why.
        reason: String,
    },
    /// Never: the run stops here.
    Stop(Stop),
}

/// Facts for the guards that are asked again before a step, and what else must be asked outside for them.
#[derive(Debug)]
pub struct Recheck {
    /// Known so far.
    pub facts: Facts,
    /// Whether Alertmanager is to be asked.
    pub standing: bool,
    /// The precheck to be asked: before the first action only.
    pub precheck: Option<Probe>,
    /// Whether the population of the rule is to be counted.
    pub population: bool,
    /// What the playbook wants to be shown before an action.
    pub proofs: Vec<Wanted>,
}

/// What is known from the store and the files before a step begins.
#[derive(Debug)]
pub struct Known<'a> {
    /// Windows that are in force.
    pub windows: &'a [Window],
    /// Pauses that are in force.
    pub pauses: Vec<Pause>,
    /// What holds around the run.
    pub around: Circumstances,
}

/// What must be known before a step begins.
pub fn recheck(
    plan: &Plan,
    subject: &Subject,
    state: &State,
    episode: &Episode,
    known: Known<'_>,
    now: Timestamp,
) -> Recheck {
    let Known { windows, pauses, mut around } = known;
    let firing_for = since(now, episode.opened_at);
    // a remedy that has acted goes on to its end: half of it would be worse
    let windows = if state.acted { &[] } else { windows };
    if state.acted {
        around.hands.retain(|hand| hand.kind == HandKind::TakenOver);
    }
    let facts = Facts { pauses, firing_for, around, ..respond::facts(windows, episode, now) };
    let ask = episode.open && plan.remedy > 0 && guard::pause(subject, &facts.pauses).is_none();
    let precheck = match &plan.verify {
        Some(verify) if ask && !state.acted && !is_schedule(&plan.rule) => {
            Some(verify.probe.clone())
        }
        Some(_) | None => None,
    };
    let acts = if let Phase::Ready { step, .. } = state.phase {
        let step = plan.playbook.steps.get(step);
        step.is_some_and(|step| matches!(step.what, What::Action(_)))
    } else {
        false
    };
    let proofs = if ask && acts { plan::wanted_before_step(plan, state.acted) } else { Vec::new() };
    Recheck { facts, standing: ask, precheck, population: ask && acts, proofs }
}

/// Asks again, immediately before a step: kill switch, alert still firing, silence, and before the first action the
/// precheck.
pub fn still_true(subject: &Subject, facts: &Facts, now: Timestamp) -> StillTrue {
    let rulings = guard::still_true(subject, facts, now);
    let (verdict, _) = guard::conclude(&rulings);
    let deciding = rulings.into_iter().find(|it| it.verdict.caution() == verdict.caution());
    let Some(ruling) = deciding else { return StillTrue::Go };
    match ruling.verdict {
        Verdict::Proceed => StillTrue::Go,
        // nobody can say when a person mends it; what takes a temporary measure back waits for that
        Verdict::Hold { .. } if ruling.guard == guard::CREDENTIAL && subject.remedy > 0 => {
            StillTrue::Stop(Stop::Refused { guard: ruling.guard, reason: ruling.reason })
        }
        Verdict::Hold { until } => match &facts.precheck {
            Some(seen) if seen.health == Health::Healthy && ruling.guard == guard::EVIDENCE => {
                StillTrue::Stop(Stop::AlreadyHealthy { measured: seen.measured.clone() })
            }
            _ => StillTrue::Hold {
                // a window may be ended early, so a step asks again before the end of what holds it
                until: until.min(after(now, guard::AGAIN_AFTER)),
                guard: ruling.guard,
                reason: ruling.reason,
            },
        },
        Verdict::Refuse if ruling.guard == guard::FIRING => StillTrue::Stop(Stop::Resolved),
        // one that nobody has approved is given up and judged anew, which proposes it
        Verdict::Refuse | Verdict::Ask => {
            StillTrue::Stop(Stop::Refused { guard: ruling.guard, reason: ruling.reason })
        }
    }
}

/// What gives a run up that a guard has held before a step for too long; what a person must end never does.
pub fn gives_up(state: &State, guard: &str, reason: &str, now: Timestamp) -> Option<Stop> {
    // a delay of its own, such as the time between two waves, is no hold
    let from = match state.phase {
        Phase::Ready { at, .. } => at.max(state.last_at),
        Phase::Empty
        | Phase::AwaitingApproval
        | Phase::Observing
        | Phase::InFlight { .. }
        | Phase::Waiting { .. }
        | Phase::Looking { .. }
        | Phase::Asking { .. }
        | Phase::ReadingBack { .. }
        | Phase::InDoubt { .. }
        | Phase::ToVerify
        | Phase::Verifying { .. }
        | Phase::Undoing { .. }
        | Phase::UndoInFlight { .. }
        | Phase::Final(_) => state.last_at,
    };
    let a_person_ends_it = [guard::KILL_SWITCH, guard::CREDENTIAL].contains(&guard);
    let long = since(now, from) >= GIVE_UP_AFTER && !a_person_ends_it;
    long.then(|| Stop::Refused { guard: guard.to_owned(), reason: reason.to_owned() })
}

/// Between steps a run may be stopped; while something is in flight, or being undone, it may not.
pub fn may_stop(state: &State) -> bool {
    match state.phase {
        Phase::AwaitingApproval
        | Phase::Ready { .. }
        | Phase::Waiting { .. }
        | Phase::Looking { .. }
        | Phase::Asking { .. }
        | Phase::InDoubt { .. }
        | Phase::ToVerify
        | Phase::Verifying { .. } => true,
        Phase::Empty
        | Phase::Observing
        | Phase::InFlight { .. }
        | Phase::ReadingBack { .. }
        | Phase::Undoing { .. }
        | Phase::UndoInFlight { .. }
        | Phase::Final(_) => false,
    }
}

/// Whether a run that waits should learn that its alert has resolved.
pub fn waits_for_alert(plan: &Plan, state: &State) -> bool {
    matches!(state.phase, Phase::AwaitingApproval | Phase::Asking { .. }) && plan.remedy != 0
}

/// What beginning a step comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Begin {
    /// Write this entry; nothing else.
    Write(Event),
    /// Write that it started, perform its intent, write the outcome.
    Act(Intent),
    /// Write that it started, observe until healthy, write the outcome.
    Look {
        /// What is written.
        intent: Intent,
        /// What to observe.
        probe: Probe,
        /// For how long.
        within: Duration,
    },
}

/// Renders a step, or an item of one; a `for_each` without an item lists its items, of which there may be `most`. `None` when
/// the plan has no such step: a damaged journal.
pub fn begin(
    plan: &Plan,
    run: &str,
    state: &State,
    spot: Spot,
    attempt: u32,
    most: &Set<u32>,
) -> Option<Begin> {
    let Spot { step, item } = spot;
    let definition = plan.playbook.steps.get(step)?;
    let context = plan::spot_context(plan, run, state, spot);
    if let Some(source) = definition.condition.as_ref().filter(|it| asks_now(it, definition, spot))
    {
        match condition::evaluate_json(source, &context) {
            Ok(true) => {}
            Ok(false) => {
                let reason = format!("if: {source} is false");
                return Some(Begin::Write(Event::StepSkipped { step, item, reason }));
            }
            Err(error) => {
                return Some(Begin::Write(failed(spot, format!("if: {source}: {error}"))));
            }
        }
    }
    if let (Some(each), None) = (&definition.each, item) {
        let approved = plan.lists.get(&step).cloned();
        let items = approved.map_or_else(|| items::resolve(&each.items, &context), Ok);
        return Some(Begin::Write(match items.and_then(|items| items::at_most(items, most)) {
            Ok(items) => Event::Listed { step, items },
            Err(reason) => failed(spot, format!("for_each: {reason}")),
        }));
    }
    let key = plan::key(run, spot);
    Some(match &definition.what {
        What::Wait(_) => {
            let intent = Intent { action: None, timeout: Duration::ZERO, key };
            Begin::Write(Event::StepStarted { step, item, attempt, intent })
        }
        What::Ask(ask) => Begin::Write(match render(&ask.question, &context, Escape::None) {
            Ok(question) => Event::Asked { step, question },
            Err(error) => failed(spot, error),
        }),
        What::Action(action) => match plan::render_action(action, &context) {
            Ok(action) => {
                Begin::Act(Intent { action: Some(action), timeout: definition.timeout, key })
            }
            Err(error) => Begin::Write(failed(spot, error)),
        },
        What::Probe { probe, within } => match plan::render_probe(probe, &context) {
            Ok(probe) => {
                let intent = Intent { action: None, timeout: *within, key };
                Begin::Look { intent, probe, within: *within }
            }
            Err(error) => Begin::Write(failed(spot, error)),
        },
    })
}

/// Whether the `if` of a step is asked here: one that names `item` or `index` is asked for each item, any other once, before
/// the items are listed.
fn asks_now(source: &str, step: &Step, spot: Spot) -> bool {
    if step.each.is_none() {
        return true;
    }
    let of_items = condition::names(source)
        .iter()
        .any(|name| plan::OF_ITEMS.contains(&name.split('.').next().unwrap_or_default()));
    of_items == spot.item.is_some()
}

/// What must be healthy between two waves of a step, and within what time; the error says why that cannot be rendered. `None`
/// when the plan has no such step: a damaged journal.
pub fn between(
    plan: &Plan,
    run: &str,
    state: &State,
    step: usize,
) -> Option<Result<(Probe, Duration), String>> {
    let between = plan.playbook.steps.get(step)?.each.as_ref()?.between.as_ref()?;
    let context = plan::step_context(plan, run, state);
    Some(plan::render_probe(&between.probe, &context).map(|probe| (probe, between.within)))
}

/// Renders the undo of a step, or of an item of one. `None` when the plan has none: a damaged journal.
pub fn begin_undo(plan: &Plan, run: &str, state: &State, spot: Spot) -> Option<Begin> {
    let Spot { step, item } = spot;
    let definition = plan.playbook.steps.get(step)?;
    let undo = definition.undo.as_ref()?;
    let context = plan::spot_context(plan, run, state, spot);
    Some(match plan::render_action(undo, &context) {
        Ok(action) => {
            let key = format!("{}/undo", plan::key(run, spot));
            Begin::Act(Intent { action: Some(action), timeout: definition.timeout, key })
        }
        Err(reason) => {
            let outcome = Outcome::Failed { reason, retryable: false };
            Begin::Write(Event::UndoEnded { step, item, outcome })
        }
    })
}

fn failed(Spot { step, item }: Spot, reason: String) -> Event {
    let outcome = Outcome::Failed { reason, retryable: false };
    Event::StepEnded { step, item, outcome, jitter: 0 }
}

/// The outcome of a probe step after its `tries`th observation, `took` after the first; `None` to look again.
pub fn looked(
    name: &str,
    probe: &Probe,
    seen: &Observation,
    tries: u32,
    took: Duration,
    within: Duration,
) -> Option<Outcome> {
    if seen.health == Health::Healthy {
        let again = if tries == 1 { String::new() } else { format!(" after {tries} tries") };
        return Some(Outcome::Done {
            summary: format!("{} healthy{again}: {}", probe.kind(), seen.measured),
            output: serde_json::json!({ "measured": seen.measured }),
        });
    }
    if seen.denied {
        let reason = format!("{name} could not be observed: {}", seen.measured);
        return Some(Outcome::Denied { credentials: Vec::new(), reason });
    }
    (took >= within).then(|| Outcome::Failed {
        reason: format!("{name} not healthy within {}: {}", show_duration(within), seen.measured),
        retryable: true,
    })
}

/// In words, what a run that has ended or waits for a person came to; else empty.
pub fn outcome(plan: &Plan, state: &State) -> String {
    let summary = state.summary();
    let waits = matches!(
        summary,
        RunState::InDoubt | RunState::AwaitingAnswer | RunState::AwaitingApproval
    );
    if summary.is_final() || waits { tell::outcome_line(plan, state) } else { String::new() }
}

/// What people are told when a run has ended or waits for a person. What did nothing is not told: its decision was.
pub fn news(
    incident: &Incident,
    run: &str,
    plan: &Plan,
    before: &State,
    state: &State,
    now: Timestamp,
) -> Option<Notice> {
    // a schedule that does what it should is silent
    let done = matches!(state.summary(), RunState::Fixed | RunState::Observed);
    let routine = done && is_schedule(&plan.rule);
    if !is_news(before, state) || routine {
        return None;
    }
    Some(match state.summary() {
        RunState::AwaitingApproval => tell::approved_in_part(incident, run, plan, state, now),
        RunState::Planned
        | RunState::Running
        | RunState::AwaitingAnswer
        | RunState::InDoubt
        | RunState::Verifying
        | RunState::Undoing
        | RunState::Fixed
        | RunState::Failed
        | RunState::Stuck
        | RunState::Cancelled
        | RunState::Expired
        | RunState::Rejected
        | RunState::Observed
        | RunState::Superseded => tell::run_ended(incident, run, plan, state, now),
    })
}

/// What is owed for a person's word on a run, to those who may be told.
pub fn said(
    config: &Config,
    incident: &Incident,
    run: &str,
    plan: &Plan,
    (before, state): (&State, &State),
    now: Timestamp,
) -> Vec<Owed> {
    let notice = news(incident, run, plan, before, state, now);
    let owed = notice.map(|notice| audience::owed(config, &notice, false)).unwrap_or_default();
    page::held(config, incident, owed)
}

/// Whether people are told of what a run has come to.
pub fn is_news(before: &State, state: &State) -> bool {
    let summary = state.summary();
    if summary == RunState::AwaitingApproval {
        return state.approved_by.len() > before.approved_by.len();
    }
    // what was proposed to people is taken back before them; a resolution says so itself
    let proposed = before.phase == Phase::AwaitingApproval || before.is_approved();
    let tells = match summary {
        RunState::Superseded => proposed && state.withdrawn,
        RunState::InDoubt
        | RunState::AwaitingAnswer
        | RunState::Fixed
        | RunState::Failed
        | RunState::Stuck
        | RunState::Cancelled
        | RunState::Expired
        | RunState::Rejected
        | RunState::Observed => true,
        RunState::Planned
        | RunState::AwaitingApproval
        | RunState::Running
        | RunState::Verifying
        | RunState::Undoing => false,
    };
    tells && summary != before.summary()
}

#[cfg(test)]
mod tests;

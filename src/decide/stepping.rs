//! A run between its effects: whether a step may begin, what it does when it begins, and what people are told of it.
//! The engine performs and observes; the rehearsal answers from a script.

mod hold;

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::audience;
use crate::decide::condition;
use crate::decide::guard;
use crate::decide::guard::Subject;
use crate::decide::items;
use crate::decide::items::Most;
use crate::decide::machine;
use crate::decide::machine::Kept;
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
use crate::model::action::Action;
use crate::model::config::Config;
use crate::model::config::Limits;
use crate::model::decision::Circumstances;
use crate::model::decision::Facts;
use crate::model::decision::HandKind;
use crate::model::decision::Pause;
use crate::model::decision::Verdict;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::incident::Notice;
use crate::model::incident::Owed;
use crate::model::playbook::Measure;
use crate::model::playbook::Step;
use crate::model::playbook::Undo;
use crate::model::playbook::What;
use crate::model::probe::Probe;
use crate::model::rule::is_schedule;
use crate::model::run::Event;
use crate::model::run::Health;
use crate::model::run::Intent;
use crate::model::run::Observation;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::run::Sample;
use crate::model::run::Stop;
use crate::model::time::after;
use crate::model::time::show_duration;
use crate::model::time::since;
use crate::model::window::Window;

pub use hold::Held;
pub use hold::Hold;
pub use hold::held;

/// Longest time to learn that nothing got worse between two waves that have nothing else between them.
const GATE_WITHIN: Duration = Duration::from_mins(5);

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
    /// Look at the target, which makes the intent absolute; then as `Act`. A look that fails is the outcome.
    Prepare(Intent),
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
    (spot, attempt): (Spot, u32),
    limits: &Limits,
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
        let most = Most::of(limits, definition);
        let approved = plan.lists.get(&step).cloned();
        let items = approved.map_or_else(|| items::resolve(each, &context, &most), Ok);
        return Some(Begin::Write(match items {
            Ok(items) => Event::Listed { step, items },
            Err(reason) => failed(spot, format!("for_each: {reason}")),
        }));
    }
    let key = plan::key(run, spot);
    Some(match &definition.what {
        What::Wait(_) => {
            let intent = Intent { action: None, previous: None, timeout: Duration::ZERO, key };
            Begin::Write(Event::StepStarted { step, item, attempt, intent })
        }
        What::Ask(ask) => Begin::Write(match render(&ask.question, &context, Escape::None) {
            Ok(question) => Event::Asked { step, question },
            Err(error) => failed(spot, error),
        }),
        What::Action(action) => match plan::render_action(action, &context) {
            Ok(mut action) => {
                if let Some((slices, so_far)) = action.slices_mut().zip(state.slices.get(&spot)) {
                    slices.cursor = so_far.cursor;
                }
                let timeout = definition.timeout;
                let intent = Intent { action: Some(action), previous: None, timeout, key };
                prepared(state, spot, intent)
            }
            Err(error) => Begin::Write(failed(spot, error)),
        },
        What::Probe { probe, within } => match plan::render_probe(probe, &context) {
            Ok(probe) => {
                let intent = Intent { action: None, previous: None, timeout: *within, key };
                Begin::Look { intent, probe, within: *within }
            }
            Err(error) => Begin::Write(failed(spot, error)),
        },
    })
}

/// What is begun is absolute. A try before that may have happened is done again exactly as it was: looked at anew, two more
/// replicas would be four.
fn prepared(state: &State, spot: Spot, intent: Intent) -> Begin {
    if !intent.action.as_ref().is_some_and(Action::is_prepared) {
        return Begin::Act(intent);
    }
    match state.kept.get(&spot) {
        Some(Kept { action, previous, .. }) => Begin::Act(Intent {
            action: Some(action.clone()),
            previous: previous.clone(),
            ..intent
        }),
        None => Begin::Prepare(intent),
    }
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

/// What is looked at between two waves of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// What must be healthy beside that nothing got worse.
    pub probe: Option<Probe>,
    /// Within what time.
    pub within: Duration,
}

/// What is looked at between two waves of a step; the error says why that cannot be rendered. `None` when the plan has no such
/// step: a damaged journal.
pub fn between(plan: &Plan, run: &str, state: &State, step: usize) -> Option<Result<Gate, String>> {
    let each = plan.playbook.steps.get(step)?.each.as_ref()?;
    let Some(between) = &each.between else {
        return machine::is_guarded(plan).then_some(Ok(Gate { probe: None, within: GATE_WITHIN }));
    };
    let context = plan::step_context(plan, run, state);
    let probe = plan::render_probe(&between.probe, &context);
    Some(probe.map(|probe| Gate { probe: Some(probe), within: between.within }))
}

/// What is seen between two waves: what nobody can say of harm comes before what the probe says.
pub fn at_gate(harm: Option<&Observation>, probed: Option<Observation>) -> Observation {
    match (harm.filter(|seen| seen.health != Health::Healthy), probed, harm) {
        (Some(unseen), _, _) => unseen.clone(),
        (None, Some(seen), _) => seen,
        (None, None, Some(harmless)) => harmless.clone(),
        (None, None, None) => Observation {
            health: Health::Healthy,
            measured: "nothing to look at".to_owned(),
            denied: false,
        },
    }
}

/// What a try of a step is worth: its end, or that of a slice of it. Where slices went before, what is said counts them all.
pub fn ended(
    plan: &Plan,
    state: &State,
    Spot { step, item }: Spot,
    outcome: Outcome,
    jitter: u16,
) -> Event {
    if machine::slices_of(plan, step).is_none() {
        return Event::StepEnded { step, item, outcome, jitter };
    }
    let so_far = state.slices.get(&Spot { step, item });
    let (slices, before) = so_far.map_or((0, 0), |it| (it.slices, it.gone));
    let outcome = match outcome {
        Outcome::Done { summary, mut output } => {
            let number = |name: &str| output.get(name).and_then(serde_json::Value::as_u64);
            let gone = number("deleted").unwrap_or_default();
            if let Some(cursor) = number("cursor").filter(|cursor| *cursor != 0) {
                return Event::Sliced { step, item, cursor, gone };
            }
            if slices == 0 {
                Outcome::Done { summary, output }
            } else {
                let all = before.saturating_add(gone);
                if let Some(map) = output.as_object_mut() {
                    map.insert("deleted".into(), all.into());
                }
                let summary = format!("{summary}; {all} keys in {} slices", slices + 1);
                Outcome::Done { summary, output }
            }
        }
        Outcome::Failed { reason, retryable } => {
            Outcome::Failed { reason: with_slices(reason, slices, before), retryable }
        }
        Outcome::Denied { credentials, reason } => {
            Outcome::Denied { credentials, reason: with_slices(reason, slices, before) }
        }
        Outcome::Unknown { reason } => {
            Outcome::Unknown { reason: with_slices(reason, slices, before) }
        }
    };
    Event::StepEnded { step, item, outcome, jitter }
}

fn with_slices(reason: String, slices: u32, gone: u64) -> String {
    if slices == 0 {
        reason
    } else {
        format!("{reason}; {gone} keys went in {slices} slices before")
    }
}

/// What an item must still be among, immediately before it is done; the error says why that cannot be rendered. `None` when its
/// step names nothing of the kind.
pub fn among(plan: &Plan, run: &str, state: &State, spot: Spot) -> Option<Result<Measure, String>> {
    spot.item?;
    let among = plan.playbook.steps.get(spot.step)?.each.as_ref()?.among.as_ref()?;
    let context = plan::step_context(plan, run, state);
    Some(plan::render_measure(&Measure::Promql { query: among.query.clone() }, &context))
}

/// The entry for an item that is not among what was found now: it is left out, and what is new is never added.
pub fn vanished(plan: &Plan, state: &State, spot: Spot, found: &[Sample]) -> Option<Event> {
    let Spot { step, item } = spot;
    let among = plan.playbook.steps.get(step)?.each.as_ref()?.among.as_ref()?;
    let words = machine::item_words(state.lists.get(&step)?.items.get(item?)?);
    let there = found.iter().any(|sample| sample.labels.get(&among.label) == words);
    let reason = format!("{words} is no longer among the {} of {}", among.label, among.query);
    (!there).then_some(Event::StepSkipped { step, item, reason })
}

/// Renders the undo of a step, or of an item of one. `None` when the plan has none: a damaged journal.
pub fn begin_undo(plan: &Plan, run: &str, state: &State, spot: Spot) -> Option<Begin> {
    let Spot { step, item } = spot;
    let definition = plan.playbook.steps.get(step)?;
    let action = match definition.undo.as_ref()? {
        // it was made absolute when the step was prepared, and holds no template
        Undo::Previous => Ok(state.previous(spot)?.clone()),
        Undo::Action(action) => {
            plan::render_action(action, &plan::spot_context(plan, run, state, spot))
        }
    };
    Some(match action {
        Ok(action) => {
            let key = format!("{}/undo", plan::key(run, spot));
            Begin::Act(Intent {
                action: Some(action),
                previous: None,
                timeout: definition.timeout,
                key,
            })
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

/// The outcome of a probe step of this kind after its `tries`th observation, `took` after the first; `None` to look again.
pub fn looked(
    name: &str,
    kind: &str,
    seen: &Observation,
    tries: u32,
    took: Duration,
    within: Duration,
) -> Option<Outcome> {
    if seen.health == Health::Healthy {
        let again = if tries == 1 { String::new() } else { format!(" after {tries} tries") };
        return Some(Outcome::Done {
            summary: format!("{kind} healthy{again}: {}", seen.measured),
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

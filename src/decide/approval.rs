//! Approval (G11): who may say yes to a plan, how many must, and whether what they said yes to is still what would be done.
//!
//! A yes is bound to the digest of the plan, and the plan holds everything that is rendered: playbook, parameters,
//! verification, and the items of each `for_each` that can be known before it begins. Before its first step a plan is made
//! anew from the files in force; one that came out different was never approved.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::decide::explain::Files;
use crate::decide::guard::Subject;
use crate::decide::guard::lowest_mode;
use crate::decide::items;
use crate::decide::items::Most;
use crate::decide::machine::State;
use crate::decide::plan;
use crate::model::decision::Glass;
use crate::model::incident::Episode;
use crate::model::playbook::Mode;
use crate::model::playbook::Playbook;
use crate::model::playbook::Step;
use crate::model::run::Event;
use crate::model::run::Plan;
use crate::model::run::Stop;
use crate::model::time::after;

/// Begins the source of alerts that an operator posted: `operator:dana`.
pub const OPERATOR: &str = "operator:";

/// Variables that nobody knows before a run is at work.
const OF_RUNS: [&str; 2] = ["steps", "run"];

/// Why a person's yes does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// This person may never say it to this plan.
    Forbidden(String),
    /// It has been said, or was said to something else.
    Conflict(String),
}

/// The operator who asked for what an episode leads to; empty when no person did.
pub fn proposer(episode: &Episode) -> String {
    episode.source.strip_prefix(OPERATOR).unwrap_or_default().to_owned()
}

/// A plan in a mode: one that waits for approval says until when, and shows the items that can be known.
pub fn in_mode(plan: Plan, mode: Mode, now: Timestamp) -> Plan {
    let waits = mode == Mode::Approve;
    let lists = if waits { known_lists(&plan) } else { BTreeMap::new() };
    let approve_until = waits.then(|| after(now, plan.playbook.approve_within));
    Plan { mode, lists, approve_until, ..plan }
}

/// A plan that needs no approval because of break-glass says whose that is.
pub fn lifted(plan: Plan, subject: &Subject, glass: Option<&Glass>) -> Plan {
    let lifts = plan.mode == Mode::Auto && lowest_mode(subject).0 == Mode::Approve;
    Plan { glass: glass.filter(|_| lifts).cloned(), ..plan }
}

/// What becomes of a run that waits for approval; `None`: it goes on waiting.
pub fn while_waiting(
    files: Files<'_>,
    plan: &Plan,
    episode: &Episode,
    glass: Option<&Glass>,
    now: Timestamp,
) -> Option<Event> {
    if let Some(what) = changed(files, plan, episode, now) {
        return Some(Event::Stopped { why: Stop::Changed { what } });
    }
    let Glass { by, reason, .. } = glass?.clone();
    Some(Event::Lifted { by, reason })
}

/// Whether what people said yes to still stands before it acts for the first time; else why not. After that, half of it would
/// be worse.
pub fn void(
    files: Files<'_>,
    plan: &Plan,
    state: &State,
    episode: &Episode,
    glass: Option<&Glass>,
    now: Timestamp,
) -> Option<Stop> {
    if state.acted || plan.remedy == 0 {
        return None;
    }
    let lifted = state.lifted_by.as_ref().or(plan.glass.as_ref().map(|glass| &glass.by));
    if let (Some(by), None) = (lifted, glass) {
        let what = format!("break-glass by {by} is over, so people must approve it");
        return Some(Stop::Changed { what });
    }
    if plan.mode != Mode::Approve && plan.glass.is_none() {
        return None;
    }
    changed(files, plan, episode, now).map(|what| Stop::Changed { what })
}

/// The items of each `for_each` that no step has to find first.
fn known_lists(plan: &Plan) -> BTreeMap<usize, Vec<Value>> {
    let mut context = plan::step_context(plan, "", &State::empty(plan));
    if let Some(variables) = context.as_object_mut() {
        variables.retain(|name, _| !OF_RUNS.contains(&name.as_str()));
    }
    // a list that is too long fails its step, whoever approved it
    let any = Most { items: usize::MAX, knob: String::new() };
    let steps = plan.playbook.steps.iter().enumerate();
    steps
        .filter_map(|(index, step)| {
            let each = step.each.as_ref()?;
            Some((index, items::resolve(each, &context, &any).ok()?))
        })
        .collect()
}

/// Whether this person may approve now: of the tier, not the one who asked for it, and not twice.
pub fn may(run: &str, plan: &Plan, state: &State, who: &str, tier: u8) -> Result<(), Refused> {
    let needs = people(needed(plan, state), plan.tier, !state.approved_by.is_empty());
    if tier < plan.tier {
        let has = if tier == 0 {
            format!("{who} is no operator")
        } else {
            format!("{who} has tier {tier}")
        };
        return Err(Refused::Forbidden(format!("{run} needs {needs}, and {has}")));
    }
    if who == plan.proposed_by {
        return Err(Refused::Forbidden(format!(
            "{who} asked for {run}, so it needs {needs} who did not"
        )));
    }
    if state.approved_by.iter().any(|by| by == who) {
        return Err(Refused::Conflict(format!("{who} has approved already; it needs {needs}")));
    }
    Ok(())
}

/// How many people must still approve.
pub fn needed(plan: &Plan, state: &State) -> usize {
    usize::from(plan.approvals).saturating_sub(state.approved_by.len())
}

/// `one person of tier 3`, `2 people of tier 3`; `one more person of tier 3` when some have said yes.
pub fn people(count: usize, tier: u8, more: bool) -> String {
    let more = if more { "more " } else { "" };
    match count {
        1 => format!("one {more}person of tier {tier}"),
        count => format!("{count} {more}people of tier {tier}"),
    }
}

/// What a plan still needs, and who cannot give it: `2 people of tier 3 (not dana, who asked for it)`.
pub fn needs(plan: &Plan, state: &State) -> String {
    let words = people(needed(plan, state), plan.tier, !state.approved_by.is_empty());
    match plan.proposed_by.as_str() {
        "" => words,
        name => format!("{words} (not {name}, who asked for it)"),
    }
}

/// What is different when the plan is made anew from the files in force and what the alert says now; `None` when it is the
/// same. Where its rule or its playbook stands in a file does not matter.
pub fn changed(files: Files<'_>, plan: &Plan, episode: &Episode, now: Timestamp) -> Option<String> {
    let Some(rule) = files.rule(&plan.rule) else {
        return Some(format!("there is no rule {} any more", plan.rule));
    };
    let name = &plan.playbook.name;
    let remedy = (plan.remedy as usize).checked_sub(1).and_then(|at| rule.response.get(at));
    let Some(remedy) = remedy.filter(|it| it.playbook == *name) else {
        return Some(format!("remedy {} of rule {} is no longer {name}", plan.remedy, plan.rule));
    };
    let Some(playbook) = files.playbooks.get(name) else {
        return Some(format!("there is no playbook {name} any more"));
    };
    match plan::target(rule, episode) {
        Ok(target) if target == plan.target => {}
        Ok(target) => return Some(format!("the target is {target} now")),
        Err(error) => return Some(error),
    }
    let numbered = (plan.remedy, remedy);
    let (incident, target) = (plan.incident, plan.target.as_str());
    let made = plan::subject(files.config, rule, numbered, playbook, episode, incident, target);
    let subject = match made {
        Ok(subject) => subject,
        Err(error) => return Some(error),
    };
    let (mode, knob) = lowest_mode(&subject);
    if mode == Mode::Observe {
        return Some(format!("{knob} is observe now"));
    }
    match plan::plan(rule, &subject, playbook, episode, plan.mode, now) {
        Ok(fresh) => different(plan, &fresh),
        Err(errors) => Some(errors.join("; ")),
    }
}

fn different(plan: &Plan, fresh: &Plan) -> Option<String> {
    let name = &plan.playbook.name;
    if anywhere(&plan.playbook) != anywhere(&fresh.playbook) {
        return Some(format!("playbook {name} was changed"));
    }
    let names = plan.parameters.keys().chain(fresh.parameters.keys());
    let mut other = names.filter(|name| plan.parameters.get(*name) != fresh.parameters.get(*name));
    if let Some(parameter) = other.next() {
        return Some(format!("parameter {parameter} of {name} has another value"));
    }
    if plan.verify != fresh.verify {
        return Some("its verification was changed".to_owned());
    }
    if (plan.tier, plan.approvals) != (fresh.tier, fresh.approvals) {
        let words = people(usize::from(fresh.approvals), fresh.tier, false);
        return Some(format!("it needs {words} now"));
    }
    None
}

/// A playbook without its place.
fn anywhere(playbook: &Playbook) -> Playbook {
    let steps = |steps: &[Step]| -> Vec<Step> {
        steps.iter().map(|step| Step { line: 0, ..step.clone() }).collect()
    };
    Playbook {
        steps: steps(&playbook.steps),
        on_resolve: steps(&playbook.on_resolve),
        file: String::new(),
        line: 0,
        description: String::new(),
        ..playbook.clone()
    }
}

#[cfg(test)]
mod tests;

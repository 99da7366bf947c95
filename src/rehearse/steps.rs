//! Steps and undos of a run: whether they may begin, and what the script says that they come to.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;

use super::World;
use super::runs::InFlight;
use super::runs::Look;
use super::script::Seen;
use super::script::Tried;
use crate::decide::approval;
use crate::decide::credentials;
use crate::decide::guard;
use crate::decide::machine::Spot;
use crate::decide::notify;
use crate::decide::plan;
use crate::decide::stepping;
use crate::decide::stepping::Begin;
use crate::decide::stepping::Gate;
use crate::decide::stepping::Held;
use crate::decide::stepping::Hold;
use crate::decide::stepping::Known;
use crate::decide::stepping::Recheck;
use crate::decide::stepping::StillTrue;
use crate::model::action::Action;
use crate::model::incident::RunId;
use crate::model::run::Event;
use crate::model::run::Intent;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::time::after;

/// A paused undo is looked at again after this time.
const UNDO_AGAIN: Duration = Duration::from_secs(1);

impl World<'_> {
    /// Asks the guards again before a step, and does what they say: `Err` when it may not begin, with the time until which the run
    /// waits.
    pub(super) fn may_begin(&mut self, id: RunId) -> Result<(), Option<Timestamp>> {
        let now = self.now;
        let work = self.runs.get(&id).ok_or(None)?;
        let (plan, state) = (Arc::clone(&work.plan), work.state.clone());
        let state = &state;
        let episode = self.episode_of(&plan).ok_or(None)?;
        let rule = self.library.all_rules().find(|rule| rule.name == plan.rule).cloned();
        let subject = plan::subject_of(&plan, self.config, rule.as_deref(), episode.opened_at);
        let pauses = self.pauses.clone();
        let around = self.circumstances(&plan.rule, &plan.target, plan.incident);
        let glass = around.glass.as_ref();
        if let Some(why) = approval::void(self.files(), &plan, state, &episode, glass, now) {
            self.write(id, Event::Stopped { why });
            return Err(None);
        }
        let known = Known { windows: &self.windows, pauses, around };
        let Recheck { mut facts, standing, precheck, proofs, population } =
            stepping::recheck(&plan, &subject, state, &episode, known, now);
        if standing {
            facts.standing = self.standing(&episode);
        }
        if let Some(probe) = &precheck {
            facts.precheck = Some(self.observe(&Seen::Rule(&plan.rule), probe, &episode));
        }
        if let Some(rule) = rule.filter(|_| population) {
            facts.population = self.population(&rule, &episode);
        }
        facts.proofs = self.proofs(&plan.rule, proofs, &episode);
        match stepping::still_true(&subject, &facts, now) {
            StillTrue::Go => Ok(()),
            StillTrue::Stop(why) => {
                self.write(id, Event::Stopped { why });
                Err(None)
            }
            StillTrue::Hold { until, guard, reason } => {
                Err(self.hold(id, Hold { until, guard: &guard, reason: &reason }))
            }
        }
    }

    /// Holds a run before a step, or ends the wait; `Some` when it has to wait until then.
    pub(super) fn hold(&mut self, id: RunId, hold: Hold<'_>) -> Option<Timestamp> {
        let work = self.runs.get(&id)?;
        let plan = Arc::clone(&work.plan);
        match stepping::held(&plan, &work.state, hold, self.now) {
            Held::Until(until) => {
                if hold.guard == guard::KILL_SWITCH {
                    self.page_of(&plan, &format!("quell does not act: {}", hold.reason));
                }
                Some(until)
            }
            Held::Over(event) => {
                self.write(id, *event);
                None
            }
        }
    }

    /// Begins a step; `Some` when it has to wait until then.
    pub(super) fn begin(&mut self, id: RunId, spot: Spot, attempt: u32) -> Option<Timestamp> {
        if let Err(until) = self.may_begin(id) {
            return until;
        }
        let Spot { step, item } = spot;
        let now = self.now;
        let work = self.runs.get(&id)?;
        let (plan, state) = (Arc::clone(&work.plan), &work.state);
        let run = id.to_string();
        if let Some(query) = stepping::among(&plan, &run, state, spot) {
            match self.found(&plan, state, spot, query) {
                Err(reason) => {
                    let until = after(now, guard::AGAIN_AFTER);
                    return self.hold(id, Hold { until, guard: guard::TARGET, reason: &reason });
                }
                Ok(found) => {
                    if let Some(event) = stepping::vanished(&plan, state, spot, &found) {
                        self.write(id, event);
                        return None;
                    }
                }
            }
        }
        let limits = &self.config.limits;
        match stepping::begin(&plan, &run, state, (spot, attempt), limits)? {
            Begin::Write(event) => self.write(id, event),
            begin @ (Begin::Act(_) | Begin::Prepare(_)) => {
                let playbook = &plan.playbook.name;
                let name = plan.playbook.steps.get(step).map_or("", |step| step.name.as_str());
                let Tried { outcome, takes, found } = self.script.perform(playbook, name, false);
                let intent = match begin {
                    Begin::Prepare(intent) => match prepared(intent, &found, now) {
                        Ok(intent) => intent,
                        Err(reason) => {
                            let outcome = Outcome::Failed { reason, retryable: false };
                            let state = &self.runs.get(&id)?.state;
                            let ended = stepping::ended(&plan, state, spot, outcome, 0);
                            self.write(id, ended);
                            return None;
                        }
                    },
                    Begin::Act(intent) => intent,
                    Begin::Write(_) | Begin::Look { .. } => return None,
                };
                let (timeout, action) = (intent.timeout, intent.action.clone());
                self.write(id, Event::StepStarted { step, item, attempt, intent });
                let outcome = self.said(action.as_ref(), outcome);
                let outcome = credentials::of_action(playbook, action.as_ref(), outcome);
                let state = &self.runs.get(&id)?.state;
                let ends = stepping::ended(&plan, state, spot, outcome, 0);
                self.flies(id, InFlight::Until(after(now, takes.min(timeout)), ends));
            }
            Begin::Look { intent, probe, within } => {
                self.write(id, Event::StepStarted { step, item, attempt, intent });
                let at = Look::Step(spot);
                self.flies(id, InFlight::Looking { at, probe: Some(probe), within, began: now });
            }
        }
        None
    }

    /// What a step says to people itself is not for the script to say, unless it fails there.
    fn said(&self, action: Option<&Action>, outcome: Outcome) -> Outcome {
        match (action, outcome) {
            (Some(Action::Notify(it)), Outcome::Done { .. }) => notify::outcome(self.config, it),
            (_, outcome) => outcome,
        }
    }

    /// Sends the page of the run's incident, if it is held: automation is paused, so nothing is tried.
    fn page_of(&mut self, plan: &Plan, reason: &str) {
        let incident = self.incidents.get(&plan.incident).map(|it| it.incident.clone());
        if let Some(incident) = incident {
            self.page(&incident, reason);
        }
    }

    /// Looks at what must be healthy between two waves of a `for_each`. False when the plan has no such thing.
    pub(super) fn look_between(&mut self, id: RunId, step: usize, item: usize) -> bool {
        let Some(work) = self.runs.get(&id) else { return false };
        match stepping::between(&work.plan, &id.to_string(), &work.state, step) {
            None => return false,
            Some(Ok(Gate { probe, within })) => {
                let at = Look::Between { step, item };
                self.flies(id, InFlight::Looking { at, probe, within, began: self.now });
            }
            Some(Err(reason)) => {
                let outcome = Outcome::Failed { reason, retryable: false };
                self.write(id, Event::Looked { step, item, outcome });
            }
        }
        true
    }

    /// Begins the undo of a step; `Some` when it has to wait until then.
    pub(super) fn undo(&mut self, id: RunId, spot: Spot) -> Option<Timestamp> {
        let Spot { step, item } = spot;
        let now = self.now;
        let work = self.runs.get(&id)?;
        let (plan, state) = (Arc::clone(&work.plan), &work.state);
        let intent = match stepping::begin_undo(&plan, &id.to_string(), state, spot)? {
            Begin::Write(event) => {
                self.write(id, event);
                return None;
            }
            Begin::Act(intent) | Begin::Prepare(intent) | Begin::Look { intent, .. } => intent,
        };
        let subject = plan::subject_of(&plan, self.config, None, state.last_at);
        if guard::pause(&subject, &self.pauses).is_some() {
            return Some(after(now, UNDO_AGAIN));
        }
        let playbook = &plan.playbook.name;
        let denied = self.denied.iter().map(|it| it.credential.as_str());
        if let Some(outcome) = credentials::withheld(playbook, intent.action.as_ref(), denied) {
            self.write(id, Event::UndoEnded { step, item, outcome });
            return None;
        }
        let (timeout, action) = (intent.timeout, intent.action.clone());
        self.write(id, Event::UndoStarted { step, item, intent });
        let name = plan.playbook.steps.get(step).map_or("", |step| step.name.as_str());
        let Tried { outcome, takes, .. } = self.script.perform(playbook, name, true);
        let outcome = self.said(action.as_ref(), outcome);
        let outcome = credentials::of_action(playbook, action.as_ref(), outcome);
        let ends = Event::UndoEnded { step, item, outcome };
        self.flies(id, InFlight::Until(after(now, takes.min(timeout)), ends));
        None
    }
}

/// The intent as a look at its target makes it.
fn prepared(intent: Intent, found: &Map<String, Value>, now: Timestamp) -> Result<Intent, String> {
    let Some(action) = &intent.action else { return Ok(intent) };
    let action = action.assumed(found, now)?;
    let previous = action.reverse(&intent.key).map(Box::new);
    Ok(Intent { action: Some(action), previous, ..intent })
}

//! Runs: the machine asks for one effect at a time, and the script says what each comes to.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Memory;
use super::Work;
use super::World;
use super::happening::What;
use super::script::Seen;
use crate::decide::approval;
use crate::decide::audience;
use crate::decide::credentials;
use crate::decide::machine;
use crate::decide::machine::Effect;
use crate::decide::machine::Phase;
use crate::decide::machine::Spot;
use crate::decide::notify;
use crate::decide::own;
use crate::decide::plan;
use crate::decide::stepping;
use crate::model::decision::Denied;
use crate::model::decision::PastRun;
use crate::model::incident::Episode;
use crate::model::incident::Owed;
use crate::model::incident::RunId;
use crate::model::probe::Probe;
use crate::model::run::Entry;
use crate::model::run::Event;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::run::Stop;
use crate::model::time::after;
use crate::model::time::since;

/// An effect that takes time.
#[derive(Debug, Clone)]
pub(super) enum InFlight {
    /// A step or an undo that ends then, with this entry.
    Until(Timestamp, Event),
    /// A probe step that looks until healthy.
    Looking { at: Look, probe: Option<Probe>, within: Duration, began: Timestamp },
}

/// What a probe that looks until healthy belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    /// A probe step, or an item of one.
    Step(Spot),
    /// Between two waves of a `for_each`, before this item.
    Between { step: usize, item: usize },
}

/// Whether a run looks at a probe, so that a change of what it sees matters now.
pub(super) fn is_watching(work: &Work) -> bool {
    matches!(work.in_flight, Some(InFlight::Looking { .. }))
        || matches!(work.state.phase, Phase::Verifying { .. })
}

impl World<'_> {
    /// Creates a run unless another one holds the target.
    pub(super) fn create_run(
        &mut self,
        plan: Plan,
        round: u32,
        owed: impl FnOnce(RunId, &Plan) -> Vec<Owed>,
    ) -> Option<RunId> {
        let mut at_work = self.at_work.iter().filter_map(|id| self.runs.get(id));
        if at_work.any(|work| work.past.target == plan.target) {
            return None;
        }
        self.next_id.2 += 1;
        let id = RunId(self.next_id.2);
        // nobody outside this world can approve anything else, so a name does for the digest
        let event = Event::Planned { digest: format!("plan of {id}") };
        let entry = Entry { seq: 1, at: self.now, event: event.clone() };
        let state = machine::fold(&plan, std::slice::from_ref(&entry)).ok()?;
        let past = PastRun {
            rule: plan.rule.clone(),
            playbook: plan.playbook.name.clone(),
            target: plan.target.clone(),
            incident: plan.incident,
            remedy: plan.remedy,
            state: state.summary(),
            inconclusive: false,
            service: plan.labels.get(plan::SERVICE).to_owned(),
            group: plan.group.clone(),
            left_version: plan.left_version.clone(),
            started_at: self.now,
            ended_at: None,
        };
        let plan = Arc::new(plan);
        let work = Work {
            plan: Arc::clone(&plan),
            state,
            entries: if self.memory == Memory::Whole { vec![entry] } else { Vec::new() },
            round,
            past,
            outcome: String::new(),
            stop: None,
            in_flight: None,
            claim: 0,
        };
        if !work.past.state.is_final() {
            self.at_work.insert(id);
        }
        self.runs.insert(id, work);
        self.counters.runs += 1;
        if let Some(trouble) = self.incidents.get_mut(&plan.incident) {
            trouble.runs.push(id);
        }
        self.happens(What::Run { run: id, plan: Arc::clone(&plan), event: Box::new(event) });
        let owed = owed(id, &plan);
        self.owe(owed);
        self.wake_run(id, self.now);
        Some(id)
    }

    /// Does what a run's state asks for, until it waits or ends.
    pub(super) fn advance(&mut self, id: RunId) {
        loop {
            let now = self.now;
            if !self.lands(id) {
                return;
            }
            let Some(work) = self.runs.get(&id) else { return };
            let plan = Arc::clone(&work.plan);
            if stepping::may_stop(&work.state)
                && let Some(why) = work.stop.clone()
            {
                self.write(id, Event::Stopped { why });
                continue;
            }
            match machine::next(&plan, &work.state, now) {
                Effect::Over => return,
                Effect::AskPerson => {
                    if !self.waits_no_longer(id) {
                        return;
                    }
                }
                Effect::Sleep { until } => {
                    if !self.waits_no_longer(id) {
                        return self.wake_run(id, until);
                    }
                }
                Effect::Write(event) => self.write(id, event),
                Effect::Measure => {
                    if let Some(until) = self.measure(id) {
                        return self.wake_run(id, until);
                    }
                }
                Effect::Begin { spot, attempt } => {
                    if let Some(until) = self.begin(id, spot, attempt) {
                        return self.wake_run(id, until);
                    }
                }
                Effect::ReadBack => {
                    let seen = self.verification(&plan);
                    self.write(id, Event::ReadBack { seen });
                }
                Effect::Verify => {
                    if let Some(until) = self.verify(id, &plan) {
                        return self.wake_run(id, until);
                    }
                }
                Effect::Look { step, item } => {
                    if !self.look_between(id, step, item) {
                        return;
                    }
                }
                Effect::Undo { spot } => {
                    if let Some(until) = self.undo(id, spot) {
                        return self.wake_run(id, until);
                    }
                }
            }
        }
    }

    /// Ends what is in flight, if its time has come; says whether nothing is in flight any more.
    fn lands(&mut self, id: RunId) -> bool {
        let now = self.now;
        let Some(work) = self.runs.get(&id) else { return false };
        let plan = Arc::clone(&work.plan);
        match work.in_flight.clone() {
            None => true,
            Some(InFlight::Until(at, _)) if now < at => {
                self.wake_run(id, at);
                false
            }
            Some(InFlight::Until(_, event)) => {
                self.clear(id);
                self.write(id, event);
                true
            }
            Some(InFlight::Looking { at, probe, within, began }) => {
                let (Look::Step(Spot { step, .. }) | Look::Between { step, .. }) = at;
                let Some(definition) = plan.playbook.steps.get(step) else { return false };
                let Some(episode) = self.episode_of(&plan) else { return false };
                let (playbook, name) = (&plan.playbook.name, &definition.name);
                let of = Seen::Step { playbook, step: name };
                let probed = probe.as_ref().map(|probe| self.observe(&of, probe, &episode));
                let kind = probe.as_ref().map_or("unharmed", Probe::kind);
                let harm = if matches!(at, Look::Between { .. }) { self.compare(id) } else { None };
                if !self.is_looking(id, at) {
                    self.clear(id);
                    return true;
                }
                let seen = stepping::at_gate(harm.as_ref(), probed);
                let took = since(now, began);
                // the engine looks every second
                let tries = u32::try_from(took.as_secs() + 1).unwrap_or(u32::MAX);
                let landed = stepping::looked(name, kind, &seen, tries, took, within);
                let Some(outcome) = landed else {
                    self.wake_run(id, after(began, within));
                    return false;
                };
                let outcome = match &probe {
                    Some(probe) => credentials::of_probe(playbook, probe, outcome),
                    None => outcome,
                };
                self.clear(id);
                self.write(
                    id,
                    match at {
                        Look::Step(Spot { step, item }) => {
                            Event::StepEnded { step, item, outcome, jitter: 0 }
                        }
                        Look::Between { step, item } => Event::Looked { step, item, outcome },
                    },
                );
                true
            }
        }
    }

    /// Whether a run still looks: what is seen to be worse between two waves ends that.
    fn is_looking(&self, id: RunId, at: Look) -> bool {
        let phase = self.runs.get(&id).map(|work| &work.state.phase);
        matches!(at, Look::Step(_)) || matches!(phase, Some(Phase::Looking { .. }))
    }

    fn clear(&mut self, id: RunId) {
        if let Some(work) = self.runs.get_mut(&id) {
            work.in_flight = None;
        }
    }

    pub(super) fn flies(&mut self, id: RunId, in_flight: InFlight) {
        if let Some(work) = self.runs.get_mut(&id) {
            work.in_flight = Some(in_flight);
        }
    }

    /// A run that waits for approval or an answer stops waiting when its alert has resolved, when what it proposes is no
    /// longer what would be done, or when nobody has to approve it any more; says whether it did.
    fn waits_no_longer(&mut self, id: RunId) -> bool {
        let Some(work) = self.runs.get(&id) else { return false };
        if !stepping::waits_for_alert(&work.plan, &work.state) {
            return false;
        }
        let Some(episode) = self.episode_of(&work.plan) else { return false };
        let event = if !episode.open {
            Some(Event::Stopped { why: Stop::Resolved })
        } else if work.state.phase == Phase::AwaitingApproval {
            let glass = self.glass_for(&work.plan);
            approval::while_waiting(self.files(), &work.plan, &episode, glass.as_ref(), self.now)
        } else {
            None
        };
        let Some(event) = event else { return false };
        self.write(id, event);
        true
    }

    /// One observation of the verification; `Some` when it goes on, with the next instant that can change anything.
    fn verify(&mut self, id: RunId, plan: &Plan) -> Option<Timestamp> {
        let now = self.now;
        self.compare(id);
        let seen = self.verification(plan);
        let state = &self.runs.get(&id)?.state;
        if let Some(event) = machine::verification_event(plan, state, seen, now) {
            self.write(id, event);
        }
        machine::next_look(plan, &self.runs.get(&id)?.state, now)
    }

    /// What the run's verification sees.
    fn verification(&self, plan: &Plan) -> Observation {
        let unknown = |why: &str| Observation {
            health: Health::Unknown,
            measured: why.to_owned(),
            denied: false,
        };
        let Some(verify) = &plan.verify else { return unknown("there is no verification") };
        let Some(episode) = self.episode_of(plan) else {
            return unknown("the episode is not stored");
        };
        self.observe(&Seen::Rule(&plan.rule), &verify.probe, &episode)
    }

    pub(super) fn episode_of(&self, plan: &Plan) -> Option<Arc<Episode>> {
        self.episodes.get(&plan.episode).map(|held| Arc::clone(&held.episode))
    }

    /// Appends an event to the journal of a run, with all that follows from it.
    pub(super) fn write(&mut self, id: RunId, event: Event) {
        let now = self.now;
        let whole = self.memory == Memory::Whole;
        let Some(work) = self.runs.get_mut(&id) else { return };
        let entry = Entry { seq: work.state.seq + 1, at: now, event };
        let plan = Arc::clone(&work.plan);
        let Ok(after) = machine::apply(&plan, work.state.clone(), &entry) else {
            // what the machine asked for is legal, and what people say is checked before
            return;
        };
        let before = std::mem::replace(&mut work.state, after);
        let summary = work.state.summary();
        work.past.state = summary;
        work.past.inconclusive = work.state.inconclusive;
        work.outcome = stepping::outcome(&plan, &work.state);
        if summary.is_final() {
            self.at_work.remove(&id);
            work.past.ended_at = Some(now);
            work.in_flight = None;
        }
        if whole {
            work.entries.push(entry.clone());
        }
        let incident = self.incidents.get(&plan.incident).map(|trouble| &trouble.incident);
        let notice = incident.and_then(|incident| {
            stepping::news(incident, &id.to_string(), &plan, &before, &work.state, now)
        });
        let says = incident.map_or_else(Vec::new, |incident| {
            notify::owed(self.config, incident, &id.to_string(), &plan, &entry.event, now)
        });
        let event = Box::new(entry.event);
        let outcome = event.outcome().cloned();
        self.happens(What::Run { run: id, plan: Arc::clone(&plan), event });
        if let Some(Outcome::Denied { credentials, reason }) = outcome {
            self.deny(id, &plan.playbook.name, credentials, &reason);
        }
        let told = notice.map(|notice| audience::owed(self.config, &notice, false));
        let owed: Vec<Owed> = says.into_iter().chain(told.into_iter().flatten()).collect();
        if !owed.is_empty() {
            let incident = self.incidents.get(&plan.incident).map(|it| it.incident.clone());
            let owed = incident.map_or_else(Vec::new, |incident| self.held(&incident, owed));
            self.owe(owed);
        }
        if summary.is_final() {
            self.trusts_less_after(&plan);
            // whoever waits for the end of this run: the episodes of its incident are judged again
            let episodes = self.incidents.get(&plan.incident).map(|it| it.episodes.clone());
            for episode in episodes.unwrap_or_default() {
                self.wake_episode(episode, now);
            }
        }
    }

    /// Credentials were refused: what uses them waits from now on, and people are told once.
    fn deny(&mut self, run: RunId, playbook: &str, credentials: Vec<String>, reason: &str) {
        let at = self.now;
        for credential in credentials {
            if self.denied.iter().any(|it| it.credential == credential) {
                continue;
            }
            let run = run.to_string();
            let alert = own::credential_denied(&credential, reason, &run, playbook, at);
            self.denied.push(Denied { credential, at, reason: reason.to_owned() });
            self.take_alert(&alert, own::WATCH, 0);
        }
    }

    /// quell stops and starts again: what was in flight is found in flight, and nobody has watched since.
    pub(super) fn interrupted(&mut self) {
        let now = self.now;
        let active: Vec<RunId> = self
            .runs
            .iter()
            .filter(|(_, work)| !work.past.state.is_final())
            .map(|(id, _)| *id)
            .collect();
        for id in active {
            self.clear(id);
            let verifying = self
                .runs
                .get(&id)
                .is_some_and(|work| matches!(work.state.phase, Phase::Verifying { .. }));
            if verifying {
                self.write(id, Event::Interrupted);
            }
            self.wake_run(id, now);
        }
    }

    /// The journals of all runs, in order of start.
    pub fn journals(&self) -> impl Iterator<Item = (RunId, &Plan, &[Entry], RunState)> {
        self.runs
            .iter()
            .map(|(id, work)| (*id, work.plan.as_ref(), work.entries.as_slice(), work.past.state))
    }
}

//! Schedules of a rehearsal: each slot that comes on the virtual clock begins, waits or is left out, as in the engine.

use std::sync::Arc;

use jiff::Timestamp;

use super::Due;
use super::World;
use super::happening::What;
use crate::decide::respond;
use crate::decide::respond::Case;
use crate::decide::schedule;
use crate::decide::schedule::Slot;
use crate::decide::schedule::Standing;
use crate::model::alert::AlertStatus;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::rule::SCHEDULE;
use crate::model::rule::Schedule;
use crate::model::run::RunState;

/// The slot of a schedule that comes next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coming {
    slot: Timestamp,
    /// It waits for the one before.
    waits: bool,
}

impl World<'_> {
    /// Plans the first slot of every schedule.
    pub(super) fn know_schedules(&mut self) {
        for (index, schedule) in self.library.schedules.iter().enumerate() {
            self.plan_slot(index, schedule, self.now);
        }
    }

    fn plan_slot(&mut self, index: usize, schedule: &Schedule, after: Timestamp) {
        if let Some(slot) = schedule::next_slot(schedule, after) {
            self.coming.insert(index, Coming { slot, waits: false });
            self.enter(schedule::due(schedule, slot, 0), Due::Schedule(index));
        } else {
            self.coming.remove(&index);
        }
    }

    /// A slot is due: it begins, waits, or is left out.
    pub(super) fn slot_is_due(&mut self, index: usize) {
        let (library, now) = (self.library, self.now);
        let Some(schedule) = library.schedules.get(index) else { return };
        let Some(Coming { slot, waits }) = self.coming.get(&index).copied() else { return };
        let source = format!("{SCHEDULE}{}", schedule.name);
        let busy =
            self.episodes.values().any(|held| held.episode.open && held.episode.source == source);
        match schedule::take(schedule, slot, waits, busy, now) {
            // the end of the one before makes it due again
            Slot::Wait => {
                self.coming.insert(index, Coming { slot, waits: true });
            }
            Slot::Skip(why) => {
                let name = &schedule.name;
                self.happens(What::Said(format!("schedule {name} leaves {slot} out: {why}")));
                self.plan_slot(index, schedule, now.max(slot));
            }
            Slot::Begin => {
                let labels = schedule::labels(schedule, slot);
                let alert = schedule::alert(AlertStatus::Firing, labels, slot, now);
                self.take_alert(&alert, &source, 0);
                self.plan_slot(index, schedule, now.max(slot));
            }
        }
    }

    /// Judges the open episode of a slot; returns when to judge it again.
    pub(super) fn judge_slot(&mut self, name: &str, episode: &Arc<Episode>) -> Option<Timestamp> {
        let (library, config, now) = (self.library, self.config, self.now);
        let Some(schedule) = library.schedules.iter().find(|it| it.name == name) else {
            self.note(episode, None, &episode.source, "", schedule::gone(name));
            return self.end_slot(episode);
        };
        let rule = &schedule.rule;
        let new = schedule::incident(schedule, episode, now);
        let ack_within = respond::ack_within(config, &new.severity);
        let incident = self.incident_for(new, episode, ack_within, false, |_| Vec::new());
        let target = rule.target.as_str();
        let windows = Arc::clone(&self.windows);
        let windows = windows.as_slice();
        // only people and the files say what a schedule may do
        let (incident, trust) = (&incident, None);
        let case = Case { config, rule, episode, incident, target, windows, trust, now };
        match schedule::standing(&self.states_of(incident, episode)) {
            Standing::Busy => None,
            Standing::Done => self.end_slot(episode),
            Standing::Failed => {
                self.give_to_people(case, schedule::failed(name));
                self.end_slot(episode)
            }
            Standing::Begin { round } => {
                match respond::candidate(case, &library.playbooks, 1, round) {
                    Ok(candidate) => {
                        let again = self.try_remedy(case, &candidate);
                        // given to people before a run was made: there is no plan
                        if again.is_none() && self.states_of(incident, episode).is_empty() {
                            return self.end_slot(episode);
                        }
                        again
                    }
                    Err(reason) => {
                        self.give_to_people(case, reason);
                        self.end_slot(episode)
                    }
                }
            }
        }
    }

    /// States of the runs of a slot, in order.
    fn states_of(&self, incident: &Incident, episode: &Episode) -> Vec<RunState> {
        self.works_of(incident.id)
            .filter(|work| work.plan.episode == episode.id && work.plan.remedy > 0)
            .map(|work| work.past.state)
            .collect()
    }

    /// Closes the episode of a slot; the slot that waits for it begins.
    fn end_slot(&mut self, episode: &Episode) -> Option<Timestamp> {
        let now = self.now;
        let (labels, source) = (episode.labels.clone(), episode.source.clone());
        let alert = schedule::alert(AlertStatus::Resolved, labels, episode.starts_at, now);
        self.take_alert(&alert, &source, 0);
        let waits = self
            .library
            .schedules
            .iter()
            .position(|it| schedule::name_of(&source).is_some_and(|name| name == it.name));
        if let Some(index) = waits
            && self.coming.get(&index).is_some_and(|coming| coming.waits)
        {
            self.enter(now, Due::Schedule(index));
        }
        None
    }

    /// Whether the incident of a schedule stays open although no slot is at work: its last run did not succeed, or could
    /// not be planned. The next that succeeds ends it.
    pub(super) fn stays_open(&self, incident: &Incident) -> bool {
        let Some(name) = schedule::name_of(&incident.rule) else { return false };
        if self.library.schedules.iter().all(|it| it.name != name) {
            return false;
        }
        let last = self.works_of(incident.id).rfind(|work| work.plan.remedy > 0);
        match last {
            Some(work) => schedule::standing(&[work.past.state]) == Standing::Failed,
            None => incident.escalated,
        }
    }
}

//! Incidents: opened, joined, given to people, resolved, and opened again when they flap.

use super::Trouble;
use super::World;
use super::happening::What;
use crate::decide::audience;
use crate::decide::plan;
use crate::decide::respond;
use crate::decide::tell;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::incident::Owed;
use crate::model::rule::is_schedule;
use crate::model::time::after;
use crate::model::time::before;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

impl World<'_> {
    /// Gives an incident to people, once.
    pub(super) fn escalate(&mut self, incident: &Incident, reason: &str) {
        let Some(trouble) = self.incidents.get_mut(&incident.id) else { return };
        let it = &mut trouble.incident;
        if it.escalated || it.status == IncidentStatus::Resolved {
            return;
        }
        it.escalated = true;
        let escalated = Arc::new(it.clone());
        let (tried, _) = self.tried(incident.id);
        self.happens(What::Escalated { incident: escalated, reason: reason.to_owned() });
        let owed = respond::given_to_people(self.config, incident, reason, tried, self.now);
        let owed = self.held(incident, owed);
        self.owe(owed);
    }

    /// The open incident of a rule and group with this episode in it; opened if there is none.
    pub(super) fn incident_for(
        &mut self,
        new: Incident,
        episode: &Episode,
        ack_within: Option<Duration>,
        louder: bool,
        owed: impl FnOnce(&Incident) -> Vec<Owed>,
    ) -> Incident {
        let found = self.open.get(&new.rule).and_then(|groups| groups.get(&new.group_key)).copied();
        let id = found.unwrap_or_else(|| {
            self.next_id.1 += 1;
            IncidentId(self.next_id.1)
        });
        if let Some(held) = self.episodes.get_mut(&episode.id)
            && !held.incidents.contains(&id)
        {
            held.incidents.push(id);
        }
        if let Some(trouble) = self.incidents.get_mut(&id) {
            if !trouble.episodes.contains(&episode.id) {
                trouble.episodes.push(episode.id);
                if louder
                    && audience::is_louder(self.config, &new.severity, &trouble.incident.severity)
                {
                    self.raise(id, &new, ack_within, owed);
                }
                self.hold_once_more(id, &new);
            }
            return self.incidents.get(&id).map_or(new, |trouble| trouble.incident.clone());
        }
        let incident = Incident { id, ..new };
        self.counters.incidents += 1;
        let key = (incident.rule.clone(), incident.group_key.clone());
        let opened = self.opened.entry(key).or_insert_with(|| (VecDeque::new(), id));
        opened.0.push_back(incident.opened_at);
        opened.1 = id;
        self.open.entry(incident.rule.clone()).or_default().insert(incident.group_key.clone(), id);
        let trouble = Trouble {
            incident: incident.clone(),
            episodes: vec![episode.id],
            runs: Vec::new(),
            flapping: false,
            over: false,
            told: std::collections::BTreeSet::new(),
            ack_within,
            due: None,
            claim: 0,
            update: None,
        };
        self.incidents.insert(id, trouble);
        let due = match incident.held_until {
            Some(until) => Some(until).filter(|until| *until > incident.opened_at),
            None => ack_within.map(|within| after(incident.opened_at, within)),
        };
        self.incident_due(id, due);
        self.happens(What::Opened(Arc::new(incident.clone())));
        self.owe(owed(&incident));
        self.update_at(id, Some(self.now));
        incident
    }

    /// Makes an incident as loud as trouble that joins it.
    fn raise(
        &mut self,
        id: IncidentId,
        new: &Incident,
        ack_within: Option<Duration>,
        owed: impl FnOnce(&Incident) -> Vec<Owed>,
    ) {
        let Some(trouble) = self.incidents.get_mut(&id) else { return };
        trouble.incident.severity.clone_from(&new.severity);
        trouble.incident.title.clone_from(&new.title);
        trouble.ack_within = ack_within;
        let it = &trouble.incident;
        let told = Incident { labels: new.labels.clone(), ..it.clone() };
        let answers = it.status == IncidentStatus::Open && it.held_until.is_none();
        let due = ack_within.map(|within| after(new.opened_at, within));
        if answers && due.is_some_and(|due| trouble.due.is_none_or(|before| before > due)) {
            self.incident_due(id, due);
        }
        self.owe(owed(&told));
    }

    /// Trouble that joins an incident which was fixed before its page was sent holds the page once more.
    fn hold_once_more(&mut self, id: IncidentId, new: &Incident) {
        let Some(until) = new.held_until.filter(|until| *until > new.opened_at) else { return };
        let Some(trouble) = self.incidents.get_mut(&id) else { return };
        let it = &mut trouble.incident;
        let spared = trouble.due.is_none() && it.status == IncidentStatus::Open;
        if spared && it.held_until.is_some() {
            it.held_until = Some(until);
            self.incident_due(id, Some(until));
        }
    }

    /// Opens the last incident of a rule and group again instead of another one, when it flaps.
    pub(super) fn flaps(
        &mut self,
        new: &Incident,
        ack_within: Option<Duration>,
        episode: &Episode,
    ) {
        let limit = self.config.limits.flapping.value;
        let open = self.open.get(&new.rule).and_then(|groups| groups.get(&new.group_key));
        let key = (new.rule.clone(), new.group_key.clone());
        let (None, Some((opened, last))) = (open, self.opened.get_mut(&key)) else { return };
        let from = before(new.opened_at, limit.per);
        while opened.front().is_some_and(|at| *at <= from) {
            opened.pop_front();
        }
        if opened.len() < limit.count.max(1) as usize {
            return;
        }
        let id = *last;
        let Some(trouble) = self.incidents.get_mut(&id) else { return };
        (trouble.flapping, trouble.over) = (true, false);
        let it = &mut trouble.incident;
        it.status = if it.acked_by.is_empty() {
            IncidentStatus::Open
        } else {
            IncidentStatus::Acknowledged
        };
        (it.escalated, it.resolved_at, it.held_until) = (false, None, new.held_until);
        let incident = it.clone();
        self.open.entry(key.0).or_default().insert(key.1, id);
        let due = match new.held_until {
            Some(until) => Some(until).filter(|until| *until > new.opened_at),
            None => ack_within.map(|within| after(new.opened_at, within)),
        };
        self.incident_due(id, due);
        self.happens(What::Opened(Arc::new(incident.clone())));
        self.owe(respond::flaps(self.config, &incident, episode, self.now));
        self.update_at(id, Some(self.now));
    }

    /// Until when an incident that flapped must have been quiet; `None` when it has been, or did not flap.
    pub(super) fn flaps_until(&self, id: IncidentId) -> Option<Timestamp> {
        let trouble = self.incidents.get(&id).filter(|trouble| trouble.flapping)?;
        if trouble.incident.status == IncidentStatus::Resolved {
            return None;
        }
        let episodes = trouble.episodes.iter().filter_map(|it| self.episodes.get(it));
        let last = episodes.filter_map(|held| held.episode.ended_at).max()?;
        let limit = self.config.limits.flapping.value;
        let until = after(last.min(self.now), respond::quiet_after_flapping(limit));
        (until > self.now).then_some(until)
    }

    /// Resolves an incident unless something of it goes on; says whether it is resolved.
    pub(super) fn resolve(&mut self, id: IncidentId) -> bool {
        let Some(trouble) = self.incidents.get(&id) else { return false };
        if trouble.incident.status == IncidentStatus::Resolved {
            return true;
        }
        let at_work = trouble
            .runs
            .iter()
            .any(|run| self.runs.get(run).is_some_and(|work| !work.past.state.is_final()));
        let fires = trouble
            .episodes
            .iter()
            .any(|it| self.episodes.get(it).is_some_and(|held| held.episode.open));
        if at_work || fires {
            return false;
        }
        if self.stays_open(&trouble.incident) {
            return false;
        }
        let incident = trouble.incident.clone();
        let (tried, fixed_by) = self.tried(id);
        if !tried.is_empty() && fixed_by.is_none() && !is_schedule(&incident.rule) {
            self.page(&incident, respond::NOT_SEEN_TO_HELP);
        }
        let now = self.now;
        let Some(trouble) = self.incidents.get_mut(&id) else { return false };
        let notice = tell::resolved(&trouble.incident, tried, fixed_by.as_deref(), now);
        let told: Vec<String> = trouble.told.iter().cloned().collect();
        let incident = &mut trouble.incident;
        incident.status = IncidentStatus::Resolved;
        incident.resolved_at = Some(now);
        let incident = incident.clone();
        if let Some(groups) = self.open.get_mut(&incident.rule) {
            groups.remove(&incident.group_key);
        }
        self.happens(What::Resolved(Arc::new(incident)));
        let owed = audience::to_channels(self.config, &notice, &told);
        self.owe(owed);
        self.last_update(id);
        true
    }

    /// Begins the `on_resolve` steps of the incident's runs that acted, each once; says whether all have begun.
    pub(super) fn take_back(&mut self, id: IncidentId) -> bool {
        let Some(trouble) = self.incidents.get(&id) else { return true };
        let runs = trouble.runs.clone();
        let begun: Vec<u32> = runs
            .iter()
            .filter_map(|run| self.runs.get(run))
            .filter(|work| work.plan.remedy == 0)
            .map(|work| work.round)
            .collect();
        let mut all = true;
        // the latest first, as the engine lists them
        for run in runs.iter().rev() {
            let round = u32::try_from(run.0).unwrap_or(u32::MAX);
            let Some(work) = self.runs.get(run) else { continue };
            let Some(plan) = plan::take_back(&work.plan, &work.state) else { continue };
            if begun.contains(&round) || !work.state.acted {
                continue;
            }
            all &= self.create_run(plan, round, |_, _| Vec::new()).is_some();
        }
        let over = self.incidents.get(&id).is_none_or(|trouble| {
            trouble
                .runs
                .iter()
                .all(|run| self.runs.get(run).is_none_or(|work| work.past.state.is_final()))
        });
        if all
            && over
            && let Some(trouble) = self.incidents.get_mut(&id)
        {
            trouble.over = true;
        }
        all
    }
}

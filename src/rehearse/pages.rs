//! Pages that are held while a remedy is tried, and acknowledgements that do not come.

use super::Due;
use super::World;
use crate::decide::audience;
use crate::decide::page;
use crate::decide::plan;
use crate::decide::response;
use crate::decide::tell;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;
use crate::model::run::RunState;
use crate::model::time::after;
use crate::model::time::show_duration;
use crate::model::time::since;

impl World<'_> {
    /// What is owed of an incident to those who may be told: while its page is held, not to channels that page.
    pub(super) fn held(&self, incident: &Incident, owed: Vec<Owed>) -> Vec<Owed> {
        let mut owed = page::held(self.config, incident, owed);
        if owed.iter().any(|it| it.notice.kind == NoticeKind::NeedsYou) {
            page::explain(&mut owed, self.words_of_hold(incident).as_deref());
        }
        owed
    }

    /// How long the page of an incident has been held, and for what; `None` when it is not.
    pub(super) fn words_of_hold(&self, incident: &Incident) -> Option<String> {
        // without a deadline nothing was held: a schedule is silent until something needs a person
        incident.held_until.filter(|until| *until > incident.opened_at)?;
        let tried: Vec<String> = self
            .works_of(incident.id)
            .map(|work| &work.past)
            .filter(|past| past.remedy > 0)
            .filter(|past| !matches!(past.state, RunState::Superseded | RunState::Observed))
            .map(|past| past.playbook.clone())
            .collect();
        Some(page::words(incident, &tried, self.now))
    }

    /// Sends the page of an incident that is held, once, for this reason; nothing when it is not held.
    pub(super) fn page(&mut self, incident: &Incident, reason: &str) {
        if incident.held_until.is_none() || self.is_covered(&incident.rule) {
            return;
        }
        let (tried, _) = self.tried(incident.id);
        let notice = tell::paged(incident, reason, tried, self.now);
        let owed = audience::owed(self.config, &notice, incident.rule.is_empty());
        let owed = self.held(incident, owed);
        if self.release_page(incident.id) {
            self.owe(owed);
        }
    }

    /// Ends the hold of a page, if there is one: from now on somebody must acknowledge within the time of the severity.
    pub(super) fn release_page(&mut self, id: IncidentId) -> bool {
        let Some(trouble) = self.incidents.get_mut(&id) else { return false };
        if trouble.incident.held_until.take().is_none() {
            return false;
        }
        let open = trouble.incident.status == IncidentStatus::Open;
        let within = trouble.ack_within.filter(|_| open);
        self.incident_due(id, within.map(|within| after(self.now, within)));
        true
    }

    /// From now on the incident is due then; what was planned before is void.
    pub(super) fn incident_due(&mut self, id: IncidentId, at: Option<jiff::Timestamp>) {
        let Some(trouble) = self.incidents.get_mut(&id) else { return };
        trouble.claim = trouble.claim.wrapping_add(1);
        trouble.due = at;
        let claim = trouble.claim;
        if let Some(at) = at {
            self.enter(at, Due::Incident(id, claim));
        }
    }

    /// The time of an incident has come: its page, or nobody has acknowledged it.
    pub(super) fn incident_is_due(&mut self, id: IncidentId) {
        let Some(trouble) = self.incidents.get_mut(&id) else { return };
        trouble.due = None;
        let incident = trouble.incident.clone();
        if incident.status != IncidentStatus::Open {
            return;
        }
        let Some(deadline) = incident.held_until else { return self.unanswered(&incident) };
        if self.is_covered(&incident.rule) {
            let cooldown = self.config.limits.storm.value.cooldown;
            let until = page::hold_in_trip(None, cooldown, self.now);
            if let Some(trouble) = self.incidents.get_mut(&id) {
                trouble.incident.held_until = Some(until);
            }
            self.incident_due(id, Some(until));
            return;
        }
        if !self.fixed_in_time(&incident, deadline) {
            let grace = show_duration(since(deadline, incident.opened_at));
            self.page(&incident, &format!("not fixed within {grace}"));
        }
    }

    fn unanswered(&mut self, incident: &Incident) {
        let waited = since(self.now, incident.opened_at);
        let notice = tell::unanswered(incident, waited, self.now);
        let owed = audience::owed_escalation(self.config, &notice);
        self.owe(owed);
    }

    /// Whether every open episode of the incident was verified fixed by the deadline of its page.
    fn fixed_in_time(&self, incident: &Incident, deadline: jiff::Timestamp) -> bool {
        let rules = self.library.rules.rules();
        let Some(rule) = rules.iter().find(|rule| rule.name == incident.rule) else { return false };
        let mine = self.past_runs(jiff::Timestamp::MAX, incident.id);
        let mine: Vec<_> = mine.iter().filter(|run| run.rule == rule.name).cloned().collect();
        let Some(trouble) = self.incidents.get(&incident.id) else { return false };
        let episodes = trouble.episodes.iter().filter_map(|id| self.episodes.get(id));
        episodes.map(|held| &held.episode).filter(|episode| episode.open).all(|episode| {
            plan::target(rule, episode).is_ok_and(|target| {
                let remedies = rule.response.len();
                let opened_at = episode.opened_at;
                let next =
                    response::next(remedies, incident.id, &target, opened_at, &mine, self.now);
                page::fixed_in_time(&next, deadline)
            })
        })
    }
}

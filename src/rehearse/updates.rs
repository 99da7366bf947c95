//! Status updates of incidents.

use jiff::Timestamp;

use super::Due;
use super::World;
use crate::decide::tell::Try;
use crate::decide::updates;
use crate::model::incident::Episode;
use crate::model::incident::IncidentId;
use crate::model::incident::Owed;
use crate::model::updates::Updates;

impl World<'_> {
    /// From now on people are told then; what was planned before is void.
    pub(super) fn update_at(&mut self, id: IncidentId, at: Option<Timestamp>) {
        let wanted = self.updates_of(id).is_some();
        let Some(trouble) = self.incidents.get_mut(&id) else { return };
        trouble.update = at.filter(|_| wanted);
        if let Some(at) = trouble.update {
            self.enter(at, Due::Update(id));
        }
    }

    /// Tells people where an incident stands, and when they are told next.
    pub(super) fn update_is_due(&mut self, id: IncidentId) {
        let due = self.incidents.get(&id).and_then(|it| it.update);
        if due != Some(self.now) {
            return;
        }
        let (Some(wanted), Some(owed)) = (self.updates_of(id), self.update(id)) else { return };
        let incident = self.incidents.get(&id).map(|it| it.incident.clone());
        let next = incident.and_then(|it| updates::next(&wanted, &it, self.now));
        self.owe(owed);
        self.update_at(id, next);
    }

    /// Tells that it is over, who was told that it goes on.
    pub(super) fn last_update(&mut self, id: IncidentId) {
        let owed = self.update(id);
        self.update_at(id, None);
        self.owe(owed.unwrap_or_default());
    }

    fn updates_of(&self, id: IncidentId) -> Option<Updates> {
        let incident = &self.incidents.get(&id)?.incident;
        let rule = self.library.all_rules().find(|rule| rule.name == incident.rule);
        updates::wanted(self.config, rule.map(|it| &**it), incident).cloned()
    }

    fn update(&self, id: IncidentId) -> Option<Vec<Owed>> {
        let trouble = self.incidents.get(&id)?;
        let wanted = self.updates_of(id)?;
        let held = trouble.episodes.iter().filter_map(|it| self.episodes.get(it));
        let episodes: Vec<Episode> = held.map(|it| (*it.episode).clone()).collect();
        let tries: Vec<Try<'_>> = self.tries(id).collect();
        let incident = &trouble.incident;
        Some(updates::owed(self.config, &wanted, incident, &episodes, &tries, self.now))
    }
}

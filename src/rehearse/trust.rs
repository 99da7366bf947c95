//! The trust ladder of a rehearsal, as in the engine.

use std::sync::Arc;

use super::World;
use super::happening::What;
use crate::decide::audience;
use crate::decide::own;
use crate::decide::respond::Candidate;
use crate::decide::respond::Case;
use crate::decide::tell;
use crate::decide::trust;
use crate::decide::trust::Policy;
use crate::model::alert::Alert;
use crate::model::decision::Facts;
use crate::model::decision::Runs;
use crate::model::incident::Incident;
use crate::model::run::Plan;
use crate::model::time::before;
use crate::model::trust::Trust;

impl World<'_> {
    /// Lowers the trust in the rule of a case whose target is in trouble again too often; then it is judged again.
    pub(super) fn trusts_less(
        &mut self,
        case: Case<'_>,
        candidate: &Candidate,
        facts: &Facts,
    ) -> bool {
        let lowered = trust::again(case, candidate, facts);
        let demoted = lowered.is_some();
        if let Some(trust) = lowered {
            self.demote(case.incident, trust);
        }
        demoted
    }

    /// The same, at the end of a run.
    pub(super) fn trusts_less_after(&mut self, plan: &Arc<Plan>) {
        let rule = self.library.rules.rules().iter().find(|rule| rule.name == plan.rule);
        let policy =
            rule.and_then(|it| Policy::of(self.config, it, plan.remedy, plan.playbook.mode));
        let incident = self.incidents.get(&plan.incident).map(|it| it.incident.clone());
        let (Some(policy), Some(incident)) = (policy, incident) else { return };
        let from = before(self.now, policy.look_back());
        let runs: Runs = self
            .runs
            .values()
            .map(|work| &work.past)
            .filter(|run| run.rule == policy.rule && run.started_at >= from)
            .cloned()
            .collect();
        let last = self.trust.get(&policy.rule);
        if let Some(trust) = trust::demotion(&policy, last, &runs, None, self.now) {
            self.demote(&incident, trust);
        }
    }

    fn demote(&mut self, incident: &Incident, trust: Trust) {
        let words = format!(
            "rule {} is trusted less: mode {}: {}",
            trust.rule,
            trust.mode.as_str(),
            trust.why
        );
        self.happens(What::Said(words));
        let owed = audience::owed(self.config, &tell::demoted(incident, &trust), false);
        let owed = self.held(incident, owed);
        self.owe(owed);
        self.trust.insert(trust.rule.clone(), trust);
        self.tell_of_trust();
    }

    /// Raises an alert for each rule that may do less than its files say, and ends those of the others.
    pub(super) fn tell_of_trust(&mut self) {
        let now = self.now;
        let binding: Vec<Alert> = self
            .library
            .rules
            .rules()
            .iter()
            .filter_map(|rule| Some((rule, self.trust.get(&rule.name)?)))
            .filter(|(rule, trust)| trust::binds(self.config, rule, trust))
            .map(|(_, trust)| own::rule_demoted(trust))
            .collect();
        let open: Vec<(String, Alert)> = self
            .episodes
            .values()
            .map(|held| &held.episode)
            .filter(|it| it.open && it.source == own::TRUST)
            .map(|it| {
                let over = own::mended(it.labels.clone(), it.annotations.clone(), now);
                (it.fingerprint.clone(), over)
            })
            .collect();
        let is = |alert: &Alert, fingerprint: &str| alert.labels.fingerprint() == fingerprint;
        for alert in &binding {
            if !open.iter().any(|(fingerprint, _)| is(alert, fingerprint)) {
                self.take_alert(alert, own::TRUST, 0);
            }
        }
        for (fingerprint, over) in &open {
            if !binding.iter().any(|alert| is(alert, fingerprint)) {
                self.take_alert(over, own::TRUST, 0);
            }
        }
    }
}

//! What must not get worse, and what items must still be among, as the script says.

use std::sync::Arc;

use jiff::Timestamp;

use super::World;
use super::script::Seen;
use crate::decide::guard;
use crate::decide::harm;
use crate::decide::machine;
use crate::decide::machine::Spot;
use crate::decide::machine::State;
use crate::decide::stepping::Hold;
use crate::model::incident::RunId;
use crate::model::labels::Labels;
use crate::model::playbook::Measure;
use crate::model::run::Event;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Plan;
use crate::model::run::Sample;
use crate::model::time::after;

impl World<'_> {
    /// Takes the baseline of what must not get worse; `Some` when the run has to wait until then.
    pub(super) fn measure(&mut self, id: RunId) -> Option<Timestamp> {
        if let Err(until) = self.may_begin(id) {
            return until;
        }
        let plan = Arc::clone(&self.runs.get(&id)?.plan);
        let verify = plan.verify.as_ref()?;
        let seen = self.metrics(&plan)?;
        let measured = seen.into_iter().map(|(_, seen)| match seen.health {
            Health::Unknown => Err(seen.measured),
            // what it is matters to nobody here: the script says what becomes worse
            Health::Healthy | Health::Unhealthy => {
                Ok(vec![Sample { labels: Labels::default(), value: 1.0 }])
            }
        });
        match harm::baseline(&verify.unharmed, measured.collect()) {
            Ok(taken) => {
                self.write(id, Event::Baseline { taken });
                None
            }
            Err(reason) => {
                let until = after(self.now, guard::AGAIN_AFTER);
                self.hold(id, Hold { until, guard: harm::NAME, reason: &reason })
            }
        }
    }

    /// What the script says of each metric that must not get worse.
    fn metrics<'p>(&self, plan: &'p Plan) -> Option<Vec<(&'p str, Observation)>> {
        let verify = plan.verify.as_ref().filter(|verify| !verify.unharmed.is_empty())?;
        let episode = self.episode_of(plan)?;
        let seen = verify.unharmed.iter().map(|it| {
            let seen = self.script.observe(&Seen::Unharmed(&plan.rule, &it.name), &episode);
            (it.name.as_str(), seen)
        });
        Some(seen.collect())
    }

    /// Compares what must not get worse, and writes what that changes.
    pub(super) fn compare(&mut self, id: RunId) -> Option<Observation> {
        let plan = Arc::clone(&self.runs.get(&id)?.plan);
        let seen = harm::together(&self.metrics(&plan)?);
        let state = &self.runs.get(&id)?.state;
        if let Some(event) = machine::comparison_event(state, seen.clone()) {
            self.write(id, event);
        }
        Some(seen)
    }

    /// What an item must still be among, as the script says: *unhealthy* is without it, *unknown* is no answer.
    pub(super) fn found(
        &self,
        plan: &Plan,
        state: &State,
        spot: Spot,
        query: Result<Measure, String>,
    ) -> Result<Vec<Sample>, String> {
        query?;
        let step = plan.playbook.steps.get(spot.step).ok_or("no such step")?;
        let (Some(among), Some(list), Some(item), Some(episode)) = (
            step.each.as_ref().and_then(|each| each.among.as_ref()),
            state.lists.get(&spot.step),
            spot.item,
            self.episode_of(plan),
        ) else {
            return Ok(Vec::new());
        };
        let of = Seen::Step { playbook: &plan.playbook.name, step: &step.name };
        let seen = self.script.observe(&of, &episode);
        match seen.health {
            Health::Unknown => Err(seen.measured),
            Health::Unhealthy => Ok(Vec::new()),
            Health::Healthy => {
                let words = list.items.get(item).map(machine::item_words).unwrap_or_default();
                let labels = [(among.label.as_str(), words.as_str())].into_iter().collect();
                Ok(vec![Sample { labels, value: 1.0 }])
            }
        }
    }
}

//! What was decided, with its runs and plans, as an explanation.

use std::collections::BTreeSet;

use crate::decide::explain;
use crate::decide::explain::Decided;
use crate::decide::explain::Files;
use crate::model::decision::Decision;
use crate::model::explain::About;
use crate::model::explain::Explanation;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::window::OneOff;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::runs::RunRow;

/// Decisions of one episode that are looked at.
const MOST: u32 = 500;

impl Store {
    /// Explains an incident (each of its episodes), an episode (each rule's last decision) or a run (the decision that
    /// led to it).
    pub async fn explain(&self, files: Files<'_>, about: About) -> Result<Vec<Explanation>> {
        let added = self.windows().await?;
        let windows = files.config.windows.iter().cloned();
        let windows: Vec<_> = windows.chain(added.iter().map(OneOff::window)).collect();
        let trust = &self.trusts().await?;
        let files = Files { windows: &windows, trust, ..files };
        let missing = |what: String| StoreError::Missing(format!("there is no {what}"));
        match about {
            About::Incident(id) => {
                let found = self.incident(id).await?;
                let incident = found.ok_or_else(|| missing(format!("incident {id}")))?;
                let mut explained = Vec::new();
                for episode in self.episodes_of(id).await? {
                    let last = self.last_decision(episode.id, &incident.rule).await?;
                    explained
                        .push(self.explained(files, &episode, last.into_iter().collect()).await?);
                }
                Ok(explained)
            }
            About::Episode(id) => {
                let found = self.episode(id).await?;
                let episode = found.ok_or_else(|| missing(format!("episode {id}")))?;
                let mut rules = BTreeSet::new();
                let mut last: Vec<Decision> = Vec::new();
                for stored in self.decisions(Some(id), None, MOST).await? {
                    if rules.insert(stored.decision.rule.clone()) {
                        last.push(stored.decision);
                    }
                }
                last.reverse();
                Ok(vec![self.explained(files, &episode, last).await?])
            }
            About::Run(id) => {
                let found = self.run(id).await?;
                let run = found.ok_or_else(|| missing(format!("run {id}")))?;
                let found = self.episode(run.episode).await?;
                let episode = found.ok_or_else(|| missing(format!("episode {}", run.episode)))?;
                let decisions = self.decisions(Some(run.episode), None, MOST).await?;
                let led = decisions
                    .into_iter()
                    .map(|stored| stored.decision)
                    .find(|it| it.rule == run.rule && it.at <= run.started_at);
                let Some(decision) = led else {
                    return Ok(vec![explain::stored(files, &episode, &[])]);
                };
                let plan = self.plan(id).await?;
                let incident = self.incident_of(&decision).await?;
                let decided = [Decided { decision, incident, runs: vec![id], plan }];
                Ok(vec![explain::stored(files, &episode, &decided)])
            }
        }
    }

    async fn incident_of(&self, decision: &Decision) -> Result<Option<Incident>> {
        match decision.incident {
            Some(id) => self.incident(id).await,
            None => Ok(None),
        }
    }

    async fn explained(
        &self,
        files: Files<'_>,
        episode: &Episode,
        decisions: Vec<Decision>,
    ) -> Result<Explanation> {
        let mut decided = Vec::new();
        for decision in decisions {
            let mut runs: Vec<RunRow> = match decision.incident {
                Some(incident) => self.runs(Some(incident), None, MOST).await?,
                None => Vec::new(),
            };
            runs.retain(|run| {
                run.episode == episode.id && run.rule == decision.rule && run.remedy > 0
            });
            let led = runs
                .iter()
                .find(|run| run.playbook == decision.playbook && run.started_at >= decision.at);
            let plan = match led {
                Some(run) => self.plan(run.id).await?,
                None => None,
            };
            let mut runs: Vec<_> = runs.iter().map(|run| run.id).collect();
            runs.reverse();
            let incident = self.incident_of(&decision).await?;
            decided.push(Decided { decision, incident, runs, plan });
        }
        let mut explanation = explain::stored(files, episode, &decided);
        explanation.found = self.words_found(episode.id).await?;
        Ok(explanation)
    }
}

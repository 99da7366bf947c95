//! What people say in a rehearsal.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::World;
use super::happening::What;
use crate::decide::answer;
use crate::decide::audience;
use crate::decide::spread;
use crate::decide::tell;
use crate::model::decision::Pause;
use crate::model::incident::EpisodeId;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::incident::RunId;
use crate::model::run::Event;
use crate::model::run::RunState;
use crate::model::time::after;

/// The highest tier of operators.
const MAX_TIER: u8 = 4;

/// Which run or incident a person speaks of; what is silent fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Its rule.
    pub rule: Option<String>,
    /// Its target.
    pub target: Option<String>,
}

/// What a person says of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Yes.
    Approve,
    /// No, for a reason.
    Reject(String),
    /// Whether the step in doubt happened.
    Answer(bool),
    /// Answers to what a step asks.
    Reply {
        /// The step that asks; may be left out when no other does.
        step: Option<String>,
        /// By name.
        answers: BTreeMap<String, serde_json::Value>,
    },
    /// Stop before the next step.
    Cancel,
}

impl Word {
    fn what(&self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject(_) => "reject",
            Self::Answer(_) | Self::Reply { .. } => "answer",
            Self::Cancel => "cancel",
        }
    }
}

/// What a person said, and could not say: the reason is for people.
pub type Said = Result<(), String>;

impl World<'_> {
    /// A person speaks of the one run that it can be about.
    pub fn say(&mut self, by: &str, about: &About, word: Word) -> Said {
        let wanted = match word {
            Word::Approve | Word::Reject(_) => Some(RunState::AwaitingApproval),
            Word::Answer(_) => Some(RunState::InDoubt),
            Word::Reply { .. } => Some(RunState::AwaitingAnswer),
            Word::Cancel => None,
        };
        let run = self.the_run(about, wanted, word.what())?;
        let Some(work) = self.runs.get_mut(&run) else { return Ok(()) };
        let by = by.to_owned();
        let event = match word {
            Word::Approve => {
                let tier = work.plan.tier;
                let operators = &self.config.operators;
                if let Some(person) = operators.iter().find(|it| it.name == by && it.tier < tier) {
                    let has = person.tier;
                    return Err(format!(
                        "{run} needs one person of tier {tier}, and {by} has tier {has}"
                    ));
                }
                Event::Approved { by, digest: work.state.digest.clone() }
            }
            Word::Reject(reason) => Event::Rejected { by, reason },
            Word::Answer(happened) => Event::Settled { by, happened },
            Word::Reply { step, answers } => {
                let Some(question) = answer::question(&work.plan, &work.state) else {
                    return Err(format!("{run} asks nothing"));
                };
                let operators = &self.config.operators;
                // where nobody is declared, whoever the test names may
                let stranger = if operators.is_empty() { MAX_TIER } else { 0 };
                let operator = operators.iter().find(|it| it.name == by);
                let tier = operator.map_or(stranger, |it| it.tier);
                answer::may(&run.to_string(), &by, tier, question.ask.tier)?;
                question.meant(&run.to_string(), step.as_deref())?;
                let answers = answer::check(question.ask, &answers)
                    .map_err(|wrong| format!("{run}: {}", wrong.join("; ")))?;
                Event::Answered { by, answers }
            }
            Word::Cancel => {
                work.cancelled_by = Some(by.clone());
                self.happens(What::Said(format!("{by} asks that {run} stop")));
                self.wake_run(run, self.now);
                return Ok(());
            }
        };
        self.write(run, event);
        self.wake_run(run, self.now);
        Ok(())
    }

    fn the_run(
        &self,
        about: &About,
        wanted: Option<RunState>,
        what: &str,
    ) -> Result<RunId, String> {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|it| it == is);
        let found: Vec<RunId> = self
            .runs
            .iter()
            .filter(|(_, work)| {
                let state = work.past.state;
                !state.is_final()
                    && wanted.is_none_or(|wanted| wanted == state)
                    && fits(&about.rule, &work.past.rule)
                    && fits(&about.target, &work.past.target)
            })
            .map(|(id, _)| *id)
            .collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => {
                let which = wanted.map_or("at work", RunState::as_str);
                let runs: Vec<String> = self
                    .runs
                    .iter()
                    .map(|(id, work)| format!("{id} is {}", work.past.state.as_str()))
                    .collect();
                let there = if runs.is_empty() { "there is none".into() } else { runs.join(", ") };
                Err(format!("no run to {what}: none is {which}; {there}"))
            }
            many => Err(format!("{} runs to {what}: say which by `rule` or `target`", many.len())),
        }
    }

    /// A person takes an incident: stops escalation, and is told to every channel that was told of it.
    pub fn acknowledge(&mut self, by: &str, about: &About) -> Said {
        let found: Vec<IncidentId> = self
            .incidents
            .values()
            .filter(|trouble| {
                trouble.incident.status == IncidentStatus::Open
                    && about.rule.as_ref().is_none_or(|rule| *rule == trouble.incident.rule)
            })
            .map(|trouble| trouble.incident.id)
            .collect();
        let id = match found.as_slice() {
            [one] => *one,
            [] => return Err("no incident to acknowledge: none is open".into()),
            many => {
                return Err(format!(
                    "{} incidents to acknowledge: say which by `rule`",
                    many.len()
                ));
            }
        };
        let now = self.now;
        let Some(trouble) = self.incidents.get_mut(&id) else { return Ok(()) };
        let incident = &mut trouble.incident;
        incident.status = IncidentStatus::Acknowledged;
        by.clone_into(&mut incident.acked_by);
        incident.acked_at = Some(now);
        let notice = tell::acknowledged(incident, by, now);
        let told: Vec<String> = trouble.told.iter().cloned().collect();
        let acknowledged = Arc::new(trouble.incident.clone());
        self.incident_due(id, None);
        self.happens(What::Acknowledged(acknowledged));
        let owed = audience::to_channels(self.config, &notice, &told);
        self.owe(owed);
        Ok(())
    }

    /// Sets the kill switch.
    pub fn pause(&mut self, scope: &str, by: &str, reason: &str) {
        if self.pauses.iter().any(|pause| pause.scope == scope) {
            return;
        }
        let (scope, by, reason) = (scope.to_owned(), by.to_owned(), reason.to_owned());
        self.happens(What::Said(format!("{by} pauses {scope}")));
        self.pauses.push(Pause { scope, by, reason, at: self.now });
    }

    /// Clears the kill switch; open episodes are judged again.
    pub fn resume(&mut self, scope: &str) -> Said {
        let before = self.pauses.len();
        self.pauses.retain(|pause| pause.scope != scope);
        if self.pauses.len() == before {
            return Err(format!("`{scope}` is not paused"));
        }
        self.happens(What::Said(format!("{scope} is resumed")));
        self.wake_open();
        Ok(())
    }

    /// quell stops and starts again at this instant.
    pub fn restart(&mut self) {
        self.happens(What::Said("quell stops and starts again".into()));
        self.interrupted();
        self.wake_open();
    }

    fn wake_open(&mut self) {
        let mut open: Vec<EpisodeId> =
            self.episodes.iter().filter(|(_, held)| held.episode.open).map(|(id, _)| *id).collect();
        open.sort_unstable();
        let over = spread::over(u64::try_from(open.len()).unwrap_or(u64::MAX));
        for id in open {
            self.wake_episode(id, after(self.now, spread::delay(id.0, over)));
        }
    }
}

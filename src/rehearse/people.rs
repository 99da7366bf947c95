//! What people say in a rehearsal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Due;
use super::Work;
use jiff::Timestamp;

use super::World;
use super::happening::What;
use crate::decide::answer;
use crate::decide::approval;
use crate::decide::approval::Refused;
use crate::decide::audience;
use crate::decide::changed;
use crate::decide::glass;
use crate::decide::glass::Asked;
use crate::decide::spread;
use crate::decide::tell;
use crate::decide::trust;
use crate::decide::window;
use crate::model::decision::Pause;
use crate::model::glass::Broken;
use crate::model::incident::EpisodeId;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::incident::RunId;
use crate::model::playbook::Mode;
use crate::model::run::Event;
use crate::model::run::RunState;
use crate::model::run::Stop;
use crate::model::time::after;
use crate::model::window::OneOff;
use crate::model::window::Span;
use crate::model::window::Window;

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

/// Whether it never is again.
fn is_over(window: &Window, now: Timestamp) -> bool {
    window::ends(&window.span, now).is_none() && window::begins(&window.span, now).is_none()
}

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
                // where nobody is declared under this name, whoever the test names may
                let operator = self.config.operators.iter().find(|it| it.name == by);
                let tier = operator.map_or(MAX_TIER, |it| it.tier);
                approval::may(&run.to_string(), &work.plan, &work.state, &by, tier).map_err(
                    |refused| match refused {
                        Refused::Forbidden(words) | Refused::Conflict(words) => words,
                    },
                )?;
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
                if work.stop.is_none() {
                    work.stop = Some(Stop::Cancelled { by: by.clone() });
                }
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

    /// A person has an incident: stops escalation, and is told to every channel that was told of it.
    pub fn acknowledge(&mut self, by: &str, about: &About) -> Said {
        let id = self.the_incident(about, "acknowledge", |it| it.status == IncidentStatus::Open)?;
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

    /// A person takes an incident over: its runs stop before their next step.
    pub fn take_over(&mut self, by: &str, about: &About) -> Said {
        let id = self.the_incident(about, "take over", |it| {
            it.status != IncidentStatus::Resolved && it.taken_by.is_empty()
        })?;
        let now = self.now;
        let Some(trouble) = self.incidents.get_mut(&id) else { return Ok(()) };
        let incident = &mut trouble.incident;
        if incident.status == IncidentStatus::Open {
            incident.status = IncidentStatus::Acknowledged;
            by.clone_into(&mut incident.acked_by);
            incident.acked_at = Some(now);
        }
        by.clone_into(&mut incident.taken_by);
        (incident.taken_at, incident.given_back_at) = (Some(now), None);
        let notice = tell::taken(incident, by, now);
        let told: Vec<String> = trouble.told.iter().cloned().collect();
        let (runs, episodes) = (trouble.runs.clone(), trouble.episodes.clone());
        self.incident_due(id, None);
        self.happens(What::Said(format!("{by} takes {id} over")));
        for run in runs {
            let at_work = self.at_work.contains(&run);
            if let Some(work) = self.runs.get_mut(&run).filter(|_| at_work)
                && work.stop.is_none()
            {
                work.stop = Some(Stop::TakenOver { by: by.to_owned() });
                self.wake_run(run, now);
            }
        }
        self.wake_firing(&episodes);
        let owed = audience::to_channels(self.config, &notice, &told);
        self.owe(owed);
        Ok(())
    }

    /// A person gives an incident back: it is judged again.
    pub fn give_back(&mut self, by: &str, about: &About) -> Said {
        let id = self.the_incident(about, "give back", |it| {
            it.status != IncidentStatus::Resolved && !it.taken_by.is_empty()
        })?;
        let now = self.now;
        let Some(trouble) = self.incidents.get_mut(&id) else { return Ok(()) };
        let incident = &mut trouble.incident;
        incident.taken_by.clear();
        incident.given_back_at = Some(now);
        let notice = tell::given_back(incident, by, now);
        let told: Vec<String> = trouble.told.iter().cloned().collect();
        let episodes = trouble.episodes.clone();
        self.happens(What::Said(format!("{by} gives {id} back")));
        self.wake_firing(&episodes);
        self.update_at(id, Some(now));
        let owed = audience::to_channels(self.config, &notice, &told);
        self.owe(owed);
        Ok(())
    }

    /// A person breaks the glass: approval, windows and the sickness ceiling are lifted for a time.
    pub fn break_glass(&mut self, by: &str, scope: &str, reason: &str, lasts: Duration) -> Said {
        let operator = self.config.operators.iter().find(|it| it.name == by);
        let tier = operator.map_or(MAX_TIER, |it| it.tier);
        let asked = Asked { scope, by: (by, tier), reason, lasts };
        let new = glass::ask(self.config, asked, self.now).map_err(|refused| match refused {
            glass::Refused::Forbidden(words) | glass::Refused::Invalid(words) => words,
        })?;
        self.next_id.1 += 1;
        let number = i64::try_from(self.broken.len()).unwrap_or(i64::MAX).saturating_add(1);
        let broken = Broken { id: number, incident: IncidentId(self.next_id.1), ..new };
        self.happens(What::Said(format!("{by} breaks the glass for {scope}: {reason}")));
        let owed = glass::told(self.config, &broken);
        self.enter(broken.until, Due::Glass(self.broken.len()));
        self.broken.push(broken);
        self.owe(owed);
        self.wake_open();
        let waiting: Vec<RunId> = self.at_work.iter().copied().collect();
        for run in waiting {
            let waits = |work: &Work| work.past.state == RunState::AwaitingApproval;
            if self.runs.get(&run).is_some_and(waits) {
                self.wake_run(run, self.now);
            }
        }
        Ok(())
    }

    /// Its time is over, and people are told.
    pub(super) fn glass_ends(&mut self, index: usize) {
        let Some(broken) = self.broken.get(index) else { return };
        let owed = glass::told_over(self.config, broken, self.now);
        self.owe(owed);
    }

    /// The one incident that a person can mean.
    fn the_incident(
        &self,
        about: &About,
        what: &str,
        wanted: impl Fn(&Incident) -> bool,
    ) -> Result<IncidentId, String> {
        let found: Vec<IncidentId> = self
            .incidents
            .values()
            .map(|trouble| &trouble.incident)
            .filter(|it| wanted(it) && about.rule.as_ref().is_none_or(|rule| *rule == it.rule))
            .map(|it| it.id)
            .collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(format!("no incident to {what}: none is open")),
            many => Err(format!("{} incidents to {what}: say which by `rule`", many.len())),
        }
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

    /// Adds a window beside those of the settings; what waits is judged again, by it too.
    pub fn add_window(&mut self, window: &OneOff) -> Said {
        let now = self.now;
        if self.windows.iter().any(|it| it.name == window.name && !is_over(it, now)) {
            return Err(format!("there is a window {} that is not over", window.name));
        }
        let until = window.until;
        let words = format!("{} adds window {} until {until:.0}", window.by, window.name);
        self.happens(What::Said(words));
        Arc::make_mut(&mut self.windows).push(window.window());
        self.judge_again();
        Ok(())
    }

    /// Ends a window that was added.
    pub fn end_window(&mut self, name: &str) -> Said {
        let now = self.now;
        let added = Arc::make_mut(&mut self.windows).iter_mut().skip(self.config.windows.len());
        let mut mine = added.filter(|it| it.name == name && !is_over(it, now));
        let Some(window) = mine.next() else {
            return Err(format!("there is no window {name} that was added and is not over"));
        };
        if let Span::Once { from, until } = &mut window.span {
            (*from, *until) = ((*from).min(now), now);
        }
        self.happens(What::Said(format!("window {name} is ended")));
        self.judge_again();
        Ok(())
    }

    /// Somebody changed a target.
    pub fn changed(&mut self, target: &str, by: &str, reason: &str) -> Said {
        let change = changed::told(target, by, reason, self.now)?;
        self.happens(What::Said(format!("{by} changed {target}")));
        self.changes.push(change);
        Ok(())
    }

    /// A person trusts a rule again, one rung or up to `to`.
    pub fn promote(&mut self, rule: &str, to: Option<Mode>, by: &str, reason: &str) -> Said {
        let found = self.library.rules.rules().iter().find(|it| it.name == rule);
        let Some(found) = found else { return Err(format!("there is no rule {rule}")) };
        let last = self.trust.get(rule);
        let trust = trust::promotion(self.config, found, last, to, by, reason, self.now)?;
        self.happens(What::Said(format!("{by} promotes {rule} to {}", trust.mode.as_str())));
        self.trust.insert(rule.to_owned(), trust);
        self.tell_of_trust();
        self.wake_open();
        Ok(())
    }

    /// What may wait for a window is looked at now: open episodes, and runs between their effects.
    fn judge_again(&mut self) {
        for run in self.at_work.clone() {
            self.wake_run(run, self.now);
        }
        self.wake_open();
    }

    /// quell stops and starts again at this instant.
    pub fn restart(&mut self) {
        self.happens(What::Said("quell stops and starts again".into()));
        self.interrupted();
        self.wake_open();
    }

    fn wake_firing(&mut self, episodes: &[EpisodeId]) {
        for id in episodes {
            if self.episodes.get(id).is_some_and(|held| held.episode.open) {
                self.wake_episode(*id, self.now);
            }
        }
    }

    /// Open episodes are judged again, spread as those of a server are.
    pub(super) fn wake_open(&mut self) {
        let mut open: Vec<EpisodeId> =
            self.episodes.iter().filter(|(_, held)| held.episode.open).map(|(id, _)| *id).collect();
        open.sort_unstable();
        let over = spread::over(u64::try_from(open.len()).unwrap_or(u64::MAX));
        for id in open {
            self.wake_episode(id, after(self.now, spread::delay(id.0, over)));
        }
    }
}

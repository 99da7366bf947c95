//! Runs a test of rules: plays its events into a world, and compares what comes of them with what it expects.

mod judge;

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Memory;
use super::World;
use super::coverage;
use super::coverage::Item;
use super::happening::Happening;
use super::happening::What;
use super::people::About;
use super::people::Word;
use super::script::Seen;
use super::script::Tried;
use super::script::Which;
use super::script::contains;
use crate::decide::glass;
use crate::decide::tell;
use crate::library::Library;
use crate::library::Span;
use crate::library::scenario::ComesTo;
use crate::library::scenario::Deed;
use crate::library::scenario::Says;
use crate::library::scenario::Scenario;
use crate::library::scenario::Scripted;
use crate::library::scenario::Spoken;
use crate::library::scenario::Whose;
use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::decision::Decision;
use crate::model::decision::Standing;
use crate::model::incident::EpisodeId;
use crate::model::incident::Owed;
use crate::model::incident::RunId;
use crate::model::labels::Labels;
use crate::model::rule::Set;
use crate::model::run::Event;
use crate::model::run::Observation;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::time::after;
use crate::model::window::OneOff;

/// An expectation without a time is looked at this long after the last event.
const END: Duration = Duration::from_hours(1);
/// Who sends the alerts of a test.
const SOURCE: &str = "test";

/// Something that was not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When it was looked at.
    pub at: Timestamp,
    /// The value that does not hold, or the event that could not happen.
    pub span: Span,
    /// What was expected, and what was seen.
    pub message: String,
    /// What stands under the value.
    pub label: String,
    /// More, one a line.
    pub notes: Vec<String>,
}

/// What a test came to.
#[derive(Debug)]
pub struct Finished {
    /// What was not as expected; a test without any passes.
    pub failures: Vec<Failure>,
    /// All that happened.
    pub happenings: Vec<Happening>,
    /// What of the library it reached.
    pub reached: BTreeSet<Item>,
}

impl Finished {
    /// Whether all was as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Runs one test in a world of its own.
pub fn run(library: &Library, scenario: &Scenario) -> Finished {
    let own = scenario.mode.map(|mode| {
        let mut config = library.config.clone();
        config.mode = Set::default_of(mode);
        config.mode.place.file = format!("{}:{}", scenario.file, scenario.span.line);
        config
    });
    let config = own.as_ref().unwrap_or(&library.config);
    let mut play = Play {
        scenario,
        world: World::with(library, config, Memory::Whole, scenario.at),
        seen: Record::default(),
        happenings: Vec::new(),
        failures: Vec::new(),
    };
    let last_event = scenario.events.last().map(|it| it.at).unwrap_or_default();
    let last_expect = scenario.expects.iter().filter_map(|it| it.at).max().unwrap_or_default();
    let end = last_event.max(last_expect) + END;
    let mut events = scenario.events.iter().peekable();
    for expect in &scenario.expects {
        let at = expect.at.unwrap_or(end);
        while let Some(event) = events.next_if(|it| it.at <= at) {
            play.event(event);
        }
        play.until(at);
        let found = judge::judge(expect, library, &play.world, &play.seen);
        play.failures.extend(found);
    }
    // an event after the last expectation may still be one that cannot happen
    for event in events {
        play.event(event);
    }
    let Play { world, happenings, mut failures, .. } = play;
    let reached = coverage::reached(library, &happenings);
    drop(world);
    failures.sort_by_key(|it| it.at);
    Finished { failures, happenings, reached }
}

/// What was seen so far, as expectations ask for it.
#[derive(Debug, Default)]
struct Record {
    /// Labels of the alerts.
    alerts: HashMap<EpisodeId, Labels>,
    /// The latest decision of each episode, rule and playbook; the latest of all last.
    decisions: Vec<Arc<Decision>>,
    /// Runs in order of start, with the actions that each has begun.
    runs: Vec<(RunId, Arc<Plan>, Vec<String>)>,
    /// Notifications.
    told: Vec<Arc<Owed>>,
}

impl Record {
    fn take(&mut self, what: &What) {
        match what {
            What::Alert { episode, .. } => {
                self.alerts.insert(episode.id, episode.labels.clone());
            }
            What::Decided { decision, .. } => {
                let same = |it: &Arc<Decision>| {
                    (it.episode, &it.rule, &it.playbook)
                        == (decision.episode, &decision.rule, &decision.playbook)
                };
                self.decisions.retain(|it| !same(it));
                self.decisions.push(Arc::clone(decision));
            }
            What::Run { run, plan, event } => {
                let line = match event.as_ref() {
                    Event::Planned { .. } => {
                        self.runs.push((*run, Arc::clone(plan), Vec::new()));
                        None
                    }
                    Event::StepStarted { intent, .. } => {
                        intent.action.as_ref().map(tell::action_line)
                    }
                    Event::UndoStarted { intent, .. } => intent
                        .action
                        .as_ref()
                        .map(|action| format!("undo {}", tell::action_line(action))),
                    _ => None,
                };
                let mine = self.runs.iter_mut().find(|(id, ..)| id == run);
                if let (Some((_, _, lines)), Some(line)) = (mine, line) {
                    lines.push(line);
                }
            }
            What::Told(owed) => self.told.push(Arc::clone(owed)),
            What::Opened(_)
            | What::Escalated { .. }
            | What::Acknowledged(_)
            | What::Resolved(_)
            | What::Said(_) => {}
        }
    }
}

struct Play<'a> {
    scenario: &'a Scenario,
    world: World<'a>,
    seen: Record,
    happenings: Vec<Happening>,
    failures: Vec<Failure>,
}

impl Play<'_> {
    fn until(&mut self, at: Duration) {
        self.world.run_until(after(self.scenario.at, at));
        self.collect();
    }

    fn collect(&mut self) {
        for happening in self.world.happenings() {
            self.seen.take(&happening.what);
            // what repeats only what was known is not kept: a paused hour is 3600 judgements
            if !matches!(happening.what, What::Decided { news: false, .. }) {
                self.happenings.push(happening);
            }
        }
    }

    fn event(&mut self, event: &Scripted) {
        let at = after(self.scenario.at, event.at);
        self.world.come_to(at);
        if let Err(reason) = deed(&mut self.world, self.scenario.at, &event.what) {
            self.failures.push(Failure {
                at,
                span: event.span,
                message: "this cannot happen".to_owned(),
                label: reason,
                notes: Vec::new(),
            });
        }
        self.collect();
    }
}

/// Does what a script that began then says, now. The reason why it cannot be is for people.
fn deed(world: &mut World<'_>, began: Timestamp, deed: &Deed) -> Result<(), String> {
    let now = world.now();
    match deed {
        Deed::Fire { labels, annotations, truncated, starts } => {
            // Alertmanager says again what goes on with the same start
            let said = starts.map(|starts| after(began, starts));
            let starts = said.or_else(|| world.firing_since(labels)).unwrap_or(now);
            let alert = alert(labels, annotations, starts, None);
            world.alert(now, &alert, SOURCE, *truncated);
        }
        Deed::Resolve(labels) => {
            let open = world.open_alerts(labels);
            if open.is_empty() {
                return Err("no alert with these labels fires".to_owned());
            }
            for (labels, annotations, starts) in open {
                let alert = alert(&labels, &annotations, starts, Some(now));
                world.alert(now, &alert, SOURCE, 0);
            }
        }
        Deed::Probe { whose, health, measured } => {
            let measured = measured.clone().unwrap_or_else(|| "as the test says".to_owned());
            let observation = Observation { health: *health, measured, denied: false };
            world.script(now, |script| {
                let seen = match whose {
                    Whose::Rule(name) => Seen::Rule(name),
                    Whose::Proof(rule, name) => Seen::Proof(rule, name),
                    Whose::Unharmed(rule, name) => Seen::Unharmed(rule, name),
                    Whose::Check(name) => Seen::Check(name),
                    Whose::Step(playbook, step) => Seen::Step { playbook, step },
                };
                script.probe(seen, observation);
            });
        }
        Deed::Step { playbook, step, nth, undo, comes_to, takes, found } => {
            let (playbook, step) = (playbook.clone(), step.clone());
            let which = Which { playbook, step, nth: *nth, undo: *undo };
            let tried = Tried { outcome: outcome(comes_to), takes: *takes, found: found.clone() };
            world.script(now, |script| script.step(which, tried));
        }
        Deed::Alertmanager { of, says } => {
            world.script(now, |script| script.stands(of.clone(), says.map(standing)));
        }
        Deed::Word { by, word, rule, target } => {
            let about = About { rule: rule.clone(), target: target.clone() };
            let word = match word {
                Spoken::Acknowledge => return world.acknowledge(by, &about),
                Spoken::Take => return world.take_over(by, &about),
                Spoken::GiveBack => return world.give_back(by, &about),
                Spoken::BreakGlass(reason) => {
                    let target = target.as_ref().map(|name| format!("target:{name}"));
                    let rule = rule.as_ref().map(|name| format!("rule:{name}"));
                    let scope = rule.or(target).unwrap_or_default();
                    return world.break_glass(by, &scope, reason, glass::SILENT);
                }
                Spoken::Approve => Word::Approve,
                Spoken::Reject(reason) => Word::Reject(reason.clone()),
                Spoken::Answer(happened) => Word::Answer(*happened),
                Spoken::Reply { step, answers } => {
                    Word::Reply { step: step.clone(), answers: answers.clone() }
                }
                Spoken::Cancel => Word::Cancel,
            };
            return world.say(by, &about, word);
        }
        Deed::Pause(scope) => world.pause(scope, "the test", ""),
        Deed::Resume(scope) => return world.resume(scope),
        Deed::Window { name, lasts, effect, matchers, reason } => {
            return world.add_window(&OneOff {
                name: name.clone(),
                effect: *effect,
                matchers: matchers.clone(),
                reason: reason.clone(),
                by: "the test".to_owned(),
                at: now,
                from: now,
                until: after(now, *lasts),
                ended_by: None,
            });
        }
        Deed::WindowEnds(name) => return world.end_window(name),
        Deed::Changed(target) => return world.changed(target, "the test", ""),
        Deed::Promote(rule) => return world.promote(rule, None, "the test", "the test says so"),
        Deed::Restart => world.restart(),
        Deed::Population { rule, total, unhealthy } => world.counts(rule, *total, *unhealthy),
        Deed::Watchdog { arrives } => {
            world.script(now, |script| script.watchdog_gone = (!arrives).then_some(now));
        }
        Deed::Clock(by_ms) => world.clock_is_set(*by_ms),
    }
    Ok(())
}

fn alert(
    labels: &Labels,
    annotations: &Labels,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
) -> Alert {
    Alert {
        status: if ends_at.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing },
        labels: labels.clone(),
        annotations: annotations.clone(),
        starts_at: Some(starts_at),
        ends_at,
        generator_url: String::new(),
    }
}

fn outcome(comes_to: &ComesTo) -> Outcome {
    match comes_to {
        ComesTo::Done(output) => {
            Outcome::Done { summary: "done".to_owned(), output: output.clone() }
        }
        ComesTo::Fails { reason, retryable } => {
            Outcome::Failed { reason: reason.clone(), retryable: *retryable }
        }
        ComesTo::Denied(reason) => {
            Outcome::Denied { credentials: Vec::new(), reason: reason.clone() }
        }
        ComesTo::Unknown(reason) => Outcome::Unknown { reason: reason.clone() },
    }
}

fn standing(says: Says) -> Standing {
    match says {
        Says::Active => Standing::Active,
        Says::Silenced => Standing::Silenced { by: vec!["a silence of the test".to_owned()] },
        Says::Inhibited => Standing::Inhibited,
        Says::Gone => Standing::Gone,
        Says::Unknown => Standing::Unknown { reason: "the test says so".to_owned() },
    }
}

impl World<'_> {
    /// When the alert with exactly these labels began, if it fires.
    pub fn firing_since(&self, labels: &Labels) -> Option<Timestamp> {
        let held = self.episodes.get(self.latest.get(&labels.fingerprint())?)?;
        held.episode.open.then_some(held.episode.starts_at)
    }

    /// Labels, annotations and start of the alerts that fire and have all these labels, the oldest first.
    pub fn open_alerts(&self, wanted: &Labels) -> Vec<(Labels, Labels, Timestamp)> {
        let mut open: Vec<_> = self
            .episodes
            .values()
            .map(|held| &held.episode)
            .filter(|it| it.open && contains(&it.labels, wanted))
            .collect();
        open.sort_by_key(|it| it.id);
        let parts = |it: &Arc<crate::model::incident::Episode>| {
            (it.labels.clone(), it.annotations.clone(), it.starts_at)
        };
        open.into_iter().map(parts).collect()
    }
}

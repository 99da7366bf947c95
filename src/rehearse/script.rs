//! What the outside answers in a rehearsal: probes, Alertmanager, outcomes of steps.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;

use crate::model::config::Config;
use crate::model::decision::Counted;
use crate::model::decision::Standing;
use crate::model::incident::Episode;
use crate::model::labels::Labels;
use crate::model::rule::is_schedule;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Outcome;

/// Whose probe is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<'a> {
    /// The verification of a rule, which is also its precheck.
    Rule(&'a str),
    /// What the playbook of a remedy of this rule wants to be shown, by its name: `load`, `was healthy`.
    Proof(&'a str, &'a str),
    /// A metric that a remedy of this rule must not make worse, by its name: *unhealthy* is worse than before.
    Unharmed(&'a str, &'a str),
    /// A check.
    Check(&'a str),
    /// A probe step of a playbook.
    Step {
        /// The playbook.
        playbook: &'a str,
        /// The step.
        step: &'a str,
    },
}

impl Seen<'_> {
    fn key(self) -> String {
        match self {
            Self::Rule(name) => format!("rule {name}"),
            Self::Proof(rule, name) => format!("proof {rule}/{name}"),
            Self::Unharmed(rule, name) => format!("unharmed {rule}/{name}"),
            Self::Check(name) => format!("check {name}"),
            Self::Step { playbook, step } => format!("step {playbook}/{step}"),
        }
    }
}

/// What one try of a step comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// How it ends.
    pub outcome: Outcome,
    /// How long it takes.
    pub takes: Duration,
    /// What a look at its target found before it: prepared fields of the action, by name. Of the rest, what is likely.
    pub found: Map<String, Value>,
}

impl Default for Tried {
    fn default() -> Self {
        let outcome = Outcome::Done { summary: "done".into(), output: Value::Null };
        Self { outcome, takes: Duration::ZERO, found: Map::new() }
    }
}

/// Which try of which step a scripted outcome is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Which {
    /// The playbook; every one when silent.
    pub playbook: Option<String>,
    /// The step; every one when silent.
    pub step: Option<String>,
    /// The n-th time that it is done from now on, from 1; every time when silent.
    pub nth: Option<u32>,
    /// The undo of the step, not the step.
    pub undo: bool,
}

#[derive(Debug)]
struct Rule {
    which: Which,
    tried: Tried,
    /// How often it was asked for.
    asked: u32,
}

/// Answers for the outside. What it does not speak of: a verification is unhealthy while its alert fires and healthy
/// afterwards, checks and probe steps are healthy, Alertmanager lists what fires, and steps are done at once.
#[derive(Debug)]
pub struct Script {
    /// Whether there is an Alertmanager to ask.
    pub alertmanager: bool,
    /// Since when the watchdog has not arrived; `None` while it arrives.
    pub watchdog_gone: Option<Timestamp>,
    populations: BTreeMap<String, (Counted, Counted)>,
    probes: BTreeMap<String, Observation>,
    standings: Vec<(Labels, Standing)>,
    steps: Vec<Rule>,
}

impl Script {
    /// Nothing but the defaults. Without a file of settings there is an Alertmanager too.
    pub fn new(config: &Config) -> Self {
        Self {
            alertmanager: config.alertmanager.is_some() || config.file.is_none(),
            watchdog_gone: None,
            populations: BTreeMap::new(),
            probes: BTreeMap::new(),
            standings: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// From now on the population of this rule counts so.
    pub fn counts(&mut self, rule: &str, total: Counted, unhealthy: Counted) {
        self.populations.insert(rule.to_owned(), (total, unhealthy));
    }

    pub(super) fn population(&self, rule: &str) -> Option<(Counted, Counted)> {
        self.populations.get(rule).cloned()
    }

    /// From now on this probe sees this.
    pub fn probe(&mut self, seen: Seen<'_>, observation: Observation) {
        self.probes.insert(seen.key(), observation);
    }

    /// From now on Alertmanager says this of alerts that have all these labels; `None` takes it back.
    pub fn stands(&mut self, labels: Labels, standing: Option<Standing>) {
        self.standings.retain(|(it, _)| *it != labels);
        self.standings.extend(standing.map(|standing| (labels, standing)));
    }

    /// From now on this try of a step comes to this; the latest that fits counts.
    pub fn step(&mut self, which: Which, tried: Tried) {
        self.steps.push(Rule { which, tried, asked: 0 });
    }

    /// Whether a probe of this check was ever given.
    pub fn speaks_of_check(&self, name: &str) -> bool {
        self.probes.contains_key(&Seen::Check(name).key())
    }

    /// What a probe sees.
    pub(super) fn observe(&self, seen: &Seen<'_>, episode: &Episode) -> Observation {
        if let Some(observation) = self.probes.get(&seen.key()) {
            return observation.clone();
        }
        let (health, measured) = match seen {
            // a schedule's work is believed done when its steps are
            Seen::Rule(name) if is_schedule(name) => (Health::Healthy, "assumed"),
            Seen::Rule(_) if episode.open => (Health::Unhealthy, "assumed while the alert fires"),
            Seen::Rule(_) => (Health::Healthy, "assumed once the alert has resolved"),
            Seen::Proof(..) | Seen::Unharmed(..) | Seen::Check(_) | Seen::Step { .. } => {
                (Health::Healthy, "assumed")
            }
        };
        Observation { health, measured: measured.to_owned(), denied: false }
    }

    /// What Alertmanager says.
    pub(super) fn standing(&self, episode: &Episode) -> Standing {
        let said =
            self.standings.iter().rev().find(|(labels, _)| contains(&episode.labels, labels));
        match said {
            Some((_, standing)) => standing.clone(),
            None if !self.alertmanager => Standing::NotAsked,
            None if episode.open => Standing::Active,
            None => Standing::Gone,
        }
    }

    /// What the next try of a step comes to.
    pub(super) fn perform(&mut self, playbook: &str, step: &str, undo: bool) -> Tried {
        let mut found = None;
        for rule in &mut self.steps {
            let fits = |wanted: &Option<String>, name: &str| {
                wanted.as_ref().is_none_or(|wanted| wanted == name)
            };
            let which = &rule.which;
            if undo != which.undo || !fits(&which.playbook, playbook) || !fits(&which.step, step) {
                continue;
            }
            rule.asked += 1;
            if which.nth.is_none_or(|nth| nth == rule.asked) {
                found = Some(rule.tried.clone());
            }
        }
        found.unwrap_or_default()
    }
}

/// Whether `labels` has every one of `wanted`.
pub fn contains(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == value)
}

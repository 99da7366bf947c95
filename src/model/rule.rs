//! Rules: which alerts, and the response to them. Checks live in the same files.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::action::Template;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::playbook::Mode;
use crate::model::playbook::Rate;
use crate::model::playbook::Share;
use crate::model::playbook::Verification;
use crate::model::probe::Probe;
use crate::model::updates::Updates;

/// Where something was written: what a refusal names as its knob.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// File, as given.
    pub file: String,
    /// Line from 1; 0 when it is a default.
    pub line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line == 0 {
            f.write_str(if self.file.is_empty() { "default" } else { &self.file })
        } else {
            write!(f, "{}:{}", self.file, self.line)
        }
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set<T> {
    /// The value.
    pub value: T,
    /// Where.
    pub place: Place,
}

impl<T> Set<T> {
    /// A default, written nowhere.
    pub fn default_of(value: T) -> Self {
        Self { value, place: Place::default() }
    }
}

/// Matchers and conditions that select alerts, and the response to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Unique name.
    pub name: String,
    /// For people.
    pub description: String,
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// CEL over `labels` and `annotations`; an error is unknown, and the rule does not act.
    pub when: Option<String>,
    /// Labels that make an incident; empty means the rule and the target.
    pub group_by: Vec<String>,
    /// Canonical name of the thing acted on.
    pub target: Template,
    /// Remedies in order.
    pub response: Vec<Remedy>,
    /// How a remedy is verified.
    pub verify: Option<Verification>,
    /// Guard settings.
    pub limits: RuleLimits,
    /// The group that its targets belong to.
    pub population: Option<Population>,
    /// Members of one redundancy group are never acted on at the same time (G9). A template over `labels` and
    /// `annotations`.
    pub redundancy_group: Option<Template>,
    /// Channels that page are told only when it is not verified fixed within this time; `None`: at once.
    pub page: Option<Set<Duration>>,
    /// Who is told every so often until it is over; `None`: those of the severity.
    pub updates: Option<Updates>,
    /// The most this rule may do.
    pub mode: Set<Mode>,
    /// Whether later rules may match the alert too.
    pub go_on: bool,
    /// Where its name stands.
    pub place: Place,
}

/// What the names of rules that belong to schedules begin with, and the sources of their episodes. No other rule may
/// be called so.
pub const SCHEDULE: &str = "schedule:";

/// Whether a rule of this name belongs to a schedule: it runs because it is time, not because something is sick.
pub fn is_schedule(rule: &str) -> bool {
    rule.starts_with(SCHEDULE)
}

/// One playbook with its parameters and mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remedy {
    /// Name of the playbook.
    pub playbook: String,
    /// Its parameters; texts are templates over `labels` and `annotations`.
    pub with: BTreeMap<String, serde_json::Value>,
    /// The most this remedy may do.
    pub mode: Option<Set<Mode>>,
    /// The tier an operator needs to approve it, above the playbook's own.
    pub tier: Option<u8>,
    /// How many operators must approve it, above the playbook's own number.
    pub approvals: Option<u8>,
    /// Where it stands.
    pub place: Place,
}

/// `limits:` of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleLimits {
    /// The alert must have been firing this long.
    pub settle: Option<Set<Duration>>,
    /// Time between runs on one target.
    pub cooldown: Option<Set<Duration>>,
    /// Runs of this rule in a span of time.
    pub rate: Option<Set<Rate>>,
    /// Above this part of the population that is not well, nobody of it is acted on. In percent.
    pub max_unhealthy: Option<Set<u8>>,
    /// How much of the population may be acted on in a span of time.
    pub blast: Option<Set<Blast>>,
    /// Members of the population that must stay well beside the one that is acted on.
    pub min_available: Option<Set<u32>>,
    /// Runs on one target that did not help, over all playbooks; then people only.
    pub ineffective: Option<Set<Rate>>,
    /// Runs of this rule that did not help, after which it is trusted one rung less; beside that of quell.yml.
    pub demote_after: Option<Set<Rate>>,
    /// After a person changed or acknowledged, automation only proposes for this long.
    pub quiet: Option<Set<Duration>>,
}

/// `blast: { max, within }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blast {
    /// Distinct targets, of the population; at least one.
    pub max: Share,
    /// Acted on within this time.
    pub within: Duration,
}

/// `population:`, the denominator of limits: the group that the targets of a rule belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Population {
    /// All its members.
    pub of: Members,
    /// A query that counts those that are not well; `None` counts the targets of this rule with open episodes.
    pub unhealthy: Option<Template>,
    /// Where it stands.
    pub place: Place,
}

/// Where the members of a population come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Members {
    /// A query whose answer is their number; a template over `labels` and `annotations`.
    Promql(Template),
    /// Their names.
    Listed(Vec<String>),
}

/// A probe on a cron schedule that raises and resolves alerts of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Unique name.
    pub name: String,
    /// Five standard fields, or six with seconds first.
    pub cron: String,
    /// IANA zone the schedule is read in.
    pub timezone: String,
    /// What to observe.
    pub probe: Probe,
    /// Unhealthy this often in a row fires; healthy this often resolves.
    pub consecutive: u32,
    /// Whether a check that cannot see raises `QuellCheckUnknown`, which never triggers a remedy.
    pub unknown_alerts: bool,
    /// Labels of the alert it raises; `alertname` is the check's name when silent.
    pub labels: Labels,
    /// Annotations of the alert it raises.
    pub annotations: Labels,
    /// Where its name stands.
    pub place: Place,
}

/// A playbook on a cron schedule. Each slot is an episode of its own, which only `rule` takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Unique name.
    pub name: String,
    /// Five standard fields, or six with seconds first.
    pub cron: String,
    /// IANA zone the schedule is read in.
    pub timezone: String,
    /// What becomes of a slot that comes while the last run is at work.
    pub overlap: Overlap,
    /// What becomes of a slot that came while quell was down.
    pub missed: Missed,
    /// A slot begins up to this much later, at random, so that not everything begins at once.
    pub jitter: Duration,
    /// Labels of its episodes, beside `alertname`, `schedule` and `slot`.
    pub labels: Labels,
    /// The response: target, mode, verification, and the playbook as its only remedy.
    pub rule: Arc<Rule>,
    /// Where its name stands.
    pub place: Place,
}

/// What becomes of a slot that comes while the last run is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is left out.
    Skip,
    /// It waits; one at most.
    Queue,
}

/// What becomes of a slot that came while quell was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// It is left out.
    Skip,
    /// It runs now, once for all that were missed.
    RunOnce,
}

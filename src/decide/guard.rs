//! Guards: each is one small pure function, with its own file and its own tests.
//!
//! A guard takes what is asked ([`Subject`]), what is known ([`Facts`]) and the time, and says proceed, ask,
//! hold or refuse, with the value, the limit and the knob. The most cautious verdict wins. More guards never
//! permit more.

mod available;
mod blast;
mod cache;
mod clock;
mod cooldown;
mod credential;
mod dependency;
mod evidence;
mod failures;
mod firing;
mod group;
mod ineffective;
mod kill_switch;
mod mode;
mod people;
mod population;
mod rate;
mod rollback;
mod settle;
mod sickness;
mod silence;
mod stale;
mod storm;
mod target;
mod target_free;
mod watchdog;
mod window;

use std::time::Duration;

use jiff::Timestamp;

use crate::model::config::StormLimits;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::decision::Verdict;
use crate::model::incident::IncidentId;
use crate::model::playbook::Mode;
use crate::model::playbook::Playbook;
use crate::model::playbook::Rate;
use crate::model::rule::Blast;
use crate::model::rule::RuleLimits;
use crate::model::rule::Set;
use crate::model::time::after;

/// What is about to be done, and the limits that hold for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The rule's name.
    pub rule: String,
    /// The playbook's name.
    pub playbook: String,
    /// What it acts on.
    pub target: String,
    /// The alert's name.
    pub alertname: String,
    /// The incident.
    pub incident: IncidentId,
    /// Which remedy, from 1; 0 takes temporary measures back.
    pub remedy: u32,
    /// When the episode opened: earlier runs belong to an earlier trouble.
    pub since: Timestamp,
    /// Modes that bound it, each with its knob.
    pub modes: Vec<(String, Mode)>,
    /// Limits, the tighter of global and rule already chosen.
    pub limits: Limits,
    /// The service of the alert; empty when it names none.
    pub service: String,
    /// Redundancy group of the target; empty when the rule names none.
    pub group: String,
    /// Kinds of targets that the playbook may act on, as patterns; empty means any.
    pub acts_on: Vec<String>,
    /// What of quell's own the target is, with the knob that says so.
    pub dependency: Option<(String, String)>,
    /// Credentials that the playbook uses: `targets.http.shop`, `secrets.deploy-token`.
    pub credentials: Vec<String>,
    /// The version to return to, for a playbook that rolls back.
    pub rollback: Option<Rollback>,
}

/// A version to return to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// Which.
    pub to: String,
    /// One that was left within this time is not returned to.
    pub memory: Duration,
}

/// Limits that hold for one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time an alert must have been firing.
    pub settle: Option<Set<Duration>>,
    /// Time between runs on one target.
    pub cooldown: Set<Duration>,
    /// Runs of the rule.
    pub rule_rate: Option<Set<Rate>>,
    /// Runs of the playbook.
    pub playbook_rate: Option<Rate>,
    /// Runs of the playbook at once.
    pub playbook_concurrent: Option<u32>,
    /// Runs of everything.
    pub global_rate: Set<Rate>,
    /// Runs of everything at once.
    pub concurrent: Set<u32>,
    /// Evidence older than this is unknown.
    pub max_age: Set<Duration>,
    /// Runs for the alerts of one service.
    pub service_rate: Set<Rate>,
    /// Runs on one target that did not help.
    pub ineffective: Set<Rate>,
    /// Runs of everything that failed.
    pub failures: Set<Rate>,
    /// The part of a population that may be ill, in percent.
    pub max_unhealthy: Set<u8>,
    /// How much of the population may be acted on.
    pub blast: Option<Set<Blast>>,
    /// Members of the population that must stay well.
    pub min_available: Option<Set<u32>>,
    /// How many distinct targets may be in trouble at once.
    pub storm: Set<StormLimits>,
    /// Time in which automation only proposes, after a person did something.
    pub quiet: Set<Duration>,
    /// How far clocks may differ.
    pub max_skew: Set<Duration>,
    /// The part by which a population may shrink before it is unknown, in percent.
    pub max_drop: Set<u8>,
}

impl Limits {
    /// Limits for a playbook alone, before a rule tightens them.
    pub fn of(global: &crate::model::config::Limits, playbook: &Playbook) -> Self {
        Self {
            playbook_rate: playbook.limits.rate,
            playbook_concurrent: playbook.limits.concurrent,
            ..Self::of_everything(global)
        }
    }

    /// Limits of quell.yml alone.
    pub fn of_everything(global: &crate::model::config::Limits) -> Self {
        Self {
            settle: None,
            cooldown: global.cooldown.clone(),
            rule_rate: None,
            playbook_rate: None,
            playbook_concurrent: None,
            global_rate: global.rate.clone(),
            concurrent: global.concurrent.clone(),
            max_age: global.max_age.clone(),
            service_rate: global.service_rate.clone(),
            ineffective: global.ineffective.clone(),
            failures: global.failures.clone(),
            max_unhealthy: global.max_unhealthy.clone(),
            blast: None,
            min_available: None,
            storm: global.storm.clone(),
            quiet: global.quiet.clone(),
            max_skew: global.max_skew.clone(),
            max_drop: global.max_drop.clone(),
        }
    }

    /// The tighter of these and what the rule says of its own: a rule never loosens a global limit.
    #[must_use]
    pub fn tightened(mut self, rule: &RuleLimits) -> Self {
        self.settle.clone_from(&rule.settle);
        self.rule_rate.clone_from(&rule.rate);
        self.blast.clone_from(&rule.blast);
        self.min_available.clone_from(&rule.min_available);
        longer(&mut self.cooldown, rule.cooldown.as_ref());
        longer(&mut self.quiet, rule.quiet.as_ref());
        if let Some(own) =
            rule.max_unhealthy.as_ref().filter(|it| it.value <= self.max_unhealthy.value)
        {
            self.max_unhealthy = own.clone();
        }
        // fewer in the same time, or as many in a longer time; what is neither binds beside it nowhere
        if let Some(own) = rule.ineffective.as_ref()
            && own.value.count <= self.ineffective.value.count
            && own.value.per >= self.ineffective.value.per
        {
            self.ineffective = own.clone();
        }
        self
    }
}

fn longer(limit: &mut Set<Duration>, own: Option<&Set<Duration>>) {
    if let Some(own) = own.filter(|own| own.value >= limit.value) {
        *limit = own.clone();
    }
}

pub use crate::decide::guard::credential::NAME as CREDENTIAL;
pub use crate::decide::guard::evidence::NAME as EVIDENCE;
pub use crate::decide::guard::firing::NAME as FIRING;
pub use crate::decide::guard::ineffective::NAME as INEFFECTIVE;
pub use crate::decide::guard::ineffective::did_not_help;
pub use crate::decide::guard::kill_switch::NAME as KILL_SWITCH;
pub use crate::decide::guard::kill_switch::pause;
pub use crate::decide::guard::mode::lowest as lowest_mode;
pub use crate::decide::guard::rollback::NAME as ROLLBACK_PROOF;
pub use crate::decide::guard::sickness::NAME as MAX_UNHEALTHY;
pub use crate::decide::guard::sickness::over as too_many_unhealthy;
pub use crate::decide::guard::silence::NAME as SILENCE;
pub use crate::decide::guard::stale::NAME as STALE;
pub use crate::decide::guard::storm::NAME as STORM;
pub use crate::decide::guard::target::NAME as TARGET;
pub use crate::decide::guard::window::NAME as WINDOW;

/// Whether a guard judges by the files and the time alone: no fact of the past or of outside matters to it.
pub fn is_of_files(guard: &str) -> bool {
    guard == mode::NAME || guard == WINDOW
}

type Guard = fn(&Subject, &Facts, Timestamp) -> Ruling;

/// All guards, in the order in which they are shown.
const ALL: &[Guard] = &[
    kill_switch::judge,
    mode::judge,
    firing::judge,
    stale::judge,
    evidence::judge,
    silence::judge,
    window::judge,
    settle::judge,
    target_free::judge,
    cooldown::judge,
    rate::rule,
    rate::playbook,
    rate::service,
    rate::global,
    rate::concurrent,
    people::judge,
    storm::judge,
    sickness::judge,
    available::judge,
    blast::judge,
    group::judge,
    ineffective::judge,
    failures::judge,
    target::judge,
    dependency::judge,
    credential::judge,
    watchdog::judge,
    clock::judge,
    cache::judge,
    rollback::judge,
];

/// The names of all guards, in the same order: what people write to mean one.
pub const NAMES: [&str; 30] = [
    "kill switch",
    "mode",
    "still firing",
    "stale",
    "evidence",
    "silence",
    "window",
    "settle",
    "target free",
    "cooldown",
    "rate of the rule",
    "rate of the playbook",
    "rate of the service",
    "rate of everything",
    "at once",
    "people",
    "storm",
    "max unhealthy",
    "min available",
    "blast",
    "redundancy group",
    "ineffective",
    "failures",
    "target",
    "own dependency",
    "credential",
    "watchdog",
    "clock",
    "cache",
    "rollback proof",
];

/// Guards asked again before each step of a run.
const STILL_TRUE: &[Guard] = &[
    kill_switch::judge,
    firing::judge,
    evidence::judge,
    silence::judge,
    window::before_step,
    people::before_step,
    watchdog::judge,
    clock::judge,
    storm::judge,
    sickness::judge,
    credential::judge,
    available::judge,
    cache::judge,
];

/// Every guard's ruling.
pub fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Vec<Ruling> {
    ALL.iter().map(|guard| guard(subject, facts, now)).collect()
}

/// The rulings of those guards that are asked again before each step.
pub fn still_true(subject: &Subject, facts: &Facts, now: Timestamp) -> Vec<Ruling> {
    STILL_TRUE.iter().map(|guard| guard(subject, facts, now)).collect()
}

/// The most cautious verdict, and the reason of the guard that gave it.
/// Of several holds, the one that lasts longest.
pub fn conclude(rulings: &[Ruling]) -> (Verdict, String) {
    let mut verdict = Verdict::Proceed;
    let mut reason = format!("{} of {} guards proceed", rulings.len(), rulings.len());
    for ruling in rulings {
        let worse = ruling.verdict.caution() > verdict.caution()
            || matches!((&ruling.verdict, &verdict),
                (Verdict::Hold { until }, Verdict::Hold { until: other }) if until > other);
        if worse {
            verdict = ruling.verdict.clone();
            reason = format!("{}: {}", ruling.guard, ruling.reason);
        }
    }
    (verdict, reason)
}

/// Guards whose hold ends when a run does.
const BY_RUNS: [&str; 4] = [rate::AT_ONCE, rate::PLAYBOOK, group::NAME, target_free::NAME];

/// Whether nothing is against it but runs at work: then it may be done when one of them ends.
pub fn ends_with_a_run(rulings: &[Ruling], now: Timestamp) -> bool {
    let soon = Verdict::Hold { until: after(now, AGAIN_AFTER) };
    let mut against = rulings
        .iter()
        .filter(|it| matches!(it.verdict, Verdict::Hold { .. } | Verdict::Refuse))
        .peekable();
    against.peek().is_some()
        && against.all(|it| it.verdict == soon && BY_RUNS.contains(&it.guard.as_str()))
}

/// How soon a refusal is judged again.
pub const AGAIN_AFTER: Duration = Duration::from_secs(15);

fn proceed(guard: &str, measured: impl Into<String>) -> Ruling {
    Ruling {
        guard: guard.into(),
        verdict: Verdict::Proceed,
        reason: String::new(),
        measured: measured.into(),
        limit: String::new(),
        knob: String::new(),
    }
}

fn refuse(guard: &str, reason: impl Into<String>, measured: impl Into<String>) -> Ruling {
    Ruling { verdict: Verdict::Refuse, reason: reason.into(), ..proceed(guard, measured) }
}

fn hold(
    guard: &str,
    until: Timestamp,
    reason: impl Into<String>,
    measured: impl Into<String>,
) -> Ruling {
    Ruling { verdict: Verdict::Hold { until }, reason: reason.into(), ..proceed(guard, measured) }
}

/// Hold for a while that nobody can foresee: judged again soon.
fn hold_for_now(
    guard: &str,
    now: Timestamp,
    reason: impl Into<String>,
    measured: impl Into<String>,
) -> Ruling {
    hold(guard, after(now, AGAIN_AFTER), reason, measured)
}

impl Ruling {
    fn limit(mut self, limit: impl Into<String>, knob: impl Into<String>) -> Self {
        self.limit = limit.into();
        self.knob = knob.into();
        self
    }
}

#[cfg(test)]
pub(crate) mod tests;

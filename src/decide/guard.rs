//! Guards: each is one small pure function, with its own file and its own tests.
//!
//! A guard takes what is asked ([`Subject`]), what is known ([`Facts`]) and the time, and says proceed, ask,
//! hold or refuse, with the value, the limit and the knob. The most cautious verdict wins. More guards never
//! permit more.

mod cooldown;
mod evidence;
mod firing;
mod kill_switch;
mod mode;
mod rate;
mod settle;
mod silence;
mod stale;
mod target_free;

use std::time::Duration;

use jiff::Timestamp;

use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::decision::Verdict;
use crate::model::incident::IncidentId;
use crate::model::playbook::Mode;
use crate::model::playbook::Playbook;
use crate::model::playbook::Rate;
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
}

impl Limits {
    /// Limits for a playbook alone, before a rule tightens them.
    pub fn of(global: &crate::model::config::Limits, playbook: &Playbook) -> Self {
        Self {
            settle: None,
            cooldown: global.cooldown.clone(),
            rule_rate: None,
            playbook_rate: playbook.limits.rate,
            playbook_concurrent: playbook.limits.concurrent,
            global_rate: global.rate.clone(),
            concurrent: global.concurrent.clone(),
            max_age: global.max_age.clone(),
        }
    }
}

pub use crate::decide::guard::evidence::NAME as EVIDENCE;
pub use crate::decide::guard::firing::NAME as FIRING;
pub use crate::decide::guard::kill_switch::NAME as KILL_SWITCH;
pub use crate::decide::guard::kill_switch::pause;
pub use crate::decide::guard::mode::lowest as lowest_mode;
pub use crate::decide::guard::silence::NAME as SILENCE;
pub use crate::decide::guard::stale::NAME as STALE;

type Guard = fn(&Subject, &Facts, Timestamp) -> Ruling;

/// All guards, in the order in which they are shown.
const ALL: &[Guard] = &[
    kill_switch::judge,
    mode::judge,
    firing::judge,
    stale::judge,
    evidence::judge,
    silence::judge,
    settle::judge,
    target_free::judge,
    cooldown::judge,
    rate::rule,
    rate::playbook,
    rate::global,
    rate::concurrent,
];

/// The names of all guards, in the same order: what people write to mean one.
pub const NAMES: [&str; 13] = [
    "kill switch",
    "mode",
    "still firing",
    "stale",
    "evidence",
    "silence",
    "settle",
    "target free",
    "cooldown",
    "rate of the rule",
    "rate of the playbook",
    "rate of everything",
    "at once",
];

/// Guards asked again before each step of a run.
const STILL_TRUE: &[Guard] = &[kill_switch::judge, firing::judge, evidence::judge, silence::judge];

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
pub(super) mod tests;

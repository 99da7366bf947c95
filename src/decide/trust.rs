//! The trust ladder: observe, approve, auto. What did not help too often is trusted one rung less; people alone put it
//! back, and never above what the files allow.
//!
//! ```text
//! auto ── as many runs as `demote_after` did not help ──▶ approve ── again as many ──▶ observe
//!   ◀──────────────────────────────── quell promote RULE ─────────────────────────────────
//! ```

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::decide::guard;
use crate::decide::respond::Candidate;
use crate::decide::respond::Case;
use crate::model::config::Config;
use crate::model::decision::Facts;
use crate::model::decision::PastRun;
use crate::model::decision::Runs;
use crate::model::playbook::Mode;
use crate::model::playbook::Rate;
use crate::model::rule::Rule;
use crate::model::rule::Set;
use crate::model::rule::is_schedule;
use crate::model::time::after;
use crate::model::time::before;
use crate::model::time::show_duration;
use crate::model::trust::Trust;

/// Who lowers.
pub const BY: &str = "quell";

/// Characters of a reason, at most.
const MAX_REASON: usize = 500;

/// What may lower the trust in a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The rule.
    pub rule: String,
    /// Runs that did not help, in a span of time: of quell.yml and of the rule. Each binds.
    pub limits: Vec<Set<Rate>>,
    /// The most that the files let its remedy do.
    pub ceiling: Mode,
}

impl Policy {
    /// For a remedy of a rule, from 1, and the mode of its playbook. `None` for a schedule: it runs because it is time, and
    /// its failure is given to people each time.
    pub fn of(config: &Config, rule: &Rule, remedy: u32, playbook: Mode) -> Option<Self> {
        let number = (remedy as usize).checked_sub(1)?;
        if is_schedule(&rule.name) {
            return None;
        }
        let own = rule.response.get(number).and_then(|remedy| remedy.mode.as_ref());
        let own = own.map_or(Mode::Auto, |mode| mode.value);
        let mut limits = vec![config.limits.demote_after.clone()];
        limits.extend(rule.limits.demote_after.clone());
        let ceiling = config.mode.value.min(rule.mode.value).min(own).min(playbook);
        Some(Self { rule: rule.name.clone(), limits, ceiling })
    }

    /// How far back runs matter.
    pub fn look_back(&self) -> Duration {
        self.limits.iter().map(|limit| limit.value.per).max().unwrap_or_default()
    }
}

/// A target that is in trouble now.
#[derive(Debug, Clone, Copy)]
pub struct Trouble<'a> {
    /// The target.
    pub target: &'a str,
    /// When the trouble began.
    pub since: Timestamp,
}

/// What the rule's runs say of the trust in it: `Some` when it is lowered. `last` is the word that holds; what ran before it
/// counts no more.
pub fn demotion(
    policy: &Policy,
    last: Option<&Trust>,
    runs: &Runs,
    trouble: Option<Trouble<'_>>,
    now: Timestamp,
) -> Option<Trust> {
    let rung = last.map_or(Mode::Auto, |last| last.mode).min(policy.ceiling);
    let mode = lower(rung)?;
    let counts = |run: &&PastRun| {
        run.rule == policy.rule
            && run.remedy > 0
            && last.is_none_or(|last| run.started_at > last.at)
    };
    let mine: Vec<&PastRun> = runs.iter().filter(counts).collect();
    let starts = Starts::of(&mine);
    policy.limits.iter().find_map(|limit| {
        let Rate { count, per } = limit.value;
        let from = before(now, per);
        let tried: Vec<&&PastRun> = mine.iter().filter(|run| run.started_at > from).collect();
        let in_vain = tried.iter().filter(|run| was_in_vain(run, &starts, trouble, per)).count();
        // without a single run nothing speaks against it
        if in_vain < (count as usize).max(1) {
            return None;
        }
        let (span, knob) = (show_duration(per), &limit.place);
        let why = format!(
            "{in_vain} of {} runs in the last {span} did not help (demote_after {count} per {span}, {knob})",
            tried.len()
        );
        Some(Trust { rule: policy.rule.clone(), mode, why, at: now, by: BY.to_owned() })
    })
}

/// What it means for the trust in the rule of a case that its target is in trouble again.
pub fn again(case: Case<'_>, candidate: &Candidate, facts: &Facts) -> Option<Trust> {
    let policy = candidate.policy.as_ref()?;
    let trouble = Trouble { target: case.target, since: candidate.subject.since };
    demotion(policy, case.trust, &facts.runs, Some(trouble), case.now)
}

/// One rung less; nothing is below observe.
fn lower(mode: Mode) -> Option<Mode> {
    match mode {
        Mode::Auto => Some(Mode::Approve),
        Mode::Approve => Some(Mode::Observe),
        Mode::Observe => None,
    }
}

/// One rung more.
fn higher(mode: Mode) -> Mode {
    match mode {
        Mode::Observe => Mode::Approve,
        Mode::Approve | Mode::Auto => Mode::Auto,
    }
}

/// When remedies were begun, by their targets.
struct Starts<'a>(HashMap<&'a str, Vec<Timestamp>>);

impl<'a> Starts<'a> {
    fn of(runs: &[&'a PastRun]) -> Self {
        let mut starts: HashMap<&str, Vec<Timestamp>> = HashMap::new();
        for run in runs.iter().filter(|run| run.remedy > 0) {
            starts.entry(&run.target).or_default().push(run.started_at);
        }
        Self(starts)
    }

    /// The next on a target after then.
    fn after(&self, target: &str, then: Timestamp) -> Option<Timestamp> {
        self.0.get(target)?.iter().filter(|at| **at > then).min().copied()
    }
}

/// Whether a run came to nothing, as the guard against loops sees it (G5): it failed, nobody could see whether it helped, or
/// it was verified and its target was in trouble again within the span.
fn was_in_vain(
    run: &PastRun,
    starts: &Starts<'_>,
    trouble: Option<Trouble<'_>>,
    within: Duration,
) -> bool {
    let Some(ended) = run.ended_at else { return false };
    let now = trouble.filter(|it| it.target == run.target && it.since > ended).map(|it| it.since);
    let again = starts.after(&run.target, ended).into_iter().chain(now).min();
    let again = again.filter(|at| *at <= after(ended, within));
    guard::did_not_help(run, again.unwrap_or(Timestamp::MIN))
}

/// What a rule may do at most, and the knob that says so: of the files, and of the last word on it.
pub fn present(config: &Config, rule: &Rule, last: Option<&Trust>) -> (Mode, String) {
    let (mode, set_in) = allowed(config, rule);
    match last {
        Some(last) if last.mode < mode => (last.mode, knob(last)),
        _ => (mode, set_in),
    }
}

/// Whether the last word on a rule binds: the files would let it do more.
pub fn binds(config: &Config, rule: &Rule, last: &Trust) -> bool {
    last.mode < allowed(config, rule).0
}

fn allowed(config: &Config, rule: &Rule) -> (Mode, String) {
    let lowest = [&config.mode, &rule.mode].into_iter().min_by_key(|mode| mode.value);
    lowest.map_or((Mode::Observe, String::new()), |mode| {
        (mode.value, format!("mode ({})", mode.place))
    })
}

/// The knob of a demotion: `demoted: quell promote shop-errors`.
pub fn knob(last: &Trust) -> String {
    format!("demoted: quell promote {}", last.rule)
}

/// A person trusts a rule again, one rung or up to `to`; or why that cannot be.
pub fn promotion(
    config: &Config,
    rule: &Rule,
    last: Option<&Trust>,
    to: Option<Mode>,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Result<Trust, String> {
    let name = &rule.name;
    let (most, set_in) = allowed(config, rule);
    let Some(last) = last.filter(|last| last.mode < Mode::Auto) else {
        return Err(format!(
            "{name} is not demoted: it may do {} at most, set by {set_in}",
            most.as_str()
        ));
    };
    let mode = to.unwrap_or_else(|| higher(last.mode));
    if mode > most {
        return Err(format!(
            "{name} may not do {}: {set_in} allows {} at most",
            mode.as_str(),
            most.as_str()
        ));
    }
    if mode <= last.mode {
        return Err(format!("{name} may do {} already", last.mode.as_str()));
    }
    if reason.trim().is_empty() {
        return Err("a promotion needs a reason: what is different now".into());
    }
    if reason.chars().count() > MAX_REASON {
        return Err(format!("the reason of a promotion has at most {MAX_REASON} characters"));
    }
    let (rule, why, by) = (name.clone(), reason.trim().to_owned(), by.to_owned());
    Ok(Trust { rule, mode, why, at: now, by })
}

pub mod evidence;

#[cfg(test)]
mod tests;

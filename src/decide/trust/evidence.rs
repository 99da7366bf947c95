//! What the past says of a rule: how often it acted, whether it helped, and how often people disagreed.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::decide::trust;
use crate::decide::trust::Starts;
use crate::decide::trust::was_in_vain;
use crate::model::config::Config;
use crate::model::decision::PastRun;
use crate::model::playbook::Mode;
use crate::model::rule::Rule;
use crate::model::run::RunState;
use crate::model::time::since;
use crate::model::trust::Trust;

/// How far back evidence looks.
pub const SPAN: Duration = Duration::from_hours(24 * 30);

/// A verified fix whose target is in trouble again within this time was none.
pub const AGAIN_WITHIN: Duration = Duration::from_hours(24);

/// A run of a rule, and whether a person stopped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The run.
    pub run: PastRun,
    /// A person cancelled it, or took its incident over.
    pub stopped: bool,
}

/// What the runs of a rule came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Runs that acted and ended.
    pub runs: usize,
    /// Of those, verified, and the target stayed well for a day.
    pub helped: usize,
    /// Of those, failed: a step, its verification, or an outcome that nobody could see.
    pub failed: usize,
    /// Of those, verified, and the target was in trouble again within a day.
    pub ineffective: usize,
    /// Of those that helped or not, how many helped, in percent; `None` without any.
    pub success: Option<u8>,
    /// Half of the verified ones took no longer, from the plan to the end of the verification; in seconds.
    pub median_seconds: Option<u64>,
    /// Plans that people rejected, and runs that they cancelled or took over.
    pub disagreed: usize,
    /// Plans that were only observed.
    pub observed: usize,
    /// Runs that are at work, or wait for a person.
    pub at_work: usize,
    /// When the last one began.
    pub last_at: Option<Timestamp>,
}

/// How a rule stands: what it may do, who says so, and what speaks for and against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The most that it may do now; a remedy and its playbook may do less.
    pub may: Mode,
    /// The knob that says so.
    pub set_by: String,
    /// The last word on it, if there is one.
    pub trust: Option<Trust>,
    /// What its runs came to.
    pub evidence: Evidence,
}

impl Standing {
    /// Why it was lowered, while that is what binds.
    pub fn lowered(&self) -> Option<&Trust> {
        self.trust.as_ref().filter(|trust| self.set_by == trust::knob(trust))
    }
}

/// How a rule stands by the last word on it, and by its runs in order of start.
pub fn standing(config: &Config, rule: &Rule, trust: Option<Trust>, judged: &[Judged]) -> Standing {
    let (may, set_by) = trust::present(config, rule, trust.as_ref());
    Standing { may, set_by, trust, evidence: evidence(judged) }
}

/// What the runs of one rule come to, in order of start.
pub fn evidence(judged: &[Judged]) -> Evidence {
    let judged: Vec<&Judged> = judged.iter().filter(|it| it.run.remedy > 0).collect();
    let runs: Vec<&PastRun> = judged.iter().map(|it| &it.run).collect();
    let starts = Starts::of(&runs);
    let mut found = Evidence::default();
    let mut times: Vec<Duration> = Vec::new();
    for Judged { run, stopped } in judged {
        found.last_at = found.last_at.max(Some(run.started_at));
        match run.state {
            RunState::Fixed => {
                times.extend(run.ended_at.map(|ended| since(ended, run.started_at)));
                if was_in_vain(run, &starts, None, AGAIN_WITHIN) {
                    found.ineffective += 1;
                } else {
                    found.helped += 1;
                }
            }
            RunState::Failed | RunState::Stuck => found.failed += 1,
            RunState::Cancelled => {}
            RunState::Rejected => found.disagreed += 1,
            RunState::Observed => found.observed += 1,
            RunState::Expired | RunState::Superseded => continue,
            RunState::Planned
            | RunState::AwaitingApproval
            | RunState::Running
            | RunState::AwaitingAnswer
            | RunState::InDoubt
            | RunState::Verifying
            | RunState::Undoing => found.at_work += 1,
        }
        let acted = matches!(
            run.state,
            RunState::Fixed | RunState::Failed | RunState::Stuck | RunState::Cancelled
        );
        found.runs += usize::from(acted);
        found.disagreed += usize::from(*stopped && run.state.is_final());
    }
    let told = found.helped + found.failed + found.ineffective;
    found.success = (found.helped * 100).checked_div(told).and_then(|it| u8::try_from(it).ok());
    times.sort_unstable();
    found.median_seconds = times.get(times.len().saturating_sub(1) / 2).map(Duration::as_secs);
    found
}

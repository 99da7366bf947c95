//! Alerts about what holds around all targets: a storm, a group that is too sick, a silent watchdog, a clock that was set, a disk
//! that fills, and quell's own runs that fail.

use jiff::Timestamp;

use super::firing;
use super::labels;
use crate::decide::population::Census;
use crate::model::alert::Alert;
use crate::model::config::StormLimits;
use crate::model::decision::Jump;
use crate::model::playbook::Rate;
use crate::model::time::show_duration;

/// So much is in trouble that all automation stands still.
pub const STORM: &str = "QuellStorm";
/// Too much of a group is not well, so nobody of it is acted on.
pub const TOO_SICK: &str = "QuellGroupTooSick";
/// The alert that always fires does not arrive.
pub const WATCHDOG_MISSING: &str = "QuellWatchdogMissing";
/// The wall clock was set.
pub const CLOCK_JUMPED: &str = "QuellClockJumped";
/// The disk under the database is nearly full.
pub const DISK_LOW: &str = "QuellDiskLow";
/// Too many of quell's own runs failed.
pub const FAILING: &str = "QuellRunsFailing";

/// The names of these alerts.
pub const NAMES: [&str; 6] = [STORM, TOO_SICK, WATCHDOG_MISSING, CLOCK_JUMPED, DISK_LOW, FAILING];

/// A storm since then; `some` are a few of its targets.
pub fn storm(targets: u32, some: &[String], limits: StormLimits, since: Timestamp) -> Alert {
    let (within, cooldown) = (show_duration(limits.within), show_duration(limits.cooldown));
    let more = (targets as usize).saturating_sub(some.len());
    let and = if more == 0 { String::new() } else { format!(" and {more} more") };
    let summary = format!(
        "all automation stands still: {targets} targets came into trouble within {within}, above {}",
        limits.targets
    );
    let description = format!(
        "so much at once is no fault of one target: look for what they share. In trouble: {}{and}. Nothing begins until it \
         has been calm for {cooldown} without a break; their own pages wait as long. `quell break-glass` lifts it for one of them",
        some.join(", ")
    );
    firing(labels(STORM, "critical", &[]), &summary, &description, since)
}

/// Too much of a group is not well since then.
pub fn too_sick(census: &Census, measured: &str, limit: &str, since: Timestamp) -> Alert {
    let summary = format!(
        "nobody is acted on by rule {}: {measured} are not well, above {limit}",
        census.rule
    );
    let description = "so much of one group is no fault of one member: look for what they share. Work goes on when the group \
                       has been below the limit for the cooldown of `storm` without a break; their own pages wait as long";
    firing(labels(TOO_SICK, "critical", &[("rule", &census.rule)]), &summary, description, since)
}

/// The watchdog alert has not arrived since then.
pub fn watchdog_missing(within: &str, since: Timestamp) -> Alert {
    let summary = format!("the watchdog alert has not arrived for more than {within}");
    let description = "Prometheus or Alertmanager is down, cannot reach quell, or routes the alert elsewhere: nobody knows what is \
                       wrong, so nothing begins until it arrives again";
    firing(labels(WATCHDOG_MISSING, "critical", &[]), &summary, description, since)
}

/// The wall clock was set.
pub fn clock_jumped(jump: &Jump, hold: &str) -> Alert {
    let by = show_duration(std::time::Duration::from_millis(jump.by_ms.unsigned_abs()));
    let way = if jump.by_ms < 0 { "back" } else { "forward" };
    let summary = format!("the wall clock was set {way} by {by}");
    let description = format!(
        "nothing begins for {hold}; what waits waits as long as it should. Look at the time service of this host, or of the database server"
    );
    firing(labels(CLOCK_JUMPED, "warning", &[]), &summary, &description, jump.at)
}

/// So little is free under the database.
pub fn disk_low(free: &str, of: &str, since: Timestamp) -> Alert {
    let summary = format!("the disk under quell's database has {free} left of {of}");
    let description = "when it is full nothing can be written down, so nothing is done and no alert is taken: make room";
    firing(labels(DISK_LOW, "critical", &[]), &summary, description, since)
}

/// quell's own error budget is spent.
pub fn failing(failed: usize, limit: Rate, since: Timestamp) -> Alert {
    let span = show_duration(limit.per);
    let summary = format!("{failed} runs failed within {span}, of {} that may", limit.count);
    let description = "what quell does makes nothing better, so nothing begins until the first of them is old: `quell runs` shows \
                       them";
    firing(labels(FAILING, "critical", &[]), &summary, description, since)
}

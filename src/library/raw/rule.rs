//! `rules/*.yml`.

use serde::Deserialize;

use super::ConditionText;
use super::DurationText;
use super::List;
use super::MatcherText;
use super::Opt;
use super::RateText;
use super::ScheduleText;
use super::TemplateText;
use super::probe::RawProbe;
use super::probe::RawVerify;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::model::playbook::Mode;
use crate::model::rule::Missed;
use crate::model::rule::Overlap;

#[derive(Debug, Deserialize)]
#[serde(rename = "a rule file")]
pub(crate) struct RawRuleFile {
    pub(crate) rules: Opt<List<RawRule>>,
    pub(crate) checks: Opt<List<RawCheck>>,
    /// Playbooks that run on a cron schedule, whether or not anything is wrong.
    pub(crate) schedules: Opt<List<RawSchedule>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "a rule")]
pub(crate) struct RawRule {
    pub(crate) name: Field<String>,
    pub(crate) description: Opt<String>,
    #[serde(rename = "match")]
    pub(crate) matchers: Field<List<MatcherText>>,
    pub(crate) when: Opt<ConditionText>,
    pub(crate) group_by: Opt<List<String>>,
    pub(crate) target: Field<TemplateText>,
    pub(crate) response: Opt<List<RawRemedy>>,
    pub(crate) verify: Opt<RawVerify>,
    pub(crate) limits: Opt<RawRuleLimits>,
    pub(crate) mode: Opt<Mode>,
    #[serde(rename = "continue")]
    pub(crate) go_on: Opt<bool>,
    pub(crate) on_failure: Opt<RawRuleFailure>,
    /// Hold the page while a remedy is tried. When silent, channels that page are told at once.
    pub(crate) page: Opt<RawPage>,
}

/// When channels that page are told of an incident.
#[derive(Debug, Deserialize)]
#[serde(rename = "`page`")]
pub(crate) struct RawPage {
    /// Nobody is paged if the remedy is verified to have helped within this time. Anything else pages: the time is over, a
    /// run failed for good or needs a person, automation is paused.
    pub(crate) unless_fixed_within: Field<DurationText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "a remedy")]
pub(crate) struct RawRemedy {
    pub(crate) playbook: Field<String>,
    pub(crate) with: Opt<Entries<serde_json::Value>>,
    pub(crate) mode: Opt<Mode>,
    pub(crate) tier: Opt<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`limits` of a rule")]
pub(crate) struct RawRuleLimits {
    pub(crate) settle: Opt<DurationText>,
    pub(crate) cooldown: Opt<DurationText>,
    pub(crate) rate: Opt<RateText>,
}

/// What happens after the last remedy: a person is told, always.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawRuleFailure {
    Escalate,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "a check")]
pub(crate) struct RawCheck {
    pub(crate) name: Field<String>,
    pub(crate) cron: Field<ScheduleText>,
    pub(crate) timezone: Opt<String>,
    pub(crate) probe: Field<RawProbe>,
    pub(crate) consecutive: Opt<u32>,
    pub(crate) unknown: Opt<RawUnknown>,
    pub(crate) labels: Opt<Entries<String>>,
    pub(crate) annotations: Opt<Entries<String>>,
}

/// What a check that cannot see does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawUnknown {
    Alert,
    Ignore,
}

/// A playbook on a cron schedule. A run that fails is given to people; one that succeeds is silent.
#[derive(Debug, Deserialize)]
#[serde(rename = "a schedule")]
pub(crate) struct RawSchedule {
    /// Unique over all schedules. `quell pause rule:schedule:NAME` stops it.
    pub(crate) name: Field<String>,
    /// For people.
    pub(crate) description: Opt<String>,
    /// When: five fields (minute, hour, day of month, month, day of week), or six with seconds first.
    pub(crate) cron: Field<ScheduleText>,
    /// The IANA time zone that `cron` is read in, such as Europe/Berlin. UTC when silent.
    pub(crate) timezone: Opt<String>,
    /// The playbook to run.
    pub(crate) playbook: Field<String>,
    /// Its parameters. Templates may name `labels` (`schedule`, `slot`, and those of `labels:`).
    pub(crate) with: Opt<Entries<serde_json::Value>>,
    /// What it acts on: one run at a time per target, of whatever rule or schedule. `schedule/NAME` when silent.
    pub(crate) target: Opt<String>,
    /// The most it may do: observe, approve or auto. `auto` when silent.
    pub(crate) mode: Opt<Mode>,
    /// The tier that a person needs to approve a run, from 1 to 4.
    pub(crate) tier: Opt<u8>,
    /// How its success is verified. When silent, it has succeeded when its steps are done.
    pub(crate) verify: Opt<RawVerify>,
    /// A slot that comes while the last run is at work: `skip` leaves it out (when silent), `queue` lets one wait.
    pub(crate) overlap: Opt<Overlap>,
    /// Slots that came while quell was down: `skip` leaves them out (when silent), `run_once` runs one for all.
    pub(crate) missed: Opt<Missed>,
    /// A slot begins up to this much later, at random, so that not everything begins at once.
    pub(crate) jitter: Opt<DurationText>,
    /// Labels for windows, templates and people; `severity` says who is told of a failure.
    pub(crate) labels: Opt<Entries<String>>,
}

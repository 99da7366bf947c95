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

#[derive(Debug, Deserialize)]
#[serde(rename = "a rule file")]
pub(crate) struct RawRuleFile {
    pub(crate) rules: Opt<List<RawRule>>,
    pub(crate) checks: Opt<List<RawCheck>>,
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

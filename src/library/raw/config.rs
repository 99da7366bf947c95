//! `quell.yml`.

use serde::Deserialize;

use super::DurationText;
use super::InstantText;
use super::List;
use super::MatcherText;
use super::Opt;
use super::RateText;
use super::ScheduleText;
use super::SecretText;
use super::SizeText;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::model::playbook::Mode;

#[derive(Debug, Deserialize)]
#[serde(rename = "quell.yml")]
pub(crate) struct RawConfig {
    pub(crate) listen: Opt<String>,
    pub(crate) external_url: Opt<SecretText>,
    pub(crate) storage: Opt<SecretText>,
    pub(crate) mode: Opt<Mode>,
    pub(crate) rules: Opt<List<String>>,
    pub(crate) playbooks: Opt<List<String>>,
    pub(crate) prometheus: Opt<RawEndpoint>,
    pub(crate) alertmanager: Opt<RawEndpoint>,
    pub(crate) ingest: Opt<RawIngest>,
    pub(crate) targets: Opt<RawTargets>,
    pub(crate) operators: Opt<List<RawOperator>>,
    pub(crate) channels: Opt<Entries<RawChannel>>,
    pub(crate) severities: Opt<Entries<RawSeverity>>,
    pub(crate) unmatched: Opt<List<String>>,
    /// Spans of time in which quell acts less: maintenance, freezes, hours in which it may act.
    pub(crate) windows: Opt<List<RawWindow>>,
    pub(crate) limits: Opt<RawLimits>,
    pub(crate) pause_file: Opt<String>,
    pub(crate) link_key: Opt<SecretText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "a server")]
pub(crate) struct RawEndpoint {
    pub(crate) url: Field<SecretText>,
    pub(crate) headers: Opt<Entries<SecretText>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`ingest`")]
pub(crate) struct RawIngest {
    pub(crate) tokens: Opt<List<RawToken>>,
    pub(crate) max_body: Opt<SizeText>,
    pub(crate) max_waiting_alerts: Opt<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "a token")]
pub(crate) struct RawToken {
    pub(crate) name: Field<String>,
    pub(crate) token: Field<SecretText>,
    pub(crate) user: Opt<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`targets`")]
pub(crate) struct RawTargets {
    pub(crate) redis: Opt<Entries<RawRedis>>,
    pub(crate) http: Opt<Entries<RawEndpoint>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "a Redis server")]
pub(crate) struct RawRedis {
    pub(crate) url: Field<SecretText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "an operator")]
pub(crate) struct RawOperator {
    pub(crate) name: Field<String>,
    pub(crate) email: Opt<String>,
    pub(crate) slack_id: Opt<String>,
    pub(crate) tier: Opt<u8>,
    pub(crate) token: Opt<SecretText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "a channel", rename_all = "lowercase")]
pub(crate) enum RawChannel {
    PagerDuty(Field<RawPagerDuty>),
    Email(Field<RawEmail>),
    Slack(Field<RawSlack>),
    Webhook(Field<RawWebhook>),
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`pagerduty`")]
pub(crate) struct RawPagerDuty {
    pub(crate) routing_key: Field<SecretText>,
    pub(crate) url: Opt<SecretText>,
    /// Whether it wakes people, so that a rule's `page` holds it back. `true` when silent.
    pub(crate) pages: Opt<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`email`")]
pub(crate) struct RawEmail {
    pub(crate) smtp: Field<SecretText>,
    pub(crate) from: Field<String>,
    pub(crate) to: Field<List<String>>,
    pub(crate) ca_file: Opt<String>,
    /// Whether it wakes people, so that a rule's `page` holds it back. `false` when silent.
    pub(crate) pages: Opt<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`slack`")]
pub(crate) struct RawSlack {
    pub(crate) webhook_url: Field<SecretText>,
    /// Whether it wakes people, so that a rule's `page` holds it back. `false` when silent.
    pub(crate) pages: Opt<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`webhook`")]
pub(crate) struct RawWebhook {
    pub(crate) url: Field<SecretText>,
    pub(crate) headers: Opt<Entries<SecretText>>,
    /// Whether it wakes people, so that a rule's `page` holds it back. `false` when silent.
    pub(crate) pages: Opt<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "a severity")]
pub(crate) struct RawSeverity {
    pub(crate) notify: Opt<List<String>>,
    pub(crate) ack_within: Opt<DurationText>,
    pub(crate) escalate_to: Opt<List<String>>,
}

/// A span of time, recurring (`cron` and `for`) or once (`from` and `until`), and what it does to remedies.
#[derive(Debug, Deserialize)]
#[serde(rename = "a window")]
pub(crate) struct RawWindow {
    /// Unique over all windows; refusals name it.
    pub(crate) name: Field<String>,
    /// When it begins, again and again: five fields, or six with seconds first.
    pub(crate) cron: Opt<ScheduleText>,
    /// How long each lasts, such as 2h; elapsed time, also over a change of summer time.
    #[serde(rename = "for")]
    pub(crate) lasts: Opt<DurationText>,
    /// The IANA time zone that `cron` is read in, such as America/Toronto. UTC when silent.
    pub(crate) timezone: Opt<String>,
    /// The first instant of a window that is once, such as 2026-01-05T10:00:00Z.
    pub(crate) from: Opt<InstantText>,
    /// The first instant after it.
    pub(crate) until: Opt<InstantText>,
    /// Inside, `observe` plans and never acts, `refuse` lets nothing begin until the end; `allow_only` lets nothing begin
    /// outside.
    pub(crate) effect: Field<RawEffect>,
    /// Matchers of the alerts that it is about; every alert and schedule when silent.
    #[serde(rename = "match")]
    pub(crate) matchers: Opt<List<MatcherText>>,
    /// Why, for people.
    pub(crate) reason: Opt<String>,
}

/// What a window does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawEffect {
    Observe,
    Refuse,
    AllowOnly,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`limits` of quell.yml")]
pub(crate) struct RawLimits {
    pub(crate) rate: Opt<RateText>,
    pub(crate) concurrent: Opt<u32>,
    pub(crate) max_age: Opt<DurationText>,
    pub(crate) cooldown: Opt<DurationText>,
}

//! `quell.yml`.

use serde::Deserialize;

use super::DurationText;
use super::List;
use super::Opt;
use super::RateText;
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
    pub(crate) limits: Opt<RawLimits>,
    pub(crate) pause_file: Opt<String>,
    /// Credentials that playbooks use, by name: a rule gives the name to a parameter with `secret: true`.
    pub(crate) secrets: Opt<Entries<SecretText>>,
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
    Webhook(Field<RawEndpoint>),
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`pagerduty`")]
pub(crate) struct RawPagerDuty {
    pub(crate) routing_key: Field<SecretText>,
    pub(crate) url: Opt<SecretText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`email`")]
pub(crate) struct RawEmail {
    pub(crate) smtp: Field<SecretText>,
    pub(crate) from: Field<String>,
    pub(crate) to: Field<List<String>>,
    pub(crate) ca_file: Opt<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`slack`")]
pub(crate) struct RawSlack {
    pub(crate) webhook_url: Field<SecretText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "a severity")]
pub(crate) struct RawSeverity {
    pub(crate) notify: Opt<List<String>>,
    pub(crate) ack_within: Opt<DurationText>,
    pub(crate) escalate_to: Opt<List<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`limits` of quell.yml")]
pub(crate) struct RawLimits {
    pub(crate) rate: Opt<RateText>,
    pub(crate) concurrent: Opt<u32>,
    pub(crate) max_age: Opt<DurationText>,
    pub(crate) cooldown: Opt<DurationText>,
}

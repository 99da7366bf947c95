//! Probes, in `verify:` and in `probe:`.

use serde::Deserialize;

use super::ConditionText;
use super::DurationText;
use super::Opt;
use super::TemplateText;
use super::playbook::RawCommand;
use crate::library::field::Entries;
use crate::library::field::Field;

#[derive(Debug, Default, Deserialize)]
#[serde(rename = "a probe")]
pub(crate) struct RawProbe {
    pub(crate) promql: Opt<TemplateText>,
    pub(crate) scrape: Opt<RawScrape>,
    pub(crate) http: Opt<RawHttpProbe>,
    pub(crate) tcp: Opt<RawTcp>,
    pub(crate) command: Opt<RawCommand>,
    pub(crate) alert: Opt<RawAlert>,
    pub(crate) healthy: Opt<ConditionText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`verify`")]
pub(crate) struct RawVerify {
    promql: Opt<TemplateText>,
    scrape: Opt<RawScrape>,
    http: Opt<RawHttpProbe>,
    tcp: Opt<RawTcp>,
    command: Opt<RawCommand>,
    alert: Opt<RawAlert>,
    healthy: Opt<ConditionText>,
    pub(crate) within: Opt<DurationText>,
    pub(crate) hold: Opt<DurationText>,
}

impl RawVerify {
    /// Its probe, apart from `within` and `hold`.
    pub(crate) fn take_probe(&mut self) -> RawProbe {
        RawProbe {
            promql: self.promql.take(),
            scrape: self.scrape.take(),
            http: self.http.take(),
            tcp: self.tcp.take(),
            command: self.command.take(),
            alert: self.alert.take(),
            healthy: self.healthy.take(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`scrape`")]
pub(crate) struct RawScrape {
    pub(crate) url: Field<TemplateText>,
    pub(crate) select: Field<TemplateText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`http` of a probe")]
pub(crate) struct RawHttpProbe {
    pub(crate) url: Field<TemplateText>,
    pub(crate) status: Opt<u16>,
    pub(crate) json: Opt<Entries<serde_json::Value>>,
    pub(crate) timeout: Opt<DurationText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "`tcp`")]
pub(crate) struct RawTcp {
    pub(crate) address: Field<TemplateText>,
}

/// `alert: {}`
#[derive(Debug, Deserialize)]
pub(crate) struct RawAlert;

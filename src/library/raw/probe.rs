//! Probes, in `verify:` and in `probe:`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::ConditionText;
use super::DurationText;
use super::List;
use super::Opt;
use super::TemplateText;
use super::playbook::RawCommand;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::schema::shape::exactly_one;
use crate::library::schema::shape::with_one_of;

/// Something that observes, exactly one of promql, scrape, http, tcp, command, alert: healthy, unhealthy or unknown.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "a probe")]
#[schemars(extend("allOf" = [exactly_one(&["promql", "scrape", "http", "tcp", "command", "alert"])]))]
#[schemars(extend("dependencies" = { "promql": ["healthy"], "scrape": ["healthy"], "healthy": with_one_of(&["promql", "scrape"]), "min_sources": with_one_of(&["promql", "scrape"]) }))]
pub(crate) struct RawProbe {
    /// An instant query to Prometheus. `healthy` must hold for each sample; no sample is unknown.
    #[schemars(extend("examples" = ["up{job=\"{{ labels.job }}\"}"]))]
    pub(crate) promql: Opt<TemplateText>,
    /// Samples of one metrics page. `healthy` must hold for each.
    pub(crate) scrape: Opt<RawScrape>,
    /// An HTTP GET: healthy when the answer is as described.
    pub(crate) http: Opt<RawHttpProbe>,
    /// A TCP connection: healthy when it is accepted.
    pub(crate) tcp: Opt<RawTcp>,
    /// A process: exit code 0 is healthy, 1 unhealthy, anything else unknown.
    pub(crate) command: Opt<RawCommand>,
    /// Whether the alert still fires, by the list of Alertmanager: gone is healthy. Write `alert: {}`.
    pub(crate) alert: Opt<RawAlert>,
    /// Condition (CEL) over `value` and `labels` of a sample. Goes with promql and scrape.
    #[schemars(extend("examples" = ["value < 0.05", "value == 1.0"]))]
    pub(crate) healthy: Opt<ConditionText>,
    /// Fewer samples than this are unknown, and unknown never acts (G3). Goes with promql and scrape.
    #[schemars(range(min = 1), extend("default" = 1))]
    pub(crate) min_sources: Opt<u32>,
}

/// What "it helped" means: a probe that must become healthy `within` a time, and stay healthy for `hold`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`verify`")]
#[schemars(extend("allOf" = [exactly_one(&["promql", "scrape", "http", "tcp", "command", "alert"])]))]
#[schemars(extend("dependencies" = { "promql": ["healthy"], "scrape": ["healthy"], "healthy": with_one_of(&["promql", "scrape"]), "min_sources": with_one_of(&["promql", "scrape"]) }))]
pub(crate) struct RawVerify {
    /// An instant query to Prometheus. `healthy` must hold for each sample; no sample is unknown.
    #[schemars(extend("examples" = ["up{job=\"{{ labels.job }}\"}"]))]
    promql: Opt<TemplateText>,
    /// Samples of one metrics page. `healthy` must hold for each.
    scrape: Opt<RawScrape>,
    /// An HTTP GET: healthy when the answer is as described.
    http: Opt<RawHttpProbe>,
    /// A TCP connection: healthy when it is accepted.
    tcp: Opt<RawTcp>,
    /// A process: exit code 0 is healthy, 1 unhealthy, anything else unknown.
    command: Opt<RawCommand>,
    /// Whether the alert still fires, by the list of Alertmanager: gone is healthy. Write `alert: {}`.
    alert: Opt<RawAlert>,
    /// Condition (CEL) over `value` and `labels` of a sample. Goes with promql and scrape.
    #[schemars(extend("examples" = ["value < 0.05", "value == 1.0"]))]
    healthy: Opt<ConditionText>,
    /// Fewer samples than this are unknown, and unknown never acts (G3). Goes with promql and scrape.
    #[schemars(range(min = 1), extend("default" = 1))]
    min_sources: Opt<u32>,
    /// Time to become healthy.
    #[schemars(extend("default" = "5m"))]
    pub(crate) within: Opt<DurationText>,
    /// Time that it must stay healthy.
    #[schemars(extend("default" = "1m"))]
    pub(crate) hold: Opt<DurationText>,
    /// Metrics that the remedy must not make worse. They are measured before the first step, and compared between waves and
    /// while the remedy is verified: one that is worse undoes it at once (G16).
    #[schemars(extend("examples" = [[{"name": "latency", "promql": "shop_latency_seconds", "worse": "value > before * 1.2"}]]))]
    pub(crate) unharmed: Opt<List<RawUnharmed>>,
}

/// A metric that a remedy must not make worse: exactly one of promql and scrape.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a metric of `unharmed`")]
#[schemars(extend("allOf" = [exactly_one(&["promql", "scrape"])]))]
pub(crate) struct RawUnharmed {
    /// Unique in its list.
    #[schemars(extend("examples" = ["latency"]))]
    pub(crate) name: Field<String>,
    /// An instant query to Prometheus, which gives the same series before and after, such as one sum.
    #[schemars(extend("examples" = ["sum(rate(http_requests_total{code=~\"5..\"}[1m]))"]))]
    pub(crate) promql: Opt<TemplateText>,
    /// Samples of one metrics page.
    pub(crate) scrape: Opt<RawScrape>,
    /// Condition (CEL) over `value`, `labels` and `before`, the value of the same series before the first step.
    #[schemars(extend("examples" = ["value > before * 1.2"]))]
    pub(crate) worse: Field<ConditionText>,
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
            min_sources: self.min_sources.take(),
        }
    }
}

/// Samples of a metrics page, without a Prometheus.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`scrape`")]
pub(crate) struct RawScrape {
    /// URL of the page.
    #[schemars(extend("examples" = ["http://localhost:8000/metrics"]))]
    pub(crate) url: Field<TemplateText>,
    /// Metric and matchers.
    #[schemars(extend("examples" = ["http_errors_ratio{service=\"shop\"}"]))]
    pub(crate) select: Field<TemplateText>,
}

/// An HTTP GET that is healthy when all that is named here holds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`http` of a probe")]
pub(crate) struct RawHttpProbe {
    /// URL to get.
    #[schemars(extend("examples" = ["http://localhost:8000/health"]))]
    pub(crate) url: Field<TemplateText>,
    /// Expected status. Any 2xx when silent.
    #[schemars(range(min = 100, max = 599), extend("examples" = [200]))]
    pub(crate) status: Opt<u16>,
    /// Fields that the JSON answer must have, with these values.
    #[schemars(extend("examples" = [{"status": "healthy"}]))]
    pub(crate) json: Opt<Entries<serde_json::Value>>,
    /// Longest time for the answer.
    #[schemars(extend("default" = "10s"))]
    pub(crate) timeout: Opt<DurationText>,
}

/// A TCP connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`tcp`")]
pub(crate) struct RawTcp {
    /// Host and port.
    #[schemars(extend("examples" = ["db.example.com:5432"]))]
    pub(crate) address: Field<TemplateText>,
}

/// `alert: {}`
#[derive(Debug, Deserialize)]
pub(crate) struct RawAlert;

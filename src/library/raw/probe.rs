//! Probes, in `verify:` and in `probe:`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::ConditionText;
use super::DurationText;
use super::List;
use super::Opt;
use super::TemplateText;
use super::action::kubernetes::RawReady;
use super::action::other::RawSsh;
use super::action::other::RawUnit;
use super::playbook::RawCommand;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::schema::shape::exactly_one;
use crate::library::schema::shape::with_one_of;

/// What a probe can be.
pub(crate) const PROBE_KINDS: &[&str] = &[
    "promql",
    "scrape",
    "http",
    "tcp",
    "command",
    "alert",
    "tls",
    "postgres",
    "redis",
    "kubernetes.ready",
    "systemd.active",
    "ssh",
];

/// Those that give values to judge.
pub(crate) const JUDGED: &[&str] = &["promql", "scrape", "tls", "postgres", "redis"];

/// Something that observes, exactly one thing: healthy, unhealthy or unknown.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename = "a probe")]
#[schemars(extend("allOf" = [exactly_one(PROBE_KINDS)]))]
#[schemars(extend("dependencies" = { "promql": ["healthy"], "scrape": ["healthy"], "healthy": with_one_of(JUDGED), "min_sources": with_one_of(&["promql", "scrape"]) }))]
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
    /// The certificate that a server shows: healthy when it is valid and does not expire soon.
    pub(crate) tls: Opt<Box<RawTls>>,
    /// A query to a `PostgreSQL` server, in a transaction that only reads. `healthy` must hold for each row; when silent, that the
    /// query works.
    pub(crate) postgres: Opt<Box<RawPostgresProbe>>,
    /// A command to a Redis server that only reads.
    pub(crate) redis: Opt<Box<RawRedisProbe>>,
    /// Whether a workload is rolled out and available.
    #[serde(rename = "kubernetes.ready")]
    pub(crate) kubernetes_ready: Opt<Box<RawReady>>,
    /// Whether a unit of systemd is active.
    #[serde(rename = "systemd.active")]
    pub(crate) systemd_active: Opt<Box<RawUnit>>,
    /// A process on another host: exit code 0 is healthy, 1 unhealthy, anything else unknown.
    pub(crate) ssh: Opt<Box<RawSsh>>,
    /// Condition (CEL) over `value` and `labels` of a sample. Goes with promql, scrape, tls, postgres and redis.
    #[schemars(extend("examples" = ["value < 0.05", "value == 1.0"]))]
    pub(crate) healthy: Opt<ConditionText>,
    /// Fewer samples than this are unknown, and unknown never acts (G3). Goes with promql and scrape.
    #[schemars(range(min = 1), extend("default" = 1))]
    pub(crate) min_sources: Opt<u32>,
}

/// What "it helped" means: a probe that must become healthy `within` a time, and stay healthy for `hold`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`verify`")]
#[schemars(extend("allOf" = [exactly_one(PROBE_KINDS)]))]
#[schemars(extend("dependencies" = { "promql": ["healthy"], "scrape": ["healthy"], "healthy": with_one_of(JUDGED), "min_sources": with_one_of(&["promql", "scrape"]) }))]
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
    /// The certificate that a server shows: healthy when it is valid and does not expire soon.
    tls: Opt<Box<RawTls>>,
    /// A query to a `PostgreSQL` server, in a transaction that only reads. `healthy` must hold for each row; when silent, that the
    /// query works.
    postgres: Opt<Box<RawPostgresProbe>>,
    /// A command to a Redis server that only reads.
    redis: Opt<Box<RawRedisProbe>>,
    /// Whether a workload is rolled out and available.
    #[serde(rename = "kubernetes.ready")]
    kubernetes_ready: Opt<Box<RawReady>>,
    /// Whether a unit of systemd is active.
    #[serde(rename = "systemd.active")]
    systemd_active: Opt<Box<RawUnit>>,
    /// A process on another host: exit code 0 is healthy, 1 unhealthy, anything else unknown.
    ssh: Opt<Box<RawSsh>>,
    /// Condition (CEL) over `value` and `labels` of a sample. Goes with promql, scrape, tls, postgres and redis.
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

impl RawProbe {
    /// The keys that say what it is.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        let all = [
            ("promql", self.promql.is_some()),
            ("scrape", self.scrape.is_some()),
            ("http", self.http.is_some()),
            ("tcp", self.tcp.is_some()),
            ("command", self.command.is_some()),
            ("alert", self.alert.is_some()),
            ("tls", self.tls.is_some()),
            ("postgres", self.postgres.is_some()),
            ("redis", self.redis.is_some()),
            ("kubernetes.ready", self.kubernetes_ready.is_some()),
            ("systemd.active", self.systemd_active.is_some()),
            ("ssh", self.ssh.is_some()),
        ];
        all.into_iter().filter_map(|(name, there)| there.then_some(name)).collect()
    }
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
            tls: self.tls.take(),
            postgres: self.postgres.take(),
            redis: self.redis.take(),
            kubernetes_ready: self.kubernetes_ready.take(),
            systemd_active: self.systemd_active.take(),
            ssh: self.ssh.take(),
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
    /// Fields that the JSON answer must have, with these values; texts are templates.
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

/// The certificate of a server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`tls`")]
pub(crate) struct RawTls {
    /// Host and port.
    #[schemars(extend("examples" = ["shop.example.com:443"]))]
    pub(crate) address: Field<TemplateText>,
    /// The name that the certificate must be for. The host when silent.
    #[schemars(extend("examples" = ["shop.example.com"]))]
    pub(crate) server_name: Opt<TemplateText>,
    /// PEM file of the authorities that are trusted. Those of the system when silent.
    #[schemars(extend("examples" = ["/etc/quell/ca.pem"]))]
    pub(crate) ca_file: Opt<String>,
}

/// A query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`postgres` of a probe")]
pub(crate) struct RawPostgresProbe {
    /// Name of a server under `targets.postgres` in quell.yml.
    #[schemars(extend("examples" = ["main"]))]
    pub(crate) server: Field<TemplateText>,
    /// The query: fixed text, without templates. Its first column is `value`, the others are `labels`. Pass values through
    /// `parameters` and write `$1`.
    #[schemars(extend("examples" = ["select count(*) from pg_locks where not granted"]))]
    pub(crate) sql: Field<String>,
    /// Values of `$1`, `$2` and so on; sent apart from the query, as text.
    #[schemars(extend("examples" = [["{{ labels.queue }}"]]))]
    pub(crate) parameters: Opt<List<TemplateText>>,
}

/// A command that only reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`redis` of a probe")]
pub(crate) struct RawRedisProbe {
    /// Name of a server under `targets.redis` in quell.yml.
    #[schemars(extend("examples" = ["cache"]))]
    pub(crate) server: Field<TemplateText>,
    /// The command and its arguments: one of PING, LLEN, DBSIZE, EXISTS, GET, TTL, STRLEN, SCARD, ZCARD, HLEN, XLEN, INFO.
    /// PING when silent.
    #[schemars(length(min = 1), extend("examples" = [["LLEN", "jobs"]]))]
    pub(crate) command: Opt<List<TemplateText>>,
    /// The field of INFO that is the value.
    #[schemars(extend("examples" = ["used_memory"]))]
    pub(crate) field: Opt<String>,
}

/// `alert: {}`
#[derive(Debug, Deserialize)]
pub(crate) struct RawAlert;

//! Probes: what observes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::action::Command;
use crate::model::action::TargetKind;
use crate::model::action::Template;
use crate::model::action::host::Ssh;
use crate::model::action::host::Unit;
use crate::model::action::kubernetes::Ready;

/// Something that observes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// An instant query; `healthy` must hold for each sample.
    Promql {
        /// The query, a template.
        query: Template,
        /// CEL over `value` and `labels`.
        healthy: String,
        /// Fewer series than this are unknown (G3).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_sources: Option<u32>,
    },
    /// Samples from a metrics page.
    Scrape {
        /// The page, a template.
        url: Template,
        /// Metric and matchers: `http_errors_ratio{service="shop"}`, a template.
        select: Template,
        /// CEL over `value` and `labels`.
        healthy: String,
        /// Fewer series than this are unknown (G3).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_sources: Option<u32>,
    },
    /// An HTTP request.
    Http(HttpProbe),
    /// A TCP connection.
    Tcp {
        /// `host:port`, a template.
        address: Template,
    },
    /// Exit 0 is healthy, 1 is unhealthy, anything else unknown.
    Command(Command),
    /// Whether the alert still fires, by Alertmanager's list: gone is healthy.
    Alert,
    /// Days to expiry of the certificate that a server shows.
    Tls(TlsProbe),
    /// Rows of a query to `PostgreSQL`.
    Postgres(PostgresProbe),
    /// The answer of a Redis server.
    Redis(RedisProbe),
    /// Whether a workload is rolled out and available.
    #[serde(rename = "kubernetes.ready")]
    KubernetesReady(Ready),
    /// Whether a unit is active.
    #[serde(rename = "systemd.active")]
    SystemdActive(Unit),
    /// A process on another host: exit 0 is healthy, 1 is unhealthy, anything else unknown.
    Ssh(Ssh),
}

impl Probe {
    /// The word people write: `promql`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Promql { .. } => "promql",
            Self::Scrape { .. } => "scrape",
            Self::Http(_) => "http",
            Self::Tcp { .. } => "tcp",
            Self::Command(_) => "command",
            Self::Alert => "alert",
            Self::Tls(_) => "tls",
            Self::Postgres(_) => "postgres",
            Self::Redis(_) => "redis",
            Self::KubernetesReady(_) => "kubernetes.ready",
            Self::SystemdActive(_) => "systemd.active",
            Self::Ssh(_) => "ssh",
        }
    }

    /// The entry of `targets:` that it asks, if it asks one.
    pub fn uses(&self) -> Option<(TargetKind, &Template)> {
        match self {
            Self::Postgres(it) => Some((TargetKind::Postgres, &it.server)),
            Self::Redis(it) => Some((TargetKind::Redis, &it.server)),
            Self::KubernetesReady(it) => Some((TargetKind::Kubernetes, &it.cluster)),
            Self::SystemdActive(it) => Some((TargetKind::Systemd, &it.server)),
            Self::Ssh(it) => Some((TargetKind::Ssh, &it.server)),
            Self::Promql { .. }
            | Self::Scrape { .. }
            | Self::Http(_)
            | Self::Tcp { .. }
            | Self::Command(_)
            | Self::Alert
            | Self::Tls(_) => None,
        }
    }

    /// Its templates that become plain text, whatever stands in them. Not those that are escaped, nor those of a command.
    pub fn texts_mut(&mut self) -> Vec<&mut Template> {
        match self {
            Self::Tcp { address } => vec![address],
            Self::Tls(TlsProbe { address, server_name, ca_file: _, healthy: _ }) => {
                std::iter::once(address).chain(server_name).collect()
            }
            Self::Postgres(PostgresProbe { server, sql: _, parameters, healthy: _ }) => {
                std::iter::once(server).chain(parameters).collect()
            }
            Self::Redis(RedisProbe { server, command, field: _, healthy: _ }) => {
                std::iter::once(server).chain(command).collect()
            }
            Self::KubernetesReady(Ready { cluster, namespace, workload }) => {
                vec![cluster, namespace, &mut workload.name]
            }
            Self::SystemdActive(Unit { server, unit }) => vec![server, unit],
            Self::Ssh(Ssh { server, argv, directory }) => {
                std::iter::once(server).chain(argv).chain(directory).collect()
            }
            Self::Promql { .. }
            | Self::Scrape { .. }
            | Self::Http(_)
            | Self::Command(_)
            | Self::Alert => Vec::new(),
        }
    }

    /// What it looks at, for people: `promql up, healthy: value == 1.0`.
    pub fn line(&self) -> String {
        let kind = self.kind();
        let judged = |what: &str, healthy: &str| format!("{kind} {what}, healthy: {healthy}");
        let perhaps = |what: String, healthy: Option<&String>| match healthy {
            Some(healthy) => judged(&what, healthy),
            None => format!("{kind} {what}"),
        };
        match self {
            Self::Promql { query, healthy, .. } => judged(query, healthy),
            Self::Scrape { select, healthy, .. } => judged(select, healthy),
            Self::Tcp { address } => format!("{kind} {address}"),
            Self::Tls(it) => judged(&it.address, &it.healthy),
            Self::Postgres(it) => perhaps(format!("{} {}", it.server, it.sql), it.healthy.as_ref()),
            Self::Redis(it) => {
                let field = it.field.iter().map(|field| format!(" {field}"));
                let what = format!("{} {}", it.server, it.command.join(" "));
                perhaps(what + &field.collect::<String>(), it.healthy.as_ref())
            }
            Self::KubernetesReady(it) => {
                format!("{kind} {} {}/{}", it.cluster, it.namespace, it.workload)
            }
            Self::SystemdActive(it) => format!("{kind} {} {}", it.server, it.unit),
            Self::Ssh(it) => format!("{kind} {} {}", it.server, it.argv.join(" ")),
            Self::Http(_) | Self::Command(_) | Self::Alert => kind.to_owned(),
        }
    }
}

/// An HTTP probe: healthy when all that it names holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpProbe {
    /// URL, a template.
    pub url: Template,
    /// Expected status; silent means any 2xx.
    pub status: Option<u16>,
    /// Fields that the JSON body must have, with these values.
    pub json: BTreeMap<String, serde_json::Value>,
    /// Longest time for the answer.
    pub timeout: Duration,
}

/// `tls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsProbe {
    /// `host:port`, a template.
    pub address: Template,
    /// The name that the certificate must be for; `None` is the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<Template>,
    /// The authorities that are trusted, PEM; `None` is those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// CEL over `value`, the days to expiry.
    pub healthy: String,
}

/// `postgres`: one query, in a transaction that only reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresProbe {
    /// Name of an entry of `targets.postgres`.
    pub server: Template,
    /// The query; fixed text, never a template.
    pub sql: String,
    /// Values of `$1` and so on, bound as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Template>,
    /// CEL over `value`, the first column, and `labels`, the others; must hold for each row. `None`: the query works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<String>,
}

/// `redis`: one command that only reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisProbe {
    /// Name of an entry of `targets.redis`.
    pub server: Template,
    /// The command and its arguments.
    pub command: Vec<Template>,
    /// Which field of `INFO` is the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// CEL over `value`. `None`: the server answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<String>,
}

/// Commands that a `redis` probe may send, in capitals: none of them changes anything.
pub const REDIS_READS: [&str; 12] = [
    "PING", "LLEN", "DBSIZE", "EXISTS", "GET", "TTL", "STRLEN", "SCARD", "ZCARD", "HLEN", "XLEN",
    "INFO",
];

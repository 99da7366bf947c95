//! Observes: promql, scrape, http, tcp, command, ssh, systemd.active, kubernetes.ready, alert.
//!
//! An observation is three-valued. *Unknown* (an error, no sample, a stale one, a warning in the answer, a
//! refused credential) is never taken for either of the others: G3.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::config::Endpoint;
use crate::model::config::Targets;
use crate::model::labels::Labels;
use crate::model::playbook::Measure;
use crate::model::probe::Probe;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Sample;

mod alertmanager;
mod command;
mod exposition;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(not(all(feature = "systemd", feature = "kubernetes")))]
mod later;
pub mod listed;
mod postgres;
mod promql;
mod redis;
mod samples;
mod scrape;
mod ssh;
#[cfg(feature = "systemd")]
mod systemd;
mod tcp;
mod tls;

pub use alertmanager::standing;

/// Longest time for one observation, where the probe does not say.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What probes may reach, and how old a sample may be.
#[derive(Debug, Clone)]
pub struct Sources<'a> {
    /// For `promql`.
    pub prometheus: Option<&'a Endpoint>,
    /// For `alert`.
    pub alertmanager: Option<&'a Endpoint>,
    /// For `postgres`, `redis`, `kubernetes.ready`, `systemd.active` and `ssh`.
    pub targets: &'a Targets,
    /// Older samples are unknown.
    pub max_age: Duration,
}

/// Observes once. `alert` is the labels of the alert in question, for `Probe::Alert`. Takes at most 10 s, but
/// for an http probe with a timeout of its own, and a command, which has 30 s.
pub async fn observe(
    probe: &Probe,
    alert: &Labels,
    sources: &Sources<'_>,
    now: Timestamp,
) -> Observation {
    let age = samples::Age { now, max: sources.max_age };
    match probe {
        Probe::Promql { query, healthy, min_sources } => {
            let wanted = samples::Wanted { healthy, min_sources: min_sources.unwrap_or(1) };
            promql::observe(query, wanted, sources.prometheus, age).await
        }
        Probe::Scrape { url, select, healthy, min_sources } => {
            let wanted = samples::Wanted { healthy, min_sources: min_sources.unwrap_or(1) };
            scrape::observe(url, select, wanted, age).await
        }
        Probe::Http(probe) => http::observe(probe).await,
        Probe::Tcp { address } => tcp::observe(address).await,
        Probe::Command(command) => command::observe(command).await,
        Probe::Alert => alertmanager::observe(alert, sources.alertmanager).await,
        Probe::Tls(probe) => Box::pin(tls::observe(probe, now)).await,
        Probe::Postgres(probe) => Box::pin(postgres::observe(probe, sources.targets, age)).await,
        Probe::Redis(probe) => Box::pin(redis::observe(probe, sources.targets, age)).await,
        Probe::Ssh(ssh) => ssh::observe(ssh, sources.targets, TIMEOUT).await,
        #[cfg(feature = "systemd")]
        Probe::SystemdActive(unit) => systemd::observe(unit, sources.targets, TIMEOUT).await,
        #[cfg(not(feature = "systemd"))]
        Probe::SystemdActive(_) => later::observe(probe),
        #[cfg(feature = "kubernetes")]
        Probe::KubernetesReady(ready) => kubernetes::observe(ready, sources.targets).await,
        #[cfg(not(feature = "kubernetes"))]
        Probe::KubernetesReady(_) => later::observe(probe),
    }
}

/// The number that an instant query counts; or why there is no trusting the answer.
pub async fn count(query: &str, sources: &Sources<'_>, now: Timestamp) -> Result<u64, String> {
    let age = samples::Age { now, max: sources.max_age };
    promql::count(query, sources.prometheus, age).await
}

/// Measures once, within 10 s. The error says why nobody knows: no sample, a stale one, one that is no number, no answer.
pub async fn measure(
    measure: &Measure,
    sources: &Sources<'_>,
    now: Timestamp,
) -> Result<Vec<Sample>, String> {
    let age = samples::Age { now, max: sources.max_age };
    let points = match measure {
        Measure::Promql { query } => promql::ask(query, sources.prometheus).await,
        Measure::Scrape { url, select } => scrape::read(url, select).await,
    };
    samples::sound(points.map_err(|blind| blind.reason)?, age)
}

fn healthy(measured: impl Into<String>) -> Observation {
    Observation { health: Health::Healthy, measured: measured.into(), denied: false }
}

fn unhealthy(measured: impl Into<String>) -> Observation {
    Observation { health: Health::Unhealthy, measured: measured.into(), denied: false }
}

fn unknown(measured: impl Into<String>) -> Observation {
    Observation { health: Health::Unknown, measured: measured.into(), denied: false }
}

/// The credential was refused, which says nothing of the target (G19).
fn denied(measured: impl Into<String>) -> Observation {
    Observation { denied: true, ..unknown(measured) }
}

/// Why there are no samples to judge.
#[derive(Debug)]
struct Blind {
    reason: String,
    /// The credential was refused.
    denied: bool,
}

impl From<String> for Blind {
    fn from(reason: String) -> Self {
        Self { reason, denied: false }
    }
}

impl From<&str> for Blind {
    fn from(reason: &str) -> Self {
        Self::from(reason.to_owned())
    }
}

impl From<Blind> for Observation {
    fn from(blind: Blind) -> Self {
        Self { denied: blind.denied, ..unknown(blind.reason) }
    }
}

#[cfg(test)]
mod testing;

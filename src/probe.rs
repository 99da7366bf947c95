//! Observes: promql, scrape, http, tcp, command, alert.

use jiff::Timestamp;

use crate::model::config::Endpoint;
use crate::model::decision::Standing;
use crate::model::labels::Labels;
use crate::model::playbook::Probe;
use crate::model::run::Observation;

mod exposition;

/// What probes may reach, and how old a sample may be.
#[derive(Debug, Clone)]
pub struct Sources<'a> {
    /// For `promql`.
    pub prometheus: Option<&'a Endpoint>,
    /// For `alert`.
    pub alertmanager: Option<&'a Endpoint>,
    /// Older samples are unknown.
    pub max_age: std::time::Duration,
}

/// Observes once. `alert` is the labels of the alert in question, for `Probe::Alert`.
pub async fn observe(
    probe: &Probe,
    alert: &Labels,
    sources: &Sources<'_>,
    now: Timestamp,
) -> Observation {
    let _ = (probe, alert, sources, now);
    Observation { health: crate::model::run::Health::Unknown, measured: "not written yet".into() }
}

/// Asks Alertmanager whether an alert is active, silenced, inhibited or gone.
pub async fn standing(alert: &Labels, alertmanager: Option<&Endpoint>) -> Standing {
    let _ = (alert, alertmanager);
    Standing::NotAsked
}

//! Everything outside of quell and its store, as the engine meets it: targets, probes, channels, and time that has to pass.
//!
//! In the tests of the engine a simulation may stand for it, so that what is tried there is the engine and the store themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::act;
use crate::act::Prepared;
use crate::model::config::Channel;
use crate::model::config::Endpoint;
use crate::model::config::Secret;
use crate::model::config::Targets;
use crate::model::decision::Standing;
use crate::model::incident::Notice;
use crate::model::labels::Labels;
use crate::model::playbook::Measure;
use crate::model::probe::Probe;
use crate::model::run::Intent;
use crate::model::run::Observation;
use crate::model::run::Outcome;
use crate::model::run::Sample;
use crate::notify;
use crate::notify::Links;
use crate::notify::Sent;
use crate::probe;
use crate::probe::Sources;

#[cfg(test)]
use crate::engine::tests::simulation::plant::Plant;

/// Who answers for the outside. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) enum Outside {
    /// The world.
    #[default]
    World,
    /// A made-up one.
    #[cfg(test)]
    Simulated(Plant),
}

/// Its key as others see it: they may serve quells that count their runs apart.
fn named(store: &str, intent: &Intent) -> Intent {
    Intent { key: format!("{store}/{}", intent.key), ..intent.clone() }
}

impl Outside {
    /// As [`act::perform`], for the store of this name.
    pub(crate) async fn perform(
        &self,
        store: &str,
        intent: &Intent,
        attempt: i64,
        targets: &Targets,
        secrets: &BTreeMap<String, Secret>,
    ) -> Outcome {
        match self {
            Self::World => act::perform(&named(store, intent), attempt, targets, secrets).await,
            #[cfg(test)]
            Self::Simulated(plant) => plant.perform(intent, attempt).await,
        }
    }

    /// As [`act::prepare`], for the store of this name.
    pub(crate) async fn prepare(
        &self,
        store: &str,
        intent: &Intent,
        within: Duration,
        targets: &Targets,
        now: Timestamp,
    ) -> Result<Prepared, Outcome> {
        match self {
            Self::World => act::prepare(&named(store, intent), within, targets, now).await,
            #[cfg(test)]
            Self::Simulated(plant) => plant.prepare(intent).await,
        }
    }

    /// As [`act::dry_run`], for the store of this name.
    pub(crate) async fn dry_run(
        &self,
        store: &str,
        intent: &Intent,
        targets: &Targets,
        now: Timestamp,
    ) -> Option<Outcome> {
        match self {
            Self::World => act::dry_run(&named(store, intent), targets, now).await,
            #[cfg(test)]
            Self::Simulated(_) => None,
        }
    }

    /// As [`probe::observe`].
    pub(crate) async fn observe(
        &self,
        probe: &Probe,
        alert: &Labels,
        sources: &Sources<'_>,
        now: Timestamp,
    ) -> Observation {
        match self {
            Self::World => probe::observe(probe, alert, sources, now).await,
            #[cfg(test)]
            Self::Simulated(plant) => plant.observe(alert).await,
        }
    }

    /// As [`probe::measure`].
    pub(crate) async fn measure(
        &self,
        measure: &Measure,
        sources: &Sources<'_>,
        now: Timestamp,
    ) -> Result<Vec<Sample>, String> {
        match self {
            Self::World => probe::measure(measure, sources, now).await,
            #[cfg(test)]
            Self::Simulated(plant) => plant.measure().await,
        }
    }

    /// As [`probe::standing`].
    pub(crate) async fn standing(
        &self,
        labels: &Labels,
        alertmanager: Option<&Endpoint>,
    ) -> Standing {
        match self {
            Self::World => probe::standing(labels, alertmanager).await,
            #[cfg(test)]
            Self::Simulated(plant) => plant.standing().await,
        }
    }

    /// As [`notify::send`].
    pub(crate) async fn send(
        &self,
        channel: &Channel,
        recipient: &str,
        notice: &Notice,
        links: &Links,
        instance: &str,
    ) -> Sent {
        match self {
            Self::World => notify::send(channel, recipient, notice, links, instance).await,
            #[cfg(test)]
            Self::Simulated(plant) => plant.send(notice).await,
        }
    }

    /// Returns when this much time has passed.
    pub(crate) async fn sleep(&self, time: Duration) {
        match self {
            Self::World => tokio::time::sleep(time).await,
            #[cfg(test)]
            Self::Simulated(plant) => plant.sleep(time).await,
        }
    }
}

//! Loads the facts that guards judge by: from the store, the pause file, and outside where a guard needs it.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::window;
use crate::engine::Engine;
use crate::library::Library;
use crate::model::decision::Facts;
use crate::model::decision::Pause;
use crate::model::decision::Standing;
use crate::model::incident::Episode;
use crate::model::labels::Labels;
use crate::model::playbook::Probe;
use crate::model::rule::is_schedule;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::time::before;
use crate::model::time::since;
use crate::probe;
use crate::probe::Sources;
use crate::store::Result;

/// Longest time that asking Alertmanager or a precheck may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Facts from the store alone: `standing` and `precheck` are not asked yet.
pub async fn from_store(
    engine: &Engine,
    library: &Library,
    episode: &Episode,
    subject: &Subject,
) -> Result<Facts> {
    let now = engine.clock.now();
    let version = engine.store.facts_version().await?;
    let limits = &subject.limits;
    let window = [
        limits.cooldown.value,
        limits.global_rate.value.per,
        limits.rule_rate.as_ref().map_or(Duration::ZERO, |rate| rate.value.per),
        limits.playbook_rate.map_or(Duration::ZERO, |rate| rate.per),
    ]
    .into_iter()
    .max()
    .unwrap_or_default();
    Ok(Facts {
        version,
        pauses: pauses(engine, library).await?,
        firing: episode.open,
        firing_for: since(now, episode.starts_at.min(episode.opened_at)),
        evidence_age: evidence_age(episode, now),
        truncated: episode.truncated,
        standing: Standing::NotAsked,
        windows: window::covering(&library.config.windows, &episode.labels, now),
        precheck: None,
        // a run may last long beyond its start: look back twice as far as the longest window
        runs: engine
            .store
            .past_runs(before(now, window.saturating_mul(2)), subject.incident)
            .await?,
    })
}

/// Age of the latest evidence that the alert fires. A slot of a schedule needs none: it is true because it is time.
pub fn evidence_age(episode: &Episode, now: Timestamp) -> Duration {
    if is_schedule(&episode.source) { Duration::ZERO } else { since(now, episode.seen_at) }
}

/// Pauses in force, the pause file among them. A file that cannot be looked at counts as there: missing evidence
/// means no action.
pub async fn pauses(engine: &Engine, library: &Library) -> Result<Vec<Pause>> {
    let mut pauses = engine.store.pauses().await?;
    let file = &library.config.pause_file;
    if file.try_exists().unwrap_or(true) {
        pauses.push(Pause {
            scope: "all".into(),
            by: format!("the file {}", file.display()),
            reason: String::new(),
            at: engine.clock.now(),
        });
    }
    Ok(pauses)
}

/// What Alertmanager says of the alert now. Alerts of checks and slots of schedules never went through it.
pub async fn standing(library: &Library, episode_source: &str, labels: &Labels) -> Standing {
    if episode_source.starts_with(crate::engine::checks::SOURCE) || is_schedule(episode_source) {
        return Standing::NotAsked;
    }
    let asked = probe::standing(labels, library.config.alertmanager.as_ref());
    tokio::time::timeout(ASK_TIMEOUT, asked).await.unwrap_or_else(|_| Standing::Unknown {
        reason: format!("no answer within {}s", ASK_TIMEOUT.as_secs()),
    })
}

/// Observes once, within the time that asking may take.
pub async fn observe(
    engine: &Engine,
    library: &Library,
    probe: &Probe,
    episode: &Episode,
) -> Observation {
    if matches!(probe, Probe::Alert) {
        return alert_probe(library, episode).await;
    }
    let sources = Sources {
        prometheus: library.config.prometheus.as_ref(),
        alertmanager: library.config.alertmanager.as_ref(),
        max_age: library.config.limits.max_age.value,
    };
    let observing = probe::observe(probe, &episode.labels, &sources, engine.clock.now());
    tokio::time::timeout(ASK_TIMEOUT, observing).await.unwrap_or_else(|_| Observation {
        health: Health::Unknown,
        measured: format!(
            "the {} probe had no answer within {}s",
            probe.kind(),
            ASK_TIMEOUT.as_secs()
        ),
    })
}

/// Whether the alert has gone: by its resolution, else by Alertmanager's list, else by what was said last.
async fn alert_probe(library: &Library, episode: &Episode) -> Observation {
    let seen = |health, measured: &str| Observation { health, measured: measured.to_owned() };
    if !episode.open {
        return seen(Health::Healthy, "the alert has resolved");
    }
    match standing(library, &episode.source, &episode.labels).await {
        Standing::Active => seen(Health::Unhealthy, "the alert still fires"),
        Standing::Silenced { .. } => seen(Health::Unhealthy, "the alert still fires, silenced"),
        Standing::Inhibited => seen(Health::Unhealthy, "the alert still fires, inhibited"),
        Standing::Gone => seen(Health::Healthy, "Alertmanager no longer lists the alert"),
        Standing::NotAsked => seen(Health::Unhealthy, "the alert has not resolved"),
        Standing::Unknown { reason } => Observation { health: Health::Unknown, measured: reason },
    }
}

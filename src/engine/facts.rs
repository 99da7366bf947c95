//! Loads the facts that guards judge by: from the store, the pause file, and outside where a guard needs it.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::changed;
use crate::decide::glass;
use crate::decide::hands;
use crate::decide::harm;
use crate::decide::harm::Measured;
use crate::decide::own;
use crate::decide::plan::Look;
use crate::decide::plan::Wanted;
use crate::decide::respond;
use crate::decide::respond::Candidate;
use crate::decide::respond::Case;
use crate::decide::surroundings;
use crate::engine::Engine;
use crate::engine::audit;
use crate::library::Library;
use crate::model::decision::Circumstances;
use crate::model::decision::Denied;
use crate::model::decision::Facts;
use crate::model::decision::Glass;
use crate::model::decision::Pause;
use crate::model::decision::Proof;
use crate::model::decision::Standing;
use crate::model::decision::Storm;
use crate::model::decision::Watchdog;
use crate::model::incident::Episode;
use crate::model::incident::IncidentId;
use crate::model::labels::Labels;
use crate::model::playbook::Measure;
use crate::model::playbook::Unharmed;
use crate::model::probe::Probe;
use crate::model::rule::is_schedule;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Sample;
use crate::model::time::before;
use crate::model::window::OneOff;
use crate::model::window::Window;
use crate::probe::Sources;
use crate::store::Result;
use crate::store::glance::Glance;

/// Longest time that asking Alertmanager or a precheck may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// As long as limits look back, and longer.
pub(super) const JUMPS_KEPT: Duration = Duration::from_hours(14 * 24);

/// Facts from the store alone: `standing` and `precheck` are not asked yet.
pub async fn from_store(
    engine: &Engine,
    library: &Library,
    case: Case<'_>,
    candidate: &Candidate,
) -> Result<Facts> {
    let from = before(case.now, candidate.look_back());
    let who = About { rule: &case.rule.name, target: case.target, incident: case.incident.id };
    // before the other facts: what changes after it is noticed when the run is created
    let glance = &engine.store.glance().await?;
    let (version, runs) = glance.past(from, case.incident.id).await?;
    let around = circumstances(engine, library, glance, who, case.now).await?;
    Ok(Facts {
        version,
        pauses: pauses(engine, library, glance).await?,
        runs,
        around,
        ..respond::facts(case.windows, case.episode, case.now)
    })
}

/// What a case is about, for what holds around it.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The rule.
    pub rule: &'a str,
    /// What is acted on.
    pub target: &'a str,
    /// The incident.
    pub incident: IncidentId,
}

/// What holds around a case, from the store: asked for a decision and again before each step.
pub async fn circumstances(
    engine: &Engine,
    library: &Library,
    glance: &Glance<'_>,
    about: About<'_>,
    now: Timestamp,
) -> Result<Circumstances> {
    let limits = library.config.limits.storm.value;
    let rule = library.all_rules().find(|rule| rule.name == about.rule);
    let quiet = changed::quiet(&library.config, rule.map(|it| &**it));
    let changes = glance.changes_since(before(now, quiet)).await?;
    let jumps = glance.jumps(before(now, JUMPS_KEPT)).await?;
    let incident = engine.store.incident(about.incident).await?;
    let mut hands = changed::hands(&changes, about.target);
    hands.extend(incident.as_ref().and_then(hands::at_incident));
    Ok(Circumstances {
        storm: Storm {
            targets: engine.store.troubled_lately(before(now, limits.within)).await?,
            trip: glance.trip(surroundings::STORM).await?,
        },
        watchdog: if library.config.watchdog.is_some() {
            let seen = engine.store.marked(surroundings::WATCHDOG).await?;
            surroundings::watchdog(&library.config, seen, now)
        } else {
            Watchdog::NotWatched
        },
        jumps,
        denied: denied(glance).await?,
        hands,
        glass: glass(glance, about, now).await?,
    })
}

/// Credentials that were refused and not cleared.
async fn denied(glance: &Glance<'_>) -> Result<Vec<Denied>> {
    let denied = glance.denied().await?.into_iter();
    Ok(denied
        .map(|it| Denied { credential: it.credential, at: it.at, reason: it.reason })
        .collect())
}

/// What the playbook wants to be shown.
pub async fn proofs(
    engine: &Engine,
    library: &Library,
    wanted: Vec<Wanted>,
    episode: &Episode,
) -> Vec<Proof> {
    let mut proofs = Vec::with_capacity(wanted.len());
    for Wanted { of, name, look } in wanted {
        let seen = match look {
            Ok(Look::Probe(probe)) => observe(engine, library, &probe, episode).await,
            Ok(Look::Measure(metric)) => {
                match measure(engine, library, &metric).await.and_then(harm::few) {
                    Ok(samples) => {
                        let measured = format!("{} series", samples.len());
                        Observation { health: Health::Healthy, measured, denied: false }
                    }
                    Err(measured) => {
                        Observation { health: Health::Unknown, measured, denied: false }
                    }
                }
            }
            Err(measured) => Observation { health: Health::Unknown, measured, denied: false },
        };
        proofs.push(Proof { of, name, seen });
    }
    proofs
}

/// Measures each of what must not get worse.
pub async fn measures(engine: &Engine, library: &Library, unharmed: &[Unharmed]) -> Measured {
    let mut measured = Vec::with_capacity(unharmed.len());
    for metric in unharmed {
        measured.push(measure(engine, library, &metric.measure).await);
    }
    measured
}

/// Measures once, within the time that asking may take.
pub async fn measure(
    engine: &Engine,
    library: &Library,
    metric: &Measure,
) -> std::result::Result<Vec<Sample>, String> {
    let sources = sources(library);
    let measuring = engine.outside.measure(metric, &sources, engine.clock.now());
    tokio::time::timeout(ASK_TIMEOUT, measuring)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {}s", ASK_TIMEOUT.as_secs())))
}

fn sources(library: &Library) -> Sources<'_> {
    Sources {
        prometheus: library.config.prometheus.as_ref(),
        alertmanager: library.config.alertmanager.as_ref(),
        targets: &library.config.targets,
        max_age: library.config.limits.max_age.value,
    }
}

/// Pauses in force, the pause file among them, and an audit that is not as it was written. A file that cannot be looked at
/// counts as there: missing evidence means no action.
pub async fn pauses(engine: &Engine, library: &Library, glance: &Glance<'_>) -> Result<Vec<Pause>> {
    let mut pauses = glance.pauses().await?;
    let file = &library.config.pause_file;
    if file.try_exists().unwrap_or(true) {
        pauses.push(Pause {
            scope: "all".into(),
            by: format!("the file {}", file.display()),
            reason: String::new(),
            at: engine.clock.now(),
        });
    }
    pauses.extend(audit::pause(glance).await?);
    Ok(pauses)
}

/// Windows of quell.yml, and those that operators added.
pub async fn windows(library: &Library, glance: &Glance<'_>) -> Result<Vec<Window>> {
    let added = glance.windows().await?;
    let config = library.config.windows.iter().cloned();
    Ok(config.chain(added.iter().map(OneOff::window)).collect())
}

/// Break-glass that is in force for a rule, a target or an incident.
pub async fn glass(glance: &Glance<'_>, about: About<'_>, now: Timestamp) -> Result<Option<Glass>> {
    let About { rule, target, incident } = about;
    let broken = glance.glass_in_force().await?;
    Ok(glass::in_force(&broken, rule, target, incident, now))
}

/// What Alertmanager says of the alert now. Alerts of checks, those of quell itself and slots of schedules never went
/// through it.
pub async fn standing(
    engine: &Engine,
    library: &Library,
    episode_source: &str,
    labels: &Labels,
) -> Standing {
    let of_check = episode_source.starts_with(crate::engine::checks::SOURCE);
    if of_check || own::is_own(episode_source) || is_schedule(episode_source) {
        return Standing::NotAsked;
    }
    let asked = engine.outside.standing(labels, library.config.alertmanager.as_ref());
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
        return alert_probe(engine, library, episode).await;
    }
    let sources = sources(library);
    let now = engine.clock.now();
    let observing = engine.outside.observe(probe, &episode.labels, &sources, now);
    tokio::time::timeout(ASK_TIMEOUT, observing).await.unwrap_or_else(|_| Observation {
        health: Health::Unknown,
        measured: format!(
            "the {} probe had no answer within {}s",
            probe.kind(),
            ASK_TIMEOUT.as_secs()
        ),
        denied: false,
    })
}

/// Whether the alert has gone; Alertmanager is asked only about one that has not resolved.
async fn alert_probe(engine: &Engine, library: &Library, episode: &Episode) -> Observation {
    let standing = if episode.open {
        standing(engine, library, &episode.source, &episode.labels).await
    } else {
        Standing::NotAsked
    };
    respond::alert_seen(episode.open, &standing)
}

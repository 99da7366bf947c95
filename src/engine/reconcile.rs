//! Holds what quell knows against what Alertmanager and Prometheus say: at the start, regularly, and soon after Alertmanager
//! could not be asked. What was missed goes through intake, as any alert does.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decide::reconcile;
use crate::decide::reconcile::Found;
use crate::decide::reconcile::Known;
use crate::decide::reconcile::Look;
use crate::decide::reconcile::Reach;
use crate::engine::Engine;
use crate::library::Library;
use crate::model::alert::Delivery;
use crate::model::config::Endpoint;
use crate::model::listed::Outside;
use crate::probe::listed;
use crate::store::Result;
use crate::telemetry::Metrics;

/// Its row among the duties.
const DUTY: &str = "reconcile";
/// A look asks outside for at most two minutes.
const LEASE: Duration = Duration::from_mins(5);
/// How soon an Alertmanager that could not be asked is asked again.
const AGAIN_SOON: Duration = Duration::from_secs(30);
/// How often the loop looks whether it is time.
const TICK: Duration = Duration::from_millis(500);
/// Alerts of one delivery to intake.
const AT_ONCE: usize = 200;

/// The loop.
pub async fn run(engine: Engine) {
    let mut begun = false;
    let mut blind = Vec::new();
    while !engine.stop.is_cancelled() {
        let library = engine.library.load_full();
        if let Some(alertmanager) = &library.config.alertmanager {
            let result = async {
                if !begun {
                    engine.store.duty_is_due(DUTY).await?;
                    begun = true;
                }
                due(&engine, &library, alertmanager, &mut blind).await
            };
            if let Err(error) = result.await {
                engine.trouble("reconcile", &error).await;
            }
        }
        engine.turned("reconcile");
        engine.pause(TICK).await;
    }
}

async fn due(
    engine: &Engine,
    library: &Library,
    alertmanager: &Endpoint,
    blind: &mut Vec<String>,
) -> Result<()> {
    let every = library.config.reconcile.every;
    let Some(duty) = engine.store.claim_duty(DUTY, LEASE, every.max(AGAIN_SOON)).await? else {
        return Ok(());
    };
    let (reached, look) = look(engine, library, alertmanager).await?;
    engine.store.set_missing(&look.missing).await?;
    // what it could not see at the look before is known
    for why in look.blind.iter().filter(|it| !blind.contains(it)) {
        tracing::warn!(why, "reconciliation cannot see all");
    }
    blind.clone_from(&look.blind);
    engine.metrics.reconciled(if reached { "looked" } else { "unknown" });
    engine.metrics.alerts_unlisted.set(i64::try_from(look.unlisted).unwrap_or(i64::MAX));
    let stored =
        found(engine, "opened", look.opens).await & found(engine, "closed", look.closes).await;
    let again = if reached && stored { every } else { every.min(AGAIN_SOON) };
    engine.store.duty_done(duty, again).await
}

/// Looks once; says too whether Alertmanager could be asked.
async fn look(engine: &Engine, library: &Library, alertmanager: &Endpoint) -> Result<(bool, Look)> {
    let config = &library.config;
    // what is heard from here on makes void what is found
    let now = engine.clock.now();
    let listing = listed::listing(alertmanager).await;
    let firing = match &config.prometheus {
        Some(prometheus) => Some(listed::firing(prometheus).await),
        None => None,
    };
    let outside = Outside { listing, firing };
    let reach = reconcile::reach(config, &engine.store.receivers().await?);
    let known = known(engine, &reach, &outside).await?;
    let look = reconcile::look(&config.reconcile, &reach, &known, &outside, now);
    Ok((outside.listing.is_ok(), look))
}

/// Every open episode, and the latest one of each alert that may have been missed.
async fn known(
    engine: &Engine,
    reach: &Reach,
    outside: &Outside,
) -> Result<BTreeMap<String, Known>> {
    let mut known = engine.store.known_open().await?;
    let Ok(listing) = &outside.listing else { return Ok(known) };
    for (fingerprint, _) in reconcile::candidates(reach, listing) {
        if !known.contains_key(&fingerprint)
            && let Some(episode) = engine.store.latest_episode(&fingerprint).await?
        {
            known.insert(fingerprint, Known { episode, missing_since: None, by_hand: false });
        }
    }
    Ok(known)
}

/// Hands to intake what was found; says whether all of it is on disk.
async fn found(engine: &Engine, what: &str, found: Vec<Found>) -> bool {
    let mut by_source: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    for it in found {
        by_source.entry(it.source.clone()).or_default().push(it);
    }
    let mut stored = true;
    for (source, mut found) in by_source {
        while !found.is_empty() {
            let rest = found.split_off(found.len().min(AT_ONCE));
            let (alerts, evidence): (Vec<_>, Vec<_>) =
                found.into_iter().map(|it| (it.alert, it.evidence)).unzip();
            found = rest;
            let delivery =
                Delivery { source: source.clone(), receiver: String::new(), truncated: 0, alerts };
            match engine.intake.accept_found(delivery, evidence).await {
                Ok(accepted) => {
                    let changed = accepted.opened + accepted.reopened + accepted.closed;
                    if changed > 0 {
                        let count = u64::try_from(changed).unwrap_or(u64::MAX);
                        Metrics::count(&engine.metrics.alerts, what, count);
                        tracing::warn!(
                            what,
                            changed,
                            source,
                            "reconciliation found what no webhook told"
                        );
                    }
                }
                Err(error) => {
                    tracing::error!(what, %error, "what reconciliation found was not stored");
                    stored = false;
                }
            }
        }
    }
    stored
}

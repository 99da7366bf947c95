//! Counts populations, and keeps the breakers of groups that are too sick.

use std::time::Duration;

use crate::decide::guard::Limits;
use crate::decide::population;
use crate::decide::population::Census;
use crate::decide::population::Of;
use crate::decide::population::Tripped;
use crate::engine::Engine;
use crate::library::Library;
use crate::model::decision::Counted;
use crate::model::decision::Population;
use crate::model::incident::Episode;
use crate::model::rule::Rule;
use crate::probe;
use crate::probe::Sources;
use crate::store::Result;

/// Longest time that one count may take.
const COUNT_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether what is counted changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Its breaker, and what is known of its size.
    ToDecide,
    /// Nothing: somebody only asks.
    ToExplain,
}

/// The population of a rule, counted now, with its breaker as it is after that; `None` when the rule names none.
pub async fn of(
    engine: &Engine,
    library: &Library,
    rule: &Rule,
    episode: &Episode,
    look: Look,
) -> Result<Option<Population>> {
    let census = match population::census(rule, episode) {
        None => return Ok(None),
        Some(Ok(census)) => census,
        Some(Err(why)) => {
            let unknown = Counted::Unknown(why);
            let total = unknown.clone();
            return Ok(Some(Population { total, unhealthy: unknown, was: None, trip: None }));
        }
    };
    let limits = Limits::of_everything(&library.config.limits).tightened(&rule.limits);
    counted(engine, library, &census, &limits, look).await.map(Some)
}

/// Counts, and changes the breaker accordingly.
pub(super) async fn counted(
    engine: &Engine,
    library: &Library,
    census: &Census,
    limits: &Limits,
    look: Look,
) -> Result<Population> {
    let scope = census.scope();
    let total = match &census.of {
        Of::Listed(count) => Counted::Known(*count),
        Of::Promql(query) => ask(engine, library, query).await,
    };
    let unhealthy = match &census.unhealthy {
        Some(query) => ask(engine, library, query).await,
        None => Counted::Known(engine.store.open_targets(&census.rule).await?),
    };
    let was = match total {
        Counted::Known(count) if look == Look::ToDecide => {
            engine.store.count_population(&scope, count).await?
        }
        Counted::Known(_) => engine.store.most_counted(&scope).await?,
        Counted::Unknown(_) => None,
    };
    let trip = engine.store.trip(&scope).await?;
    let mut population = Population { total, unhealthy, was, trip };
    let trip = population::tripped(limits, &population, engine.clock.now());
    if trip != population.trip && look == Look::ToDecide {
        let measured = population::words(&population.unhealthy, &population.total);
        let tripped = Tripped { census: census.clone(), measured };
        // what has texts and numbers alone cannot fail to be written
        let body = serde_json::to_string(&tripped).unwrap_or_default();
        let was = population.trip.as_ref();
        // another replica may have changed it: then it is as new as this
        if engine.store.change_trip(&scope, was, trip.as_ref(), &body).await? {
            match (was, &trip) {
                (None, Some(_)) => tracing::warn!(
                    scope,
                    "too much of a group is not well: nobody of it is acted on"
                ),
                (Some(_), None) => {
                    tracing::info!(scope, "the group has been well for long enough");
                    engine.store.wake_all_episodes().await?;
                }
                _ => {}
            }
            engine.wake.all();
        }
        population.trip = trip;
    }
    Ok(population)
}

async fn ask(engine: &Engine, library: &Library, query: &str) -> Counted {
    let sources = Sources {
        prometheus: library.config.prometheus.as_ref(),
        alertmanager: None,
        targets: &library.config.targets,
        max_age: library.config.limits.max_age.value,
    };
    let asked = probe::count(query, &sources, engine.clock.now());
    match tokio::time::timeout(COUNT_TIMEOUT, asked).await {
        Ok(Ok(count)) => Counted::Known(count),
        Ok(Err(why)) => Counted::Unknown(why),
        Err(_) => Counted::Unknown(format!("no answer within {}s", COUNT_TIMEOUT.as_secs())),
    }
}

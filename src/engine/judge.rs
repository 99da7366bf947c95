//! Gathers what guards judge a remedy by: from the store first, and outside only when nothing in the store is against it.

use crate::decide::guard;
use crate::decide::respond;
use crate::decide::respond::Candidate;
use crate::decide::respond::Case;
use crate::engine::Engine;
use crate::engine::facts;
use crate::engine::population;
use crate::engine::population::Look;
use crate::library::Library;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::store::Result;

/// Every guard's ruling on a remedy, and the facts they ruled by.
pub async fn judge(
    engine: &Engine,
    library: &Library,
    case: Case<'_>,
    candidate: &Candidate,
    look: Look,
) -> Result<(Facts, Vec<Ruling>)> {
    let Case { rule, episode, now, .. } = case;
    let mut facts = facts::from_store(engine, library, case, candidate).await?;
    let mut rulings = guard::judge(&candidate.subject, &facts, now);
    if respond::worth_asking(&rulings) {
        facts.standing = facts::standing(engine, library, &episode.source, &episode.labels).await;
        if respond::worth_looking(&facts.standing) {
            facts.precheck = match respond::precheck(rule, episode) {
                Some(Ok(probe)) => Some(facts::observe(engine, library, &probe, episode).await),
                Some(Err(unseen)) => Some(unseen),
                None => None,
            };
            facts.population = population::of(engine, library, rule, episode, look).await?;
            let wanted = candidate.wanted(rule, episode);
            facts.proofs = facts::proofs(engine, library, wanted, episode).await;
        }
        rulings = guard::judge(&candidate.subject, &facts, now);
    }
    Ok((facts, rulings))
}

//! Explains an alert by what is known now: the store, the pauses, Alertmanager and the precheck. It observes, and
//! changes nothing. For an alert with an open episode the facts are loaded as intake loads them, so the answer to "why
//! did it not act?" is the one by which it does not.

use jiff::Timestamp;

use crate::decide::explain;
use crate::decide::explain::Known;
use crate::decide::guard;
use crate::decide::respond;
use crate::decide::respond::Asks;
use crate::decide::respond::Candidate;
use crate::decide::respond::Case;
use crate::engine::Engine;
use crate::engine::facts;
use crate::engine::judge;
use crate::library::Library;
use crate::model::decision::Facts;
use crate::model::decision::Standing;
use crate::model::explain::Basis;
use crate::model::explain::Explanation;
use crate::model::explain::Question;
use crate::model::incident::Episode;
use crate::model::playbook::Probe;
use crate::model::rule::Rule;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::time::before;
use crate::model::time::show_duration;
use crate::store::Result;

/// Runs of an incident that are looked at.
const MOST_RUNS: u32 = 100;
/// Source of an episode that is only asked about.
const SOURCE: &str = "explain";

/// What would happen with the alert, or why nothing does.
pub async fn explain(engine: &Engine, question: &Question) -> Result<Explanation> {
    let library = engine.library.load_full();
    let now = engine.clock.now();
    let at = question.at.unwrap_or(now);
    let latest = engine.store.latest_episode(&question.labels.fingerprint()).await?;
    let mut assumed = Vec::new();
    let episode = latest.filter(|it| it.open).unwrap_or_else(|| {
        assumed.push(format!("it fires, for {}", show_duration(question.firing_for)));
        unreceived(question, now)
    });
    if at != now {
        assumed.push("nothing happens between now and then".into());
    }
    let mut explanation = explain::begin(library.in_force(), &episode, Basis::Live, at);
    let selection = library.rules.select(&episode.labels, &episode.annotations);
    for rule in &selection.rules {
        let known = known(engine, &library, rule, &episode, (now, at), &mut assumed).await?;
        let judged = explain::judge(library.in_force(), rule, &episode, &known, Basis::Live, at);
        explanation.judgements.push(judged);
    }
    assumed.dedup();
    explanation.assumed = assumed;
    Ok(explanation)
}

/// An alert that no source has sent, or that has ended.
fn unreceived(question: &Question, now: Timestamp) -> Episode {
    let (labels, annotations) = (question.labels.clone(), question.annotations.clone());
    let began = before(now, question.firing_for);
    let episode = Episode::unstored(SOURCE, labels, annotations, now);
    Episode { starts_at: began, opened_at: began, ..episode }
}

async fn known(
    engine: &Engine,
    library: &Library,
    rule: &Rule,
    episode: &Episode,
    (now, at): (Timestamp, Timestamp),
    assumed: &mut Vec<String>,
) -> Result<Known> {
    let config = &library.config;
    let opening = respond::opening(config, rule, episode, at);
    let group = &opening.incident.group_key;
    let open = engine.store.open_incident(&rule.name, group).await?;
    let incident = open.as_ref().unwrap_or(&opening.incident);
    let past = engine.store.past_runs(Timestamp::MAX, incident.id).await?;
    // the target's error is what the explanation says then
    let target = opening.target.unwrap_or_default();
    let mut facts = None;
    let case = Case { config, rule, episode, incident, target: &target, now: at };
    if let Asks::Remedy(candidate) = respond::asks(case, &library.playbooks, &past) {
        let case = Case { now, ..case };
        let found = if episode.id.0 > 0 {
            judge::judge(engine, library, case, &candidate).await?.0
        } else {
            hypothetical(engine, library, case, &candidate, assumed).await?
        };
        facts = Some(explain::shifted(found, now, at));
    }
    let mut rows = match &open {
        Some(incident) => engine.store.runs(Some(incident.id), None, MOST_RUNS).await?,
        None => Vec::new(),
    };
    rows.retain(|row| row.episode == episode.id && row.remedy > 0);
    let runs = rows.iter().rev().map(|row| row.id).collect();
    Ok(Known { incident: open, runs, past, facts })
}

/// Facts of an alert that was not received: it is taken to fire, though Alertmanager does not list it. A `command` is
/// run, and the alert's own standing looked at, only for alerts that were received.
async fn hypothetical(
    engine: &Engine,
    library: &Library,
    case: Case<'_>,
    candidate: &Candidate,
    assumed: &mut Vec<String>,
) -> Result<Facts> {
    let Case { rule, episode, now, .. } = case;
    let mut facts = facts::from_store(engine, library, case, candidate).await?;
    if !respond::worth_asking(&guard::judge(&candidate.subject, &facts, now)) {
        return Ok(facts);
    }
    facts.standing = facts::standing(library, &episode.source, &episode.labels).await;
    if facts.standing == Standing::Gone {
        facts.standing = Standing::NotAsked;
        assumed.push("not silenced: Alertmanager does not list it".into());
    }
    if !respond::worth_looking(&facts.standing) {
        return Ok(facts);
    }
    facts.precheck = match respond::precheck(rule, episode) {
        Some(Ok(Probe::Command(_) | Probe::Alert)) => {
            let words = "the precheck is unhealthy: it is asked only of an alert that was received";
            assumed.push(words.into());
            Some(Observation { health: Health::Unhealthy, measured: "assumed: unhealthy".into() })
        }
        Some(Ok(probe)) => Some(facts::observe(engine, library, &probe, episode).await),
        Some(Err(unseen)) => Some(unseen),
        None => None,
    };
    Ok(facts)
}

//! Explains an alert by what is known now: the store, the pauses, Alertmanager and the precheck. It observes, and
//! changes nothing. For an alert with an open episode the facts are loaded as intake loads them, so the answer to "why
//! did it not act?" is the one by which it does not.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::explain;
use crate::decide::explain::Known;
use crate::decide::guard;
use crate::decide::guard::Subject;
use crate::decide::plan;
use crate::decide::response;
use crate::decide::response::Next;
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
use crate::model::incident::IncidentId;
use crate::model::playbook::Probe;
use crate::model::rule::Rule;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::time::before;
use crate::model::time::show_duration;
use crate::store::Result;

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
    // the target's error is what the explanation says then
    let target = plan::target(rule, episode).unwrap_or_default();
    let group = plan::group_key(rule, episode, &target);
    let incident = engine.store.open_incident(&rule.name, &group).await?.map(|it| it.id);
    let id = incident.unwrap_or(IncidentId(0));
    let mut runs = engine.store.past_runs(Timestamp::MAX, id).await?;
    runs.retain(|run| run.rule == rule.name);
    let next = response::next(rule.response.len(), id, &target, episode.opened_at, &runs, at);
    let mut rows = match incident {
        Some(_) => engine.store.runs(incident, None, 100).await?,
        None => Vec::new(),
    };
    rows.retain(|row| row.episode == episode.id && row.remedy > 0);
    let runs = rows.iter().rev().map(|row| row.id).collect();
    let facts = match &next {
        Next::Remedy { remedy, .. } => {
            match subject(library, rule, *remedy, episode, id, &target) {
                Some(subject) => {
                    let facts = if episode.id.0 > 0 {
                        judge::look(engine, library, rule, episode, &subject, now).await?.0
                    } else {
                        hypothetical(engine, library, rule, episode, &subject, now, assumed).await?
                    };
                    Some(explain::shifted(facts, now, at))
                }
                None => None,
            }
        }
        Next::Busy | Next::Fixed { .. } | Next::Observed | Next::People(_) | Next::NoResponse => {
            None
        }
    };
    Ok(Known { incident, runs, next, facts })
}

fn subject(
    library: &Library,
    rule: &Rule,
    number: u32,
    episode: &Episode,
    incident: IncidentId,
    target: &str,
) -> Option<Subject> {
    let remedy = rule.response.get((number as usize).checked_sub(1)?)?;
    let playbook = library.playbooks.get(&remedy.playbook)?;
    let asked = (number, remedy);
    Some(plan::subject(&library.config, rule, asked, playbook, episode, incident, target))
}

/// Facts of an alert that was not received: it is taken to fire, though Alertmanager does not list it. A `command` is
/// run, and the alert's own standing looked at, only for alerts that were received.
async fn hypothetical(
    engine: &Engine,
    library: &Library,
    rule: &Rule,
    episode: &Episode,
    subject: &Subject,
    now: Timestamp,
    assumed: &mut Vec<String>,
) -> Result<Facts> {
    let mut facts = facts::from_store(engine, library, episode, subject).await?;
    facts.evidence_age = Duration::ZERO;
    if guard::conclude(&guard::judge(subject, &facts, now)).0.caution() >= 2 {
        return Ok(facts);
    }
    facts.standing = facts::standing(library, &episode.source, &episode.labels).await;
    if facts.standing == Standing::Gone {
        facts.standing = Standing::NotAsked;
        assumed.push("not silenced: Alertmanager does not list it".into());
    }
    facts.precheck = match rule.verify.as_ref().map(|verify| &verify.probe) {
        None => None,
        Some(Probe::Command(_) | Probe::Alert) => {
            assumed.push(
                "the precheck is unhealthy: it is asked only of an alert that was received".into(),
            );
            Some(Observation { health: Health::Unhealthy, measured: "assumed: unhealthy".into() })
        }
        Some(_) => judge::precheck(engine, library, rule, episode).await,
    };
    Ok(facts)
}

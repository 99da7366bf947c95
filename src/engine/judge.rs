//! Judges one episode under one rule: which remedy, every guard's ruling, and what follows.

use jiff::Timestamp;

use crate::decide::guard;
use crate::decide::guard::Subject;
use crate::decide::plan;
use crate::decide::window;
use crate::engine::Engine;
use crate::engine::facts;
use crate::library::Library;
use crate::model::decision::Decision;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::decision::Standing;
use crate::model::decision::Verdict;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::rule::Rule;
use crate::model::rule::is_schedule;
use crate::store::Result;

/// A judged remedy.
#[derive(Debug)]
pub struct Judged {
    /// The decision, to be stored.
    pub decision: Decision,
    /// What was judged.
    pub subject: Subject,
    /// By which facts.
    pub facts: Facts,
}

/// Judges remedy `number` of the rule. Outside is asked only when nothing in the store is against it.
pub async fn judge(
    engine: &Engine,
    library: &Library,
    rule: &Rule,
    number: u32,
    episode: &Episode,
    incident: &Incident,
    target: &str,
) -> Result<std::result::Result<Judged, String>> {
    let now = engine.clock.now();
    let remedy = (number as usize).checked_sub(1).and_then(|index| rule.response.get(index));
    let Some(remedy) = remedy else {
        return Ok(Err(format!("rule {} has no remedy {number}", rule.name)));
    };
    let Some(playbook) = library.playbooks.get(&remedy.playbook) else {
        return Ok(Err(format!("there is no playbook {}", remedy.playbook)));
    };
    let mut subject = plan::subject(
        &library.config,
        rule,
        (number, remedy),
        playbook,
        episode,
        incident.id,
        target,
    );
    let mut facts = facts::from_store(engine, library, episode, &subject).await?;
    subject.modes.extend(window::modes(&facts.windows));
    let mut rulings = guard::judge(&subject, &facts, now);
    // a stale alert may yet be confirmed by Alertmanager, so a hold of that guard alone does not stop here
    if rulings.iter().all(|ruling| ruling.verdict.caution() < 2 || ruling.guard == guard::STALE) {
        facts.standing = facts::standing(library, &episode.source, &episode.labels).await;
        if !matches!(
            facts.standing,
            Standing::Silenced { .. } | Standing::Gone | Standing::Inhibited
        ) {
            facts.precheck = precheck(engine, library, rule, episode).await;
        }
        rulings = guard::judge(&subject, &facts, now);
    }
    let decision = decision(rulings, &subject, episode, incident, now);
    Ok(Ok(Judged { decision, subject, facts }))
}

/// The verification probe, asked before acting: what is healthy needs no remedy, and what cannot be seen gets none.
async fn precheck(
    engine: &Engine,
    library: &Library,
    rule: &Rule,
    episode: &Episode,
) -> Option<crate::model::run::Observation> {
    // a schedule runs because it is time, not because something is sick
    if rule.verify.is_none() || is_schedule(&rule.name) {
        return None;
    }
    match plan::verification(rule, episode) {
        Ok(verify) => Some(facts::observe(engine, library, &verify.probe, episode).await),
        Err(error) => Some(crate::model::run::Observation {
            health: crate::model::run::Health::Unknown,
            measured: error,
        }),
    }
}

fn decision(
    rulings: Vec<Ruling>,
    subject: &Subject,
    episode: &Episode,
    incident: &Incident,
    now: Timestamp,
) -> Decision {
    let (verdict, reason) = guard::conclude(&rulings);
    Decision {
        episode: episode.id,
        incident: Some(incident.id),
        rule: subject.rule.clone(),
        playbook: subject.playbook.clone(),
        target: subject.target.clone(),
        verdict,
        reason,
        rulings,
        at: now,
    }
}

/// A decision that no guard made: no rule, no remedy left, a template that cannot be rendered.
pub fn without_guards(
    episode: &Episode,
    incident: Option<&Incident>,
    rule: &str,
    target: &str,
    reason: String,
    now: Timestamp,
) -> Decision {
    Decision {
        episode: episode.id,
        incident: incident.map(|it| it.id),
        rule: rule.to_owned(),
        playbook: String::new(),
        target: target.to_owned(),
        verdict: Verdict::Refuse,
        reason,
        rulings: Vec::new(),
        at: now,
    }
}

//! Why quell did, would or would not act on an alert. The same data, and the same words, on the command line, over HTTP
//! and on pages.
//!
//! ```text
//! propose   what each remedy would do: every step with its arguments, its undo, and what follows
//! text      an explanation as lines
//! ```

mod propose;
pub mod text;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::decide::guard;
use crate::decide::matching::Index;
use crate::decide::matching::Match;
use crate::decide::plan;
use crate::decide::response::Next;
use crate::model::config::Config;
use crate::model::decision::Decision;
use crate::model::decision::Facts;
use crate::model::decision::Standing;
use crate::model::decision::Verdict;
use crate::model::explain::Basis;
use crate::model::explain::Explanation;
use crate::model::explain::Finding;
use crate::model::explain::Judged;
use crate::model::explain::Judgement;
use crate::model::incident::Episode;
use crate::model::incident::IncidentId;
use crate::model::incident::RunId;
use crate::model::labels::Labels;
use crate::model::matcher::Op;
use crate::model::playbook::Playbook;
use crate::model::rule::Rule;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Plan;
use crate::model::time::show_duration;
use crate::model::time::since;

/// The files that are in force.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// quell.yml.
    pub config: &'a Config,
    /// All rules.
    pub rules: &'a Index,
    /// Playbooks by name.
    pub playbooks: &'a BTreeMap<String, Arc<Playbook>>,
}

/// What is known of an alert under one rule.
#[derive(Debug, Clone)]
pub struct Known {
    /// The incident that is open for it.
    pub incident: Option<IncidentId>,
    /// The runs of that.
    pub runs: Vec<RunId>,
    /// What the response asks for now.
    pub next: Next,
    /// What guards judge by; needed when a remedy is next.
    pub facts: Option<Facts>,
}

/// Every rule with its finding; what follows is added with [`judge`].
pub fn begin(files: Files<'_>, episode: &Episode, facts: Basis, now: Timestamp) -> Explanation {
    Explanation {
        labels: episode.labels.clone(),
        fingerprint: episode.fingerprint.clone(),
        episode: (episode.id.0 > 0).then_some(episode.id),
        at: now,
        facts,
        assumed: Vec::new(),
        rules: findings(files.rules, &episode.labels, &episode.annotations),
        judgements: Vec::new(),
        unmatched: files.config.unmatched.clone(),
    }
}

/// For each rule, in order, whether it takes the alert, or the first reason why not.
pub fn findings(rules: &Index, labels: &Labels, annotations: &Labels) -> Vec<Finding> {
    let explained = rules.explain(labels, annotations).into_iter();
    let finding = |(rule, why): (Arc<Rule>, Match)| Finding {
        names_alert: names_alert(&rule, labels),
        selected: why == Match::Selected,
        unknown: matches!(why, Match::WhenUnknown(_)),
        why: why_words(&why),
        place: rule.place.to_string(),
        rule: rule.name.clone(),
    };
    explained.map(finding).collect()
}

/// Whether a matcher of the rule singles out the alert's name.
fn names_alert(rule: &Rule, labels: &Labels) -> bool {
    rule.matchers.iter().any(|matcher| {
        let any = matches!(matcher.value(), "" | ".*" | ".+");
        let positive = matches!(matcher.op(), Op::Equal | Op::Regex);
        matcher.name() == "alertname" && positive && !any && matcher.matches(labels)
    })
}

/// Why a rule takes an alert or does not, in words.
pub fn why_words(why: &Match) -> String {
    match why {
        Match::Selected => "selected".into(),
        Match::Matcher { matcher, value: Some(value) } => {
            format!("no: {matcher}, the alert has {value:?}")
        }
        Match::Matcher { matcher, value: None } => {
            format!("no: {matcher}, the alert has no such label")
        }
        Match::When => "no: `when` is false".into(),
        Match::WhenUnknown(reason) => format!("no: `when` is unknown: {reason}"),
        Match::TakenBy(rule) => format!("no: rule {rule} takes it before"),
    }
}

/// What follows for the alert under one rule.
pub fn judge(
    files: Files<'_>,
    rule: &Rule,
    episode: &Episode,
    known: &Known,
    basis: Basis,
    now: Timestamp,
) -> Judgement {
    let target = plan::target(rule, episode);
    let mut judgement = Judgement {
        rule: rule.name.clone(),
        place: rule.place.to_string(),
        target: target.clone().unwrap_or_default(),
        incident: known.incident,
        runs: known.runs.clone(),
        verdict: None,
        reason: String::new(),
        at: now,
        rulings: Vec::new(),
        remedies: Vec::new(),
    };
    let no = |reason: String| (Some(Verdict::Refuse), reason);
    (judgement.verdict, judgement.reason) = match (target, &known.next) {
        (Err(error), _) => no(error),
        (Ok(_), Next::NoResponse) => no(format!("rule {} has no remedy: people only", rule.name)),
        (Ok(_), Next::People(reason)) => no(reason.clone()),
        (Ok(_), Next::Busy) => (None, "a run is at work for it".into()),
        (Ok(_), Next::Observed) => {
            (None, "mode observe: a run was planned and told, and nothing follows".into())
        }
        (Ok(_), Next::Fixed { until }) => {
            let left = text::in_words(*until, now);
            (None, format!("a remedy is verified; the alert has until {left} to resolve"))
        }
        (Ok(target), Next::Remedy { remedy, .. }) => {
            return remedy_judged(
                files,
                rule,
                episode,
                (*remedy, &target),
                known,
                basis,
                now,
                judgement,
            );
        }
    };
    judgement
}

#[expect(clippy::too_many_arguments, reason = "the second half of `judge`")]
fn remedy_judged(
    files: Files<'_>,
    rule: &Rule,
    episode: &Episode,
    (number, target): (u32, &str),
    known: &Known,
    basis: Basis,
    now: Timestamp,
    mut judgement: Judgement,
) -> Judgement {
    let refused = |judgement: Judgement, reason: String| Judgement {
        verdict: Some(Verdict::Refuse),
        reason,
        ..judgement
    };
    let remedy = (number as usize).checked_sub(1).and_then(|index| rule.response.get(index));
    let Some(remedy) = remedy else {
        return refused(judgement, format!("rule {} has no remedy {number}", rule.name));
    };
    let Some(playbook) = files.playbooks.get(&remedy.playbook) else {
        return refused(judgement, format!("there is no playbook {}", remedy.playbook));
    };
    let Some(facts) = &known.facts else {
        return refused(judgement, "the facts could not be loaded".into());
    };
    let incident = known.incident.unwrap_or(IncidentId(0));
    let subject =
        plan::subject(files.config, rule, (number, remedy), playbook, episode, incident, target);
    let rulings = guard::judge(&subject, facts, now);
    let (verdict, reason) = guard::conclude(&rulings);
    judgement.rulings = rulings
        .into_iter()
        .map(|ruling| {
            // what evidence refuses by is in the alert itself: its name, or what its sender left out
            let given = guard::is_of_files(&ruling.guard)
                || ruling.guard == guard::EVIDENCE && ruling.verdict == Verdict::Refuse;
            let assumed = basis == Basis::Assumed && !given;
            Judged { ruling, assumed }
        })
        .collect();
    judgement.remedies = propose::remedies(files, rule, episode, (incident, target), number, now);
    let problem = judgement.remedies.first().map_or("", |it| it.problem.as_str());
    if verdict.caution() < 2 && !problem.is_empty() {
        let reason = problem.to_owned();
        return refused(judgement, reason);
    }
    (judgement.verdict, judgement.reason) = (Some(verdict), reason);
    judgement
}

/// What an alert that fires now would meet, by the files alone.
pub fn offline(
    files: Files<'_>,
    episode: &Episode,
    firing_for: Duration,
    now: Timestamp,
) -> Explanation {
    let mut explanation = begin(files, episode, Basis::Assumed, now);
    explanation.assumed = vec![
        format!("fires for {} and was heard of just now", show_duration(firing_for)),
        "no run before it".into(),
        "nothing paused".into(),
        "not silenced".into(),
    ];
    let selection = files.rules.select(&episode.labels, &episode.annotations);
    if selection.rules.iter().any(|rule| rule.verify.is_some()) {
        explanation.assumed.push("the precheck is unhealthy".into());
    }
    for rule in &selection.rules {
        let facts = assumed_facts(rule, episode, firing_for);
        let next = if rule.response.is_empty() {
            Next::NoResponse
        } else {
            Next::Remedy { remedy: 1, round: 0 }
        };
        let known = Known { incident: None, runs: Vec::new(), next, facts: Some(facts) };
        explanation.judgements.push(judge(files, rule, episode, &known, Basis::Assumed, now));
    }
    explanation
}

/// Facts as if nothing had happened before the alert.
fn assumed_facts(rule: &Rule, episode: &Episode, firing_for: Duration) -> Facts {
    let unhealthy =
        || Observation { health: Health::Unhealthy, measured: "the precheck is unhealthy".into() };
    Facts {
        version: 0,
        pauses: Vec::new(),
        firing: true,
        firing_for,
        evidence_age: Duration::ZERO,
        truncated: episode.truncated,
        standing: Standing::NotAsked,
        precheck: rule.verify.is_some().then(unhealthy),
        runs: Vec::new(),
    }
}

/// Facts of `now` as they are at `at` when nothing happens between; earlier, when nothing had happened since.
pub fn shifted(facts: Facts, now: Timestamp, at: Timestamp) -> Facts {
    let firing_for = if at >= now {
        facts.firing_for.saturating_add(since(at, now))
    } else {
        facts.firing_for.saturating_sub(since(now, at))
    };
    Facts { firing_for, ..facts }
}

/// What was decided of an episode under one rule, and the runs that came of it.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The decision.
    pub decision: Decision,
    /// The runs of the episode under that rule.
    pub runs: Vec<RunId>,
    /// The plan of the one that the decision led to.
    pub plan: Option<Plan>,
}

/// What was decided of an episode. Where no run came of a decision, its plan is the one that the files of now would
/// make.
pub fn stored(files: Files<'_>, episode: &Episode, decided: &[Decided]) -> Explanation {
    let last = decided.iter().map(|it| it.decision.at).max().unwrap_or(episode.opened_at);
    let mut explanation = begin(files, episode, Basis::Stored, last);
    let under_rules = decided.iter().filter(|it| !it.decision.rule.is_empty());
    let judgement = |Decided { decision, runs, plan }: &Decided| {
        let rule = files.rules.rules().iter().find(|it| it.name == decision.rule);
        let rulings = decision.rulings.iter().cloned();
        Judgement {
            rule: decision.rule.clone(),
            place: rule.map(|rule| rule.place.to_string()).unwrap_or_default(),
            target: decision.target.clone(),
            incident: decision.incident,
            runs: runs.clone(),
            verdict: Some(decision.verdict.clone()),
            reason: decision.reason.clone(),
            at: decision.at,
            rulings: rulings.map(|ruling| Judged { ruling, assumed: false }).collect(),
            remedies: match (plan, rule) {
                (Some(plan), _) => vec![propose::planned(files.config, plan)],
                (None, Some(rule)) => propose::first_from(files, rule, episode, decision),
                (None, None) => Vec::new(),
            },
        }
    };
    explanation.judgements = under_rules.map(judgement).collect();
    if decided.is_empty() {
        explanation.judgements.push(Judgement {
            rule: "not known yet".into(),
            place: String::new(),
            target: String::new(),
            incident: None,
            runs: Vec::new(),
            verdict: None,
            reason: "it was not judged yet".into(),
            at: last,
            rulings: Vec::new(),
            remedies: Vec::new(),
        });
    }
    explanation
}

#[cfg(test)]
mod tests;

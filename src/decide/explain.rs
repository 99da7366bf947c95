//! Why quell did, would or would not act on an alert. The same data, and the same words, on the command line, over HTTP
//! and on pages.
//!
//! ```text
//! propose   what each remedy would do: every step with its arguments, its undo, and what follows
//! paged     what becomes of a page that is held
//! slot      a slot of a schedule
//! text      an explanation as lines
//! ```

mod paged;
mod propose;
pub mod slot;
pub mod text;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::decide::guard;
use crate::decide::matching::Index;
use crate::decide::matching::Match;
use crate::decide::population;
use crate::decide::respond;
use crate::decide::respond::Asks;
use crate::decide::respond::Case;
use crate::decide::respond::Conclusion;
use crate::decide::respond::Then;
use crate::decide::window;
use crate::model::config::Config;
use crate::model::decision::Decision;
use crate::model::decision::Facts;
use crate::model::decision::PastRun;
use crate::model::decision::Runs;
use crate::model::decision::Verdict;
use crate::model::explain::Basis;
use crate::model::explain::Explanation;
use crate::model::explain::Finding;
use crate::model::explain::Judged;
use crate::model::explain::Judgement;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::incident::RunId;
use crate::model::labels::Labels;
use crate::model::matcher::Op;
use crate::model::playbook::Playbook;
use crate::model::rule::Rule;
use crate::model::rule::Schedule;
use crate::model::rule::is_schedule;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::time::show_duration;
use crate::model::time::since;
use crate::model::trust::Trusts;
use crate::model::window::Window;

/// The files that are in force.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// quell.yml.
    pub config: &'a Config,
    /// Its windows, and where a store is known those that were added.
    pub windows: &'a [Window],
    /// How far rules are trusted, where a store is known.
    pub trust: &'a Trusts,
    /// All rules.
    pub rules: &'a Index,
    /// Playbooks by name.
    pub playbooks: &'a BTreeMap<String, Arc<Playbook>>,
    /// All schedules, each with its own rule.
    pub schedules: &'a [Arc<Schedule>],
}

impl<'a> Files<'a> {
    /// The rule of this name, that of a schedule included.
    pub fn rule(&self, name: &str) -> Option<&'a Arc<Rule>> {
        let of_schedules = self.schedules.iter().map(|it| &it.rule);
        self.rules.rules().iter().chain(of_schedules).find(|it| it.name == name)
    }
}

/// What is known of an alert under one rule that takes it.
#[derive(Debug, Clone)]
pub struct Known {
    /// The incident that is open for it.
    pub incident: Option<Incident>,
    /// The episode's runs under the rule.
    pub runs: Vec<RunId>,
    /// At least all runs of the incident, in order of start.
    pub past: Runs,
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
        older_files: None,
        assumed: Vec::new(),
        found: Vec::new(),
        slot: slot::of(files, episode),
        rules: if is_schedule(&episode.source) {
            Vec::new()
        } else {
            findings(files.rules, &episode.labels, &episode.annotations)
        },
        windows: window::covering(files.windows, &episode.labels, now),
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

/// What follows for the alert under one rule: as the engine decides it.
pub fn judge(
    files: Files<'_>,
    rule: &Rule,
    episode: &Episode,
    known: &Known,
    basis: Basis,
    now: Timestamp,
) -> Judgement {
    let opening = respond::opening(files.config, rule, episode, now);
    let mut judgement = Judgement {
        rule: rule.name.clone(),
        place: rule.place.to_string(),
        target: opening.target.clone().unwrap_or_default(),
        incident: known.incident.as_ref().map(|it| it.id),
        runs: known.runs.clone(),
        verdict: Some(Verdict::Refuse),
        reason: String::new(),
        at: now,
        page: None,
        rulings: Vec::new(),
        remedies: Vec::new(),
    };
    let incident = known.incident.as_ref().unwrap_or(&opening.incident);
    let Files { config, windows, .. } = files;
    let trust = files.trust.get(&rule.name);
    let target = opening.target.as_deref().unwrap_or_default();
    let case = Case { config, rule, episode, incident, target, windows, trust, now };
    if let Err(error) = &opening.target {
        let page = paged::plan(case, Some(error.clone()));
        return Judgement { reason: error.clone(), page, ..judgement };
    }
    let candidate = match respond::asks(case, files.playbooks, &known.past) {
        Asks::Nothing { until } => {
            let reason = nothing_words(case, &known.past, until);
            return Judgement { verdict: None, reason, page: paged::plan(case, None), ..judgement };
        }
        Asks::Page { reason: why, until } => {
            let reason = nothing_words(case, &known.past, until);
            let page = paged::plan(case, Some(why));
            return Judgement { verdict: None, reason, page, ..judgement };
        }
        Asks::Note(reason) | Asks::People(reason) => {
            let page = paged::plan(case, Some(reason.clone()));
            return Judgement { reason, page, ..judgement };
        }
        Asks::Remedy(candidate) => candidate,
    };
    let Some(facts) = &known.facts else {
        return Judgement { reason: "its facts are not known".into(), ..judgement };
    };
    let rulings = guard::judge(&candidate.subject, facts, now);
    let conclusion = respond::conclude(case, &candidate, facts, rulings);
    judgement.page = paged::plan(case, paged::at_once(&conclusion));
    let Conclusion { decision, then, .. } = conclusion;
    judgement.remedies = propose::remedies(files, case, candidate.subject.remedy);
    judgement.rulings = decision
        .rulings
        .into_iter()
        .map(|ruling| {
            // what evidence refuses by is in the alert itself: its name, or what its sender left out
            let given = guard::is_of_files(&ruling.guard)
                || ruling.guard == guard::EVIDENCE && ruling.verdict == Verdict::Refuse;
            Judged { ruling, assumed: basis == Basis::Assumed && !given }
        })
        .collect();
    match then {
        Then::People(reason) => Judgement { reason, ..judgement },
        Then::Again(_) | Then::Create(_) => {
            Judgement { verdict: Some(decision.verdict), reason: decision.reason, ..judgement }
        }
    }
}

/// Why nothing is decided now.
fn nothing_words(case: Case<'_>, past: &Runs, until: Option<Timestamp>) -> String {
    let mine = |run: &&PastRun| {
        run.incident == case.incident.id && run.rule == case.rule.name && run.target == case.target
    };
    let last = past.iter().rfind(|run| mine(run) && run.remedy > 0);
    match (last, until) {
        (Some(run), Some(until)) if run.state == RunState::Observed => {
            let until = text::in_words(until, case.now);
            let why = "a window that observes was in force";
            format!("{} was planned and told: {why}; it is judged again at {until}", run.playbook)
        }
        (Some(run), Some(until)) => {
            let until = text::in_words(until, case.now);
            format!("{} is verified; the alert has until {until} to resolve", run.playbook)
        }
        (Some(run), None) if run.state == RunState::Observed => {
            format!("{} was planned and told: mode observe, so nothing follows", run.playbook)
        }
        (Some(run), None) => format!("{} is at work for it: {}", run.playbook, run.state.as_str()),
        (None, _) => "a run is at work for it".into(),
    }
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
        let facts = Some(assumed_facts(files.windows, rule, episode, firing_for));
        let known = Known { incident: None, runs: Vec::new(), past: Runs::default(), facts };
        explanation.judgements.push(judge(files, rule, episode, &known, Basis::Assumed, now));
    }
    explanation
}

/// Facts as if nothing had happened before the alert.
fn assumed_facts(
    windows: &[Window],
    rule: &Rule,
    episode: &Episode,
    firing_for: Duration,
) -> Facts {
    let unhealthy = || Observation {
        health: Health::Unhealthy,
        measured: "the precheck is unhealthy".into(),
        denied: false,
    };
    Facts {
        firing: true,
        firing_for,
        evidence_age: Duration::ZERO,
        precheck: rule.verify.is_some().then(unhealthy),
        population: rule.population.as_ref().map(population::assumed),
        ..respond::facts(windows, episode, episode.seen_at)
    }
}

/// Facts of `now` as they are at `at` when nothing but the alert goes on between. What was heard of it stays as old as it
/// is: its sender is taken to repeat it.
pub fn shifted(
    facts: Facts,
    windows: &[Window],
    labels: &Labels,
    now: Timestamp,
    at: Timestamp,
) -> Facts {
    let firing_for = facts.firing_for.saturating_add(since(at, now));
    Facts { firing_for, windows: window::covering(windows, labels, at), ..facts }
}

/// What was decided of an episode under one rule, and the runs that came of it.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The decision.
    pub decision: Decision,
    /// The incident that it was made for, as it is now.
    pub incident: Option<Incident>,
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
    let judgement = |Decided { decision, incident, runs, plan }: &Decided| {
        let rule = files.rule(&decision.rule);
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
            page: rule.zip(incident.as_ref()).and_then(|(rule, incident)| {
                let Files { config, windows, .. } = files;
                let (target, now) = (decision.target.as_str(), decision.at);
                let trust = files.trust.get(&rule.name);
                let case = Case { config, rule, episode, incident, target, windows, trust, now };
                paged::plan(case, None)
            }),
            rulings: rulings.map(|ruling| Judged { ruling, assumed: false }).collect(),
            remedies: match (plan, rule) {
                (Some(plan), _) => vec![propose::planned(files.config, plan)],
                (None, Some(rule)) => propose::as_now(files, rule, episode, decision),
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
            page: None,
            rulings: Vec::new(),
            remedies: Vec::new(),
        });
    }
    explanation
}

#[cfg(test)]
mod tests;

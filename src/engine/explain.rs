//! Explains an alert, or a slot of a schedule, by what is known now: the store, the pauses, Alertmanager and the precheck. It observes, and
//! changes nothing. For an alert with an open episode the facts are loaded as intake loads them, so the answer to "why
//! did it not act?" is the one by which it does not.

use std::sync::Arc;

use jiff::Timestamp;

use crate::decide::explain;
use crate::decide::explain::Files;
use crate::decide::explain::Known;
use crate::decide::explain::slot;
use crate::decide::explain::text;
use crate::decide::guard;
use crate::decide::respond;
use crate::decide::respond::Asks;
use crate::decide::respond::Candidate;
use crate::decide::respond::Case;
use crate::decide::schedule;
use crate::engine::Engine;
use crate::engine::facts;
use crate::engine::judge;
use crate::engine::population;
use crate::engine::population::Look;
use crate::library::Library;
use crate::model::decision::Facts;
use crate::model::decision::Standing;
use crate::model::explain::Asked;
use crate::model::explain::Basis;
use crate::model::explain::Explanation;
use crate::model::explain::Question;
use crate::model::incident::Episode;
use crate::model::probe::Probe;
use crate::model::rule::Rule;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::time::before;
use crate::model::time::show_duration;
use crate::store::Result;
use crate::store::StoreError;

/// Runs of an incident that are looked at.
const MOST_RUNS: u32 = 100;
/// Source of an episode that is only asked about.
const SOURCE: &str = "explain";

/// What would happen with the alert or the slot, or why nothing does.
pub async fn explain(engine: &Engine, question: &Question) -> Result<Explanation> {
    let library = engine.library.load_full();
    let windows = &facts::windows(&library, &engine.store.glance().await?).await?;
    let trust = &engine.store.trusts().await?;
    let files = Files { windows, trust, ..library.in_force() };
    let now = engine.clock.now();
    let mut asks = Asking { engine, library: &library, files, now, at: now, assumed: Vec::new() };
    match &question.of {
        Asked::Alert { labels, annotations, firing_for } => {
            asks.at = question.at.unwrap_or(now);
            let latest = engine.store.latest_episode(&labels.fingerprint()).await?;
            let episode = latest.filter(|it| it.open).unwrap_or_else(|| {
                asks.assumed.push(format!("it fires, for {}", show_duration(*firing_for)));
                let episode =
                    Episode::unstored(SOURCE, labels.clone(), annotations.clone(), asks.at);
                let began = before(asks.at, *firing_for);
                Episode { starts_at: began, opened_at: began, ..episode }
            });
            let rules = match schedule::name_of(&episode.source) {
                Some(name) => {
                    let mine = library.schedules.iter().filter(|it| it.name == name);
                    mine.map(|it| Arc::clone(&it.rule)).collect()
                }
                None => library.rules.select(&episode.labels, &episode.annotations).rules,
            };
            asks.about(&episode, &rules).await
        }
        Asked::Schedule(name) => {
            let first = slot::first(files, name, question.at.unwrap_or(now));
            let (schedule, episode) = first.map_err(StoreError::Missing)?;
            asks.at = episode.opened_at;
            asks.assumed.push("it begins at once".into());
            asks.about(&episode, std::slice::from_ref(&schedule.rule)).await
        }
    }
}

/// One question, and what was taken for granted so far.
struct Asking<'a> {
    engine: &'a Engine,
    library: &'a Library,
    files: Files<'a>,
    now: Timestamp,
    /// The time that is asked about.
    at: Timestamp,
    assumed: Vec<String>,
}

impl Asking<'_> {
    async fn about(mut self, episode: &Episode, rules: &[Arc<Rule>]) -> Result<Explanation> {
        if self.at != self.now {
            self.assumed.push("nothing happens between now and then".into());
        }
        let files = self.files;
        let mut explanation = explain::begin(files, episode, Basis::Live, self.at);
        for rule in rules {
            let known = self.known(rule, episode).await?;
            let judged = explain::judge(files, rule, episode, &known, Basis::Live, self.at);
            explanation.judgements.push(judged);
        }
        if let Some(failed) = &*self.engine.wake.failed_reload.load() {
            let since = text::in_words(failed.since, self.now);
            let first = &failed.first;
            let words = format!("the files on disk have errors since {since}, first {first}");
            explanation.older_files = Some(words);
        }
        self.assumed.dedup();
        explanation.assumed = self.assumed;
        explanation.found = self.engine.store.words_found(episode.id).await?;
        Ok(explanation)
    }

    async fn known(&mut self, rule: &Rule, episode: &Episode) -> Result<Known> {
        let Self { engine, library, files, now, at, .. } = *self;
        let Files { config, windows, .. } = files;
        let trust = files.trust.get(&rule.name);
        let opening = respond::opening(config, rule, episode, at);
        // the incident of a schedule is that of all its slots
        let group = schedule::name_of(&rule.name).unwrap_or(&opening.incident.group_key);
        let open = engine.store.open_incident(&rule.name, group).await?;
        let incident = open.as_ref().unwrap_or(&opening.incident);
        let past = engine.store.runs_of(incident.id).await?;
        // the target's error is what the explanation says then
        let target = opening.target.unwrap_or_default();
        let mut facts = None;
        let case =
            Case { config, rule, episode, incident, target: &target, windows, trust, now: at };
        if let Asks::Remedy(candidate) = respond::asks(case, &library.playbooks, &past) {
            let received = episode.id.0 > 0;
            facts = Some(if received && at == now {
                judge::judge(engine, library, case, &candidate, Look::ToExplain).await?.0
            } else {
                self.facts(case, &candidate, received).await?
            });
        }
        let mut rows = match &open {
            Some(incident) => engine.store.runs(Some(incident.id), None, MOST_RUNS).await?,
            None => Vec::new(),
        };
        rows.retain(|row| row.episode == episode.id && row.remedy > 0);
        let runs = rows.iter().rev().map(|row| row.id).collect();
        Ok(Known { incident: open, runs, past, facts })
    }

    /// Facts of an alert at another time, or of one that was not received: then it is taken to fire, though Alertmanager
    /// does not list it. A `command` is run, and the alert's own standing looked at, only for alerts that were received.
    async fn facts(
        &mut self,
        case: Case<'_>,
        candidate: &Candidate,
        received: bool,
    ) -> Result<Facts> {
        let Self { engine, library, now, at, .. } = *self;
        let Case { rule, episode, windows, .. } = case;
        let mut facts = if received && at > now {
            let known = facts::from_store(engine, library, Case { now, ..case }, candidate).await?;
            explain::shifted(known, windows, &episode.labels, now, at)
        } else {
            facts::from_store(engine, library, case, candidate).await?
        };
        if !respond::worth_asking(&guard::judge(&candidate.subject, &facts, at)) {
            return Ok(facts);
        }
        facts.standing = facts::standing(engine, library, &episode.source, &episode.labels).await;
        if !received && facts.standing == Standing::Gone {
            facts.standing = Standing::NotAsked;
            self.assumed.push("not silenced: Alertmanager does not list it".into());
        }
        if !respond::worth_looking(&facts.standing) {
            return Ok(facts);
        }
        facts.precheck = match respond::precheck(rule, episode) {
            Some(Ok(Probe::Command(_) | Probe::Alert)) if !received => {
                let words =
                    "the precheck is unhealthy: it is asked only of an alert that was received";
                self.assumed.push(words.into());
                let measured = "assumed: unhealthy".into();
                Some(Observation { health: Health::Unhealthy, measured, denied: false })
            }
            Some(Ok(probe)) => Some(facts::observe(engine, library, &probe, episode).await),
            Some(Err(unseen)) => Some(unseen),
            None => None,
        };
        facts.population = population::of(engine, library, rule, episode, Look::ToExplain).await?;
        let wanted = candidate.wanted(rule, episode);
        facts.proofs = facts::proofs(engine, library, wanted, episode).await;
        Ok(facts)
    }
}

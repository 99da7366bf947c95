//! Takes each due episode: selects rules, opens incidents, judges, creates runs, resolves incidents.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::OwnedMutexGuard;
use tokio::sync::Semaphore;

use crate::decide::audience;
use crate::decide::guard;
use crate::decide::page;
use crate::decide::plan;
use crate::decide::respond;
use crate::decide::respond::Asks;
use crate::decide::respond::Candidate;
use crate::decide::respond::Case;
use crate::decide::respond::Conclusion;
use crate::decide::respond::Then;
use crate::decide::schedule;
use crate::decide::surroundings;
use crate::decide::tell;
use crate::engine;
use crate::engine::Engine;
use crate::engine::facts;
use crate::engine::judge;
use crate::engine::people;
use crate::engine::population::Look;
use crate::engine::schedules;
use crate::engine::trust;
use crate::library::Library;
use crate::model::decision::Decision;
use crate::model::decision::Facts;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::incident::IncidentStatus;
use crate::model::incident::Owed;
use crate::model::rule::Rule;
use crate::model::rule::is_schedule;
use crate::model::run::Plan;
use crate::model::time::after;
use crate::model::time::before;
use crate::model::time::earlier;
use crate::store::Result;
use crate::store::StoreError;
use crate::store::episodes::DueEpisode;
use crate::store::runs::Judged;

/// Claims last this long; judging asks outside for at most two times ten seconds.
pub(super) const LEASE: Duration = Duration::from_mins(1);
/// How often facts may change under a judgement before it is left for the next round.
const TRIES: usize = 5;

/// Longest time that one waits for its turn to judge again.
const TURN_WITHIN: Duration = Duration::from_secs(1);

/// Episodes judged at once: one whose evidence is slow to come must not keep the others waiting.
const AT_ONCE: usize = 32;

/// The loop.
pub async fn run(engine: Engine) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    while !engine.stop.is_cancelled() {
        let Some(mut free) = engine::free(&slots).await else { return };
        match engine.store.claim_episodes(LEASE, free.num_permits()).await {
            Ok(all) if all.is_empty() => engine.idle(&engine.wake.intake).await,
            Ok(all) => {
                let (library, now) = (engine.library.load_full(), engine.clock.now());
                let (unmatched, others): (Vec<_>, Vec<_>) =
                    all.into_iter().partition(|due| is_without_rule(&library, due, now));
                for due in others {
                    let (slot, engine) = (free.split(1), engine.clone());
                    engine.tasks.clone().spawn(async move {
                        take(&engine, &due).await;
                        drop(slot);
                    });
                }
                if !unmatched.is_empty() {
                    let (slots, engine) = (free.split(unmatched.len()), engine.clone());
                    engine.tasks.clone().spawn(async move {
                        without_rules(&engine, unmatched).await;
                        drop(slots);
                    });
                }
            }
            Err(error) => engine.trouble("intake", &error).await,
        }
        engine.turned("intake");
    }
}

/// Writes down together that no rule matches; what anybody has touched meanwhile is taken by itself.
async fn without_rules(engine: &Engine, all: Vec<DueEpisode>) {
    let now = engine.clock.now();
    let reason = || respond::NO_RULE.to_owned();
    let decisions: Vec<Decision> = all
        .iter()
        .map(|due| respond::without_guards(&due.episode, None, "", "", reason(), now))
        .collect();
    // what fails here fails again for each, where it is told and put back
    let done = engine.store.decide_first(&decisions).await.unwrap_or_default();
    for (due, decision) in all.iter().zip(&decisions) {
        if done.contains(&due.episode.id) {
            log_decision(&due.episode, decision);
        } else {
            take(engine, due).await;
        }
    }
}

/// Whether no rule takes a new alert, nobody is told of it, and it is no other part's business.
fn is_without_rule(library: &Library, due: &DueEpisode, now: Timestamp) -> bool {
    let DueEpisode { episode, attempt } = due;
    // the first claim of it: nothing was decided before
    if *attempt != 1 || !episode.open || schedule::name_of(&episode.source).is_some() {
        return false;
    }
    let selection = library.rules.select(&episode.labels, &episode.annotations);
    selection.rules.is_empty()
        && selection.unknown.is_empty()
        && !surroundings::is_watchdog(&library.config, &episode.labels)
        && respond::unmatched(&library.config, episode, now).is_none()
}

/// Does what a due episode asks for, and says when it is due again.
pub(super) async fn take(engine: &Engine, due: &DueEpisode) {
    let result = if due.episode.open {
        firing(engine, due).await
    } else {
        closed(engine, &due.episode).await
    };
    let written = match result {
        Ok(again) => engine.store.episode_due(due, again).await,
        Err(error) => return put_back(engine, due, &error).await,
    };
    if let Err(error) = written {
        engine.trouble("intake", &error).await;
    }
}

async fn put_back(engine: &Engine, due: &DueEpisode, error: &StoreError) {
    let soon = after(engine.clock.now(), Duration::from_secs(1));
    // when this fails too, the lease brings it back
    if engine.store.episode_due(due, Some(soon)).await.is_err() {
        tracing::warn!(episode = %due.episode.id, "the episode comes back when its lease ends");
    }
    engine.trouble("intake", error).await;
}

/// Judges an open episode under each rule that takes it; returns when to judge it again.
async fn firing(engine: &Engine, due: &DueEpisode) -> Result<Option<Timestamp>> {
    let episode = &due.episode;
    let library = engine.library.load_full();
    if surroundings::is_watchdog(&library.config, &episode.labels) {
        return Ok(None);
    }
    if let Some(name) = schedule::name_of(&episode.source) {
        return schedules::judge(engine, &library, name, episode).await;
    }
    let selection = library.rules.select(&episode.labels, &episode.annotations);
    for (rule, why) in &selection.unknown {
        note(engine, episode, None, &rule.name, "", respond::when_unknown(rule, why)).await?;
    }
    if selection.rules.is_empty() {
        unmatched(engine, &library, episode).await?;
        return Ok(None);
    }
    // who is in trouble is noted for all before any is judged: the first of a storm must not act because it is first
    for rule in &selection.rules {
        if let Ok(target) = plan::target(rule, episode) {
            engine.store.note_trouble(episode.id, &rule.name, &target).await?;
        }
    }
    if due.attempt == 1 && engine.store.is_news_waiting().await? {
        return Ok(Some(engine.clock.now()));
    }
    let mut again: Option<Timestamp> = None;
    for rule in &selection.rules {
        let at = under_rule(engine, &library, rule, episode).await?;
        again = earlier(again, at);
    }
    Ok(again)
}

async fn unmatched(engine: &Engine, library: &Library, episode: &Episode) -> Result<()> {
    let now = engine.clock.now();
    let reason = respond::NO_RULE.to_owned();
    if let Some(new) = respond::unmatched(&library.config, episode, now) {
        let found = engine.store.words_found(episode.id).await?;
        let opened = |incident: &Incident| {
            let owed = respond::opened_unmatched(&library.config, incident, episode, now);
            tell::as_found(owed, found.last())
        };
        let (incident, _) =
            engine.store.incident_for(&new, episode.id, None, |_| false, opened).await?;
        engine.wake.deliver.notify_one();
        return note(engine, episode, Some(&incident), "", "", reason).await;
    }
    note(engine, episode, None, "", "", reason).await
}

async fn under_rule(
    engine: &Engine,
    library: &Library,
    rule: &Rule,
    episode: &Episode,
) -> Result<Option<Timestamp>> {
    let now = engine.clock.now();
    let mut opening = respond::opening(&library.config, rule, episode, now);
    let new = &mut opening.incident;
    if !rule.response.is_empty() && people::is_covered(engine, new).await? {
        let cooldown = library.config.limits.storm.value.cooldown;
        new.held_until = Some(page::hold_in_trip(new.held_until, cooldown, now));
    }
    let flaps = |incident: &Incident| respond::flaps(&library.config, incident, episode, now);
    let limit = library.config.limits.flapping.value;
    let (new, ack_within) = (&opening.incident, opening.ack_within);
    if engine.store.open_incident(&new.rule, &new.group_key).await?.is_none()
        && engine.store.flaps(new, limit, ack_within, flaps).await?
    {
        tracing::warn!(
            rule = rule.name,
            title = new.title,
            "it flaps: the last incident is open again"
        );
        engine.wake.deliver.notify_one();
    }
    let found = engine.store.words_found(episode.id).await?;
    let mut tells = false;
    let opened = |incident: &Incident| {
        tells = true;
        let owed = respond::opened(&library.config, rule, incident, episode, now);
        tell::as_found(owed, found.last())
    };
    let severity = &opening.incident.severity;
    let louder = |found: &Incident| audience::is_louder(&library.config, severity, &found.severity);
    let (incident, is_new) = engine
        .store
        .incident_for(&opening.incident, episode.id, opening.ack_within, louder, opened)
        .await?;
    if is_new {
        tracing::info!(incident = %incident.id, rule = rule.name, title = incident.title, "incident opened");
    }
    if tells {
        engine.wake.deliver.notify_one();
    }
    let target = match opening.target {
        Ok(target) => target,
        Err(error) => {
            people::escalate(engine, library, &incident, &error).await?;
            note(engine, episode, Some(&incident), &rule.name, "", error).await?;
            return Ok(None);
        }
    };
    for attempt in 0..TRIES {
        let _turn = if attempt == 0 { None } else { turn(engine).await };
        let windows = &facts::windows(library, &engine.store.glance().await?).await?;
        let trust = engine.store.trust(&rule.name).await?;
        let trust = trust.as_ref();
        let now = engine.clock.now();
        let config = &library.config;
        let (incident, target) = (&incident, target.as_str());
        let case = Case { config, rule, episode, incident, target, windows, trust, now };
        match under_case(engine, library, case).await {
            Err(StoreError::Changed) => {}
            done => return done,
        }
    }
    Ok(Some(after(engine.clock.now(), Duration::from_millis(200))))
}

/// Waits until no other that tries again judges, but not for one whose evidence is slow to come.
async fn turn(engine: &Engine) -> Option<OwnedMutexGuard<()>> {
    let turn = Arc::clone(&engine.judging).lock_owned();
    tokio::time::timeout(TURN_WITHIN, turn).await.ok()
}

/// Does what the response asks for now.
async fn under_case(
    engine: &Engine,
    library: &Library,
    case: Case<'_>,
) -> Result<Option<Timestamp>> {
    let runs = engine.store.runs_of(case.incident.id).await?;
    match respond::asks(case, &library.playbooks, &runs) {
        Asks::Nothing { until } => Ok(until),
        Asks::Page { reason, until } => {
            people::page(engine, library, case.incident, &reason).await?;
            Ok(until)
        }
        Asks::Note(reason) => {
            note_case(engine, case, reason).await?;
            Ok(None)
        }
        Asks::People(reason) => give_to_people(engine, library, case, reason).await,
        Asks::Remedy(candidate) => try_remedy(engine, library, case, &candidate).await,
    }
}

pub(super) async fn try_remedy(
    engine: &Engine,
    library: &Library,
    case: Case<'_>,
    candidate: &Candidate,
) -> Result<Option<Timestamp>> {
    let (facts, rulings) = judge::judge(engine, library, case, candidate, Look::ToDecide).await?;
    if respond::is_overtaken(case, &facts) {
        return Err(StoreError::Changed);
    }
    trust::consider(engine, case, candidate, &facts).await?;
    let Conclusion { decision, owed, page, then } =
        respond::conclude(case, candidate, &facts, rulings);
    let owed = people::held(engine, library, case.incident, owed).await?;
    match then {
        Then::Create(plan) => {
            let plan = Plan { rules_digest: library.digest.clone(), ..*plan };
            create(engine, case, candidate, facts, (&decision, owed), &plan).await?;
            // the end of the run makes the episode due again
            Ok(None)
        }
        Then::Again(at) => {
            if guard::ends_with_a_run(&decision.rulings, case.now) {
                engine.queue.wait(case.episode.id, case.target);
            }
            decide(engine, case, &decision, owed).await?;
            if let Some(why) = page {
                people::page(engine, library, case.incident, &why).await?;
            }
            Ok(Some(at))
        }
        Then::People(reason) => {
            decide(engine, case, &decision, owed).await?;
            give_to_people(engine, library, case, reason).await
        }
    }
}

/// Stores what was decided and not done.
async fn decide(
    engine: &Engine,
    case: Case<'_>,
    decision: &Decision,
    owed: Vec<Owed>,
) -> Result<()> {
    let news = engine.store.decide_and_tell(decision, owed).await?;
    engine.metrics.decided(decision.verdict.as_str());
    if news {
        log_decision(case.episode, decision);
        engine.wake.deliver.notify_one();
    }
    Ok(())
}

/// Creates the run, and stores what was decided. Other runs may have come or gone meanwhile, if with those of now it would be
/// judged the same.
async fn create(
    engine: &Engine,
    case: Case<'_>,
    candidate: &Candidate,
    facts: Facts,
    (decision, tells): (&Decision, Vec<Owed>),
    plan: &Plan,
) -> Result<()> {
    let Case { config, incident, now, .. } = case;
    let words = people::words_of_hold(engine, incident, now).await?;
    let owed = |run| {
        let mut owed = respond::created(config, incident, run, plan, &decision.verdict, now);
        page::explain(&mut owed, words.as_deref());
        owed
    };
    let from = before(now, candidate.look_back());
    let judged = Judged { version: facts.version, from, decision, tells };
    let again = |runs| {
        let facts = Facts { runs, ..facts };
        respond::comes_to_the_same(case, candidate, &decision.verdict, &facts)
    };
    let (run, news) =
        engine.store.create_run_decided(judged, plan, candidate.round, again, owed).await?;
    engine.metrics.decided(decision.verdict.as_str());
    if news {
        log_decision(case.episode, decision);
    }
    tracing::info!(%run, incident = %incident.id, rule = plan.rule, playbook = plan.playbook.name,
        target = plan.target, remedy = plan.remedy, mode = plan.mode.as_str(), "run created");
    engine.wake.work.notify_one();
    engine.wake.deliver.notify_one();
    Ok(())
}

pub(super) async fn give_to_people(
    engine: &Engine,
    library: &Library,
    case: Case<'_>,
    reason: String,
) -> Result<Option<Timestamp>> {
    people::escalate(engine, library, case.incident, &reason).await?;
    note_case(engine, case, reason).await?;
    Ok(None)
}

fn log_decision(episode: &Episode, decision: &Decision) {
    tracing::info!(episode = %episode.id, alert = %episode.labels, rule = decision.rule,
        verdict = decision.verdict.as_str(), reason = decision.reason, "decided");
}

async fn note_case(engine: &Engine, case: Case<'_>, reason: String) -> Result<()> {
    let Case { rule, episode, incident, target, .. } = case;
    note(engine, episode, Some(incident), &rule.name, target, reason).await
}

/// Stores a decision that no guard made.
pub(super) async fn note(
    engine: &Engine,
    episode: &Episode,
    incident: Option<&Incident>,
    rule: &str,
    target: &str,
    reason: String,
) -> Result<()> {
    let now = engine.clock.now();
    let decision = respond::without_guards(episode, incident, rule, target, reason, now);
    if engine.store.decide(&decision).await? {
        log_decision(episode, &decision);
    }
    Ok(())
}

/// A closed episode: runs that wait for a person learn of it, and incidents whose episodes are all closed resolve.
/// Returns when to look again.
async fn closed(engine: &Engine, episode: &Episode) -> Result<Option<Timestamp>> {
    engine.store.wake_waiting_runs(episode.id).await?;
    engine.wake.work.notify_one();
    let mut again = None;
    for incident in engine.store.incidents_of(episode).await? {
        if let Some(until) = flaps_until(engine, &incident).await? {
            again = earlier(again, Some(until));
            continue;
        }
        // what an earlier process resolved it may not have taken back
        let resolved =
            incident.status == IncidentStatus::Resolved || resolve(engine, &incident).await?;
        if resolved && !take_back(engine, &incident).await? {
            again = earlier(again, Some(after(engine.clock.now(), Duration::from_secs(1))));
        }
    }
    Ok(again)
}

/// Until when an incident that flapped must have been quiet; `None` when it has been, or did not flap.
async fn flaps_until(engine: &Engine, incident: &Incident) -> Result<Option<Timestamp>> {
    let Some(last) = engine.store.flapped(incident.id).await? else { return Ok(None) };
    let (now, limit) = (engine.clock.now(), engine.library.load().config.limits.flapping.value);
    let until = after(last.min(now), respond::quiet_after_flapping(limit));
    Ok((until > now && incident.status != IncidentStatus::Resolved).then_some(until))
}

/// Resolves an incident unless something of it goes on; says whether it did.
pub(super) async fn resolve(engine: &Engine, incident: &Incident) -> Result<bool> {
    // a run that is at work makes the episode due again when it ends; one in doubt keeps the incident open
    if engine.store.is_at_work(incident.id).await? {
        return Ok(false);
    }
    let library = engine.library.load_full();
    if schedules::stays_open(engine, &library, incident).await? {
        return Ok(false);
    }
    let (tried, fixed_by) = engine.store.tried(incident.id).await?;
    if !tried.is_empty() && fixed_by.is_none() && !is_schedule(&incident.rule) {
        people::page(engine, &library, incident, respond::NOT_SEEN_TO_HELP).await?;
    }
    let now = engine.clock.now();
    let notice = tell::resolved(incident, tried, fixed_by.as_deref(), now);
    let told = engine.store.channels_told(incident.id).await?;
    let owed = audience::to_channels(&library.config, &notice, &told);
    let found = engine.store.ended_unseen(incident.id).await?;
    let owed = tell::as_found(owed, found.as_ref());
    let resolved = engine.store.resolve_incident(incident.id, owed).await?;
    if resolved {
        tracing::info!(incident = %incident.id, headline = notice.headline, "incident resolved");
        engine.wake.deliver.notify_one();
    }
    Ok(resolved)
}

/// Begins the `on_resolve` steps of the incident's runs that acted, each once; says whether all have begun. Another
/// run may hold a target, so that they have to wait for it.
async fn take_back(engine: &Engine, incident: &Incident) -> Result<bool> {
    let begun = engine.store.taken_back(incident.id).await?;
    let mut all = true;
    for row in engine.store.runs(Some(incident.id), None, 1000).await? {
        if begun.contains(&row.id) {
            continue;
        }
        let Some(original) = engine.store.plan(row.id).await? else { continue };
        let entries = engine.store.journal(row.id).await?;
        let Ok(state) = crate::decide::machine::fold(&original, &entries) else { continue };
        if !state.acted {
            continue;
        }
        let Some(plan) = plan::take_back(&original, &state) else { continue };
        let round = u32::try_from(row.id.0).unwrap_or(u32::MAX);
        let mut created = false;
        for _ in 0..TRIES {
            let version = engine.store.facts_version().await?;
            match engine.store.create_run(version, &plan, round, |_| Vec::new()).await {
                Err(StoreError::Changed) => {}
                Ok(run) => {
                    tracing::info!(%run, of = %row.id, "taking temporary measures back");
                    created = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        all &= created;
    }
    engine.wake.work.notify_one();
    Ok(all)
}

//! Takes each due episode: selects rules, opens incidents, judges, creates runs, resolves incidents.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::decide::audience;
use crate::decide::guard;
use crate::decide::page;
use crate::decide::plan;
use crate::decide::response;
use crate::decide::response::Next;
use crate::decide::schedule;
use crate::decide::tell;
use crate::decide::window;
use crate::engine::Engine;
use crate::engine::judge;
use crate::engine::people;
use crate::engine::schedules;
use crate::library::Library;
use crate::model::decision::Verdict;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::rule::Rule;
use crate::model::rule::is_schedule;
use crate::model::run::Health;
use crate::model::time::after;
use crate::store::Result;
use crate::store::StoreError;
use crate::store::episodes::DueEpisode;

/// Claims last this long; judging asks outside for at most two times ten seconds.
const LEASE: Duration = Duration::from_mins(1);
/// How often facts may change under a judgement before it is left for the next round.
const TRIES: usize = 5;

/// Episodes judged at once: one whose evidence is slow to come must not keep the others waiting.
const AT_ONCE: usize = 16;

/// The loop.
pub async fn run(engine: Engine) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    while !engine.stop.is_cancelled() {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match engine.store.claim_episode(LEASE).await {
            Ok(Some(due)) => {
                let engine = engine.clone();
                engine.tasks.clone().spawn(async move {
                    take(&engine, &due).await;
                    drop(slot);
                });
            }
            Ok(None) => engine.idle(&engine.wake.intake).await,
            Err(error) => engine.trouble("intake", &error).await,
        }
    }
}

/// Does what a due episode asks for, and says when it is due again.
async fn take(engine: &Engine, due: &DueEpisode) {
    let result = if due.episode.open {
        firing(engine, &due.episode).await
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
async fn firing(engine: &Engine, episode: &Episode) -> Result<Option<Timestamp>> {
    let library = engine.library.load_full();
    if let Some(name) = schedule::name_of(&episode.source) {
        return schedules::judge(engine, &library, name, episode).await;
    }
    let selection = library.rules.select(&episode.labels, &episode.annotations);
    for (rule, why) in &selection.unknown {
        let reason = format!("`when` of rule {} is unknown, so it does not act: {why}", rule.name);
        note(engine, episode, None, &rule.name, "", reason).await?;
    }
    if selection.rules.is_empty() {
        unmatched(engine, &library, episode).await?;
        return Ok(None);
    }
    let mut again: Option<Timestamp> = None;
    for rule in &selection.rules {
        let at = under_rule(engine, &library, rule, episode).await?;
        again = match (again, at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    Ok(again)
}

async fn unmatched(engine: &Engine, library: &Library, episode: &Episode) -> Result<()> {
    let now = engine.clock.now();
    let reason = "no rule matches this alert".to_owned();
    if !library.config.unmatched.is_empty() {
        let new = new_incident("", &episode.fingerprint, episode, "", now);
        let opened = |incident: &Incident| {
            audience::owed(&library.config, &tell::opened(incident, episode, 0, now), true)
        };
        let (incident, _) = engine.store.incident_for(&new, episode.id, None, opened).await?;
        engine.wake.deliver.notify_one();
        return note(engine, episode, Some(&incident), "", "", reason).await;
    }
    note(engine, episode, None, "", "", reason).await
}

/// How soon somebody must acknowledge an incident of this severity.
pub(super) fn ack_within(library: &Library, severity: &str) -> Option<Duration> {
    audience::severity(&library.config, severity).and_then(|severity| severity.ack_within)
}

async fn under_rule(
    engine: &Engine,
    library: &Library,
    rule: &Rule,
    episode: &Episode,
) -> Result<Option<Timestamp>> {
    let now = engine.clock.now();
    let target = plan::target(rule, episode);
    let group_target = target.as_deref().unwrap_or_default();
    let group = plan::group_key(rule, episode, group_target);
    let mut new = new_incident(&rule.name, &group, episode, group_target, now);
    new.held_until = page::hold(rule, now);
    let ack_within = ack_within(library, &new.severity);
    let remedies = rule.response.len();
    let opened = |incident: &Incident| {
        let notice = tell::opened(incident, episode, remedies, now);
        page::held(&library.config, incident, audience::owed(&library.config, &notice, false))
    };
    let (incident, is_new) =
        engine.store.incident_for(&new, episode.id, ack_within, opened).await?;
    if is_new {
        tracing::info!(incident = %incident.id, rule = rule.name, title = incident.title, "incident opened");
        engine.wake.deliver.notify_one();
    }
    let target = match target {
        Ok(target) => target,
        Err(error) => {
            people::escalate(engine, library, &incident, &error).await?;
            note(engine, episode, Some(&incident), &rule.name, "", error).await?;
            return Ok(None);
        }
    };
    for _ in 0..TRIES {
        match respond(engine, library, rule, episode, &incident, &target).await {
            Err(StoreError::Changed) => {}
            done => return done,
        }
    }
    Ok(Some(after(engine.clock.now(), Duration::from_millis(200))))
}

/// Does what the response asks for now.
async fn respond(
    engine: &Engine,
    library: &Library,
    rule: &Rule,
    episode: &Episode,
    incident: &Incident,
    target: &str,
) -> Result<Option<Timestamp>> {
    let now = engine.clock.now();
    let runs = engine.store.past_runs(Timestamp::MAX, incident.id).await?;
    let mine: Vec<_> = runs.into_iter().filter(|run| run.rule == rule.name).collect();
    let next =
        response::next(rule.response.len(), incident.id, target, episode.opened_at, &mine, now);
    match next {
        Next::Busy => Ok(None),
        Next::Observed { at, remedy, round } => {
            people::page(engine, library, incident, "mode observe: nothing is tried").await?;
            match window::observed_until(&library.config.windows, &episode.labels, at) {
                // observed because of a window: when it is over, the remedy is judged again
                Some(until) if until <= now => {
                    let nth = (remedy, round);
                    try_remedy(engine, library, rule, episode, incident, target, nth).await
                }
                until => Ok(until),
            }
        }
        Next::Fixed { until } => Ok(Some(until)),
        Next::NoResponse => {
            let reason = format!("rule {} has no remedy: people only", rule.name);
            note(engine, episode, Some(incident), &rule.name, target, reason).await?;
            Ok(None)
        }
        Next::People(reason) => {
            people::escalate(engine, library, incident, &reason).await?;
            note(engine, episode, Some(incident), &rule.name, target, reason).await?;
            Ok(None)
        }
        Next::Remedy { remedy, round } => {
            try_remedy(engine, library, rule, episode, incident, target, (remedy, round)).await
        }
    }
}

pub(super) async fn try_remedy(
    engine: &Engine,
    library: &Library,
    rule: &Rule,
    episode: &Episode,
    incident: &Incident,
    target: &str,
    (remedy, round): (u32, u32),
) -> Result<Option<Timestamp>> {
    let now = engine.clock.now();
    let judged =
        match judge::judge(engine, library, rule, remedy, episode, incident, target).await? {
            Ok(judged) => judged,
            Err(reason) => {
                people::escalate(engine, library, incident, &reason).await?;
                note(engine, episode, Some(incident), &rule.name, target, reason).await?;
                return Ok(None);
            }
        };
    let owed = if tells(&judged) {
        let notice = tell::refused(incident, &judged.decision.reason, now);
        people::owed(engine, library, incident, notice).await?
    } else {
        Vec::new()
    };
    let news = engine.store.decide_and_tell(&judged.decision, owed).await?;
    engine.metrics.decided(judged.decision.verdict.as_str());
    if news {
        log_decision(episode, &judged.decision);
        engine.wake.deliver.notify_one();
    }
    if let Some(deadline) = incident.held_until.filter(|until| *until > incident.opened_at)
        && let Some(why) = page::in_vain(&judged.decision, deadline)
    {
        people::page(engine, library, incident, &format!("quell does not act: {why}")).await?;
    }
    match &judged.decision.verdict {
        Verdict::Hold { until } => Ok(Some(*until)),
        Verdict::Refuse => Ok(Some(after(now, guard::AGAIN_AFTER))),
        Verdict::Proceed | Verdict::Ask => {
            let Some(playbook) = library.playbooks.get(&judged.subject.playbook) else {
                return Ok(None);
            };
            let plan = match plan::plan(rule, &judged.subject, playbook, episode, now) {
                Ok(plan) => plan,
                Err(errors) => {
                    let reason = errors.join("; ");
                    people::escalate(engine, library, incident, &reason).await?;
                    note(engine, episode, Some(incident), &rule.name, target, reason).await?;
                    return Ok(None);
                }
            };
            let asks = judged.decision.verdict == Verdict::Ask;
            let held = people::words_of_hold(engine, incident, now).await?;
            let run = engine
                .store
                .create_run(judged.facts.version, &plan, round, |run| {
                    if asks {
                        let id = run.to_string();
                        let mut notice = tell::asks_approval(incident, &id, &plan, now);
                        notice.details.extend(held);
                        audience::owed(&library.config, &notice, false)
                    } else {
                        Vec::new()
                    }
                })
                .await?;
            tracing::info!(%run, incident = %incident.id, rule = rule.name, playbook = plan.playbook.name,
                target, remedy, mode = plan.mode.as_str(), "run created");
            engine.wake.work.notify_one();
            engine.wake.deliver.notify_one();
            // the end of the run makes the episode due again
            Ok(None)
        }
    }
}

/// A person is told of a refusal that they would want to know of: not of waiting, nor of their own silence.
fn tells(judged: &judge::Judged) -> bool {
    let evidence = judged
        .decision
        .rulings
        .iter()
        .find(|ruling| ruling.guard == guard::EVIDENCE && ruling.verdict.caution() >= 2);
    let already_healthy =
        judged.facts.precheck.as_ref().is_some_and(|seen| seen.health == Health::Healthy);
    evidence.is_some() && !already_healthy
}

fn log_decision(episode: &Episode, decision: &crate::model::decision::Decision) {
    tracing::info!(episode = %episode.id, alert = %episode.labels, rule = decision.rule,
        verdict = decision.verdict.as_str(), reason = decision.reason, "decided");
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
    let decision =
        judge::without_guards(episode, incident, rule, target, reason, engine.clock.now());
    if engine.store.decide(&decision).await? {
        log_decision(episode, &decision);
    }
    Ok(())
}

fn new_incident(
    rule: &str,
    group_key: &str,
    episode: &Episode,
    target: &str,
    now: Timestamp,
) -> Incident {
    Incident {
        id: IncidentId(0),
        rule: rule.to_owned(),
        group_key: group_key.to_owned(),
        title: plan::title(episode, target),
        severity: episode.labels.get("severity").to_owned(),
        labels: episode.labels.clone(),
        status: IncidentStatus::Open,
        escalated: false,
        opened_at: now,
        resolved_at: None,
        acked_by: String::new(),
        acked_at: None,
        held_until: None,
    }
}

/// A closed episode: runs that wait for a person learn of it, and incidents whose episodes are all closed resolve.
/// Returns when to look again.
async fn closed(engine: &Engine, episode: &Episode) -> Result<Option<Timestamp>> {
    engine.store.wake_waiting_runs(episode.id).await?;
    engine.wake.work.notify_one();
    let mut again = None;
    for incident in engine.store.incidents_of(episode).await? {
        // what an earlier process resolved it may not have taken back
        let resolved =
            incident.status == IncidentStatus::Resolved || resolve(engine, &incident).await?;
        if resolved && !take_back(engine, &incident).await? {
            again = Some(after(engine.clock.now(), Duration::from_secs(1)));
        }
    }
    Ok(again)
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
        let reason = "the alert has resolved, and nothing that quell tried was seen to help";
        people::page(engine, &library, incident, reason).await?;
    }
    let now = engine.clock.now();
    let notice = tell::resolved(incident, tried, fixed_by.as_deref(), now);
    let told = engine.store.channels_told(incident.id).await?;
    let owed = audience::to_channels(&library.config, &notice, &told);
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
        let Some(plan) = plan::take_back(&original) else { continue };
        let entries = engine.store.journal(row.id).await?;
        let acted =
            crate::decide::machine::fold(&original, &entries).is_ok_and(|state| state.acted);
        if !acted {
            continue;
        }
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

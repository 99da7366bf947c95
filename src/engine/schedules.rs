//! Playbooks on cron schedules. A slot opens an episode of its own through the same intake as any alert, so that guards,
//! the run machine, notices, audit and recovery are the same; its end closes the episode. Success is silent; a failure is
//! given to people, and its incident stays open until a later slot succeeds.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::respond;
use crate::decide::respond::Case;
use crate::decide::schedule;
use crate::decide::schedule::Slot;
use crate::decide::schedule::Standing;
use crate::engine::Engine;
use crate::engine::facts;
use crate::engine::intake;
use crate::library::Library;
use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::alert::Delivery;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::incident::IncidentStatus;
use crate::model::rule::SCHEDULE;
use crate::model::rule::Schedule;
use crate::model::run::RunState;
use crate::model::time::after;
use crate::store::Result;
use crate::store::StoreError;
use crate::store::schedules::NextSlot;
use crate::store::schedules::ScheduleState;

/// How often schedules are looked at: the resolution of cron with seconds.
const TICK: Duration = Duration::from_millis(200);
/// A claim lasts this long: it takes one commit of intake.
const LEASE: Duration = Duration::from_secs(30);
/// How often a slot that waits for the one before looks whether it may begin.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often facts may change under a judgement before it is left for the next round.
const TRIES: usize = 5;

/// The loop.
pub async fn run(engine: Engine) {
    let mut known = String::new();
    while !engine.stop.is_cancelled() {
        let library = engine.library.load_full();
        let result = async {
            if known != library.digest || known.is_empty() {
                know(&engine, &library).await?;
                known.clone_from(&library.digest);
            }
            due(&engine, &library).await
        };
        if let Err(error) = result.await {
            engine.trouble("schedules", &error).await;
        }
        engine.turned("schedules");
        engine.pause(TICK).await;
    }
}

/// Writes down the schedules of a new rule set, and ends the incidents of those that are gone.
async fn know(engine: &Engine, library: &Library) -> Result<()> {
    let now = engine.clock.now();
    for schedule in &library.schedules {
        if let Some(first) = next(engine, schedule, now) {
            let cron = format!("{} {}", schedule.cron, schedule.timezone);
            engine.store.know_schedule(&schedule.name, &cron, first).await?;
        }
    }
    for status in [IncidentStatus::Open, IncidentStatus::Acknowledged] {
        for incident in engine.store.incidents(Some(status), None, 1000).await? {
            let gone = schedule::name_of(&incident.rule)
                .is_some_and(|name| library.schedules.iter().all(|it| it.name != name));
            if gone {
                intake::resolve(engine, &incident).await?;
            }
        }
    }
    Ok(())
}

fn next(engine: &Engine, schedule: &Schedule, after: Timestamp) -> Option<NextSlot> {
    let slot = schedule::next_slot(schedule, after)?;
    Some(NextSlot { slot, due_at: schedule::due(schedule, slot, engine.clock.jitter()) })
}

async fn due(engine: &Engine, library: &Library) -> Result<()> {
    if library.schedules.is_empty() {
        return Ok(());
    }
    let now = engine.clock.now();
    let states = engine.store.schedules().await?;
    for schedule in &library.schedules {
        let due = states.iter().any(|state| state.name == schedule.name && state.due_at <= now);
        if due && let Some(claimed) = engine.store.claim_schedule(&schedule.name, LEASE).await? {
            slot_is_due(engine, schedule, &claimed).await?;
        }
    }
    Ok(())
}

/// Begins a claimed slot, lets it wait, or leaves it out.
async fn slot_is_due(engine: &Engine, schedule: &Schedule, claimed: &ScheduleState) -> Result<()> {
    let now = engine.clock.now();
    let slot = claimed.slot;
    let labels = schedule::labels(schedule, slot);
    let following = next(engine, schedule, now.max(slot));
    let missed = schedule::between(schedule, slot, now);
    // whoever claimed it before died after its episode was stored
    if engine.store.latest_episode(&labels.fingerprint()).await?.is_some() {
        return engine.store.slot_began(claimed, following, missed).await;
    }
    let source = source(schedule);
    let busy = engine.store.is_open_elsewhere(&source, &labels.fingerprint()).await?;
    match schedule::take(schedule, slot, claimed.waits, busy, now) {
        Slot::Wait => engine.store.slot_waits(claimed, after(now, LOOK_EVERY)).await,
        Slot::Skip(why) => {
            tracing::warn!(schedule = schedule.name, %slot, why, "a slot is left out");
            engine.metrics.slot_skipped(&schedule.name);
            engine.store.slot_skipped(claimed, following, missed + 1, why).await
        }
        Slot::Begin => {
            let alert = schedule::alert(AlertStatus::Firing, labels, slot, now);
            if let Err(error) = engine.intake.accept(delivery(source, alert)).await {
                // the slot stays: its lease ends, and it is begun then
                tracing::error!(schedule = schedule.name, %error, "a slot was not stored");
                return Ok(());
            }
            tracing::info!(schedule = schedule.name, %slot, "a slot begins");
            engine.store.slot_began(claimed, following, missed).await
        }
    }
}

fn source(schedule: &Schedule) -> String {
    format!("{SCHEDULE}{}", schedule.name)
}

fn delivery(source: String, alert: Alert) -> Delivery {
    Delivery { source, receiver: String::new(), truncated: 0, alerts: vec![alert] }
}

/// Judges the open episode of a slot; returns when to judge it again.
pub(super) async fn judge(
    engine: &Engine,
    library: &Library,
    name: &str,
    episode: &Episode,
) -> Result<Option<Timestamp>> {
    let Some(schedule) = library.schedules.iter().find(|it| it.name == name) else {
        let reason = schedule::gone(name);
        intake::note(engine, episode, None, &episode.source, "", reason).await?;
        return end(engine, episode).await;
    };
    let rule = &schedule.rule;
    let now = engine.clock.now();
    let new = schedule::incident(schedule, episode, now);
    let ack_within = respond::ack_within(&library.config, &new.severity);
    let (incident, _) =
        engine.store.incident_for(&new, episode.id, ack_within, |_| false, |_| Vec::new()).await?;
    let config = &library.config;
    let target = rule.target.as_str();
    let windows = facts::windows(library, &engine.store.glance().await?).await?;
    let windows = windows.as_slice();
    // only people and the files say what a schedule may do
    let (incident, trust) = (&incident, None);
    let case = |now| Case { config, rule, episode, incident, target, windows, trust, now };
    match schedule::standing(&runs_of(engine, incident, episode).await?) {
        Standing::Busy => Ok(None),
        Standing::Done => end(engine, episode).await,
        Standing::Failed => {
            let reason = schedule::failed(name);
            intake::give_to_people(engine, library, case(now), reason).await?;
            end(engine, episode).await
        }
        Standing::Begin { round } => {
            for _ in 0..TRIES {
                let case = case(engine.clock.now());
                let candidate = match respond::candidate(case, &library.playbooks, 1, round) {
                    Ok(candidate) => candidate,
                    Err(reason) => {
                        intake::give_to_people(engine, library, case, reason).await?;
                        return end(engine, episode).await;
                    }
                };
                match intake::try_remedy(engine, library, case, &candidate).await {
                    Err(StoreError::Changed) => {}
                    // given to people before a run was made: there is no plan
                    Ok(None) if runs_of(engine, incident, episode).await?.is_empty() => {
                        return end(engine, episode).await;
                    }
                    done => return done,
                }
            }
            Ok(Some(after(engine.clock.now(), Duration::from_millis(200))))
        }
    }
}

/// States of the runs of a slot, in order.
async fn runs_of(engine: &Engine, incident: &Incident, episode: &Episode) -> Result<Vec<RunState>> {
    let runs = engine.store.runs(Some(incident.id), None, 1000).await?;
    let mine = runs.iter().rev().filter(|run| run.episode == episode.id && run.remedy > 0);
    Ok(mine.map(|run| run.state).collect())
}

/// Closes the episode of a slot.
async fn end(engine: &Engine, episode: &Episode) -> Result<Option<Timestamp>> {
    let now = engine.clock.now();
    let (labels, source) = (episode.labels.clone(), episode.source.clone());
    let alert = schedule::alert(AlertStatus::Resolved, labels, episode.starts_at, now);
    match engine.intake.accept(delivery(source, alert)).await {
        Ok(_) => Ok(None),
        Err(error) => {
            tracing::error!(episode = %episode.id, %error, "the end of a slot was not stored");
            Ok(Some(after(now, Duration::from_secs(1))))
        }
    }
}

/// Whether the incident of a schedule stays open although no slot is at work: its last run did not succeed, or could not
/// be planned. The next that succeeds ends it.
pub(super) async fn stays_open(
    engine: &Engine,
    library: &Library,
    incident: &Incident,
) -> Result<bool> {
    let Some(name) = schedule::name_of(&incident.rule) else { return Ok(false) };
    if library.schedules.iter().all(|it| it.name != name) {
        return Ok(false);
    }
    let runs = engine.store.runs(Some(incident.id), None, 1000).await?;
    let last = runs.iter().find(|run| run.remedy > 0).map(|run| run.state);
    Ok(match last {
        Some(state) => schedule::standing(&[state]) == Standing::Failed,
        None => incident.escalated,
    })
}

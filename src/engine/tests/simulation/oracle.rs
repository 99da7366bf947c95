//! What must hold whatever happens: judged when an effect begins, when it arrives, and at the end of a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::crash::gate;
use crate::decide::machine;
use crate::decide::stepping;
use crate::engine::tests::simulation::files;
use crate::engine::tests::simulation::plant::Effect;
use crate::engine::tests::simulation::plant::Plant;
use crate::model::incident::RunId;
use crate::model::run::Entry;
use crate::model::run::Event;
use crate::model::run::Intent;
use crate::model::time::since;
use crate::store::Store;

/// A person's no is obeyed by every effect that begins this much later: what a worker that goes on without a break needs
/// between asking and acting, with all probes at their slowest.
const OBEYED_WITHIN: Duration = Duration::from_secs(30);

/// The run of an idempotency key such as `r-12/3.1`.
fn run_of(key: &str) -> RunId {
    let id = key.strip_prefix("r-").and_then(|it| it.split('/').next());
    RunId(
        id.and_then(|it| it.parse().ok())
            .unwrap_or_else(|| panic!("a key of another shape: {key}")),
    )
}

fn is_intent(entry: &Entry, key: &str) -> bool {
    match &entry.event {
        Event::StepStarted { intent, .. } | Event::UndoStarted { intent, .. } => intent.key == key,
        _ => false,
    }
}

/// A worker says that it acts now: its run must be its own, and its intent the last that was written.
pub(crate) async fn begins(
    plant: &Plant,
    store: &Store,
    intent: &Intent,
    attempt: i64,
    now: Timestamp,
) {
    let open = gate::open();
    let key = &intent.key;
    let run = run_of(key);
    let held = store.held(run).await.unwrap();
    let journal = store.journal(run).await.unwrap();
    let on_one = store.most_on_one_target().await.unwrap();
    drop(open);
    let Some(held) = held else { return plant.violate(format!("{key} is done for no run")) };
    if held.attempt != attempt {
        plant.violate(format!("{key} #{attempt} begins although #{} has the run", held.attempt));
    }
    if held.is_final || !journal.last().is_some_and(|last| is_intent(last, key)) {
        let last = journal.last().map(|it| &it.event);
        plant.violate(format!("{key} #{attempt} begins and is not the last intent: {last:?}"));
    }
    if on_one > 1 {
        plant.violate(format!("{on_one} runs on one target"));
    }
    let (paused, stopped) = {
        let inner = plant.lock();
        let stopped = inner.stopped.iter().find(|(id, _)| *id == run.0).map(|it| it.1);
        (inner.paused_since, stopped)
    };
    let is_undo = key.ends_with("/undo");
    for (what, at) in [("the kill switch", paused), ("its end was asked for", stopped)] {
        // a stop lets undos that are under way end; the kill switch does not
        let counts = !is_undo || what == "the kill switch";
        if let Some(at) = at.filter(|at| counts && since(now, *at) > OBEYED_WITHIN) {
            plant.violate(format!("{key} #{attempt} begins {:?} after {what}", since(now, at)));
        }
    }
}

/// An effect arrives at its target.
pub(crate) async fn arrives(
    plant: &Plant,
    store: &Store,
    (intent, attempt): (&Intent, i64),
    (at, until): (Timestamp, Timestamp),
) -> Effect {
    let open = gate::open();
    let key = &intent.key;
    let run = run_of(key);
    let held = store.held(run).await.unwrap();
    let journal = store.journal(run).await.unwrap();
    drop(open);
    let (target, late) =
        held.map_or_else(Default::default, |it| (it.target, it.attempt != attempt));
    let effect = Effect { key: key.clone(), run: run.0, attempt, target, until, late };
    let intents = journal.iter().filter(|entry| is_intent(entry, key)).count();
    let (before, overlaps) = {
        let inner = plant.lock();
        let before = inner.effects.iter().filter(|it| it.key == *key).count();
        let in_flight = |it: &&Effect| it.target == effect.target && it.until > at && !it.late;
        (before, inner.effects.iter().find(in_flight).cloned())
    };
    if before >= intents {
        plant.violate(format!(
            "{key} #{attempt} is done {} times for {intents} intents",
            before + 1
        ));
    }
    if let Some(other) = overlaps.filter(|_| !late) {
        plant.violate(format!(
            "{key} #{attempt} while {} #{} is in flight",
            other.key, other.attempt
        ));
    }
    effect
}

/// What must hold when all is over.
pub(crate) async fn judge(plant: &Plant, store: &Store) {
    let audit = store.audit(None).await.unwrap();
    if !audit.broken.is_empty() {
        plant.violate(format!("the audit found {:?}", audit.broken));
    }
    let runs = store.runs(None, None, 1000).await.unwrap();
    for row in &runs {
        let run = row.id;
        let journal = store.journal(run).await.unwrap();
        let plan = store.plan(run).await.unwrap().unwrap();
        let held = store.held(run).await.unwrap().unwrap();
        let state = match machine::fold(&plan, &journal) {
            Ok(state) => state,
            Err(illegal) => {
                plant.violate(format!("the journal of {run} is no journal: {illegal}"));
                continue;
            }
        };
        if state.summary() != row.state || state.seq != held.seq {
            let folded = state.summary();
            plant.violate(format!(
                "{run} is {:?} by its row and {folded:?} by its journal",
                row.state
            ));
        }
        if row.outcome != stepping::outcome(&plan, &state) {
            plant.violate(format!("{run} ended otherwise than its row says: {}", row.outcome));
        }
        if !row.state.is_final() {
            plant.violate(format!("{run} never ends: {:?}, due at {}", state.phase, held.due_at));
        }
    }
    rate_holds(
        plant,
        &runs.iter().filter(|it| it.remedy > 0).map(|it| it.started_at).collect::<Vec<_>>(),
    );
    let mut effects: BTreeMap<String, usize> = BTreeMap::new();
    for effect in &plant.lock().effects {
        *effects.entry(effect.key.clone()).or_default() += 1;
    }
    for (key, count) in effects {
        let journal = store.journal(run_of(&key)).await.unwrap();
        let intents = journal.iter().filter(|entry| is_intent(entry, &key)).count();
        if count > intents {
            plant.violate(format!("{key} was done {count} times for {intents} intents"));
        }
    }
    let owed = store.survey(plant.now()).await.unwrap().owed;
    if owed > 0 {
        plant.violate(format!("{owed} notifications are neither sent nor dead"));
    }
}

/// No span of time holds more starts than the limit.
fn rate_holds(plant: &Plant, started: &[Timestamp]) {
    let mut started = started.to_vec();
    started.sort_unstable();
    for (first, at) in started.iter().enumerate() {
        let more = started.get(first + files::RATE);
        if let Some(more) = more.filter(|it| since(**it, *at).as_secs() < files::RATE_PER) {
            plant.violate(format!("more than {} runs from {at} to {more}", files::RATE));
        }
    }
}

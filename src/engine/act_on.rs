//! Performs steps and undos: still true, intent, effect, outcome.

use std::time::Duration;

use jiff::Timestamp;

use crate::act;
use crate::decide::condition;
use crate::decide::guard;
use crate::decide::items;
use crate::decide::machine::Spot;
use crate::decide::machine::State;
use crate::decide::plan;
use crate::decide::render::Escape;
use crate::decide::render::render;
use crate::engine::Engine;
use crate::engine::facts;
use crate::engine::worker::write;
use crate::model::decision::Verdict;
use crate::model::playbook::Between;
use crate::model::playbook::Probe;
use crate::model::playbook::Step;
use crate::model::playbook::What;
use crate::model::run::Event;
use crate::model::run::Health;
use crate::model::run::Intent;
use crate::model::run::Outcome;
use crate::model::run::Stop;
use crate::model::time::since;
use crate::store::Result;
use crate::store::StoreError;
use crate::store::runs::Claim;

/// Added to a step's timeout: the lease must outlive the effect and the killing of it.
const LEASE_MARGIN: Duration = Duration::from_secs(20);
/// Time between observations of a probe step.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whether a step may begin.
#[derive(Debug)]
pub enum StillTrue {
    /// Yes.
    Go,
    /// Not now.
    Hold {
        /// Until.
        until: Timestamp,
        /// The guard.
        guard: String,
        /// Why.
        reason: String,
    },
    /// Never: the run stops here.
    Stop(Stop),
}

/// Asks again, immediately before a step: kill switch, alert still firing, silence, and before the first action the
/// precheck.
pub async fn still_true(engine: &Engine, claim: &Claim, state: &State) -> Result<StillTrue> {
    let now = engine.clock.now();
    let library = engine.library.load_full();
    let plan = &claim.plan;
    let Some(episode) = engine.store.episode(plan.episode).await? else {
        return Err(StoreError::Corrupt(format!("{} has no episode", claim.run)));
    };
    let subject = plan::subject_of(plan, &library.config.limits, episode.opened_at);
    let mut facts = crate::model::decision::Facts {
        version: 0,
        pauses: facts::pauses(engine, &library).await?,
        firing: episode.open,
        firing_for: since(now, episode.opened_at),
        evidence_age: since(now, episode.seen_at),
        truncated: episode.truncated,
        standing: crate::model::decision::Standing::NotAsked,
        precheck: None,
        runs: Vec::new(),
    };
    if episode.open && plan.remedy > 0 && guard::pause(&subject, &facts.pauses).is_none() {
        facts.standing = facts::standing(&library, &episode.source, &episode.labels).await;
        if let (Some(verify), false) = (&plan.verify, state.acted) {
            facts.precheck = Some(facts::observe(engine, &library, &verify.probe, &episode).await);
        }
    }
    let rulings = guard::still_true(&subject, &facts, now);
    let (verdict, _) = guard::conclude(&rulings);
    let deciding = rulings.into_iter().find(|it| it.verdict.caution() == verdict.caution());
    let Some(ruling) = deciding else { return Ok(StillTrue::Go) };
    Ok(match ruling.verdict {
        Verdict::Proceed | Verdict::Ask => StillTrue::Go,
        Verdict::Hold { until } => match facts.precheck {
            Some(seen) if seen.health == Health::Healthy && ruling.guard == guard::EVIDENCE => {
                StillTrue::Stop(Stop::AlreadyHealthy { measured: seen.measured })
            }
            _ => StillTrue::Hold { until, guard: ruling.guard, reason: ruling.reason },
        },
        Verdict::Refuse if ruling.guard == guard::FIRING => StillTrue::Stop(Stop::Resolved),
        Verdict::Refuse => {
            StillTrue::Stop(Stop::Refused { guard: ruling.guard, reason: ruling.reason })
        }
    })
}

/// Renders a step, or an item of one, writes its intent, does it, writes the outcome. A `for_each` lists its items first.
pub async fn begin(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    spot: Spot,
    attempt: u32,
) -> Result<()> {
    let Spot { step, item } = spot;
    let Some(definition) = claim.plan.playbook.steps.get(step).cloned() else {
        return Err(StoreError::Corrupt(format!("{} has no step {}", claim.run, step + 1)));
    };
    let run = claim.run.to_string();
    let context = plan::spot_context(&claim.plan, &run, state, spot);
    let lists = definition.each.is_some() && item.is_none();
    if let Some(source) = definition.condition.as_ref().filter(|it| asks_now(it, &definition, spot))
    {
        let event = match condition::evaluate_json(source, &context) {
            Ok(true) => None,
            Ok(false) => {
                Some(Event::StepSkipped { step, item, reason: format!("if: {source} is false") })
            }
            Err(error) => Some(failed(spot, format!("if: {source}: {error}"))),
        };
        if let Some(event) = event {
            return write(engine, claim, state, event, LEASE_MARGIN).await;
        }
    }
    if let Some(each) = definition.each.as_ref().filter(|_| lists) {
        let event = match items::resolve(&each.items, &context) {
            Ok(items) => Event::Listed { step, items },
            Err(reason) => failed(spot, format!("for_each: {reason}")),
        };
        return write(engine, claim, state, event, LEASE_MARGIN).await;
    }
    let key = plan::key(&run, spot);
    match &definition.what {
        What::Wait(_) => {
            let intent = Intent { action: None, timeout: Duration::ZERO, key };
            let started = Event::StepStarted { step, item, attempt, intent };
            write(engine, claim, state, started, LEASE_MARGIN).await
        }
        What::Ask(ask) => {
            let event = match render(&ask.question, &context, Escape::None) {
                Ok(question) => Event::Asked { step, question },
                Err(error) => failed(spot, error),
            };
            write(engine, claim, state, event, LEASE_MARGIN).await
        }
        What::Action(action) => {
            let action = match plan::render_action(action, &context) {
                Ok(action) => action,
                Err(error) => {
                    return write(engine, claim, state, failed(spot, error), LEASE_MARGIN).await;
                }
            };
            let intent = Intent { action: Some(action), timeout: definition.timeout, key };
            let lease = definition.timeout + LEASE_MARGIN;
            let started = Event::StepStarted { step, item, attempt, intent: intent.clone() };
            write(engine, claim, state, started, lease).await?;
            let outcome = perform(engine, &intent).await;
            ended(engine, claim, state, spot, outcome).await
        }
        What::Probe { probe, within } => {
            let probe = match plan::render_probe(probe, &context) {
                Ok(probe) => probe,
                Err(error) => {
                    return write(engine, claim, state, failed(spot, error), LEASE_MARGIN).await;
                }
            };
            let intent = Intent { action: None, timeout: *within, key };
            let started = Event::StepStarted { step, item, attempt, intent };
            write(engine, claim, state, started, *within + LEASE_MARGIN).await?;
            match look(engine, claim, &definition.name, &probe, *within).await? {
                Some(outcome) => ended(engine, claim, state, spot, outcome).await,
                None => write(engine, claim, state, Event::Interrupted, LEASE_MARGIN).await,
            }
        }
    }
}

/// Whether the `if` of a step is asked here: one that names `item` or `index` is asked for each item, any other once, before
/// the items are listed.
fn asks_now(source: &str, step: &Step, spot: Spot) -> bool {
    if step.each.is_none() {
        return true;
    }
    let of_items = condition::names(source)
        .iter()
        .any(|name| plan::OF_ITEMS.contains(&name.split('.').next().unwrap_or_default()));
    of_items == spot.item.is_some()
}

/// Observes what must be healthy between two waves, and writes what was seen. Says false when the server stops.
pub async fn look_between(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    step: usize,
    item: usize,
) -> Result<bool> {
    let definition = claim.plan.playbook.steps.get(step).cloned();
    let between = definition.and_then(|it| it.each?.between);
    let Some(Between { probe, within }) = between else {
        return Err(StoreError::Corrupt(format!(
            "{} has no waves in step {}",
            claim.run,
            step + 1
        )));
    };
    let context = plan::step_context(&claim.plan, &claim.run.to_string(), state);
    let outcome = match plan::render_probe(&probe, &context) {
        Ok(probe) => {
            engine.store.renew_run(claim, within + LEASE_MARGIN).await?;
            look(engine, claim, "between", &probe, within).await?
        }
        Err(reason) => Some(Outcome::Failed { reason, retryable: false }),
    };
    let Some(outcome) = outcome else {
        engine.store.release_run(claim, Some(engine.clock.now())).await?;
        return Ok(false);
    };
    write(engine, claim, state, Event::Looked { step, item, outcome }, LEASE_MARGIN).await?;
    Ok(true)
}

/// Renders the undo of a step, or of an item of one, writes its intent, does it, writes the outcome.
pub async fn undo(engine: &Engine, claim: &mut Claim, state: &mut State, spot: Spot) -> Result<()> {
    let Spot { step, item } = spot;
    let definition = claim.plan.playbook.steps.get(step).cloned();
    let Some((undo, timeout)) = definition.and_then(|it| it.undo.map(|undo| (undo, it.timeout)))
    else {
        return Err(StoreError::Corrupt(format!("{} has no undo of step {}", claim.run, step + 1)));
    };
    let run = claim.run.to_string();
    let context = plan::spot_context(&claim.plan, &run, state, spot);
    let action = match plan::render_action(&undo, &context) {
        Ok(action) => action,
        Err(reason) => {
            let outcome = Outcome::Failed { reason, retryable: false };
            let ended = Event::UndoEnded { step, item, outcome };
            return write(engine, claim, state, ended, LEASE_MARGIN).await;
        }
    };
    // the kill switch stops undos too: nothing begins while it is set
    let library = engine.library.load_full();
    let subject = plan::subject_of(&claim.plan, &library.config.limits, state.last_at);
    if guard::pause(&subject, &facts::pauses(engine, &library).await?).is_some() {
        engine.pause(Duration::from_secs(1)).await;
        engine.store.renew_run(claim, LEASE_MARGIN).await?;
        return Ok(());
    }
    let key = format!("{}/undo", plan::key(&run, spot));
    let intent = Intent { action: Some(action), timeout, key };
    let started = Event::UndoStarted { step, item, intent: intent.clone() };
    write(engine, claim, state, started, timeout + LEASE_MARGIN).await?;
    let outcome = perform(engine, &intent).await;
    write(engine, claim, state, Event::UndoEnded { step, item, outcome }, LEASE_MARGIN).await
}

async fn perform(engine: &Engine, intent: &Intent) -> Outcome {
    let library = engine.library.load_full();
    let kind = intent.action.as_ref().map_or("none", |action| action.kind());
    engine.metrics.effect(kind);
    let config = &library.config;
    let outcome = act::perform(intent, &config.targets, &config.secrets).await;
    tracing::info!(key = intent.key, action = kind, ?outcome, "performed");
    outcome
}

async fn ended(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    spot: Spot,
    outcome: Outcome,
) -> Result<()> {
    let jitter = engine.clock.jitter();
    let ended = Event::StepEnded { step: spot.step, item: spot.item, outcome, jitter };
    write(engine, claim, state, ended, LEASE_MARGIN).await
}

fn failed(spot: Spot, reason: String) -> Event {
    let outcome = Outcome::Failed { reason, retryable: false };
    Event::StepEnded { step: spot.step, item: spot.item, outcome, jitter: 0 }
}

/// Observes until healthy, for at most `within`. `None` when the server stops before that is known.
async fn look(
    engine: &Engine,
    claim: &Claim,
    name: &str,
    probe: &Probe,
    within: Duration,
) -> Result<Option<Outcome>> {
    let Some(episode) = engine.store.episode(claim.plan.episode).await? else {
        return Err(StoreError::Corrupt(format!("{} has no episode", claim.run)));
    };
    let library = engine.library.load_full();
    let began = engine.clock.now();
    let mut tries = 0_u32;
    loop {
        let seen = facts::observe(engine, &library, probe, &episode).await;
        tries += 1;
        let took = since(engine.clock.now(), began);
        if seen.health == Health::Healthy {
            let again = if tries == 1 { String::new() } else { format!(" after {tries} tries") };
            return Ok(Some(Outcome::Done {
                summary: format!("{} healthy{again}: {}", probe.kind(), seen.measured),
                output: serde_json::json!({ "measured": seen.measured }),
            }));
        }
        if took >= within {
            return Ok(Some(Outcome::Failed {
                reason: format!(
                    "{name} not healthy within {}: {}",
                    crate::model::time::show_duration(within),
                    seen.measured
                ),
                retryable: true,
            }));
        }
        if engine.stop.is_cancelled() {
            return Ok(None);
        }
        engine.pause(LOOK_EVERY.min(within)).await;
    }
}

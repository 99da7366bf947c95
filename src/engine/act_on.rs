//! Performs steps and undos: still true, intent, effect, outcome.

use std::time::Duration;

use jiff::Timestamp;

use crate::act;
use crate::decide::condition;
use crate::decide::guard;
use crate::decide::machine::State;
use crate::decide::plan;
use crate::decide::window;
use crate::engine::Engine;
use crate::engine::facts;
use crate::engine::worker::write;
use crate::model::decision::Verdict;
use crate::model::playbook::Probe;
use crate::model::playbook::Step;
use crate::model::playbook::What;
use crate::model::rule::is_schedule;
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
        evidence_age: facts::evidence_age(&episode, now),
        truncated: episode.truncated,
        standing: crate::model::decision::Standing::NotAsked,
        // a remedy that has acted goes on to its end: half of it would be worse
        windows: if state.acted {
            Vec::new()
        } else {
            window::covering(&library.config.windows, &episode.labels, now)
        },
        precheck: None,
        runs: Vec::new(),
    };
    if episode.open && plan.remedy > 0 && guard::pause(&subject, &facts.pauses).is_none() {
        facts.standing = facts::standing(&library, &episode.source, &episode.labels).await;
        let acts_on_evidence = !state.acted && !is_schedule(&plan.rule);
        if let (Some(verify), true) = (&plan.verify, acts_on_evidence) {
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

/// Renders a step, writes its intent, does it, writes the outcome.
pub async fn begin(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    step: usize,
    attempt: u32,
) -> Result<()> {
    let Some(definition) = claim.plan.playbook.steps.get(step).cloned() else {
        return Err(StoreError::Corrupt(format!("{} has no step {}", claim.run, step + 1)));
    };
    let context = plan::step_context(&claim.plan, &claim.run.to_string(), state);
    if let Some(source) = &definition.condition {
        let event = match condition::evaluate_json(source, &context) {
            Ok(true) => None,
            Ok(false) => {
                Some(Event::StepSkipped { step, reason: format!("if: {source} is false") })
            }
            Err(error) => Some(failed(step, format!("if: {source}: {error}"))),
        };
        if let Some(event) = event {
            return write(engine, claim, state, event, LEASE_MARGIN).await;
        }
    }
    let key = format!("{}/{}", claim.run, step + 1);
    match &definition.what {
        What::Wait(_) => {
            let intent = Intent { action: None, timeout: Duration::ZERO, key };
            let started = Event::StepStarted { step, attempt, intent };
            write(engine, claim, state, started, LEASE_MARGIN).await
        }
        What::Action(action) => {
            let action = match plan::render_action(action, &context) {
                Ok(action) => action,
                Err(error) => {
                    return write(engine, claim, state, failed(step, error), LEASE_MARGIN).await;
                }
            };
            let intent = Intent { action: Some(action), timeout: definition.timeout, key };
            let lease = definition.timeout + LEASE_MARGIN;
            let started = Event::StepStarted { step, attempt, intent: intent.clone() };
            write(engine, claim, state, started, lease).await?;
            let outcome = perform(engine, &intent).await;
            ended(engine, claim, state, step, outcome).await
        }
        What::Probe { probe, within } => {
            let probe = match plan::render_probe(probe, &context) {
                Ok(probe) => probe,
                Err(error) => {
                    return write(engine, claim, state, failed(step, error), LEASE_MARGIN).await;
                }
            };
            let intent = Intent { action: None, timeout: *within, key };
            let started = Event::StepStarted { step, attempt, intent };
            write(engine, claim, state, started, *within + LEASE_MARGIN).await?;
            let outcome = look(engine, claim, &definition, &probe, *within).await?;
            ended(engine, claim, state, step, outcome).await
        }
    }
}

/// Renders the undo of a step, writes its intent, does it, writes the outcome.
pub async fn undo(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    step: usize,
) -> Result<()> {
    let definition = claim.plan.playbook.steps.get(step).cloned();
    let Some((undo, timeout)) = definition.and_then(|it| it.undo.map(|undo| (undo, it.timeout)))
    else {
        return Err(StoreError::Corrupt(format!("{} has no undo of step {}", claim.run, step + 1)));
    };
    let context = plan::step_context(&claim.plan, &claim.run.to_string(), state);
    let action = match plan::render_action(&undo, &context) {
        Ok(action) => action,
        Err(reason) => {
            let outcome = Outcome::Failed { reason, retryable: false };
            return write(engine, claim, state, Event::UndoEnded { step, outcome }, LEASE_MARGIN)
                .await;
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
    let key = format!("{}/{}/undo", claim.run, step + 1);
    let intent = Intent { action: Some(action), timeout, key };
    let started = Event::UndoStarted { step, intent: intent.clone() };
    write(engine, claim, state, started, timeout + LEASE_MARGIN).await?;
    let outcome = perform(engine, &intent).await;
    write(engine, claim, state, Event::UndoEnded { step, outcome }, LEASE_MARGIN).await
}

async fn perform(engine: &Engine, intent: &Intent) -> Outcome {
    let library = engine.library.load_full();
    let kind = intent.action.as_ref().map_or("none", |action| action.kind());
    engine.metrics.effect(kind);
    let outcome = act::perform(intent, &library.config.targets).await;
    tracing::info!(key = intent.key, action = kind, ?outcome, "performed");
    outcome
}

async fn ended(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    step: usize,
    outcome: Outcome,
) -> Result<()> {
    let jitter = engine.clock.jitter();
    write(engine, claim, state, Event::StepEnded { step, outcome, jitter }, LEASE_MARGIN).await
}

fn failed(step: usize, reason: String) -> Event {
    Event::StepEnded { step, outcome: Outcome::Failed { reason, retryable: false }, jitter: 0 }
}

/// Observes until healthy, for at most `within`.
async fn look(
    engine: &Engine,
    claim: &Claim,
    step: &Step,
    probe: &Probe,
    within: Duration,
) -> Result<Outcome> {
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
            return Ok(Outcome::Done {
                summary: format!("{} healthy{again}: {}", probe.kind(), seen.measured),
                output: serde_json::json!({ "measured": seen.measured }),
            });
        }
        if took >= within {
            return Ok(Outcome::Failed {
                reason: format!(
                    "{} not healthy within {}: {}",
                    step.name,
                    crate::model::time::show_duration(within),
                    seen.measured
                ),
                retryable: true,
            });
        }
        engine.pause(LOOK_EVERY.min(within)).await;
    }
}

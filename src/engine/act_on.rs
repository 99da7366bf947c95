//! Performs steps and undos: still true, intent, effect, outcome.

use std::time::Duration;

use crate::act::Prepared;
use crate::clock::Stopwatch;
use crate::decide::approval;
use crate::decide::credentials;
use crate::decide::guard;
use crate::decide::harm;
use crate::decide::machine;
use crate::decide::machine::Phase;
use crate::decide::machine::Spot;
use crate::decide::machine::State;
use crate::decide::notify;
use crate::decide::plan;
use crate::decide::stepping;
use crate::decide::stepping::Begin;
use crate::decide::stepping::Gate;
use crate::decide::stepping::Known;
use crate::decide::stepping::Recheck;
use crate::decide::stepping::StillTrue;
use crate::engine::Engine;
use crate::engine::facts;
use crate::engine::facts::About;
use crate::engine::lease::Lease;
use crate::engine::lease::margin;
use crate::engine::population;
use crate::engine::population::Look;
use crate::engine::worker::write;
use crate::model::action::Action;
use crate::model::probe::Probe;
use crate::model::run::Event;
use crate::model::run::Intent;
use crate::model::run::Observation;
use crate::model::run::Outcome;
use crate::model::time::since;
use crate::store::Result;
use crate::store::StoreError;
use crate::store::runs::Claim;

/// A worker that took longer than this from asking to acting may have been stopped meanwhile, and asks again: whether the run
/// is still its own, and whether people still let it. Far below the margin of leases.
const HESITATION: Duration = Duration::from_secs(1);
/// Time between two tries to write what came of an effect.
const RECORD_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Longest look at a target before an intent.
const PREPARE_WITHIN: Duration = Duration::from_secs(20);
/// Time between observations of a probe step.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks again, immediately before a step, whether it may begin.
pub async fn still_true(engine: &Engine, claim: &Claim, state: &State) -> Result<StillTrue> {
    let now = engine.clock.now();
    let library = engine.library.load_full();
    let plan = &claim.plan;
    let Some(episode) = engine.store.episode(plan.episode).await? else {
        return Err(StoreError::Corrupt(format!("{} has no episode", claim.run)));
    };
    let rule = library.all_rules().find(|rule| rule.name == plan.rule);
    let subject = plan::subject_of(plan, &library.config, rule.map(|it| &**it), episode.opened_at);
    let about = About { rule: &plan.rule, target: &plan.target, incident: plan.incident };
    let glance = &engine.store.glance().await?;
    let around = facts::circumstances(engine, &library, glance, about, now).await?;
    let files = library.in_force();
    if let Some(why) = approval::void(files, plan, state, &episode, around.glass.as_ref(), now) {
        return Ok(StillTrue::Stop(why));
    }
    let pauses = facts::pauses(engine, &library, glance).await?;
    let windows = &facts::windows(&library, glance).await?;
    let known = Known { windows, pauses, around };
    let Recheck { mut facts, standing, precheck, proofs, population } =
        stepping::recheck(plan, &subject, state, &episode, known, now);
    if standing {
        facts.standing = facts::standing(engine, &library, &episode.source, &episode.labels).await;
    }
    if let Some(probe) = &precheck {
        facts.precheck = Some(facts::observe(engine, &library, probe, &episode).await);
    }
    if let Some(rule) = rule.filter(|_| population) {
        facts.population = population::of(engine, &library, rule, &episode, Look::ToDecide).await?;
    }
    facts.proofs = facts::proofs(engine, &library, proofs, &episode).await;
    Ok(stepping::still_true(&subject, &facts, now))
}

/// Renders a step, or an item of one, writes its intent, does it, writes the outcome. `asked` was started before it was
/// last asked whether a person forbids it.
pub async fn begin(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    (spot, attempt): (Spot, u32),
    asked: Stopwatch,
) -> Result<()> {
    let Spot { step, item } = spot;
    let run = claim.run.to_string();
    let library = engine.library.load_full();
    let limits = &library.config.limits;
    let Some(begin) = stepping::begin(&claim.plan, &run, state, (spot, attempt), limits) else {
        return Err(StoreError::Corrupt(format!("{run} has no step {}", step + 1)));
    };
    let outcome = match begin {
        Begin::Write(event) => return write(engine, claim, state, event, margin()).await,
        Begin::Act(intent) => {
            return act(engine, claim, state, (spot, attempt), intent, asked).await;
        }
        Begin::Prepare(intent) => match prepare(engine, claim, intent).await? {
            Ok(intent) => {
                // what people said while the target was looked at is heard at the next turn
                let asked = engine.clock.stopwatch();
                if forbidden(engine, claim, state).await?.is_some() {
                    return Ok(());
                }
                return act(engine, claim, state, (spot, attempt), intent, asked).await;
            }
            Err(outcome) => outcome,
        },
        Begin::Look { intent, probe, within } => {
            let started = Event::StepStarted { step, item, attempt, intent };
            write(engine, claim, state, started, within + margin()).await?;
            match look(engine, claim, step, &probe, within).await? {
                Some(outcome) => outcome,
                None => return write(engine, claim, state, Event::Interrupted, margin()).await,
            }
        }
    };
    let ended = ended(engine, claim, state, spot, outcome);
    write(engine, claim, state, ended, margin()).await
}

/// Writes the intent of a step, does it, writes the outcome.
async fn act(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    (spot, attempt): (Spot, u32),
    intent: Intent,
    asked: Stopwatch,
) -> Result<()> {
    let Spot { step, item } = spot;
    let started = Event::StepStarted { step, item, attempt, intent: intent.clone() };
    let lease = match commit(engine, claim, state, started, &intent, asked).await? {
        Committed::Act(lease) => lease,
        Committed::AskAgain => return Ok(()),
        Committed::Forbidden(why) => {
            let reason = format!("it was not begun: {why}");
            let outcome = Outcome::Failed { reason, retryable: true };
            let ended = ended(engine, claim, state, spot, outcome);
            return write(engine, claim, state, ended, margin()).await;
        }
    };
    let outcome = perform(engine, claim, &intent, &lease).await;
    let ended = ended(engine, claim, state, spot, outcome);
    record(engine, claim, state, ended, &lease).await
}

/// The entry that says what a step, or an item of one, came to.
fn ended(engine: &Engine, claim: &Claim, state: &State, spot: Spot, outcome: Outcome) -> Event {
    stepping::ended(&claim.plan, state, spot, outcome, engine.clock.jitter())
}

/// What an action comes to that is not tried, because it would call out with a credential that was refused.
async fn withheld(engine: &Engine, claim: &Claim, intent: &Intent) -> Result<Option<Outcome>> {
    let denied = engine.store.denied().await?;
    let denied = denied.iter().map(|it| &*it.credential);
    let playbook = &claim.plan.playbook.name;
    Ok(credentials::withheld(playbook, intent.action.as_ref(), denied))
}

/// Looks at the target, which makes the intent absolute. The error is the outcome of the step: nothing was done, so it is never
/// unknown.
async fn prepare(
    engine: &Engine,
    claim: &mut Claim,
    intent: Intent,
) -> Result<std::result::Result<Intent, Outcome>> {
    let library = engine.library.load_full();
    let within = intent.timeout.min(PREPARE_WITHIN);
    engine.store.renew_run(claim, within + margin()).await?;
    let looking = engine.outside.prepare(
        engine.store.name(),
        &intent,
        within,
        &library.config.targets,
        engine.clock.now(),
    );
    Ok(match looking.await {
        Ok(Prepared { action, previous }) => {
            Ok(Intent { action: Some(action), previous: previous.map(Box::new), ..intent })
        }
        Err(Outcome::Unknown { reason }) => Err(Outcome::Failed { reason, retryable: true }),
        Err(outcome) => {
            let playbook = &claim.plan.playbook.name;
            Err(credentials::of_action(playbook, intent.action.as_ref(), outcome))
        }
    })
}

/// In mode observe, asks targets that can say it whether they would accept the steps, and writes what they said. A step whose
/// templates need what an earlier one came to is left out, and so are the items of a `for_each`.
pub async fn dry_runs(engine: &Engine, claim: &mut Claim, state: &mut State) -> Result<()> {
    let run = claim.run.to_string();
    for step in 0..claim.plan.playbook.steps.len() {
        if state.dry_runs.contains_key(&step) {
            continue;
        }
        let library = engine.library.load_full();
        let config = &library.config;
        let spot = Spot { step, item: None };
        let begin = stepping::begin(&claim.plan, &run, state, (spot, 1), &config.limits);
        let Some(Begin::Prepare(mut intent) | Begin::Act(mut intent)) = begin else { continue };
        // before the store is asked anything: most actions have none
        if !intent.action.as_ref().is_some_and(Action::has_dry_run)
            || withheld(engine, claim, &intent).await?.is_some()
        {
            continue;
        }
        intent.timeout = intent.timeout.min(PREPARE_WITHIN);
        engine.store.renew_run(claim, intent.timeout + margin()).await?;
        let now = engine.clock.now();
        let store = engine.store.name();
        let Some(outcome) = engine.outside.dry_run(store, &intent, &config.targets, now).await
        else {
            continue;
        };
        let playbook = &claim.plan.playbook.name;
        let outcome = credentials::of_action(playbook, intent.action.as_ref(), outcome);
        let Some(action) = intent.action.map(Box::new) else { continue };
        let said = Event::DryRun { step, action, outcome };
        write(engine, claim, state, said, margin()).await?;
    }
    Ok(())
}

/// Looks whether an item is still among what its step names; one that is not is left out, and that is written. The error says why
/// nobody knows: then it does not begin.
pub async fn still_among(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    spot: Spot,
) -> Result<std::result::Result<bool, String>> {
    let run = claim.run.to_string();
    let Some(query) = stepping::among(&claim.plan, &run, state, spot) else { return Ok(Ok(true)) };
    let library = engine.library.load_full();
    let found = match query {
        Ok(query) => facts::measure(engine, &library, &query).await,
        Err(reason) => Err(reason),
    };
    let found = match found {
        Ok(found) => found,
        Err(reason) => return Ok(Err(reason)),
    };
    let Some(event) = stepping::vanished(&claim.plan, state, spot, &found) else {
        return Ok(Ok(true));
    };
    write(engine, claim, state, event, margin()).await?;
    Ok(Ok(false))
}

/// Measures what must not get worse, and writes the baseline. The error says why it cannot be taken: then nothing begins.
pub async fn measure(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
) -> Result<std::result::Result<(), String>> {
    let library = engine.library.load_full();
    let unharmed = claim.plan.verify.as_ref().map_or(&[][..], |verify| &verify.unharmed);
    let measured = facts::measures(engine, &library, unharmed).await;
    match harm::baseline(unharmed, measured) {
        Ok(taken) => {
            write(engine, claim, state, Event::Baseline { taken }, margin()).await?;
            Ok(Ok(()))
        }
        Err(reason) => Ok(Err(reason)),
    }
}

/// Compares what must not get worse with what it was, and writes what that changes. Afterwards the run may be undoing.
pub async fn compare(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    lease: Duration,
) -> Result<Option<Observation>> {
    let (Some(verify), Some(baseline)) = (&claim.plan.verify, &state.baseline) else {
        return Ok(None);
    };
    let library = engine.library.load_full();
    let measured = facts::measures(engine, &library, &verify.unharmed).await;
    let seen = harm::compare(&verify.unharmed, baseline, measured);
    if let Some(event) = machine::comparison_event(state, seen.clone()) {
        write(engine, claim, state, event, lease).await?;
    }
    Ok(Some(seen))
}

/// Observes what must be healthy between two waves, and writes what was seen. Says false when the server stops.
pub async fn look_between(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    step: usize,
    item: usize,
) -> Result<bool> {
    let run = claim.run.to_string();
    let outcome = match stepping::between(&claim.plan, &run, state, step) {
        None => {
            return Err(StoreError::Corrupt(format!("{run} has no waves in step {}", step + 1)));
        }
        Some(Err(reason)) => Some(Outcome::Failed { reason, retryable: false }),
        Some(Ok(Gate { probe: Some(probe), within })) if !machine::is_guarded(&claim.plan) => {
            engine.store.renew_run(claim, within + margin()).await?;
            look(engine, claim, step, &probe, within).await?
        }
        Some(Ok(gate)) => match look_for_harm(engine, claim, state, step, &gate).await? {
            Gated::Over(outcome) => Some(outcome),
            Gated::Stopping => None,
            Gated::Harm => return Ok(true),
        },
    };
    let Some(outcome) = outcome else {
        engine.store.release_run(claim, Some(engine.clock.now())).await?;
        return Ok(false);
    };
    write(engine, claim, state, Event::Looked { step, item, outcome }, margin()).await?;
    Ok(true)
}

/// What looking between two waves came to.
enum Gated {
    /// The probe is healthy and nothing got worse, or that was not so for too long.
    Over(Outcome),
    /// Something got worse, which is written.
    Harm,
    /// The server stops.
    Stopping,
}

/// Looks until nothing got worse and the probe, if there is one, is healthy.
async fn look_for_harm(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    step: usize,
    gate: &Gate,
) -> Result<Gated> {
    let Gate { probe, within } = gate;
    let Some(episode) = engine.store.episode(claim.plan.episode).await? else {
        return Err(StoreError::Corrupt(format!("{} has no episode", claim.run)));
    };
    let steps = &claim.plan.playbook.steps;
    let name = steps.get(step).map_or_else(String::new, |step| step.name.clone());
    let kind = probe.as_ref().map_or("unharmed", |probe| probe.kind());
    let library = engine.library.load_full();
    let began = engine.clock.now();
    let mut tries = 0_u32;
    loop {
        let lease = *within + margin();
        engine.store.renew_run(claim, lease).await?;
        let harm = compare(engine, claim, state, lease).await?;
        if !matches!(state.phase, Phase::Looking { .. }) {
            return Ok(Gated::Harm);
        }
        let probed = match probe {
            Some(probe) => Some(facts::observe(engine, &library, probe, &episode).await),
            None => None,
        };
        tries += 1;
        let took = since(engine.clock.now(), began);
        let seen = stepping::at_gate(harm.as_ref(), probed);
        if let Some(outcome) = stepping::looked(&name, kind, &seen, tries, took, *within) {
            return Ok(Gated::Over(outcome));
        }
        if engine.stop.is_cancelled() {
            return Ok(Gated::Stopping);
        }
        engine.pause(LOOK_EVERY.min(*within)).await;
    }
}

/// Renders the undo of a step, or of an item of one, writes its intent, does it, writes the outcome.
pub async fn undo(engine: &Engine, claim: &mut Claim, state: &mut State, spot: Spot) -> Result<()> {
    let Spot { step, item } = spot;
    let run = claim.run.to_string();
    let Some(begin) = stepping::begin_undo(&claim.plan, &run, state, spot) else {
        return Err(StoreError::Corrupt(format!("{run} has no undo of step {}", step + 1)));
    };
    let intent = match begin {
        Begin::Write(event) => return write(engine, claim, state, event, margin()).await,
        Begin::Act(intent) | Begin::Prepare(intent) | Begin::Look { intent, .. } => intent,
    };
    // the kill switch stops undos too: nothing begins while it is set
    let mut asked = engine.clock.stopwatch();
    if is_paused(engine, claim, state).await?.is_some() {
        engine.pause(Duration::from_secs(1)).await;
        engine.store.renew_run(claim, margin()).await?;
        return Ok(());
    }
    if let Some(outcome) = withheld(engine, claim, &intent).await? {
        let event = Event::UndoEnded { step, item, outcome };
        return write(engine, claim, state, event, margin()).await;
    }
    let started = Event::UndoStarted { step, item, intent: intent.clone() };
    if asked.elapsed() > HESITATION {
        return Ok(());
    }
    let lasts = intent.timeout + margin();
    let mut lease = Lease::begin(&engine.clock, lasts);
    write(engine, claim, state, started, lasts).await?;
    // it is begun as far as anybody can know, so that it waits for the end of a pause
    while asked.elapsed() > HESITATION {
        (lease, asked) = renew(engine, claim, lasts).await?;
        if is_paused(engine, claim, state).await?.is_some() {
            engine.pause(2 * HESITATION).await;
        }
    }
    let outcome = perform(engine, claim, &intent, &lease).await;
    record(engine, claim, state, Event::UndoEnded { step, item, outcome }, &lease).await
}

/// Writes what came of an effect, and tries again while the lease lasts: a database that is restarted or fails over in the
/// middle of a step must not make a question to people of what is known here.
async fn record(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    ended: Event,
    lease: &Lease,
) -> Result<()> {
    loop {
        // one that was written although its answer got lost is fenced by its own number
        match write(engine, claim, state, ended.clone(), margin()).await {
            Err(StoreError::Database(error)) if !lease.is_over() => {
                tracing::debug!(run = %claim.run, %error, "the outcome could not be written; trying again");
                engine.outside.sleep(RECORD_AGAIN_AFTER).await;
            }
            written => return written,
        }
    }
}

/// What follows from an intent.
enum Committed {
    /// It is written, and the effect may begin: under this lease.
    Act(Lease),
    /// Nothing is written: what was asked before is too long ago.
    AskAgain,
    /// It is written, and a person forbids it now: why.
    Forbidden(String),
}

/// Writes an intent with a lease that outlives its effect. A process that was stopped since it asked, or whose database was,
/// finds out here that another has the run ([`StoreError::Fenced`]), or that a person forbids it; then nothing is done.
async fn commit(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    started: Event,
    intent: &Intent,
    mut asked: Stopwatch,
) -> Result<Committed> {
    // the wall clock may have been set since; a stopwatch counts through
    if asked.elapsed() > HESITATION {
        return Ok(Committed::AskAgain);
    }
    let lasts = intent.timeout + margin();
    let mut lease = Lease::begin(&engine.clock, lasts);
    write(engine, claim, state, started, lasts).await?;
    while asked.elapsed() > HESITATION {
        (lease, asked) = renew(engine, claim, lasts).await?;
        if let Some(why) = forbidden(engine, claim, state).await? {
            return Ok(Committed::Forbidden(why));
        }
    }
    Ok(Committed::Act(lease))
}

/// The lease that outlives an effect once more, counted from before it is written; and the time since.
async fn renew(engine: &Engine, claim: &mut Claim, lasts: Duration) -> Result<(Lease, Stopwatch)> {
    let renewed = (Lease::begin(&engine.clock, lasts), engine.clock.stopwatch());
    engine.store.renew_run(claim, lasts).await?;
    Ok(renewed)
}

/// Why a person does not want that the run acts now, if one does not: the last that is asked before an intent, because all
/// else may have taken a while.
pub async fn forbidden(engine: &Engine, claim: &Claim, state: &State) -> Result<Option<String>> {
    if engine.store.stop_requested(claim.run).await?.is_some() {
        return Ok(Some("a person stopped the run".to_owned()));
    }
    is_paused(engine, claim, state).await
}

async fn is_paused(engine: &Engine, claim: &Claim, state: &State) -> Result<Option<String>> {
    let library = engine.library.load_full();
    let subject = plan::subject_of(&claim.plan, &library.config, None, state.last_at);
    let glance = engine.store.glance().await?;
    let pauses = facts::pauses(engine, &library, &glance).await?;
    Ok(guard::pause(&subject, &pauses).map(|pause| format!("{} paused {}", pause.by, pause.scope)))
}

/// Does it, and lets go of it before its lease ends.
async fn perform(engine: &Engine, claim: &Claim, intent: &Intent, lease: &Lease) -> Outcome {
    let plan = &claim.plan;
    let library = engine.library.load_full();
    let kind = intent.action.as_ref().map_or("none", |action| action.kind());
    engine.metrics.effect(kind);
    let config = &library.config;
    // it is told by what is written of it
    if let Some(Action::Notify(notify)) = &intent.action {
        return notify::outcome(config, notify);
    }
    let secrets = plan::secrets(plan)
        .filter_map(|name| Some((name.to_owned(), config.secrets.get(name)?.clone())))
        .collect();
    let effect = engine.outside.perform(
        engine.store.name(),
        intent,
        claim.attempt,
        &config.targets,
        &secrets,
    );
    let outcome = lease.bounds(effect).await.unwrap_or_else(|| Outcome::Unknown {
        reason: "quell was stopped in the middle of it for so long that another may do it; it was let go of"
            .into(),
    });
    let outcome = credentials::of_action(&plan.playbook.name, intent.action.as_ref(), outcome);
    tracing::info!(key = intent.key, action = kind, ?outcome, "performed");
    outcome
}

/// Observes until healthy, for at most `within`. `None` when the server stops before that is known.
async fn look(
    engine: &Engine,
    claim: &Claim,
    step: usize,
    probe: &Probe,
    within: Duration,
) -> Result<Option<Outcome>> {
    let Some(episode) = engine.store.episode(claim.plan.episode).await? else {
        return Err(StoreError::Corrupt(format!("{} has no episode", claim.run)));
    };
    let name = claim.plan.playbook.steps.get(step).map_or("?", |step| step.name.as_str());
    let library = engine.library.load_full();
    let began = engine.clock.now();
    let mut tries = 0_u32;
    loop {
        let seen = facts::observe(engine, &library, probe, &episode).await;
        tries += 1;
        let took = since(engine.clock.now(), began);
        if let Some(outcome) = stepping::looked(name, probe.kind(), &seen, tries, took, within) {
            let playbook = &claim.plan.playbook.name;
            return Ok(Some(credentials::of_probe(playbook, probe, outcome)));
        }
        if engine.stop.is_cancelled() {
            return Ok(None);
        }
        engine.pause(LOOK_EVERY.min(within)).await;
    }
}

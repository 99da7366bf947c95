//! Claims a due run, folds its journal, and does what its state asks for, one effect at a time.
//!
//! Intent before effect: what a step will do is in the journal before it is done, and its outcome after. A run whose
//! worker died is claimed again when its lease ends; the fold says what was in flight, and the step's `on_unknown`
//! says what follows. The lease always outlives the effect it covers.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::decide::approval;
use crate::decide::audience;
use crate::decide::guard;
use crate::decide::harm;
use crate::decide::machine;
use crate::decide::machine::Effect;
use crate::decide::machine::Phase;
use crate::decide::machine::State;
use crate::decide::notify;
use crate::decide::stepping;
use crate::decide::stepping::Held;
use crate::decide::stepping::Hold;
use crate::decide::stepping::StillTrue;
use crate::engine;
use crate::engine::Engine;
use crate::engine::WORKERS;
use crate::engine::act_on;
use crate::engine::credentials;
use crate::engine::facts;
use crate::engine::facts::About;
use crate::engine::lease;
use crate::engine::people;
use crate::engine::queue;
use crate::engine::trust;
use crate::model::incident::Owed;
use crate::model::run::Entry;
use crate::model::run::Event;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Stop;
use crate::model::time::after;
use crate::store::Result;
use crate::store::StoreError;
use crate::store::runs::Claim;
use crate::store::runs::Row;

/// Time between observations while verification watches.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The loop.
pub async fn run(engine: Engine) {
    let slots = Arc::new(Semaphore::new(WORKERS));
    while !engine.stop.is_cancelled() {
        let Some(mut free) = engine::free(&slots).await else { return };
        match engine.store.claim_runs(&engine.owner, lease::claimed(), free.num_permits()).await {
            Ok(all) if all.is_empty() => engine.idle(&engine.wake.work).await,
            Ok(all) => {
                for claim in all {
                    let (slot, engine) = (free.split(1), engine.clone());
                    engine.tasks.clone().spawn(async move {
                        match claim {
                            Ok(claim) => work(&engine, claim).await,
                            Err(error) => engine.trouble("worker", &error).await,
                        }
                        drop(slot);
                    });
                }
            }
            Err(error) => engine.trouble("worker", &error).await,
        }
        engine.turned("worker");
    }
}

/// Works on a claimed run until it waits, ends, is taken over, or the server stops.
pub(super) async fn work(engine: &Engine, mut claim: Claim) {
    let run = claim.run;
    match advance(engine, &mut claim).await {
        Ok(()) => {}
        Err(StoreError::Fenced) => tracing::warn!(%run, "another worker has taken the run over"),
        Err(error) => {
            tracing::error!(%run, %error, "the run waits: its journal could not be read or written");
            engine.metrics.store_errors.inc();
            // without a journal there is no effect; the lease brings the run back
        }
    }
    engine.wake.intake.notify_one();
    engine.wake.deliver.notify_one();
}

async fn advance(engine: &Engine, claim: &mut Claim) -> Result<()> {
    let mut state = machine::fold(&claim.plan, &claim.entries)
        .map_err(|illegal| StoreError::Corrupt(format!("journal of {}: {illegal}", claim.run)))?;
    // a run that is being verified is not let go of but by a process that ends: nobody has watched since
    if matches!(state.phase, Phase::Verifying { .. }) {
        write(engine, claim, &mut state, Event::Interrupted, lease::claimed()).await?;
    }
    loop {
        engine.store.tell_run_of_jumps(claim, &mut state, lease::claimed()).await?;
        let now = engine.clock.now();
        let effect = machine::next(&claim.plan, &state, now);
        if stepping::may_stop(&state)
            && let Some(why) = engine.store.stop_requested(claim.run).await?
        {
            write(engine, claim, &mut state, Event::Stopped { why }, lease::claimed()).await?;
            continue;
        }
        match effect {
            Effect::Over => return engine.store.release_run(claim, None).await,
            Effect::AskPerson => {
                if !waits_on(engine, claim, &mut state).await? {
                    return engine.store.release_run(claim, None).await;
                }
            }
            Effect::Sleep { until } => {
                if !waits_on(engine, claim, &mut state).await? {
                    return engine.store.release_run(claim, Some(until)).await;
                }
            }
            Effect::Write(event) => {
                if event == Event::Observed {
                    act_on::dry_runs(engine, claim, &mut state).await?;
                }
                write(engine, claim, &mut state, event, lease::claimed()).await?;
            }
            Effect::Begin { .. } | Effect::Measure | Effect::Undo { .. }
                if engine.stop.is_cancelled() =>
            {
                return engine.store.release_run(claim, Some(now)).await;
            }
            Effect::Measure => match may_begin(engine, claim, &mut state, now).await? {
                Begins::Now => {
                    if let Err(reason) = act_on::measure(engine, claim, &mut state).await? {
                        let until = after(now, guard::AGAIN_AFTER);
                        let held = Hold { until, guard: harm::NAME, reason: &reason };
                        if hold(engine, claim, &mut state, held, now).await? {
                            return Ok(());
                        }
                    }
                }
                Begins::Stopped => {}
                Begins::Held => return Ok(()),
            },
            Effect::Begin { spot, attempt } => {
                match may_begin(engine, claim, &mut state, now).await? {
                    Begins::Now => {
                        match act_on::still_among(engine, claim, &mut state, spot).await? {
                            Ok(true) => {
                                let asked = engine.clock.stopwatch();
                                // what people said while the outside was asked is heard at the next turn
                                if act_on::forbidden(engine, claim, &state).await?.is_none() {
                                    let spot = (spot, attempt);
                                    act_on::begin(engine, claim, &mut state, spot, asked).await?;
                                }
                            }
                            Ok(false) => {}
                            Err(reason) => {
                                let until = after(now, guard::AGAIN_AFTER);
                                let held = Hold { until, guard: guard::TARGET, reason: &reason };
                                if hold(engine, claim, &mut state, held, now).await? {
                                    return Ok(());
                                }
                            }
                        }
                    }
                    Begins::Stopped => {}
                    Begins::Held => return Ok(()),
                }
            }
            Effect::ReadBack => {
                let seen = observe(engine, claim).await?;
                write(engine, claim, &mut state, Event::ReadBack { seen }, lease::claimed())
                    .await?;
            }
            Effect::Verify => {
                if !watch(engine, claim, &mut state).await? {
                    return Ok(());
                }
            }
            Effect::Look { step, item } => {
                if !act_on::look_between(engine, claim, &mut state, step, item).await? {
                    return Ok(());
                }
            }
            Effect::Undo { spot } => act_on::undo(engine, claim, &mut state, spot).await?,
        }
    }
}

/// Whether a step may begin.
enum Begins {
    /// Yes.
    Now,
    /// No, and that is written.
    Stopped,
    /// Not now: the run is let go of.
    Held,
}

/// Asks the guards again, and writes or does what they say.
async fn may_begin(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    now: Timestamp,
) -> Result<Begins> {
    match act_on::still_true(engine, claim, state).await? {
        StillTrue::Go => Ok(Begins::Now),
        StillTrue::Stop(why) => {
            write(engine, claim, state, Event::Stopped { why }, lease::claimed()).await?;
            Ok(Begins::Stopped)
        }
        StillTrue::Hold { until, guard, reason } => {
            let held = Hold { until, guard: &guard, reason: &reason };
            let held = hold(engine, claim, state, held, now).await?;
            Ok(if held { Begins::Held } else { Begins::Stopped })
        }
    }
}

/// Lets a run go until it may be tried again, or ends the wait; says whether it is held.
async fn hold(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    hold: Hold<'_>,
    now: Timestamp,
) -> Result<bool> {
    let until = match stepping::held(&claim.plan, state, hold, now) {
        Held::Until(until) => until,
        Held::Over(event) => {
            write(engine, claim, state, *event, lease::claimed()).await?;
            return Ok(false);
        }
    };
    let Hold { guard, reason, .. } = hold;
    tracing::debug!(run = %claim.run, guard, reason, "held before a step");
    if guard == guard::KILL_SWITCH {
        page(engine, claim, reason).await?;
    }
    engine.store.release_run(claim, Some(until)).await?;
    Ok(true)
}

/// A run that waits for a person or a time stops waiting when its alert has resolved, when what it proposes is no longer
/// what would be done, or when nobody has to approve it any more; says whether it did.
async fn waits_on(engine: &Engine, claim: &mut Claim, state: &mut State) -> Result<bool> {
    if !stepping::waits_for_alert(&claim.plan, state) {
        return Ok(false);
    }
    let Some(episode) = engine.store.episode(claim.plan.episode).await? else { return Ok(false) };
    let event = if !episode.open {
        Some(Event::Stopped { why: Stop::Resolved })
    } else if state.phase == Phase::AwaitingApproval {
        let (plan, now) = (&claim.plan, engine.clock.now());
        let about = About { rule: &plan.rule, target: &plan.target, incident: plan.incident };
        let glass = facts::glass(&engine.store.glance().await?, about, now).await?;
        let library = engine.library.load_full();
        approval::while_waiting(library.in_force(), plan, &episode, glass.as_ref(), now)
    } else {
        None
    };
    let Some(event) = event else { return Ok(false) };
    write(engine, claim, state, event, lease::claimed()).await?;
    Ok(true)
}

/// One observation of the verification, and the time until the next. False when the server stops.
async fn watch(engine: &Engine, claim: &mut Claim, state: &mut State) -> Result<bool> {
    act_on::compare(engine, claim, state, lease::claimed()).await?;
    if !matches!(state.phase, Phase::Verifying { .. }) {
        return Ok(true);
    }
    let seen = observe(engine, claim).await?;
    let now = engine.clock.now();
    if let Some(event) = machine::verification_event(&claim.plan, state, seen, now) {
        write(engine, claim, state, event, lease::claimed()).await?;
        if !matches!(state.phase, Phase::Verifying { .. }) {
            return Ok(true);
        }
    } else {
        engine.store.renew_run(claim, lease::claimed()).await?;
    }
    engine.pause(WATCH_EVERY).await;
    if engine.stop.is_cancelled() {
        engine.store.release_run(claim, Some(engine.clock.now())).await?;
        return Ok(false);
    }
    Ok(true)
}

/// Asks the run's verification once.
async fn observe(engine: &Engine, claim: &Claim) -> Result<Observation> {
    let library = engine.library.load_full();
    let unknown = |why: &str| Observation {
        health: Health::Unknown,
        measured: why.to_owned(),
        denied: false,
    };
    let Some(verify) = &claim.plan.verify else { return Ok(unknown("there is no verification")) };
    let Some(episode) = engine.store.episode(claim.plan.episode).await? else {
        return Ok(unknown("the episode is not stored"));
    };
    Ok(facts::observe(engine, &library, &verify.probe, &episode).await)
}

/// Appends an event with what it leaves in the row and the notices it owes, and applies it to the state.
pub(super) async fn write(
    engine: &Engine,
    claim: &mut Claim,
    state: &mut State,
    event: Event,
    lease: Duration,
) -> Result<()> {
    engine.store.tell_run_of_jumps(claim, state, lease).await?;
    let now = engine.clock.now();
    // the state after the event decides what is written with it, so it is applied first
    let entry = Entry { seq: state.seq + 1, at: now, event };
    let after_event = machine::apply(&claim.plan, state.clone(), &entry)
        .map_err(|illegal| StoreError::Corrupt(illegal.to_string()))?;
    let summary = after_event.summary();
    let row = Row {
        state: summary,
        outcome: stepping::outcome(&claim.plan, &after_event),
        inconclusive: after_event.inconclusive,
        due_at: (!summary.is_final()).then(|| after(now, lease)),
    };
    let owed = owed(engine, claim, state, &after_event, &entry.event, now).await?;
    let refusals = credentials::refusals(engine, &entry.event);
    if summary.is_final() {
        trust::end(engine, claim, entry, &row, owed, &refusals).await?;
    } else {
        engine.store.append_denied(claim, entry, &row, owed, &refusals).await?;
    }
    if !refusals.is_empty() {
        let names: Vec<&str> = refusals.iter().map(|it| &*it.credential).collect();
        tracing::error!(run = %claim.run, credentials = names.join(", "),
            "a credential was refused; what uses it waits until a person clears it");
        engine.wake.watch.notify_one();
    }
    *state = after_event;
    engine.metrics.event();
    if summary.is_final() {
        engine.metrics.run_ended(summary.as_str());
        tracing::info!(run = %claim.run, incident = %claim.plan.incident, state = summary.as_str(),
            outcome = row.outcome, "run ended");
        // the run has ended whether or not who waits for it hears it now
        if let Err(error) = queue::let_next(engine, &claim.plan.target).await {
            tracing::debug!(%error, "who waits for a run to end was not woken");
        }
    }
    Ok(())
}

/// Notices for a run that ended or waits for a person, and what a step says itself. What did nothing is not told: its decision was.
async fn owed(
    engine: &Engine,
    claim: &Claim,
    before: &State,
    state: &State,
    event: &Event,
    now: Timestamp,
) -> Result<Vec<Owed>> {
    let says = notify::says(&claim.plan, event);
    if !says && !stepping::is_news(before, state) {
        return Ok(Vec::new());
    }
    let Some(incident) = engine.store.incident(claim.plan.incident).await? else {
        return Ok(Vec::new());
    };
    let run = claim.run.to_string();
    let library = engine.library.load_full();
    let mut owed = notify::owed(&library.config, &incident, &run, &claim.plan, event, now);
    let notice = stepping::news(&incident, &run, &claim.plan, before, state, now);
    owed.extend(notice.map(|it| audience::owed(&library.config, &it, false)).unwrap_or_default());
    people::held(engine, &library, &incident, owed).await
}

/// Sends the page of the run's incident, if it is held: automation is paused, so nothing is tried.
async fn page(engine: &Engine, claim: &Claim, reason: &str) -> Result<()> {
    let Some(incident) = engine.store.incident(claim.plan.incident).await? else { return Ok(()) };
    let library = engine.library.load_full();
    people::page(engine, &library, &incident, &format!("quell does not act: {reason}")).await
}

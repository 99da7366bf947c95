//! Workers on the model of the store, one operation at a time, and the world around them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::decide::machine;
use crate::decide::machine::Effect;
use crate::decide::machine::Phase;
use crate::decide::machine::Spot;
use crate::decide::stepping;
use crate::engine::tests::protocol::store::Claim;
use crate::engine::tests::protocol::store::Model;
use crate::engine::tests::protocol::store::Refused;
use crate::engine::tests::protocol::store::Tick;
use crate::model::action::Action;
use crate::model::action::Command;
use crate::model::incident::EpisodeId;
use crate::model::incident::IncidentId;
use crate::model::labels::Labels;
use crate::model::playbook::Mode;
use crate::model::playbook::OnFailure;
use crate::model::playbook::OnUnknown;
use crate::model::playbook::Retry;
use crate::model::playbook::Step;
use crate::model::playbook::Undo;
use crate::model::playbook::Verification;
use crate::model::playbook::What;
use crate::model::probe::Probe;
use crate::model::run::Event;
use crate::model::run::Health;
use crate::model::run::Intent;
use crate::model::run::Observation;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::run::Stop;

/// Of a claim with nothing in flight, and of an intent; an effect ends within one tick.
const LEASE: Tick = 2;
const FLIGHT: Tick = 1;

/// Where a worker is between two operations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Pc {
    /// About to ask the machine. `fresh`: it has just claimed the run.
    Decide { fresh: bool },
    /// It asked whether this may begin, and it may.
    Asked { spot: Spot, attempt: u32, undo: bool },
    /// The intent is written, or the claim renewed after it.
    Wrote,
    /// It looked at its watch: the next is the request.
    Acts,
    /// The request is under way; it went out through the gap, or not.
    Acting { by_gap: bool },
    /// It has an outcome to write.
    Ended(&'static str),
}

/// A worker at a run.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    pub(super) claim: Claim,
    pub(super) pc: Pc,
    /// Time passed since it came here.
    pub(super) late: bool,
}

/// Something under way at the target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Flight {
    run: usize,
    left: Tick,
    /// It came through the gap.
    by_gap: bool,
}

/// Everything.
#[derive(Debug, Clone)]
pub(super) struct System {
    pub(super) store: Model,
    pub(super) workers: Vec<Option<Worker>>,
    flights: Vec<Flight>,
    /// What was done, by run; undos apart.
    pub(super) done: Vec<u8>,
    /// An effect came through the gap.
    pub(super) gap: bool,
    /// Ticks since a person stopped the run, and since the kill switch was set.
    stopped: Vec<Option<Tick>>,
    paused: Option<Tick>,
    /// Whether the alert fires, by episode.
    pub(super) open: Vec<bool>,
    /// An undo failed, or nobody knows, by run.
    pub(super) undo_failed: Vec<bool>,
    /// What may still happen.
    pub(super) budget: Budget,
}

/// How often each thing from outside may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) crashes: u8,
    pub(super) cancels: u8,
    pub(super) pauses: u8,
    pub(super) letters: u8,
}

/// What the walk may vary.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) workers: usize,
    pub(super) runs: usize,
    pub(super) budget: Budget,
    /// The target compares fencing tokens.
    pub(super) fences: bool,
}

/// Instants do not matter to these plans: nothing waits.
pub(super) fn at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn action(name: &str) -> Action {
    Action::Command(Command { argv: vec![name.to_owned()], ..Command::default() })
}

/// So many plans for one target, one step with an undo each: in mode auto, and every second awaits approval.
pub(super) fn plans(on_unknown: OnUnknown, count: usize) -> Vec<Plan> {
    let step = Step {
        name: "step".into(),
        what: What::Action(action("do")),
        condition: None,
        each: None,
        hold: None,
        timeout: Duration::from_secs(1),
        retry: Retry::default(),
        on_failure: OnFailure::Abort,
        on_unknown,
        undo: Some(Undo::Action(Box::new(action("undo")))),
        line: 1,
    };
    let plan = |number: usize| Plan {
        incident: IncidentId(1),
        episode: EpisodeId(i64::try_from(number).unwrap() + 1),
        fingerprint: number.to_string(),
        rule: format!("{on_unknown:?}"),
        remedy: 1,
        remedies: 1,
        target: "target".into(),
        mode: if number.is_multiple_of(2) { Mode::Auto } else { Mode::Approve },
        tier: 1,
        approvals: 1,
        proposed_by: String::new(),
        lists: BTreeMap::new(),
        playbook: machine::tests::playbook(vec![step.clone()]),
        parameters: BTreeMap::new(),
        labels: Labels::default(),
        annotations: Labels::default(),
        verify: Some(Verification {
            probe: Probe::Alert,
            within: Duration::ZERO,
            hold: Duration::ZERO,
            unharmed: Vec::new(),
        }),
        glass: None,
        group: String::new(),
        left_version: String::new(),
        approve_until: None,
        rules_digest: String::new(),
        taken: serde_json::Map::new(),
    };
    (0..count).map(plan).collect()
}

fn seen(health: Health) -> Observation {
    Observation { health, measured: String::new(), denied: false }
}

fn outcome(word: &str) -> Outcome {
    match word {
        "done" => Outcome::Done { summary: String::new(), output: serde_json::Value::Null },
        "failed" => Outcome::Failed { reason: String::new(), retryable: false },
        _ => Outcome::Unknown { reason: String::new() },
    }
}

impl System {
    pub(super) fn new(setting: Setting) -> Self {
        let Setting { workers, runs, budget, .. } = setting;
        Self {
            store: Model::new(),
            workers: vec![None; workers],
            flights: Vec::new(),
            done: vec![0; runs],
            gap: false,
            stopped: vec![None; runs],
            paused: None,
            open: vec![false; runs],
            undo_failed: vec![false; runs],
            budget,
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Everything that a worker may do next, and what it leads to.
    pub(super) fn works(&self, plans: &[Plan], fences: bool, who: usize) -> Vec<(String, Self)> {
        let Some(worker) = &self.workers[who] else { return self.claims(who) };
        let Worker { claim, pc, late } = worker;
        let plan = &plans[self.store.rows[claim.run].plan];
        match pc {
            Pc::Decide { fresh } => self.decides(plans, plan, who, *fresh),
            // what it was told may no longer be true
            Pc::Asked { .. } if *late => {
                vec![self.goes_to(who, Pc::Decide { fresh: false }, "asks again")]
            }
            Pc::Asked { spot, attempt, undo } => {
                let key = String::new();
                let intent = Intent { action: None, previous: None, timeout: Duration::ZERO, key };
                let Spot { step, item } = *spot;
                let event = if *undo {
                    Event::UndoStarted { step, item, intent }
                } else {
                    Event::StepStarted { step, item, attempt: *attempt, intent }
                };
                vec![self.writes(plans, who, event, Pc::Wrote)]
            }
            Pc::Wrote if *late => {
                let mut then = self.clone();
                let undo = matches!(claim.state.phase, Phase::UndoInFlight { .. });
                let stopped = self.store.rows[claim.run].cancelled && !undo;
                match then.store.renew(claim, LEASE) {
                    // an undo that is begun waits
                    Ok(()) if undo && self.paused.is_some() => vec![("waits".into(), then)],
                    Ok(()) if stopped || self.paused.is_some() => {
                        vec![then.goes_to(who, Pc::Ended("failed"), "does not begin")]
                    }
                    Ok(()) => vec![then.goes_to(who, Pc::Wrote, "renews")],
                    Err(_) => vec![then.lets_go(who, "is fenced")],
                }
            }
            Pc::Wrote => vec![self.goes_to(who, Pc::Acts, "looks at its watch")],
            Pc::Acts => self.acts(plan, fences, who, *late),
            Pc::Acting { by_gap } => {
                // with its answer, or without one in time, the request is over
                let mut then = self.clone();
                if let Some(mine) =
                    then.flights.iter().position(|it| (it.run, it.by_gap) == (claim.run, *by_gap))
                {
                    then.flights.remove(mine);
                }
                ["done", "failed", "unknown"]
                    .map(|word| then.goes_to(who, Pc::Ended(word), word))
                    .to_vec()
            }
            Pc::Ended(word) => {
                let outcome = outcome(word);
                let event = match &claim.state.phase {
                    Phase::UndoInFlight { spot, .. } => {
                        Event::UndoEnded { step: spot.step, item: spot.item, outcome }
                    }
                    _ => Event::StepEnded { step: 0, item: None, outcome, jitter: 0 },
                };
                vec![self.writes(plans, who, event, Pc::Decide { fresh: false })]
            }
        }
    }

    fn claims(&self, who: usize) -> Vec<(String, Self)> {
        let mut then = self.clone();
        let Some(claim) = then.store.claim("worker", LEASE) else { return Vec::new() };
        let words = format!("{who} claims {} #{}", claim.run, claim.attempt);
        then.workers[who] = Some(Worker { claim, pc: Pc::Decide { fresh: true }, late: false });
        vec![(words, then)]
    }

    /// `advance`: first whether it must stop, then what the machine asks for.
    fn decides(&self, plans: &[Plan], plan: &Plan, who: usize, fresh: bool) -> Vec<(String, Self)> {
        let claim = &self.workers[who].as_ref().unwrap().claim;
        let (run, state) = (claim.run, &*claim.state);
        let next = Pc::Decide { fresh: false };
        let write = |event| vec![self.writes(plans, who, event, next.clone())];
        if fresh && matches!(state.phase, Phase::Verifying { .. }) {
            return write(Event::Interrupted);
        }
        if stepping::may_stop(state) && self.store.rows[run].cancelled {
            return write(Event::Stopped { why: Stop::Cancelled { by: String::new() } });
        }
        let closed = !self.open[run];
        match machine::next(plan, state, at()) {
            Effect::Over => vec![self.releases(who, None)],
            Effect::AskPerson | Effect::Sleep { .. } => {
                if closed && stepping::waits_for_alert(plan, state) {
                    return write(Event::Stopped { why: Stop::Resolved });
                }
                vec![self.releases(who, None)]
            }
            Effect::Write(event) => write(event),
            Effect::Begin { .. } if closed => write(Event::Stopped { why: Stop::Resolved }),
            Effect::Begin { .. } if self.paused.is_some() => {
                vec![self.releases(who, Some(self.store.now + 1))]
            }
            Effect::Begin { spot, attempt } => {
                vec![self.goes_to(who, Pc::Asked { spot, attempt, undo: false }, "may begin")]
            }
            Effect::Undo { .. } if self.paused.is_some() => {
                let mut then = self.clone();
                match then.store.renew(claim, LEASE) {
                    Ok(()) => vec![then.goes_to(who, next, "waits")],
                    Err(_) => vec![then.lets_go(who, "is fenced")],
                }
            }
            Effect::Undo { spot } => {
                vec![self.goes_to(who, Pc::Asked { spot, attempt: 0, undo: true }, "may undo")]
            }
            Effect::ReadBack => {
                // the target says the truth, or nothing
                let truth = if self.done[run] > 0 { Health::Healthy } else { Health::Unhealthy };
                let seen = [truth, Health::Unknown].map(seen);
                seen.map(|seen| self.writes(plans, who, Event::ReadBack { seen }, next.clone()))
                    .to_vec()
            }
            Effect::Verify => [Health::Healthy, Health::Unhealthy, Health::Unknown]
                .into_iter()
                .filter_map(|health| machine::verification_event(plan, state, seen(health), at()))
                .map(|event| self.writes(plans, who, event, next.clone()))
                .collect(),
            Effect::Measure | Effect::Look { .. } => panic!("nothing of this is in the plans"),
        }
    }

    /// The request goes out.
    fn acts(&self, plan: &Plan, fences: bool, who: usize, late: bool) -> Vec<(String, Self)> {
        let claim = &self.workers[who].as_ref().unwrap().claim;
        let run = claim.run;
        let row = &self.store.rows[run];
        let stale = row.attempt != claim.attempt;
        assert!(!stale || late, "a worker whose run was taken over acts, and was not in the gap");
        let undo = matches!(claim.state.phase, Phase::UndoInFlight { .. });
        if !late {
            assert!(!row.is_final(), "an effect after the end");
            let flies =
                matches!(row.state.phase, Phase::InFlight { .. } | Phase::UndoInFlight { .. });
            assert!(flies, "an effect without an intent");
            let stopped = self.stopped[run].is_some_and(|ago| ago > 0) && !undo;
            assert!(!stopped, "an effect more than a tick after its run was stopped");
            let paused = self.paused.is_some_and(|ago| ago > 0);
            assert!(!paused, "an effect more than a tick after the kill switch");
            let busy = self.flights.iter().any(|it| !it.by_gap);
            assert!(!busy, "two effects in flight on {}", plan.target);
        }
        let mut then = self.clone();
        if stale && fences {
            return vec![then.lets_go(who, "is refused by the target")];
        }
        then.gap |= late;
        then.flights.push(Flight { run, left: FLIGHT, by_gap: late });
        // whatever it answers, it may have happened; what does not happen is the easy case
        let mut nothing = then.clone();
        let count = &mut then.done[run];
        *count = if undo { 0 } else { (*count + 1).min(2) };
        let once = plan.playbook.steps[0].on_unknown != OnUnknown::Retry;
        assert!(*count <= 1 || !once || then.gap, "done twice, and it must not be");
        let did = then.goes_to(who, Pc::Acting { by_gap: late }, "acts");
        nothing.flights.pop();
        vec![did, nothing.goes_to(who, Pc::Ended("failed"), "cannot act")]
    }

    fn goes_to(&self, who: usize, pc: Pc, words: &str) -> (String, Self) {
        let mut then = self.clone();
        let worker = then.workers[who].as_mut().unwrap();
        (worker.pc, worker.late) = (pc, false);
        (format!("{who} {words}"), then)
    }

    fn lets_go(&self, who: usize, words: &str) -> (String, Self) {
        let mut then = self.clone();
        then.workers[who] = None;
        (format!("{who} {words}"), then)
    }

    fn releases(&self, who: usize, due: Option<Tick>) -> (String, Self) {
        let mut then = self.clone();
        then.store.release(&self.workers[who].as_ref().unwrap().claim, due);
        then.lets_go(who, "releases")
    }

    fn writes(&self, plans: &[Plan], who: usize, event: Event, next: Pc) -> (String, Self) {
        let mut then = self.clone();
        let mut claim = self.workers[who].as_ref().unwrap().claim.clone();
        let run = claim.run;
        let failed = match (&event, &claim.state.phase) {
            (Event::UndoEnded { outcome, .. }, _) => !matches!(outcome, Outcome::Done { .. }),
            (Event::Interrupted, Phase::UndoInFlight { .. }) => {
                plans[then.store.rows[run].plan].playbook.steps[0].on_unknown != OnUnknown::Retry
            }
            _ => false,
        };
        let words = format!("writes {event:?}");
        match then.store.append(plans, &mut claim, (event, at()), LEASE) {
            Err(Refused::Fenced) => then.lets_go(who, "is fenced"),
            Err(other) => panic!("{other:?}"),
            Ok(()) => {
                then.undo_failed[run] |= failed;
                then.check_end(run);
                then.workers[who].as_mut().unwrap().claim = claim;
                then.goes_to(who, next, &words)
            }
        }
    }

    fn check_end(&self, run: usize) {
        let state = self.store.rows[run].state.summary();
        if state.is_final() {
            let stuck = state == RunState::Stuck;
            assert_eq!(stuck, self.undo_failed[run], "stuck if and only if an undo failed");
        }
    }

    /// Everything that time, crashes, people and webhooks may do next.
    pub(super) fn happens(&self, plans: &[Plan]) -> Vec<(String, Self)> {
        let mut all = vec![self.ticks()];
        for who in 0..self.workers.len() {
            if self.workers[who].is_some() && self.budget.crashes > 0 {
                let (words, mut then) = self.lets_go(who, "crashes");
                then.budget.crashes -= 1;
                all.push((words, then));
            }
        }
        for run in 0..self.store.rows.len() {
            all.extend(self.person(plans, run));
        }
        if self.budget.pauses > 0 {
            let mut then = self.clone();
            then.paused = if then.paused.is_some() { None } else { Some(0) };
            then.budget.pauses -= 1;
            all.push(("the kill switch".into(), then));
        }
        for episode in 0..self.open.len() {
            all.extend(self.letter(plans, episode));
        }
        all
    }

    /// A tick, after which what is in flight has ended.
    pub(super) fn ticks(&self) -> (String, Self) {
        let mut then = self.clone();
        then.store.now += 1;
        for worker in then.workers.iter_mut().flatten() {
            worker.late = true;
        }
        then.flights.retain_mut(|flight| {
            flight.left -= 1;
            flight.left >= 0
        });
        let older = |ago: Tick| (ago + 1).min(1);
        then.paused = then.paused.map(older);
        then.stopped = then.stopped.iter().map(|ago| ago.map(older)).collect();
        ("tick".into(), then)
    }

    /// What a person may say to a run.
    fn person(&self, plans: &[Plan], run: usize) -> Vec<(String, Self)> {
        let row = &self.store.rows[run];
        let mut all = Vec::new();
        if self.budget.cancels > 0 && !row.is_final() && !row.cancelled {
            let mut then = self.clone();
            then.store.cancel(run).unwrap();
            then.stopped[run] = Some(0);
            then.budget.cancels -= 1;
            all.push((format!("{run} is cancelled"), then));
        }
        let by = || "dana".to_owned();
        let words = match row.state.summary() {
            RunState::AwaitingApproval => vec![
                Event::Approved { by: by(), digest: row.state.digest.clone() },
                Event::Rejected { by: by(), reason: "no".into() },
            ],
            // she looks when nothing is in flight any more, and says what she sees
            RunState::InDoubt if self.flights.is_empty() => {
                vec![Event::Settled { by: by(), happened: self.done[run] > 0 }]
            }
            _ => Vec::new(),
        };
        for event in words {
            let mut then = self.clone();
            let mut claim = then.store.take(run, row.state.summary(), LEASE).unwrap();
            let words = format!("{event:?} to {run}");
            // `say` leaves the run due now
            then.store.append(plans, &mut claim, (event, at()), 0).unwrap();
            then.check_end(run);
            all.push((words, then));
        }
        all
    }

    /// A webhook, in whatever order and however often: the alert fires, or is over; intake judges it at once, or late.
    fn letter(&self, plans: &[Plan], episode: usize) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        if self.budget.letters > 0 {
            for open in [true, false] {
                let mut then = self.clone();
                then.budget.letters -= 1;
                then.open[episode] = open;
                if !open {
                    then.store.wake_waiting(plans, plans[episode].episode.0);
                }
                all.push((format!("{episode} fires: {open}"), then));
            }
        }
        if self.open[episode] {
            let mut then = self.clone();
            let version = then.store.version;
            if then.store.create(plans, version, episode, ("digest", at())).is_ok() {
                all.push((format!("{episode} is judged"), then));
            }
        }
        all
    }

    /// As it looks from now, without what matters to nothing: the same numbers for the same future.
    pub(super) fn canonical(&self) -> Vec<i64> {
        let now = self.store.now;
        let flag = i64::from;
        let count = |of: usize| i64::try_from(of).unwrap();
        let mut key = vec![flag(self.gap), self.paused.unwrap_or(-1)];
        for row in &self.store.rows {
            let due = if row.due > now + 9 { 9 } else { (row.due - now).max(0) };
            let held = flag(!row.owner.is_empty());
            key.extend([count(row.plan), held, due, flag(row.cancelled), row.state.number()]);
        }
        key.push(-1);
        let worker = |worker: &Option<Worker>| {
            let Some(Worker { claim, pc, late }) = worker else { return [-1; 6] };
            let mine = claim.attempt == self.store.rows[claim.run].attempt;
            let pc = match pc {
                Pc::Decide { fresh } => [0, flag(*fresh)],
                // the try is that of the state
                Pc::Asked { undo, .. } => [1, flag(*undo)],
                Pc::Wrote => [2, 0],
                Pc::Acts => [3, 0],
                Pc::Acting { by_gap } => [4, flag(*by_gap)],
                Pc::Ended(word) => [5, i64::from(word.as_bytes()[0])],
            };
            // what a fenced worker believes matters until it acts
            let believes = if mine { -1 } else { claim.state.number() };
            [count(claim.run), flag(mine), pc[0], pc[1], flag(*late), believes]
        };
        // they are all alike
        let mut workers: Vec<[i64; 6]> = self.workers.iter().map(worker).collect();
        workers.sort_unstable();
        key.extend(workers.concat());
        key.push(-1);
        for Flight { run, left, by_gap } in &self.flights {
            key.extend([count(*run), *left, flag(*by_gap)]);
        }
        key.push(-1);
        for run in 0..self.done.len() {
            let stopped = self.stopped[run].unwrap_or(-1);
            let (open, failed) = (flag(self.open[run]), flag(self.undo_failed[run]));
            key.extend([i64::from(self.done[run].min(2)), stopped, open, failed]);
        }
        let Budget { crashes, cancels, pauses, letters } = self.budget;
        key.extend([crashes, cancels, pauses, letters].map(i64::from));
        key
    }
}

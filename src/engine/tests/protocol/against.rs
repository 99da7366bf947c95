//! The model of the store beside the store itself: the same operations, at random, and the same answers and rows.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::decide::machine;
use crate::decide::stepping;
use crate::engine::tests::protocol::store::Claim;
use crate::engine::tests::protocol::store::Model;
use crate::engine::tests::protocol::store::NEVER;
use crate::engine::tests::protocol::store::Refused;
use crate::engine::tests::protocol::store::Tick;
use crate::engine::tests::protocol::system::plans;
use crate::engine::tests::simulation::dice::Dice;
use crate::engine::tests::simulation::set_back;
use crate::engine::tests::simulation::start;
use crate::model::decision::Version;
use crate::model::incident::RunId;
use crate::model::playbook::OnUnknown;
use crate::model::run::Entry;
use crate::model::run::Event;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::run::Stop;
use crate::model::time::after;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::runs;
use crate::store::runs::Row;

/// Sequences, and operations of each.
const SEQUENCES: u64 = 60;
const OPERATIONS: usize = 80;

fn at(tick: Tick) -> Timestamp {
    after(start(), Duration::from_secs(u64::try_from(tick).unwrap()))
}

/// Both, and every claim that anybody ever had of them: most are of the past.
struct Pair<'a> {
    store: &'a Store,
    clock: Clock,
    model: Model,
    plans: Vec<Plan>,
    claims: Vec<(Claim, runs::Claim)>,
    versions: Vec<i64>,
}

fn refused<T>(result: Result<T, StoreError>) -> Result<T, Refused> {
    result.map_err(|error| match error {
        StoreError::Fenced => Refused::Fenced,
        StoreError::Changed => Refused::Changed,
        StoreError::Conflict(_) => Refused::Conflict,
        other => panic!("{other}"),
    })
}

impl Pair<'_> {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An event that the claim's state allows.
    fn event(&self, claim: &Claim, dice: &mut Dice) -> Option<Event> {
        let plan = &self.plans[self.model.rows[claim.run].plan];
        let seen = |health| Observation { health, measured: String::new(), denied: false };
        let done = Outcome::Done { summary: String::new(), output: serde_json::Value::Null };
        let failed = Outcome::Failed { reason: "no".into(), retryable: true };
        let (step, item, jitter) = (0, None, 0);
        let mut events = vec![
            Event::Approved { by: "dana".into(), digest: claim.state.digest.clone() },
            Event::Rejected { by: "dana".into(), reason: "no".into() },
            Event::StepEnded { step, item, outcome: done.clone(), jitter },
            Event::StepEnded { step, item, outcome: failed, jitter },
            Event::UndoEnded { step, item, outcome: done },
            Event::Interrupted,
            Event::VerifyStarted,
            Event::ReadBack { seen: seen(Health::Unknown) },
            Event::Verified { seen: seen(Health::Healthy) },
            Event::Settled { by: "dana".into(), happened: false },
            Event::Stopped { why: Stop::Cancelled { by: "dana".into() } },
        ];
        if let machine::Effect::Begin { spot, attempt } =
            machine::next(plan, &claim.state, self.now())
            && let Some(stepping::Begin::Act(intent)) = stepping::begin(
                plan,
                "r-1",
                &claim.state,
                (spot, attempt),
                &crate::model::config::Config::default().limits,
            )
        {
            events.extend(vec![Event::StepStarted { step, item, attempt, intent }; 6]);
        }
        events.retain(|event| {
            let entry = Entry { seq: claim.state.seq + 1, at: self.now(), event: event.clone() };
            machine::apply(plan, (*claim.state).clone(), &entry).is_ok()
        });
        dice.pick(&events).cloned()
    }

    /// One operation on both.
    async fn play(&mut self, dice: &mut Dice) -> String {
        let lease: Tick = 1 + i64::try_from(dice.below(5)).unwrap();
        let lasts = Duration::from_secs(u64::try_from(lease).unwrap());
        let count = |len: usize| u64::try_from(len).unwrap();
        let some_run = usize::try_from(dice.below(count(self.model.rows.len()).max(1))).unwrap();
        let id = RunId(i64::try_from(some_run).unwrap() + 1);
        let some_claim = usize::try_from(dice.below(count(self.claims.len()).max(1))).unwrap();
        match dice.below(10) {
            0 => {
                let seconds = dice.below(4);
                self.clock.advance(Duration::from_secs(seconds));
                self.model.now += i64::try_from(seconds).unwrap();
                format!("{seconds} s pass")
            }
            1 => {
                self.versions.push(self.store.facts_version().await.unwrap().runs);
                assert_eq!(self.versions.last(), Some(&self.model.version), "the facts' version");
                let version = *dice.pick(&self.versions).unwrap();
                let plan = usize::try_from(dice.below(count(self.plans.len()))).unwrap();
                let facts = Version { runs: version, others: 0 };
                let made = self.store.create_run(facts, &self.plans[plan], 0, |_| Vec::new()).await;
                let digest = match &made {
                    Ok(run) => self.store.run(*run).await.unwrap().unwrap().digest,
                    Err(_) => String::new(),
                };
                let now = self.now();
                let model = self.model.create(&self.plans, version, plan, (&digest, now));
                let made = refused(made).map(|run| usize::try_from(run.0).unwrap() - 1);
                assert_eq!(made, model, "create");
                format!("create {plan}: {made:?}")
            }
            2 | 3 => {
                let owner = *dice.pick(&["a", "b", "c"]).unwrap();
                let real = self.store.claim_run(owner, lasts).await.unwrap();
                let model = self.model.claim(owner, lease);
                self.claimed(real, model)
            }
            4..=6 if !self.claims.is_empty() => {
                let Some(event) = self.event(&self.claims[some_claim].0, dice) else {
                    return "nothing to write".into();
                };
                self.append(some_claim, event, lease).await
            }
            7 if !self.claims.is_empty() => {
                let (model, real) = &self.claims[some_claim];
                if dice.chance(500) {
                    let renewed = refused(self.store.renew_run(real, lasts).await);
                    assert_eq!(renewed, self.model.renew(model, lease), "renew");
                    return format!("renew {}: {renewed:?}", model.run);
                }
                let until = dice.chance(500).then_some(self.model.now + lease);
                self.store.release_run(real, until.map(at)).await.unwrap();
                self.model.release(model, until);
                format!("release {} until {until:?}", model.run)
            }
            8 if !self.model.rows.is_empty() => {
                let waits = *dice.pick(&[RunState::AwaitingApproval, RunState::InDoubt]).unwrap();
                let real = refused(self.store.take_run(id, waits, lasts).await);
                let model = self.model.take(some_run, waits, lease);
                match (real, model) {
                    (Ok(real), Ok(model)) => self.claimed(Some(real), Some(model)),
                    (real, model) => {
                        assert_eq!(real.map(drop), model.map(drop), "take");
                        format!("take {some_run}: no")
                    }
                }
            }
            9 if !self.model.rows.is_empty() => {
                if dice.chance(300) {
                    let episode = self.plans[self.model.rows[some_run].plan].episode;
                    self.store.wake_waiting_runs(episode).await.unwrap();
                    self.model.wake_waiting(&self.plans, episode.0);
                    return format!("wake {episode}");
                }
                let real = refused(self.store.cancel_run(id, "dana").await).map(drop);
                assert_eq!(real, self.model.cancel(some_run), "cancel");
                let asked = self.store.stop_requested(id).await.unwrap().is_some();
                assert_eq!(asked, self.model.rows[some_run].cancelled, "stop requested");
                format!("cancel {some_run}: {real:?}")
            }
            _ => "nothing".into(),
        }
    }

    fn claimed(&mut self, real: Option<runs::Claim>, model: Option<Claim>) -> String {
        let words = model.as_ref().map(|it| (it.run, it.attempt));
        let same = real.as_ref().map(|it| (usize::try_from(it.run.0).unwrap() - 1, it.attempt));
        assert_eq!(same, words, "claim");
        if let (Some(real), Some(model)) = (real, model) {
            let folded = machine::fold(&real.plan, &real.entries).unwrap();
            assert_eq!(folded, *model.state, "the journal of a claim");
            self.claims.push((model, real));
        }
        format!("claim: {words:?}")
    }

    async fn append(&mut self, which: usize, event: Event, lease: Tick) -> String {
        let now = self.now();
        let due_at = at(self.model.now + lease);
        let (model, real) = &mut self.claims[which];
        let entry = Entry { seq: model.state.seq + 1, at: now, event: event.clone() };
        let plan = &self.plans[self.model.rows[model.run].plan];
        let state = machine::apply(plan, (*model.state).clone(), &entry).unwrap();
        let row = Row {
            state: state.summary(),
            outcome: stepping::outcome(plan, &state),
            inconclusive: state.inconclusive,
            due_at: (!state.summary().is_final()).then_some(due_at),
        };
        let appended = refused(self.store.append(real, entry, &row, Vec::new()).await);
        let words = format!("append {event:?} to {} #{}: {appended:?}", model.run, model.attempt);
        assert_eq!(appended, self.model.append(&self.plans, model, (event, now), lease), "{words}");
        words
    }

    /// Every row is what the model says, and every journal folds to it.
    async fn agree(&self) {
        for (run, row) in self.model.rows.iter().enumerate() {
            let id = RunId(i64::try_from(run).unwrap() + 1);
            let held = self.store.held(id).await.unwrap().unwrap();
            let due = if row.due == NEVER { i64::MAX } else { at(row.due).as_microsecond() };
            assert_eq!(
                (held.attempt, held.owner.as_str(), held.due_at, held.is_final, held.seq),
                (row.attempt, row.owner.as_str(), due, row.is_final(), row.state.seq),
                "{id}"
            );
            assert_eq!(held.state, row.state.summary().as_str());
            // the first entry says nothing of how it ended
            if row.state.seq > 1 {
                assert_eq!(held.outcome, self.model.outcome(&self.plans, run));
            }
            let journal = self.store.journal(id).await.unwrap();
            assert_eq!(machine::fold(&self.plans[row.plan], &journal).unwrap(), *row.state, "{id}");
        }
    }
}

#[tokio::test]
async fn the_model_of_the_store_says_what_the_store_does() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(start());
    let url = format!("sqlite:{}", folder.path().join("quell.db").display());
    let store = Store::open(&url, clock.clone()).await.unwrap();
    store.keep().await.unwrap();
    let (mut claims, mut runs) = (0, 0);
    for seed in 0..SEQUENCES {
        store.empty().await.unwrap();
        set_back(&clock);
        let mut dice = Dice::new(seed);
        let plans =
            [OnUnknown::Retry, OnUnknown::Probe, OnUnknown::Ask].map(|it| plans(it, 2)).concat();
        let mut pair = Pair {
            store: &store,
            clock: clock.clone(),
            model: Model::new(),
            plans,
            claims: Vec::new(),
            versions: Vec::new(),
        };
        let mut played = Vec::new();
        for _ in 0..OPERATIONS {
            played.push(pair.play(&mut dice).await);
            pair.agree().await;
        }
        claims += pair.claims.len();
        runs += pair.model.rows.len();
    }
    assert!(claims > 150 && runs > 60, "{claims} claims of {runs} runs: too little was tried");
}

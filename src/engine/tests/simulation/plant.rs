//! The made-up outside: units that fall ill, targets that are slow, fail or leave everybody in doubt, channels that do not
//! take what they are given. It notes each effect, and judges it when it arrives.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use jiff::Timestamp;

use crate::act::Prepared;
use crate::clock::Clock;
use crate::crash::Point;
use crate::crash::gate;
use crate::crash::gate::Halt;
use crate::engine::tests::simulation::dice::Dice;
use crate::engine::tests::simulation::oracle;
use crate::model::decision::Standing;
use crate::model::incident::Notice;
use crate::model::labels::Labels;
use crate::model::run::Health;
use crate::model::run::Intent;
use crate::model::run::Observation;
use crate::model::run::Outcome;
use crate::model::run::Sample;
use crate::model::time::after;
use crate::notify::Sent;
use crate::store::Store;

/// Something that was done.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    pub(crate) key: String,
    pub(crate) run: i64,
    /// The fencing token of who did it.
    pub(crate) attempt: i64,
    pub(crate) target: String,
    pub(crate) until: Timestamp,
    /// By somebody whose run another had taken over meanwhile.
    pub(crate) late: bool,
}

/// How bad the outside is, in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) fails: u64,
    pub(crate) doubts: u64,
    pub(crate) slow: u64,
    pub(crate) blind: u64,
    pub(crate) mends: u64,
    pub(crate) deaf: u64,
    /// Targets refuse a fencing token below one that they saw.
    pub(crate) fences: bool,
}

#[derive(Debug)]
pub(crate) struct Inner {
    dice: Dice,
    pub(crate) weather: Weather,
    pub(crate) ill: Vec<String>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) refused: usize,
    pub(crate) violations: Vec<String>,
    /// What happened, for a seed that is replayed.
    pub(crate) trace: Option<Vec<String>>,
    /// Since when a person wants that nothing begins: kill switch.
    pub(crate) paused_since: Option<Timestamp>,
    /// Runs that a person stopped, and when that was answered.
    pub(crate) stopped: Vec<(i64, Timestamp)>,
}

/// What becomes of one request.
#[expect(clippy::struct_excessive_bools, reason = "independent chances, not a state")]
struct Chance {
    refuses: bool,
    again: bool,
    doubts: bool,
    happens: bool,
    /// Until it takes place, and from then to the answer.
    before: Duration,
    then: Duration,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Plant {
    clock: Clock,
    store: Store,
    inner: Arc<Mutex<Inner>>,
}

impl Plant {
    pub(crate) fn new(
        (clock, store): (Clock, Store),
        dice: Dice,
        weather: Weather,
        traced: bool,
    ) -> Self {
        let inner = Inner {
            dice,
            weather,
            ill: Vec::new(),
            effects: Vec::new(),
            refused: 0,
            violations: Vec::new(),
            trace: traced.then(Vec::new),
            paused_since: None,
            stopped: Vec::new(),
        };
        Self { clock, store, inner: Arc::new(Mutex::new(inner)) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn note(&self, words: impl FnOnce() -> String) {
        let at = self.clock.now();
        if let Some(trace) = &mut self.lock().trace {
            trace.push(format!("{at} {}", words()));
        }
    }

    pub(crate) fn violate(&self, words: String) {
        self.note(|| format!("VIOLATION: {words}"));
        self.lock().violations.push(words);
    }

    fn chance(&self, of: fn(&Weather) -> u64) -> bool {
        let mut inner = self.lock();
        let per_mille = of(&inner.weather);
        inner.dice.chance(per_mille)
    }

    /// Time that an answer takes.
    async fn takes(&self, most: u64) {
        let slow = self.chance(|weather| weather.slow);
        let seconds = if slow { self.lock().dice.below(most) } else { 0 };
        if seconds > 0 {
            self.sleep(Duration::from_secs(seconds)).await;
        }
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        let until = after(self.clock.now(), time);
        while self.clock.now() < until {
            gate::give_way(Halt::Asleep(until)).await;
        }
    }

    /// It takes as long as any question, and nothing of it is relative.
    pub(crate) async fn prepare(&self, intent: &Intent) -> Result<Prepared, Outcome> {
        let Chance { refuses, before, .. } = self.chances();
        self.sleep(before).await;
        let action = intent.action.clone().filter(|_| !refuses);
        action.map(|action| Prepared { action, previous: None }).ok_or_else(|| Outcome::Failed {
            reason: "the plant cannot be looked at".into(),
            retryable: true,
        })
    }

    pub(crate) async fn perform(&self, intent: &Intent, attempt: i64) -> Outcome {
        oracle::begins(self, &self.store, intent, attempt, self.clock.now()).await;
        // between the last look and the request on the wire
        let _always = gate::pass(Point::Outside).await;
        let Chance { refuses, again, doubts, happens, before, then } = self.chances();
        let failed = |reason: &str, retryable| Outcome::Failed { reason: reason.into(), retryable };
        self.sleep(before).await;
        if refuses {
            self.note(|| format!("{} #{attempt} fails", intent.key));
            return failed("the plant says no", again);
        }
        if happens {
            let now = self.clock.now();
            let lasts = (now, after(now, then));
            let effect = oracle::arrives(self, &self.store, (intent, attempt), lasts).await;
            let late = if effect.late { ", late" } else { "" };
            self.note(|| format!("{} #{attempt} arrives{late}", intent.key));
            let mut inner = self.lock();
            let mine = inner.effects.iter().filter(|it| it.run == effect.run);
            if inner.weather.fences && mine.map(|it| it.attempt).max() > Some(attempt) {
                inner.refused += 1;
                return failed("a later request was heard already", false);
            }
            let mends = inner.weather.mends;
            if inner.dice.chance(mends) {
                inner.ill.retain(|unit| *unit != effect.target);
            }
            inner.effects.push(effect);
        }
        self.sleep(then).await;
        if doubts {
            return Outcome::Unknown { reason: "the plant does not answer".into() };
        }
        Outcome::Done { summary: "done".into(), output: serde_json::Value::Null }
    }

    fn chances(&self) -> Chance {
        let mut inner = self.lock();
        let Weather { fails, doubts, slow, .. } = inner.weather;
        let dice = &mut inner.dice;
        let doubts = dice.chance(doubts);
        let mut seconds = |most| if dice.chance(slow) { dice.below(most) } else { 0 };
        let (before, then) = (seconds(9), seconds(10));
        Chance {
            refuses: dice.chance(fails),
            again: dice.chance(500),
            doubts,
            happens: !doubts || dice.chance(500),
            before: Duration::from_secs(before),
            then: Duration::from_secs(then),
        }
    }

    pub(crate) async fn observe(&self, alert: &Labels) -> Observation {
        let _always = gate::pass(Point::Outside).await;
        self.takes(4).await;
        let blind = self.chance(|weather| weather.blind);
        let ill = self.lock().ill.contains(&format!("unit/{}", alert.get("unit")));
        let health = match (blind, ill) {
            (true, _) => Health::Unknown,
            (_, true) => Health::Unhealthy,
            (_, false) => Health::Healthy,
        };
        Observation { health, measured: health.as_str().to_owned(), denied: false }
    }

    pub(crate) async fn measure(&self) -> Result<Vec<Sample>, String> {
        let _always = gate::pass(Point::Outside).await;
        self.takes(4).await;
        if self.chance(|weather| weather.blind) {
            return Err("nobody can see".into());
        }
        let worse = self.chance(|weather| weather.fails);
        let value = if worse { 20.0 } else { 0.0 };
        Ok(vec![Sample { labels: Labels::default(), value }])
    }

    pub(crate) async fn standing(&self) -> Standing {
        let _always = gate::pass(Point::Outside).await;
        if self.chance(|weather| weather.blind) {
            return Standing::Unknown { reason: "nobody can see".into() };
        }
        Standing::Active
    }

    pub(crate) async fn send(&self, notice: &Notice) -> Sent {
        let _always = gate::pass(Point::Outside).await;
        self.takes(30).await;
        let (deaf, refuses) = {
            let mut inner = self.lock();
            let deaf = inner.weather.deaf;
            (inner.dice.chance(deaf), inner.dice.chance(200))
        };
        let reason = || "nobody listens".to_owned();
        match (deaf, refuses) {
            (true, true) => Sent::Refused { reason: reason() },
            (true, false) => Sent::Retry { reason: reason(), after: None },
            (false, _) => {
                self.note(|| format!("told: {}", notice.headline));
                Sent::Delivered
            }
        }
    }
}

//! Replicas on one store, and the scheduler that gives each of their works a turn: which, when, and what befalls them is decided
//! by the seed alone. Only one works at a time, from one gate to the next.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::crash::Point;
use crate::crash::gate;
use crate::crash::gate::Fate;
use crate::crash::gate::Halt;
use crate::engine::Engine;
use crate::engine::deliver;
use crate::engine::escalate;
use crate::engine::intake;
use crate::engine::lease;
use crate::engine::outside::Outside;
use crate::engine::tests::simulation::dice::Dice;
use crate::engine::tests::simulation::plant::Plant;
use crate::engine::trust;
use crate::engine::worker;
use crate::library::Library;
use crate::model::time::after;
use crate::model::time::since;
use crate::store::Store;
use crate::store::alerts::Intake;
use crate::store::simulated::Look;
use crate::telemetry::Metrics;
use crate::wake::Wake;

/// What may befall whoever passes a gate, in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Perils {
    pub(crate) stop: u64,
    pub(crate) fail: u64,
    pub(crate) die: u64,
    /// Who is stopped stands still, with his whole replica.
    pub(crate) freeze: u64,
    /// The database is away.
    pub(crate) outage: bool,
}

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Something a replica is at.
pub(crate) struct Actor {
    pub(crate) name: String,
    replica: usize,
    asleep: Option<Timestamp>,
    work: Work,
}

/// A process that serves.
#[derive(Debug, Default)]
struct Replica {
    engine: Option<Engine>,
    frozen: Option<Timestamp>,
    lives: u32,
}

/// Everything.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) library: Arc<Library>,
    pub(crate) plant: Plant,
    pub(crate) dice: Dice,
    pub(crate) perils: Rc<RefCell<Perils>>,
    pub(crate) steps: u64,
    replicas: Vec<Replica>,
    actors: Vec<Actor>,
}

impl World {
    pub(crate) async fn new(
        (store, clock): (&Store, &Clock),
        library: &Arc<Library>,
        plant: Plant,
        mut dice: Dice,
        replicas: usize,
    ) -> Self {
        let perils = Rc::new(RefCell::new(Perils::default()));
        let (at_gate, seen, mut chance) = (Rc::clone(&perils), plant.clone(), dice.fork());
        gate::keep(Some(Box::new(move |point| {
            let fate = fate(*at_gate.borrow(), point, &mut chance);
            if fate != Fate::Pass {
                seen.note(|| format!("{fate:?} at {point:?}"));
            }
            fate
        })));
        let mut this = Self {
            clock: clock.clone(),
            store: store.clone(),
            library: Arc::clone(library),
            plant,
            dice,
            perils,
            steps: 0,
            replicas: (0..replicas).map(|_| Replica::default()).collect(),
            actors: Vec::new(),
        };
        this.start_all().await;
        this
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A replica that may be asked something now.
    pub(crate) fn any_replica(&mut self) -> Option<usize> {
        let free = |it: &&usize| {
            let replica = &self.replicas[**it];
            replica.engine.is_some() && replica.frozen.is_none()
        };
        let all: Vec<usize> = (0..self.replicas.len()).collect();
        let free: Vec<usize> = all.iter().filter(free).copied().collect();
        self.dice.pick(&free).copied()
    }

    /// Something begins on a replica. Own alerts that it raises are written as it goes.
    pub(crate) fn begin<F>(&mut self, replica: usize, name: &str, body: impl FnOnce(Engine) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let Some(engine) = self.replicas[replica].engine.clone() else { return };
        let (intake, writer) = Intake::new(engine.store.clone(), 10_000, || {});
        // the writer ends with the last of those who feed it, and a body may keep no more of the engine than it needs
        let feeds = intake.clone();
        let body = body(Engine { intake, ..engine });
        let work = Box::pin(async move {
            tokio::select! {
                biased;
                () = body => {}
                () = writer => {}
            }
            drop(feeds);
        });
        self.actors.push(Actor { name: format!("{replica}:{name}"), replica, asleep: None, work });
    }

    /// One of a replica's loops turns once.
    pub(crate) fn loop_once(&mut self, replica: usize, which: &'static str) {
        let busy = self.actors.iter().filter(|it| it.replica == replica).count();
        if busy >= 4 {
            return;
        }
        self.begin(replica, which, |engine| async move {
            match which {
                "episodes" => {
                    if let Ok(Some(due)) = engine.store.claim_episode(intake::LEASE).await {
                        intake::take(&engine, &due).await;
                    }
                }
                "runs" => {
                    let claimed = engine.store.claim_run(&engine.owner, lease::claimed()).await;
                    if let Ok(Some(claim)) = claimed {
                        worker::work(&engine, claim).await;
                    }
                }
                "outbox" => {
                    if let Ok(Some(owed)) = engine.store.claim_notification(deliver::LEASE).await {
                        drop(deliver::deliver(&engine, &owed).await);
                    }
                }
                "incidents" => {
                    if let Ok(Some(due)) = engine.store.claim_incident(escalate::LEASE).await {
                        drop(escalate::speak(&engine, &due).await);
                    }
                }
                _ => drop(trust::tell_of_all(&engine).await),
            }
        });
    }

    /// What is due and what is left.
    pub(crate) async fn look(&self) -> Look {
        let open = gate::open();
        let look = self.store.survey(self.now()).await.unwrap();
        drop(open);
        let limit = i64::from(self.library.config.limits.concurrent.value);
        if look.remedies > limit {
            self.plant.violate(format!("{} runs at once, of {limit}", look.remedies));
        }
        look
    }

    /// Gives the turn to one that may go on, if there is one; says whether there was.
    pub(crate) async fn turn(&mut self) -> bool {
        let now = self.now();
        for replica in &mut self.replicas {
            replica.frozen = replica.frozen.filter(|until| *until > now);
        }
        let awake = |it: &usize| {
            let actor: &Actor = &self.actors[*it];
            self.replicas[actor.replica].frozen.is_none()
                && actor.asleep.is_none_or(|until| until <= now)
        };
        let awake: Vec<usize> = (0..self.actors.len()).filter(awake).collect();
        let Some(chosen) = self.dice.pick(&awake).copied() else { return false };
        self.steps += 1;
        let name = &self.actors[chosen].name;
        self.plant.note(|| format!("turn of {name}"));
        let actor = &mut self.actors[chosen];
        actor.asleep = None;
        let work = &mut actor.work;
        let halted = poll_fn(|context| {
            gate::halt();
            let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
            match polled {
                Ok(Poll::Ready(())) => Poll::Ready(Ok(None)),
                Ok(Poll::Pending) => {
                    gate::halt().map_or(Poll::Pending, |it| Poll::Ready(Ok(Some(it))))
                }
                Err(_) => Poll::Ready(Err(())),
            }
        })
        .await;
        match halted {
            Ok(None) => drop(self.actors.remove(chosen)),
            Ok(Some(Halt::Stopped)) => {
                // in the middle of something: where a pause hurts most
                let freeze = self.perils.borrow().freeze;
                if self.dice.chance(freeze) {
                    let replica = self.actors[chosen].replica;
                    let seconds = 1 + self.dice.below(150);
                    self.freeze(replica, Duration::from_secs(seconds));
                }
            }
            Ok(Some(Halt::Asleep(until))) => self.actors[chosen].asleep = Some(until),
            Ok(Some(Halt::Dying)) => {
                let replica = self.actors[chosen].replica;
                self.kill(replica);
            }
            Err(()) => {
                let actor = self.actors.remove(chosen);
                self.plant.violate(format!("{} panics", actor.name));
            }
        }
        true
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, replica: usize) {
        if self.replicas[replica].engine.take().is_some() {
            self.plant.note(|| format!("replica {replica} is killed"));
            self.replicas[replica].frozen = None;
            self.actors.retain(|actor| actor.replica != replica);
        }
    }

    /// SIGSTOP, for a while.
    pub(crate) fn freeze(&mut self, replica: usize, time: Duration) {
        if self.replicas[replica].engine.is_some() {
            let until = after(self.now(), time);
            self.plant.note(|| format!("replica {replica} is frozen until {until}"));
            self.replicas[replica].frozen = Some(until);
        }
    }

    pub(crate) fn any(&mut self) -> usize {
        let count = u64::try_from(self.replicas.len()).unwrap();
        usize::try_from(self.dice.below(count)).unwrap()
    }

    /// Starts a replica that is dead, as `App::start` does.
    pub(crate) async fn start(&mut self, replica: usize) {
        if self.replicas[replica].engine.is_some() {
            return;
        }
        let open = gate::open();
        self.store.wake_all_episodes().await.unwrap();
        if self.replicas.len() == 1 {
            self.store.release_abandoned().await.unwrap();
        }
        drop(open);
        let lives = self.replicas[replica].lives + 1;
        let (intake, _) = Intake::new(self.store.clone(), 1, || {});
        let engine = Engine {
            store: self.store.clone(),
            library: Arc::new(ArcSwap::new(Arc::clone(&self.library))),
            wake: Arc::new(Wake::new().0),
            clock: self.clock.clone(),
            outside: Outside::Simulated(self.plant.clone()),
            metrics: Arc::new(Metrics::default()),
            owner: format!("{replica}-{lives}"),
            link_key: Arc::from(&b"a key of the tests"[..]),
            intake,
            turns: Arc::default(),
            judging: Arc::default(),
            queue: Arc::default(),
            troubles: Arc::default(),
            audit: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        self.replicas[replica] = Replica { engine: Some(engine), frozen: None, lives };
        self.plant.note(|| format!("replica {replica} starts"));
    }

    pub(crate) async fn start_all(&mut self) {
        for replica in 0..self.replicas.len() {
            self.start(replica).await;
        }
    }

    /// Everybody alive goes on.
    pub(crate) fn thaw_all(&mut self) {
        for replica in &mut self.replicas {
            replica.frozen = None;
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.actors.is_empty()
    }

    /// When the next of those that sleep wakes, or something in the store becomes due.
    pub(crate) fn next_time(&self, look: &Look) -> Option<Timestamp> {
        let now = self.now();
        let wakes = self.actors.iter().filter_map(|it| it.asleep).filter(|at| *at > now);
        let thaws = self.replicas.iter().filter_map(|it| it.frozen).filter(|at| *at > now);
        wakes.chain(thaws).chain(look.next).min()
    }

    pub(crate) fn advance_to(&self, at: Timestamp) {
        self.clock.advance(since(at, self.now()));
    }
}

fn fate(perils: Perils, point: Point, chance: &mut Dice) -> Fate {
    let Perils { stop, fail, die, outage, freeze: _ } = perils;
    let (stops, fails) = match point {
        Point::Statement | Point::Stated | Point::Committed => (true, true),
        // it holds the lock of the database
        Point::Commit => (false, true),
        Point::Outside => (true, false),
    };
    let away = outage && matches!(point, Point::Statement | Point::Commit);
    if away || chance.chance(fail) && fails {
        Fate::Fail
    } else if chance.chance(die) {
        Fate::Die
    } else if chance.chance(stop) && stops {
        Fate::Stop
    } else {
        Fate::Pass
    }
}

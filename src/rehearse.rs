//! quell without the outside: the same decisions on a virtual clock, in memory.
//!
//! A [`World`] holds what the store holds for the engine: episodes, incidents, runs, pauses. It takes alerts and the
//! words of people, and a [`Script`] answers for the outside: probes, Alertmanager, outcomes of steps. What to do is asked
//! of `decide`, as the engine does, so a rehearsal cannot promise what the engine would not do.
//!
//! ```text
//! alert, approve, ack … ─▶ World ─▶ happenings
//!                            │ ▲
//!                         due │ │ decide: change, select, judge, plan, machine, tell
//!                            ▼ │
//!                      heap of due times
//! ```
//!
//! There is no waiting and no randomness: the jitter of delays is 0, and of two things due at the same instant the one
//! that was planned first comes first. `scenario` runs the tests of `quell test` on it.

pub mod backtest;
pub mod coverage;
mod episodes;
pub mod happening;
mod harm;
mod incidents;
pub mod junit;
mod pages;
pub mod people;
pub mod report;
mod runs;
pub mod scenario;
mod schedules;
pub mod script;
mod steps;
mod surroundings;
mod trust;
mod updates;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::BinaryHeap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::decide::check;
use crate::decide::episode::Change;
use crate::decide::explain::Files;
use crate::decide::glass;
use crate::decide::machine::State;
use crate::decide::own;
use crate::decide::respond;
use crate::decide::schedule;
use crate::library::Library;
use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::change::Changed;
use crate::model::config::Config;
use crate::model::decision::Decision;
use crate::model::decision::Denied;
use crate::model::decision::Glass;
use crate::model::decision::PastRun;
use crate::model::decision::Pause;
use crate::model::decision::Runs;
use crate::model::decision::Standing;
use crate::model::glass::Broken;
use crate::model::incident::Episode;
use crate::model::incident::EpisodeId;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;
use crate::model::incident::RunId;
use crate::model::probe::Probe;
use crate::model::run::Entry;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Plan;
use crate::model::run::Stop;
use crate::model::time::before;
use crate::model::trust::Trusts;
use crate::model::window::Window;
use crate::rehearse::happening::Happening;
use crate::rehearse::happening::What;
use crate::rehearse::script::Script;
use crate::rehearse::script::Seen;

/// Source of alerts raised by checks, before the check's name.
const CHECK: &str = "check:";

/// A streaming world tells a late delivery of an ended episode from a new one within this time.
const REOPENS_WITHIN: Duration = Duration::from_hours(24);
/// Alerts between two times that a streaming world forgets what is over.
const FORGETS_EVERY: u64 = 4096;

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Everything, for a rehearsal of minutes or hours that is looked at afterwards.
    Whole,
    /// What later decisions need: memory stays flat over months. What is held for an unforeseeable time is judged again
    /// less and less often, at most an hour apart, instead of every 15 seconds.
    Stream,
}

/// Cheap counts of what has happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Alerts taken, repeats included.
    pub alerts: u64,
    /// Episodes opened, or opened again.
    pub opened: u64,
    /// Episodes closed.
    pub closed: u64,
    /// Incidents opened.
    pub incidents: u64,
    /// Times that guards were asked about a remedy.
    pub judged: u64,
    /// Runs created.
    pub runs: u64,
    /// Notifications owed.
    pub notices: u64,
}

/// What is due, and which claim of it: an older one is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Episode(EpisodeId, u32),
    Incident(IncidentId, u32),
    Run(RunId, u32),
    Check(usize),
    Schedule(usize),
    Surroundings,
    Glass(usize),
    Update(IncidentId),
}

/// An episode and what is kept with it.
#[derive(Debug)]
struct Held {
    episode: Arc<Episode>,
    /// Its incidents, one a rule.
    incidents: Vec<IncidentId>,
    /// The latest decision of each rule.
    decided: Vec<Arc<Decision>>,
    /// Which entry of the heap holds.
    claim: u32,
    /// How often in a row it was held for an unforeseeable time.
    waits: u32,
}

/// An incident and what is kept with it.
#[derive(Debug)]
struct Trouble {
    incident: Incident,
    episodes: Vec<EpisodeId>,
    runs: Vec<RunId>,
    /// It flapped: it stays open until it has been quiet.
    flapping: bool,
    /// It has resolved, and all that was temporary is taken back.
    over: bool,
    /// Channels that were told of it.
    told: BTreeSet<String>,
    /// Time for an acknowledgement.
    ack_within: Option<Duration>,
    /// When it is due, if ever.
    due: Option<Timestamp>,
    /// Which entry of the heap holds.
    claim: u32,
    /// When people are told next where it stands; `None`: nobody is.
    update: Option<Timestamp>,
}

/// A run and what is kept with it.
#[derive(Debug)]
struct Work {
    plan: Arc<Plan>,
    state: State,
    entries: Vec<Entry>,
    round: u32,
    past: PastRun,
    outcome: String,
    /// Why a person asked that it stop.
    stop: Option<Stop>,
    in_flight: Option<runs::InFlight>,
    claim: u32,
}

/// A check that the script speaks of.
#[derive(Debug, Clone, Copy)]
struct Watched {
    health: Health,
    streak: u32,
    firing: bool,
    blind: bool,
}

/// quell in memory, on a clock that moves only when told to.
#[derive(Debug)]
pub struct World<'a> {
    library: &'a Library,
    config: &'a Config,
    memory: Memory,
    now: Timestamp,
    due: BinaryHeap<Reverse<(Timestamp, u64, Due)>>,
    entered: u64,
    next_id: (i64, i64, i64),
    /// The latest episode of each fingerprint.
    latest: HashMap<String, EpisodeId>,
    episodes: HashMap<EpisodeId, Held>,
    /// Open incidents by rule and group.
    open: HashMap<String, HashMap<String, IncidentId>>,
    incidents: BTreeMap<IncidentId, Trouble>,
    /// When incidents of a rule and group were opened, and the last of them.
    opened: HashMap<(String, String), (VecDeque<Timestamp>, IncidentId)>,
    runs: BTreeMap<RunId, Work>,
    /// Those of the runs that have not ended.
    at_work: BTreeSet<RunId>,
    pauses: Vec<Pause>,
    around: surroundings::Surroundings,
    denied: Vec<Denied>,
    /// Those of the settings, and those that people added.
    windows: Arc<Vec<Window>>,
    /// What people changed.
    changes: Vec<Changed>,
    /// The last word on how far rules are trusted.
    trust: Trusts,
    /// Break-glass, ended or not.
    broken: Vec<Broken>,
    watched: BTreeMap<usize, Watched>,
    /// The next slot of each schedule.
    coming: BTreeMap<usize, schedules::Coming>,
    /// How far back any limit looks.
    look_back: Duration,
    happened: Vec<Happening>,
    /// Answers for the outside; may be changed between two moments by [`World::script`].
    script: Script,
    /// What was counted.
    pub counters: Counters,
}

impl<'a> World<'a> {
    /// An empty world at `start`, with the rules, playbooks and settings of a library.
    pub fn new(library: &'a Library, start: Timestamp) -> Self {
        Self::with(library, &library.config, Memory::Whole, start)
    }

    /// An empty world with settings of its own.
    pub fn with(
        library: &'a Library,
        config: &'a Config,
        memory: Memory,
        start: Timestamp,
    ) -> Self {
        let mut world = Self {
            library,
            config,
            memory,
            now: start,
            due: BinaryHeap::new(),
            entered: 0,
            next_id: (0, 0, 0),
            latest: HashMap::new(),
            episodes: HashMap::new(),
            open: HashMap::new(),
            incidents: BTreeMap::new(),
            opened: HashMap::new(),
            runs: BTreeMap::new(),
            at_work: BTreeSet::new(),
            pauses: Vec::new(),
            around: surroundings::Surroundings::default(),
            denied: Vec::new(),
            windows: Arc::new(config.windows.clone()),
            changes: Vec::new(),
            trust: Trusts::new(),
            broken: Vec::new(),
            watched: BTreeMap::new(),
            coming: BTreeMap::new(),
            look_back: look_back(library, config),
            happened: Vec::new(),
            script: Script::new(config),
            counters: Counters::default(),
        };
        world.know_schedules();
        world
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// An episode that is still remembered.
    pub fn episode(&self, id: EpisodeId) -> Option<&Episode> {
        self.episodes.get(&id).map(|held| held.episode.as_ref())
    }

    /// Does all that is due up to and at `until`, and stands there then.
    pub fn run_until(&mut self, until: Timestamp) {
        while let Some(Reverse((at, _, _))) = self.due.peek()
            && *at <= until
        {
            self.step();
        }
        self.now = self.now.max(until);
    }

    /// What happened since this was last asked, in order.
    pub fn happenings(&mut self) -> std::vec::Drain<'_, Happening> {
        self.happened.drain(..)
    }

    /// Takes an alert at `at`, or now when that has passed: first all that is due before it is done. Says what it changed.
    pub fn alert(&mut self, at: Timestamp, alert: &Alert, source: &str, truncated: u64) -> Change {
        self.come_to(at);
        self.take_alert(alert, source, truncated)
    }

    /// Changes what the outside answers from `at` on; what is being watched is looked at again.
    pub fn script(&mut self, at: Timestamp, change: impl FnOnce(&mut Script)) {
        self.come_to(at);
        change(&mut self.script);
        self.watch_checks();
        self.wake_watching(None);
    }

    /// Wakes the runs that look at a probe, of one episode or of all: what they see may have changed.
    fn wake_watching(&mut self, episode: Option<EpisodeId>) {
        let mine = |work: &Work| episode.is_none_or(|id| work.plan.episode == id);
        let watching: Vec<RunId> = self
            .at_work
            .iter()
            .filter(|id| {
                self.runs.get(id).is_some_and(|work| mine(work) && runs::is_watching(work))
            })
            .copied()
            .collect();
        for run in watching {
            self.wake_run(run, self.now);
        }
    }

    /// Does what is due before `at`, and stands at `at`.
    pub fn come_to(&mut self, at: Timestamp) {
        while let Some(Reverse((due, _, _))) = self.due.peek()
            && *due < at
        {
            self.step();
        }
        self.now = self.now.max(at);
    }

    /// Does the next thing that is due.
    fn step(&mut self) {
        let Some(Reverse((at, _, due))) = self.due.pop() else { return };
        self.now = self.now.max(at);
        match due {
            Due::Episode(id, claim) => {
                if self.episodes.get(&id).is_some_and(|held| held.claim == claim) {
                    self.take(id);
                }
            }
            Due::Run(id, claim) => {
                if self.runs.get(&id).is_some_and(|work| work.claim == claim) {
                    self.advance(id);
                }
            }
            Due::Incident(id, claim) => {
                if self.incidents.get(&id).is_some_and(|trouble| trouble.claim == claim) {
                    self.incident_is_due(id);
                }
            }
            Due::Schedule(index) => self.slot_is_due(index),
            Due::Check(index) => self.look(index),
            Due::Surroundings => self.look_around(),
            Due::Glass(index) => self.glass_ends(index),
            Due::Update(id) => self.update_is_due(id),
        }
    }

    fn enter(&mut self, at: Timestamp, due: Due) {
        self.entered += 1;
        self.due.push(Reverse((at, self.entered, due)));
    }

    fn wake_episode(&mut self, id: EpisodeId, at: Timestamp) {
        let Some(held) = self.episodes.get_mut(&id) else { return };
        held.claim = held.claim.wrapping_add(1);
        let due = Due::Episode(id, held.claim);
        self.enter(at, due);
    }

    fn wake_run(&mut self, id: RunId, at: Timestamp) {
        let Some(work) = self.runs.get_mut(&id) else { return };
        work.claim = work.claim.wrapping_add(1);
        let due = Due::Run(id, work.claim);
        self.enter(at, due);
    }

    fn happens(&mut self, what: What) {
        self.happened.push(Happening { at: self.now, what });
    }

    fn owe(&mut self, owed: Vec<Owed>) {
        for owed in owed {
            self.counters.notices += 1;
            if let Some(trouble) = self.incidents.get_mut(&owed.notice.incident) {
                trouble.told.insert(owed.channel.clone());
            }
            // what needs a person ends the hold of the page
            if owed.notice.kind == NoticeKind::NeedsYou {
                self.release_page(owed.notice.incident);
            }
            self.happens(What::Told(Arc::new(owed)));
        }
    }

    /// The files, with the settings of this world.
    fn files(&self) -> Files<'a> {
        Files { config: self.config, ..self.library.in_force() }
    }

    /// Break-glass that is in force for a plan.
    fn glass_for(&self, plan: &Plan) -> Option<Glass> {
        glass::in_force(&self.broken, &plan.rule, &plan.target, plan.incident, self.now)
    }

    /// What Alertmanager says of an alert now; alerts of checks and schedules never went through it.
    fn standing(&self, episode: &Episode) -> Standing {
        let of_check = episode.source.starts_with(CHECK);
        if of_check || own::is_own(&episode.source) || schedule::name_of(&episode.source).is_some()
        {
            return Standing::NotAsked;
        }
        self.script.standing(episode)
    }

    /// One observation, as the script answers.
    fn observe(&self, seen: &Seen<'_>, probe: &Probe, episode: &Episode) -> Observation {
        match probe {
            Probe::Alert => respond::alert_seen(episode.open, &self.standing(episode)),
            _ => self.script.observe(seen, episode),
        }
    }

    /// Runs of an incident, in order of start.
    fn works_of(&self, incident: IncidentId) -> impl DoubleEndedIterator<Item = &Work> {
        let runs = self.incidents.get(&incident).map(|trouble| trouble.runs.as_slice());
        runs.unwrap_or_default().iter().filter_map(|run| self.runs.get(run))
    }

    /// Runs that are at work, those that started within the window, and all of the incident, in order of start.
    fn past_runs(&self, from: Timestamp, incident: IncidentId) -> Runs {
        let mut wanted = self.at_work.clone();
        let recent = self.runs.iter().rev().take_while(|(_, work)| work.past.started_at >= from);
        wanted.extend(recent.map(|(id, _)| *id));
        wanted.extend(self.incidents.get(&incident).into_iter().flat_map(|it| &it.runs));
        let works = wanted.iter().filter_map(|id| self.runs.get(id));
        works.map(|work| work.past.clone()).collect()
    }

    /// Forgets runs that no limit looks back to, and episodes that have long ended, whose incidents are over.
    fn forget(&mut self) {
        let from = before(self.now, self.look_back);
        let long_ago = before(self.now, REOPENS_WITHIN);
        // one that ended a while ago cannot flap any more
        let flapped = before(self.now, self.config.limits.flapping.value.per);
        self.incidents.retain(|_, trouble| {
            !trouble.over || trouble.incident.resolved_at.is_none_or(|at| at > flapped)
        });
        let (incidents, latest) = (&self.incidents, &mut self.latest);
        self.episodes.retain(|id, held| {
            let episode = &held.episode;
            let ended = episode.ended_at.is_some_and(|ended| ended < long_ago);
            let over = !episode.open
                && ended
                && !held.incidents.iter().any(|it| incidents.contains_key(it));
            if over && latest.get(&episode.fingerprint) == Some(id) {
                latest.remove(&episode.fingerprint);
            }
            !over
        });
        self.opened.retain(|_, (opened, _)| opened.back().is_some_and(|at| *at > flapped));
        self.runs.retain(|_, work| {
            !work.past.state.is_final()
                || work.past.started_at >= from
                || incidents.contains_key(&work.past.incident)
        });
    }

    /// Begins the schedule of each check that the script speaks of.
    fn watch_checks(&mut self) {
        for (index, check) in self.library.checks.iter().enumerate() {
            if self.watched.contains_key(&index) || !self.script.speaks_of_check(&check.name) {
                continue;
            }
            let unseen =
                Watched { health: Health::Unknown, streak: 0, firing: false, blind: false };
            self.watched.insert(index, unseen);
            if let Some(slot) = check::next_slot(check, self.now) {
                self.enter(slot, Due::Check(index));
            }
        }
    }

    /// One slot of a check.
    fn look(&mut self, index: usize) {
        let (library, now) = (self.library, self.now);
        let Some(check) = library.checks.get(index) else { return };
        if let Some(slot) = check::next_slot(check, now) {
            self.enter(slot, Due::Check(index));
        }
        let Some(before) = self.watched.get(&index).copied() else { return };
        let labels = check::labels(check);
        let stand_in = Episode::unstored(CHECK, labels, check.annotations.clone(), now);
        let seen = self.observe(&Seen::Check(&check.name), &check.probe, &stand_in);
        let streak = if seen.health == before.health { before.streak.saturating_add(1) } else { 1 };
        let raise = check::raise(check, seen.health, streak, before.firing, before.blind);
        if let Some(alert) = check::alert(check, raise, before.firing, &seen, now) {
            self.take_alert(&alert, &format!("{CHECK}{}", check.name), 0);
        }
        let Some(watched) = self.watched.get_mut(&index) else { return };
        *watched = Watched { health: seen.health, streak, ..before };
        match raise {
            check::Raise::Fire => watched.firing = true,
            check::Raise::Resolve => watched.firing = false,
            check::Raise::Blind => watched.blind = true,
            check::Raise::Sighted => watched.blind = false,
            check::Raise::Nothing => {}
        }
    }
}

/// Twice the longest window that any limit looks back over, since a run may last long beyond its start.
fn look_back(library: &Library, config: &Config) -> Duration {
    let rules = library.rules.rules().iter().map(|rule| &rule.limits);
    let of_rules = rules.flat_map(|limits| {
        let rates = [&limits.rate, &limits.ineffective, &limits.demote_after];
        let cooldown = limits.cooldown.as_ref().map(|it| it.value);
        let blast = limits.blast.as_ref().map(|it| it.value.within);
        let rates = rates.map(|rate| rate.as_ref().map(|it| it.value.per));
        rates.into_iter().chain([cooldown, blast])
    });
    let of_playbooks = library.playbooks.values().flat_map(|it| {
        [it.limits.rate.map(|rate| rate.per), it.rollback.as_ref().map(|it| it.memory)]
    });
    let limits = &config.limits;
    let rates = [
        &limits.rate,
        &limits.service_rate,
        &limits.ineffective,
        &limits.demote_after,
        &limits.failures,
    ];
    let global = rates.map(|rate| rate.value.per).into_iter().chain([limits.cooldown.value]);
    let longest = of_rules.chain(of_playbooks).flatten().chain(global).max();
    longest.unwrap_or_default().saturating_mul(2)
}

/// A firing of these labels that begins at `at`.
pub fn firing(labels: crate::model::labels::Labels, at: Timestamp) -> Alert {
    Alert {
        status: AlertStatus::Firing,
        labels,
        annotations: crate::model::labels::Labels::default(),
        starts_at: Some(at),
        ends_at: None,
        generator_url: String::new(),
    }
}

#[cfg(test)]
mod tests;

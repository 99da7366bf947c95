//! What holds around all cases: targets in trouble, breakers, populations, the watchdog and the clock.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::Due;
use super::World;
use crate::decide::changed;
use crate::decide::glass;
use crate::decide::guard::Limits;
use crate::decide::hands;
use crate::decide::own;
use crate::decide::page;
use crate::decide::plan;
use crate::decide::population;
use crate::decide::population::Census;
use crate::decide::surroundings;
use crate::model::decision::Circumstances;
use crate::model::decision::Counted;
use crate::model::decision::Jump;
use crate::model::decision::Population;
use crate::model::decision::Storm;
use crate::model::decision::Trip;
use crate::model::decision::Watchdog;
use crate::model::incident::Episode;
use crate::model::incident::EpisodeId;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::rule::Rule;
use crate::model::time::after;
use crate::model::time::before;
use crate::model::time::since;

/// How often breakers that have tripped are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a group whose breaker has tripped is counted again.
const COUNT_EVERY: Duration = Duration::from_secs(15);
/// Populations are remembered for a day.
const POPULATION_KEPT: Duration = Duration::from_hours(24);
/// Targets of a storm that are named to people.
const NAMED: usize = 10;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// Who came into trouble when, the oldest first.
    recent: VecDeque<(Timestamp, String)>,
    /// How often each target is in `recent`.
    targets: HashMap<String, u32>,
    /// Targets of episodes by rule, while these are open.
    open: BTreeMap<String, HashMap<EpisodeId, String>>,
    storm: Option<Trip>,
    groups: BTreeMap<String, (Trip, Census)>,
    counted: Option<Timestamp>,
    populations: BTreeMap<String, VecDeque<(Timestamp, u64)>>,
    /// What the script said of the populations of rules.
    said: BTreeMap<String, Vec<(Timestamp, u64)>>,
    jumps: Vec<Jump>,
    ticks: bool,
}

impl World<'_> {
    /// Notes who is in trouble by a new episode, before any is judged.
    pub(super) fn note_troubles(&mut self, episode: &Episode) {
        if own::is_own(&episode.source)
            || crate::decide::schedule::name_of(&episode.source).is_some()
        {
            return;
        }
        let selection = self.library.rules.select(&episode.labels, &episode.annotations);
        for rule in &selection.rules {
            let Ok(target) = plan::target(rule, episode) else { continue };
            self.around.recent.push_back((self.now, target.clone()));
            *self.around.targets.entry(target.clone()).or_default() += 1;
            if rule.population.is_some() {
                self.around.open.entry(rule.name.clone()).or_default().insert(episode.id, target);
            }
        }
        self.look_at_storm();
    }

    /// An episode has closed: its targets are no longer in trouble by it.
    pub(super) fn trouble_is_over(&mut self, episode: EpisodeId) {
        for open in self.around.open.values_mut() {
            open.remove(&episode);
        }
    }

    /// Distinct targets that came into trouble within the span of `storm`.
    fn troubled(&mut self) -> u32 {
        let from = before(self.now, self.config.limits.storm.value.within);
        while let Some((at, _)) = self.around.recent.front()
            && *at <= from
        {
            let Some((_, target)) = self.around.recent.pop_front() else { break };
            if let Some(count) = self.around.targets.get_mut(&target) {
                *count -= 1;
                if *count == 0 {
                    self.around.targets.remove(&target);
                }
            }
        }
        u32::try_from(self.around.targets.len()).unwrap_or(u32::MAX)
    }

    fn look_at_storm(&mut self) {
        let (now, limits) = (self.now, self.config.limits.storm.value);
        let targets = self.troubled();
        let was = self.around.storm.clone();
        let is = surroundings::storm(was.clone(), targets, limits, now);
        self.around.storm.clone_from(&is);
        match (was, is) {
            (None, Some(trip)) => {
                let mut some: Vec<String> = self.around.targets.keys().cloned().collect();
                some.sort_unstable();
                some.truncate(NAMED);
                let alert = own::surroundings::storm(targets, &some, limits, trip.since);
                self.take_alert(&alert, own::WATCH, 0);
                self.tick();
            }
            (Some(_), None) => {
                self.end_own(own::surroundings::STORM, "");
                self.wake_open();
            }
            _ => {}
        }
    }

    /// Looks at the breakers again in a while, as long as one has tripped.
    fn tick(&mut self) {
        if !self.around.ticks && (self.around.storm.is_some() || !self.around.groups.is_empty()) {
            self.around.ticks = true;
            let at = after(self.now, LOOK_EVERY);
            self.enter(at, Due::Surroundings);
        }
    }

    /// The time for that has come.
    pub(super) fn look_around(&mut self) {
        self.around.ticks = false;
        self.look_at_storm();
        let count = self.around.counted.is_none_or(|at| since(self.now, at) >= COUNT_EVERY);
        if count {
            self.around.counted = Some(self.now);
            let groups: Vec<Census> =
                self.around.groups.values().map(|(_, census)| census.clone()).collect();
            for census in groups {
                let rule = self.library.all_rules().find(|rule| rule.name == census.rule);
                if let Some(rule) = rule.cloned() {
                    self.count(&census, &rule);
                }
            }
        }
        self.tick();
    }

    /// The population of a rule, counted now, with its breaker as it is after that.
    pub(super) fn population(&mut self, rule: &Rule, episode: &Episode) -> Option<Population> {
        match population::census(rule, episode)? {
            Ok(census) => Some(self.count(&census, rule)),
            Err(why) => {
                let unknown = Counted::Unknown(why);
                let total = unknown.clone();
                Some(Population { total, unhealthy: unknown, was: None, trip: None })
            }
        }
    }

    fn count(&mut self, census: &Census, rule: &Rule) -> Population {
        let (now, scope) = (self.now, census.scope());
        let said = self.script.population(&rule.name);
        let open = self.around.open.get(&rule.name).map_or(0, |open| {
            let mut targets: Vec<&String> = open.values().collect();
            targets.sort_unstable();
            targets.dedup();
            targets.len() as u64
        });
        let (total, unhealthy) = said.unwrap_or_else(|| {
            let assumed = rule.population.as_ref().map(population::assumed);
            let total = assumed.map_or(Counted::Known(0), |it| it.total);
            (total, Counted::Known(open))
        });
        let past = self.around.populations.entry(scope.clone()).or_default();
        let from = before(now, POPULATION_KEPT);
        while past.front().is_some_and(|(at, _)| *at <= from) {
            past.pop_front();
        }
        let said = self.around.said.get(&rule.name).map(Vec::as_slice).unwrap_or_default();
        let said = said.iter().filter(|(at, _)| *at > from);
        let was = past.iter().chain(said).map(|(_, total)| *total).max();
        if let Counted::Known(count) = total
            && past.back().is_none_or(|(_, last)| *last != count)
        {
            past.push_back((now, count));
        }
        let trip = self.around.groups.get(&scope).map(|(trip, _)| trip.clone());
        let mut population = Population { total, unhealthy, was, trip };
        let limits = Limits::of_everything(&self.config.limits).tightened(&rule.limits);
        let trip = population::tripped(&limits, &population, now);
        match (&population.trip, &trip) {
            (None, Some(tripped)) => {
                let measured = population::words(&population.unhealthy, &population.total);
                let limit = format!("{} %", limits.max_unhealthy.value);
                let alert = own::surroundings::too_sick(census, &measured, &limit, tripped.since);
                self.take_alert(&alert, own::WATCH, 0);
            }
            (Some(_), None) => {
                self.end_own(own::surroundings::TOO_SICK, &rule.name);
                self.wake_open();
            }
            _ => {}
        }
        match &trip {
            Some(trip) => {
                self.around.groups.insert(scope, (trip.clone(), census.clone()));
            }
            None => drop(self.around.groups.remove(&scope)),
        }
        population.trip = trip;
        self.tick();
        population
    }

    /// Ends an alert of quell's own; of this rule when it names one.
    fn end_own(&mut self, name: &str, rule: &str) {
        let over: Vec<_> = self
            .episodes
            .values()
            .map(|held| &held.episode)
            .filter(|it| {
                it.open && it.labels.get("alertname") == name && it.labels.get("rule") == rule
            })
            .map(|it| own::mended(it.labels.clone(), it.annotations.clone(), self.now))
            .collect();
        for alert in over {
            self.take_alert(&alert, own::WATCH, 0);
        }
    }

    /// From now on the population of a rule is counted so; `None` means that nobody can say.
    pub fn counts(&mut self, rule: &str, total: Option<u64>, unhealthy: Option<u64>) {
        let known = |count: Option<u64>| {
            count.map_or_else(|| Counted::Unknown("the test says so".to_owned()), Counted::Known)
        };
        self.script.counts(rule, known(total), known(unhealthy));
        // what was counted in between is known, as it is to a server that looks all the time
        if let Some(total) = total {
            self.around.said.entry(rule.to_owned()).or_default().push((self.now, total));
        }
    }

    /// The wall clock of the host is set by so many milliseconds. The clock of the rehearsal goes on, and so does all that waits:
    /// the engine comes to the same by moving what waits together with its clock.
    pub fn clock_is_set(&mut self, by_ms: i64) {
        self.around.jumps.push(Jump { at: self.now, by_ms });
    }

    /// What holds around a case.
    pub(super) fn circumstances(
        &mut self,
        rule: &str,
        target: &str,
        incident: IncidentId,
    ) -> Circumstances {
        let glass = glass::in_force(&self.broken, rule, target, incident, self.now);
        let at_it = self.incidents.get(&incident);
        let mut hands = changed::hands(&self.changes, target);
        hands.extend(at_it.and_then(|trouble| hands::at_incident(&trouble.incident)));
        let watchdog = match (&self.config.watchdog, self.script.watchdog_gone) {
            (None, _) => Watchdog::NotWatched,
            (Some(_), None) => Watchdog::Seen(Duration::ZERO),
            (Some(_), Some(gone)) => surroundings::watchdog(self.config, Some(gone), self.now),
        };
        Circumstances {
            storm: Storm { targets: self.troubled(), trip: self.around.storm.clone() },
            watchdog,
            jumps: self.around.jumps.clone(),
            denied: self.denied.clone(),
            hands,
            glass,
        }
    }

    /// Whether a breaker that has tripped covers an incident: its own page explains, and this one's waits.
    pub(super) fn is_covered(&self, rule: &str) -> bool {
        let covers = |scope: &String| surroundings::covers(scope, rule);
        self.around.storm.is_some() || self.around.groups.keys().any(covers)
    }

    /// The page of an incident that opens while a breaker covers its rule waits.
    pub(super) fn fold(&self, rule: &Rule, incident: &mut Incident) {
        if !rule.response.is_empty() && self.is_covered(&rule.name) {
            let cooldown = self.config.limits.storm.value.cooldown;
            incident.held_until = Some(page::hold_in_trip(incident.held_until, cooldown, self.now));
        }
    }
}

//! What holds around a case: how much of a rule's population is well, and whether the clock was set.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::World;
use crate::decide::guard;
use crate::decide::guard::Subject;
use crate::decide::trip;
use crate::model::decision::Counted;
use crate::model::decision::Jump;
use crate::model::decision::Population;
use crate::model::rule::Members;
use crate::model::rule::Rule;
use crate::model::time::after;

/// How many members a population has when nobody says.
const ASSUMED: u64 = 100;
/// The most members within this time are what it may not shrink from too far.
const WAS: Duration = Duration::from_hours(24);

/// What a test says of a population, from a time on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    from: Timestamp,
    total: Option<u64>,
    unhealthy: Option<u64>,
}

impl World<'_> {
    /// From now on the population of a rule is counted so; `None` means that nobody can say.
    pub fn counts(&mut self, rule: &str, total: Option<u64>, unhealthy: Option<u64>) {
        let told = Told { from: self.now, total, unhealthy };
        self.populations.entry(rule.to_owned()).or_default().push(told);
    }

    /// The wall clock of the host is set by so many milliseconds: the clock of the rehearsal goes on.
    pub fn clock_is_set(&mut self, by_ms: i64) {
        self.jumps.push(Jump { at: self.now, by_ms });
    }

    /// The population of a rule as it is counted now, and the trip that is in force after this look.
    pub(super) fn population(&mut self, rule: &Rule, subject: &Subject) -> Option<Population> {
        let members = rule.population.as_ref()?;
        let told = self.populations.get(&rule.name).map(Vec::as_slice).unwrap_or_default();
        let ill = self.in_trouble(&rule.name, &subject.target);
        let known = |count: Option<u64>| {
            count.map_or_else(|| Counted::Unknown("the test says so".to_owned()), Counted::Known)
        };
        let (total, unhealthy) = match (&members.of, told.last()) {
            (_, Some(told)) => (known(told.total), known(told.unhealthy)),
            (Members::Listed(names), None) => (
                Counted::Known(u64::try_from(names.len()).unwrap_or(u64::MAX)),
                Counted::Known(ill),
            ),
            (Members::Promql(_), None) => (Counted::Known(ASSUMED), Counted::Known(ill)),
        };
        // what was said before the last one was true until that was said
        let ends = told.iter().skip(1).map(|next| next.from).chain([self.now]);
        let recent = told.iter().zip(ends).filter(|(_, until)| after(*until, WAS) >= self.now);
        let was = recent.filter_map(|(told, _)| told.total).max();
        let mut population = Population { total, unhealthy, was, trip: None };
        let over = guard::too_many_unhealthy(subject, &population);
        let cooldown = subject.limits.storm.value.cooldown;
        let trip = trip::next(self.trips.remove(&rule.name), over, cooldown, self.now);
        if let Some(trip) = &trip {
            self.trips.insert(rule.name.clone(), trip.clone());
        }
        population.trip = trip;
        Some(population)
    }

    /// Distinct targets of a rule with open alerts, this one among them.
    fn in_trouble(&self, rule: &str, target: &str) -> u64 {
        let open = self.episodes.values().filter(|held| held.episode.open);
        let decided = open.flat_map(|held| &held.decided).filter(|it| it.rule == rule);
        let targets: BTreeSet<&str> = decided
            .map(|it| it.target.as_str())
            .chain([target])
            .filter(|it| !it.is_empty())
            .collect();
        u64::try_from(targets.len()).unwrap_or(u64::MAX)
    }
}

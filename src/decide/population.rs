//! Populations: the groups that limits are parts of. What is asked to count one, and what the count says.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::decide::guard;
use crate::decide::guard::Limits;
use crate::decide::plan;
use crate::decide::render::Escape;
use crate::decide::render::render;
use crate::decide::trip;
use crate::model::decision::Counted;
use crate::model::decision::Population;
use crate::model::decision::Trip;
use crate::model::incident::Episode;
use crate::model::rule::Members;
use crate::model::rule::Rule;

/// What is asked to count a population, rendered. Kept with its trip, so that whoever is alive can count it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// The rule.
    pub rule: String,
    /// All members.
    pub of: Of,
    /// A query that counts those that are not well; `None` counts the rule's targets with open episodes.
    pub unhealthy: Option<String>,
}

/// A breaker's note of what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tripped {
    /// What is counted.
    pub census: Census,
    /// What was counted when it tripped, for people: `6 of 12`.
    pub measured: String,
}

/// All members of a population.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// A query whose answer is their number.
    Promql(String),
    /// So many are listed.
    Listed(u64),
}

impl Census {
    /// What its trip and its past counts are kept by.
    pub fn scope(&self) -> String {
        match &self.of {
            Of::Promql(query) => format!("group:{}:{query}", self.rule),
            Of::Listed(_) => format!("group:{}", self.rule),
        }
    }
}

/// What is asked to count the population of a rule for this alert; `None` when it names none.
pub fn census(rule: &Rule, episode: &Episode) -> Option<Result<Census, String>> {
    let population = rule.population.as_ref()?;
    let context = plan::alert_context(episode);
    let query = |text: &String| render(text, &context, Escape::Quoted);
    let of = match &population.of {
        Members::Promql(text) => query(text).map(Of::Promql),
        Members::Listed(names) => Ok(Of::Listed(u64::try_from(names.len()).unwrap_or(u64::MAX))),
    };
    let unhealthy = population.unhealthy.as_ref().map(query).transpose();
    Some(of.and_then(|of| Ok(Census { rule: rule.name.clone(), of, unhealthy: unhealthy? })))
}

/// Members that are assumed where nobody can be asked, and a rule lists none.
const ASSUMED: u64 = 100;

/// A population as if nothing but the target were not well.
pub fn assumed(population: &crate::model::rule::Population) -> Population {
    let total = match &population.of {
        Members::Promql(_) => ASSUMED,
        Members::Listed(names) => u64::try_from(names.len()).unwrap_or(u64::MAX),
    };
    let (total, unhealthy) = (Counted::Known(total), Counted::Known(1));
    Population { total, unhealthy, was: None, trip: None }
}

/// The trip of a population after it was counted.
pub fn tripped(limits: &Limits, population: &Population, now: Timestamp) -> Option<Trip> {
    let over = guard::too_many_unhealthy(limits, population);
    trip::next(population.trip.clone(), over, limits.storm.value.cooldown, now)
}

/// `6 of 12`
pub fn words(unhealthy: &Counted, total: &Counted) -> String {
    match (unhealthy, total) {
        (Counted::Known(unhealthy), Counted::Known(total)) => format!("{unhealthy} of {total}"),
        (Counted::Unknown(why), _) | (_, Counted::Unknown(why)) => format!("unknown ({why})"),
    }
}

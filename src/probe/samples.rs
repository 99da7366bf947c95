//! Judges samples by a condition: it must hold for each of them.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::condition::Condition;
use crate::decide::condition::Scope;
use crate::model::labels::Labels;
use crate::model::number::show as number;
use crate::model::run::Observation;
use crate::model::run::Sample;
use crate::model::time::show_duration;

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) value: f64,
    pub(super) labels: Labels,
    /// When it was taken, if it says so.
    pub(super) at: Option<Timestamp>,
}

/// How old a sample may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age {
    pub(super) now: Timestamp,
    pub(super) max: Duration,
}

/// What samples must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The condition that holds for each.
    pub(super) healthy: &'a str,
    /// Fewer of them are unknown.
    pub(super) min_sources: u32,
}

impl<'a> From<&'a str> for Wanted<'a> {
    fn from(healthy: &'a str) -> Self {
        Self { healthy, min_sources: 1 }
    }
}

impl Age {
    /// Why a sample of this time is no evidence. One from the future is none either: a clock is wrong.
    fn objects(self, at: Timestamp) -> Option<String> {
        let age = self.now.duration_since(at);
        if age.unsigned_abs() <= self.max {
            return None;
        }
        let size = show_duration(Duration::from_secs(age.unsigned_abs().as_secs()));
        Some(if age.is_positive() {
            format!("the sample is {size} old, more than {}", show_duration(self.max))
        } else {
            format!("the sample is {size} in the future; a clock is wrong")
        })
    }
}

/// Healthy when the condition holds for each sample; unknown when there is none, or when one is stale, not
/// finite, or of the wrong type.
pub(super) fn judge(points: &[Point], wanted: Wanted<'_>, age: Age) -> Observation {
    let Wanted { healthy, min_sources } = wanted;
    let condition = match Condition::new(healthy, &["value", "labels"]) {
        Ok(condition) => condition,
        Err((reason, _)) => return super::unknown(format!("healthy: {reason}")),
    };
    if points.is_empty() {
        return super::unknown(format!("no sample (healthy: {healthy})"));
    }
    let least = usize::try_from(min_sources).unwrap_or(usize::MAX);
    if points.len() < least {
        let count = points.len();
        return super::unknown(format!("{count} of at least {least} samples (healthy: {healthy})"));
    }
    let mut failing = Vec::new();
    for point in points {
        let held = match point.at.and_then(|at| age.objects(at)) {
            Some(reason) => Err(reason),
            None if !point.value.is_finite() => Err("not a finite number".into()),
            None => condition.evaluate(&scope(point.value, &point.labels)),
        };
        match held {
            Ok(true) => {}
            Ok(false) => failing.push(point),
            Err(reason) => {
                return super::unknown(format!("{}: {reason}", shown(point, points.len())));
            }
        }
    }
    let judged: Vec<&Point> =
        if failing.is_empty() { points.iter().collect() } else { failing.clone() };
    let Some(worst) = worst(&judged, &condition) else {
        return super::unknown(format!("no sample (healthy: {healthy})"));
    };
    let number = number(worst.value);
    let measured = match (points.len(), failing.len()) {
        (1, _) => format!("{number} (healthy: {healthy})"),
        (count, 0) => format!("{number} at worst of {count} samples (healthy: {healthy})"),
        (count, bad) => format!("{number} on {bad} of {count} samples (healthy: {healthy})"),
    };
    if failing.is_empty() { super::healthy(measured) } else { super::unhealthy(measured) }
}

/// Why a sample is no evidence now, if it is not.
pub(super) fn fresh(point: &Point, age: Age) -> Result<(), String> {
    point.at.and_then(|at| age.objects(at)).map_or(Ok(()), Err)
}

/// Samples that may be compared with others: at least one, none of them stale or not finite.
pub(super) fn sound(points: Vec<Point>, age: Age) -> Result<Vec<Sample>, String> {
    let count = points.len();
    if count == 0 {
        return Err("no sample".into());
    }
    let sound = |point: Point| match point.at.and_then(|at| age.objects(at)) {
        Some(reason) => Err(format!("{}: {reason}", shown(&point, count))),
        None if !point.value.is_finite() => {
            Err(format!("{}: not a finite number", shown(&point, count)))
        }
        None => Ok(Sample { labels: point.labels, value: point.value }),
    };
    points.into_iter().map(sound).collect()
}

fn scope(value: f64, labels: &Labels) -> Scope {
    Scope::new().number("value", value).labels("labels", labels)
}

/// The sample that is farthest off. A condition does not say which direction is bad, but it can be asked
/// about the largest and the smallest number there is; when that does not tell, the first one.
fn worst<'a>(points: &[&'a Point], condition: &Condition) -> Option<&'a Point> {
    let first = *points.first()?;
    let holds = |value: f64| condition.evaluate(&scope(value, &first.labels)) == Ok(true);
    let by_value = |a: &&&Point, b: &&&Point| a.value.total_cmp(&b.value);
    match (holds(f64::MIN), holds(f64::MAX)) {
        (true, false) => points.iter().max_by(by_value).copied(),
        (false, true) => points.iter().min_by(by_value).copied(),
        _ => Some(first),
    }
}

/// `NaN`, and with several samples `NaN {instance="a"}`.
fn shown(point: &Point, count: usize) -> String {
    let number = number(point.value);
    if count == 1 || point.labels.is_empty() {
        return number;
    }
    format!("{number} of `{}`", point.labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::Health;

    const NOW: i64 = 1_700_000_000;

    fn point(value: f64) -> Point {
        Point { value, labels: Labels::default(), at: None }
    }

    fn on(instance: &str, value: f64) -> Point {
        Point { labels: [("instance", instance)].into_iter().collect(), ..point(value) }
    }

    fn aged(seconds: i64, value: f64) -> Point {
        Point { at: Some(Timestamp::from_second(NOW - seconds).unwrap()), ..point(value) }
    }

    fn check(points: &[Point], healthy: &str, health: Health, measured: &str) {
        let age = Age { now: Timestamp::from_second(NOW).unwrap(), max: Duration::from_mins(15) };
        let seen = judge(points, healthy.into(), age);
        assert_eq!((seen.health, seen.measured.as_str()), (health, measured));
    }

    #[test]
    fn one_sample_is_held_against_the_condition() {
        check(&[point(0.0123)], "value < 0.05", Health::Healthy, "0.0123 (healthy: value < 0.05)");
        check(&[point(0.372)], "value < 0.05", Health::Unhealthy, "0.372 (healthy: value < 0.05)");
        check(&[point(3.0)], "value == 3", Health::Healthy, "3 (healthy: value == 3)");
    }

    #[test]
    fn the_worst_of_several_samples_is_shown_whichever_way_is_bad() {
        let several = [on("a", 1.0), on("b", 37.2), on("c", 12.0)];
        check(
            &several,
            "value < 5",
            Health::Unhealthy,
            "37.2 on 2 of 3 samples (healthy: value < 5)",
        );
        check(
            &several,
            "value > 50",
            Health::Unhealthy,
            "1 on 3 of 3 samples (healthy: value > 50)",
        );
        check(&several, "value > 5", Health::Unhealthy, "1 on 1 of 3 samples (healthy: value > 5)");
        check(
            &several,
            "value < 50",
            Health::Healthy,
            "37.2 at worst of 3 samples (healthy: value < 50)",
        );
        check(
            &several,
            "value > 0",
            Health::Healthy,
            "1 at worst of 3 samples (healthy: value > 0)",
        );
        check(
            &several,
            "value == 12",
            Health::Unhealthy,
            "1 on 2 of 3 samples (healthy: value == 12)",
        );
        let by_label = "labels.instance == \"b\" || value < 20";
        check(
            &several,
            by_label,
            Health::Healthy,
            &format!("37.2 at worst of 3 samples (healthy: {by_label})"),
        );
    }

    #[test]
    fn missing_evidence_is_unknown() {
        check(&[], "value < 5", Health::Unknown, "no sample (healthy: value < 5)");
        let strange = [(f64::NAN, "NaN"), (f64::INFINITY, "+Inf"), (f64::NEG_INFINITY, "-Inf")];
        for (value, word) in strange {
            check(
                &[point(value)],
                "value < 5",
                Health::Unknown,
                &format!("{word}: not a finite number"),
            );
        }
        check(
            &[on("a", 99.0), on("b", f64::NAN)],
            "value < 5",
            Health::Unknown,
            "NaN of `{instance=\"b\"}`: not a finite number",
        );
    }

    #[test]
    fn a_sample_that_is_too_old_or_from_the_future_is_unknown() {
        check(&[aged(900, 1.0)], "value < 5", Health::Healthy, "1 (healthy: value < 5)");
        check(&[aged(-900, 9.0)], "value < 5", Health::Unhealthy, "9 (healthy: value < 5)");
        let old = "1: the sample is 15m1s old, more than 15m";
        check(&[aged(901, 1.0)], "value < 5", Health::Unknown, old);
        check(&[aged(1, 9.0), aged(901, 1.0)], "value < 5", Health::Unknown, old);
        let early = "1: the sample is 15m1s in the future; a clock is wrong";
        check(&[aged(-901, 1.0)], "value < 5", Health::Unknown, early);
    }

    #[test]
    fn a_condition_that_cannot_be_evaluated_is_unknown() {
        let age = Age { now: Timestamp::UNIX_EPOCH, max: Duration::from_mins(15) };
        for healthy in ["value <", "value < \"5\"", "labels.zone == \"a\"", "valu < 5", "value", ""]
        {
            let seen = judge(&[point(1.0)], healthy.into(), age);
            assert_eq!(seen.health, Health::Unknown, "{healthy}: {}", seen.measured);
        }
    }

    #[test]
    fn g03_fewer_samples_than_min_sources_are_unknown() {
        let seen = |count: usize| {
            let points: Vec<Point> = (0..count).map(|_| point(1.0)).collect();
            let age = Age { now: Timestamp::UNIX_EPOCH, max: Duration::from_mins(1) };
            judge(&points, Wanted { healthy: "value < 5", min_sources: 3 }, age)
        };
        assert_eq!(seen(3).health, Health::Healthy);
        let few = seen(2);
        assert_eq!(few.health, Health::Unknown);
        assert_eq!(few.measured, "2 of at least 3 samples (healthy: value < 5)");
    }

    #[test]
    fn g16_only_samples_that_are_there_fresh_and_finite_can_be_compared() {
        let age = Age { now: Timestamp::from_second(NOW).unwrap(), max: Duration::from_mins(15) };
        let measured = |points: &[Point]| sound(points.to_vec(), age);
        let fine = measured(&[on("a", 1.0), aged(900, 2.0)]).unwrap();
        assert_eq!(fine.iter().map(|it| it.value).collect::<Vec<_>>(), [1.0, 2.0]);
        for (points, reason) in [
            (vec![], "no sample"),
            (vec![point(1.0), point(f64::NAN)], "NaN: not a finite number"),
            (vec![aged(901, 1.0)], "1: the sample is 15m1s old, more than 15m"),
            (vec![aged(-901, 1.0)], "1: the sample is 15m1s in the future; a clock is wrong"),
        ] {
            assert_eq!(measured(&points), Err(reason.to_owned()));
        }
    }
}

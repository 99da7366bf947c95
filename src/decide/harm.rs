//! What a remedy must not make worse (`guardrails.md` G16): what each metric was before the first step, against what it is.
//!
//! Three-valued as every observation: *unhealthy* is worse; *unknown* (no sample, no answer, a series that came or went) is
//! neither worse nor fine.

use crate::decide::condition::Condition;
use crate::decide::condition::Scope;
use crate::model::number;
use crate::model::playbook::Unharmed;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Sample;
use crate::model::run::Taken;

/// What [`crate::decide::stepping`] and whoever shows it call what holds a run that has no baseline.
pub const NAME: &str = "baseline";

/// What was measured of each metric, in their order.
pub type Measured = Vec<Result<Vec<Sample>, String>>;

/// Most series of a metric: its baseline is in the journal.
const MOST_SERIES: usize = 100;

/// The samples, unless there are too many to be kept.
pub fn few(samples: Vec<Sample>) -> Result<Vec<Sample>, String> {
    let count = samples.len();
    if count > MOST_SERIES {
        return Err(format!(
            "{count} series, more than {MOST_SERIES}: ask for fewer, as with `sum`"
        ));
    }
    Ok(samples)
}

/// The baseline, when every metric could be measured; the error names the first that could not.
pub fn baseline(unharmed: &[Unharmed], measured: Measured) -> Result<Vec<Taken>, String> {
    let taken = |(metric, samples): (&Unharmed, Result<Vec<Sample>, String>)| {
        let name = metric.name.clone();
        match samples.and_then(few) {
            Ok(samples) if samples.is_empty() => Err(format!("{name} has no sample")),
            Ok(samples) => Ok(Taken { name, samples }),
            Err(reason) => Err(format!("{name} cannot be measured before acting: {reason}")),
        }
    };
    unharmed.iter().zip(measured).map(taken).collect()
}

/// All metrics against their baseline.
pub fn compare(unharmed: &[Unharmed], baseline: &[Taken], measured: Measured) -> Observation {
    let seen = unharmed.iter().zip(measured).map(|(metric, samples)| {
        let before = baseline.iter().find(|it| it.name == metric.name);
        let before = before.map_or(&[][..], |it| &it.samples);
        (metric.name.as_str(), samples.map_or_else(unknown, |now| one(metric, before, &now)))
    });
    together(&seen.collect::<Vec<_>>())
}

/// What several metrics say together: worse when one is, else unknown when one is.
pub fn together(seen: &[(&str, Observation)]) -> Observation {
    let of = |health: Health| -> Vec<String> {
        let such = seen.iter().filter(|(_, it)| it.health == health);
        such.map(|(name, it)| format!("{name}: {}", it.measured)).collect()
    };
    let (worse, unseen) = (of(Health::Unhealthy), of(Health::Unknown));
    let (health, words) = match (worse.is_empty(), unseen.is_empty()) {
        (false, _) => (Health::Unhealthy, worse),
        (true, false) => (Health::Unknown, unseen),
        (true, true) => (Health::Healthy, of(Health::Healthy)),
    };
    Observation { health, measured: words.join("; "), denied: false }
}

/// One metric, series by series.
fn one(metric: &Unharmed, before: &[Sample], now: &[Sample]) -> Observation {
    let condition = match Condition::new(&metric.worse, &["value", "labels", "before"]) {
        Ok(condition) => condition,
        Err((reason, _)) => return unknown(format!("worse: {reason}")),
    };
    if let Some(gone) = before.iter().find(|it| !now.iter().any(|now| now.labels == it.labels)) {
        return unknown(format!("no sample of `{}`, which was there before", gone.labels));
    }
    let mut shown = None;
    let mut unseen = None;
    for sample in now {
        let Some(was) = before.iter().find(|it| it.labels == sample.labels) else {
            unseen.get_or_insert_with(|| format!("`{}` was not there before", sample.labels));
            continue;
        };
        let scope = Scope::new()
            .number("value", sample.value)
            .labels("labels", &sample.labels)
            .number("before", was.value);
        let words = || words(metric, sample, was, now.len());
        match condition.evaluate(&scope) {
            Ok(true) => {
                return Observation { health: Health::Unhealthy, measured: words(), denied: false };
            }
            Ok(false) => drop(shown.get_or_insert_with(words)),
            Err(reason) => {
                unseen.get_or_insert(reason);
            }
        }
    }
    match (unseen, shown) {
        (None, Some(measured)) => Observation { health: Health::Healthy, measured, denied: false },
        (unseen, _) => unknown(unseen.unwrap_or_else(|| "no sample".to_owned())),
    }
}

/// `0.42, 0.2 before (worse: value > before * 1.2)`.
fn words(metric: &Unharmed, now: &Sample, was: &Sample, count: usize) -> String {
    let of = if count == 1 { String::new() } else { format!(" of `{}`", now.labels) };
    let (now, was) = (number::show(now.value), number::show(was.value));
    format!("{now}{of}, {was} before (worse: {})", metric.worse)
}

fn unknown(measured: String) -> Observation {
    Observation { health: Health::Unknown, measured, denied: false }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::labels::Labels;
    use crate::model::playbook::Measure;

    fn metric(worse: &str) -> Unharmed {
        let measure = Measure::Promql { query: "latency".into() };
        Unharmed { name: "latency".into(), measure, worse: worse.into() }
    }

    fn of(instance: &str, value: f64) -> Sample {
        Sample { labels: [("instance", instance)].into_iter().collect(), value }
    }

    fn plain(value: f64) -> Sample {
        Sample { labels: Labels::default(), value }
    }

    fn check(worse: &str, before: &[Sample], now: &[Sample], health: Health, measured: &str) {
        let metrics = [metric(worse)];
        let taken = baseline(&metrics, vec![Ok(before.to_vec())]).unwrap();
        let seen = compare(&metrics, &taken, vec![Ok(now.to_vec())]);
        assert_eq!((seen.health, seen.measured.as_str()), (health, measured), "{worse}");
    }

    const WORSE: &str = "value > before * 1.2";

    #[test]
    fn g16_a_metric_is_worse_when_its_condition_says_so_and_not_at_the_boundary() {
        let worse = "latency: 0.61, 0.5 before (worse: value > before * 1.2)";
        check(WORSE, &[plain(0.5)], &[plain(0.61)], Health::Unhealthy, worse);
        let same = "latency: 0.6, 0.5 before (worse: value > before * 1.2)";
        check(WORSE, &[plain(0.5)], &[plain(0.6)], Health::Healthy, same);
        let absolute = "latency: 3, 3 before (worse: value > 2)";
        check("value > 2", &[plain(3.0)], &[plain(3.0)], Health::Unhealthy, absolute);
    }

    #[test]
    fn g16_each_series_is_held_against_its_own_past() {
        let before = [of("a", 1.0), of("b", 10.0)];
        let fine = "latency: 1 of `{instance=\"a\"}`, 1 before (worse: value > before * 1.2)";
        check(WORSE, &before, &[of("a", 1.0), of("b", 11.0)], Health::Healthy, fine);
        let worse = "latency: 11 of `{instance=\"a\"}`, 1 before (worse: value > before * 1.2)";
        check(WORSE, &before, &[of("a", 11.0), of("b", 1.0)], Health::Unhealthy, worse);
    }

    #[test]
    fn g16_a_series_that_came_or_went_is_unknown_and_no_excuse_for_one_that_is_worse() {
        let before = [of("a", 1.0)];
        let gone = "latency: no sample of `{instance=\"a\"}`, which was there before";
        check(WORSE, &before, &[of("b", 1.0)], Health::Unknown, gone);
        check(WORSE, &before, &[], Health::Unknown, gone);
        let came = "latency: `{instance=\"b\"}` was not there before";
        check(WORSE, &before, &[of("b", 9.0), of("a", 1.0)], Health::Unknown, came);
        let worse = "latency: 9 of `{instance=\"a\"}`, 1 before (worse: value > before * 1.2)";
        check(WORSE, &before, &[of("b", 9.0), of("a", 9.0)], Health::Unhealthy, worse);
    }

    #[test]
    fn g16_what_cannot_be_evaluated_or_measured_is_unknown() {
        let reason = "latency: there is no `zone`: test for it first, as in `has(labels.zone) && …` in `labels.zone == \"a\"`";
        check("labels.zone == \"a\"", &[plain(1.0)], &[plain(1.0)], Health::Unknown, reason);
        let metrics = [metric(WORSE)];
        let taken = baseline(&metrics, vec![Ok(vec![plain(1.0)])]).unwrap();
        let seen = compare(&metrics, &taken, vec![Err("no answer".into())]);
        assert_eq!((seen.health, seen.measured.as_str()), (Health::Unknown, "latency: no answer"));
    }

    #[test]
    fn g16_a_baseline_needs_every_metric() {
        let two = [metric(WORSE), Unharmed { name: "errors".into(), ..metric(WORSE) }];
        let sample = || Ok(vec![plain(1.0)]);
        assert_eq!(baseline(&two, vec![sample(), sample()]).map(|it| it.len()), Ok(2));
        let unseen = baseline(&two, vec![sample(), Err("no answer".into())]);
        assert_eq!(unseen, Err("errors cannot be measured before acting: no answer".into()));
        let many: Vec<Sample> = (0..101).map(|number| of(&number.to_string(), 1.0)).collect();
        let reason = "latency cannot be measured before acting: 101 series, more than 100: ask for fewer, as with `sum`";
        assert_eq!(baseline(&two, vec![Ok(many), sample()]), Err(reason.into()));
        assert_eq!(baseline(&two, vec![Ok(vec![]), sample()]), Err("latency has no sample".into()));
    }

    fn health() -> impl Strategy<Value = Health> {
        prop::sample::select(vec![Health::Healthy, Health::Unhealthy, Health::Unknown])
    }

    proptest! {
        #[test]
        fn g16_more_metrics_never_make_it_better(seen in prop::collection::vec(health(), 1..5)) {
            let rank = |health: Health| match health {
                Health::Healthy => 0,
                Health::Unknown => 1,
                Health::Unhealthy => 2,
            };
            let all: Vec<_> = seen
                .iter()
                .map(|health| ("m", Observation { health: *health, measured: String::new(), denied: false }))
                .collect();
            let (less, _) = all.split_at(all.len() - 1);
            prop_assert!(rank(together(&all).health) >= rank(together(less).health));
            let worst = seen.iter().map(|it| rank(*it)).max();
            prop_assert_eq!(Some(rank(together(&all).health)), worst);
        }
    }
}

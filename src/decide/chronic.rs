//! What is fixed again and again: more often than `chronic`, it is a ticket (G18).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::playbook::Rate;
use crate::model::rule::is_schedule;
use crate::model::time::before;
use crate::model::time::show_duration;

/// A run that was verified to have fixed its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// Its rule.
    pub rule: String,
    /// What it fixed.
    pub target: String,
    /// From the opening of its episode to the end of the run.
    pub took: Duration,
    /// When it ended.
    pub at: Timestamp,
}

/// A rule that fixes a target too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chronic {
    /// The rule.
    pub rule: String,
    /// The target.
    pub target: String,
    /// How often, within the limit's span.
    pub fixes: usize,
    /// Half of them took longer.
    pub median: Duration,
}

impl Chronic {
    /// For people: `fixed 6 times in 1d by rule shop-errors, more than 5; the median time to fix was 42s`.
    pub fn words(&self, limit: Rate) -> String {
        format!(
            "{} was fixed {} times in {} by rule {}, more than {}; the median time to fix was {}",
            self.target,
            self.fixes,
            show_duration(limit.per),
            self.rule,
            limit.count,
            show_duration(self.median)
        )
    }
}

/// Which rules fixed a target more often than the limit says, by rule and target. A schedule does its work when it runs: that is no fix.
pub fn chronic(fixes: &[Fix], limit: Rate, now: Timestamp) -> Vec<Chronic> {
    let from = before(now, limit.per);
    let mut by_target: BTreeMap<(&str, &str), Vec<Duration>> = BTreeMap::new();
    for fix in fixes.iter().filter(|fix| fix.at > from && !is_schedule(&fix.rule)) {
        by_target.entry((&fix.rule, &fix.target)).or_default().push(fix.took);
    }
    let most = usize::try_from(limit.count).unwrap_or(usize::MAX);
    by_target
        .into_iter()
        .filter(|(_, times)| times.len() > most)
        .map(|((rule, target), mut times)| Chronic {
            rule: rule.to_owned(),
            target: target.to_owned(),
            fixes: times.len(),
            median: median(&mut times),
        })
        .collect()
}

/// The middle one, or the mean of the two in the middle; zero of none.
fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    let middle = times.len() / 2;
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    if times.len() % 2 == 1 { at(middle) } else { (at(middle.saturating_sub(1)) + at(middle)) / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Rate = Rate { count: 5, per: Duration::from_hours(24) };

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_767_607_200 + 60 * minutes).unwrap()
    }

    fn fix(rule: &str, target: &str, took: u64, minutes: i64) -> Fix {
        let (rule, target) = (rule.to_owned(), target.to_owned());
        Fix { rule, target, took: Duration::from_secs(took), at: at(minutes) }
    }

    fn fixes(count: i64) -> Vec<Fix> {
        (0..count).map(|nth| fix("r", "process/shop", 40 + nth.unsigned_abs(), nth)).collect()
    }

    /// Given `chronic: 5 per 1d`, when a target was fixed the sixth time within a day, then it is a ticket.
    #[test]
    fn g18_the_sixth_fix_in_a_day_is_a_ticket_and_the_fifth_is_none() {
        assert_eq!(chronic(&fixes(5), LIMIT, at(10)), []);
        let found = chronic(&fixes(6), LIMIT, at(10));
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].words(LIMIT),
            "process/shop was fixed 6 times in 1d by rule r, more than 5; the median time to fix was 43s"
        );
    }

    #[test]
    fn g18_fixes_count_by_rule_and_target_and_within_the_span_alone() {
        let mut many = fixes(5);
        many.push(fix("other", "process/shop", 1, 6));
        many.push(fix("r", "process/mail", 1, 6));
        many.push(fix("r", "process/shop", 1, -24 * 60));
        assert_eq!(chronic(&many, LIMIT, at(10)), []);
        let nightly: Vec<Fix> =
            (0..9).map(|nth| fix("schedule:nightly", "schedule/nightly", 1, nth)).collect();
        assert_eq!(chronic(&nightly, LIMIT, at(10)), []);
    }

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two() {
        for (times, expected) in [(vec![], 0), (vec![7], 7), (vec![9, 1, 5], 5), (vec![8, 2], 5)] {
            let mut times: Vec<Duration> = times.into_iter().map(Duration::from_secs).collect();
            assert_eq!(median(&mut times), Duration::from_secs(expected));
        }
    }
}

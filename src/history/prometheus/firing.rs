//! From samples to firings: a series that goes on without a gap is one.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::history::Transition;
use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::labels::Labels;
use crate::model::time::after;
use crate::model::time::since;

/// What the time between evaluations is taken to be until two samples have told.
const USUAL_INTERVAL: Duration = Duration::from_mins(1);

/// Firings under way.
#[derive(Debug)]
pub(super) struct Firing {
    gap: Option<Duration>,
    open: HashMap<Labels, Open>,
    found: Vec<Transition>,
}

#[derive(Debug)]
struct Open {
    since: Timestamp,
    last: Timestamp,
    /// The shortest time between two samples so far: the interval of evaluation.
    interval: Option<Duration>,
}

impl Open {
    fn interval(&self) -> Duration {
        self.interval.unwrap_or(USUAL_INTERVAL)
    }

    /// The longest time without a sample that does not end it. One evaluation may be late or missed.
    fn allowed(&self, gap: Option<Duration>) -> Duration {
        let interval = self.interval();
        gap.unwrap_or(Duration::ZERO).max(interval.saturating_mul(5) / 2)
    }

    /// When the first evaluation without it was.
    fn gone(&self) -> Timestamp {
        after(self.last, self.interval())
    }
}

impl Firing {
    pub(super) fn new(gap: Option<Duration>) -> Self {
        Self { gap, open: HashMap::new(), found: Vec::new() }
    }

    /// Takes samples of one series, later than all before, in order of time.
    pub(super) fn samples(&mut self, labels: Labels, times: impl Iterator<Item = Timestamp>) {
        let mut known = self.open.remove(&labels);
        for at in times {
            match &mut known {
                Some(open) if at <= open.last => {}
                Some(open) if since(at, open.last) <= open.allowed(self.gap) => {
                    let interval = since(at, open.last);
                    open.interval = Some(open.interval.map_or(interval, |it| it.min(interval)));
                    open.last = at;
                }
                _ => {
                    let interval = known.as_ref().and_then(|it| it.interval);
                    if let Some(open) = known.take() {
                        self.found.push(resolved(&labels, &open));
                    }
                    self.found.push(fired(&labels, at));
                    known = Some(Open { since: at, last: at, interval });
                }
            }
        }
        if let Some(open) = known {
            self.open.insert(labels, open);
        }
    }

    /// What is certain when everything until `now` was read: a firing that has no sample for longer than it may is over.
    pub(super) fn up_to(&mut self, now: Timestamp) -> Vec<Transition> {
        let over: Vec<Labels> = self
            .open
            .iter()
            .filter(|(_, open)| since(now, open.last) > open.allowed(self.gap))
            .map(|(labels, _)| labels.clone())
            .collect();
        for labels in over {
            if let Some(open) = self.open.remove(&labels) {
                self.found.push(resolved(&labels, &open));
            }
        }
        let settled = self.settled(now);
        let (ready, later) =
            std::mem::take(&mut self.found).into_iter().partition(|it| it.at <= settled);
        self.found = later;
        ready
    }

    /// Nothing that is still to be found is earlier than this: what is open may turn out to have ended at its last sample.
    pub(super) fn settled(&self, now: Timestamp) -> Timestamp {
        self.open.values().map(Open::gone).min().map_or(now, |earliest| earliest.min(now))
    }

    /// The rest: what has a sample near the end goes on firing.
    pub(super) fn end(&mut self, now: Timestamp) -> Vec<Transition> {
        let mut rest = self.up_to(now);
        rest.append(&mut self.found);
        self.open.clear();
        rest
    }
}

fn alert(
    labels: &Labels,
    status: AlertStatus,
    since: Timestamp,
    ended: Option<Timestamp>,
) -> Alert {
    Alert {
        status,
        labels: labels.clone(),
        annotations: Labels::default(),
        starts_at: Some(since),
        ends_at: ended,
        generator_url: String::new(),
    }
}

fn fired(labels: &Labels, at: Timestamp) -> Transition {
    Transition { at, alert: alert(labels, AlertStatus::Firing, at, None), truncated: 0 }
}

fn resolved(labels: &Labels, open: &Open) -> Transition {
    let at = open.gone();
    let alert = alert(labels, AlertStatus::Resolved, open.since, Some(at));
    Transition { at, alert, truncated: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn check(gap: Option<u64>, chunks: &[(&[i64], i64)], expected: &[(i64, bool)]) {
        let mut firing = Firing::new(gap.map(Duration::from_secs));
        let labels: Labels = [("alertname", "A")].into_iter().collect();
        let (mut found, mut settled) = (Vec::new(), Timestamp::MIN);
        for (samples, until) in chunks {
            firing.samples(labels.clone(), samples.iter().map(|it| at(*it)));
            let mut new = firing.up_to(at(*until));
            new.sort_by_key(|it| it.at);
            assert!(
                new.iter().all(|it| it.at >= settled),
                "said to be settled at {settled}: {new:?}"
            );
            settled = firing.settled(at(*until));
            found.extend(new);
        }
        let last = chunks.last().unwrap().1;
        found.extend(firing.end(at(last)));
        let firing = |it: &Transition| it.alert.status == AlertStatus::Firing;
        let seen: Vec<_> = found.iter().map(|it| (it.at.as_second(), firing(it))).collect();
        assert_eq!(seen, expected, "{chunks:?}");
    }

    #[test]
    fn samples_without_a_gap_are_one_firing() {
        check(None, &[(&[0, 15, 30, 45], 100)], &[(0, true), (60, false)]);
        check(None, &[(&[], 100)], &[]);
    }

    #[test]
    fn one_missed_evaluation_does_not_end_it_and_two_do() {
        check(None, &[(&[0, 15, 45, 60], 200)], &[(0, true), (75, false)]);
        check(None, &[(&[0, 15, 60, 75], 200)], &[(0, true), (30, false), (60, true), (90, false)]);
    }

    #[test]
    fn a_longer_gap_may_be_joined() {
        check(Some(300), &[(&[0, 15, 200, 215], 1000)], &[(0, true), (230, false)]);
    }

    #[test]
    fn a_firing_goes_on_over_the_edge_of_a_chunk() {
        check(None, &[(&[0, 15, 30], 40), (&[45, 60], 80), (&[], 200)], &[(0, true), (75, false)]);
    }

    #[test]
    fn what_fires_at_the_end_stays_firing() {
        check(None, &[(&[0, 15, 30], 40)], &[(0, true)]);
    }

    #[test]
    fn a_single_sample_lasts_for_one_usual_interval() {
        check(None, &[(&[10], 1000)], &[(10, true), (70, false)]);
    }
}

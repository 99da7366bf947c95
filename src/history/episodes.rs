//! From episodes that quell stored.

use jiff::Timestamp;

use super::Transition;
use super::sort;
use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::incident::Episode;

/// The opening and the end of each episode that was open at some time from `since` until `until`. One that opened
/// before `since` fires at `since`. What happened within an episode (it resolved and fired again with the same start)
/// is not known any more.
pub fn transitions(episodes: &[Episode], since: Timestamp, until: Timestamp) -> Vec<Transition> {
    let mut found = Vec::new();
    for episode in episodes {
        // when it was heard of the end is not stored; what the source said is the nearest
        let ended = (!episode.open).then(|| episode.ended_at.unwrap_or(episode.seen_at));
        let ended = ended.map(|at| at.max(episode.opened_at));
        if episode.opened_at >= until || ended.is_some_and(|at| at < since) {
            continue;
        }
        let alert = |status, ends_at| Alert {
            status,
            labels: episode.labels.clone(),
            annotations: episode.annotations.clone(),
            starts_at: Some(episode.starts_at),
            ends_at,
            generator_url: episode.generator_url.clone(),
        };
        let truncated = episode.truncated;
        let opened = alert(AlertStatus::Firing, None);
        found.push(Transition { at: episode.opened_at.max(since), alert: opened, truncated });
        if let Some(at) = ended.filter(|at| *at < until) {
            let closed = alert(AlertStatus::Resolved, Some(at));
            found.push(Transition { at, alert: closed, truncated });
        }
    }
    sort(&mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::labels::Labels;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_607_200 + seconds).unwrap()
    }

    fn episode(opened: i64, ended: Option<i64>) -> Episode {
        let labels: Labels = [("alertname", "A")].into_iter().collect();
        let mut episode = Episode::unstored("am", labels, Labels::default(), at(opened));
        episode.open = ended.is_none();
        episode.ended_at = ended.map(at);
        episode
    }

    #[test]
    fn episodes_become_openings_and_ends_within_the_span() {
        for (opened, ended, expected) in [
            (-50, Some(-10), vec![]),
            (-50, Some(10), vec![(0, true), (10, false)]),
            (-50, None, vec![(0, true)]),
            (10, Some(20), vec![(10, true), (20, false)]),
            (10, Some(200), vec![(10, true)]),
            (100, None, vec![]),
            // a source whose clock is behind
            (10, Some(5), vec![(10, false), (10, true)]),
        ] {
            let found = transitions(&[episode(opened, ended)], at(0), at(100));
            let shown: Vec<(Timestamp, bool)> =
                found.iter().map(|it| (it.at, it.alert.status == AlertStatus::Firing)).collect();
            let expected: Vec<(Timestamp, bool)> =
                expected.into_iter().map(|(seconds, firing)| (at(seconds), firing)).collect();
            assert_eq!(shown, expected, "{opened} {ended:?}");
        }
    }
}

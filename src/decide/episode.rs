//! Episodes: one firing period of one fingerprint, over resends, restarts, shifted starts and refires.
//!
//! An episode opens on a firing seen while closed, and closes on a resolution. `startsAt` is a hint: it may
//! move earlier between deliveries (`protocols.md §1`, "Lost" 9). The traps it must survive:
//!
//! - a resend of what is known changes nothing;
//! - a firing whose start is not later than the end of the closed episode is the same occurrence, said again
//!   (a late delivery, or one of two Prometheus servers that resolved first): the episode opens again, and
//!   what was already tried for it is not tried again;
//! - a resolution that ended before the open episode began belongs to an earlier one;
//! - a start in the future is a clock that is wrong: the episode began at the latest when it was heard of.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::incident::Episode;
use crate::model::incident::EpisodeId;
use crate::model::time::since;

/// A repeat refreshes `seen_at` only this often, so that most repeats write nothing.
pub const SEEN_EVERY: Duration = Duration::from_mins(1);

/// What an alert does to the latest episode of its fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A new firing period.
    Open,
    /// The same one goes on after a resolution.
    Reopen,
    /// It is open, and something that is shown or judged by changed.
    Update,
    /// It ended.
    Close,
    /// Nothing new.
    Nothing,
}

/// What was last heard of an alert: as much of its latest episode as a delivery is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The episode.
    pub id: EpisodeId,
    /// Whether it fires.
    pub open: bool,
    /// Since when, by the clock of who sent it.
    pub starts_at: Timestamp,
    /// When it was heard of first.
    pub opened_at: Timestamp,
    /// When it was heard of last.
    pub seen_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Alerts that were cut off from the delivery that told of it.
    pub truncated: u64,
    /// Its annotations, as JSON: a repeat is recognised without reading them.
    pub annotations: String,
}

impl From<&Episode> for Heard {
    fn from(it: &Episode) -> Self {
        Self {
            id: it.id,
            open: it.open,
            starts_at: it.starts_at,
            opened_at: it.opened_at,
            seen_at: it.seen_at,
            ended_at: it.ended_at,
            truncated: it.truncated,
            annotations: it.annotations.to_json(),
        }
    }
}

/// Says what `alert`, received at `now` in a delivery that cut off `truncated` alerts, changes.
pub fn change(latest: Option<&Heard>, alert: &Alert, truncated: u64, now: Timestamp) -> Change {
    match (alert.status, latest) {
        (AlertStatus::Firing, None) => Change::Open,
        (AlertStatus::Firing, Some(episode)) if episode.open => {
            let starts_earlier = alert.starts_at.is_some_and(|at| at < episode.starts_at);
            let news = starts_earlier
                || alert.annotations.to_json() != episode.annotations
                || truncated != episode.truncated
                || since(now, episode.seen_at) >= SEEN_EVERY;
            if news { Change::Update } else { Change::Nothing }
        }
        (AlertStatus::Firing, Some(closed)) => {
            let ended = closed.ended_at.unwrap_or(closed.seen_at);
            match alert.starts_at {
                Some(starts)
                    if starts == closed.starts_at || starts <= began(closed) || starts < ended =>
                {
                    Change::Reopen
                }
                Some(_) | None => Change::Open,
            }
        }
        (AlertStatus::Resolved, Some(episode)) if episode.open => {
            let stale = alert.ends_at.is_some_and(|ended| ended < began(episode));
            if stale { Change::Nothing } else { Change::Close }
        }
        (AlertStatus::Resolved, _) => Change::Nothing,
    }
}

/// When an episode began, by a clock that may be wrong, and at the latest when it was heard of.
fn began(episode: &Heard) -> Timestamp {
    episode.starts_at.min(episode.opened_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::labels::Labels;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_607_200 + seconds).unwrap()
    }

    fn labels() -> Labels {
        [("alertname", "A")].into_iter().collect()
    }

    fn firing(starts: i64) -> Alert {
        Alert {
            status: AlertStatus::Firing,
            labels: labels(),
            annotations: Labels::default(),
            starts_at: Some(at(starts)),
            ends_at: None,
            generator_url: String::new(),
        }
    }

    fn resolved(starts: i64, ends: i64) -> Alert {
        Alert { status: AlertStatus::Resolved, ends_at: Some(at(ends)), ..firing(starts) }
    }

    fn episode(open: bool, starts: i64, ends: Option<i64>) -> Heard {
        Heard::from(&Episode {
            id: EpisodeId(1),
            fingerprint: labels().fingerprint(),
            source: "am".into(),
            labels: labels(),
            annotations: Labels::default(),
            open,
            starts_at: at(starts),
            opened_at: at(starts + 1),
            seen_at: at(starts + 1),
            ended_at: ends.map(at),
            reopened: 0,
            truncated: 0,
            generator_url: String::new(),
        })
    }

    #[test]
    fn each_delivery_does_the_right_thing() {
        let open = episode(true, 100, None);
        let closed = episode(false, 100, Some(200));
        let future = Heard { starts_at: at(9000), ..episode(true, 100, None) };
        let past = Heard { starts_at: at(9000), ..closed.clone() };
        for (name, latest, alert, expected) in [
            ("first firing", None, firing(100), Change::Open),
            ("a resend", Some(&open), firing(100), Change::Nothing),
            ("a replica's start shifted earlier", Some(&open), firing(90), Change::Update),
            ("a replica's start shifted later", Some(&open), firing(110), Change::Nothing),
            ("its resolution", Some(&open), resolved(100, 200), Change::Close),
            (
                "an older occurrence's resolution, late",
                Some(&open),
                resolved(10, 50),
                Change::Nothing,
            ),
            ("a resolution said twice", Some(&closed), resolved(100, 200), Change::Nothing),
            ("a resolution of what was never seen", None, resolved(100, 200), Change::Nothing),
            ("a refire", Some(&closed), firing(300), Change::Open),
            ("firing again with the same start", Some(&closed), firing(100), Change::Reopen),
            ("a late delivery of the old firing", Some(&closed), firing(95), Change::Reopen),
            ("a start inside the closed period", Some(&closed), firing(150), Change::Reopen),
            (
                "the end of what began in the future",
                Some(&future),
                resolved(9000, 200),
                Change::Close,
            ),
            ("what began in the future, said again", Some(&past), firing(9000), Change::Reopen),
            ("a refire after what began in the future", Some(&past), firing(300), Change::Open),
        ] {
            assert_eq!(change(latest, &alert, 0, at(130)), expected, "{name}");
        }
    }

    #[test]
    fn news_within_an_open_episode_are_written_and_repeats_are_not() {
        let open = episode(true, 100, None);
        assert_eq!(change(Some(&open), &firing(100), 0, at(160)), Change::Nothing);
        assert_eq!(change(Some(&open), &firing(100), 0, at(161)), Change::Update, "seen again");
        assert_eq!(change(Some(&open), &firing(100), 3, at(102)), Change::Update, "cut off");
        let annotations = [("summary", "worse")].into_iter().collect();
        let news = Alert { annotations, ..firing(100) };
        assert_eq!(change(Some(&open), &news, 0, at(102)), Change::Update, "annotation");
    }

    #[test]
    fn a_missing_start_opens_anew_and_a_missing_end_closes() {
        let closed = episode(false, 100, Some(200));
        let no_start = Alert { starts_at: None, ..firing(0) };
        assert_eq!(change(Some(&closed), &no_start, 0, at(300)), Change::Open);
        let no_end = Alert { ends_at: None, ..resolved(100, 0) };
        assert_eq!(change(Some(&episode(true, 100, None)), &no_end, 0, at(300)), Change::Close);
    }
}

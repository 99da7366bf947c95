//! Breakers that close by time: continuously below for a while, not by the first good sample.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::decision::Trip;
use crate::model::time::after;

/// The trip after a look that found it above its limit, below, or could not say: what nobody can see is no calm.
pub fn next(
    trip: Option<Trip>,
    over: Option<bool>,
    cooldown: Duration,
    now: Timestamp,
) -> Option<Trip> {
    match (trip, over) {
        (None, Some(true)) => Some(Trip { since: now, calm_since: None }),
        (None, Some(false) | None) => None,
        (Some(trip), Some(true) | None) => Some(Trip { calm_since: None, ..trip }),
        (Some(trip), Some(false)) => {
            let trip = Trip { calm_since: Some(trip.calm_since.unwrap_or(now)), ..trip };
            ends(&trip, cooldown).is_none_or(|until| until > now).then_some(trip)
        }
    }
}

/// When the trip is over if nothing happens; `None` while it is above its limit.
pub fn ends(trip: &Trip, cooldown: Duration) -> Option<Timestamp> {
    trip.calm_since.map(|since| after(since, cooldown))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COOLDOWN: Duration = Duration::from_mins(10);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_607_200 + seconds).unwrap()
    }

    /// Looks at times in seconds; whether it is tripped after the last.
    fn tripped(looks: &[(i64, Option<bool>)]) -> bool {
        let step = |trip, &(seconds, over): &(i64, _)| next(trip, over, COOLDOWN, at(seconds));
        looks.iter().fold(None, step).is_some()
    }

    #[test]
    fn trips_above_and_closes_after_the_cooldown_below() {
        let (above, below) = (Some(true), Some(false));
        assert!(!tripped(&[(0, below)]));
        assert!(
            !tripped(&[(0, None)]),
            "what nobody can see does not trip: it is unknown by itself"
        );
        assert!(tripped(&[(0, above)]));
        assert!(tripped(&[(0, above), (10, below)]), "the first healthy sample closes nothing");
        assert!(tripped(&[(0, above), (10, below), (609, below)]));
        assert!(!tripped(&[(0, above), (10, below), (610, below)]));
        assert!(tripped(&[(0, above), (10, below), (300, above), (610, below)]), "a break");
        assert!(tripped(&[(0, above), (10, below), (300, None), (310, below), (909, below)]));
        assert!(!tripped(&[(0, above), (10, below), (300, None), (310, below), (910, below)]));
    }

    proptest! {
        #[test]
        fn more_above_never_closes_sooner(
            looks in prop::collection::vec((1_i64..400, any::<bool>()), 1..12),
            which in any::<prop::sample::Index>(),
        ) {
            let mut time = 0;
            let looks: Vec<_> = looks.into_iter().map(|(step, over)| {
                time += step;
                (time, Some(over))
            }).collect();
            let mut worse = looks.clone();
            worse[which.index(looks.len())].1 = Some(true);
            prop_assert!(tripped(&worse) || !tripped(&looks));
        }
    }
}

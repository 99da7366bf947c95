//! The steady clock, as a function of the time since boot.

use std::time::Duration;

use jiff::Timestamp;

/// A reading that took longer than this says too little.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// While it is ahead of the clock that people set, it goes at this part of the speed.
const SLOWER: u32 = 2;

/// What a clock that people set showed at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What it showed.
    pub at: Timestamp,
    /// The moment: the time since this machine was started.
    pub since_boot: Duration,
}

impl Reading {
    /// A reading that was asked for and answered at these moments: it is taken to be of the middle. `None` when that took too
    /// long.
    pub fn between(asked: Duration, at: Timestamp, answered: Duration) -> Option<Self> {
        let took = answered.saturating_sub(asked);
        (took <= READ_WITHIN).then(|| Self { at, since_boot: asked + took / 2 })
    }
}

/// A clock that goes on from a reading, and never back but by a jump that it is told to follow.
#[derive(Debug)]
pub struct Steady {
    from: Reading,
    /// It goes slower, until the clock that people set has caught up.
    slow: bool,
    /// The latest that it showed: two processors may see the time since boot in another order.
    latest: Timestamp,
    era: i64,
}

impl Steady {
    /// Goes on from a reading.
    pub(super) fn from(from: Reading, era: i64) -> Self {
        Self { from, slow: false, latest: from.at, era }
    }

    /// Jumps that it has followed.
    pub(super) fn era(&self) -> i64 {
        self.era
    }

    /// What it shows at a moment; not less than it has shown.
    pub(super) fn at(&mut self, since_boot: Duration) -> Timestamp {
        self.latest = self.latest.max(self.line(since_boot));
        self.latest
    }

    /// Follows a reading that differs little.
    pub(super) fn correct(&mut self, reading: Reading) {
        let shown = self.line(reading.since_boot);
        self.slow = shown > reading.at;
        self.from = Reading { at: shown.max(reading.at), ..reading };
    }

    /// Follows a jump by so many microseconds.
    pub(super) fn follow(&mut self, by: i64, era: i64) {
        self.from.at = moved(self.from.at, by);
        self.latest = moved(self.latest, by);
        self.era = era;
    }

    /// What it shows, or showed, at a moment, as far as its last correction says.
    pub(super) fn line(&self, since_boot: Duration) -> Timestamp {
        let passed = since_boot.saturating_sub(self.from.since_boot);
        let passed = if self.slow { passed / SLOWER } else { passed };
        // whole microseconds, as stored
        let passed = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX);
        moved(self.from.at, passed)
    }
}

/// An instant, so many microseconds later.
pub(super) fn moved(at: Timestamp, by: i64) -> Timestamp {
    let moved = at.as_microsecond().saturating_add(by);
    Timestamp::from_microsecond(moved).unwrap_or(if by < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_767_607_200_000 + millis).unwrap()
    }

    fn boot(millis: u64) -> Duration {
        Duration::from_millis(1_000_000 + millis)
    }

    fn reading(at_ms: i64, boot_ms: u64) -> Reading {
        Reading { at: at(at_ms), since_boot: boot(boot_ms) }
    }

    #[test]
    fn it_goes_on_by_the_time_since_boot() {
        let mut steady = Steady::from(reading(0, 0), 7);
        assert_eq!((steady.at(boot(3_600_000)), steady.era()), (at(3_600_000), 7));
        assert_eq!(steady.at(boot(10)), at(3_600_000), "never back");
    }

    #[test]
    fn a_small_difference_is_followed_ahead_at_once_and_back_by_going_slower() {
        let mut steady = Steady::from(reading(0, 0), 0);
        steady.correct(reading(1300, 1000));
        assert_eq!(steady.at(boot(2000)), at(2300));
        // a second ahead of the clock that people set
        steady.correct(reading(1300, 2000));
        assert_eq!(steady.at(boot(2000)), at(2300));
        assert_eq!(steady.at(boot(3000)), at(2800));
        steady.correct(reading(2300, 3000));
        assert_eq!(steady.at(boot(4000)), at(3300));
        steady.correct(reading(3300, 4000));
        assert_eq!(steady.at(boot(5000)), at(4300), "caught up");
    }

    #[test]
    fn a_jump_is_followed_when_told_to_and_no_time_passes_by_it() {
        let mut steady = Steady::from(reading(0, 0), 0);
        for by in [-3_600_000_000, 3_600_000_000] {
            let before = steady.at(boot(500));
            steady.follow(by, 1);
            assert_eq!(steady.at(boot(500)), moved(before, by));
        }
    }

    #[test]
    fn a_reading_that_took_long_is_none() {
        let (asked, answered) = (boot(0), boot(500));
        let middle = Reading { at: at(9), since_boot: boot(250) };
        assert_eq!(Reading::between(asked, at(9), answered), Some(middle));
        assert_eq!(Reading::between(asked, at(9), boot(2001)), None);
    }

    proptest! {
        /// What it shows passes as the time since boot does, up to what the clock that people set was off, whatever jumps
        /// are followed in between.
        #[test]
        fn a_wait_lasts_as_long_as_it_should(
            looks in vec((100..2000_u64, -4000..4000_i64, prop::option::of(-90_000_000..90_000_000_i64)), 1..40),
        ) {
            let mut steady = Steady::from(reading(0, 0), 0);
            let (mut now, mut jumped) = (0, 0);
            let mut last = steady.at(boot(0));
            for (pass, off, jump) in looks {
                now += pass;
                let shown = steady.at(boot(now));
                prop_assert!(shown >= last);
                if let Some(by_ms) = jump {
                    steady.follow(by_ms * 1000, 1);
                    jumped += by_ms;
                }
                // the clock that people set is off by so much
                let true_now = i64::try_from(now).unwrap() + jumped;
                steady.correct(reading(true_now + off, now));
                last = steady.at(boot(now));
                let passed = last.duration_since(at(jumped)).as_millis();
                let off_by = (passed - i128::from(now)).abs();
                prop_assert!(off_by <= 4000, "{off_by} ms");
            }
        }
    }
}

//! The only source of time and randomness.
//!
//! A server goes by a *steady* clock: what a clock that people set (this host's, or `PostgreSQL`'s) showed at one moment, and
//! from there on by the time since the machine was started, which counts sleep and which nobody sets. While it differs little
//! from the clock that people set, it follows; a jump it follows only when it is told to: by the store, in the moment in which
//! what waits has been moved too. So nobody in the process sees a time that waits were not written for.

mod steady;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

pub use steady::Reading;
use steady::Steady;

/// The system's clock, one that goes on when that is set, or one that tests and simulations move by hand.
#[derive(Debug, Clone)]
pub enum Clock {
    /// Wall clock, as it is: for commands that are over at once, and until a store makes it steady.
    System,
    /// Goes on whatever the wall clock does.
    Steady(Arc<Mutex<Steady>>),
    /// Moves only when told to.
    Manual(Arc<Mutex<Hand>>),
}

/// A clock that is moved by hand.
#[derive(Debug)]
pub struct Hand {
    at: Timestamp,
    era: i64,
}

impl Clock {
    /// A clock that stands at `start`.
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(Mutex::new(Hand { at: start, era: 0 })))
    }

    /// A clock that goes on from a reading.
    pub fn steady(from: Reading, era: i64) -> Self {
        Self::Steady(Arc::new(Mutex::new(Steady::from(from, era))))
    }

    /// Now, to the microsecond, which is what the store keeps.
    pub fn now(&self) -> Timestamp {
        self.now_and_era().0
    }

    /// Now, and how many jumps of the wall clock it has followed: instants of one era belong together.
    pub fn now_and_era(&self) -> (Timestamp, i64) {
        match self {
            Self::System => (wall(), 0),
            Self::Steady(steady) => {
                // under the lock, or another thread might follow a jump in between
                let mut steady = steady.lock().unwrap_or_else(PoisonError::into_inner);
                let now = steady.at(uptime());
                (now, steady.era())
            }
            Self::Manual(hand) => {
                let hand = hand.lock().unwrap_or_else(PoisonError::into_inner);
                (hand.at, hand.era)
            }
        }
    }

    /// How many jumps it has followed.
    pub fn era(&self) -> i64 {
        self.now_and_era().1
    }

    /// What it showed, or will show, at the moment of a reading.
    pub fn at(&self, reading: Reading) -> Timestamp {
        match self {
            Self::Steady(steady) => {
                steady.lock().unwrap_or_else(PoisonError::into_inner).line(reading.since_boot)
            }
            Self::System | Self::Manual(_) => self.now(),
        }
    }

    /// Corrects a steady clock by a small difference: ahead at once, back by going slower.
    pub fn correct(&self, reading: Reading) {
        if let Self::Steady(steady) = self {
            steady.lock().unwrap_or_else(PoisonError::into_inner).correct(reading);
        }
    }

    /// Follows a jump, by so many microseconds, into an era.
    pub fn follow(&self, by: i64, era: i64) {
        match self {
            Self::System => {}
            Self::Steady(steady) => {
                steady.lock().unwrap_or_else(PoisonError::into_inner).follow(by, era);
            }
            Self::Manual(hand) => {
                let mut hand = hand.lock().unwrap_or_else(PoisonError::into_inner);
                hand.at = steady::moved(hand.at, by);
                hand.era = era;
            }
        }
    }

    /// Moves a manual clock; the system's does not move.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(hand) = self {
            let mut hand = hand.lock().unwrap_or_else(PoisonError::into_inner);
            hand.at = hand.at.checked_add(by).unwrap_or(hand.at);
        }
    }

    /// Begins to measure time that nobody can set.
    pub fn stopwatch(&self) -> Stopwatch {
        match self {
            Self::System | Self::Steady(_) => Stopwatch::Boot(uptime()),
            Self::Manual(_) => Stopwatch::Manual(self.clone(), self.now()),
        }
    }

    /// A random number below 1000, for jitter.
    pub fn jitter(&self) -> u16 {
        match self {
            Self::System | Self::Steady(_) => rand::random_range(0..1000),
            Self::Manual(_) => 500,
        }
    }
}

/// Time since the machine started. Unlike the wall clock it is never set, and unlike timers it counts on while this process is
/// stopped and while the machine is suspended.
pub fn uptime() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// What this host's wall clock shows; `None` when the process was held up between looking at the two clocks.
pub fn read_wall() -> Option<Reading> {
    let began = uptime();
    let at = wall();
    Reading::between(began, at, uptime())
}

/// Names this start of the machine; empty when the system does not say.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// The wall clock, to the microsecond.
fn wall() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the one place for time")]
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// Measures how much time has passed, whatever the wall clock is set to, and while this process is stopped.
#[derive(Debug, Clone)]
pub enum Stopwatch {
    /// Since this time after the machine was started.
    Boot(Duration),
    /// Since a clock that is moved by hand showed this.
    Manual(Clock, Timestamp),
}

impl Stopwatch {
    /// Time since it was started.
    pub fn elapsed(&self) -> Duration {
        match self {
            Self::Boot(began) => uptime().saturating_sub(*began),
            Self::Manual(clock, began) => {
                Duration::try_from(clock.now().duration_since(*began)).unwrap_or_default()
            }
        }
    }
}

/// Random bytes from the operating system, for keys.
pub fn random_key() -> [u8; 32] {
    rand::random()
}

/// A random number, for names.
pub fn random_number() -> u32 {
    rand::random()
}

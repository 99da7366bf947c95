//! The only source of time and randomness.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

/// The system's clock, or one that tests and simulations move by hand.
#[derive(Debug, Clone)]
pub enum Clock {
    /// Wall clock.
    System,
    /// Moves only when told to.
    Manual(Arc<Mutex<Timestamp>>),
}

impl Clock {
    /// A clock that stands at `start`.
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(Mutex::new(start)))
    }

    /// Now, to the microsecond, which is what the store keeps.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                #[expect(clippy::disallowed_methods, reason = "this is the one place for time")]
                let now = Timestamp::now();
                Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
            }
            Self::Manual(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a manual clock; the system's does not move.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(at) = self {
            let mut at = at.lock().unwrap_or_else(PoisonError::into_inner);
            *at = at.checked_add(by).unwrap_or(*at);
        }
    }

    /// A random number below 1000, for jitter.
    pub fn jitter(&self) -> u16 {
        match self {
            Self::System => rand::random_range(0..1000),
            Self::Manual(_) => 500,
        }
    }
}

/// Time since the machine started. Unlike the wall clock it is never set, and unlike timers it counts on while this process is
/// stopped and while the machine is suspended.
pub fn uptime() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// Random bytes from the operating system, for keys.
pub fn random_key() -> [u8; 32] {
    rand::random()
}

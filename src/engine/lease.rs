//! How long what a replica does may take, after which another may do it.

use std::pin::pin;
#[cfg(debug_assertions)]
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::poll_fn;

use crate::clock::Clock;
use crate::clock::Stopwatch;

/// Added to a step's timeout: the lease must outlive the effect and the killing of it.
const MARGIN: Duration = Duration::from_secs(20);
/// The clock that counts through stops is looked at this often: timers do not count while a machine is suspended.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is added to the timeout of an effect for its lease. Debug builds, for tests, take it from `QUELL_LEASE_MARGIN_MS`.
pub(super) fn margin() -> Duration {
    #[cfg(debug_assertions)]
    {
        static GIVEN: OnceLock<Option<Duration>> = OnceLock::new();
        let given = || {
            let millis = std::env::var("QUELL_LEASE_MARGIN_MS").ok()?.parse().ok()?;
            Some(Duration::from_millis(millis))
        };
        GIVEN.get_or_init(given).unwrap_or(MARGIN)
    }
    #[cfg(not(debug_assertions))]
    MARGIN
}

/// A claim without an effect in flight lasts this long, and is renewed while verification watches.
pub(super) fn claimed() -> Duration {
    margin() + margin() / 2
}

/// Between the end of an effect and that of its lease: to kill what is in flight, before another replica takes over.
fn reserve() -> Duration {
    margin() / 4
}

/// The lease of an effect, by a clock that counts on while this process is stopped.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    began: Stopwatch,
    lasts: Duration,
}

impl Lease {
    /// A lease that will be written after this, so that it ends no earlier than this says.
    pub(super) fn begin(clock: &Clock, lasts: Duration) -> Self {
        Self { began: clock.stopwatch(), lasts }
    }

    /// Whether another replica may have it by now.
    pub(super) fn is_over(&self) -> bool {
        self.began.elapsed() >= self.lasts
    }

    /// Does it while the lease lasts. `None` when it is over, or nearly: then the effect is let go of before it does anything
    /// more, also right after this process was stopped for long.
    pub(super) async fn bounds<T>(&self, effect: impl Future<Output = T>) -> Option<T> {
        let mut effect = pin!(effect);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        poll_fn(|context| {
            if self.began.elapsed() + reserve() >= self.lasts {
                return Poll::Ready(None);
            }
            while looks.poll_tick(context).is_ready() {}
            effect.as_mut().poll(context).map(Some)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use super::*;

    #[tokio::test]
    async fn nothing_is_done_after_the_lease_and_what_is_done_before_counts() {
        let polls = AtomicUsize::new(0);
        let effect = || {
            poll_fn(|_| {
                polls.fetch_add(1, Ordering::Relaxed);
                Poll::Ready("done")
            })
        };
        assert_eq!(Lease::begin(&Clock::System, reserve()).bounds(effect()).await, None);
        assert_eq!(polls.load(Ordering::Relaxed), 0, "it was begun after its lease");
        let lease = Lease::begin(&Clock::System, Duration::from_mins(1));
        assert_eq!(lease.bounds(effect()).await, Some("done"));
        assert!(!lease.is_over() && Lease::begin(&Clock::System, Duration::ZERO).is_over());
    }

    #[tokio::test]
    async fn what_hangs_is_let_go_of_when_the_lease_ends() {
        let lease = Lease::begin(&Clock::System, reserve() + Duration::from_millis(200));
        assert_eq!(lease.bounds(std::future::pending::<()>()).await, None);
    }
}

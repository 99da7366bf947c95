//! Whether every loop turns.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

/// A loop that has not turned for this long is stuck; the longest turn waits a minute for a delivery.
const STALLED: Duration = Duration::from_mins(3);

/// When each loop turned last. A loop turns when it comes to the end of its body: one that panics each time does not.
#[derive(Debug, Default)]
pub struct Turns(Mutex<BTreeMap<&'static str, Instant>>);

impl Turns {
    /// The loop has begun; a loop that is begun again has not turned by that.
    pub(super) fn begun(&self, name: &'static str) {
        self.lock().entry(name).or_insert_with(Instant::now);
    }

    /// The loop has turned.
    pub(super) fn turned(&self, name: &'static str) {
        self.lock().insert(name, Instant::now());
    }

    /// A loop that is stuck, and for how long.
    pub fn stalled(&self) -> Option<(&'static str, Duration)> {
        let turns = self.lock();
        let longest = turns.iter().map(|(name, last)| (*name, last.elapsed()));
        longest.filter(|(_, time)| *time >= STALLED).max_by_key(|(_, time)| *time)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn g18_a_loop_that_does_not_turn_is_found_and_one_begun_again_has_not_turned() {
        let turns = Turns::default();
        turns.begun("intake");
        turns.begun("deliver");
        tokio::time::advance(STALLED - Duration::from_millis(1)).await;
        turns.turned("deliver");
        turns.begun("intake");
        assert_eq!(turns.stalled(), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(turns.stalled(), Some(("intake", STALLED)));
        turns.turned("intake");
        assert_eq!(turns.stalled(), None);
    }
}

//! Whether every loop turns.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
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
    pub(super) fn begun(&self, name: &'static str, now: Instant) {
        self.lock().entry(name).or_insert(now);
    }

    /// The loop has turned.
    pub(super) fn turned(&self, name: &'static str, now: Instant) {
        self.lock().insert(name, now);
    }

    /// A loop that is stuck, and for how long.
    pub fn stalled(&self, now: Instant) -> Option<(&'static str, Duration)> {
        let turns = self.lock();
        let times = turns.iter().map(|(name, last)| (*name, now.saturating_duration_since(*last)));
        times.filter(|(_, time)| *time >= STALLED).max_by_key(|(_, time)| *time)
    }

    /// When each loop turned last, or else was begun.
    #[cfg(test)]
    fn all(&self) -> BTreeMap<&'static str, Instant> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::clock::Clock;
    use crate::library::Library;
    use crate::model::config::Config;
    use crate::model::config::Secret;

    /// Each loop turns within seconds, even when it has nothing to do.
    const TURNS_WITHIN: Duration = Duration::from_secs(20);

    #[tokio::test(flavor = "multi_thread")]
    async fn g18_every_loop_of_a_server_turns() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            storage: Secret::new(format!("sqlite:{}", folder.path().join("quell.db").display())),
            ..Config::default()
        };
        let library = Library { config, ..Library::default() };
        let app = App::start(library, Clock::System).await.unwrap();
        let begun = app.engine.turns.all();
        let deadline = Instant::now() + TURNS_WITHIN;
        loop {
            let now = app.engine.turns.all();
            let still: Vec<_> = begun.keys().filter(|name| now[*name] == begun[*name]).collect();
            if still.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "never turned: {still:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        app.stop().await;
    }

    #[test]
    fn g18_a_loop_that_does_not_turn_is_found_and_one_begun_again_has_not_turned() {
        let turns = Turns::default();
        let start = Instant::now();
        let just_before = start + STALLED - Duration::from_millis(1);
        turns.begun("intake", start);
        turns.begun("deliver", start);
        turns.turned("deliver", just_before);
        turns.begun("intake", just_before);
        assert_eq!(turns.stalled(just_before), None);
        assert_eq!(turns.stalled(start + STALLED), Some(("intake", STALLED)));
        turns.turned("intake", start + STALLED);
        assert_eq!(turns.stalled(start + STALLED), None);
    }
}

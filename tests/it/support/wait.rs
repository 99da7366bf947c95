//! Waiting on a condition instead of for a time.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::Instant;

/// Long enough for a busy machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `probe` until it says `Ok`, and gives that back. `Err` carries the state seen instead.
///
/// Panics after `within` with `what` was awaited and the last state.
pub(crate) async fn until<T, S: Debug>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let deadline = Instant::now() + within;
    let mut last = None;
    loop {
        match tokio::time::timeout_at(deadline, probe()).await {
            Ok(Ok(found)) => return found,
            // what never waits itself would be asked for ever
            Ok(Err(seen)) if Instant::now() >= deadline => {
                panic!("{what}: not within {within:?}; last seen: {seen:#?}")
            }
            Ok(Err(seen)) => last = Some(seen),
            Err(_) => {}
        }
        // also for a probe that never waits, which no timeout interrupts
        assert!(Instant::now() < deadline, "{what}: not within {within:?}; last seen: {last:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

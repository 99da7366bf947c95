//! Many episodes that become due at one instant, as after a reload or a pause, are judged spread over a time (`guardrails.md` G9):
//! full jitter, so that what follows from them does not begin at once either.

use std::time::Duration;

/// A few are no herd.
const HERD: u64 = 10;
/// Time that each of a herd adds.
const EACH: Duration = Duration::from_millis(100);
/// The longest time a herd is spread over.
const LONGEST: Duration = Duration::from_mins(1);
/// How finely: delays are multiples of that part of the time.
const PARTS: u32 = 1000;
/// Knuth's multiplicative hash, 2^32 over the golden ratio: neighbouring ids come far apart.
const HASH: i64 = 2_654_435_761;

/// Over how long so many are spread; nothing for a few.
pub fn over(count: u64) -> Duration {
    if count <= HERD {
        return Duration::ZERO;
    }
    EACH.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)).min(LONGEST)
}

/// When within that time one of them is due, by its id: the same on every replica.
pub fn delay(id: i64, over: Duration) -> Duration {
    let part = id.wrapping_mul(HASH).rem_euclid(i64::from(PARTS));
    over / PARTS * u32::try_from(part).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn g09_a_few_start_at_once_and_a_herd_over_a_time_that_grows_with_it() {
        for (count, millis) in
            [(0, 0), (1, 0), (10, 0), (11, 1100), (100, 10_000), (10_000, 60_000)]
        {
            assert_eq!(over(count), Duration::from_millis(millis), "{count}");
        }
    }

    #[test]
    fn g09_starts_of_a_herd_are_spread_evenly() {
        let mut tenths: BTreeMap<u64, u32> = BTreeMap::new();
        for id in 1..=1000 {
            *tenths.entry(delay(id, Duration::from_secs(10)).as_secs()).or_default() += 1;
        }
        assert_eq!(tenths.len(), 10);
        assert!(tenths.values().all(|count| (80..=120).contains(count)), "{tenths:?}");
    }

    proptest! {
        #[test]
        fn g09_no_start_is_later_than_the_time_it_is_spread_over(id: i64, millis in 0..100_000_u64) {
            let over = Duration::from_millis(millis);
            prop_assert!(delay(id, over) <= over);
        }
    }
}

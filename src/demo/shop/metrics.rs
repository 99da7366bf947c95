//! What the shop counts, and the page that shows it (Prometheus text format 0.0.4).

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::clock::Clock;

/// Statuses a request for a product can have; counted from zero, so that a rate sees the first of each.
const STATUSES: [u16; 4] = [200, 404, 500, 503];

/// How much of the recent past the ratio of errors looks at is this times [`SLOT`]: 3 s. Less than the 5 s in
/// which a remedy must help, so that errors from before it do not count against it.
const SLOTS: usize = 12;

/// The step in which the recent past is forgotten.
const SLOT: Duration = Duration::from_millis(250);

/// Counts of requests for products, in all and lately.
#[derive(Debug)]
pub(super) struct Metrics {
    started: Timestamp,
    since: Instant,
    by_status: [AtomicU64; STATUSES.len()],
    recent: Mutex<Recent>,
}

/// What is measured elsewhere when the page is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gauges {
    pub(super) cache_entries: usize,
    pub(super) pool_in_use: usize,
    pub(super) pool_size: usize,
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self {
            started: Clock::System.now(),
            since: Instant::now(),
            by_status: Default::default(),
            recent: Mutex::default(),
        }
    }

    /// Counts one answer.
    pub(super) fn count(&self, status: u16) {
        let at = STATUSES.iter().position(|known| *known == status);
        if let Some(counter) = at.and_then(|at| self.by_status.get(at)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.count(self.slot(), status >= 500);
    }

    /// The page.
    pub(super) fn page(&self, gauges: Gauges) -> String {
        let counts =
            STATUSES.iter().zip(&self.by_status).map(|(it, n)| (*it, n.load(Ordering::Relaxed)));
        let ratio = self.recent.lock().unwrap_or_else(PoisonError::into_inner).ratio(self.slot());
        render(counts, ratio, gauges, self.started)
    }

    fn slot(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis() / SLOT.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The last [`SLOTS`] slots of time.
#[derive(Debug, Default)]
struct Recent {
    slots: [Slot; SLOTS],
}

#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    /// Its number since the start.
    number: u64,
    requests: u32,
    errors: u32,
}

impl Recent {
    fn count(&mut self, now: u64, error: bool) {
        let at = usize::try_from(now).unwrap_or_default() % SLOTS;
        let Some(slot) = self.slots.get_mut(at) else { return };
        if slot.number != now {
            *slot = Slot { number: now, ..Slot::default() };
        }
        slot.requests += 1;
        slot.errors += u32::from(error);
    }

    /// Errors per request; `None` when there was no request, which is not the same as no errors.
    fn ratio(&self, now: u64) -> Option<f64> {
        let recent = self.slots.iter().filter(|slot| now - slot.number.min(now) < SLOTS as u64);
        let (requests, errors) = recent
            .fold((0, 0), |(requests, errors), it| (requests + it.requests, errors + it.errors));
        (requests > 0).then(|| f64::from(errors) / f64::from(requests))
    }
}

fn render(
    counts: impl Iterator<Item = (u16, u64)>,
    ratio: Option<f64>,
    gauges: Gauges,
    started: Timestamp,
) -> String {
    let mut page = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, String)]| {
        let mut put = |line: std::fmt::Arguments<'_>| {
            // writing to a String cannot fail
            let _written = page.write_fmt(format_args!("{line}\n"));
        };
        put(format_args!("# HELP {name} {help}"));
        put(format_args!("# TYPE {name} {kind}"));
        for (labels, value) in samples {
            put(format_args!("{name}{labels} {value}"));
        }
    };
    let plain = |value: &dyn ToString| vec![(String::new(), value.to_string())];
    let requests: Vec<_> = counts
        .map(|(status, count)| (format!("{{status=\"{status}\"}}"), count.to_string()))
        .collect();
    let ratio: Vec<_> = ratio.iter().flat_map(|it| plain(&format!("{it:.4}"))).collect();
    family("shop_requests_total", "counter", "Requests for products.", &requests);
    family(
        "shop_request_errors_ratio",
        "gauge",
        "Share of requests in the last 3 s that failed; no sample without requests.",
        &ratio,
    );
    family("shop_cache_entries", "gauge", "Products in the cache.", &plain(&gauges.cache_entries));
    family("shop_pool_in_use", "gauge", "Connections taken.", &plain(&gauges.pool_in_use));
    family("shop_pool_size", "gauge", "Connections there are.", &plain(&gauges.pool_size));
    family(
        "process_start_time_seconds",
        "gauge",
        "Start of the process, seconds since 1970.",
        &plain(&started.as_duration().as_secs_f64()),
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_forgets_what_is_three_seconds_old() {
        let mut recent = Recent::default();
        assert_eq!(recent.ratio(0), None, "no request is not no error");
        recent.count(0, true);
        recent.count(4, false);
        for (slot, expected) in
            [(4, Some(0.5)), (11, Some(0.5)), (12, Some(0.0)), (15, Some(0.0)), (16, None)]
        {
            assert_eq!(recent.ratio(slot), expected, "slot {slot}");
        }
        recent.count(16, true);
        assert_eq!(recent.ratio(16), Some(1.0), "the slot of 4 is used again");
    }

    #[test]
    fn the_page_has_every_sample_but_a_ratio_of_nothing() {
        let gauges = Gauges { cache_entries: 3, pool_in_use: 1, pool_size: 8 };
        let started = Timestamp::from_millisecond(1_767_607_200_250).expect("a time");
        let page = |ratio| render([(200, 9), (500, 1)].into_iter(), ratio, gauges, started);
        insta::assert_snapshot!(page(Some(0.1)), @r#"
        # HELP shop_requests_total Requests for products.
        # TYPE shop_requests_total counter
        shop_requests_total{status="200"} 9
        shop_requests_total{status="500"} 1
        # HELP shop_request_errors_ratio Share of requests in the last 3 s that failed; no sample without requests.
        # TYPE shop_request_errors_ratio gauge
        shop_request_errors_ratio 0.1000
        # HELP shop_cache_entries Products in the cache.
        # TYPE shop_cache_entries gauge
        shop_cache_entries 3
        # HELP shop_pool_in_use Connections taken.
        # TYPE shop_pool_in_use gauge
        shop_pool_in_use 1
        # HELP shop_pool_size Connections there are.
        # TYPE shop_pool_size gauge
        shop_pool_size 8
        # HELP process_start_time_seconds Start of the process, seconds since 1970.
        # TYPE process_start_time_seconds gauge
        process_start_time_seconds 1767607200.25
        "#);
        assert!(!page(None).contains("\nshop_request_errors_ratio"));
    }
}

//! What came of a load.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::Histogram;

/// Counts and times.
#[derive(Debug, Default)]
pub struct Tally {
    /// When measuring began.
    pub began: Option<Instant>,
    /// How long was measured.
    pub seconds: f64,
    /// Answered 2xx.
    pub ok: Histogram,
    /// Answered 503.
    pub shed: Histogram,
    /// Answered otherwise.
    pub other: Histogram,
    /// By status.
    pub statuses: BTreeMap<u16, u64>,
    /// The first answer that was neither 2xx nor 503.
    pub first_other: Option<String>,
    /// Connections that broke while an answer was owed, or could not be made.
    pub broken: u64,
    /// Requests that were given up.
    pub timeouts: u64,
    /// Due at the end, and never sent.
    pub unsent: u64,
    /// Most requests that were due while no connection was free.
    pub longest_queue: u64,
    /// Answered 2xx in each second.
    pub each_second: Vec<u64>,
    /// From the webhook to the start of its action.
    pub marks: Histogram,
    /// Actions that were started again for the same webhook.
    pub marks_again: u64,
    marked: HashSet<u64>,
}

impl Tally {
    pub(super) fn answered(&mut self, status: u16, took: Duration, shown: Option<String>) {
        *self.statuses.entry(status).or_default() += 1;
        let histogram = match status {
            200..300 => &mut self.ok,
            503 => &mut self.shed,
            _ => &mut self.other,
        };
        histogram.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        if self.first_other.is_none() {
            self.first_other = shown;
        }
        if let (200..300, Some(began)) = (status, self.began) {
            let second = began.elapsed().as_secs() as usize;
            if self.each_second.len() <= second {
                self.each_second.resize(second + 1, 0);
            }
            self.each_second[second] += 1;
        }
    }

    pub(super) fn marked(&mut self, sent: u64, started: u64) {
        if self.marked.insert(sent) {
            self.marks.add(started.saturating_sub(sent));
        } else {
            self.marks_again += 1;
        }
    }

    /// All of it.
    pub fn json(&self) -> Value {
        let per_second = |count: u64| (count as f64 / self.seconds.max(1e-9) * 10.0).round() / 10.0;
        let all = self.ok.total() + self.shed.total() + self.other.total();
        json!({
            "seconds": self.seconds,
            "answered": all,
            "answered_per_second": per_second(all),
            "ok_per_second": per_second(self.ok.total()),
            "ok": self.ok.json(),
            "shed": self.shed.json(),
            "other": self.other.json(),
            "statuses": self.statuses,
            "first_other": self.first_other,
            "broken": self.broken,
            "timeouts": self.timeouts,
            "unsent": self.unsent,
            "longest_queue": self.longest_queue,
            "each_second": self.each_second,
            "marks": self.marks.json(),
            "marks_again": self.marks_again,
        })
    }
}

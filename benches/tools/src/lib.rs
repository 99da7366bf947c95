//! What the tools of benches/run share: arguments, the time, and a histogram.

pub mod load;

use std::process::ExitCode;
use std::str::FromStr;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Nanoseconds since 1970, by the clock that all processes of this machine share.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Arguments as `--name value`, and what comes without a name.
#[derive(Debug, Default)]
pub struct Arguments {
    named: Vec<(String, String)>,
    /// Without a name.
    pub others: Vec<String>,
}

impl Arguments {
    /// Those of this process; only the names in `known` are taken.
    pub fn of_process(known: &[&str]) -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut given = std::env::args().skip(1);
        while let Some(word) = given.next() {
            let Some(name) = word.strip_prefix("--") else {
                arguments.others.push(word);
                continue;
            };
            if !known.contains(&name) {
                return Err(format!("no argument --{name}: expected --{}", known.join(", --")));
            }
            let value = given.next().ok_or_else(|| format!("--{name} expects a value"))?;
            arguments.named.push((name.to_owned(), value));
        }
        Ok(arguments)
    }

    /// The value of a name, if it is given.
    pub fn get<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some((_, value)) = self.named.iter().rfind(|it| it.0 == name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| format!("--{name}: cannot read {value:?}"))
    }

    /// The same with a default.
    pub fn or<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        Ok(self.get(name)?.unwrap_or(default))
    }
}

/// Prints why a tool could not do its work.
pub fn ended(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

/// Counts of times, each within 1.6 % of what it was: 64 slots for each power of two of nanoseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

/// Slots of each power of two, as a power of two.
const SLOTS_LOG: u32 = 6;
const SLOTS: u64 = 1 << SLOTS_LOG;

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; (64 << SLOTS_LOG) as usize], total: 0, max: 0 }
    }
}

impl Histogram {
    /// Adds a time in nanoseconds.
    pub fn add(&mut self, ns: u64) {
        self.counts[Self::slot(ns)] += 1;
        self.total += 1;
        self.max = self.max.max(ns);
    }

    fn slot(ns: u64) -> usize {
        if ns < SLOTS {
            return ns as usize;
        }
        let power = ns.ilog2() - SLOTS_LOG;
        ((u64::from(power) << SLOTS_LOG) + (ns >> power)) as usize
    }

    /// The middle of what a slot holds.
    fn middle(slot: usize) -> f64 {
        let slot = slot as u64;
        if slot < SLOTS * 2 {
            return slot as f64;
        }
        let power = (slot >> SLOTS_LOG) - 1;
        let from = (slot - (power << SLOTS_LOG)) << power;
        from as f64 + (1_u64 << power) as f64 / 2.0
    }

    /// How many times were added.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The time in nanoseconds that this part (0 to 1) of all did not exceed.
    pub fn quantile(&self, part: f64) -> f64 {
        let wanted = (self.total as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (slot, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Self::middle(slot).min(self.max as f64);
            }
        }
        0.0
    }

    /// Count, and milliseconds: half, 99 %, 99.9 % and all took no longer than that.
    pub fn json(&self) -> serde_json::Value {
        if self.total == 0 {
            return serde_json::json!({ "n": 0 });
        }
        let ms = |part| (self.quantile(part) / 1e3).round() / 1e3;
        serde_json::json!({
            "n": self.total,
            "p50_ms": ms(0.5),
            "p90_ms": ms(0.9),
            "p99_ms": ms(0.99),
            "p999_ms": ms(0.999),
            "max_ms": (self.max as f64 / 1e3).round() / 1e3,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut histogram = Histogram::default();
        (1..=100_000_u64).for_each(|it| histogram.add(it * 1000));
        for (part, expected) in [(0.01, 1e6), (0.5, 5e7), (0.99, 9.9e7), (1.0, 1e8)] {
            let got = histogram.quantile(part);
            assert!((got - expected).abs() / expected < 0.02, "{part}: {got}, not {expected}");
        }
        assert_eq!(histogram.total(), 100_000);
    }

    #[test]
    fn small_times_are_exact() {
        let mut histogram = Histogram::default();
        (0..100).for_each(|it| histogram.add(it));
        assert!((histogram.quantile(0.5) - 49.0).abs() < f64::EPSILON);
    }
}

//! Metrics pages: what was read prints as a page that is read as the same; where an error is lies on the page.
//!
//! The first line of an input is the selector of the probe, the rest is the page.
#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use quell::model::labels::Labels;
use quell::probe::fuzzing::page;
use quell::probe::fuzzing::select;

type Sample = (String, Labels, f64, Option<Timestamp>);

fuzz_target!(|text: &str| {
    let (selector, text) = text.split_once('\n').unwrap_or(("", text));
    if let Err(reason) = select(selector) {
        assert!(!reason.is_empty());
    }
    for open_metrics in [false, true] {
        match page(text, open_metrics) {
            Ok(samples) => {
                let end = if open_metrics { "# EOF\n" } else { "" };
                let printed: String = samples.iter().map(|it| print(it, open_metrics)).collect();
                let again = page(&(printed.clone() + end), open_metrics);
                let again = again.unwrap_or_else(|broken| panic!("{broken:?}: {printed:?}"));
                assert_eq!(samples.len(), again.len());
                for (one, other) in samples.iter().zip(&again) {
                    assert!(same(one, other, open_metrics), "{one:?} {other:?}: {printed:?}");
                }
            }
            Err((line, column, message)) => {
                let there = text.split('\n').nth(line - 1).map(|it| it.chars().count());
                assert!(there.is_some_and(|there| (1..=there + 1).contains(&column)), "{message}");
            }
        }
    }
});

fn print((name, labels, value, at): &Sample, open_metrics: bool) -> String {
    let quote = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("\"{text}\"")
    };
    let mut inside = vec![quote(name)];
    inside.extend(labels.iter().map(|(name, value)| format!("{}={}", quote(name), quote(value))));
    let time = match at {
        None => String::new(),
        Some(at) if open_metrics => format!(" {}", at.as_duration().as_secs_f64()),
        Some(at) => format!(" {}", at.as_millisecond()),
    };
    format!("{{{}}} {value}{time}\n", inside.join(","))
}

/// Seconds with a fraction are a float, which cannot say every instant.
fn same(one: &Sample, other: &Sample, open_metrics: bool) -> bool {
    let values = one.2.to_bits() == other.2.to_bits() || one.2.is_nan() && other.2.is_nan();
    let times = if open_metrics { one.3.is_some() == other.3.is_some() } else { one.3 == other.3 };
    one.0 == other.0 && one.1 == other.1 && values && times
}

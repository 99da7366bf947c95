//! The report in words.

use std::collections::BTreeMap;

use super::Options;
use crate::cli::output;
use crate::model::config::Config;
use crate::model::playbook::Mode;
use crate::model::time::show_duration;
use crate::model::time::since;
use crate::rehearse::backtest::Comparison;
use crate::rehearse::backtest::Report;
use crate::rehearse::backtest::Tally;

/// Rows shown of a list that may be long.
const SHOWN: usize = 10;

/// The report of one set of rules.
pub(super) fn report(report: &Report, source: &str, config: &Config, options: &Options) {
    let Some((from, to)) = report.span else {
        output::line(&format!("no alert fired or resolved in that time ({source})"));
        return;
    };
    output::line(&format!(
        "{} to {} ({}): {} transitions, {} episodes",
        from.strftime("%Y-%m-%d %H:%M"),
        to.strftime("%Y-%m-%d %H:%M"),
        show_duration(since(to, from)),
        thousands(report.transitions),
        thousands(report.episodes)
    ));
    output::line(&format!("from {source}; times are UTC"));
    let mode = config.mode.value;
    if mode != Mode::Auto && options.mode.is_none() {
        output::line(&format!(
            "mode {} ({}): with --mode auto you see what would act",
            mode.as_str(),
            config.mode.place
        ));
    }
    output::line("");
    let headings =
        ["rule", "episodes", "would act", "would ask", "held by", "refused by", "to people"];
    let mut rows: Vec<Vec<String>> = report.rules.iter().map(|(name, it)| row(name, it)).collect();
    if rows.is_empty() {
        output::line("no rule took any of them");
    } else {
        output::table(&headings, &rows);
    }
    if options.days {
        output::line("");
        rows = report
            .days
            .iter()
            .flat_map(|(day, rules)| {
                rules.iter().map(move |(name, it)| {
                    let mut cells = vec![day.clone()];
                    cells.extend(row(name, it));
                    cells
                })
            })
            .collect();
        let mut with_day = vec!["day"];
        with_day.extend(headings);
        output::table(&with_day, &rows);
    }
    reasons(report, options.all);
    if !report.unmatched.is_empty() {
        let total: u64 = report.unmatched.values().sum();
        let words = frequent(&report.unmatched, options.all);
        output::line("");
        let episodes = if total == 1 { "episode" } else { "episodes" };
        output::line(&format!("no rule: {} {episodes}: {words}", thousands(total)));
    }
    if !report.notified.is_empty() {
        output::line(&format!("notifications: {}", frequent(&report.notified, true)));
    }
}

fn row(name: &str, tally: &Tally) -> Vec<String> {
    let mut acts = counts(&tally.ran);
    if !tally.observed.is_empty() {
        let only = format!("{} (only planned: observe)", counts(&tally.observed));
        acts = if tally.ran.is_empty() { only } else { format!("{acts}; {only}") };
    }
    vec![
        name.to_owned(),
        thousands(tally.episodes),
        dash(acts),
        dash(counts(&tally.asked)),
        dash(counts(&tally.held)),
        dash(counts(&tally.refused)),
        if tally.people == 0 { "–".into() } else { thousands(tally.people) },
    ]
}

fn dash(text: String) -> String {
    if text.is_empty() { "–".into() } else { text }
}

/// `restart 11, flush-cache 3`: the most frequent first.
fn counts(map: &BTreeMap<String, u64>) -> String {
    frequent(map, true)
}

fn frequent(map: &BTreeMap<String, u64>, all: bool) -> String {
    let mut rows: Vec<(&String, &u64)> = map.iter().collect();
    rows.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let shown = if all { rows.len() } else { SHOWN };
    let mut words: Vec<String> = rows
        .iter()
        .take(shown)
        .map(|(name, count)| {
            let name = if name.is_empty() { "(without alertname)" } else { name.as_str() };
            format!("{name} {}", thousands(**count))
        })
        .collect();
    if rows.len() > shown {
        words.push(format!("{} more: --all", rows.len() - shown));
    }
    words.join(", ")
}

/// Why incidents would have gone to people.
fn reasons(report: &Report, all: bool) {
    let mut reasons: Vec<(u64, &str, &str)> = report
        .rules
        .iter()
        .flat_map(|(rule, tally)| {
            tally
                .reasons
                .iter()
                .map(move |(reason, count)| (*count, rule.as_str(), reason.as_str()))
        })
        .collect();
    if reasons.is_empty() {
        return;
    }
    reasons.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
    output::line("");
    output::line("to people, since");
    let shown = if all { reasons.len() } else { SHOWN };
    for (count, rule, reason) in reasons.iter().take(shown) {
        output::line(&format!("  {count:>6}  {rule}: {reason}"));
    }
    if reasons.len() > shown {
        output::line(&format!("          {} more: --all", reasons.len() - shown));
    }
}

/// What the other set would have done differently.
pub(super) fn comparison(comparison: &Comparison, other: &str, all: bool) {
    output::line("");
    let same = thousands(comparison.same);
    if comparison.episodes.is_empty() {
        output::line(&format!("with {other}: no difference in {same} episodes"));
        return;
    }
    output::line(&format!(
        "with {other}: {} episodes would have gone another way, {same} the same",
        thousands(comparison.episodes.len() as u64)
    ));
    output::line("");
    let mut rows = Vec::new();
    for (name, (before, after)) in &comparison.rules {
        let change = |a: u64, b: u64| {
            if a == b { thousands(a) } else { format!("{} → {}", thousands(a), thousands(b)) }
        };
        let sum = |map: &BTreeMap<String, u64>| map.values().sum::<u64>();
        rows.push(vec![
            name.clone(),
            change(before.episodes, after.episodes),
            change(before.acted() + sum(&before.observed), after.acted() + sum(&after.observed)),
            change(sum(&before.asked), sum(&after.asked)),
            change(sum(&before.held), sum(&after.held)),
            change(sum(&before.refused), sum(&after.refused)),
            change(before.people, after.people),
        ]);
    }
    if !rows.is_empty() {
        let headings =
            ["rule", "episodes", "would act", "would ask", "held", "refused", "to people"];
        output::table(&headings, &rows);
        output::line("");
    }
    let shown = if all { comparison.episodes.len() } else { SHOWN };
    for it in comparison.episodes.iter().take(shown) {
        output::line(&format!("{}  {}", it.opened_at.strftime("%Y-%m-%d %H:%M:%S"), it.alert));
        output::line(&format!("    now   {}", fate(&it.before)));
        output::line(&format!("    then  {}", fate(&it.after)));
    }
    if comparison.episodes.len() > shown {
        output::line(&format!("{} more: --all", comparison.episodes.len() - shown));
    }
}

fn fate(did: &[String]) -> String {
    if did.is_empty() { "no rule takes it".into() } else { did.join(", then ") }
}

/// `24,811`
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn counts_begin_with_the_most_frequent() {
        let map: BTreeMap<String, u64> =
            (0..12).map(|it| (format!("r{it:02}"), if it == 5 { 1000 } else { it })).collect();
        assert!(frequent(&map, false).starts_with("r05 1,000, r11 11, r10 10"));
        assert!(frequent(&map, false).ends_with("2 more: --all"));
        assert!(!frequent(&map, true).contains("more"));
    }
}

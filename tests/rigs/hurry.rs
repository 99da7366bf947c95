//! Minutes become seconds: the only thing about the files of a runbook that its tests change beside addresses.

/// Shorter than this, and a rate over samples that are a second apart has nothing to count.
const SHORTEST_RANGE: u64 = 4;
/// A busy machine needs this long for a look by ssh or at a cluster.
const SHORTEST_WITHIN: u64 = 10;
/// More often, and checks by ssh are all that a busy machine does.
const OFTENEST: &str = "*/3 * * * * *";

/// The text of a file with times that a test can wait for: days become hours, hours minutes, minutes seconds, and seconds one
/// second. Longest times for one try (`timeout:`) stay, and seconds to become healthy (`within: 10s`), since a busy machine is no
/// faster for it, and minutes for that are ten seconds at least; so does the time between `updates:`; a range of PromQL has at least four seconds. Of `cron: "…"`
/// minutes become seconds where it comes each hour, and what comes each minute or more often comes every three seconds: six looks
/// by ssh each second are all that a machine can do. What comes once a day or less stays as it is, so that no test depends on
/// when it runs.
///
/// What a file leaves to a default is not shortened: write `within`, `hold` and `cooldown` where a test waits for them.
pub(crate) fn hurried(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(line).collect();
    lines.join("\n") + "\n"
}

fn line(line: &str) -> String {
    match line.split_once("cron: \"") {
        Some((before, rest)) if !line.trim_start().starts_with('#') => match rest.split_once('"') {
            Some((expression, after)) => {
                format!("{}cron: \"{}\"{}", spans(before), cron(expression), spans(after))
            }
            None => line.to_owned(),
        },
        // minutes are the least that these take
        _ if line.trim_start().starts_with("updates:") => line.to_owned(),
        _ => spans(line),
    }
}

/// Six fields begin with seconds.
fn cron(expression: &str) -> String {
    match expression.split_whitespace().collect::<Vec<_>>()[..] {
        ["*", "*", _, _, _] | [_, _, _, _, _, _] => OFTENEST.to_owned(),
        [minutes, "*", _, _, _] => format!("{minutes} * * * * *"),
        _ => expression.to_owned(),
    }
}

/// Each duration of a line, such as `90s`, `5m` or `1h30m`, that stands by itself.
fn spans(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let end = from.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        let stands_alone = !out.ends_with(|c: char| c.is_ascii_alphanumeric() || "_.-".contains(c));
        let key = out.trim_end();
        let kept = key.ends_with("timeout:")
            || (key.ends_with("within:") && word.ends_with('s') && !word.contains(['m', 'h']));
        match parts(word) {
            Some(parts) if stands_alone && !kept => {
                let least = if out.ends_with('[') {
                    SHORTEST_RANGE
                } else if key.ends_with(" within:") {
                    SHORTEST_WITHIN
                } else {
                    1
                };
                out.push_str(&shorter(&parts, least));
            }
            _ => out.push_str(word),
        }
        rest = after;
    }
    out + rest
}

/// `1h30m` → 1 h, 30 m; `None` when it is no duration.
fn parts(word: &str) -> Option<Vec<(u64, &str)>> {
    let mut parts = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        if !["s", "m", "h", "d", "w"].contains(&unit) {
            return None;
        }
        parts.push((number.parse().ok()?, unit));
        rest = tail;
    }
    Some(parts)
}

fn shorter(parts: &[(u64, &str)], least: u64) -> String {
    let seconds = |(number, unit): &(u64, &str)| match *unit {
        "m" => *number,
        "h" => number * 60,
        "d" => number * 60 * 60,
        "w" => number * 7 * 60 * 60,
        _ => 0,
    };
    let sum: u64 = parts.iter().map(seconds).sum();
    // `0s` means none
    let nothing = parts.iter().all(|(number, _)| *number == 0);
    if nothing { "0s".to_owned() } else { format!("{}s", sum.max(least)) }
}

#[test]
fn minutes_become_seconds_and_nothing_else_is_touched() {
    for (given, expected) in [
        ("  settle: 1m", "  settle: 1s"),
        ("  within: 1h30m", "  within: 90s"),
        (
            "{ hold: 30s, rate: 3 per 1h, memory: 7d }",
            "{ hold: 1s, rate: 3 per 60s, memory: 25200s }",
        ),
        ("{ timeout: 30s, within: 0s }", "{ timeout: 30s, within: 0s }"),
        ("rate(x[1m]) / rate(x[10m] offset 5m)", "rate(x[4s]) / rate(x[10s] offset 5s)"),
        (
            "http://10.0.0.5:8000/v1?a=5mb p99 m5 x-5m 0.5m",
            "http://10.0.0.5:8000/v1?a=5mb p99 m5 x-5m 0.5m",
        ),
        (r#"cron: "*/5 * * * *" # 1m"#, r#"cron: "*/5 * * * * *" # 1s"#),
        (r#"{ cron: "*/30 * * * * *" }"#, r#"{ cron: "*/3 * * * * *" }"#),
        (r#"{ cron: "* * * * *" }"#, r#"{ cron: "*/3 * * * * *" }"#),
        (r#"cron: "0 2 * * SUN""#, r#"cron: "0 2 * * SUN""#),
        ("{ timeout: 5s, within: 10s }", "{ timeout: 5s, within: 10s }"),
    ] {
        assert_eq!(hurried(given), format!("{expected}\n"));
    }
}

//! An explanation as lines of at most 100 columns. Tones help and nothing depends on them.

mod layout;

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::decide::explain::text::layout::Lines;
use crate::model::decision::InWindow;
use crate::model::decision::Verdict;
use crate::model::explain::Basis;
use crate::model::explain::Call;
use crate::model::explain::Explanation;
use crate::model::explain::Finding;
use crate::model::explain::Judged;
use crate::model::explain::Judgement;
use crate::model::explain::PagePlan;
use crate::model::explain::Proposal;
use crate::model::explain::SlotPlan;
use crate::model::explain::StepPlan;
use crate::model::playbook::Mode;
use crate::model::rule::Missed;
use crate::model::rule::Overlap;
use crate::model::rule::is_schedule;
use crate::model::time::after;
use crate::model::time::show_duration;
use crate::model::time::since;
use crate::model::window::Effect;

pub use crate::decide::explain::text::layout::Line;
pub use crate::decide::explain::text::layout::Span;
pub use crate::decide::explain::text::layout::Tone;

/// Rules shown without being asked for all.
const FEW_RULES: usize = 10;
/// Rulings shown without being asked for all, unless more of them do not proceed.
const FEW_RULINGS: usize = 5;
/// A window that begins within this time is shown without being asked for all.
const SOON: Duration = Duration::from_hours(24);

/// The explanation, with every rule and every ruling when `all`.
pub fn lines(it: &Explanation, all: bool) -> Vec<Line> {
    let mut out = Lines::default();
    if let Some(slot) = &it.slot {
        scheduled(&mut out, slot);
    } else {
        heading(&mut out, it);
        rules(&mut out, it, all);
    }
    basis(&mut out, it);
    if !it.judgements.is_empty() {
        windows(&mut out, it, all);
    }
    if it.judgements.is_empty() {
        out.blank();
        out.field("verdict", Tone::Bad, "nobody acts", &format!(": {}", no_rule(it)));
    }
    for judgement in &it.judgements {
        out.blank();
        judged(&mut out, judgement, all);
        for proposal in &judgement.remedies {
            out.blank();
            let stored = it.facts == Basis::Stored && !judgement.runs.is_empty();
            proposed(&mut out, judgement, proposal, stored);
        }
    }
    out.done()
}

fn heading(out: &mut Lines, it: &Explanation) {
    let count = it.rules.len();
    let s = if count == 1 { "" } else { "s" };
    let naming = it.rules.iter().filter(|rule| rule.names_alert).count();
    let taking = it.rules.iter().filter(|rule| rule.selected).count();
    let names = if naming == 1 || count == 1 { "names" } else { "name" };
    let taken = match taking {
        0 => "none is selected".to_owned(),
        1 => "1 is selected".to_owned(),
        more => format!("{more} are selected"),
    };
    let counted = if count == 0 {
        "there are no rules".to_owned()
    } else {
        format!("{naming} of {count} rule{s} {names} this alert; {taken}")
    };
    out.heading(&it.labels.to_string(), &counted);
}

/// A schedule in place of an alert and its rules.
fn scheduled(out: &mut Lines, it: &SlotPlan) {
    let slot = it.slot.strftime("%Y-%m-%d %H:%M:%S UTC");
    out.heading(&format!("schedule {}", it.schedule), &format!("slot {slot}"));
    out.blank();
    if it.place.is_empty() {
        return out.paragraph(2, Tone::Bad, "the files have no such schedule any more");
    }
    let mut when = format!("{} ({})", it.cron, it.place);
    if it.jitter != "0s" {
        _ = write!(when, "; begins up to {} later", it.jitter);
    }
    out.field("comes", Tone::Plain, "", &when);
    let overlap = match it.overlap {
        Overlap::Skip => "while the slot before is at work: left out (overlap: skip)",
        Overlap::Queue => "while the slot before is at work: waits for it (overlap: queue)",
    };
    let missed = match it.missed {
        Missed::Skip => "when quell was down: left out (missed: skip)",
        Missed::RunOnce => "when quell was down: runs once afterwards (missed: run_once)",
    };
    out.field("otherwise", Tone::Plain, "", &format!("{overlap}; {missed}"));
}

/// Windows that are in force, that bind because they are not, or that begin soon.
fn windows(out: &mut Lines, it: &Explanation, all: bool) {
    let shown = it.windows.iter().filter(|window| {
        let soon = window.begins.is_some_and(|begins| begins <= after(it.at, SOON));
        all || soon || window.ends.is_some() || window.effect == Effect::AllowOnly
    });
    for (index, window) in shown.enumerate() {
        let name = if index == 0 { "windows" } else { "" };
        let tone = if window.ends.is_some() { Tone::Wait } else { Tone::Plain };
        out.field(name, tone, &window.name, &window_words(window, it.at));
    }
}

/// ` (quell.yml:31): refuse until 12:00:00 UTC (in 2h): release week`
fn window_words(window: &InWindow, now: Timestamp) -> String {
    let mut words = format!(" ({}): {}", window.place, window.effect.as_str());
    match (window.ends, window.begins) {
        (Some(ends), _) => _ = write!(words, " until {}", in_words(ends, now)),
        (None, Some(begins)) => _ = write!(words, " from {}", in_words(begins, now)),
        (None, None) => words.push_str(", over"),
    }
    if !window.reason.is_empty() {
        _ = write!(words, ": {}", window.reason);
    }
    words
}

fn rules(out: &mut Lines, it: &Explanation, all: bool) {
    let few = all || it.rules.len() <= FEW_RULES;
    let telling = |rule: &&Finding| few || rule.selected || rule.names_alert || rule.unknown;
    let mut shown: Vec<&Finding> = it.rules.iter().filter(telling).collect();
    // those that name the alert first, each kind in the order of the files
    shown.sort_by_key(|rule| !(rule.selected || rule.names_alert));
    if !shown.is_empty() {
        out.blank();
    }
    out.table(
        2,
        shown.iter().map(|rule| {
            let tone = match (rule.selected, rule.unknown) {
                (true, _) => Tone::Good,
                (_, true) => Tone::Bad,
                _ => Tone::Faint,
            };
            vec![
                (Tone::Strong, rule.rule.clone()),
                (Tone::Plain, rule.place.clone()),
                (tone, rule.why.clone()),
            ]
        }),
    );
    match it.rules.len().saturating_sub(shown.len()) {
        0 => {}
        1 => out.paragraph(2, Tone::Faint, "1 more does not take it: --all"),
        more => out.paragraph(2, Tone::Faint, &format!("{more} more do not take it: --all")),
    }
}

fn basis(out: &mut Lines, it: &Explanation) {
    let of = it.episode.map(|id| format!(", {id}")).unwrap_or_default();
    let at = it.at.strftime("%Y-%m-%d %H:%M:%S UTC");
    out.blank();
    match it.facts {
        Basis::Assumed => {}
        Basis::Live => {
            out.field("facts", Tone::Plain, "", &format!("of the running server, {at}{of}"));
        }
        Basis::Stored => {
            out.field("decided", Tone::Plain, "", &format!("{at}{of}; the rules are those of now"));
        }
    }
    for words in &it.found {
        out.field("found", Tone::Wait, "", words);
    }
    if let Some(why) = &it.older_files {
        let first = "older than on disk";
        out.field("files", Tone::Bad, first, &format!(": {why}"));
    }
    if !it.assumed.is_empty() && !it.judgements.is_empty() {
        let at = if it.facts == Basis::Assumed { format!("{at}: ") } else { String::new() };
        out.field("assumed", Tone::Plain, "", &format!("{at}{}", it.assumed.join("; ")));
    }
}

fn no_rule(it: &Explanation) -> String {
    if it.unmatched.is_empty() {
        "no rule takes it, and nobody is told: `unmatched:` in quell.yml names no channel".into()
    } else {
        format!("no rule takes it; told on {} (`unmatched:` in quell.yml)", it.unmatched.join(", "))
    }
}

fn judged(out: &mut Lines, judgement: &Judgement, all: bool) {
    let mut rule = judgement.rule.clone();
    if !judgement.place.is_empty() {
        _ = write!(rule, " ({})", judgement.place);
    }
    if !judgement.target.is_empty() {
        _ = write!(rule, " on {}", judgement.target);
    }
    if let Some(incident) = judgement.incident {
        _ = write!(rule, ", incident {incident}");
    }
    for run in &judgement.runs {
        _ = write!(rule, ", run {run}");
    }
    out.field("rule", Tone::Plain, "", &rule);
    let (tone, word, rest) = verdict_words(judgement);
    out.field("verdict", tone, &word, &rest);
    if let Some(page) = &judgement.page {
        let (tone, word, rest) = page_words(page, judgement.at);
        out.field("page", tone, &word, &rest);
    }
    if !judgement.rulings.is_empty() {
        out.blank();
        rulings(out, &judgement.rulings, all);
    }
}

/// The verdict, its tone, and why.
fn verdict_words(judgement: &Judgement) -> (Tone, String, String) {
    let reason = &judgement.reason;
    let first = judgement.remedies.first();
    let observed = first.filter(|it| it.problem.is_empty() && it.mode == Mode::Observe);
    match &judgement.verdict {
        None => (Tone::Plain, "nothing to decide now".into(), format!(": {reason}")),
        Some(Verdict::Proceed) if let Some(first) = observed => {
            let by = if first.mode_set_in.is_empty() { "" } else { " by " };
            let observe = format!("mode observe{by}{}", first.mode_set_in);
            let words = format!(", but only to be planned and told: {observe}; {reason}");
            (Tone::Wait, "proceed".into(), words)
        }
        Some(Verdict::Proceed) => (Tone::Good, "proceed".into(), format!(": {reason}")),
        Some(Verdict::Ask) => (Tone::Wait, "ask approval".into(), format!(": {reason}")),
        Some(Verdict::Hold { until }) => (
            Tone::Wait,
            format!("hold until {}", in_words(*until, judgement.at)),
            format!(": {reason}"),
        ),
        // no guard refused: it would be the same again
        Some(Verdict::Refuse) if judgement.rulings.is_empty() => {
            (Tone::Bad, "refuse".into(), format!(": {reason}; a person must look"))
        }
        Some(Verdict::Refuse) => (Tone::Bad, "refuse".into(), format!(": {reason}")),
    }
}

/// What becomes of a page that the rule holds, its tone, and why.
fn page_words(page: &PagePlan, now: Timestamp) -> (Tone, String, String) {
    let set_in = format!("(unless_fixed_within: {}, {})", page.within, page.set_in);
    let channels = page.channels.join(", ");
    if page.channels.is_empty() {
        return (Tone::Plain, "nobody is paged".into(), format!(": no channel pages {set_in}"));
    }
    match page.held_until {
        Some(until) if until > now => (
            Tone::Wait,
            format!("held until {}", in_words(until, now)),
            format!(": {channels} only if no remedy has helped by then {set_in}"),
        ),
        Some(until) => (
            Tone::Wait,
            format!("was held until {}", in_words(until, now)),
            format!(": {channels} only if no remedy had helped by then {set_in}"),
        ),
        None if page.why.is_empty() => {
            (Tone::Plain, "was sent".into(), format!(" to {channels} {set_in}"))
        }
        None => {
            let rest = format!(" to {channels}: {} {set_in}", page.why);
            (Tone::Bad, "is sent at once".into(), rest)
        }
    }
}

/// `10:15:00 UTC (in 6m12s)`; with its day when that is another one.
pub fn in_words(at: Timestamp, now: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let format = if day(at) == day(now) { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S UTC" };
    let far = if at >= now {
        format!("in {}", show_duration(since(at, now)))
    } else {
        format!("{} ago", show_duration(since(now, at)))
    };
    format!("{} ({far})", at.strftime(format))
}

/// The deciding rulings first, then the other ones that do not proceed, then those with a limit.
fn rulings(out: &mut Lines, rulings: &[Judged], all: bool) {
    let mut sorted: Vec<&Judged> = rulings.iter().collect();
    let until = |it: &Judged| match it.ruling.verdict {
        Verdict::Hold { until } => until,
        Verdict::Proceed | Verdict::Ask | Verdict::Refuse => Timestamp::MIN,
    };
    sorted.sort_by_key(|it| {
        let caution = it.ruling.verdict.caution();
        let limit = caution > 0 || !it.ruling.limit.is_empty();
        (std::cmp::Reverse((caution, until(it))), !limit)
    });
    let against = sorted.iter().filter(|it| it.ruling.verdict != Verdict::Proceed).count();
    let shown = if all { sorted.len() } else { against.max(FEW_RULINGS).min(sorted.len()) };
    let more = sorted.len().saturating_sub(shown);
    let head = ["guard", "verdict", "measured", "limit", "set in"];
    let head = head.into_iter().map(|it| (Tone::Faint, it.to_owned())).collect();
    let rows = sorted.into_iter().take(shown).map(|it| {
        let ruling = &it.ruling;
        let tone = match ruling.verdict {
            Verdict::Proceed => Tone::Good,
            Verdict::Ask | Verdict::Hold { .. } => Tone::Wait,
            Verdict::Refuse => Tone::Bad,
        };
        // without a limit to compare with, only the reason says why
        let measured = if ruling.verdict.caution() >= 2 && ruling.limit.is_empty() {
            &ruling.reason
        } else {
            &ruling.measured
        };
        let measured = if it.assumed { format!("assumed: {measured}") } else { measured.clone() };
        vec![
            (Tone::Plain, ruling.guard.clone()),
            (tone, ruling.verdict.as_str().to_owned()),
            (Tone::Plain, measured),
            (Tone::Plain, ruling.limit.clone()),
            (Tone::Faint, ruling.knob.clone()),
        ]
    });
    out.table(2, std::iter::once(head).chain(rows));
    match more {
        0 => {}
        1 => out.paragraph(2, Tone::Faint, "1 more proceeds: --all"),
        _ => out.paragraph(2, Tone::Faint, &format!("{more} more proceed: --all")),
    }
}

fn proposed(out: &mut Lines, judgement: &Judgement, it: &Proposal, stored: bool) {
    let first = judgement.remedies.first().is_some_and(|first| first.remedy == it.remedy);
    let begins = match (&judgement.verdict, first) {
        (_, true) if stored => "planned",
        (Some(Verdict::Proceed), true) => "plan",
        (Some(Verdict::Ask), true) => "plan once a person says yes",
        (_, true) => "plan when it may run",
        (_, false) => "then",
    };
    let which = if it.remedy == 0 {
        "take back".to_owned()
    } else {
        format!("remedy {} of {}", it.remedy, it.of)
    };
    let mut head = format!("{begins}: {which}, {}", it.playbook);
    if !it.place.is_empty() {
        _ = write!(head, " ({})", it.place);
    }
    if !it.problem.is_empty() {
        out.paragraph(2, Tone::Strong, &head);
        out.paragraph(4, Tone::Bad, &format!("there is no plan: {}", it.problem));
        out.paragraph(4, Tone::Plain, "a person is told, and takes over");
        return;
    }
    _ = write!(head, ", mode {}", it.mode.as_str());
    if it.mode != Mode::Auto && !it.mode_set_in.is_empty() {
        _ = write!(head, " by {}", it.mode_set_in);
    }
    out.paragraph(2, Tone::Strong, &head);
    if it.mode == Mode::Approve {
        out.paragraph(4, Tone::Wait, &format!("waits for a yes of one person of tier {}", it.tier));
    }
    steps(out, &it.steps);
    if let Some(verify) = &it.verify {
        let seen = match verify.call.kind.as_str() {
            "alert" => "the alert is gone".to_owned(),
            _ => call_words(&verify.call),
        };
        let mut words = format!("verify: {seen}; within {}", verify.within);
        if verify.hold != "0s" {
            _ = write!(words, ", held {}", verify.hold);
        }
        out.paragraph(4, Tone::Plain, &words);
        if !verify.unharmed.is_empty() {
            let words = format!("undone if worse than before: {}", verify.unharmed.join(", "));
            out.paragraph(4, Tone::Plain, &words);
        }
    }
    if !it.otherwise.is_empty() {
        let when = if is_schedule(&judgement.rule) { "fails" } else { "does not help" };
        out.paragraph(4, Tone::Plain, &format!("if it {when}: {}", it.otherwise));
    }
    if !it.on_resolve.is_empty() {
        let when = if is_schedule(&judgement.rule) {
            "its incident resolves"
        } else {
            "the alert resolves"
        };
        out.paragraph(4, Tone::Plain, &format!("when {when}, after this remedy acted:"));
        steps(out, &it.on_resolve);
    }
}

fn steps(out: &mut Lines, steps: &[StepPlan]) {
    for step in steps {
        let begin = format!("    {}  {}: ", step.number, step.name);
        out.hanging(&begin, 7, &call_words(&step.call));
        if !step.call.unrendered.is_empty() {
            out.paragraph(7, Tone::Faint, &unrendered(&step.call));
        }
        if !step.notes.is_empty() {
            out.paragraph(7, Tone::Faint, &step.notes.join("; "));
        }
        match &step.undo {
            Some(undo) => {
                out.paragraph(7, Tone::Plain, &format!("undo: {}", call_words(undo)));
                if !undo.unrendered.is_empty() {
                    out.paragraph(7, Tone::Faint, &unrendered(undo));
                }
            }
            None if step.acts => out.paragraph(7, Tone::Faint, "undo: none"),
            None => {}
        }
    }
}

/// Why a call cannot be shown as it will be; its template is in the line before.
fn unrendered(call: &Call) -> String {
    let why = call.unrendered.split_once(" (template `").map_or(&*call.unrendered, |(why, _)| why);
    format!("known only when it runs: {why}")
}

/// Arguments that need no name, by what they are arguments of.
const LEADING: [(&str, &[&str]); 9] = [
    ("ask", &["question"]),
    ("command", &["argv"]),
    ("http", &["method", "server", "url"]),
    ("redis.flush", &["server"]),
    ("redis.delete", &["server"]),
    ("promql", &["query"]),
    ("scrape", &["url", "select"]),
    ("tcp", &["address"]),
    ("wait", &["for"]),
];

/// A call in one line: `http DELETE shop /cache, body: "x"`.
pub fn call_words(call: &Call) -> String {
    let kind = call.kind.trim_start_matches("probe ");
    let leading = LEADING.iter().find(|(it, _)| *it == kind).map_or(&[][..], |(_, names)| names);
    let mut words = call.kind.clone();
    for name in leading {
        match call.arguments.get(*name) {
            Some(Value::Array(items)) => {
                let items = items.iter().map(|it| shell_word(it.as_str().unwrap_or_default()));
                _ = write!(words, " {}", items.collect::<Vec<_>>().join(" "));
            }
            Some(Value::String(text)) => _ = write!(words, " {text}"),
            _ => {}
        }
    }
    let rest = call.arguments.iter().filter(|(name, _)| !leading.contains(&name.as_str()));
    let mut rest: Vec<(&String, &Value)> = rest.collect();
    // what is run before what it is run with
    rest.sort_by_key(|(name, _)| *name != "shell");
    let rest = rest.into_iter();
    let rest: Vec<String> = rest.map(|(name, value)| format!("{name}: {}", shown(value))).collect();
    match (rest.is_empty(), call.arguments.len() == rest.len()) {
        (true, _) => words,
        (false, true) => format!("{words} {}", rest.join(", ")),
        (false, false) => format!("{words}, {}", rest.join(", ")),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {
            value.to_string()
        }
    }
}

/// One argument as a shell would need it, so that people see where it begins and ends.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

//! What a notice says: the same facts in the same words in Slack and in mail.
//!
//! Everything here is plain text; each channel escapes it in its own way. Text from alerts may hold
//! anything (`protocols.md §1`, UTF-8), so each line is made one line of visible characters first.

use std::time::Duration;

use jiff::Timestamp;

use super::Links;
use crate::model::incident::Notice;
use crate::model::incident::NoticeKind;
use crate::model::time;

/// Longest line, in characters; more than a person reads at night.
const MAX_LINE: usize = 2_000;
/// Most lines of one list; the incident's page has the rest.
const MAX_LINES: usize = 100;

/// The last word of the first line: where the incident stands, without any colour.
pub(super) fn word(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Opened => "open",
        NoticeKind::Progress => "update",
        NoticeKind::NeedsYou => "needs you",
        NoticeKind::Acknowledged => "acknowledged",
        NoticeKind::Resolved => "resolved",
    }
}

/// The kind as a part of keys and message ids, which must never change.
pub(super) fn slug(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Opened => "opened",
        NoticeKind::Progress => "progress",
        NoticeKind::NeedsYou => "needs-you",
        NoticeKind::Acknowledged => "acknowledged",
        NoticeKind::Resolved => "resolved",
    }
}

/// `api: HighErrorRate, critical: needs you`.
pub(super) fn subject(notice: &Notice) -> String {
    format!("{}: {}", one_line(&notice.title), word(notice.kind))
}

/// The subject with the incident's age: `…: needs you, for 12 min`, `…: resolved after 17 min`.
pub(super) fn lead(notice: &Notice) -> String {
    let age = time::since(notice.at, notice.opened_at);
    let subject = subject(notice);
    if age < Duration::from_secs(1) {
        return subject;
    }
    let age = spell(age);
    match notice.kind {
        NoticeKind::Opened | NoticeKind::Progress | NoticeKind::NeedsYou => {
            format!("{subject}, for {age}")
        }
        NoticeKind::Acknowledged | NoticeKind::Resolved => format!("{subject} after {age}"),
    }
}

/// The facts below the first line, most important first: paragraphs of one or more lines.
pub(super) fn paragraphs(notice: &Notice) -> Vec<String> {
    let mut paragraphs = Vec::new();
    paragraphs.push(one_line(&notice.headline));
    paragraphs.push(lines(&notice.details).join("\n"));
    paragraphs.push(match lines(&notice.tried).as_slice() {
        [] => String::new(),
        [one] => format!("Tried: {one}"),
        many => {
            let numbered = many.iter().zip(1..).map(|(line, number)| format!("\n{number}. {line}"));
            format!("Tried:{}", numbered.collect::<String>())
        }
    });
    let mut facts =
        format!("Incident {}, began {}.", notice.incident, show_instant(notice.opened_at));
    if !notice.labels.is_empty() {
        facts.push_str("\nAlert: ");
        facts.push_str(&one_line(&notice.labels.to_string()));
    }
    paragraphs.push(facts);
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

/// What a person may do from a message, in order: what the link is called, and where it leads.
pub(super) fn ways<'a>(notice: &Notice, links: &'a Links) -> Vec<(&'static str, &'a str)> {
    let incident = Some(links.incident.as_str()).filter(|url| !url.is_empty());
    // the plan that is decided on says more than the incident does
    let look = match links.decide.as_deref() {
        Some(decide) => ("Look and approve", Some(decide)),
        None => ("Look", incident),
    };
    let acting = match notice.kind {
        NoticeKind::Opened | NoticeKind::Progress | NoticeKind::NeedsYou => {
            [("Acknowledge", links.ack.as_deref()), ("Take over", links.take.as_deref())]
        }
        NoticeKind::Acknowledged | NoticeKind::Resolved => {
            return incident.map(|url| ("Look", url)).into_iter().collect();
        }
    };
    let all = std::iter::once(look).chain(acting);
    all.filter_map(|(label, url)| Some((label, url?))).collect()
}

/// A list made fit to show: one line each, neither too long nor too many.
pub(super) fn lines(texts: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = texts.iter().take(MAX_LINES).map(|text| one_line(text)).collect();
    lines.retain(|line| !line.is_empty());
    if let Some(more @ 1..) = texts.len().checked_sub(MAX_LINES) {
        lines.push(format!("… and {more} more"));
    }
    lines
}

/// Text on one line: line breaks, tabs and runs of white space become one space; control characters
/// and those that reorder what follows (bidirectional overrides) go.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = true;
        } else if !reorders(c) {
            if gap && !line.is_empty() {
                line.push(' ');
            }
            gap = false;
            line.push(c);
        }
    }
    cut(&line, MAX_LINE)
}

/// Unicode's explicit bidirectional formatting (UAX #9 §2): would show an alert's text elsewhere in
/// the sentence than where it stands.
fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `max` characters, the last one `…` when something was cut off.
pub(super) fn cut(text: &str, max: usize) -> String {
    if text.chars().nth(max).is_none() {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// `2026-01-05 10:02:00 UTC`.
pub(super) fn show_instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A time as people say it: `45 s`, `12 min`, `1 h 30 min`, `2 d 3 h`.
fn spell(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let parts = match (days, hours, minutes) {
        (0, 0, 0) => [(seconds, "s"), (0, "")],
        (0, 0, _) => [(minutes, "min"), (0, "")],
        (0, _, _) => [(hours, "h"), (minutes % 60, "min")],
        (_, _, _) => [(days, "d"), (hours % 24, "h")],
    };
    let shown = parts.into_iter().filter(|(count, _)| *count > 0);
    shown.map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::links;
    use super::super::testing::notice;
    use super::*;

    fn text(notice: &Notice) -> String {
        format!("{}\n\n{}", lead(notice), paragraphs(notice).join("\n\n"))
    }

    #[test]
    fn a_person_who_is_needed_reads_what_happened_first_and_what_was_tried() {
        insta::assert_snapshot!(text(&notice(NoticeKind::NeedsYou)), @r#"
        api: HighErrorRate, critical: needs you, for 12 min

        Error rate 11.3 % (limit 5 %) on 2 of 12 pods.

        Proposes: roll back api from revision 41 to 40 (healthy for 6 days before).
        Needs one person of tier 3 by 10:25.

        Tried: restart at 10:02, did not help (11.8 % after 5 min)

        Incident i-381, began 2026-01-05 10:00:00 UTC.
        Alert: HighErrorRate{service="api", severity="critical"}
        "#);
    }

    #[test]
    fn a_notice_without_details_is_short() {
        let mut short = notice(NoticeKind::Opened);
        short.at = short.opened_at;
        short.details.clear();
        short.tried.clear();
        short.labels = std::iter::empty::<(String, String)>().collect();
        insta::assert_snapshot!(text(&short), @"
        api: HighErrorRate, critical: open

        Error rate 11.3 % (limit 5 %) on 2 of 12 pods.

        Incident i-381, began 2026-01-05 10:00:00 UTC.
        ");
    }

    #[test]
    fn the_first_line_says_where_the_incident_stands_in_words() {
        for (kind, ends) in [
            (NoticeKind::Opened, ": open, for 12 min"),
            (NoticeKind::Progress, ": update, for 12 min"),
            (NoticeKind::NeedsYou, ": needs you, for 12 min"),
            (NoticeKind::Acknowledged, ": acknowledged after 12 min"),
            (NoticeKind::Resolved, ": resolved after 12 min"),
        ] {
            let lead = lead(&notice(kind));
            assert!(lead.ends_with(ends), "{lead}");
        }
    }

    #[test]
    fn a_clock_that_went_back_shows_no_age() {
        let mut notice = notice(NoticeKind::Opened);
        notice.at = notice.opened_at - Duration::from_mins(1);
        assert_eq!(lead(&notice), "api: HighErrorRate, critical: open");
    }

    #[test]
    fn a_plan_that_waits_is_looked_at_and_decided_on_in_one_place() {
        let decide = Some("https://quell.example.com/act/DECIDE".to_owned());
        let notice = notice(NoticeKind::NeedsYou);
        let links = Links { decide, ..links() };
        let labels: Vec<&str> = ways(&notice, &links).into_iter().map(|(label, _)| label).collect();
        assert_eq!(labels, ["Look and approve", "Acknowledge", "Take over"]);
    }

    #[test]
    fn only_an_open_incident_can_be_acknowledged() {
        for (kind, can) in [
            (NoticeKind::Opened, true),
            (NoticeKind::Progress, true),
            (NoticeKind::NeedsYou, true),
            (NoticeKind::Acknowledged, false),
            (NoticeKind::Resolved, false),
        ] {
            let labels: Vec<&str> =
                ways(&notice(kind), &links()).into_iter().map(|(label, _)| label).collect();
            let expected =
                if can { vec!["Look", "Acknowledge", "Take over"] } else { vec!["Look"] };
            assert_eq!(labels, expected, "{kind:?}");
            assert_eq!(ways(&notice(kind), &Links::default()), [], "{kind:?}");
        }
    }

    #[test]
    fn times_are_spelled_with_at_most_two_units() {
        for (seconds, text) in [
            (1, "1 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (5_400, "1 h 30 min"),
            (86_400, "1 d"),
            (183_600, "2 d 3 h"),
        ] {
            assert_eq!(spell(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn text_from_alerts_becomes_one_visible_line() {
        for (text, line) in [
            ("  plain  text ", "plain text"),
            ("a\r\nBcc: b\n\n\tc", "a Bcc: b c"),
            ("a\u{2028}b\u{85}c\0d\u{1b}[31m", "a b c d [31m"),
            ("pay \u{202e}lla\u{202c} now", "pay lla now"),
            ("\u{feff}größe 🔥", "\u{feff}größe 🔥"),
            ("\n", ""),
        ] {
            assert_eq!(one_line(text), line, "{text:?}");
        }
    }

    #[test]
    fn long_lists_say_how_much_is_left_out() {
        let many: Vec<String> = (0..103).map(|number| format!("line {number}")).collect();
        let lines = lines(&many);
        assert_eq!(lines.len(), 101);
        assert_eq!(lines.last().unwrap(), "… and 3 more");
    }

    proptest! {
        #[test]
        fn cutting_keeps_to_the_limit_and_to_characters(text in any::<String>(), max in 1..40_usize) {
            let short = cut(&text, max);
            prop_assert!(short.chars().count() <= max);
            prop_assert_eq!(short == text, text.chars().count() <= max);
            prop_assert!(text.starts_with(short.trim_end_matches('…')) || text.contains('…'));
        }

        #[test]
        fn one_line_is_one_line(text in any::<String>()) {
            let line = one_line(&text);
            let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            prop_assert!(!line.contains(breaks));
            prop_assert_eq!(one_line(&line), line);
        }
    }
}

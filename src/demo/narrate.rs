//! One line of the story: when, who, what.
//!
//! ```text
//! 10:00:09  check          shop-error-rate  unhealthy 2 of 2: 37.2 % errors (healthy < 5 %)
//! ```

use anstyle::AnsiColor;
use anstyle::Style;
use jiff::civil::Time;

/// Width of a line in columns.
pub const WIDTH: usize = 100;

/// Width of the actor's column, without the space after it.
const ACTOR: usize = 14;

/// Where texts begin: after the time, two spaces, the actor and a space.
const INDENT: usize = 8 + 2 + ACTOR + 1;

/// How much further the rest of a wrapped text is indented.
const HANG: usize = 2;

/// What a line means; shown as colour, and nothing depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Neither good nor bad.
    #[default]
    Plain,
    /// Something was changed, or is about to be.
    Act,
    /// It helped.
    Good,
    /// It is broken, or did not help.
    Bad,
}

/// A line of the story.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Line<'a> {
    /// When, in the reader's time zone; `None` continues the line before.
    pub at: Option<Time>,
    /// Who: `check`, `run r-7`; empty continues the line before.
    pub actor: &'a str,
    /// What happened. A line feed begins a new line, indented.
    pub text: &'a str,
    /// What it means.
    pub tone: Tone,
}

/// The line as it is printed, wrapped at [`WIDTH`] columns, without a line feed at its end.
///
/// Control characters, which could come from a label of an alert, are shown as `\u{fffd}`. A word that is longer
/// than the line is left whole, so that URLs and commands can be copied.
pub fn show(line: &Line<'_>, colour: bool) -> String {
    let paint = |style: Style, text: &str| {
        if colour && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    };
    let time = line.at.map(|at| at.strftime("%H:%M:%S").to_string()).unwrap_or_default();
    let actor = printable(line.actor);
    let padding = |text: &str, width: usize| " ".repeat(width.saturating_sub(text.chars().count()));
    let head = format!(
        "{}{}  {}{} ",
        paint(Style::new().dimmed(), &time),
        padding(&time, 8),
        paint(Style::new().bold(), &actor),
        padding(&actor, ACTOR),
    );
    let head_width = 8 + 2 + actor.chars().count().max(ACTOR) + 1;
    let rows = wrap(line.text, WIDTH.saturating_sub(head_width), WIDTH - INDENT - HANG);
    let break_ = format!("\n{}", " ".repeat(INDENT + HANG));
    let text: Vec<_> = rows.iter().map(|row| paint(line.tone.style(), row)).collect();
    let shown = head + &text.join(&break_);
    if colour { shown } else { shown.trim_end().to_owned() }
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Act => AnsiColor::Cyan.on_default(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
        }
    }
}

/// Text with nothing in it that a terminal would obey: control characters, and those that turn the direction
/// of writing, by which a text could look like another.
fn printable(text: &str) -> String {
    let steers = |it: char| {
        it.is_control() || matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|it| if steers(it) { '\u{fffd}' } else { it }).collect()
}

/// Breaks a text into rows: the first of at most `first` columns, the others of `rest`. Runs of spaces
/// inside a row are kept, since they set facts apart; those at a break are dropped.
fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut row = String::new();
        let mut gap = String::new();
        for word in printable(paragraph).split(' ') {
            let width = if rows.is_empty() { first } else { rest };
            let columns = row.chars().count() + gap.chars().count() + word.chars().count();
            if !row.is_empty() && !word.is_empty() && columns > width {
                rows.push(std::mem::take(&mut row));
                gap.clear();
            }
            if !word.is_empty() {
                row.push_str(&gap);
                row.push_str(word);
                gap.clear();
            }
            gap.push(' ');
        }
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use jiff::civil::time;
    use proptest::prelude::*;

    use super::*;

    fn line<'a>(actor: &'a str, text: &'a str) -> Line<'a> {
        Line { at: Some(time(10, 0, 9, 0)), actor, text, tone: Tone::Bad }
    }

    #[test]
    fn columns_stand_under_one_another() {
        let check =
            line("check", "shop-error-rate  unhealthy 2 of 2: 37.2 % errors (healthy < 5 %)");
        let step = Line { text: "step 2/2 probe http /health", ..Line::default() };
        let long = line(
            "incident i-2",
            "resolved in 11 s, nobody was paged; mail and Slack would have said that flushing the cache did not help",
        );
        let said = line("incident i-2", "mail would have said:\n\"shop: fixed\"");
        let shown: Vec<_> = [check, step, long, said].iter().map(|it| show(it, false)).collect();
        insta::assert_snapshot!(format!("\n{}\n", shown.join("\n")), @r#"

        10:00:09  check          shop-error-rate  unhealthy 2 of 2: 37.2 % errors (healthy < 5 %)
                                 step 2/2 probe http /health
        10:00:09  incident i-2   resolved in 11 s, nobody was paged; mail and Slack would have said that
                                   flushing the cache did not help
        10:00:09  incident i-2   mail would have said:
                                   "shop: fixed"
        "#);
    }

    #[test]
    fn an_alert_cannot_steer_the_terminal() {
        let shown =
            show(&line("al\x1b[2Jert", "service=\"\x1b]0;owned\x07\r\u{9b}31m\u{202e}\""), false);
        assert!(!shown.contains(|it: char| it.is_control() || it == '\u{202e}'), "{shown:?}");
    }

    #[test]
    fn colour_says_nothing_that_words_do_not() {
        let fixed = Line { tone: Tone::Good, ..line("verify", "error rate 0.0 %: fixed") };
        let coloured = show(&fixed, true);
        assert!(coloured.contains("\u{1b}[32m"), "{coloured:?}");
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), show(&fixed, false));
    }

    proptest! {
        #[test]
        fn no_row_is_too_wide_and_no_word_is_lost(actor in "[a-z -]{0,20}", text in "([a-zäß→%=\"]{1,30}[ \n]{1,3}){0,40}") {
            let shown = show(&line(&actor, &text), false);
            for row in shown.lines() {
                let alone = row.split_whitespace().count() <= 1 + 1 + actor.split_whitespace().count();
                prop_assert!(row.chars().count() <= WIDTH || alone, "{row:?}");
            }
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&shown), words(&format!("10:00:09 {actor} {text}")));
        }
    }
}

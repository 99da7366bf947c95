//! Lines that never exceed the width: paragraphs, named fields and tables that wrap.

use std::fmt;

/// Columns of a line at most.
const WIDTH: usize = 100;
/// Where the text of a field begins.
const FIELD: usize = 15;
/// A column of a table is not made narrower than this.
const NARROW: usize = 12;
/// A word up to this long makes its column wide enough for it, where other columns can give way.
const LONG: usize = 32;

/// What colour may say besides the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    Plain,
    /// A name to be found.
    Strong,
    /// Nothing against it.
    Good,
    /// Not now, or not without a person.
    Wait,
    /// No.
    Bad,
    /// Can be read later.
    Faint,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its tone.
    pub tone: Tone,
    /// Its text, without control characters.
    pub text: String,
}

/// One line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(pub Vec<Span>);

/// Without its tones.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|span| f.write_str(&span.text))
    }
}

type Cell = (Tone, String);

/// Lines under way.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<Line>);

impl Lines {
    pub(super) fn done(self) -> Vec<Line> {
        self.0
    }

    fn push(&mut self, spans: Vec<Span>) {
        let mut spans = spans;
        while let Some(last) = spans.last_mut() {
            last.text.truncate(last.text.trim_end().len());
            if !last.text.is_empty() {
                break;
            }
            spans.pop();
        }
        self.0.push(Line(spans));
    }

    /// An empty line, unless there is one, or nothing, before it.
    pub(super) fn blank(&mut self) {
        if self.0.last().is_some_and(|last| !last.0.is_empty()) {
            self.0.push(Line::default());
        }
    }

    /// A title, and beside it, or below it where there is no room, what it comes to.
    pub(super) fn heading(&mut self, title: &str, beside: &str) {
        let beside = &clean(beside);
        let mut titles = wrap(title, WIDTH, WIDTH - 2);
        let last = titles.pop().unwrap_or_default();
        let room = WIDTH.saturating_sub(width(&last) + usize::from(!titles.is_empty()) * 2);
        for (index, text) in titles.iter().enumerate() {
            self.push(vec![pad(if index == 0 { 0 } else { 2 }), span(Tone::Strong, text.clone())]);
        }
        let indent = pad(if titles.is_empty() { 0 } else { 2 });
        if width(beside) + 5 <= room {
            let gap = pad(5);
            self.push(vec![indent, span(Tone::Strong, last), gap, span(Tone::Plain, beside)]);
        } else {
            self.push(vec![indent, span(Tone::Strong, last)]);
            self.paragraph(2, Tone::Plain, beside);
        }
    }

    /// Text indented by so many columns.
    pub(super) fn paragraph(&mut self, indent: usize, tone: Tone, text: &str) {
        for (index, text) in wrap(text, WIDTH - indent, WIDTH - indent - 2).into_iter().enumerate()
        {
            let indent = if index == 0 { indent } else { indent + 2 };
            self.push(vec![pad(indent), span(tone, text)]);
        }
    }

    /// Text after `begin`, its further lines indented by so many columns.
    pub(super) fn hanging(&mut self, begin: &str, indent: usize, text: &str) {
        let begin = &clean(begin);
        if width(begin) + NARROW > WIDTH {
            self.paragraph(4, Tone::Strong, begin.trim());
            return self.paragraph(indent, Tone::Plain, text);
        }
        let indent = indent + 2;
        let first = WIDTH - width(begin);
        for (index, text) in wrap(text, first, WIDTH - indent).into_iter().enumerate() {
            let before = if index == 0 { span(Tone::Strong, begin) } else { pad(indent) };
            self.push(vec![before, span(Tone::Plain, text)]);
        }
    }

    /// `verdict    hold until …: why`, with a tone on the first words.
    pub(super) fn field(&mut self, name: &str, tone: Tone, first: &str, rest: &str) {
        let (first, room) = (clean(first), WIDTH - FIELD);
        let mut toned = width(&first);
        for (index, text) in wrap(&format!("{first}{rest}"), room, room).into_iter().enumerate() {
            let before = if index == 0 {
                span(Tone::Faint, format!("  {name:<0$}", FIELD - 2))
            } else {
                pad(FIELD)
            };
            let here = toned.min(width(&text));
            toned = toned.saturating_sub(width(&text) + 1);
            let (start, end): (String, String) =
                (text.chars().take(here).collect(), text.chars().skip(here).collect());
            self.push(vec![before, span(tone, start), span(Tone::Plain, end)]);
        }
    }

    /// Rows of cells, two blanks between columns; the widest columns are wrapped until all fit.
    pub(super) fn table(&mut self, indent: usize, rows: impl IntoIterator<Item = Vec<Cell>>) {
        let rows: Vec<Vec<Cell>> = rows
            .into_iter()
            .map(|row| row.into_iter().map(|(tone, text)| (tone, clean(&text))).collect())
            .collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|(_, text)| width(text)).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = (0..columns).map(widest).collect();
        let room = WIDTH.saturating_sub(indent + 2 * columns.saturating_sub(1));
        let words = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let words = cells.flat_map(|(_, text)| text.split(' '));
            words.map(width).filter(|it| *it <= LONG).max().unwrap_or(0).max(NARROW)
        };
        shrink(&mut widths, &(0..columns).map(words).collect::<Vec<_>>(), room);
        shrink(&mut widths, &vec![NARROW; columns], room);
        for row in rows {
            let wrapped: Vec<(Tone, Vec<String>)> = row
                .into_iter()
                .zip(&widths)
                .map(|((tone, text), width)| (tone, wrap(&text, *width, *width)))
                .collect();
            let height = wrapped.iter().map(|(_, lines)| lines.len()).max().unwrap_or(0);
            for at in 0..height {
                let mut spans = vec![pad(indent)];
                for ((tone, lines), width) in wrapped.iter().zip(&widths) {
                    let text = lines.get(at).map_or("", String::as_str);
                    spans.push(span(*tone, format!("{text:width$}")));
                    spans.push(pad(2));
                }
                self.push(spans);
            }
        }
    }
}

/// Takes from the widest column that is wider than its floor until all fit, or none is.
fn shrink(widths: &mut [usize], floors: &[usize], room: usize) {
    while widths.iter().sum::<usize>() > room {
        let above = widths.iter_mut().zip(floors).filter(|(width, floor)| **width > **floor);
        match above.map(|(width, _)| width).max() {
            Some(widest) => *widest -= 1,
            None => return,
        }
    }
}

fn pad(columns: usize) -> Span {
    Span { tone: Tone::Plain, text: " ".repeat(columns) }
}

fn span(tone: Tone, text: impl AsRef<str>) -> Span {
    Span { tone, text: clean(text.as_ref()) }
}

/// What an alert says must not move the cursor, or turn the text around.
fn clean(text: &str) -> String {
    let moves = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(moves) {
        return text.to_owned();
    }
    let escape = |c: char| if moves(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Breaks at blanks; a word that is wider than a line is cut. At least one line.
fn wrap(text: &str, first: usize, further: usize) -> Vec<String> {
    let text = clean(text);
    let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0);
    let mut room = first;
    for (index, word) in text.split(' ').enumerate() {
        let blank = usize::from(index > 0);
        if used + blank + width(word) <= room {
            line.extend(std::iter::repeat_n(' ', blank));
            line.push_str(word);
            used += blank + width(word);
            continue;
        }
        if used > 0 {
            lines.push(std::mem::take(&mut line));
            (used, room) = (0, further);
        }
        for c in word.chars() {
            if used == room.max(1) {
                lines.push(std::mem::take(&mut line));
                (used, room) = (0, further);
            }
            line.push(c);
            used += 1;
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(fill: impl Fn(&mut Lines), expected: &[&str]) {
        let mut lines = Lines::default();
        fill(&mut lines);
        let shown: Vec<String> = lines.done().iter().map(Line::to_string).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn words_wrap_and_what_is_too_long_is_cut() {
        assert_eq!(wrap("a bc def", 4, 3), ["a bc", "def"]);
        assert_eq!(wrap("abcdefgh", 3, 2), ["abc", "de", "fg", "h"]);
        assert_eq!(wrap("", 5, 5), [""]);
        assert_eq!(wrap("a  b", 9, 9), ["a  b"]);
    }

    #[test]
    fn what_moves_the_cursor_is_shown_and_not_done() {
        check(
            |it| it.paragraph(2, Tone::Plain, "a\u{1b}[2Jb\nc\u{202e}d"),
            &["  a\\u{1b}[2Jb\\nc\\u{202e}d"],
        );
    }

    #[test]
    fn a_table_breaks_between_words_before_it_cuts_one() {
        let place = "cooldown (rules/service.yml:40)";
        let measured =
            "so many words that this column must be the one that gives way to the others";
        let texts = ["rate of the playbook", "ask approval", measured, "outside year-end", place];
        let mut lines = Lines::default();
        lines.table(2, [texts.map(|it| (Tone::Plain, it.to_owned())).to_vec()]);
        let shown: Vec<String> = lines.done().iter().map(Line::to_string).collect();
        assert!(shown.len() > 1 && shown.iter().all(|it| width(it) <= WIDTH), "{shown:#?}");
        assert!(shown.iter().any(|it| it.ends_with("  (rules/service.yml:40)")), "{shown:#?}");
    }

    #[test]
    fn a_field_keeps_its_tone_over_a_break() {
        let mut lines = Lines::default();
        lines.field("verdict", Tone::Bad, "refuse", &format!(": {}", "word ".repeat(30)));
        let lines = lines.done();
        assert!(lines.len() > 1);
        let toned =
            |line: &Line| line.0.iter().any(|span| span.tone == Tone::Bad && !span.text.is_empty());
        assert_eq!(lines.iter().map(toned).collect::<Vec<_>>(), [true, false]);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_page(
            texts in prop::collection::vec(".{0,160}", 1..7), indent in 0_usize..9, rows in 1_usize..4,
        ) {
            let mut lines = Lines::default();
            let row: Vec<Cell> = texts.iter().map(|it| (Tone::Plain, it.clone())).collect();
            lines.table(indent, vec![row; rows]);
            for text in &texts {
                lines.heading(text, text);
                lines.paragraph(indent, Tone::Plain, text);
                lines.hanging("    1  a step: ", 7, text);
                lines.field("verdict", Tone::Good, text, text);
            }
            for line in lines.done() {
                let text = line.to_string();
                prop_assert!(width(&text) <= WIDTH, "{}: {text}", width(&text));
                prop_assert_eq!(text.trim_end(), text.as_str());
            }
        }
    }
}

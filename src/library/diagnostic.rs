//! What is wrong in a file, where, and how it is shown to people.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::ops::Range;

use codespan_reporting::diagnostic::Diagnostic as Shown;
use codespan_reporting::diagnostic::Label;
use codespan_reporting::diagnostic::Severity as ShownSeverity;
use codespan_reporting::files::SimpleFiles;
use codespan_reporting::term;
use codespan_reporting::term::termcolor::Ansi;

use super::codes;
use crate::model::action::TargetKind;

mod place;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The files cannot be used.
    Error,
    /// They can be used, and most likely not as meant.
    Warning,
    /// Something that was not looked at.
    Note,
}

/// A place in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
    /// Line from 1; 0 when there is no place.
    pub line: u32,
    /// Column from 1, in characters.
    pub column: u32,
}

/// One thing wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Stable code: a row of [`super::codes::CODES`], or empty for a note.
    pub code: &'static str,
    /// The file, as given; empty when no file is meant.
    pub file: String,
    /// Where in the file; `None` for the file as a whole.
    pub span: Option<Span>,
    /// What is wrong: a lowercase fragment.
    pub message: String,
    /// What stands under the underlined place, such as a suggestion; may be empty.
    pub label: String,
    /// What to do next, one a line.
    pub notes: Vec<String>,
}

impl Diagnostic {
    pub(crate) fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            file: String::new(),
            span: None,
            message: message.into(),
            label: String::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    pub(crate) fn remark(message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error("", message) }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// Messages by first byte and end.
type Places = BTreeMap<(usize, usize), BTreeSet<String>>;

/// Collects what is wrong, over all files.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    found: RefCell<Vec<Diagnostic>>,
    /// What was found where: an alias repeats its value, and need not repeat what is wrong with it.
    places: RefCell<BTreeMap<String, Places>>,
    errors: Cell<usize>,
    /// Places whose text must not be shown, since it may be a credential.
    masked: RefCell<BTreeMap<String, Vec<Span>>>,
    /// Texts that were found right.
    sound: RefCell<HashSet<String>>,
    /// What files name that other files have.
    used: RefCell<Vec<(String, Span, Used)>>,
}

/// Something that a file names and quell.yml must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Used {
    /// A server of one kind under `targets`.
    Server(TargetKind, String),
    /// A channel.
    Channel(String),
}

impl Sink {
    /// Looks for what is wrong in a text, unless the same was found right before: many rules share their templates.
    pub(crate) fn once<E>(
        &self,
        text: String,
        check: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.sound.borrow().contains(&text) {
            check()?;
            self.sound.borrow_mut().insert(text);
        }
        Ok(())
    }

    pub(crate) fn push(&self, diagnostic: Diagnostic) {
        let place = diagnostic.span.map(|span| (span.start, span.end)).unwrap_or_default();
        let mut places = self.places.borrow_mut();
        let messages = places.entry(diagnostic.file.clone()).or_default().entry(place).or_default();
        if !messages.insert(diagnostic.message.clone()) {
            return;
        }
        if diagnostic.severity == Severity::Error {
            self.errors.set(self.errors.get() + 1);
        }
        self.found.borrow_mut().push(diagnostic);
    }

    /// How many errors were found.
    pub(crate) fn errors(&self) -> usize {
        self.errors.get()
    }

    pub(crate) fn take(&self) -> Vec<Diagnostic> {
        self.found.take()
    }

    /// What files name, each with its file and place.
    pub(crate) fn take_used(&self) -> Vec<(String, Span, Used)> {
        self.used.take()
    }

    pub(crate) fn take_masked(&self) -> BTreeMap<String, Vec<Span>> {
        self.masked.take()
    }
}

/// Takes out the missing keys that are there, misspelt: the misspelling is reported too, and says what was meant.
pub(crate) fn forgive_slips(found: &mut Vec<Diagnostic>) {
    let line = |it: &Diagnostic| it.span.map_or(0, |span| span.line);
    let slips: Vec<(String, u32, String)> = found
        .iter()
        .filter(|it| it.code == codes::UNKNOWN_KEY)
        .filter_map(|it| Some((it, it.label.strip_prefix("did you mean ")?.strip_suffix('?')?)))
        .map(|(it, meant)| (it.file.clone(), line(it), format!("missing key {meant}")))
        .collect();
    for (file, at, message) in slips {
        let same = found.iter().enumerate().filter(|(_, it)| {
            it.code == codes::MISSING_KEY && it.file == file && it.message == message
        });
        if let Some((nearest, _)) = same.min_by_key(|(_, it)| line(it).abs_diff(at)) {
            found.remove(nearest);
        }
    }
}

/// A file that is being read: where its diagnostics go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
    pub(crate) sink: &'a Sink,
}

impl At<'_> {
    /// Notes what must be somewhere else, to be looked up when all is read.
    pub(crate) fn uses(&self, span: Span, used: Used) {
        self.sink.used.borrow_mut().push((self.file.to_owned(), span, used));
    }

    /// Records something wrong at a place of this file.
    pub(crate) fn report(self, span: Span, diagnostic: Diagnostic) {
        let span = (span.line > 0).then_some(span);
        self.sink.push(Diagnostic { file: self.file.to_owned(), span, ..diagnostic });
    }

    /// Whether something wrong was found within a place: what follows from it need not be reported too.
    pub(crate) fn is_wrong(self, span: Span) -> bool {
        let places = self.sink.places.borrow();
        let Some(places) = places.get(self.file) else { return false };
        places.range((span.start, 0)..(span.end, 0)).any(|((_, end), _)| *end <= span.end)
    }

    /// Records something wrong with this file as a whole; its message names the file.
    pub(crate) fn whole(self, diagnostic: Diagnostic) {
        self.report(Span::default(), diagnostic);
    }

    /// The place of a word or a sign that begins at a byte of a scalar, wherever the scalar stands in the file as it was
    /// written, folded or quoted; else the whole scalar.
    pub(crate) fn inside(self, span: Span, scalar: &str, offset: Option<usize>) -> Span {
        let source = self.text.get(span.start..span.end).unwrap_or_default();
        let Some((offset, at)) = offset.and_then(|it| Some((it, place::of(source, scalar, it)?)))
        else {
            return span;
        };
        let before = source.get(..at).unwrap_or_default();
        let rest = scalar.get(offset..).unwrap_or_default();
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let sign = rest.find(|c: char| !"=!<>~".contains(c)).unwrap_or(rest.len());
        let width = word.max(sign).max(rest.chars().next().map_or(0, char::len_utf8));
        let start = span.start + at;
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let lines = before.matches('\n').count();
        let column = match before.rsplit_once('\n') {
            Some((_, tail)) => narrow(tail.chars().count() + 1),
            None => span.column + narrow(before.chars().count()),
        };
        Span { start, end: start + width, line: span.line + narrow(lines), column }
    }

    /// Keeps a place from being shown.
    pub(crate) fn mask(self, span: Span) {
        self.sink.masked.borrow_mut().entry(self.file.to_owned()).or_default().push(span);
    }
}

/// The text of files by name, with credentials masked: what is shown under a message.
#[derive(Debug, Clone, Default)]
pub struct Sources(BTreeMap<String, String>);

impl Sources {
    pub(crate) fn add(&mut self, file: &str, text: &str) {
        self.0.insert(file.to_owned(), text.to_owned());
    }

    /// Replaces places of a file by asterisks, byte for byte, so that other places keep their offsets.
    pub(crate) fn mask(&mut self, file: &str, spans: &[Span]) {
        let Some(text) = self.0.get_mut(file) else { return };
        let whole = |span: &&Span| text.get(span.start..span.end).is_some();
        let spans: Vec<Span> = spans.iter().filter(whole).copied().collect();
        let mut bytes = std::mem::take(text).into_bytes();
        for span in spans {
            for byte in bytes.get_mut(span.start..span.end).unwrap_or_default() {
                if !matches!(*byte, b'\n' | b'\r') {
                    *byte = b'*';
                }
            }
        }
        // Whole characters were replaced, so the text is what it was; a lossy read costs nothing.
        *text = String::from_utf8_lossy(&bytes).into_owned();
    }

    /// The same with a part of all names left out: the folder of a test.
    #[cfg(test)]
    pub(crate) fn without(self, part: &str) -> Self {
        Self(self.0.into_iter().map(|(name, text)| (name.replace(part, ""), text)).collect())
    }

    /// The text of a file.
    pub fn get(&self, file: &str) -> Option<&str> {
        self.0.get(file).map(String::as_str)
    }
}

/// Shows diagnostics the way rustc does, each with its source line, in the order given.
pub fn render_diagnostics(diagnostics: &[Diagnostic], sources: &Sources, colour: bool) -> String {
    let mut files = SimpleFiles::new();
    let mut ids: BTreeMap<&str, usize> = BTreeMap::new();
    for diagnostic in diagnostics {
        let name = diagnostic.file.as_str();
        if let (Some(text), false) = (sources.get(name), ids.contains_key(name)) {
            ids.insert(name, files.add(name, text));
        }
    }
    let config = term::Config { tab_width: 2, ..term::Config::default() };
    let mut out = Ansi::new(Vec::new());
    let mut plain = String::new();
    for diagnostic in diagnostics {
        let name = diagnostic.file.as_str();
        let label =
            diagnostic.span.zip(ids.get(name)).zip(sources.get(name)).map(|((span, id), text)| {
                Label::primary(*id, underlined(text, span)).with_message(&diagnostic.label)
            });
        let severity = match diagnostic.severity {
            Severity::Error => ShownSeverity::Error,
            Severity::Warning => ShownSeverity::Warning,
            Severity::Note => ShownSeverity::Note,
        };
        let mut shown = Shown::new(severity)
            .with_message(&diagnostic.message)
            .with_labels(label.into_iter().collect())
            .with_notes(diagnostic.notes.clone());
        if !diagnostic.code.is_empty() {
            shown = shown.with_code(diagnostic.code);
        }
        let written = if colour {
            term::emit_to_write_style(&mut out, &config, &files, &shown)
        } else {
            term::emit_to_string(&mut plain, &config, &files, &shown)
        };
        if written.is_err() {
            // A place outside its file would be our own mistake; the message still counts.
            plain = format!("{plain}error: {name}: {}\n\n", diagnostic.message);
        }
    }
    let mut text = String::from_utf8_lossy(&out.into_inner()).into_owned();
    text.push_str(&plain);
    // codespan pads empty lines.
    let mut trimmed = String::with_capacity(text.len());
    for line in text.lines() {
        trimmed.push_str(line.trim_end());
        trimmed.push('\n');
    }
    trimmed
}

/// The part of a span on its first line, on character boundaries, within the file.
fn underlined(text: &str, span: Span) -> Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(span.start);
    let rest = text.get(start..).unwrap_or_default();
    let line_end = start + rest.find(['\n', '\r']).unwrap_or(rest.len());
    let end = floor(span.end).clamp(start, line_end);
    let visible = text.get(start..end).unwrap_or_default().trim_end().len();
    start..start + visible
}

/// What was read, for the last line of `quell check`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files read.
    pub files: usize,
    /// Rules in them.
    pub rules: usize,
    /// Checks in them.
    pub checks: usize,
    /// Schedules in them.
    pub schedules: usize,
    /// Playbooks in them.
    pub playbooks: usize,
    /// Tests of rules in them, where those are looked at.
    pub tests: usize,
    /// Prometheus's alerting rules held against them.
    pub alerts: usize,
}

/// `2 files, 41 rules, 17 playbooks: 1 error, 1 warning`.
pub fn summary(counts: Counts, diagnostics: &[Diagnostic]) -> String {
    let many = |count: usize, word: &str| {
        if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
    };
    let of = |severity| diagnostics.iter().filter(|it| it.severity == severity).count();
    let mut text = format!("{}, {}", many(counts.files, "file"), many(counts.rules, "rule"));
    if counts.checks > 0 {
        text = format!("{text}, {}", many(counts.checks, "check"));
    }
    if counts.schedules > 0 {
        text = format!("{text}, {}", many(counts.schedules, "schedule"));
    }
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let verdict = match (errors, warnings) {
        (0, 0) => "no problems".to_owned(),
        (_, 0) => many(errors, "error"),
        (0, _) => many(warnings, "warning"),
        _ => format!("{}, {}", many(errors, "error"), many(warnings, "warning")),
    };
    text = format!("{text}, {}", many(counts.playbooks, "playbook"));
    for (count, what) in [(counts.tests, "test"), (counts.alerts, "alert")] {
        if count > 0 {
            text = format!("{text}, {}", many(count, what));
        }
    }
    format!("{text}: {verdict}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_keeps_offsets_and_lines() {
        let mut sources = Sources::default();
        sources.add("f", "token: gé\nheim # x");
        sources.mask("f", &[Span { start: 7, end: 14, line: 1, column: 8 }]);
        assert_eq!(sources.get("f"), Some("token: ***\n***m # x"));
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let mut sources = Sources::default();
        sources.add("f", "a: b\n");
        let span = Some(Span { start: 3, end: 4, line: 1, column: 4 });
        let found = Diagnostic::error("Q0107", "wrong").label("here").note("do this");
        let found = [Diagnostic { file: "f".into(), span, ..found }];
        let plain = render_diagnostics(&found, &sources, false);
        let coloured = render_diagnostics(&found, &sources, true);
        assert!(!plain.contains('\u{1b}') && coloured.contains('\u{1b}'), "{coloured}");
        let mut stripped = String::new();
        for (at, part) in coloured.split('\u{1b}').enumerate() {
            let rest = if at == 0 { part } else { part.split_once('m').map_or("", |(_, it)| it) };
            stripped.push_str(rest);
        }
        let lines =
            |text: &str| text.lines().map(|it| it.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&stripped), lines(&plain));
    }

    #[test]
    fn only_the_first_line_of_a_span_is_underlined() {
        let text = "a: |\n  b\nc";
        assert_eq!(underlined(text, Span { start: 3, end: 9, line: 1, column: 4 }), 3..4);
        assert_eq!(underlined(text, Span { start: 90, end: 91, line: 9, column: 1 }), 10..10);
    }

    #[test]
    fn the_summary_counts_and_uses_the_singular() {
        let counts = Counts { files: 2, rules: 41, playbooks: 1, ..Counts::default() };
        assert_eq!(summary(counts, &[]), "2 files, 41 rules, 1 playbook: no problems");
        let found = [Diagnostic::error("Q0101", "x"), Diagnostic::warning("Q0311", "y")];
        assert_eq!(
            summary(Counts { checks: 3, ..counts }, &found),
            "2 files, 41 rules, 3 checks, 1 playbook: 1 error, 1 warning"
        );
    }
}

//! What `quell check` found, for machines: one JSON document, or annotations of a GitHub workflow.

use serde::Serialize;

use super::Loaded;
use super::diagnostic::Diagnostic;
use super::diagnostic::Severity;
use super::diagnostic::Sources;
use super::diagnostic::Span;

/// The document of `quell check --format json`. Its keys are stable: more may come, none changes its meaning.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    /// Of this format: 1.
    version: u32,
    diagnostics: Vec<Entry<'a>>,
    counts: Totals,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    /// `Q0104`; empty for a note.
    code: &'a str,
    /// `error`, `warning` or `note`.
    severity: Severity,
    /// As given on the command line or in quell.yml; empty when no file is meant.
    file: &'a str,
    /// From 1; null for a file as a whole.
    line: Option<u32>,
    /// From 1, in characters.
    column: Option<u32>,
    /// After the last character of the place.
    end: Option<End>,
    message: &'a str,
    /// What stands under the underlined place; may be empty.
    label: &'a str,
    notes: &'a [String],
    /// The command that says more; empty for a note.
    help: String,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
struct End {
    line: u32,
    column: u32,
}

#[derive(Debug, Serialize)]
struct Totals {
    files: usize,
    rules: usize,
    checks: usize,
    schedules: usize,
    playbooks: usize,
    alerts: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
}

/// All that was found, for `--format json`.
pub fn document(loaded: &Loaded) -> Document<'_> {
    let entries = loaded.diagnostics.iter().map(|it| Entry {
        code: it.code,
        severity: it.severity,
        file: &it.file,
        line: it.span.map(|span| span.line),
        column: it.span.map(|span| span.column),
        end: it.span.map(|span| end(&loaded.sources, &it.file, span)),
        message: &it.message,
        label: &it.label,
        notes: &it.notes,
        help: if it.code.is_empty() {
            String::new()
        } else {
            format!("quell explain-error {}", it.code)
        },
    });
    Document {
        version: 1,
        diagnostics: entries.collect(),
        counts: Totals {
            files: loaded.counts.files,
            rules: loaded.counts.rules,
            checks: loaded.counts.checks,
            schedules: loaded.counts.schedules,
            playbooks: loaded.counts.playbooks,
            alerts: loaded.counts.alerts,
            errors: loaded.of(Severity::Error),
            warnings: loaded.of(Severity::Warning),
            notes: loaded.of(Severity::Note),
        },
    }
}

fn end(sources: &Sources, file: &str, span: Span) -> End {
    let text = sources.get(file).and_then(|text| text.get(span.start..span.end));
    let text = text.unwrap_or_default();
    let text = text.strip_suffix('\n').unwrap_or(text);
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let lines = narrow(text.matches('\n').count());
    let column = match text.rsplit_once('\n') {
        Some((_, last)) => narrow(last.chars().count() + 1),
        None => span.column + narrow(text.chars().count()),
    };
    End { line: span.line + lines, column }
}

/// One annotation a line, for `--format github`: a workflow shows each beside its line.
pub fn github(loaded: &Loaded) -> String {
    loaded.diagnostics.iter().map(|it| annotation(it, &loaded.sources) + "\n").collect()
}

fn annotation(it: &Diagnostic, sources: &Sources) -> String {
    let command = match it.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut properties = Vec::new();
    if !it.file.is_empty() {
        properties.push(format!("file={}", property(&it.file)));
    }
    if let Some(span) = it.span {
        let end = end(sources, &it.file, span);
        properties.push(format!("line={},endLine={}", span.line, end.line));
        // columns of a place over several lines are refused
        if end.line == span.line {
            properties.push(format!("col={},endColumn={}", span.column, end.column));
        } else {
            properties.push(format!("col={}", span.column));
        }
    }
    if !it.code.is_empty() {
        properties.push(format!("title={}", it.code));
    }
    let mut text = it.message.clone();
    if !it.label.is_empty() {
        text = format!("{text}: {}", it.label);
    }
    for note in &it.notes {
        text = format!("{text}\n{note}");
    }
    let properties =
        if properties.is_empty() { String::new() } else { format!(" {}", properties.join(",")) };
    format!("::{command}{properties}::{}", escaped(&text))
}

/// As GitHub's own `@actions/core` escapes the text of a command.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// And what is between commas.
fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_escape_what_would_end_them() {
        let mut sources = Sources::default();
        sources.add("a,b.yml", "x: yy\n");
        let span = Some(Span { start: 3, end: 5, line: 1, column: 4 });
        let found = Diagnostic::error("Q0104", "50 % of\r\nthis").label("did you mean `y`?");
        let found = Diagnostic { file: "a,b.yml".into(), span, ..found.note("a: b, c") };
        assert_eq!(
            annotation(&found, &sources),
            "::error file=a%2Cb.yml,line=1,endLine=1,col=4,endColumn=6,title=Q0104\
             ::50 %25 of%0D%0Athis: did you mean `y`?%0Aa: b, c"
        );
        assert_eq!(annotation(&Diagnostic::remark("not read"), &sources), "::notice::not read");
    }

    #[test]
    fn a_place_ends_where_its_text_does() {
        let mut sources = Sources::default();
        sources.add("f", "a: |\n  bé\nc: d\n");
        let span = |start, end, line, column| Span { start, end, line, column };
        assert_eq!(end(&sources, "f", span(3, 10, 1, 4)), End { line: 2, column: 5 });
        assert_eq!(end(&sources, "f", span(0, 1, 1, 1)), End { line: 1, column: 2 });
        assert_eq!(end(&sources, "gone", span(0, 1, 7, 2)), End { line: 7, column: 2 });
    }
}

//! How people read the result of a test: what was expected under its line, and the timeline of what happened.

use jiff::Timestamp;

use super::happening::Happening;
use super::scenario::Finished;
use crate::library::Diagnostic;
use crate::library::Severity;
use crate::library::Sources;
use crate::library::render_diagnostics;
use crate::library::scenario::Scenario;
use crate::model::time::show_duration;
use crate::model::time::since;

/// What failed, each under its line, and the timeline.
pub fn failure(
    scenario: &Scenario,
    finished: &Finished,
    sources: &Sources,
    colour: bool,
) -> String {
    let diagnostics: Vec<Diagnostic> = finished
        .failures
        .iter()
        .map(|failure| {
            let looked = format!("looked at {} after the beginning", offset(scenario, failure.at));
            Diagnostic {
                severity: Severity::Error,
                code: "",
                file: scenario.file.clone(),
                span: Some(failure.span),
                message: failure.message.clone(),
                label: failure.label.clone(),
                notes: failure.notes.iter().cloned().chain([looked]).collect(),
            }
        })
        .collect();
    let shown = render_diagnostics(&diagnostics, sources, colour);
    format!("{shown}{}", timeline(scenario, &finished.happenings))
}

/// One line on what failed first.
pub fn first(finished: &Finished) -> String {
    let Some(first) = finished.failures.first() else { return String::new() };
    match first.label.as_str() {
        "" => first.message.clone(),
        label => format!("{}: {label}", first.message),
    }
}

/// All that happened, one line each.
pub fn timeline(scenario: &Scenario, happenings: &[Happening]) -> String {
    let mut text = String::from("  what happened:\n");
    let mut before = String::new();
    for happening in happenings {
        let Some((column, line)) = happening.line() else { continue };
        let at = offset(scenario, happening.at);
        let shown = if at == before { "" } else { at.as_str() };
        text = format!("{text}  {shown:>8}  {column:<8}  {line}\n");
        before = at;
    }
    if before.is_empty() {
        text.push_str("            nothing\n");
    }
    text
}

fn offset(scenario: &Scenario, at: Timestamp) -> String {
    show_duration(since(at, scenario.at))
}

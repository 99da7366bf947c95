//! The one place that prints. Nothing here panics when it cannot: `println!` would, for `quell runs | head -1` too.

use std::fmt::Arguments;
use std::io;
use std::io::IsTerminal as _;
use std::io::Write as _;
use std::sync::OnceLock;

use anstyle::AnsiColor;
use anstyle::Style;

use crate::decide::explain::text::Line;
use crate::decide::explain::text::Tone;
use crate::library::Loaded;

/// Why the first line that was lost could not be written.
static LOST: OnceLock<String> = OnceLock::new();

/// Why output was lost, if some was: a full disk. A reader that has enough and closes the pipe loses nothing.
pub(super) fn lost() -> Option<&'static str> {
    LOST.get().map(String::as_str)
}

fn print(text: Arguments<'_>) {
    if let Err(error) = io::stdout().lock().write_fmt(format_args!("{text}\n"))
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _first = LOST.set(error.to_string());
    }
}

/// On standard error, after which there is nowhere to complain.
fn complain(text: Arguments<'_>) {
    let _lost = io::stderr().lock().write_fmt(text);
}

/// Whether standard output shows colour: a terminal that was not told otherwise.
pub(super) fn colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// A line on standard output.
pub(super) fn line(text: &str) {
    print(format_args!("{text}"));
}

/// Lines whose tones are colours, where there is colour.
pub(super) fn toned(lines: &[Line]) {
    let colour = colour();
    for line in lines {
        if !colour {
            print(format_args!("{line}"));
            continue;
        }
        let painted: String = line.0.iter().map(|it| paint(it.tone, &it.text)).collect();
        print(format_args!("{painted}"));
    }
}

fn paint(tone: Tone, text: &str) -> String {
    let style = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Strong => Style::new().bold(),
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Wait => AnsiColor::Yellow.on_default(),
        Tone::Bad => AnsiColor::Red.on_default(),
        Tone::Faint => Style::new().dimmed(),
    };
    format!("{style}{text}{style:#}")
}

/// A value as JSON, indented.
pub(super) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(format_args!("{text}")),
        Err(error) => complain(format_args!("error: could not be written as JSON: {error}\n")),
    }
}

/// An error on standard error: `error[Q0401]: …` and what to do next.
pub(super) fn error(code: &str, message: &str, hint: &str) {
    complain(format_args!("error[{code}]: {message}\n"));
    if !hint.is_empty() {
        complain(format_args!("  = {hint}\n"));
    }
}

/// Overwrites the last line of standard error, for a progress bar on a terminal.
pub(super) fn progress(text: &str) {
    complain(format_args!("\r\x1b[K{text}"));
}

/// What loading found, on standard error.
pub(super) fn diagnostics(loaded: &Loaded) {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    complain(format_args!("{}", loaded.render(colour)));
}

/// Rows under headings, columns as wide as they need to be, without trailing blanks.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .chain(headings.get(column).map(|heading| heading.chars().count()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let show = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        print(format_args!("{}", cells.join("  ").trim_end()));
    };
    show(&mut headings.iter().copied());
    for row in rows {
        show(&mut row.iter().map(String::as_str));
    }
}

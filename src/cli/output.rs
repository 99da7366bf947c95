//! The one place that prints.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line prints here and nowhere else"
)]

use std::io::IsTerminal as _;

use crate::library::Loaded;

/// Whether standard output shows colour: a terminal that was not told otherwise.
pub(super) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// A line on standard output.
pub(super) fn line(text: &str) {
    println!("{text}");
}

/// A value as JSON, indented.
pub(super) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("error: could not be written as JSON: {error}"),
    }
}

/// An error on standard error: `error[Q0401]: …` and what to do next.
pub(super) fn error(code: &str, message: &str, hint: &str) {
    eprintln!("error[{code}]: {message}");
    if !hint.is_empty() {
        eprintln!("  = {hint}");
    }
}

/// What loading found, on standard error.
pub(super) fn diagnostics(loaded: &Loaded) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    eprint!("{}", loaded.render(colour));
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
        println!("{}", cells.join("  ").trim_end());
    };
    show(&mut headings.iter().copied());
    for row in rows {
        show(&mut row.iter().map(String::as_str));
    }
}

//! Reads one line, and knows where it is.

use super::Broken;
use super::Format;

/// The rest of a line.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    whole: &'a str,
    rest: &'a str,
    number: usize,
}

impl<'a> Line<'a> {
    /// A line without its line feed; `number` counts from 1.
    pub(super) fn new(text: &'a str, number: usize) -> Self {
        Self { whole: text, rest: text, number }
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    /// An error here.
    pub(super) fn broken(&self, message: &str) -> Broken {
        let read = self.whole.len() - self.rest.len();
        let column = 1 + self.whole.get(..read).unwrap_or_default().chars().count();
        Broken { line: self.number, column, message: message.to_owned() }
    }

    pub(super) fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing more may come.
    pub(super) fn end(&self) -> Result<(), Broken> {
        if self.at_end() { Ok(()) } else { Err(self.broken("expected the end of the line")) }
    }

    /// Reads `expected` if it comes next.
    pub(super) fn eat(&mut self, expected: char) -> bool {
        let rest = self.rest.strip_prefix(expected);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Reads spaces and tabs; how many there were.
    pub(super) fn blanks(&mut self) -> usize {
        self.take(|it| it == ' ' || it == '\t').len()
    }

    /// Reads exactly one space, with something behind it.
    pub(super) fn space(&mut self) -> Result<(), Broken> {
        if self.eat(' ') { Ok(()) } else { Err(self.broken("expected one space")) }
    }

    /// Reads up to the next blank.
    pub(super) fn word(&mut self) -> &'a str {
        self.take(|it| it != ' ' && it != '\t')
    }

    /// Reads a bare name: `[a-zA-Z_][a-zA-Z0-9_]*`, and for metrics with colons. Empty when there is none.
    pub(super) fn name(&mut self, metric: bool) -> &'a str {
        if self.rest.starts_with(|it: char| it.is_ascii_digit()) {
            return "";
        }
        self.take(|it| it.is_ascii_alphanumeric() || it == '_' || (metric && it == ':'))
    }

    /// Reads a text in double quotes. `\\`, `\"` and `\n` are escapes; another backslash is an error in
    /// the text format and stands for itself in OpenMetrics.
    pub(super) fn quoted(&mut self, format: Format) -> Result<String, Broken> {
        let begin = self.clone();
        if !self.eat('"') {
            return Err(self.broken("expected `\"`"));
        }
        let mut text = String::new();
        loop {
            text.push_str(self.take(|it| it != '"' && it != '\\'));
            if self.eat('"') {
                return Ok(text);
            }
            let here = self.clone();
            self.eat('\\');
            match self.rest.chars().next() {
                Some('n') => text.push('\n'),
                Some(escaped @ ('"' | '\\')) => text.push(escaped),
                Some(other) if format == Format::OpenMetrics => {
                    text.push('\\');
                    text.push(other);
                }
                Some(other) => {
                    return Err(here.broken(&format!(
                        "`\\{other}` is no escape; expected `\\\\`, `\\\"` or `\\n`"
                    )));
                }
                None => return Err(begin.broken("this text has no closing `\"`")),
            }
            let mut characters = self.rest.chars();
            characters.next();
            self.rest = characters.as_str();
        }
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|it| !wanted(it)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}

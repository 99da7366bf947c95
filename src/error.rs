//! Errors that people see: a stable code, what went wrong, and what to do next.

use std::fmt;

/// How a command ends when it fails: 1 found problems, 2 could not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It ran, and found problems.
    Problems,
    /// It could not run.
    CouldNotRun,
}

/// An error with a stable code (`Q0401`), a message that reads after "error: ", and a hint.
#[derive(Debug)]
pub struct Error {
    /// Stable code.
    pub code: &'static str,
    /// A lowercase fragment without a full stop.
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
    /// Exit code of the command line.
    pub exit: Exit,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error that keeps the command from running.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: String::new(),
            exit: Exit::CouldNotRun,
            source: None,
        }
    }

    /// Problems that the command was asked to find.
    pub fn problems(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit: Exit::Problems, ..Self::new(code, message) }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// All causes of an error in one line: `could not connect: connection refused`.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

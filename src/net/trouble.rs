//! What an error of a server, or of the way to it, means.

/// What follows from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The user, the password, or a missing right.
    Credential,
    /// The same may go well later: the server is away, starts, fails over or is full.
    Later,
    /// The same would go wrong again.
    Never,
    /// The connection is gone, so that nobody knows what became of what was asked last.
    Lost,
}

/// An error, for people and for what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it means.
    pub kind: Kind,
    /// The server's code, where it gave one: `42501`, `NOPERM`.
    pub code: Option<String>,
    /// Why, in one line, without any part of the URL.
    pub reason: String,
}

impl Trouble {
    pub(super) fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self { kind, code: None, reason: reason.into() }
    }
}

//! Windows: recurring or one-off spans of time in which quell acts less.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::matcher::Matcher;
use crate::model::rule::Place;

/// A span of time, such as maintenance or a freeze, and what it does to remedies.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Unique name.
    pub name: String,
    /// When.
    pub span: Span,
    /// What it does.
    pub effect: Effect,
    /// Which alerts it is about: all must hold; empty means every alert.
    pub matchers: Vec<Matcher>,
    /// For people; may be empty.
    pub reason: String,
    /// Where its name stands.
    pub place: Place,
}

/// When a window is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// From each slot of a cron schedule on.
    Recurring {
        /// Five standard fields, or six with seconds first.
        cron: String,
        /// IANA zone the schedule is read in.
        timezone: String,
        /// How long each lasts, in elapsed time: a change of summer time does not change it.
        lasts: Duration,
    },
    /// Once.
    Once {
        /// Its first instant.
        from: Timestamp,
        /// The first instant after it.
        until: Timestamp,
    },
}

/// What a window does to remedies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Inside: mode observe.
    Observe,
    /// Inside: nothing begins.
    Refuse,
    /// Outside of all such windows: nothing begins.
    AllowOnly,
}

impl Effect {
    /// The word people write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Refuse => "refuse",
            Self::AllowOnly => "allow_only",
        }
    }
}

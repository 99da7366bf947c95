//! Windows: recurring or one-off spans of time in which quell acts less.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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

/// The longest that one stay in a window may last.
pub const LONGEST: Duration = Duration::from_hours(24 * 366);

/// A window that an operator added beside those of quell.yml: once, and kept in the store.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OneOff {
    /// Unique among the windows that are not over.
    pub name: String,
    /// What it does.
    pub effect: Effect,
    /// Which alerts it is about: all must hold; empty means every alert.
    #[serde(rename = "match")]
    pub matchers: Vec<Matcher>,
    /// Why, for people.
    pub reason: String,
    /// Who added it.
    pub by: String,
    /// When it was added.
    pub at: Timestamp,
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it; when it was ended early, that.
    pub until: Timestamp,
    /// Who ended it early.
    pub ended_by: Option<String>,
}

impl OneOff {
    /// As guards see it. Refusals name whoever added it where they name a line of quell.yml else.
    pub fn window(&self) -> Window {
        Window {
            name: self.name.clone(),
            span: Span::Once { from: self.from, until: self.until },
            effect: self.effect,
            matchers: self.matchers.clone(),
            reason: self.reason.clone(),
            place: Place { file: format!("added by {}", self.by), line: 0 },
        }
    }
}

/// What a window does to remedies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Inside: mode observe.
    Observe,
    /// Inside: nothing begins.
    Refuse,
    /// Outside of all such windows: nothing begins.
    AllowOnly,
}

impl Effect {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Observe, Self::Refuse, Self::AllowOnly];

    /// The effect that this word means.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effect| effect.as_str() == word)
    }

    /// The word people write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Refuse => "refuse",
            Self::AllowOnly => "allow_only",
        }
    }
}

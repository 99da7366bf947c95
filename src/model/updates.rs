//! What people are told again and again while an incident goes on.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::action::Template;

/// `updates: { every, channels, text }` of a rule or a severity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updates {
    /// Time between two.
    pub every: Duration,
    /// Names of the channels that are told.
    pub channels: Vec<String>,
    /// What they are told below the status, instead of what quell would say.
    pub text: Option<Template>,
}

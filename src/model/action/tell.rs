//! What is done to alerts and people: `alertmanager.*`, `notify`.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use super::text::Span;
use super::text::Template;

/// Who made a silence, as Alertmanager is told: what quell made itself is no word of a person.
pub const MADE_BY: &str = "quell";

/// `alertmanager.silence`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Which alerts: all must hold, as Alertmanager writes matchers.
    #[serde(rename = "match")]
    pub matchers: Vec<Template>,
    /// How long it lasts.
    #[serde(rename = "for")]
    pub lasts: Span,
    /// Why, for people.
    pub comment: Template,
    /// Prepared: when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

/// `alertmanager.unsilence`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsilence {
    /// What Alertmanager calls it: the `id` in the output of `alertmanager.silence`. Empty when `made_by` says which.
    pub id: Template,
    /// Prepared: the key of the intent that made it, which stands in its comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
}

/// `notify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Names of channels.
    pub channels: Vec<Template>,
    /// One line.
    pub summary: Template,
    /// The rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Template>,
}

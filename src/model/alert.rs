//! What a source sent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::labels::Labels;

/// The source of alerts that this machine posts without a token.
pub const LOCAL: &str = "local";

/// The receiver that `quell send` names: Alertmanager knows nothing of what it posts.
pub const BY_HAND: &str = "quell send";

/// Firing or resolved, as its source said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertStatus {
    /// The condition holds.
    Firing,
    /// Its end has passed; that does not mean that anything was fixed (`protocols.md §1`).
    Resolved,
}

/// One alert out of a delivery, normalised: empty labels dropped, zero `endsAt` read as absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Firing or resolved.
    pub status: AlertStatus,
    /// The alert's own labels, never a group's common labels.
    pub labels: Labels,
    /// Its annotations: text for people.
    pub annotations: Labels,
    /// When its source says that it began. A hint: it may shift between deliveries.
    pub starts_at: Option<Timestamp>,
    /// When its source says that it ended; absent while it fires.
    pub ends_at: Option<Timestamp>,
    /// Link to the expression's graph. Shown, never fetched.
    pub generator_url: String,
}

/// One delivery: the alerts of one request, and what is known of what it left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Who sent it: the name of the ingest token, a check, or an operator.
    pub source: String,
    /// `receiver` as people named it (`web.hook`, not `web\.hook`), or empty.
    pub receiver: String,
    /// How many alerts the sender cut off (`truncatedAlerts`); above zero the list is incomplete.
    pub truncated: u64,
    /// The alerts it lists.
    pub alerts: Vec<Alert>,
}

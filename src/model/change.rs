//! Changes that people make to targets.

use jiff::Timestamp;
use serde::Serialize;

/// Somebody changed a target, by hand or by a deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// What was changed: the name of a target, or of all below it.
    pub target: String,
    /// Who.
    pub by: String,
    /// What for; may be empty.
    pub reason: String,
    /// When it was said.
    pub at: Timestamp,
}

//! Break-glass, as it is kept: who lifted what, why, and until when.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::model::incident::IncidentId;

/// One time that somebody broke the glass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Grows with time.
    pub id: i64,
    /// `rule:NAME`, `target:NAME` or `incident:i-12`.
    pub scope: String,
    /// The operator.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// The incident that people are told of it by.
    pub incident: IncidentId,
    /// When a person ended it before its time.
    pub ended_at: Option<Timestamp>,
    /// Who.
    pub ended_by: String,
}

impl Broken {
    /// Whether it lifts anything at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.until
    }
}

//! What alerts did before: transitions in order of time, from Prometheus, from quell's own episodes, or from recorded
//! webhook bodies. For looking back only: nothing here acts or is stored.
//!
//! Readers stream: a month of alerts need not fit into memory at once.

pub mod bodies;
pub mod episodes;
pub mod prometheus;

use jiff::Timestamp;

use crate::model::alert::Alert;

/// One alert that fired or resolved, and when quell heard of it, or would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// When it was heard.
    pub at: Timestamp,
    /// The alert.
    pub alert: Alert,
    /// How many alerts its delivery cut off.
    pub truncated: u64,
}

/// Some transitions in order of time, and how far they reach.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// In order of time.
    pub transitions: Vec<Transition>,
    /// Nothing earlier than this follows.
    pub until: Timestamp,
    /// The part of the history that is read, from 0 to 1.
    pub done: f64,
}

/// Sorts by time; at one instant, what resolves goes first, so that a restart of the same alert is two episodes.
fn sort(transitions: &mut [Transition]) {
    transitions.sort_by_key(|it| (it.at, it.alert.ends_at.is_none()));
}

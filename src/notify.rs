//! Tells people: PagerDuty, e-mail, Slack, generic webhook.

use std::time::Duration;

use crate::model::config::Channel;
use crate::model::incident::Notice;

/// Links that go with a notice.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// The incident's page or API.
    pub incident: String,
    /// `GET` shows, `POST` acknowledges; absent when there is nothing to acknowledge.
    pub ack: Option<String>,
}

/// How one delivery went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// Accepted by the other side.
    Delivered,
    /// Try again, not before `after` when it said so.
    Retry {
        /// Why.
        reason: String,
        /// `Retry-After`.
        after: Option<Duration>,
    },
    /// Trying again is no use.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Sends one notice to one recipient of a channel (empty for channels without recipients).
/// `instance` names this quell (its host of `external_url`) in keys and message ids.
pub async fn send(
    channel: &Channel,
    recipient: &str,
    notice: &Notice,
    links: &Links,
    instance: &str,
) -> Sent {
    let _ = (channel, recipient, notice, links, instance);
    Sent::Refused { reason: "not written yet".into() }
}

//! Tells people: `PagerDuty`, e-mail, Slack, generic webhook.
//!
//! One call of [`send`] is one attempt at one recipient. Retrying, ordering (a resolution must not
//! overtake its trigger) and falling back to the next channel belong to the engine, which keeps what
//! is owed in the outbox. What is sent follows from the notice alone, so that a second attempt after a
//! lost reply repeats the first: same `PagerDuty` `dedup_key`, same `Message-ID`.

mod anchor;
mod email;
mod heartbeat;
mod http;
mod message;
mod pagerduty;
mod scrub;
mod slack;
mod webhook;

pub use anchor::Anchored;
pub use anchor::anchor;
pub use heartbeat::beat;
pub use heartbeat::place;

use std::fmt;
use std::time::Duration;

use crate::model::config::Channel;
use crate::model::incident::Notice;

/// Links that go with a notice.
#[derive(Clone, Default)]
pub struct Links {
    /// The incident's page or API.
    pub incident: String,
    /// `GET` shows, `POST` acknowledges; absent when there is nothing to acknowledge.
    pub ack: Option<String>,
    /// `GET` shows, `POST` takes the incident over.
    pub take: Option<String>,
    /// `GET` shows the plan that waits for approval, `POST` approves or rejects it.
    pub decide: Option<String>,
}

/// Links that do something are credentials, so they are not shown.
impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links")
            .field("incident", &self.incident)
            .field("ack", &self.ack.as_ref().map(|_| "[secret]"))
            .field("take", &self.take.as_ref().map(|_| "[secret]"))
            .field("decide", &self.decide.as_ref().map(|_| "[secret]"))
            .finish()
    }
}

/// How one delivery went. Reasons are one line and hold no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// Accepted by the other side.
    Delivered,
    /// Try again, not before `after` when it said so.
    Retry {
        /// Why.
        reason: String,
        /// `Retry-After`, at most an hour.
        after: Option<Duration>,
    },
    /// Trying again is no use.
    Refused {
        /// Why.
        reason: String,
    },
}

impl Sent {
    fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into(), after: None }
    }

    fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into() }
    }
}

/// Sends one notice to one recipient of a channel (empty for channels without recipients).
/// `instance` names this quell (its host of `external_url`) in keys and message ids. A notice that the
/// channel does not want ([`Channel::wants`]) counts as delivered.
pub async fn send(
    channel: &Channel,
    recipient: &str,
    notice: &Notice,
    links: &Links,
    instance: &str,
) -> Sent {
    if !channel.wants(notice.kind) {
        return Sent::Delivered;
    }
    let sent = match channel {
        Channel::PagerDuty { routing_key, url } => {
            pagerduty::send(url, routing_key, notice, links, instance).await
        }
        Channel::Email { smtp, from, ca_file, to: _ } => {
            let relay = email::Relay { smtp, from, ca_file: ca_file.as_deref() };
            email::send(&relay, recipient, notice, links, instance).await
        }
        Channel::Slack { webhook_url } => slack::send(webhook_url, notice, links).await,
        Channel::Webhook { url, headers } => {
            webhook::send(url, headers, notice, links, instance).await
        }
    };
    match sent {
        Sent::Delivered => Sent::Delivered,
        Sent::Retry { reason, after } => {
            Sent::Retry { reason: scrub::scrub(&reason, channel, links), after }
        }
        Sent::Refused { reason } => Sent::Refused { reason: scrub::scrub(&reason, channel, links) },
    }
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::testing::notice;
    use super::*;
    use crate::model::config::Secret;
    use crate::model::incident::NoticeKind;

    #[test]
    fn only_pagerduty_is_not_told_of_progress() {
        let pager =
            Channel::PagerDuty { routing_key: Secret::default(), url: "https://pd.example".into() };
        let slack = Channel::Slack { webhook_url: Secret::default() };
        for kind in [
            NoticeKind::Opened,
            NoticeKind::Progress,
            NoticeKind::NeedsYou,
            NoticeKind::Acknowledged,
            NoticeKind::Resolved,
        ] {
            assert_eq!(pager.wants(kind), kind != NoticeKind::Progress, "{kind:?}");
            assert!(slack.wants(kind), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_notice_that_the_channel_does_not_want_needs_no_call() {
        // nothing listens on port 1: a call would have to be retried
        let pager = Channel::PagerDuty {
            routing_key: Secret::new("R".repeat(32)),
            url: "http://127.0.0.1:1".into(),
        };
        let links = Links::default();
        let sent = send(&pager, "", &notice(NoticeKind::Progress), &links, "quell.example").await;
        assert_eq!(sent, Sent::Delivered);
        let sent = send(&pager, "", &notice(NoticeKind::Opened), &links, "quell.example").await;
        assert!(matches!(sent, Sent::Retry { .. }), "{sent:?}");
    }

    #[test]
    fn links_that_act_are_not_shown() {
        let secret = || Some("https://q/act/T".to_owned());
        let links = Links {
            incident: "https://q/i-1".into(),
            ack: secret(),
            take: secret(),
            decide: secret(),
        };
        assert_eq!(
            format!("{links:?}"),
            r#"Links { incident: "https://q/i-1", ack: Some("[secret]"), take: Some("[secret]"), decide: Some("[secret]") }"#
        );
    }
}

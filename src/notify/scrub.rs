//! Keeps credentials out of reasons: servers like to echo what they were sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::Links;
use super::email;
use super::message;
use crate::model::config::Channel;

/// Longest reason, in characters.
const MAX_REASON: usize = 500;
/// Shorter text is no credential, and striking it out would only garble the reason.
const SHORTEST: usize = 4;
/// Shortest part of a credential (a segment of a URL's path, a word of a header) struck out by itself.
const SHORTEST_PART: usize = 8;

/// A reason on one line, without the credentials of its channel and the acknowledge link.
pub(super) fn scrub(reason: &str, channel: &Channel, links: &Links) -> String {
    let mut secrets = secrets(channel);
    let acting = [&links.ack, &links.take, &links.decide];
    secrets.extend(acting.into_iter().flatten().flat_map(|link| of_url(link)));
    secrets.retain(|secret| secret.len() >= SHORTEST);
    // the longest first, so that no rest of a longer one stays
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut reason = reason.to_owned();
    for secret in &secrets {
        reason = reason.replace(secret, "[secret]");
    }
    message::cut(&message::one_line(&reason), MAX_REASON)
}

fn secrets(channel: &Channel) -> Vec<String> {
    match channel {
        Channel::PagerDuty { routing_key, .. } => vec![routing_key.reveal().to_owned()],
        Channel::Slack { webhook_url } => of_url(webhook_url.reveal()),
        Channel::Webhook { url, headers } => {
            let values = headers.values().flat_map(|value| {
                let words = value.reveal().split_whitespace().filter(|w| w.len() >= SHORTEST_PART);
                words.chain([value.reveal()]).map(str::to_owned)
            });
            of_url(url.reveal()).into_iter().chain(values).collect()
        }
        Channel::Email { smtp, .. } => {
            let mut secrets = of_url(smtp.reveal());
            if let Ok(email::Server { login: Some((user, password)), .. }) =
                email::Server::parse(smtp.reveal())
            {
                // as AUTH LOGIN and AUTH PLAIN (RFC 4616) send it
                secrets.push(STANDARD.encode(&password));
                secrets.push(STANDARD.encode(format!("\0{user}\0{password}")));
                secrets.push(password);
            }
            secrets
        }
    }
}

/// A URL that is a credential, and the parts of it that could be one by themselves.
fn of_url(text: &str) -> Vec<String> {
    let mut secrets = vec![text.to_owned()];
    if let Ok(url) = Url::parse(text) {
        secrets.push(url.to_string());
        secrets.extend(url.password().map(str::to_owned));
        secrets.push(url.path().trim_matches('/').to_owned());
        let segments = url.path_segments().into_iter().flatten().map(str::to_owned);
        let values = url.query_pairs().map(|(_, value)| value.into_owned());
        secrets.extend(segments.chain(values).filter(|part| part.len() >= SHORTEST_PART));
    }
    secrets
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::testing::links;
    use super::*;
    use crate::model::config::Secret;

    fn check(channel: &Channel, reason: &str, expected: &str) {
        assert_eq!(scrub(reason, channel, &links()), expected);
    }

    #[test]
    fn credentials_that_a_server_echoes_are_struck_out() {
        let pager = Channel::PagerDuty {
            routing_key: Secret::new("0123456789abcdef0123456789abcdef"),
            url: "https://events.pagerduty.com".into(),
        };
        check(&pager, "bad key 0123456789abcdef0123456789abcdef", "bad key [secret]");
        let slack = Channel::Slack {
            webhook_url: Secret::new("https://hooks.slack.example/services/T00/B00/abcdefghijkl"),
        };
        check(&slack, "no service T00/B00/abcdefghijkl", "no service T00/B00/[secret]");
        check(&slack, "no services/T00/B00/abcdefghijkl", "no [secret]");
        let webhook = Channel::Webhook {
            url: Secret::new("https://u:hunter22@hook.example/in?token=deadbeef"),
            headers: BTreeMap::from([(
                "Authorization".into(),
                Secret::new("Bearer correct-horse"),
            )]),
        };
        check(&webhook, "u:hunter22, deadbeef", "u:[secret], [secret]");
        check(&webhook, "Bearer correct-horse; correct-horse", "[secret]; [secret]");
        let mail = Channel::Email {
            smtp: Secret::new("smtps://user:p%40ssw%C3%B6rd@mail.example.com"),
            from: "quell@example.com".into(),
            to: Vec::new(),
            ca_file: None,
        };
        check(
            &mail,
            "p%40ssw%C3%B6rd p@sswörd cEBzc3fDtnJk AHVzZXIAcEBzc3fDtnJk",
            "[secret] [secret] [secret] [secret]",
        );
        check(&mail, "see https://quell.example.com/act/TOKEN now", "see [secret] now");
    }

    #[test]
    fn a_reason_is_one_short_line() {
        let slack = Channel::Slack { webhook_url: Secret::default() };
        check(&slack, "a\r\n b", "a b");
        assert_eq!(scrub(&"x".repeat(5_000), &slack, &links()).chars().count(), MAX_REASON);
    }
}

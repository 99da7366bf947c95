//! A generic webhook: the notice and its links as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Links;
use super::Sent;
use super::http;
use super::message;
use crate::model::config::Secret;
use crate::model::incident::Notice;

const WHO: &str = "the webhook";

/// What is posted. `version` changes when a field is removed or means something else.
#[derive(Serialize)]
struct Body<'a> {
    version: u8,
    instance: &'a str,
    notice: &'a Notice,
    links: LinksBody<'a>,
}

#[derive(Serialize)]
struct LinksBody<'a> {
    incident: &'a str,
    ack: Option<&'a str>,
    take: Option<&'a str>,
    decide: Option<&'a str>,
}

/// Posts one notice; any 2xx is success. `Idempotency-Key` is the same at every attempt, so that a
/// receiver can tell a second attempt from a second notice.
pub(super) async fn send(
    url: &Secret,
    headers: &BTreeMap<String, Secret>,
    notice: &Notice,
    links: &Links,
    instance: &str,
) -> Sent {
    let key = idempotency_key(notice, instance);
    let configured = headers.iter().map(|(name, value)| (name.as_str(), value.reveal()));
    let headers = std::iter::once(("idempotency-key", key.as_str())).chain(configured).collect();
    let ways = message::ways(notice, links);
    let way = |label: &str| ways.iter().find(|it| it.0 == label).map(|it| it.1);
    let (ack, take) = (way("Acknowledge"), way("Take over"));
    let links = LinksBody { incident: &links.incident, ack, take, decide: way("Look and approve") };
    let body = match serde_json::to_vec(&Body { version: 1, instance, notice, links }) {
        Ok(body) => body,
        Err(error) => return Sent::refused(format!("the notice is not JSON: {error}")),
    };
    match http::post(WHO, url.reveal(), headers, body).await {
        Ok(answer) if answer.is_success() => Sent::Delivered,
        Ok(answer) => http::failure(WHO, &answer, &answer.text()),
        Err(sent) => sent,
    }
}

fn idempotency_key(notice: &Notice, instance: &str) -> String {
    let (incident, kind) = (notice.incident, message::slug(notice.kind));
    let key = format!("quell/{instance}/{incident}/{kind}/{}", notice.at.as_microsecond());
    // a header's value is visible ASCII, whatever the instance is called
    key.chars().map(|c| if c.is_ascii_graphic() { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::Server;
    use super::super::testing::links;
    use super::super::testing::notice;
    use super::*;
    use crate::model::incident::NoticeKind;

    async fn sent(url: &str, headers: &[(&str, &str)], kind: NoticeKind) -> Sent {
        let headers =
            headers.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        send(&Secret::new(url), &headers, &notice(kind), &links(), "quell.example.com").await
    }

    #[tokio::test]
    async fn the_notice_is_posted_with_its_links_and_the_configured_headers() {
        let server = Server::answering(204, &[], "").await;
        let url = format!("{}/in?team=shop", server.url);
        let headers = [("Authorization", "Bearer t"), ("X-Scope-OrgID", "shop")];
        assert_eq!(sent(&url, &headers, NoticeKind::NeedsYou).await, Sent::Delivered);
        let got = server.only();
        assert_eq!((got.method.as_str(), got.path.as_str()), ("POST", "/in?team=shop"));
        assert_eq!(got.headers["authorization"], "Bearer t");
        assert_eq!(got.headers["x-scope-orgid"], "shop");
        assert_eq!(got.headers["content-type"], "application/json");
        insta::assert_snapshot!(got.headers["idempotency-key"].to_str().unwrap(), @"quell/quell.example.com/i-381/needs-you/1767607920250000");
        insta::assert_json_snapshot!(got.body, @r#"
        {
          "instance": "quell.example.com",
          "links": {
            "ack": "https://quell.example.com/act/TOKEN",
            "decide": null,
            "incident": "https://quell.example.com/incidents/i-381",
            "take": "https://quell.example.com/act/TAKE"
          },
          "notice": {
            "at": "2026-01-05T10:12:00.25Z",
            "details": [
              "Proposes: roll back api from revision 41 to 40 (healthy for 6 days before).",
              "Needs one person of tier 3 by 10:25."
            ],
            "headline": "Error rate 11.3 % (limit 5 %) on 2 of 12 pods.",
            "incident": "i-381",
            "kind": "needs_you",
            "labels": {
              "alertname": "HighErrorRate",
              "service": "api",
              "severity": "critical"
            },
            "opened_at": "2026-01-05T10:00:00Z",
            "severity": "critical",
            "title": "api: HighErrorRate, critical",
            "tried": [
              "restart at 10:02, did not help (11.8 % after 5 min)"
            ]
          },
          "version": 1
        }
        "#);
    }

    #[tokio::test]
    async fn a_resolution_has_no_acknowledge_link() {
        let server = Server::answering(200, &[], "").await;
        assert_eq!(sent(&server.url, &[], NoticeKind::Resolved).await, Sent::Delivered);
        assert_eq!(server.only().body["links"]["ack"], serde_json::Value::Null);
    }

    #[tokio::test]
    async fn each_answer_has_its_outcome() {
        let retry = |reason: &str| Sent::Retry {
            reason: reason.into(),
            after: Some(Duration::from_secs(9)),
        };
        for (status, expected) in [
            (200, Sent::Delivered),
            (202, Sent::Delivered),
            (
                301,
                Sent::refused(
                    "the webhook answered 301: redirects are not followed, configure \
                 the address it leads to",
                ),
            ),
            (400, Sent::refused("the webhook answered 400: why")),
            (401, Sent::refused("the webhook answered 401: why")),
            (413, Sent::refused("the webhook answered 413: why")),
            (429, retry("the webhook answered 429: why")),
            (503, retry("the webhook answered 503: why")),
        ] {
            let server = Server::answering(status, &[("retry-after", "9")], "why").await;
            assert_eq!(sent(&server.url, &[], NoticeKind::Opened).await, expected, "{status}");
        }
    }

    #[tokio::test]
    async fn a_header_that_cannot_be_sent_is_named_without_its_value() {
        let url = "http://127.0.0.1:1";
        assert_eq!(
            sent(url, &[("X-Token", "hunter2\n")], NoticeKind::Opened).await,
            Sent::refused(
                "the webhook: header `X-Token` holds a line break or another control character"
            )
        );
        assert_eq!(
            sent(url, &[("X Token", "hunter2")], NoticeKind::Opened).await,
            Sent::refused("the webhook: \"X Token\" is not a header name")
        );
    }
}

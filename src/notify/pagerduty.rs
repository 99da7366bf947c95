//! `PagerDuty` Events API v2 (`protocols.md §3`).
//!
//! One incident is one `dedup_key`: opening and needing somebody trigger it, so that a page that is
//! still open gains what was tried instead of a second one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use super::Links;
use super::Sent;
use super::http;
use super::message;
use crate::model::config::Secret;
use crate::model::incident::Notice;
use crate::model::incident::NoticeKind;
use crate::model::labels::Labels;

const WHO: &str = "PagerDuty";
/// The only success.
const ACCEPTED: u16 = 202;
/// Longest `dedup_key`, in characters.
const MAX_KEY: usize = 255;
/// Longest `payload.summary`, in characters.
const MAX_SUMMARY: usize = 1_024;
/// Largest body: 512 KB, read as the smaller of its two meanings.
const MAX_BODY: usize = 512_000;

/// An event.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "`PagerDuty`'s names")]
struct Event<'a> {
    routing_key: &'a str,
    event_action: &'static str,
    dedup_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_url: Option<&'a str>,
}

#[derive(Serialize)]
struct Payload<'a> {
    summary: String,
    source: String,
    severity: &'static str,
    timestamp: Timestamp,
    custom_details: Details<'a>,
}

#[derive(Serialize)]
struct Details<'a> {
    incident: String,
    began: Timestamp,
    what_happened: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tried: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a Labels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<&'static str>,
}

#[derive(Serialize)]
struct Link<'a> {
    href: &'a str,
    text: &'static str,
}

/// What `PagerDuty` says of an event that it refuses.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<String>,
}

/// Sends one event. 202 means accepted, not yet that somebody was paged.
pub(super) async fn send(
    url: &str,
    routing_key: &Secret,
    notice: &Notice,
    links: &Links,
    instance: &str,
) -> Sent {
    let body = match body(routing_key, notice, links, instance) {
        Ok(body) => body,
        Err(error) => return Sent::refused(format!("the event is not JSON: {error}")),
    };
    let url = format!("{}/v2/enqueue", url.trim_end_matches('/'));
    let answer = match http::post(WHO, &url, Vec::new(), body).await {
        Ok(answer) => answer,
        Err(sent) => return sent,
    };
    if answer.status == ACCEPTED {
        return Sent::Delivered;
    }
    let why = match serde_json::from_slice::<Refusal>(&answer.body) {
        Ok(Refusal { message, errors }) => [vec![message], errors].concat().join("; "),
        Err(_) => answer.text().into_owned(),
    };
    http::failure(WHO, &answer, why.trim_matches([';', ' ']))
}

/// The event as JSON, without labels and details where it would be too large with them.
fn body(
    routing_key: &Secret,
    notice: &Notice,
    links: &Links,
    instance: &str,
) -> serde_json::Result<Vec<u8>> {
    let mut event = event(routing_key, notice, links, instance);
    let cuts: [fn(&mut Details<'_>); 3] = [
        |details| details.labels = None,
        |details| details.more.clear(),
        |details| details.tried.clear(),
    ];
    let mut json = serde_json::to_vec(&event)?;
    for cut in cuts {
        let Some(payload) = event.payload.as_mut().filter(|_| json.len() > MAX_BODY) else { break };
        cut(&mut payload.custom_details);
        payload.custom_details.left_out = Some("too long for PagerDuty; the incident has the rest");
        json = serde_json::to_vec(&event)?;
    }
    Ok(json)
}

fn event<'a>(
    routing_key: &'a Secret,
    notice: &'a Notice,
    links: &'a Links,
    instance: &str,
) -> Event<'a> {
    let event_action = match notice.kind {
        NoticeKind::Opened | NoticeKind::Progress | NoticeKind::NeedsYou => "trigger",
        NoticeKind::Acknowledged => "acknowledge",
        NoticeKind::Resolved => "resolve",
    };
    let dedup_key = dedup_key(notice, instance);
    let routing_key = routing_key.reveal();
    let event = Event {
        routing_key,
        event_action,
        dedup_key,
        payload: None,
        links: Vec::new(),
        client: None,
        client_url: None,
    };
    if event_action != "trigger" {
        return event;
    }
    let page = Some(links.incident.as_str()).filter(|page| !page.is_empty());
    Event {
        payload: Some(payload(notice, instance)),
        links: page.map(|href| Link { href, text: "Look" }).into_iter().collect(),
        client: Some("quell"),
        client_url: page,
        ..event
    }
}

fn payload<'a>(notice: &'a Notice, instance: &str) -> Payload<'a> {
    let tried = message::lines(&notice.tried);
    let mut summary =
        format!("{}: {}", message::one_line(&notice.title), message::one_line(&notice.headline));
    if !tried.is_empty() {
        summary = format!("{summary} Tried: {}", tried.join("; "));
    }
    Payload {
        summary: message::cut(&summary, MAX_SUMMARY),
        source: source(&notice.labels, instance),
        severity: severity(&notice.severity),
        timestamp: notice.at,
        custom_details: Details {
            incident: notice.incident.to_string(),
            began: notice.opened_at,
            what_happened: message::one_line(&notice.headline),
            tried,
            more: message::lines(&notice.details),
            labels: Some(&notice.labels).filter(|labels| !labels.is_empty()),
            left_out: None,
        },
    }
}

/// `quell/{instance}/{incident}`: ours alone, and the same at every attempt. Alertmanager's own key
/// follows its `groupKey`, which changes with its configuration (`protocols.md §3`).
fn dedup_key(notice: &Notice, instance: &str) -> String {
    let key = format!("quell/{instance}/{}", notice.incident);
    if key.chars().count() <= MAX_KEY {
        return key;
    }
    format!("quell/{}/{}", URL_SAFE_NO_PAD.encode(Sha256::digest(instance)), notice.incident)
}

/// What is ill, as precisely as the labels say; required, so never empty.
fn source(labels: &Labels, instance: &str) -> String {
    let named = ["instance", "service", "job"].into_iter().map(|name| labels.get(name));
    let source = named.map(message::one_line).find(|source| !source.is_empty());
    source.unwrap_or_else(|| if instance.is_empty() { "quell".into() } else { instance.into() })
}

/// `PagerDuty` knows four severities. One that it does not know, or none, becomes `error`: it pages.
fn severity(label: &str) -> &'static str {
    match label.trim().to_ascii_lowercase().as_str() {
        "critical" | "page" | "fatal" | "emergency" | "disaster" => "critical",
        "warning" | "warn" | "medium" => "warning",
        "info" | "information" | "notice" | "low" | "none" => "info",
        _ => "error",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::testing::Server;
    use super::super::testing::any_notice;
    use super::super::testing::links;
    use super::super::testing::notice;
    use super::*;

    const INSTANCE: &str = "quell.example.com";

    fn key() -> Secret {
        Secret::new("0123456789abcdef0123456789abcdef")
    }

    async fn sent(server: &Server, kind: NoticeKind) -> Sent {
        send(&server.url, &key(), &notice(kind), &links(), INSTANCE).await
    }

    fn json(notice: &Notice) -> serde_json::Value {
        serde_json::from_slice(&body(&key(), notice, &links(), INSTANCE).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn who_is_needed_is_paged_with_all_that_was_tried() {
        let server = Server::answering(202, &[], "{}").await;
        assert_eq!(sent(&server, NoticeKind::NeedsYou).await, Sent::Delivered);
        let got = server.only();
        assert_eq!((got.method.as_str(), got.path.as_str()), ("POST", "/v2/enqueue"));
        assert_eq!(got.headers["content-type"], "application/json");
        insta::assert_json_snapshot!(got.body, @r#"
        {
          "client": "quell",
          "client_url": "https://quell.example.com/incidents/i-381",
          "dedup_key": "quell/quell.example.com/i-381",
          "event_action": "trigger",
          "links": [
            {
              "href": "https://quell.example.com/incidents/i-381",
              "text": "Look"
            }
          ],
          "payload": {
            "custom_details": {
              "began": "2026-01-05T10:00:00Z",
              "incident": "i-381",
              "labels": {
                "alertname": "HighErrorRate",
                "service": "api",
                "severity": "critical"
              },
              "more": [
                "Proposes: roll back api from revision 41 to 40 (healthy for 6 days before).",
                "Needs one person of tier 3 by 10:25."
              ],
              "tried": [
                "restart at 10:02, did not help (11.8 % after 5 min)"
              ],
              "what_happened": "Error rate 11.3 % (limit 5 %) on 2 of 12 pods."
            },
            "severity": "critical",
            "source": "api",
            "summary": "api: HighErrorRate, critical: Error rate 11.3 % (limit 5 %) on 2 of 12 pods. Tried: restart at 10:02, did not help (11.8 % after 5 min)",
            "timestamp": "2026-01-05T10:12:00.25Z"
          },
          "routing_key": "0123456789abcdef0123456789abcdef"
        }
        "#);
    }

    #[tokio::test]
    async fn a_slash_at_the_end_of_the_url_does_no_harm() {
        let server = Server::answering(202, &[], "").await;
        let url = format!("{}/", server.url);
        send(&url, &key(), &notice(NoticeKind::Opened), &links(), INSTANCE).await;
        assert_eq!(server.only().path, "/v2/enqueue");
    }

    #[test]
    fn an_acknowledgement_and_a_resolution_name_the_incident_and_nothing_more() {
        insta::assert_json_snapshot!(json(&notice(NoticeKind::Acknowledged)), @r#"
        {
          "dedup_key": "quell/quell.example.com/i-381",
          "event_action": "acknowledge",
          "routing_key": "0123456789abcdef0123456789abcdef"
        }
        "#);
        insta::assert_json_snapshot!(json(&notice(NoticeKind::Resolved)), @r#"
        {
          "dedup_key": "quell/quell.example.com/i-381",
          "event_action": "resolve",
          "routing_key": "0123456789abcdef0123456789abcdef"
        }
        "#);
    }

    #[test]
    fn all_notices_of_an_incident_share_one_key() {
        let opened = json(&notice(NoticeKind::Opened));
        assert_eq!(opened["event_action"], "trigger");
        for kind in [NoticeKind::NeedsYou, NoticeKind::Acknowledged, NoticeKind::Resolved] {
            assert_eq!(json(&notice(kind))["dedup_key"], opened["dedup_key"], "{kind:?}");
        }
    }

    #[test]
    fn a_long_instance_makes_a_key_that_still_fits() {
        let notice = notice(NoticeKind::Opened);
        let long = dedup_key(&notice, &"a".repeat(300));
        assert_eq!(long.len(), "quell/".len() + 43 + "/i-381".len());
        assert_ne!(long, dedup_key(&notice, &"b".repeat(300)));
        let longest = "a".repeat(MAX_KEY - "quell//i-381".len());
        assert_eq!(dedup_key(&notice, &longest).len(), MAX_KEY);
    }

    #[tokio::test]
    async fn each_answer_has_its_outcome() {
        let retry = |reason: &str, after: Option<u64>| Sent::Retry {
            reason: reason.into(),
            after: after.map(Duration::from_secs),
        };
        let invalid = r#"{"status":"invalid event","message":"Event object is invalid",
            "errors":["Length of 'routing_key' is incorrect (should be 32 characters)"]}"#;
        for (status, body, expected) in [
            (202, r#"{"status":"success"}"#, Sent::Delivered),
            (200, "<html>log in", retry("PagerDuty answered 200: <html>log in", Some(7))),
            (
                400,
                invalid,
                Sent::refused(
                    "PagerDuty answered 400: Event object is invalid; Length of \
                     'routing_key' is incorrect (should be 32 characters)",
                ),
            ),
            (401, "", Sent::refused("PagerDuty answered 401")),
            (403, "", Sent::refused("PagerDuty answered 403")),
            (404, "{}", Sent::refused("PagerDuty answered 404")),
            (429, "", retry("PagerDuty answered 429", Some(7))),
            (500, "", retry("PagerDuty answered 500", Some(7))),
            (502, "", retry("PagerDuty answered 502", Some(7))),
        ] {
            let server = Server::answering(status, &[("retry-after", "7")], body).await;
            assert_eq!(sent(&server, NoticeKind::Opened).await, expected, "{status}");
            assert_eq!(server.count(), 1, "an attempt is one call");
        }
    }

    #[test]
    fn severities_become_those_that_pagerduty_knows() {
        for (label, expected) in [
            ("critical", "critical"),
            ("Page", "critical"),
            ("error", "error"),
            ("high", "error"),
            ("warning", "warning"),
            ("info", "info"),
            ("none", "info"),
            ("", "error"),
            ("P1-ish", "error"),
        ] {
            assert_eq!(severity(label), expected, "{label}");
        }
    }

    #[test]
    fn the_source_is_what_is_ill() {
        let check = |labels: &[(&str, &str)], expected: &str| {
            let labels = labels.iter().copied().collect();
            assert_eq!(source(&labels, INSTANCE), expected);
        };
        check(&[("instance", "db1:9100"), ("service", "db")], "db1:9100");
        check(&[("instance", "\n"), ("job", "node")], "node");
        check(&[("alertname", "A")], INSTANCE);
    }

    #[test]
    fn a_body_that_would_be_too_large_loses_labels_first_and_what_was_tried_last() {
        let lines = |count| vec!["ü".repeat(1_900); count];
        let mut large = notice(NoticeKind::NeedsYou);
        large.labels.set("big", "x".repeat(600_000));
        let event = json(&large);
        let details = &event["payload"]["custom_details"];
        assert_eq!((details.get("labels"), details.get("more").is_some()), (None, true));
        assert_eq!(details["left_out"], "too long for PagerDuty; the incident has the rest");

        (large.details, large.tried) = (lines(100), lines(90));
        let event = json(&large);
        let details = &event["payload"]["custom_details"];
        assert_eq!(details.get("more"), None);
        assert_eq!(details["tried"].as_array().map(Vec::len), Some(90));
    }

    proptest! {
        #[test]
        fn an_event_keeps_to_the_limits_whatever_alerts_say(
            notice in any_notice(),
            repeat in 1..200_usize,
        ) {
            let mut notice = notice;
            notice.details = vec![notice.details; repeat].concat();
            notice.tried = vec![notice.tried; repeat].concat();
            let body = body(&key(), &notice, &links(), INSTANCE).unwrap();
            prop_assert!(body.len() <= MAX_BODY);
            let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
            if let Some(payload) = event.get("payload") {
                let summary = payload["summary"].as_str().unwrap();
                prop_assert!((1..=MAX_SUMMARY).contains(&summary.chars().count()));
                prop_assert_ne!(payload["source"].as_str(), Some(""));
            }
        }
    }
}

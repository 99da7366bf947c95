//! Slack incoming webhooks (`protocols.md §4`).

use serde_json::Value;
use serde_json::json;

use super::Links;
use super::Sent;
use super::http;
use super::message;
use crate::model::config::Secret;
use crate::model::incident::Notice;
use crate::model::incident::NoticeKind;

const WHO: &str = "Slack";
/// Longest text of a header block.
const MAX_HEADER: usize = 150;
/// Longest text of a section block.
const MAX_SECTION: usize = 3_000;
/// Longest URL of a button; a longer one would make Slack refuse the whole message.
const MAX_URL: usize = 3_000;
/// Longest text shown where blocks are not, such as on a lock screen.
const MAX_FALLBACK: usize = 700;
/// All texts of one message together: below the undocumented total of about 13,200.
const MAX_TOTAL: usize = 12_000;

/// Posts one message. Success is 200 with the body `ok`, and nothing else.
pub(super) async fn send(webhook_url: &Secret, notice: &Notice, links: &Links) -> Sent {
    let body = payload(notice, links).to_string().into_bytes();
    let answer = match http::post(WHO, webhook_url.reveal(), Vec::new(), body).await {
        Ok(answer) => answer,
        Err(sent) => return sent,
    };
    let text = answer.text();
    match (answer.status, text.trim()) {
        (200, "ok") => Sent::Delivered,
        // an error code such as `invalid_payload` is Slack's; anything else is not from Slack
        (200, said) if is_code(said) => Sent::refused(format!("{WHO} answered 200: {said}")),
        (200, said) => http::failure(WHO, &answer, &format!("expected `ok`, got `{said}`")),
        (_, said) => http::failure(WHO, &answer, said),
    }
}

fn is_code(said: &str) -> bool {
    (1..=80).contains(&said.len())
        && said.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The message: first line, facts, buttons. Blocks are what people see; `text` is the fallback.
fn payload(notice: &Notice, links: &Links) -> Value {
    let mark = match notice.kind {
        NoticeKind::Opened | NoticeKind::Progress | NoticeKind::NeedsYou => "🔴",
        NoticeKind::Acknowledged => "🟡",
        NoticeKind::Resolved => "🟢",
    };
    let lead = format!("{mark} {}", message::lead(notice));
    let fallback =
        escape(&format!("{lead}\n{}", message::one_line(&notice.headline)), MAX_FALLBACK);
    let mut left = MAX_TOTAL - MAX_HEADER - MAX_FALLBACK;
    let header = escape(&lead, MAX_HEADER);
    let mut blocks =
        vec![json!({ "type": "header", "text": { "type": "plain_text", "text": header } })];
    for paragraph in message::paragraphs(notice) {
        let text = escape(&paragraph, MAX_SECTION.min(left));
        left = left.saturating_sub(length(&text));
        // verbatim: `@here` and `#channel` in an alert's text stay text
        let text = json!({ "type": "mrkdwn", "text": text, "verbatim": true });
        blocks.push(json!({ "type": "section", "text": text }));
    }
    let ways = message::ways(notice, links);
    let buttons: Vec<Value> = ways
        .into_iter()
        .filter(|(_, url)| url.len() <= MAX_URL)
        .map(|(label, url)| {
            json!({ "type": "button", "text": { "type": "plain_text", "text": label }, "url": url })
        })
        .collect();
    if !buttons.is_empty() {
        blocks.push(json!({ "type": "actions", "elements": buttons }));
    }
    // Slack fetches links it spots; ours must not be opened by a machine
    json!({ "text": fallback, "blocks": blocks, "unfurl_links": false, "unfurl_media": false })
}

/// Escapes what Slack gives a meaning, `&`, `<` and `>`, and cuts the result to `max` without
/// breaking an escape; `…` stands for what is cut off. Escaping makes `<!channel>` in an annotation
/// plain text.
fn escape(text: &str, max: usize) -> String {
    let mut out = String::new();
    let (mut used, mut safe) = (0, 0);
    for c in text.chars() {
        let mut one = [0; 4];
        let piece = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => c.encode_utf8(&mut one),
        };
        used += length(piece);
        if used > max {
            out.truncate(safe);
            if max > 0 {
                out.push('…');
            }
            return out;
        }
        out.push_str(piece);
        if used < max {
            safe = out.len();
        }
    }
    out
}

/// Length as JavaScript counts it: the larger of the ways Slack might.
fn length(text: &str) -> usize {
    text.encode_utf16().count()
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

    async fn sent(server: &Server) -> Sent {
        let url = Secret::new(format!("{}/services/T00/B00/XXXX", server.url));
        send(&url, &notice(NoticeKind::NeedsYou), &links()).await
    }

    #[tokio::test]
    async fn who_is_needed_reads_the_facts_and_has_three_buttons() {
        let server = Server::answering(200, &[], "ok").await;
        assert_eq!(sent(&server).await, Sent::Delivered);
        let got = server.only();
        assert_eq!((got.method.as_str(), got.path.as_str()), ("POST", "/services/T00/B00/XXXX"));
        insta::assert_json_snapshot!(got.body, @r#"
        {
          "blocks": [
            {
              "text": {
                "text": "🔴 api: HighErrorRate, critical: needs you, for 12 min",
                "type": "plain_text"
              },
              "type": "header"
            },
            {
              "text": {
                "text": "Error rate 11.3 % (limit 5 %) on 2 of 12 pods.",
                "type": "mrkdwn",
                "verbatim": true
              },
              "type": "section"
            },
            {
              "text": {
                "text": "Proposes: roll back api from revision 41 to 40 (healthy for 6 days before).\nNeeds one person of tier 3 by 10:25.",
                "type": "mrkdwn",
                "verbatim": true
              },
              "type": "section"
            },
            {
              "text": {
                "text": "Tried: restart at 10:02, did not help (11.8 % after 5 min)",
                "type": "mrkdwn",
                "verbatim": true
              },
              "type": "section"
            },
            {
              "text": {
                "text": "Incident i-381, began 2026-01-05 10:00:00 UTC.\nAlert: HighErrorRate{service=\"api\", severity=\"critical\"}",
                "type": "mrkdwn",
                "verbatim": true
              },
              "type": "section"
            },
            {
              "elements": [
                {
                  "text": {
                    "text": "Look",
                    "type": "plain_text"
                  },
                  "type": "button",
                  "url": "https://quell.example.com/incidents/i-381"
                },
                {
                  "text": {
                    "text": "Acknowledge",
                    "type": "plain_text"
                  },
                  "type": "button",
                  "url": "https://quell.example.com/act/TOKEN"
                },
                {
                  "text": {
                    "text": "Take over",
                    "type": "plain_text"
                  },
                  "type": "button",
                  "url": "https://quell.example.com/act/TAKE"
                }
              ],
              "type": "actions"
            }
          ],
          "text": "🔴 api: HighErrorRate, critical: needs you, for 12 min\nError rate 11.3 % (limit 5 %) on 2 of 12 pods.",
          "unfurl_links": false,
          "unfurl_media": false
        }
        "#);
    }

    #[test]
    fn a_resolution_cannot_be_acknowledged() {
        let body = payload(&notice(NoticeKind::Resolved), &links());
        let header = body["blocks"][0]["text"]["text"].as_str();
        assert_eq!(header, Some("🟢 api: HighErrorRate, critical: resolved after 12 min"));
        let text = body.to_string();
        assert!(text.contains("Look") && !text.contains("Acknowledge"), "{text}");
    }

    #[test]
    fn without_links_there_are_no_buttons() {
        let body = payload(&notice(NoticeKind::Opened), &Links::default());
        assert!(!body.to_string().contains("actions"), "{body}");
    }

    #[tokio::test]
    async fn each_answer_has_its_outcome() {
        let retry = |reason: &str| Sent::Retry {
            reason: reason.into(),
            after: Some(Duration::from_secs(30)),
        };
        for (status, body, expected) in [
            (200, "ok", Sent::Delivered),
            (200, "no_text", Sent::refused("Slack answered 200: no_text")),
            (200, "<html>", retry("Slack answered 200: expected `ok`, got `<html>`")),
            (200, "", retry("Slack answered 200: expected `ok`, got ``")),
            (400, "invalid_payload", Sent::refused("Slack answered 400: invalid_payload")),
            (403, "action_prohibited", Sent::refused("Slack answered 403: action_prohibited")),
            (404, "no_service", Sent::refused("Slack answered 404: no_service")),
            (404, "channel_not_found", Sent::refused("Slack answered 404: channel_not_found")),
            (410, "channel_is_archived", Sent::refused("Slack answered 410: channel_is_archived")),
            (429, "rate_limited", retry("Slack answered 429: rate_limited")),
            (500, "rollup_error", retry("Slack answered 500: rollup_error")),
        ] {
            let server = Server::answering(status, &[("retry-after", "30")], body).await;
            assert_eq!(sent(&server).await, expected, "{status} {body}");
        }
    }

    #[test]
    fn escapes_are_never_cut_in_two() {
        for (text, max, expected) in [
            ("a<b", 100, "a&lt;b"),
            ("&lt;", 100, "&amp;lt;"),
            ("a<b", 6, "a&lt;b"),
            ("a<b", 5, "a…"),
            ("a<b", 4, "a…"),
            ("🔥🔥", 4, "🔥🔥"),
            ("🔥🔥", 3, "🔥…"),
            ("<", 1, "…"),
            ("<", 0, ""),
        ] {
            assert_eq!(escape(text, max), expected, "{text} to {max}");
        }
    }

    /// All texts of a message that Slack reads.
    fn texts(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    match field {
                        Value::String(text) if name == "text" => into.push(text.clone()),
                        _ => texts(field, into),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn nothing_that_alerts_say_gets_a_meaning_in_slack(notice in any_notice()) {
            let body = payload(&notice, &links());
            let mut all = Vec::new();
            texts(&body, &mut all);
            for text in &all {
                prop_assert!(!text.contains(['<', '>']), "{}", text);
                let plain = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
                prop_assert!(!plain.contains('&'), "{}", text);
            }
        }

        #[test]
        fn a_message_keeps_to_the_limits_whatever_alerts_say(
            notice in any_notice(),
            repeat in 1..60_usize,
        ) {
            let mut notice = notice;
            notice.details = vec![notice.details; repeat].concat();
            notice.tried = vec![notice.tried; repeat].concat();
            let body = payload(&notice, &links());
            let mut all = Vec::new();
            texts(&body, &mut all);
            prop_assert!(all.iter().map(|text| length(text)).sum::<usize>() <= MAX_TOTAL);
            let blocks = body["blocks"].as_array().unwrap();
            prop_assert!(blocks.len() <= 50);
            for block in blocks {
                let limit = if block["type"] == "header" { MAX_HEADER } else { MAX_SECTION };
                if let Some(text) = block["text"]["text"].as_str() {
                    prop_assert!((1..=limit).contains(&length(text)), "{}", block);
                }
            }
        }
    }
}

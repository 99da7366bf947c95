use std::time::Duration;

use crate::api::testing::Quell;
use crate::api::testing::Reply;
use crate::api::testing::START;
use crate::api::testing::at;
use crate::api::testing::config;
use crate::decide::link::Act;
use crate::decide::link::Link;
use crate::decide::link::sign;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::time::after;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn plain() -> (Quell, String) {
    let quell = Quell::configured(config()).await;
    quell.incident().await;
    let path = link(&quell, IncidentId(1));
    (quell, path)
}

fn link(quell: &Quell, incident: IncidentId) -> String {
    let expires_at = after(at(START), Duration::from_hours(1));
    let link = Link { act: Act::Ack, incident, channel: "slack".into(), expires_at };
    format!("/act/{}", sign(&link, &quell.state.link_key))
}

async fn incident(quell: &Quell) -> Incident {
    quell.state.store.incident(IncidentId(1)).await.unwrap().unwrap()
}

/// The sentence of a page.
fn words(reply: &Reply) -> String {
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8", "{}", reply.text);
    let body = reply.text.split("</h1>").nth(1).unwrap();
    let body = body.split("<table").next().unwrap();
    let text = body.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    format!(
        "{} {}",
        reply.status,
        text.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    )
}

#[tokio::test]
async fn looking_changes_nothing_ever() {
    let (quell, path) = plain().await;
    let before = incident(&quell).await;
    for (method, agent) in [
        ("GET", "Slackbot-LinkExpanding 1.0"),
        ("HEAD", "curl"),
        ("GET", "Mozilla/5.0"),
        ("OPTIONS", "Mozilla/5.0"),
        ("PUT", "curl"),
    ] {
        quell.send(method, &path, &[("user-agent", agent), FORM], "name=x").await;
        assert_eq!(incident(&quell).await, before, "{method}");
    }
    assert_eq!(quell.state.store.notifications_of(IncidentId(1)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_page_says_what_will_happen_and_runs_nothing() {
    let (quell, path) = plain().await;
    let reply = quell.get(&path).await;
    assert_eq!(reply.status, 200);
    for (header, value) in [
        (
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("x-robots-tag", "noindex, nofollow"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(reply.header(header), value, "{header}");
    }
    assert!(!reply.text.contains("<script"));
    assert!(!reply.text.contains("<api>"), "labels are escaped");
    assert!(reply.text.contains("&lt;api&gt;: HighErrorRate, critical"));
    let page = reply.text.split("</style>").nth(1).unwrap();
    let page = page.replace(path.trim_start_matches("/act/"), "TOKEN").replace('<', "\n<");
    insta::assert_snapshot!(page, @r#"
    </head>

    <body>
    <h1>&lt;api&gt;: HighErrorRate, critical
    </h1>

    <table>
    <tr>
    <th>incident
    <td>i-1
    <tr>
    <th>status
    <td>open
    <tr>
    <th>began
    <td>2026-11-21 02:28:00 UTC (12m ago)
    <tr>
    <th>rule
    <td>api-error-rate
    <tr>
    <th>alertname
    <td>HighErrorRate
    <tr>
    <th>service
    <td>&lt;api&gt;
    </table>
    <form method="post" action="/act/TOKEN">
    <p>Acknowledging says that a person has it: the channels that were told of i-1 are told so, and nobody is reminded that it waits for an answer. It stops no remedy that is at work.
    </p>
    <label>Your name, if you like
    <input name="name" maxlength="80" autocomplete="name">
    </label>
    <button>Acknowledge i-1
    </button>
    </form>
    <p>
    <small>Recorded as coming by the link in slack, which works until 2026-11-21 03:40:00 UTC.
    </small>
    </p>

    </body>
    </html>
    "#);
}

#[tokio::test]
async fn a_link_acknowledges_once_and_says_by_whom() {
    for (form, by) in [
        ("name=Dana+%3Cb%3E", "Dana <b>, by the link in slack"),
        ("name=++", "the link in slack"),
        ("", "the link in slack"),
        ("name=a%0Ab%00c", "abc, by the link in slack"),
    ] {
        let (quell, path) = plain().await;
        let reply = quell.send("POST", &path, &[FORM], form).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert!(!reply.text.contains("<b>"), "escaped");
        assert_eq!(incident(&quell).await.acked_by, by);
        assert_eq!(
            quell.state.store.notifications_of(IncidentId(1)).await.unwrap().len(),
            2,
            "told"
        );
        quell.state.clock.advance(Duration::from_mins(1));
        let again = quell.send("POST", &path, &[FORM], "name=eve").await;
        assert_eq!(again.status, 409);
        assert!(again.text.contains("Already acknowledged by"), "{}", again.text);
        assert!(again.text.contains("2026-11-21 02:40:00 UTC"), "{}", again.text);
        assert_eq!(incident(&quell).await.acked_by, by, "eve came too late");
        let look = quell.get(&path).await;
        assert!(look.status == 200 && !look.text.contains("<form"), "{}", look.text);
    }
}

#[tokio::test]
async fn a_long_name_is_cut() {
    let (quell, path) = plain().await;
    quell.send("POST", &path, &[FORM], format!("name={}", "é".repeat(200))).await;
    assert_eq!(
        incident(&quell).await.acked_by,
        format!("{}, by the link in slack", "é".repeat(80))
    );
    let reply = quell.send("POST", &path, &[FORM], "x".repeat(5000)).await;
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn what_cannot_be_used_says_why() {
    let (quell, path) = plain().await;
    let (last, rest) = (path.len() - 1, &path[..path.len() - 1]);
    let forged = format!("{rest}{}", if path[last..] == *"A" { "B" } else { "A" });
    insta::assert_snapshot!(words(&quell.get(&forged).await), @"403 This quell did not make this link; copy all of it, or use the newest message Q0515");
    insta::assert_snapshot!(words(&quell.send("POST", "/act/x", &[FORM], "").await), @"403 This quell did not make this link; copy all of it, or use the newest message Q0515");
    let gone = link(&quell, IncidentId(9));
    insta::assert_snapshot!(words(&quell.get(&gone).await), @"404 There is no incident i-9 Q0507");
    insta::assert_snapshot!(words(&quell.send("POST", &path, &[], "name=x").await), @"415 Expected content-type application/x-www-form-urlencoded, as the page&#39;s form sends Q0518");
    quell.post("/api/v1/incidents/i-1/ack", "").await;
    insta::assert_snapshot!(words(&quell.get(&path).await), @"200 Already acknowledged by dana at 2026-11-21 02:40:00 UTC");
    insta::assert_snapshot!(words(&quell.send("POST", &path, &[FORM], "").await), @"409 Already acknowledged by dana at 2026-11-21 02:40:00 UTC Q0509");
    let labels = r#"{"alerts":[{"status":"resolved","labels":{"alertname":"HighErrorRate","service":"<api>"}}]}"#;
    quell.webhook(labels).await;
    quell.state.store.resolve_incident(IncidentId(1), Vec::new()).await.unwrap();
    insta::assert_snapshot!(words(&quell.get(&path).await), @"200 Resolved at 2026-11-21 02:40:00 UTC");
    insta::assert_snapshot!(words(&quell.send("POST", &path, &[FORM], "").await), @"409 Resolved at 2026-11-21 02:40:00 UTC Q0509");
    quell.state.clock.advance(Duration::from_secs(3601));
    insta::assert_snapshot!(words(&quell.get(&path).await), @"410 This link is too old; use the newest message, or quell ack Q0514");
    insta::assert_snapshot!(words(&quell.send("POST", &path, &[FORM], "").await), @"410 This link is too old; use the newest message, or quell ack Q0514");
    assert_eq!(incident(&quell).await.status, IncidentStatus::Resolved);
}

#[tokio::test]
async fn scripts_get_json() {
    let (quell, path) = plain().await;
    let json = ("accept", "application/json");
    let look = quell.send("GET", &path, &[json], "").await;
    assert_eq!(
        (look.json()["act"].as_str(), look.json()["incident"]["id"].as_str()),
        (Some("acknowledge"), Some("i-1"))
    );
    let done = quell.send("POST", &path, &[json, FORM], "").await;
    assert_eq!(done.json()["acknowledged"], true);
    let again = quell.send("POST", &path, &[json, FORM], "").await;
    insta::assert_snapshot!(again.problem(), @"409 /errors/Q0509 not possible now: already acknowledged by the link in slack at 2026-11-21 02:40:00 UTC");
    insta::assert_snapshot!(quell.send("GET", "/act/x", &[json], "").await.problem(), @"403 /errors/Q0515 link not valid: this quell did not make this link; copy all of it, or use the newest message");
    assert_eq!(again.header("cache-control"), "no-store");
}

#[tokio::test]
async fn only_the_links_own_page_may_send_its_form() {
    let (quell, path) = plain().await;
    for (headers, expected) in [
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site")], 403),
        (vec![("origin", "https://evil.example")], 403),
        (vec![("origin", "null"), ("sec-fetch-site", "cross-site")], 403),
        (vec![("origin", "http://quell.example.com")], 403),
        (vec![("origin", "https://quell.example.com"), ("sec-fetch-site", "same-origin")], 200),
    ] {
        let mut all = vec![FORM];
        all.extend(&headers);
        let reply = quell.send("POST", &path, &all, "").await;
        assert_eq!(reply.status, expected, "{headers:?}: {}", reply.text);
    }
    for headers in [
        vec![("origin", "http://10.0.0.7:9797"), ("host", "10.0.0.7:9797")],
        vec![("origin", "https://q.example"), ("host", "q.example")],
        vec![("origin", "null")],
        vec![("origin", "null"), ("sec-fetch-site", "same-origin")],
        vec![],
    ] {
        let (quell, path) = plain().await;
        let mut all = vec![FORM];
        all.extend(&headers);
        assert_eq!(quell.send("POST", &path, &all, "").await.status, 200, "{headers:?}");
    }
}

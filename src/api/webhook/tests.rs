//! One test for each line of `protocols.md §1` that concerns a receiver (`s1_…`), on bodies captured from real
//! Alertmanagers, over HTTP into a real database.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::*;
use crate::api::router;
use crate::api::testing::Quell;
use crate::api::testing::Reply;
use crate::api::testing::WEBHOOK;
use crate::api::testing::at;
use crate::api::testing::config;
use crate::api::testing::until;
use crate::library::Library;
use crate::model::config::Config;
use crate::model::config::Ingest;
use crate::model::config::IngestToken;
use crate::model::config::Secret;
use crate::model::incident::Episode;

fn captures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures"))
}

fn capture(name: &str) -> Vec<u8> {
    fs::read(captures().join(format!("{name}.json"))).unwrap()
}

async fn post(quell: &Quell, name: &str) -> Value {
    let reply = quell.webhook(capture(name)).await;
    assert_eq!(reply.status, 200, "{name}: {}", reply.text);
    reply.json()
}

async fn episodes(quell: &Quell) -> Vec<Episode> {
    quell.state.store.episodes(false, None, 10_000).await.unwrap()
}

async fn open(quell: &Quell) -> usize {
    quell.state.store.episodes(true, None, 10_000).await.unwrap().len()
}

async fn plain() -> Quell {
    Quell::configured(config()).await
}

fn ingest(config: Config, tokens: Vec<IngestToken>) -> Config {
    Config { ingest: Ingest { tokens, ..config.ingest.clone() }, ..config }
}

fn token(name: &str, token: &str, user: Option<&str>) -> IngestToken {
    IngestToken { name: name.into(), token: Secret::new(token), user: user.map(Into::into) }
}

fn firing(labels: &Value) -> String {
    json!({ "version": "4", "alerts": [{ "status": "firing", "labels": labels }] }).to_string()
}

#[tokio::test]
async fn every_captured_body_opens_one_episode_a_firing_alert() {
    let mut bodies = 0;
    for entry in fs::read_dir(captures()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_json = path.extension().is_some_and(|it| it == "json");
        if !is_json || name == "index-headers" || name.ends_with("custom-payload") {
            continue;
        }
        bodies += 1;
        let body: Value = serde_json::from_slice(&capture(name)).unwrap();
        let sent = body["alerts"].as_array().unwrap();
        let mut expected: Vec<&str> = sent
            .iter()
            .filter(|alert| alert["status"] == "firing")
            .map(|alert| alert["fingerprint"].as_str().unwrap())
            .collect();
        let quell = plain().await;
        let reply = post(&quell, name).await;
        assert_eq!(reply["accepted"], sent.len(), "{name}");
        assert_eq!(reply["opened"], expected.len(), "{name}");
        let opened = episodes(&quell).await;
        let mut got: Vec<&str> = opened.iter().map(|it| it.fingerprint.as_str()).collect();
        expected.sort_unstable();
        got.sort_unstable();
        assert_eq!(got, expected, "{name}: Alertmanager's fingerprints");
        assert!(opened.iter().all(|it| it.open && it.source == "local"), "{name}");
    }
    assert_eq!(bodies, 58, "captures that are webhook bodies");
}

#[tokio::test]
async fn s1_one_body_of_2000_alerts_is_taken_whole() {
    let quell = plain().await;
    let body = capture("am0.33.1-big-2000-alerts");
    assert!(body.len() > 1_300_000);
    let reply = quell.webhook(body).await;
    insta::assert_snapshot!(reply.text, @r#"{"accepted":2000,"opened":2000,"reopened":0,"updated":0,"closed":0,"unchanged":0}"#);
    assert_eq!(open(&quell).await, 2000);
}

#[tokio::test]
async fn s1_a_payload_override_is_refused_loudly() {
    let quell = plain().await;
    let headers = [("x-request-id", "am-1"), ("content-type", "application/json")];
    let reply = quell.send("POST", WEBHOOK, &headers, capture("am0.33.1-custom-payload")).await;
    assert_eq!(reply.status, 422);
    insta::assert_json_snapshot!(reply.json(), @r#"
    {
      "detail": "expected version \"4\" with an alerts array, got an object with keys custom; a `payload:` in the receiver's webhook_config replaces the body: remove it",
      "request_id": "am-1",
      "status": 422,
      "title": "not an Alertmanager webhook body",
      "type": "/errors/Q0502"
    }
    "#);
    assert!(episodes(&quell).await.is_empty());
}

#[tokio::test]
async fn s1_resolved_alert_inside_a_firing_group_closes_only_that_alert() {
    let quell = plain().await;
    assert_eq!(post(&quell, "am0.33.1-grouped-firing").await["opened"], 4);
    let reply = post(&quell, "am0.33.1-grouped-mixed-one-resolved").await;
    assert_eq!((&reply["closed"], &reply["unchanged"]), (&json!(1), &json!(3)));
    let closed: Vec<Episode> = episodes(&quell).await.into_iter().filter(|it| !it.open).collect();
    assert_eq!(closed.len(), 1);
    let body: Value =
        serde_json::from_slice(&capture("am0.33.1-grouped-mixed-one-resolved")).unwrap();
    assert_eq!(body["status"], "firing", "the group's status says otherwise");
    assert_eq!(body["alerts"][0]["fingerprint"], closed[0].fingerprint);
    assert_eq!(open(&quell).await, 3);
}

#[tokio::test]
async fn s1_false_group_resolved_after_restart_leaves_siblings_open() {
    for version in ["am0.25.0", "am0.33.1"] {
        let quell = plain().await;
        post(&quell, &format!("{version}-grouped-firing")).await;
        let name = format!("{version}-grouped-after-am-restart-FALSE-group-resolved");
        assert_eq!(post(&quell, &name).await["closed"], 1, "{version}");
        assert_eq!(open(&quell).await, 3, "{version}: absent is not resolved");
    }
}

#[tokio::test]
async fn s1_ha_pair_startsat_shift_keeps_one_episode() {
    let quell = plain().await;
    let shift = |n| format!("am0.33.1-ha-prometheus-pair-startsat-shift-{n}");
    assert_eq!(post(&quell, &shift(0)).await["opened"], 1);
    assert_eq!(post(&quell, &shift(1)).await["updated"], 1, "startsAt moved earlier");
    assert_eq!(post(&quell, &shift(2)).await["closed"], 1, "one replica resolved first");
    assert_eq!(post(&quell, &shift(3)).await["reopened"], 1, "the same startsAt again");
    assert_eq!(post(&quell, &shift(4)).await["unchanged"], 1);
    let episodes = episodes(&quell).await;
    let [episode] = episodes.as_slice() else { panic!("{episodes:?}") };
    assert!(episode.open);
    assert_eq!(episode.reopened, 1);
    assert_eq!(episode.starts_at, at("2026-11-21T02:33:09.121182Z"));
}

#[tokio::test]
async fn s1_truncated_alerts_are_stored_as_missing_evidence() {
    let quell = plain().await;
    post(&quell, "am0.33.1-truncated-firing").await;
    let reply = post(&quell, "am0.33.1-truncated-hidden-resolved").await;
    assert_eq!(reply["unchanged"], 2, "a resolution beyond the cut is invisible");
    assert!(episodes(&quell).await.iter().all(|it| it.open && it.truncated == 3));
    assert_eq!(post(&quell, "am0.33.1-truncated-resolved").await["closed"], 2);
}

#[tokio::test]
async fn s1_receiver_name_is_unescaped() {
    for version in ["am0.25.0", "am0.33.1"] {
        let body = capture(&format!("{version}-receiver-name-regex-quoted"));
        let delivery = webhook::delivery(&body, String::new(), at("2026-11-21T02:40:00Z")).unwrap();
        assert_eq!(delivery.receiver, "team.a/b+c (x)");
    }
}

#[tokio::test]
async fn s1_repeat_writes_nothing() {
    let quell = plain().await;
    post(&quell, "am0.33.1-firing-single").await;
    let before = episodes(&quell).await;
    quell.state.clock.advance(Duration::from_secs(30));
    let reply = post(&quell, "am0.33.1-repeat-interval").await;
    assert_eq!(reply["unchanged"], 1);
    assert_eq!(episodes(&quell).await, before, "seen_at included");
    let page = quell.get("/metrics").await.text;
    assert!(page.contains("quell_webhooks_total{kind=\"accepted\"} 1\n"), "{page}");
    assert!(page.contains("quell_webhooks_total{kind=\"unchanged\"} 1\n"), "{page}");
    assert!(page.contains("quell_alerts_total{kind=\"opened\"} 1\n"), "{page}");
}

#[tokio::test]
async fn s1_groupkey_change_by_reload_is_not_a_new_episode() {
    let quell = plain().await;
    assert_eq!(post(&quell, "am0.33.1-groupkey-changed-by-reload-0").await["opened"], 1);
    assert_eq!(post(&quell, "am0.33.1-groupkey-changed-by-reload-1").await["unchanged"], 1);
    assert_eq!(episodes(&quell).await.len(), 1);
}

#[tokio::test]
async fn s1_301_would_lose_the_alert_so_odd_slashes_are_served() {
    for path in [
        "/api/v1/webhook/alertmanager/",
        "//api/v1/webhook/alertmanager",
        "/api/v1//webhook/alertmanager//",
    ] {
        let quell = plain().await;
        let reply = quell.send("POST", path, &[], capture("am0.33.1-firing-single")).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        assert_eq!(episodes(&quell).await.len(), 1);
    }
    let quell = plain().await;
    let reply = quell.get(WEBHOOK).await;
    assert_eq!(reply.status, 405, "a 301's body-less GET is no delivery");
    assert_eq!(reply.header("allow"), "POST");
    insta::assert_snapshot!(reply.problem(), @"405 /errors/Q0508 method not allowed: /api/v1/webhook/alertmanager does not take GET; the header Allow says what it takes");
}

#[tokio::test]
async fn s1_body_larger_than_limit_is_413_with_words() {
    let mut config = config();
    config.ingest.max_body_bytes = 4096;
    let quell = Quell::configured(config).await;
    let reply = quell.webhook(capture("am0.33.1-big-2000-alerts")).await;
    assert_eq!(reply.status, 413);
    insta::assert_snapshot!(reply.problem(), @"413 /errors/Q0503 body too large: expected at most 4096 bytes, got 1386502; the limit is ingest.max_body in quell.yml");
    let chunks = (0..100).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1000]));
    let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let reply = quell.webhook(chunked).await;
    assert_eq!(reply.status, 413, "without a content-length too");
    assert!(reply.problem().contains("expected at most 4096 bytes; the limit is"));
    let exactly = format!("{:4096}", firing(&json!({ "a": "b" })));
    assert_eq!(quell.webhook(exactly).await.status, 200, "the limit itself is allowed");
}

/// Alertmanager does not retry 429, nor any other 4xx (§1, Retry): load is shed with 503.
#[tokio::test]
async fn s1_never_429_but_503_while_overloaded() {
    let mut config = config();
    config.ingest.max_waiting_alerts = 1;
    let library = Library { config, ..Library::default() };
    let mut quell = Quell::with(library, router).await;
    let client = Sender::to(&quell).await;
    let waiting = client.post(&firing(&json!({ "a": "1" }))).await;
    until(|| quell.state.intake.waiting() == 1).await;
    let refused = quell.webhook(firing(&json!({ "a": "2" }))).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), "1");
    insta::assert_snapshot!(refused.problem(), @"503 /errors/Q0510 overloaded: 1 alerts wait to be stored, and ingest.max_waiting_alerts in quell.yml is 1: send it again");
    quell.write();
    assert!(waiting.answer().await.starts_with("HTTP/1.1 200 "), "answered once it is stored");
    assert_eq!(episodes(&quell).await.len(), 1, "nothing of what was refused is kept");
    assert_eq!(quell.webhook(firing(&json!({ "a": "2" }))).await.json()["opened"], 1);
}

/// More comes than can be stored, or the database stands still: who comes now is told at once, not after seconds.
#[tokio::test]
async fn s1_503_at_once_while_what_is_stored_has_waited_too_long() {
    let mut config = config();
    config.ingest.max_wait = Duration::from_millis(1);
    let library = Library { config, ..Library::default() };
    let mut quell = Quell::with(library, router).await;
    let client = Sender::to(&quell).await;
    let waiting = client.post(&firing(&json!({ "a": "1" }))).await;
    until(|| quell.state.intake.waiting() == 1).await;
    quell.write_and_stand_still().await;
    until(|| quell.state.intake.behind() > Duration::from_millis(1)).await;
    let refused = quell.webhook(firing(&json!({ "a": "2" }))).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    let problem = refused.problem();
    let words = "503 /errors/Q0510 overloaded: what is being stored has waited ";
    assert!(problem.starts_with(words), "{problem}");
    assert!(
        problem.ends_with("ms, and ingest.max_wait in quell.yml is 1ms: send it again"),
        "{problem}"
    );
    assert_eq!(quell.state.intake.waiting(), 1, "it does not wait");
    quell.write();
    assert!(waiting.answer().await.starts_with("HTTP/1.1 200 "), "answered once it is stored");
    until(|| quell.state.intake.behind().is_zero()).await;
    assert_eq!(quell.webhook(firing(&json!({ "a": "2" }))).await.json()["opened"], 1);
}

#[tokio::test]
async fn s1_persist_before_2xx() {
    let mut quell = Quell::with(Library { config: config(), ..Library::default() }, router).await;
    let sent = Sender::to(&quell).await.post(&firing(&json!({ "a": "1" }))).await;
    until(|| quell.state.intake.waiting() == 1).await;
    quell.never_write();
    let answer = sent.answer().await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let late = quell.webhook(firing(&json!({ "a": "1" }))).await;
    insta::assert_snapshot!(late.problem(), @"503 /errors/Q0511 stopping: quell is stopping: send it again, to another replica if there is one");
}

/// §1, Lost 7: a reload of Alertmanager cancels the POST in flight and sends it again at once.
#[tokio::test]
async fn s1_a_cancelled_post_and_its_resend_open_one_episode() {
    let mut quell = Quell::with(Library { config: config(), ..Library::default() }, router).await;
    let cancelled = Sender::to(&quell).await.post(&firing(&json!({ "a": "1" }))).await;
    until(|| quell.state.intake.waiting() == 1).await;
    drop(cancelled);
    let resent = Sender::to(&quell).await.post(&firing(&json!({ "a": "1" }))).await;
    until(|| quell.state.intake.waiting() == 2).await;
    quell.write();
    assert!(resent.answer().await.contains("\"unchanged\":1"));
    assert_eq!(episodes(&quell).await.len(), 1);
    until(|| quell.state.intake.waiting() == 0).await;
}

/// §1, Lost 8: peers of a cluster may deliver the same notification at the same time.
#[tokio::test]
async fn s1_concurrent_deliveries_by_peers_open_one_episode() {
    let quell = plain().await;
    let body = capture("am0.33.1-grouped-firing");
    let peers = (0..8).map(|_| quell.webhook(body.clone()));
    let replies: Vec<Reply> = futures_util::future::join_all(peers).await;
    let opened: u64 = replies.iter().map(|it| it.json()["opened"].as_u64().unwrap()).sum();
    assert!(replies.iter().all(|it| it.status == 200));
    assert_eq!((opened, episodes(&quell).await.len()), (4, 4));
}

#[tokio::test]
async fn what_cannot_be_stored_is_503_and_kept_nowhere() {
    let quell = plain().await;
    quell.state.store.close().await;
    let reply = quell.webhook(firing(&json!({ "a": "1" }))).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "5"));
    insta::assert_snapshot!(reply.problem(), @"503 /errors/Q0512 could not be stored or read: the database is closed: nothing of this request was kept, send it again");
}

#[tokio::test]
async fn a_draining_server_sends_alerts_elsewhere() {
    let quell = plain().await;
    assert_eq!(quell.post("/admin/drain", "").await.status, 200);
    let reply = quell.webhook(firing(&json!({ "a": "1" }))).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "5"));
    insta::assert_snapshot!(reply.problem(), @"503 /errors/Q0511 stopping: quell is draining: send it again, to another replica if there is one");
}

#[tokio::test]
async fn s1_auth_by_bearer_basic_and_url_userinfo() {
    let tokens = vec![
        token("am-eu", "secret", None),
        token("am-us", "pass:word", Some("us")),
        token("empty", "", None),
    ];
    let quell = Quell::configured(ingest(config(), tokens)).await;
    // base64 of us:pass:word, us:wrong, other:pass:word
    for (authorization, expected) in [
        ("Bearer secret", 200),
        ("bearer  secret", 200),
        ("Basic dXM6cGFzczp3b3Jk", 200),
        ("Basic dXM6d3Jvbmc=", 401),
        ("Basic b3RoZXI6cGFzczp3b3Jk", 401),
        ("Bearer pass:word", 401),
        ("Bearer secre", 401),
        ("Bearer secrett", 401),
        ("Bearer ", 401),
        ("Bearer", 401),
        ("Basic ???", 401),
        ("Custom secret", 401),
    ] {
        let headers = [("authorization", authorization)];
        let reply = quell.send("POST", WEBHOOK, &headers, firing(&json!({ "a": "b" }))).await;
        assert_eq!(reply.status, expected, "{authorization}: {}", reply.text);
        if expected == 401 {
            assert!(reply.header("www-authenticate").starts_with("Bearer"));
            assert!(!reply.text.contains("secret"), "{}", reply.text);
        }
    }
    let from: Vec<String> = episodes(&quell).await.into_iter().map(|it| it.source).collect();
    assert_eq!(from, ["am-eu"], "the first that opened it; a repeat writes nothing");
    let reply = quell.webhook(firing(&json!({ "a": "b" }))).await;
    insta::assert_snapshot!(reply.problem(), @"401 /errors/Q0505 credentials needed: expected the header Authorization with a token of ingest.tokens in quell.yml: set http_config.authorization.credentials in the receiver's webhook_config");
}

#[tokio::test]
async fn without_tokens_only_this_machine_may_post() {
    let quell = plain().await;
    for (header, value) in [
        ("x-forwarded-for", "203.0.113.7"),
        ("forwarded", "for=203.0.113.7"),
        ("via", "1.1 proxy"),
        ("origin", "https://evil.example"),
    ] {
        let reply =
            quell.send("POST", WEBHOOK, &[(header, value)], firing(&json!({ "a": "b" }))).await;
        assert_eq!(reply.status, 401, "{header}");
        assert!(
            reply.problem().to_lowercase().contains(&format!("the header {header} ")),
            "{}",
            reply.text
        );
    }
    assert!(episodes(&quell).await.is_empty());
    let headers = [("x-forwarded-for", "203.0.113.7")];
    let reply = quell.send("POST", WEBHOOK, &headers, firing(&json!({ "a": "b" }))).await;
    insta::assert_snapshot!(reply.problem(), @"401 /errors/Q0505 credentials needed: without ingest.tokens in quell.yml only this machine may post alerts: the header x-forwarded-for says that a proxy forwarded it; add a token there, and http_config.authorization.credentials to the receiver's webhook_config");
}

#[tokio::test]
async fn content_type_does_not_matter_and_compression_is_refused_in_words() {
    let quell = plain().await;
    let headers = [("content-type", "text/plain")];
    let reply = quell.send("POST", WEBHOOK, &headers, firing(&json!({ "a": "b" }))).await;
    assert_eq!(reply.status, 200);
    let reply = quell.send("POST", WEBHOOK, &[("content-encoding", "gzip")], "x").await;
    insta::assert_snapshot!(reply.problem(), @r#"415 /errors/Q0518 content type not understood: content-encoding "gzip" is not understood: send the body plain"#);
    let reply = quell.webhook("{\"version\":\"4\",\n\"alerts\":[}").await;
    insta::assert_snapshot!(reply.problem(), @"400 /errors/Q0501 not JSON: expected JSON: expected value at line 2 column 11, byte 27 of 27");
}

#[tokio::test]
async fn grafana_and_old_alertmanagers_are_read() {
    let quell = plain().await;
    let grafana = json!({
        "receiver": "quell", "status": "firing", "orgId": 1, "version": "1", "state": "alerting",
        "title": "[FIRING:1]", "message": "x", "groupKey": "{}:{}", "truncatedAlerts": 0,
        "alerts": [
            { "status": "firing", "labels": { "alertname": "Disk", "host": "a" }, "annotations": null,
              "startsAt": "2026-11-21T05:39:00+03:00", "endsAt": "0001-01-01T00:00:00Z",
              "values": { "B": 91.5 }, "dashboardURL": "http://g/d", "silenceURL": "http://g/s" },
            { "status": "resolved", "labels": { "alertname": "Disk", "host": "b" },
              "startsAt": "2026-11-21T02:30:00Z", "endsAt": "2026-11-21T02:35:00Z" },
        ],
    });
    let reply = quell.webhook(grafana.to_string()).await;
    insta::assert_snapshot!(reply.text, @r#"{"accepted":2,"opened":1,"reopened":0,"updated":0,"closed":0,"unchanged":1}"#);
    assert_eq!(episodes(&quell).await[0].starts_at, at("2026-11-21T02:39:00Z"));
    // before 0.19: no fingerprint; before 0.21: no truncatedAlerts
    let old = json!({
        "version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "old",
        "groupLabels": {}, "commonLabels": { "severity": "page" }, "commonAnnotations": {},
        "alerts": [{ "status": "firing", "labels": { "alertname": "Old" }, "annotations": {},
                     "startsAt": "2026-11-21T02:30:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "" }],
    });
    assert_eq!(quell.webhook(old.to_string()).await.json()["opened"], 1);
    let labels = &episodes(&quell).await[0].labels;
    assert!(!labels.has("severity"), "a group's common labels are not the alert's");
}

/// A body that stops half-way must not hold a connection for ever; nothing of it is stored.
#[tokio::test]
async fn a_body_cut_off_half_way_stores_nothing() {
    let quell = plain().await;
    let mut stream = TcpStream::connect(quell.base.trim_start_matches("http://")).await.unwrap();
    let head =
        format!("POST {WEBHOOK} HTTP/1.1\r\nhost: q\r\ncontent-length: 100\r\n\r\n{{\"alerts\":[");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(episodes(&quell).await.is_empty());
}

/// A connection of its own, whose answer is awaited later or never.
struct Sender(TcpStream);

impl Sender {
    async fn to(quell: &Quell) -> Self {
        Self(TcpStream::connect(quell.base.trim_start_matches("http://")).await.unwrap())
    }

    async fn post(mut self, body: &str) -> Self {
        let length = body.len();
        let request = format!(
            "POST {WEBHOOK} HTTP/1.1\r\nhost: q\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.0.write_all(request.as_bytes()).await.unwrap();
        self
    }

    async fn answer(mut self) -> String {
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

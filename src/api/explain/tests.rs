use crate::api::testing::Quell;
use crate::api::testing::config;

#[tokio::test]
async fn an_alert_is_explained_to_whoever_may_read() {
    let quell = Quell::configured(config()).await;
    let asked = r#"{"labels":{"alertname":"A","empty":""},"at":"2026-11-21T03:00:00Z"}"#;
    let reply = quell.send("POST", "/api/v1/explain", &[], asked).await;
    insta::assert_snapshot!(reply.text, @r#"{"labels":{"alertname":"A"},"fingerprint":"d2c6efc389df0927","episode":null,"at":"2026-11-21T03:00:00Z","facts":"assumed","older_files":null,"assumed":["fires for 5m and was heard of just now","no run before it","nothing paused","not silenced"],"slot":null,"rules":[],"windows":[],"judgements":[],"unmatched":[]}"#);
    let since = r#"{"labels":{"alertname":"A"},"since":"1h"}"#;
    let reply = quell.post("/api/v1/explain", since).await;
    assert!(
        reply.json()["assumed"][0].as_str().unwrap().starts_with("fires for 1h"),
        "{}",
        reply.text
    );
    let proxied = [("x-forwarded-for", "192.0.2.1")];
    assert_eq!(quell.send("POST", "/api/v1/explain", &proxied, asked).await.status, 401);
    let page = [("origin", "http://evil.example.com")];
    assert_eq!(quell.send("POST", "/api/v1/explain", &page, asked).await.status, 401);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_what_was_expected() {
    let quell = Quell::configured(config()).await;
    let mut told = Vec::new();
    for body in [
        "{}",
        r#"{"labels":{}}"#,
        r#"{"labels":{"a":"b"},"since":"5"}"#,
        r#"{"labels":{"a":"b"},"sinse":"5m"}"#,
        "{",
        r#"{"schedule":"nightly"}"#,
        r#"{"schedule":"nightly","labels":{"a":"b"}}"#,
    ] {
        told.push(quell.post("/api/v1/explain", body).await.problem());
    }
    for id in ["x-1", "i-0", "12", "e-9", "r-9", "i-9"] {
        told.push(quell.get(&format!("/api/v1/explain/{id}")).await.problem());
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn what_was_decided_is_explained_by_the_id_of_any_part_of_it() {
    let quell = Quell::configured(config()).await;
    quell.awaiting_approval().await;
    for id in ["i-1", "e-1", "r-1"] {
        let reply = quell.get(&format!("/api/v1/explain/{id}")).await;
        let json = reply.json();
        assert_eq!(json["items"][0]["episode"], "e-1", "{id}: {}", reply.text);
        assert_eq!(json["items"][0]["facts"], "stored");
        assert_eq!(json["items"][0]["judgements"][0]["reason"], "it was not judged yet");
    }
}

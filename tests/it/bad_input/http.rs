//! Requests that cannot be taken.

use reqwest::Method;

use crate::bad_input::shown;
use crate::support::quell::Quell;

const WEBHOOK: &str = "/api/v1/webhook/alertmanager";
const CONFIG: &str = "
storage: sqlite:quell.db
ingest:
  max_body: 1KiB
  tokens: [{ name: eu, token: hush-ingest }]
";

/// Posts a body; gives the answer as status, type, detail and headers that matter.
async fn refused(token: &str, body: String) -> String {
    let quell = Quell::start(CONFIG, &[]).await.with_token(token);
    let reply = quell.request(Method::POST, WEBHOOK).body(body).send().await.unwrap();
    let header = |name: &str| reply.headers().get(name).map(|it| it.to_str().unwrap().to_owned());
    let status = reply.status();
    assert_eq!(header("content-type").as_deref(), Some("application/problem+json"));
    let challenge = header("www-authenticate").map_or(String::new(), |it| format!(" ({it})"));
    let problem: serde_json::Value = reply.json().await.unwrap();
    let word = |key: &str| problem[key].as_str().unwrap_or_else(|| panic!("{problem:#}"));
    let text = format!("{status}{challenge}\n{}: {}", word("title"), word("detail"));
    assert!(quell.metric("quell_incidents_open").await.unwrap_or(0.0) < 0.5);
    assert!(!quell.log().contains("hush"), "a credential was logged");
    shown(&quell, &text)
}

#[tokio::test]
async fn a_body_that_is_too_large_names_the_limit_and_its_key() {
    let body =
        format!(r#"{{"version":"4","alerts":[{{"labels":{{"a":"{}"}}}}]}}"#, "x".repeat(2000));
    insta::assert_snapshot!(refused("hush-ingest", body).await, @"
    413 Payload Too Large
    body too large: expected at most 1024 bytes, got 2046; the limit is ingest.max_body in quell.yml
    ");
}

#[tokio::test]
async fn invalid_json_is_placed() {
    let body = "{\n  \"version\": \"4\",\n  \"alerts\": [,]\n}".to_owned();
    insta::assert_snapshot!(refused("hush-ingest", body).await, @"
    400 Bad Request
    not JSON: expected JSON: expected value at line 3 column 14, byte 34 of 37
    ");
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let body = r#"{"version":"4","alerts":[]}"#;
    insta::assert_snapshot!(refused("hush-other", body.to_owned()).await, @r#"
    401 Unauthorized (Bearer realm="quell")
    credentials needed: the credentials are not in ingest.tokens of quell.yml
    "#);
}

#[tokio::test]
async fn a_body_replaced_by_payload_is_recognised() {
    let body = r#"{"text":"HighErrorRate is firing","channel":"oncall"}"#;
    insta::assert_snapshot!(refused("hush-ingest", body.to_owned()).await, @r#"
    422 Unprocessable Entity
    not an Alertmanager webhook body: expected version "4" with an alerts array, got an object with keys text, channel; a `payload:` in the receiver's webhook_config replaces the body: remove it
    "#);
}

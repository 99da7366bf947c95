//! A disk that is full: what cannot be written is not taken, and nothing acts on it.

use std::fs;

use reqwest::Method;
use reqwest::Response;
use serde_json::json;

use crate::bad_input::shown;
use crate::support::quell::Quell;
use crate::support::quell::webhook;
use crate::support::shop::Fault;
use crate::support::shop::Shop;

async fn post(quell: &Quell, alertname: &str, padding: usize) -> Response {
    let labels = json!({ "alertname": alertname, "padding": "x".repeat(padding) });
    let request = quell.request(Method::POST, "/api/v1/webhook/alertmanager");
    request.json(&webhook("firing", &labels)).send().await.unwrap()
}

/// A shop, and quell with a rule that restarts it.
async fn prepared() -> (Shop, Quell) {
    let shop = Shop::start().await;
    shop.inject(Fault::LeakedPool);
    let rules = r#"
rules:
  - name: errors
    match: [alertname="HighErrorRate"]
    target: service/shop
    response: [{ playbook: restart }]
"#;
    let playbook = format!(
        "
playbook: restart
steps:
  - name: restart
    http: {{ method: POST, url: {} }}
",
        shop.url("/restart")
    );
    let files = [("rules/r.yml", rules), ("playbooks/p.yml", playbook.as_str())];
    let quell = Quell::prepare("storage: sqlite:quell.db\nmode: auto", &files);
    (shop, quell)
}

#[tokio::test]
async fn a_log_that_cannot_be_written_stops_nothing() {
    let (shop, mut quell) = prepared().await;
    let limit = 4_000_000;
    quell.write("log", &"x".repeat(limit));
    quell.serve_with_files_up_to(limit as u64).await;
    assert!(post(&quell, "HighErrorRate", 0).await.status().is_success());
    shop.affected(1).await;
    assert!(quell.stop().await.success());
    assert_eq!(quell.log().len(), limit, "something was logged, so nothing was proved");
}

#[tokio::test]
async fn what_cannot_be_written_is_not_taken() {
    let (shop, mut quell) = prepared().await;
    quell.serve().await;
    quell.stop().await;

    // no file may grow beyond what the database has now and a little: its journal is soon full
    let size = fs::metadata(quell.folder().join("quell.db")).unwrap().len();
    quell.serve_with_files_up_to(size + 100_000).await;
    let mut taken = 0;
    let refused = loop {
        let reply = post(&quell, &format!("Filler{taken}"), 10_000).await;
        if !reply.status().is_success() {
            break reply;
        }
        taken += 1;
        assert!(taken < 500, "the disk never filled up");
    };
    assert!(taken > 0, "it was full from the start");
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "5");
    let problem: serde_json::Value = refused.json().await.unwrap();
    insta::assert_snapshot!(shown(&quell, problem["detail"].as_str().unwrap()), @"the disk cannot be written: nothing of this request was kept, send it again");
    // more than fits, whatever room is left; and again, for a failure may leave something behind
    for _ in 0..3 {
        let reply = post(&quell, "HighErrorRate", 1_000_000).await;
        assert_eq!(reply.status(), 503, "it must not seem stored");
    }
    let ready = quell.request(Method::GET, "/health/live").send().await.unwrap();
    assert!(ready.status().is_success(), "a restart would not help: {ready:#?}");
    quell.stop().await;
    assert!(shop.effects().is_empty(), "it acted on what is not on disk");

    // space again: what was taken is there, what was refused is taken when it is sent again
    quell.serve().await;
    let episodes = quell.get("/api/v1/episodes?limit=500").await;
    let stored = episodes["items"].as_array().unwrap_or_else(|| panic!("{episodes:#}")).len();
    assert_eq!(stored, taken, "a 200 was said for what is not there");
    assert!(post(&quell, "HighErrorRate", 1_000_000).await.status().is_success());
    shop.affected(1).await;
}

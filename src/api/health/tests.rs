use std::time::Duration;

use axum::Router;
use axum::routing::get;

use crate::api::State;
use crate::api::edge;
use crate::api::testing::Quell;
use crate::api::testing::at;
use crate::api::testing::config;
use crate::library::Library;
use crate::wake::FailedReload;
use crate::wake::Refused;

async fn plain() -> Quell {
    Quell::configured(config()).await
}

#[tokio::test]
async fn health_says_how_it_is() {
    let quell = plain().await;
    quell.incident().await;
    insta::assert_snapshot!(quell.get("/health").await.text, @r#"{"dead_notifications":0,"draining":false,"open_incidents":1,"paused":false,"reload_failed":null,"rules":0,"status":"ok","store":true,"version":"0.1.0","waiting_alerts":0}"#);
    insta::assert_snapshot!(quell.get("/health/live").await.text, @r#"{"status":"ok"}"#);
    insta::assert_snapshot!(quell.get("/health/ready").await.text, @r#"{"channels_failing":[],"reload_failed":null,"rules":"","status":"ok"}"#);
    insta::assert_snapshot!(quell.get("/version").await.text, @r#"{"rules":"","version":"0.1.0"}"#);
    let head = quell.send("HEAD", "/health/ready", &[], "").await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn a_draining_server_is_alive_and_not_ready() {
    let quell = plain().await;
    assert_eq!(quell.post("/admin/drain", "").await.json()["draining"], true);
    insta::assert_snapshot!(quell.get("/health/ready").await.problem(), @"503 /errors/Q0511 stopping: quell is draining: it takes no alerts, and finishes what it has begun");
    assert_eq!(quell.get("/health/live").await.status, 200);
    let health = quell.get("/health").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &"draining".into()));
}

#[tokio::test]
async fn a_dead_store_is_alive_and_not_ready() {
    let quell = plain().await;
    quell.state.store.close().await;
    insta::assert_snapshot!(quell.get("/health/ready").await.problem(), @"503 /errors/Q0512 could not be stored or read: the store does not answer: the database is closed");
    insta::assert_snapshot!(quell.get("/health").await.text, @r#"{"draining":false,"reload_failed":null,"rules":0,"status":"store does not answer","store":false,"version":"0.1.0","waiting_alerts":0}"#);
    assert_eq!(quell.get("/health/live").await.status, 200);
    let page = quell.get("/metrics").await;
    assert_eq!(page.status, 200, "the page that tells of trouble does not fail with it");
    assert!(page.text.contains("quell_store_errors_total 1\n"), "{}", page.text);
}

/// Status and count of each series, in order.
fn open_incidents(page: &str) -> Vec<String> {
    let series = page.lines().filter_map(|line| line.strip_prefix("quell_incidents_open{"));
    let mut shown: Vec<String> =
        series.map(|it| it.split_once("=\"").unwrap().1.replacen("\"}", "", 1)).collect();
    shown.sort();
    shown
}

#[tokio::test]
async fn metrics_are_filled_when_scraped() {
    let quell = plain().await;
    quell.incident().await;
    quell.post("/api/v1/pause", r#"{"scope":"all"}"#).await;
    let page = quell.get("/metrics").await;
    assert_eq!(
        page.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    for line in [
        "quell_outbox{kind=\"pending\"} 1",
        "quell_outbox{kind=\"dead\"} 0",
        "quell_paused 1",
        "quell_waiting_alerts 0",
    ] {
        assert!(page.text.lines().any(|it| it == line), "{line}\n{}", page.text);
    }
    assert_eq!(open_incidents(&page.text), ["acknowledged 0", "open 1"]);
    assert!(page.text.ends_with("# EOF\n"));
    quell.post("/api/v1/incidents/i-1/ack", "").await;
    let page = quell.get("/metrics").await.text;
    assert_eq!(open_incidents(&page), ["acknowledged 1", "open 0"], "back to zero");
}

#[tokio::test]
async fn a_reload_answers_with_what_is_in_force_or_why_nothing_changed() {
    let mut quell = plain().await;
    let mut requests = std::mem::replace(&mut quell.reloads, tokio::sync::mpsc::channel(1).1);
    let loader = async {
        requests.recv().await.unwrap().send(Ok("41 rules, 17 playbooks".into())).unwrap();
        let words = "error[Q0104]: unknown key `cooldwn`\n  rules/api.yml:27:7".to_owned();
        let diagnostics = serde_json::json!([{ "code": "Q0104", "file": "rules/api.yml" }]);
        requests.recv().await.unwrap().send(Err(Refused { words, diagnostics })).unwrap();
        drop(requests);
    };
    let asker = async {
        let good = quell.post("/-/reload", "").await;
        let bad = quell.send("POST", "/-/reload", &[], "").await;
        (good, bad)
    };
    let ((), (good, bad)) = tokio::join!(loader, asker);
    insta::assert_snapshot!(good.text, @r#"{"reloaded":"41 rules, 17 playbooks"}"#);
    insta::assert_snapshot!(bad.problem(), @"
    409 /errors/Q0516 reload failed: error[Q0104]: unknown key `cooldwn`
      rules/api.yml:27:7
    ");
    assert_eq!(bad.json()["diagnostics"][0]["code"], "Q0104");
    insta::assert_snapshot!(quell.post("/-/reload", "").await.problem(), @"503 /errors/Q0511 stopping: quell is stopping: nothing was loaded");
}

#[tokio::test]
async fn a_reload_that_failed_shows_and_the_server_stays_ready() {
    let quell = plain().await;
    let failed = FailedReload {
        since: at("2026-11-21T02:30:00Z"),
        digest: "d16e57".into(),
        errors: 2,
        first: "rules/api.yml:27:7: Q0104: unknown key `cooldwn`".into(),
    };
    quell.state.wake.failed_reload.store(Some(std::sync::Arc::new(failed)));
    let ready = quell.get("/health/ready").await;
    assert_eq!(ready.status, 200);
    insta::assert_snapshot!(ready.text, @r#"{"channels_failing":[],"reload_failed":{"digest":"d16e57","errors":2,"first":"rules/api.yml:27:7: Q0104: unknown key `cooldwn`","since":"2026-11-21T02:30:00Z"},"rules":"","status":"ok"}"#);
}

/// Given channels, when each of them fails, then readiness says that nobody can be told, and alerts are taken all the same.
#[tokio::test]
async fn g18_a_server_whose_channels_all_fail_says_so_and_stays_ready() {
    let mut config = config();
    config.channels.retain(|name, _| name == "slack");
    let quell = Quell::configured(config).await;
    let incident = quell.incident().await;
    let mut notice = crate::decide::tell::refused(&incident, "a test", at("2026-11-21T02:30:00Z"));
    notice.labels = crate::model::labels::Labels::default();
    let owed = |recipient: &str| crate::model::incident::Owed {
        channel: "slack".into(),
        recipient: recipient.into(),
        notice: notice.clone(),
    };
    let ready = async || quell.get("/health/ready").await;
    assert_eq!(ready().await.json()["status"], "ok");
    quell.state.store.tell(vec![owed("")]).await.unwrap();
    let lease = Duration::from_mins(1);
    while let Some(it) = quell.state.store.claim_notification(lease).await.unwrap() {
        quell.state.store.notification_dead(&it, "answered 404", Vec::new()).await.unwrap();
    }
    let ready = ready().await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["status"], "nobody can be told: every channel fails");
    let failing = &ready.json()["channels_failing"][0];
    assert_eq!(
        (&failing["channel"], &failing["reason"]),
        (&"slack".into(), &"answered 404".into())
    );
}

async fn explode() {
    panic!("the words of a bug");
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_the_server_goes_on() {
    let routes = |state: State| {
        edge::around(Router::new().route("/explode", get(explode)).with_state(state))
    };
    let quell = Quell::with(Library::default(), routes).await;
    for _ in 0..2 {
        let reply = quell.get("/explode").await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(reply.problem(), @"500 /errors/Q0500 internal error: internal error; the log says more under this request id");
        }
    }
}

//! `quell explain` says what the engine decides, and the same afterwards.

use serde_json::Value;
use serde_json::json;

use crate::journeys::fixture::Site;
use crate::journeys::fixture::decided;
use crate::journeys::fixture::delivery;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;

const LABELS: [&str; 6] =
    ["-l", "alertname=HighErrorRate", "-l", "service=shop", "-l", "severity=critical"];

/// What the running server says of the shop's alert now.
async fn asked(site: &Site) -> Value {
    let url = site.quell.url("");
    let arguments = [&["explain", "--server", &url, "--json"][..], &LABELS].concat();
    let json = site.quell.cli(&arguments).await.json();
    assert_eq!(json[0]["facts"], "live", "{json:#}");
    json[0].clone()
}

/// Verdict, reason, and the verdict of every guard.
fn verdicts(of: &Value) -> (Value, Value, Vec<(Value, Value)>) {
    let rulings = of["rulings"].as_array().into_iter().flatten();
    let rulings = rulings.map(|it| (it["guard"].clone(), it["verdict"]["is"].clone())).collect();
    (of["verdict"]["is"].clone(), of["reason"].clone(), rulings)
}

fn agrees(explained: &Value, whole: &Value) {
    let (explained, decision) = (&explained["judgements"][0], &whole["decisions"][0]);
    assert!(!decision["rulings"].as_array().unwrap().is_empty(), "{whole:#}");
    assert_eq!(verdicts(explained), verdicts(decision));
}

#[tokio::test]
async fn of_an_alert_that_proceeds_before_while_and_after_it_is_remedied() {
    let mut site = Site::new().await;
    site.serve().await;
    site.shop.poison_cache().await;
    let before = asked(&site).await;
    assert_eq!(before["assumed"], json!(["it fires, for 5m"]), "{before:#}");
    let remedy = &before["judgements"][0]["remedies"][0];
    assert_eq!(remedy["steps"][0]["call"]["arguments"]["server"], "cache", "{before:#}");
    assert_eq!(site.redis.executed("FLUSHDB").await, 0, "explaining does nothing");
    assert_eq!(site.incident(1).await, Value::Null, "explaining writes nothing");

    site.posts("firing").await;
    let whole = site.until("mended", |it| runs(it) == ran(&[("flush-cache", "fixed")])).await;
    agrees(&before, &whole);
    let after = asked(&site).await;
    let judgement = &after["judgements"][0];
    assert_eq!((&after["episode"], &judgement["verdict"]), (&json!("e-1"), &Value::Null));
    let reason = judgement["reason"].as_str().unwrap();
    assert!(reason.starts_with("flush-cache is verified; the alert has until"), "{reason}");

    // the same words of what was decided, from the server and without one
    let url = site.quell.url("");
    for id in ["i-1", "e-1", "r-1"] {
        let served = site.quell.cli(&["explain", id, "--server", &url]).await;
        assert_eq!(served.code, 0, "{served:?}");
        for text in
            ["proceed: 13 of 13 guards proceed", "run r-1", "planned: remedy 1 of 1, flush-cache"]
        {
            assert!(served.out.contains(text), "{id}: {text}\n{}", served.out);
        }
        let read = site.quell.cli(&["explain", id]).await;
        assert_eq!(read.out, served.out);
    }
    assert!(site.quell.stop().await.success());
    let read = site.quell.cli(&["explain", "r-1"]).await;
    assert!(read.out.contains("proceed: 13 of 13 guards proceed"), "{read:?}");
    let missing = site.quell.cli(&["explain", "r-9"]).await;
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.err.contains("there is no run r-9"), "{missing:?}");
}

#[tokio::test]
async fn of_an_alert_that_is_held() {
    let mut site = Site::new().await;
    site.rule()["limits"] = json!({ "settle": "1h" });
    site.serve().await;
    site.shop.poison_cache().await;
    let said = site.quell.cli(&[&["send"][..], &LABELS].concat()).await;
    assert!(
        said.out.contains("hold until ") && said.out.contains("settle: firing for"),
        "{said:?}"
    );
    let whole = site.until("it settles", |it| decided(it).0 == "hold").await;
    let explained = asked(&site).await;
    let (verdict, _, guards) = verdicts(&explained["judgements"][0]);
    let (stored, _, stored_guards) = verdicts(&whole["decisions"][0]);
    assert_eq!((verdict, guards), (stored, stored_guards));
    let until = |of: &Value| of["verdict"]["until"].clone();
    assert_eq!(until(&explained["judgements"][0]), until(&whole["decisions"][0]));

    // once the hour has passed, nothing is against it
    let url = site.quell.url("");
    let later = [&["explain", "--server", &url, "--json", "--at", "+2h"][..], &LABELS].concat();
    let later = site.quell.cli(&later).await.json();
    assert_eq!(later[0]["judgements"][0]["verdict"]["is"], "proceed", "{later:#}");
    assert_eq!(later[0]["assumed"], json!(["nothing happens between now and then"]));
}

#[tokio::test]
async fn of_an_alert_that_is_refused() {
    let mut site = Site::new().await;
    site.serve().await;
    site.shop.poison_cache().await;
    let now = quell::clock::Clock::System.now().to_string();
    let mut body = delivery("firing", "shop", &now);
    body["truncatedAlerts"] = json!(3);
    site.quell.post("/api/v1/webhook/alertmanager", &body).await;
    let whole = site.until("it is refused", |it| decided(it).0 == "refuse").await;
    agrees(&asked(&site).await, &whole);
    let url = site.quell.url("");
    let said = site.quell.cli(&[&["explain", "--server", &url][..], &LABELS].concat()).await;
    assert!(said.out.contains("refuse: evidence: the sender left 3 alerts out"), "{}", said.out);
    assert!(said.out.contains("max_alerts in the Alertmanager"), "{}", said.out);
}

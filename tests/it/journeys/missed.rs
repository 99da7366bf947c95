//! What Alertmanager's webhook never tells (`protocols.md §1`, Lost): found by asking the real Alertmanager and Prometheus.

use jiff::SignedDuration;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::prometheus_rules;
use crate::support::alertmanager::Alertmanager;
use crate::support::prometheus::Watch;
use crate::support::wait;

/// A site that only plans, and looks each second.
async fn site() -> Site {
    let mut site = Site::new().await.with_alertmanager().await;
    site.config["mode"] = json!("observe");
    site.config["alertmanager"]["reconcile"] =
        json!({ "every": "1s", "missed_after": "0s", "settled_after": "0s" });
    site
}

fn labels() -> Value {
    json!({ "alertname": "HighErrorRate", "service": "shop", "severity": "critical" })
}

/// As Prometheus posts it: firing for a minute, or over.
fn alert(firing: bool) -> Value {
    let now = quell::clock::Clock::System.now();
    let ends = now + SignedDuration::from_secs(if firing { 60 } else { -1 });
    json!([{ "labels": labels(), "startsAt": now - SignedDuration::from_millis(if firing { 0 } else { 5000 }),
        "endsAt": ends }])
}

/// Waits until Alertmanager was asked so many times more.
async fn looks(site: &Site, more: f64) {
    let series = "quell_reconciliations_total{result=\"looked\"}";
    let before = site.quell.metric(series).await.unwrap_or_default();
    wait::until("it looks", wait::PATIENCE, async || {
        let now = site.quell.metric(series).await.unwrap_or_default();
        if now >= before + more { Ok(()) } else { Err(now) }
    })
    .await;
}

/// The open episodes, but those about quell itself.
async fn open(site: &Site) -> Vec<Value> {
    let page = site.quell.get("/api/v1/episodes").await;
    let all = page["items"].as_array().unwrap();
    let of_site = |it: &&Value| it["open"] == true && it["source"] == "local";
    all.iter().filter(of_site).cloned().collect()
}

#[tokio::test]
async fn an_end_under_a_silence_closes_and_what_fires_after_it_opens_although_no_webhook_comes() {
    let mut site = site().await;
    site.serve().await;
    site.alertmanager().post(&alert(true)).await;
    site.until_of_shop(1, "open").await;
    let silence = site.alertmanager().silence(&[("service", "shop")]).await;
    looks(&site, 3.0).await;
    assert_eq!(open(&site).await.len(), 1, "what is silenced goes on");

    site.alertmanager().post(&alert(false)).await;
    let whole = site.until_of_shop(1, "resolved").await;
    let words = whole["found"][0]["words"].as_str().unwrap();
    assert!(
        words.starts_with("found over by reconciliation: no webhook told of its end"),
        "{words}"
    );
    site.told(SLACK, "found over by reconciliation").await;

    // refires within repeat_interval: Alertmanager believes that quell knows
    site.alertmanager().unsilence(&silence).await;
    site.alertmanager().post(&alert(true)).await;
    let whole = site.until_of_shop(2, "open").await;
    let words = whole["found"][0]["words"].as_str().unwrap_or_else(|| panic!("{whole:#}"));
    assert!(
        words.starts_with(
            "found by reconciliation: Alertmanager lists it as active for the receiver quell since"
        ),
        "{words}"
    );
    assert_eq!(whole["episodes"][0]["source"], "local", "as if the webhook had come");
    let id = whole["episodes"][0]["id"].as_str().unwrap();
    let incident = whole["incident"]["id"].as_str().unwrap();
    for command in [["explain", id], ["incidents", incident]] {
        let said = site.quell.cli(&command).await;
        let said = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("and no webhook told of it"), "{command:?}: {said}");
    }
}

#[tokio::test]
async fn an_alert_is_opened_only_when_alertmanager_would_send_it_to_quell() {
    let mut site = site().await;
    site.config["alertmanager"]["receiver"] = json!("quell");
    // Alertmanager posts to nobody: whatever opens was found
    let nobody = json!({
        "route": { "receiver": "quell", "group_wait": "0s", "routes": [
            { "receiver": "mail", "matchers": ["team=\"other\""] },
        ] },
        "receivers": [{ "name": "quell" }, { "name": "mail" }],
        "inhibit_rules": [{ "source_matchers": ["alertname=\"Down\""], "target_matchers": ["of=\"down\""] }],
    });
    let elsewhere = Alertmanager::start(&nobody.to_string()).await;
    site.config["alertmanager"]["url"] = json!(elsewhere.url(""));
    elsewhere.silence(&[("service", "silenced")]).await;
    let now = quell::clock::Clock::System.now();
    let of =
        |labels: Value| json!({ "labels": labels, "startsAt": now - SignedDuration::from_mins(1) });
    elsewhere
        .post(&json!([
            of(json!({ "alertname": "Down", "service": "here" })),
            of(json!({ "alertname": "A", "service": "silenced" })),
            of(json!({ "alertname": "A", "service": "inhibited", "of": "down" })),
            of(json!({ "alertname": "A", "service": "elsewhere", "team": "other" })),
        ]))
        .await;
    site.serve().await;
    wait::until("it is found", wait::PATIENCE, async || {
        if open(&site).await.is_empty() { Err(site.quell.log()) } else { Ok(()) }
    })
    .await;
    looks(&site, 3.0).await;
    let found = open(&site).await;
    let services: Vec<_> = found.iter().map(|it| &it["labels"]["service"]).collect();
    assert_eq!(services, ["here"]);
    let said = site.quell.cli(&["send", "-l", "alertname=Test"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    looks(&site, 4.0).await;
    assert_eq!(open(&site).await.len(), 2, "what a person sent is theirs to end");
}

#[tokio::test]
async fn an_end_in_downtime_closes_when_alertmanager_can_know_and_prometheus_agrees() {
    let mut site = site().await.with_prometheus().await;
    site.config["alertmanager"]["reconcile"]["settled_after"] = json!("3s");
    site.serve().await;
    site.shop.poison_cache().await;
    site.until_of_shop(1, "open").await;
    assert!(site.quell.stop().await.success());
    // Alertmanager forgets its alerts, and nobody tells it again
    let lonely = Watch {
        targets: vec![("shop", site.shop.address())],
        rules: prometheus_rules(),
        alertmanager: None,
        ..Watch::default()
    };
    site.prometheus().reload(&lonely).await;
    site.alertmanager().stop().await;
    site.alertmanager().start_again().await;
    site.quell.serve().await;
    site.until_logged("and may not know all alerts yet", 1).await;
    assert_eq!(open(&site).await.len(), 1);
    // it has been up for long enough, and lists nothing; but it fires
    wait::until("it is seen that it fires", wait::PATIENCE, async || {
        let unlisted = site.quell.metric("quell_alerts_unlisted").await;
        if unlisted == Some(1.0) { Ok(()) } else { Err(unlisted) }
    })
    .await;
    looks(&site, 6.0).await;
    assert_eq!(open(&site).await.len(), 1, "{}", site.quell.log());

    let mut redis = site.redis.connect().await;
    redis::cmd("FLUSHDB").query_async::<()>(&mut redis).await.unwrap();
    let whole = site.until_of_shop(1, "resolved").await;
    let words = whole["found"][0]["words"].as_str().unwrap();
    assert!(words.contains("and Prometheus does not fire it"), "{words}");
    let reply = site
        .quell
        .request(
            Method::GET,
            &format!("/api/v1/explain/{}", whole["incident"]["id"].as_str().unwrap()),
        )
        .send()
        .await
        .unwrap();
    let explained: Value = reply.json().await.unwrap();
    assert!(
        explained["items"][0]["found"][0].as_str().unwrap().contains("found over"),
        "{explained:#}"
    );
}

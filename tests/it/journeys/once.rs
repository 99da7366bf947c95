//! One alert gives one run, and each step one effect, however often and however crookedly the alert is told.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tokio::task::JoinSet;

use crate::journeys::fixture::STARTED;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::delivery;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::http;
use crate::support::shop::Fault;
use crate::support::wait;

#[tokio::test]
async fn repeats_replicas_and_restarts_of_alertmanager_change_nothing() {
    let mut site = Site::new().await.with_alertmanager().await;
    site.respond_with(&["restart"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.shop.gate().shut();
    let labels = json!({ "alertname": "HighErrorRate", "service": "shop", "severity": "critical" });
    let alert = json!([{ "labels": labels, "startsAt": STARTED }]);
    site.alertmanager().post(&alert).await;
    site.shop.affected(1).await;

    // while the only step is in flight
    let mut posts = JoinSet::new();
    for _ in 0..20 {
        let request = http::client().post(site.quell.webhook());
        let request = request.json(&delivery("firing", "shop", STARTED));
        posts.spawn(async move { http::json(request).await });
    }
    for answer in posts.join_all().await {
        assert_eq!((&answer["accepted"], &answer["opened"]), (&json!(1), &json!(0)), "{answer}");
    }
    for _ in 0..20 {
        site.posts("firing").await;
    }
    // another Prometheus saw it two seconds later
    let later = delivery("firing", "shop", "2026-01-05T10:00:02.000Z");
    let answer: Value = site.quell.post("/api/v1/webhook/alertmanager", &later).await;
    assert_eq!(answer["opened"], 0, "{answer}");
    site.alertmanager().stop().await;
    site.alertmanager().start_again().await;
    site.alertmanager().post(&alert).await;
    assert_eq!(site.shop.effects().len(), 1);

    site.shop.gate().open();
    let whole = site.until("it is mended", |it| runs(it) == ran(&[("restart", "fixed")])).await;
    assert_eq!(whole["episodes"].as_array().unwrap().len(), 1, "{whole:#}");
    // and after it
    for starts_at in [STARTED, "2026-01-05T10:00:02.000Z"] {
        site.quell
            .post("/api/v1/webhook/alertmanager", &delivery("firing", "shop", starts_at))
            .await;
    }
    site.posts("resolved").await;
    let whole = site.until_it_is("resolved").await;
    assert_eq!(runs(&whole), ran(&[("restart", "fixed")]));
    assert_eq!(site.shop.effects().len(), 1);
    assert!(site.incident(2).await.is_null());
}

#[tokio::test]
async fn an_alert_that_fired_while_quell_was_down_is_handled_after_the_start() {
    let mut site = Site::new().await.with_alertmanager().await;
    site.shop.poison_cache().await;
    let labels = json!({ "alertname": "HighErrorRate", "service": "shop", "severity": "critical" });
    site.alertmanager().post(&json!([{ "labels": labels }])).await;
    let metrics = site.alertmanager().url("/metrics");
    wait::until("Alertmanager has tried in vain", wait::PATIENCE, async || {
        let text = http::client().get(&metrics).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find(|it| {
            it.starts_with(
                "alertmanager_notification_requests_failed_total{integration=\"webhook\"",
            )
        });
        let failed = line.and_then(|it| it.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0);
        if failed > 0.0 { Ok(()) } else { Err(text.len()) }
    })
    .await;
    site.serve().await;
    let what = "it is mended";
    wait::until(what, Duration::from_mins(1), async || {
        let whole = site.incident(1).await;
        if runs(&whole) == ran(&[("flush-cache", "fixed")]) { Ok(()) } else { Err(whole) }
    })
    .await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 1);
}

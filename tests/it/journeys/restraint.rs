//! What quell does not do: act on a silenced alert, without evidence, or without leave.

use std::time::Duration;

use serde_json::json;

use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::STARTED;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::decided;
use crate::journeys::fixture::delivery;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::shop::Fault;
use crate::support::wait;

#[tokio::test]
async fn an_alert_silenced_while_it_settles_is_left_alone() {
    let mut site = Site::new().await.with_alertmanager().await;
    site.rule()["limits"] = json!({ "settle": "3s" });
    site.serve().await;
    site.shop.poison_cache().await;
    let labels = json!({ "alertname": "HighErrorRate", "service": "shop", "severity": "critical" });
    site.alertmanager().post(&json!([{ "labels": labels }])).await;
    site.until("it settles", |it| decided(it).1.starts_with("settle: ")).await;
    let id = site.alertmanager().silence(&[("service", "shop")]).await;

    let whole = site.until("it is refused", |it| decided(it).0 == "refuse").await;
    let (_, reason) = decided(&whole);
    assert_eq!(reason, format!("silence: silenced in Alertmanager ({id})"));
    assert_eq!(runs(&whole), []);
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
}

#[tokio::test]
async fn a_silence_between_two_steps_stops_the_run_also_while_something_else_is_paused() {
    let mut site = Site::new().await.with_alertmanager().await;
    site.respond_with(&["drip"]);
    site.serve().await;
    let paused = site.quell.cli(&["pause", "rule:another"]).await;
    assert_eq!(paused.code, 0, "{paused:?}");
    site.shop.inject(Fault::Unfixable);
    site.shop.gate().shut();
    let labels = json!({ "alertname": "HighErrorRate", "service": "shop", "severity": "critical" });
    site.alertmanager().post(&json!([{ "labels": labels }])).await;
    site.shop.affected(1).await;
    site.alertmanager().silence(&[("service", "shop")]).await;
    site.shop.gate().open();

    let whole = site.until("it is stopped", |it| runs(it) == ran(&[("drip", "cancelled")])).await;
    let outcome = whole["runs"][0]["outcome"].as_str().unwrap();
    assert!(outcome.contains("silence: silenced in Alertmanager"), "{outcome}");
    assert_eq!(site.shop.effects().len(), 1);
}

#[tokio::test]
async fn without_prometheus_nothing_acts_until_it_is_back_and_a_person_is_told() {
    let mut site = Site::new().await.with_prometheus().await;
    site.serve().await;
    site.prometheus().stop().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;

    site.told(SLACK, "quell does not act: evidence: the precheck is unknown").await;
    let whole = site.incident(1).await;
    assert_eq!((decided(&whole).0, runs(&whole)), ("hold", vec![]), "{whole:#}");
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);

    site.prometheus().start_again().await;
    wait::until("it acts", Duration::from_mins(1), async || {
        let whole = site.incident(1).await;
        if runs(&whole) == ran(&[("flush-cache", "fixed")]) { Ok(()) } else { Err(whole) }
    })
    .await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 1);
}

#[tokio::test]
async fn a_remedy_that_nobody_can_judge_is_given_to_people_and_not_followed_by_the_next() {
    let mut site = Site::new().await.with_prometheus().await;
    site.respond_with(&["restart", "flush-cache"]);
    site.rule()["verify"]["within"] = json!("3s");
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    let prometheus = site.prometheus();
    wait::until("Prometheus sees it", wait::PATIENCE, async || {
        let firing = prometheus.query(r#"ALERTS{alertstate="firing"}"#).await;
        if firing.is_empty() { Err(firing) } else { Ok(()) }
    })
    .await;
    site.shop.gate().shut();
    site.posts("firing").await;
    site.shop.affected(1).await;
    site.prometheus().stop().await;
    site.shop.gate().open();

    let whole = site.until("people are needed", |it| it["incident"]["escalated"] == true).await;
    assert_eq!(runs(&whole), ran(&[("restart", "failed")]));
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
    site.told(SLACK, "ended without anybody knowing whether it helped").await;
}

/// It is judged again when a run ends, not when the time comes that the hold names for lack of a better.
#[tokio::test]
async fn what_waits_for_its_turn_has_it_when_a_run_ends() {
    let mut site = Site::new().await;
    site.respond_with(&["restart"]);
    site.config["limits"]["concurrent"] = json!(1);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.shop.gate().shut();
    site.posts("firing").await;
    site.shop.affected(1).await;
    let other = delivery("firing", "cart", STARTED);
    site.quell.post("/api/v1/webhook/alertmanager", &other).await;
    let whole = wait::until("it waits", wait::PATIENCE, async || {
        let whole = site.of_shop(2).await;
        if decided(&whole).1.starts_with("at once: ") { Ok(whole) } else { Err(whole) }
    })
    .await;
    let until = whole["decisions"][0]["verdict"]["until"].as_str().unwrap().to_owned();
    site.shop.gate().open();

    let again = wait::until("it is judged again", wait::PATIENCE, async || {
        let whole = site.of_shop(2).await;
        if decided(&whole).1.starts_with("at once: ") { Err(whole) } else { Ok(whole) }
    })
    .await;
    // the run has helped the shop meanwhile
    assert!(
        decided(&again).1.starts_with("evidence: the precheck is already healthy"),
        "{again:#}"
    );
    let judged = again["decisions"][0]["at"].as_str().unwrap();
    assert!(judged < until.as_str(), "judged at {judged}, held until {until}");
}

#[tokio::test]
async fn mode_observe_plans_and_tells_and_never_acts() {
    let mut site = Site::new().await;
    site.config["mode"] = json!("observe");
    site.serve().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;

    let whole =
        site.until("it is planned", |it| runs(it) == ran(&[("flush-cache", "observed")])).await;
    site.told(SLACK, "mode observe: it would have run").await;
    assert_eq!(decided(&whole).0, "proceed");
    site.posts("resolved").await;
    let whole = site.until_it_is("resolved").await;
    assert_eq!(runs(&whole).len(), 1);
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
}

#[tokio::test]
async fn a_check_that_cannot_see_is_told_and_triggers_no_remedy() {
    let mut site = Site::new().await;
    // a rule as broad as this would flush the cache for every alert
    site.rule()["match"] = json!(["alertname!=\"\""]);
    site.rule()["target"] = json!("process/shop");
    site.rule().as_object_mut().unwrap().remove("verify");
    site.rules["checks"] = json!([{
        "name": "shop-answers", "cron": "* * * * * *", "timezone": "UTC", "consecutive": 2, "unknown": "alert",
        "probe": {
            "scrape": { "url": "http://127.0.0.1:1/metrics", "select": "shop_error_ratio" },
            "healthy": "value < 0.05",
        },
        "labels": { "alertname": "ShopIsIll", "severity": "critical" },
    }]);
    site.serve().await;

    let whole = site.until("it is judged", |it| !decided(it).0.is_empty()).await;
    assert_eq!(whole["incident"]["labels"]["alertname"], "QuellCheckUnknown", "{whole:#}");
    assert_eq!(decided(&whole).0, "refuse", "{:?}", decided(&whole));
    site.told(SLACK, "check shop-answers: unknown 2 times in a row").await;
    assert_eq!(runs(&whole), []);
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
}

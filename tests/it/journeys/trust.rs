//! How far a rule is trusted, and what people change by hand.

use reqwest::Method;
use serde_json::Value;
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

/// The alerts that quell raises of itself and that are open.
async fn own_alerts(site: &Site) -> Vec<Value> {
    let open = site.quell.get("/api/v1/episodes?open=true").await;
    let items = open["items"].as_array().unwrap().clone();
    items.into_iter().filter(|it| it["source"] == "quell:trust").collect()
}

async fn until_own_alerts(site: &Site, count: usize) -> Vec<Value> {
    wait::until(&format!("{count} alerts of quell's own"), wait::PATIENCE, async || {
        let open = own_alerts(site).await;
        if open.len() == count { Ok(open) } else { Err(open) }
    })
    .await
}

#[tokio::test]
async fn a_rule_that_does_not_help_is_trusted_less_until_a_person_promotes_it() {
    let mut site = Site::new().await;
    site.config["limits"]["demote_after"] = json!("1 per 1d");
    site.config["unmatched"] = json!(["slack"]);
    site.respond_with(&["flush-cache"]);
    site.serve().await;
    // flushing the cache does not mend a leaked pool
    site.shop.inject(Fault::LeakedPool);
    site.posts("firing").await;
    site.until_run(1, "failed").await;
    site.told(SLACK, "rule shop-errors is trusted less: mode approve").await;
    let open = until_own_alerts(&site, 1).await;
    assert_eq!(open[0]["labels"]["alertname"], "QuellRuleDemoted");
    assert_eq!(open[0]["labels"]["rule"], "shop-errors");
    site.told(SLACK, "is firing; it is about quell itself: a person must look").await;

    // it holds over a restart, and for other targets of the rule
    site.quell.restart().await;
    let other = delivery("firing", "stock", STARTED);
    site.quell.post("/api/v1/webhook/alertmanager", &other).await;
    let whole = site.until_run(2, "awaiting approval").await;
    assert_eq!(whole["plan"]["mode"], "approve");
    let rules = site.quell.cli(&["rules"]).await;
    assert!(rules.out.contains("demoted: quell promote shop-errors"), "{rules:?}");
    assert!(rules.out.contains("1 of 1 runs in the last 1d did not help"), "{rules:?}");
    let listed = site.quell.get("/api/v1/rules").await;
    let shown = &listed["items"][0];
    assert_eq!((&shown["may"], &shown["mode"]), (&json!("approve"), &json!("auto")));
    assert_eq!(shown["evidence"]["failed"], 1, "{shown:#}");

    for (arguments, code, words) in [
        (["promote", "shop-errors", "--by", "eve", "--reason", "r"], 1, "`eve` is no operator"),
        (["promote", "web", "--by", "dana", "--reason", "r"], 1, "there is no rule web"),
        (["promote", "shop-errors", "--by", "dana", "--reason", " "], 1, "needs a reason"),
        (["promote", "shop-errors", "--by", "dana", "--reason", "mended"], 0, "may act again"),
        (["promote", "shop-errors", "--by", "dana", "--reason", "r"], 1, "is not demoted"),
    ] {
        let said = site.quell.cli(&arguments).await;
        assert_eq!(said.code, code, "{said:?}");
        assert!(said.out.contains(words) || said.err.contains(words), "{words}: {said:?}");
    }
    until_own_alerts(&site, 0).await;
    let third = delivery("firing", "cart", STARTED);
    site.quell.post("/api/v1/webhook/alertmanager", &third).await;
    site.until_run(3, "failed").await;
    until_own_alerts(&site, 1).await;
}

#[tokio::test]
async fn what_somebody_changed_is_only_proposed() {
    let mut site = Site::new().await;
    site.config["ingest"] = json!({ "tokens": [{ "name": "ci", "token": "hush-ci-0123456789" }] });
    site.serve().await;
    // as a deploy pipeline tells of it
    let told = json!({ "target": "process", "reason": "deploy 41", "by": "kim" });
    let request = site.quell.request(Method::POST, "/api/v1/changes").json(&told);
    let reply = request.bearer_auth("hush-ci-0123456789").send().await.unwrap();
    assert_eq!(reply.status(), 200, "{}", reply.text().await.unwrap());
    let listed = site.quell.cli(&["changes"]).await;
    assert!(listed.out.contains("kim (says ci)") && listed.out.contains("deploy 41"), "{listed:?}");

    site.shop.poison_cache().await;
    let firing = delivery("firing", "shop", STARTED);
    let request = site.quell.request(Method::POST, "/api/v1/webhook/alertmanager").json(&firing);
    let reply = request.bearer_auth("hush-ci-0123456789").send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let whole = site.until_run(1, "awaiting approval").await;
    let incident = site.incident(1).await;
    let (verdict, reason) = decided(&incident);
    assert_eq!(verdict, "ask", "{incident:#}");
    assert!(reason.contains("people: kim (says ci) changed the target at"), "{reason}");
    assert!(reason.contains("(process: deploy 41): it is only proposed"), "{reason}");
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
    let digest = &whole["run"]["digest"].as_str().unwrap()[..8];
    let said = site.quell.cli(&["approve", "r-1", "--by", "dana", "--digest", digest]).await;
    assert_eq!(said.code, 0, "{said:?}");
    site.until("it helped", |it| runs(it) == ran(&[("flush-cache", "fixed")])).await;
}

#[tokio::test]
async fn on_the_command_line_somebody_tells_of_a_change_of_one_target_only() {
    let mut site = Site::new().await;
    site.serve().await;
    let said =
        site.quell.cli(&["changed", "process/shop", "--by", "dana", "--reason", "by hand"]).await;
    assert_eq!((said.code, said.out.as_str()), (0, "process/shop: changed by dana\n"));
    let said = site.quell.cli(&["changed", "process//shop"]).await;
    assert!(said.code == 1 && said.err.contains("is no target"), "{said:?}");
    site.shop.poison_cache().await;
    site.posts("firing").await;
    site.until_run(1, "awaiting approval").await;
    let other = delivery("firing", "stock", STARTED);
    site.quell.post("/api/v1/webhook/alertmanager", &other).await;
    site.until_run(2, "fixed").await;
}

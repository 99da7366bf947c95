//! How a response unfolds when things change under way: steps that fail, fixes that do not hold, alerts that come back.

use std::time::Duration;

use serde_json::json;

use crate::journeys::fixture::BOSS;
use crate::journeys::fixture::PAGER;
use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::STARTED;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::decided;
use crate::journeys::fixture::delivery;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::quell::step_of;
use crate::support::recorder::Answer;
use crate::support::shop::Fault;
use crate::support::wait;

/// A playbook of one request to the recorder, tried twice more.
const CALL: &str = "playbook: call\nsteps:\n  - name: call\n    \
                    http: { server: helper, method: POST, url: /call }\n    \
                    retry: { times: 2, backoff: 100ms }\n    timeout: 2s\n";

async fn calling() -> Site {
    let mut site = Site::new().await;
    site.quell.write("playbooks/call.yml", CALL);
    site.config["targets"]["http"]["helper"] = json!({ "url": site.people.url("") });
    site.respond_with(&["call"]);
    site
}

#[tokio::test]
async fn a_step_that_fails_is_tried_again_under_the_same_key() {
    let mut site = calling().await;
    site.people.next("/call", Answer::status(503));
    site.people.next("/call", Answer::status(503));
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let requests = site.people.received("/call", 3).await;
    site.shop.inject(Fault::None);
    site.until_run(1, "fixed").await;
    let keys: Vec<_> = requests.iter().map(|it| step_of(it.header("idempotency-key"))).collect();
    assert_eq!(keys, ["r-1/1"; 3]);
    let whole = requests[0].header("idempotency-key");
    assert_eq!(whole.len(), "5f1c09ae/r-1/1".len(), "the name of the store is before it: {whole}");
    assert_eq!(site.people.requests("/call").len(), 3);
}

#[tokio::test]
async fn a_step_that_is_forbidden_is_not_tried_again() {
    let mut site = calling().await;
    site.people.always("/call", Answer::status(403));
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let whole = site.until("people are needed", |it| it["incident"]["escalated"] == true).await;
    assert_eq!(runs(&whole), ran(&[("call", "failed")]));
    assert_eq!(site.people.requests("/call").len(), 1);
    site.told(SLACK, "403").await;
}

#[tokio::test]
async fn a_fix_that_does_not_hold_is_none() {
    let mut site = Site::new().await;
    site.rule()["verify"]["hold"] = json!("3s");
    site.rule()["verify"]["within"] = json!("4s");
    site.serve().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    wait::until("the verification has seen it healthy", wait::PATIENCE, async || {
        let run =
            site.quell.request(reqwest::Method::GET, "/api/v1/runs/r-1").send().await.unwrap();
        let text = run.text().await.unwrap();
        if text.contains(r#""health":"healthy""#) { Ok(()) } else { Err(text) }
    })
    .await;
    site.shop.inject(Fault::Unfixable);
    let whole = site.until("people are needed", |it| it["incident"]["escalated"] == true).await;
    assert_eq!(runs(&whole), ran(&[("flush-cache", "failed")]));
    assert_eq!(site.redis.executed("FLUSHDB").await, 1);
}

#[tokio::test]
async fn an_undo_that_fails_stops_everything_and_pages() {
    let mut site = Site::new().await;
    site.respond_with(&["degrade", "flush-cache"]);
    // the last step's undo works, the first step's does not
    let note = "echo \"$*\" >> notes\ncase \"$*\" in 'recommendations on') exit 1;; esac\n";
    site.quell.write("note.sh", note);
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    site.until_run(1, "stuck").await;
    let whole = site.until("people are needed", |it| it["incident"]["escalated"] == true).await;
    assert_eq!(runs(&whole), ran(&[("degrade", "stuck")]), "the next remedy is not tried");
    let noted = ["recommendations off", "reviews off", "reviews on", "recommendations on"];
    assert_eq!(site.notes(), noted);
    let told = site.told(SLACK, "look before anything else").await;
    assert!(told.contains("undoing step 1 failed"), "{told}");
    let page = site.people.received(PAGER, 2).await[1].json();
    assert!(page["payload"]["summary"].as_str().unwrap().contains("stuck"), "{page:#}");
}

#[tokio::test]
async fn an_alert_that_resolves_between_steps_stops_the_rest_and_is_watched() {
    let mut site = Site::new().await;
    site.respond_with(&["drip"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.shop.gate().shut();
    site.posts("firing").await;
    site.shop.affected(1).await;
    site.posts("resolved").await;
    site.shop.gate().open();
    let whole = site.until_it_is("resolved").await;
    assert_eq!(runs(&whole), ran(&[("drip", "fixed")]));
    assert_eq!(site.shop.effects().len(), 1);
    site.told(SLACK, "drip helped").await;
}

#[tokio::test]
async fn a_resolution_without_a_fix_is_not_told_as_one() {
    let mut site = Site::new().await;
    site.respond_with(&["drip", "restart"]);
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.shop.gate().shut();
    site.posts("firing").await;
    site.shop.affected(1).await;
    // its series vanished, say: the shop is as ill as before
    site.posts("resolved").await;
    site.shop.gate().open();
    let whole = site.until_it_is("resolved").await;
    assert_eq!(runs(&whole), ran(&[("drip", "failed")]), "nothing more is done without an alert");
    assert_eq!(site.shop.effects().len(), 1);
    site.told(SLACK, "nothing that quell tried was seen to help").await;
}

#[tokio::test]
async fn an_alert_that_comes_back_is_a_new_incident_and_waits_for_the_cooldown() {
    let mut site = Site::new().await;
    site.config["limits"]["cooldown"] = json!("4s");
    site.serve().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    site.until_run(1, "fixed").await;
    site.posts("resolved").await;
    site.until_it_is("resolved").await;
    site.shop.poison_cache().await;
    let later = delivery("firing", "shop", "2026-01-05T10:20:00.000Z");
    site.quell.post("/api/v1/webhook/alertmanager", &later).await;
    wait::until("it is held", wait::PATIENCE, async || {
        let whole = site.incident(2).await;
        if decided(&whole).1.starts_with("cooldown: last run") { Ok(()) } else { Err(whole) }
    })
    .await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 1);
    site.until_run(2, "fixed").await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 2);
    assert_eq!(runs(&site.incident(2).await), ran(&[("flush-cache", "fixed")]));
}

#[tokio::test]
async fn one_target_has_one_run_at_a_time() {
    let mut site = Site::new().await;
    site.respond_with(&["restart"]);
    site.rule()["target"] = json!("process/shop");
    site.config["limits"]["cooldown"] = json!("0s");
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.shop.gate().shut();
    for service in ["one", "two"] {
        let body = delivery("firing", service, STARTED);
        site.quell.post("/api/v1/webhook/alertmanager", &body).await;
    }
    site.shop.affected(1).await;
    let held = async || {
        let decisions = site.quell.get("/api/v1/decisions").await.to_string();
        decisions.matches("target free: ").count()
    };
    wait::until("the other is held", wait::PATIENCE, async || {
        let held = held().await;
        if held >= 1 { Ok(()) } else { Err(held) }
    })
    .await;
    assert_eq!(site.shop.effects().len(), 1);
    site.shop.gate().open();
    site.shop.affected(2).await;
    for number in 1..=2 {
        site.until_run(number, "failed").await;
    }
    let runs = site.quell.get("/api/v1/runs").await;
    let mut spans: Vec<(&str, &str)> = runs["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["started_at"].as_str().unwrap(), it["ended_at"].as_str().unwrap()))
        .collect();
    spans.sort_unstable();
    assert!(spans.windows(2).all(|two| two[0].1 <= two[1].0), "{spans:?}");
}

#[tokio::test]
async fn an_alertmanager_that_cannot_be_asked_holds_until_it_can() {
    let mut site = Site::new().await.with_alertmanager().await;
    site.serve().await;
    let labels = json!({ "alertname": "HighErrorRate", "service": "shop", "severity": "critical" });
    site.alertmanager().stop().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    site.told(SLACK, "Alertmanager cannot say whether the alert is silenced").await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
    site.alertmanager().start_again().await;
    site.alertmanager().post(&json!([{ "labels": labels }])).await;
    wait::until("it acts", Duration::from_mins(1), async || {
        let whole = site.incident(1).await;
        if runs(&whole) == ran(&[("flush-cache", "fixed")]) { Ok(()) } else { Err(whole) }
    })
    .await;
}

#[tokio::test]
async fn an_alert_that_no_rule_matches_is_told_where_unmatched_says() {
    let mut site = Site::new().await;
    site.config["unmatched"] = json!(["boss"]);
    site.rule()["match"] = json!(["alertname=\"Another\""]);
    site.serve().await;
    site.posts("firing").await;
    site.told(BOSS, "no rule matches it: a person must look").await;
    site.posts("resolved").await;
    site.until_it_is("resolved").await;
    site.told(BOSS, "resolved after").await;
    assert_eq!(site.messages(SLACK), Vec::<String>::new());
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
}

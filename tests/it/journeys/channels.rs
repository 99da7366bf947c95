//! G18: what a channel does not deliver reaches people by another, and a heartbeat proves life.

use serde_json::Value;
use serde_json::json;

use crate::journeys::fixture::BOSS;
use crate::journeys::fixture::PAGER;
use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::delivery;
use crate::support::recorder::Answer;
use crate::support::recorder::Recorder;
use crate::support::smtp::Security;
use crate::support::smtp::Smtp;
use crate::support::wait;

/// Waits until an incident about quell itself has this status; gives it back.
async fn until_own(site: &Site, alertname: &str, status: &str) -> Value {
    wait::until(&format!("{alertname} is {status}"), wait::PATIENCE, async || {
        let all = site.quell.get("/api/v1/incidents").await;
        let items = all["items"].as_array().unwrap();
        let found = items.iter().find(|it| it["labels"]["alertname"] == alertname);
        match found {
            Some(one) if one["status"] == status => Ok(one.clone()),
            other => Err((other.cloned(), site.quell.log())),
        }
    })
    .await
}

/// Given a channel that refuses a page, when it is given up, then its fallback gets it with why, people are told on the others that
/// the channel fails, and a delivery that succeeds ends that.
#[tokio::test]
async fn g18_a_dead_channel_falls_back_and_is_an_incident_until_it_delivers() {
    let mut site = Site::new().await;
    site.config["channels"]["pager"]["pagerduty"]["fallback"] = json!("boss");
    site.people.always(PAGER, Answer::status(400).body("invalid routing key"));
    site.rules["rules"][0]["response"] = json!([]);
    site.serve().await;
    site.posts("firing").await;
    let told = site.told(BOSS, "sent here because channel pager could not be reached").await;
    assert!(told.contains("400"), "it says why: {told}");
    let incident = until_own(&site, "QuellChannelFailing", "open").await;
    assert_eq!(incident["labels"]["channel"], "pager");
    site.told(SLACK, "QuellChannelFailing").await;
    let whole = site.incident(1).await;
    let to_boss = whole["notifications"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["channel"] == "boss")
        .count();
    assert_eq!(to_boss, 1, "once a notice and channel");
    for page in site.pages() {
        assert!(!page.to_string().contains("QuellChannelFailing"), "it was told of itself: {page}");
    }
    let dead = site.quell.cli(&["notifications"]).await;
    assert!(dead.out.contains("pager") && dead.out.contains("400"), "{dead:?}");
    assert_eq!(site.quell.metric("quell_channel_failing{channel=\"pager\"}").await, Some(1.0));
    let ready = site.quell.get("/health/ready").await;
    assert_eq!(
        (&ready["status"], &ready["channels_failing"][0]["channel"]),
        (&json!("ok"), &json!("pager"))
    );

    site.people.always(PAGER, Answer::status(202));
    site.posts("resolved").await;
    until_own(&site, "QuellChannelFailing", "resolved").await;
}

/// Given a page that a server neither takes nor refuses, when `fallback_after` is over, then another channel has it too, while tries
/// on the first go on.
#[tokio::test]
async fn g18_a_page_that_is_late_reaches_people_by_another_channel() {
    let mut site = Site::new().await;
    let smtp = Smtp::start(Security::Plain).await;
    let mail = smtp.url().to_owned();
    drop(smtp);
    // nothing listens there any more
    site.config["channels"]["mail"] = json!({ "email": {
        "smtp": mail, "from": "quell@example.com", "to": ["oncall@example.com"],
        "pages": true, "fallback": "boss", "fallback_after": "1s" } });
    site.config["severities"]["critical"]["notify"] = json!(["mail"]);
    site.rules["rules"][0]["response"] = json!([]);
    site.serve().await;
    site.posts("firing").await;
    let told = site.told(BOSS, "has not delivered it for 1s").await;
    assert!(told.contains("channel mail"), "{told}");
    let pending = site.quell.cli(&["notifications", "--state", "pending"]).await;
    assert!(pending.out.contains("mail oncall@example.com"), "{pending:?}");
}

/// Given channels that all fail, when a notice is owed, then the log, the metric and readiness say so.
#[tokio::test]
async fn g18_when_every_channel_fails_log_metric_and_readiness_say_so() {
    let mut site = Site::new().await;
    for path in [SLACK, BOSS, PAGER] {
        site.people.always(path, Answer::status(404));
    }
    site.rules["rules"][0]["response"] = json!([]);
    site.serve().await;
    site.posts("firing").await;
    site.until_logged("every channel fails: nobody can be told of anything", 1).await;
    assert_eq!(site.quell.metric("quell_silent").await, Some(1.0));
    let ready = site.quell.get("/health/ready").await;
    assert_eq!(ready["status"], "nobody can be told: every channel fails");
    assert_eq!(ready["channels_failing"].as_array().unwrap().len(), 3);
    // nothing is owed to a channel for ever
    let whole = site.incident(1).await;
    let count = whole["notifications"].as_array().unwrap().len();
    assert_eq!(count, 3, "each channel once: {whole:#}");
}

/// Given a heartbeat, when the service that listens refuses three in a row, then people are told; when it takes one, it is over.
#[tokio::test]
async fn g18_the_heartbeat_goes_out_and_three_failures_in_a_row_are_told() {
    const PING: &str = "/ping/hush-uuid";
    let mut site = Site::new().await;
    let switch = Recorder::start().await;
    site.config["heartbeat"] = json!({
        "url": switch.url(PING), "every": "1s", "headers": { "x-key": "hush-key" } });
    site.serve().await;
    let first = &switch.received(PING, 1).await[0];
    assert_eq!((first.method.as_str(), first.header("x-key")), ("POST", "hush-key"));
    switch.always(PING, Answer::status(500));
    let incident = until_own(&site, "QuellHeartbeatFailing", "open").await;
    assert_eq!(incident["severity"], "warning");
    site.until_logged("the heartbeat was not taken", 3).await;
    let failed = site.quell.metric("quell_heartbeats_total{result=\"failed\"}").await.unwrap();
    assert!(failed >= 3.0, "{failed}");
    switch.always(PING, Answer::status(200));
    until_own(&site, "QuellHeartbeatFailing", "resolved").await;
    let log = site.quell.log();
    assert!(!log.contains("hush-uuid") && !log.contains("hush-key"), "{log}");
}

/// Given `chronic: 1 per 1d`, when a target is fixed the second time in a day, then there is one ticket, with how often and how long.
#[tokio::test]
async fn g18_what_is_fixed_again_and_again_is_a_ticket() {
    let mut site = Site::new().await;
    site.config["limits"]["chronic"] = json!("1 per 1d");
    site.config["severities"]["warning"] = json!({ "notify": ["boss"] });
    site.rule()["limits"] = json!({ "cooldown": "1s" });
    site.serve().await;
    for round in 1..=2 {
        site.shop.poison_cache().await;
        let starts = format!("2026-01-0{round}T10:00:00.000Z");
        let fires = delivery("firing", "shop", &starts);
        site.quell.post("/api/v1/webhook/alertmanager", &fires).await;
        site.until_run(round, "fixed").await;
        let all = site.quell.get("/api/v1/incidents").await;
        let tickets = all["items"].as_array().unwrap().iter();
        let tickets = tickets.filter(|it| it["labels"]["alertname"] == "QuellChronic").count();
        assert!(round == 2 || tickets == 0, "one fix is none too many");
        let mut ends = delivery("resolved", "shop", &starts);
        ends["alerts"][0]["endsAt"] = json!(format!("2026-01-0{round}T10:05:00.000Z"));
        site.quell.post("/api/v1/webhook/alertmanager", &ends).await;
    }
    let ticket = until_own(&site, "QuellChronic", "open").await;
    assert_eq!(
        (&ticket["severity"], &ticket["labels"]["target"]),
        (&json!("warning"), &json!("process/shop"))
    );
    let told = site.told(BOSS, "QuellChronic").await;
    let words = "process/shop was fixed 2 times in 1d by rule shop-errors, more than 1; the median time to fix was ";
    assert!(told.contains(words), "{told}");
}

/// Given people who only watch, when an incident opens, then they are told where it stands although nobody pages them, and once more
/// when it is over.
#[tokio::test]
async fn those_who_watch_are_told_where_an_incident_stands_until_it_is_over() {
    let mut site = Site::new().await;
    site.config["severities"]["critical"]["notify"] = json!(["slack"]);
    site.config["severities"]["critical"]["updates"] =
        json!({ "every": "15m", "channels": ["boss"] });
    site.rules["rules"][0]["response"] = json!([]);
    site.serve().await;
    site.posts("firing").await;
    let told = site.told(BOSS, "Status: Investigating").await;
    assert!(told.contains("Next Update: In 15m, and when it is resolved"), "{told}");
    assert!(told.contains("Actions Taken:"), "{told}");
    site.posts("resolved").await;
    let told = site.told(BOSS, "Status: Resolved").await;
    assert!(told.contains("None: it is over"), "{told}");
    let whole = site.incident(1).await;
    let all = whole["notifications"].as_array().unwrap();
    let said = |words: &str| {
        let of_status = |it: &&Value| it["notice"]["headline"].as_str().unwrap().contains(words);
        all.iter().filter(of_status).count()
    };
    assert_eq!((said("Status: Investigating"), said("Status: Resolved")), (1, 1), "{whole:#}");
}

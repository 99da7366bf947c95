//! Credentials are revoked; PagerDuty, Slack and SMTP are blocked; the store cannot be written; a rule aims at quell itself:
//! nothing goes on, the fallback is told, and there is no storm of retries (G14, G18, G19).

use reqwest::Method;
use serde_json::json;

use crate::experiments::rig;
use crate::experiments::rig::PAGER;
use crate::experiments::rig::Rig;
use crate::experiments::rig::SLACK;
use crate::support::process;
use crate::support::recorder::Answer;
use crate::support::wait;

#[tokio::test]
async fn e09_credentials_are_revoked() {
    let mut rig = Rig::new().await;
    rig.config["targets"]["http"]["plant"]["headers"] =
        json!({ "Authorization": "Bearer hush-revoked-token" });
    rig.plant.answers("restart", 401);
    let quell = rig.serve().await;
    for unit in ["a", "b", "c"] {
        rig.plant.sicken(unit);
    }
    rig::post(&quell, "firing", "a").await;
    wait::until("the run ends", wait::PATIENCE, async || {
        let runs = rig::runs(&quell).await;
        if runs.first().is_some_and(|it| it.ends_with("failed")) { Ok(()) } else { Err(runs) }
    })
    .await;
    for unit in ["b", "c"] {
        rig::post(&quell, "firing", unit).await;
    }
    rig::decided(&quell, "targets.http.plant was denied", 2).await;
    assert_eq!(rig.plant.effects().len(), 1, "a denied credential was tried again");
    rig.told("targets.http.plant").await;
    let log = quell.log();
    assert!(!log.contains("hush-revoked"), "{log}");
    rig.report(9, "credentials are revoked", None);
}

#[tokio::test]
async fn e09_every_channel_is_blocked() {
    let mut rig = Rig::new().await;
    let fallback = "/fallback";
    rig.config["channels"]["mail"] = json!({ "email": {
        "smtp": format!("smtp+plain://127.0.0.1:{}", process::port()),
        "from": "quell@example.com", "to": ["oncall@example.com"] } });
    rig.config["channels"]["last"] = json!({ "webhook": { "url": rig.people.url(fallback) } });
    rig.config["severities"]["critical"]["notify"] = json!(["pager", "slack", "mail"]);
    rig.people.always(PAGER, Answer::status(403));
    rig.people.always(SLACK, Answer::status(403));
    for (channel, kind) in [("pager", "pagerduty"), ("slack", "slack"), ("mail", "email")] {
        rig.config["channels"][channel][kind]["fallback"] = json!("last");
    }
    let quell = rig.serve().await;
    rig.plant.sicken("a");
    rig::post(&quell, "firing", "a").await;
    let told = rig.people.received(fallback, 1).await;
    assert!(String::from_utf8_lossy(&told[0].body).contains("UnitIll"), "{told:?}");
    rig::until_runs(&quell, &["r-1 restart fixed"]).await;
    wait::until("they are given up", wait::PATIENCE, async || {
        let dead = quell.cli(&["notifications", "--state", "dead", "--json"]).await.json();
        if dead.as_array().unwrap().len() >= 2 { Ok(()) } else { Err(dead) }
    })
    .await;
    let tries = rig.people.requests(PAGER).len() + rig.people.requests(SLACK).len();
    assert!(tries <= 10, "{tries} tries of channels that refuse");
    rig.report(9, &format!("every channel is blocked, the fallback told, {tries} tries"), None);
}

#[tokio::test]
async fn e09_the_store_cannot_be_written() {
    let rig = Rig::new().await;
    let mut quell = rig.serve().await;
    assert!(quell.stop().await.success());
    rig.plant.sicken("a");
    quell.serve_with_files_up_to(40_000).await;
    let padding = "x".repeat(20_000);
    let mut refused = 0;
    for round in 0..20 {
        let mut alert = rig::alert("firing", "a", rig::STARTED);
        alert["labels"]["padding"] = json!(format!("{padding}{round}"));
        alert["labels"]["alertname"] = json!("Filler");
        let request = quell.request(Method::POST, "/api/v1/webhook/alertmanager");
        let reply = request.json(&rig::body("firing", &[alert])).send().await.unwrap();
        refused += usize::from(reply.status() == 503);
    }
    assert!(refused > 10, "the store took what it had no room for");
    let alert = rig::alert("firing", "a", rig::STARTED);
    let request = quell.request(Method::POST, "/api/v1/webhook/alertmanager");
    let reply = request.json(&rig::body("firing", &[alert])).send().await.unwrap();
    let taken = reply.status() == 200;
    wait::until("it says so", wait::PATIENCE, async || {
        let log = quell.log();
        // of what was not taken, its sender is told, and nothing is left to be tried
        let says = if taken { "ERROR" } else { "refused: the disk cannot be written" };
        if log.contains(says) { Ok(()) } else { Err(log) }
    })
    .await;
    quell.kill9();
    let unrecorded = rig.plant.effects().len();
    // with room again, what was taken is done, once
    quell.serve().await;
    if !taken {
        rig::post(&quell, "firing", "a").await;
    }
    rig::until_runs(&quell, &["r-1 restart fixed"]).await;
    assert_eq!(unrecorded, 0, "it acted without a journal");
    assert_eq!(rig.plant.keys(), [("r-1/1".to_owned(), 1)].into());
    rig::audit_holds(&quell).await;
    rig.report(9, "the store cannot be written", None);
}

#[tokio::test]
async fn e09_a_rule_aims_at_quell_itself() {
    let mut rig = Rig::new().await;
    rig.config["dependencies"] = json!(["unit/quell", "unit/postgres"]);
    let quell = rig.serve().await;
    for unit in ["quell", "postgres"] {
        rig.plant.sicken(unit);
        rig::post(&quell, "firing", unit).await;
    }
    rig::decided(&quell, "quell itself needs", 2).await;
    let waits = ["r-1 restart awaiting approval", "r-2 restart awaiting approval"];
    rig::until_runs(&quell, &waits).await;
    assert_eq!(rig.plant.effects(), []);
    rig.report(9, "a rule aims at quell itself: only proposed", None);
}

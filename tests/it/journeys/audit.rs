//! The audit of a real server: sealed and anchored beside its work, checked without it; and what it does when the record cannot be
//! written, sealed, anchored or trusted.

use std::fs;

use reqwest::Method;
use serde_json::json;
use sqlx::Connection as _;
use sqlx::SqliteConnection;

use crate::support::quell::Quell;
use crate::support::quell::webhook;
use crate::support::recorder::Answer;
use crate::support::recorder::Recorder;
use crate::support::shop::Fault;
use crate::support::shop::Shop;
use crate::support::wait;

/// A shop, people who are told everything, and quell with a rule that restarts the shop.
async fn prepared(audit: &str) -> (Shop, Recorder, Quell) {
    let (shop, people) = (Shop::start().await, Recorder::start().await);
    let rule = |unit: &str| {
        format!(
            r#"  - name: errors-{unit}
    match: [alertname="HighErrorRate", unit="{unit}"]
    target: service/{unit}
    response: [{{ playbook: restart }}]
    verify:
      scrape: {{ url: {}, select: shop_error_ratio }}
      healthy: value < 0.05
      within: 1s
      hold: 1s
"#,
            shop.url("/metrics")
        )
    };
    let rules = format!("rules:\n{}{}", rule("a"), rule("b"));
    let playbook = "
playbook: restart
steps:
  - name: restart
    http: { method: POST, url: SHOP/restart }
"
    .replace("SHOP", &shop.url(""));
    let config = format!(
        "storage: sqlite:quell.db
mode: auto
channels: {{ people: {{ webhook: {{ url: {} }} }} }}
unmatched: [people]
{audit}
",
        people.url("/hook")
    );
    let files = [("rules/r.yml", rules.as_str()), ("playbooks/p.yml", playbook.as_str())];
    let quell = Quell::prepare(&config, &files);
    (shop, people, quell)
}

/// The shop is ill, and an alert says so of one unit.
async fn fire(quell: &Quell, shop: &Shop, unit: &str) {
    shop.inject(Fault::LeakedPool);
    let labels = json!({ "alertname": "HighErrorRate", "unit": unit });
    let request = quell.request(Method::POST, "/api/v1/webhook/alertmanager");
    let reply = request.json(&webhook("firing", &labels)).send().await.unwrap();
    assert!(reply.status().is_success(), "{reply:?}");
}

async fn ended(quell: &Quell, runs: usize) {
    wait::until("runs that ended", wait::PATIENCE, async || {
        let listed = quell.cli(&["runs", "--json"]).await.json();
        let all = listed.as_array().unwrap();
        let over = all.iter().filter(|it| !it["ended_at"].is_null()).count();
        if over == runs { Ok(()) } else { Err(listed) }
    })
    .await;
}

async fn sql(quell: &Quell, statement: &'static str) {
    let url = format!("sqlite:{}", quell.folder().join("quell.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Waits until people were told something that has these words.
async fn told(people: &Recorder, words: &str) {
    wait::until(words, wait::PATIENCE, async || {
        let requests = people.requests("/hook");
        let bodies: Vec<String> =
            requests.iter().map(|it| String::from_utf8_lossy(&it.body).into_owned()).collect();
        if bodies.iter().any(|body| body.contains(words)) { Ok(()) } else { Err(bodies) }
    })
    .await;
}

/// A command that finds nothing wrong, and its output.
async fn fine(quell: &Quell, arguments: &[&str]) -> String {
    let said = quell.cli(arguments).await;
    assert_eq!(said.code, 0, "{arguments:?}: {said:#?}");
    said.out
}

/// A command that finds something, and what it prints.
async fn found(quell: &Quell, arguments: &[&str]) -> String {
    let said = quell.cli(arguments).await;
    assert_eq!(said.code, 1, "{arguments:?}: {said:#?}");
    format!("{}{}", said.out, said.err)
}

#[tokio::test]
async fn what_is_recorded_is_sealed_anchored_and_checked_without_the_server() {
    let (shop, _people, mut quell) =
        prepared("audit: { anchor: anchor, anchor_every: 1s, origin: shop.example.com }").await;
    quell.serve().await;
    fire(&quell, &shop, "a").await;
    shop.affected(1).await;
    ended(&quell, 1).await;
    quell.stop().await;

    // the anchor covers all that was recorded, also what came last
    let verified = fine(&quell, &["audit", "verify", "--anchor", "anchor"]).await;
    assert!(verified.contains("of them from outside"), "{verified}");
    assert!(verified.contains("the log holds") && !verified.contains("not sealed"), "{verified}");
    let latest = fs::read_to_string(quell.folder().join("anchor/latest")).unwrap();
    assert!(latest.starts_with("shop.example.com\n"), "{latest}");
    let all = quell.cli(&["audit", "verify", "--json"]).await.json();
    let checked = &all["log"]["checked"];
    assert_eq!(checked["leaves"], checked["signed"], "{all:#}");
    assert_eq!(latest.lines().nth(1).unwrap(), checked["leaves"].to_string());

    // one record, by the public key alone
    let key = fine(&quell, &["audit", "key", "show"]).await.trim().to_owned();
    let public = fs::read_to_string(quell.folder().join("quell.db.audit-key.pub")).unwrap();
    assert_eq!(public.trim(), key);
    for id in ["r-1", "r-1/1", "d-1", "key-1"] {
        let proof = fine(&quell, &["audit", "prove", id]).await;
        quell.write("proof.json", &proof);
        fine(&quell, &["audit", "verify", "--proof", "proof.json", "--key", &key]).await;
        quell.write("proof.json", &proof.replacen("\"at\":1", "\"at\":2", 1));
        let wrong =
            found(&quell, &["audit", "verify", "--proof", "proof.json", "--key", &key]).await;
        assert!(wrong.contains("the record is not leaf"), "{wrong}");
    }
    let missing = found(&quell, &["audit", "prove", "d-99"]).await;
    assert!(missing.contains("d-99 is not in the log"), "{missing}");

    // all of it, in a folder without a database
    let export = fine(&quell, &["audit", "export"]).await;
    quell.write("elsewhere/all.jsonl", &export);
    quell.write("elsewhere/kept.txt", &latest);
    let arguments =
        ["audit", "verify", "--export", "all.jsonl", "--checkpoint", "kept.txt", "--key", &key];
    let elsewhere = quell.folder().join("elsewhere");
    let said = quell.cli_in(&elsewhere, &arguments).await;
    assert_eq!(said.code, 0, "{said:#?}");
    quell.write(
        "elsewhere/all.jsonl",
        &export.replacen("\"verdict\":\"proceed\"", "\"verdict\":\"refuse\"", 1),
    );
    let said = quell.cli_in(&elsewhere, &arguments).await;
    assert_eq!(said.code, 1, "{said:#?}");
    assert!(said.out.contains("the leaves do not come to its root"), "{said:#?}");
}

#[tokio::test]
async fn a_key_that_is_followed_up_verifies_what_both_signed() {
    let (shop, _people, mut quell) = prepared("").await;
    quell.serve().await;
    fire(&quell, &shop, "a").await;
    shop.affected(1).await;
    ended(&quell, 1).await;
    let old = fine(&quell, &["audit", "key", "show"]).await.trim().to_owned();
    // beside a server that runs: it signs by the new key from then on
    fine(&quell, &["audit", "key", "rotate"]).await;
    let new = fine(&quell, &["audit", "key", "show"]).await.trim().to_owned();
    assert_ne!(old, new);
    fire(&quell, &shop, "b").await;
    shop.affected(2).await;
    ended(&quell, 2).await;
    quell.stop().await;
    assert_eq!(fine(&quell, &["audit", "key", "show", "--all"]).await, format!("{old}\n{new}\n"));
    for key in [&old, &new] {
        fine(&quell, &["audit", "verify", "--key", key]).await;
    }
    quell.write("all.jsonl", &fine(&quell, &["audit", "export"]).await);
    for key in [&old, &new] {
        fine(&quell, &["audit", "verify", "--export", "all.jsonl", "--key", key]).await;
    }
    let stranger = fine(&quell, &["audit", "key", "new", "other.key", "--name", "x"]).await;
    let wrong = found(&quell, &["audit", "verify", "--key", stranger.trim()]).await;
    assert!(wrong.contains("by a key that is trusted"), "{wrong}");
}

#[tokio::test]
async fn an_intent_that_cannot_be_journalled_has_no_effect() {
    let (shop, _people, mut quell) = prepared("").await;
    quell.serve().await;
    sql(
        &quell,
        "CREATE TRIGGER refuse BEFORE INSERT ON run_events WHEN NEW.body LIKE '%step_started%'
         BEGIN SELECT RAISE(FAIL, 'the journal is refused'); END",
    )
    .await;
    fire(&quell, &shop, "a").await;
    wait::until("the journal was refused", wait::PATIENCE, async || {
        let log = quell.log();
        if log.contains("the journal is refused") { Ok(()) } else { Err(log) }
    })
    .await;
    // once more, and after a restart, which takes the run over at once
    quell.restart().await;
    wait::until("the journal was refused again", wait::PATIENCE, async || {
        let log = quell.log();
        if log.matches("the journal is refused").count() > 1 { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(shop.effects().is_empty(), "it acted without an intent on disk");
    quell.stop().await;
    sql(&quell, "DROP TRIGGER refuse").await;
    quell.serve().await;
    shop.affected(1).await;
    ended(&quell, 1).await;
    assert_eq!(shop.effects().len(), 1);
    quell.stop().await;
    fine(&quell, &["audit", "verify"]).await;
}

#[tokio::test]
async fn a_broken_audit_is_told_and_holds_everything_until_a_person_answers_for_it() {
    let (shop, people, mut quell) = prepared("").await;
    quell.serve().await;
    fire(&quell, &shop, "a").await;
    shop.affected(1).await;
    ended(&quell, 1).await;
    quell.stop().await;
    sql(&quell, "UPDATE decisions SET reason = 'nothing was against it' WHERE id = 1").await;
    let named = found(&quell, &["audit", "verify"]).await;
    assert!(named.contains("d-1: changed: the signed leaf"), "{named}");

    quell.serve().await;
    told(&people, "QuellAuditBroken").await;
    fire(&quell, &shop, "b").await;
    wait::until("a decision that holds", wait::PATIENCE, async || {
        let decisions = quell.get("/api/v1/decisions").await;
        let text = decisions.to_string();
        let held = text
            .contains("all is paused by quell, for its audit: it is not as it was written: d-1");
        if held { Ok(()) } else { Err(decisions) }
    })
    .await;
    assert_eq!(shop.effects().len(), 1, "it acted on what it cannot trust");
    let accepted = fine(&quell, &["audit", "accept", "--by", "ada"]).await;
    assert!(accepted.contains("accepted by ada"), "{accepted}");
    shop.affected(2).await;
    found(&quell, &["audit", "verify"]).await;
}

#[tokio::test]
async fn a_log_that_cannot_be_sealed_is_told_and_holds_nobody_up() {
    let (shop, people, mut quell) = prepared("").await;
    quell.serve().await;
    sql(&quell, "UPDATE log SET peaks = 'x'").await;
    fire(&quell, &shop, "a").await;
    shop.affected(1).await;
    told(&people, "QuellAuditStuck").await;
}

#[tokio::test]
async fn an_anchor_that_fails_is_told_and_tried_again() {
    let anchor = Recorder::start().await;
    anchor.always("/bucket/latest", Answer::status(503));
    let audit = format!("audit: {{ anchor: \"{}\", anchor_every: 1s }}", anchor.url("/bucket"));
    let (_shop, people, mut quell) = prepared(&audit).await;
    quell.serve().await;
    told(&people, "QuellAnchorFailing").await;
    anchor.always("/bucket/latest", Answer::status(201));
    let before = anchor.requests("/bucket/latest").len();
    let put = anchor.received("/bucket/latest", before + 1).await;
    assert_eq!(put[0].method, Method::PUT);
    wait::until("the anchor is mended", wait::PATIENCE, async || {
        let incidents = quell.get("/api/v1/incidents").await;
        let mended = incidents["items"].as_array().unwrap().iter().any(|it| {
            it["title"].as_str().unwrap().contains("QuellAnchorFailing")
                && it["status"] == "resolved"
        });
        if mended { Ok(()) } else { Err(incidents) }
    })
    .await;
    let latest = anchor.requests("/bucket/latest");
    quell.stop().await;
    quell.write("kept.txt", &String::from_utf8_lossy(&latest.last().unwrap().body));
    fine(&quell, &["audit", "verify", "--anchor", "kept.txt"]).await;
}

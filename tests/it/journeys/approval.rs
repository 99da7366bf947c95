//! What a person said yes to is what happens, and only if it is still right when it begins.

use serde_json::Value;
use serde_json::json;

use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::decided;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::shop::Fault;

/// A site in mode approve whose alert fires; the run's digest.
async fn asking(site: &mut Site) -> String {
    site.config["mode"] = json!("approve");
    site.serve().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    let whole = site.until_run(1, "awaiting approval").await;
    whole["run"]["digest"].as_str().unwrap().to_owned()
}

async fn approve(site: &Site, digest: &str) {
    let said = site.quell.cli(&["approve", "r-1", "--by", "dana", "--digest", digest]).await;
    assert_eq!(said.code, 0, "{said:?}");
}

/// Given a plan that waits for approval, when the files would make another plan, then it is void, people are told why, and
/// the new plan is proposed; a yes to the old one does nothing.
#[tokio::test]
async fn g11_a_plan_that_was_changed_is_superseded_and_proposed_anew() {
    let mut site = Site::new().await;
    let digest = asking(&mut site).await;
    let other = "playbook: flush-cache\nsteps:\n  - { name: other, command: { argv: [/bin/sh, note.sh, other] } }\n";
    site.quell.write("playbooks/flush-cache.yml", other);
    site.quell.hang_up();
    site.until_logged("are in force", 1).await;
    let old = site.until_run(1, "superseded").await;
    let outcome = old["run"]["outcome"].as_str().unwrap();
    assert!(
        outcome.ends_with("no longer what was proposed: playbook flush-cache was changed"),
        "{outcome}"
    );
    site.told(SLACK, "no longer what was proposed: playbook flush-cache was changed").await;
    let said = site.quell.cli(&["approve", "r-1", "--by", "dana", "--digest", &digest]).await;
    assert_eq!(said.code, 1, "{said:?}");
    let new = site.until_run(2, "awaiting approval").await;
    let digest = new["run"]["digest"].as_str().unwrap().to_owned();
    let said = site.quell.cli(&["approve", "r-2", "--by", "dana", "--digest", &digest]).await;
    assert_eq!(said.code, 0, "{said:?}");
    site.until("it runs", |_| site.notes() == ["other"]).await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
}

/// A change of something else, and of how the same is written, leaves an approval as it is.
#[tokio::test]
async fn g11_a_reload_that_changes_nothing_of_the_plan_leaves_it() {
    let mut site = Site::new().await;
    let digest = asking(&mut site).await;
    let file = site.quell.folder().join("playbooks/flush-cache.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("# a comment\n{text}")).unwrap();
    site.quell.hang_up();
    site.until_logged("are in force", 1).await;
    approve(&site, &digest).await;
    site.until_run(1, "fixed").await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 1);
}

#[tokio::test]
async fn an_approval_does_not_override_a_silence_set_since() {
    let mut site = Site::new().await.with_alertmanager().await;
    let labels = json!({ "alertname": "HighErrorRate", "service": "shop", "severity": "critical" });
    site.alertmanager().post(&json!([{ "labels": labels }])).await;
    let digest = asking(&mut site).await;
    site.alertmanager().silence(&[("service", "shop")]).await;
    approve(&site, &digest).await;
    site.until_run(1, "superseded").await;
    let whole = site.until("it is refused", |it| decided(it).0 == "refuse").await;
    assert!(decided(&whole).1.starts_with("silence: "), "{whole:#}");
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
}

#[tokio::test]
async fn an_approval_does_not_override_a_pause() {
    let mut site = Site::new().await;
    site.quell = site.quell.with_env("RUST_LOG", "info,quell=debug");
    let digest = asking(&mut site).await;
    site.quell.cli(&["pause", "playbook:flush-cache"]).await;
    approve(&site, &digest).await;
    site.until_logged("held before a step", 2).await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
    site.quell.cli(&["resume", "playbook:flush-cache"]).await;
    site.until_run(1, "fixed").await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 1);
}

#[tokio::test]
async fn what_has_healed_since_is_left_alone_although_approved() {
    let mut site = Site::new().await;
    let digest = asking(&mut site).await;
    site.shop.inject(Fault::None);
    approve(&site, &digest).await;
    let whole = site.until_run(1, "superseded").await;
    let outcome = whole["run"]["outcome"].as_str().unwrap();
    assert!(outcome.contains("nothing to remedy: 0.001"), "{outcome}");
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
}

#[tokio::test]
async fn a_run_that_waits_can_be_cancelled() {
    let mut site = Site::new().await;
    asking(&mut site).await;
    let said = site.quell.cli(&["cancel", "r-1", "--by", "dana"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    site.until_run(1, "cancelled").await;
    let whole = site.until("people are needed", |it| it["incident"]["escalated"] == true).await;
    assert_eq!(runs(&whole), ran(&[("flush-cache", "cancelled")]));
    let again = site.quell.cli(&["cancel", "r-1", "--by", "dana"]).await;
    assert_eq!(again.code, 1, "{again:?}");
}

#[tokio::test]
async fn a_run_that_is_being_verified_can_be_cancelled() {
    let mut site = Site::new().await;
    site.rule()["verify"]["within"] = json!("1h");
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    site.until_run(1, "verifying").await;
    site.quell.cli(&["cancel", "r-1", "--by", "dana"]).await;
    let whole = site.until_run(1, "cancelled").await;
    let outcome = whole["run"]["outcome"].as_str().unwrap();
    assert!(outcome.contains("done and not undone: flush"), "{outcome}");
}

#[tokio::test]
async fn a_pause_holds_undos_too() {
    let mut site = Site::new().await;
    site.respond_with(&["degrade"]);
    site.rule()["verify"]["within"] = json!("3s");
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    site.until_run(1, "verifying").await;
    site.quell.cli(&["pause", "target:process/shop"]).await;
    let whole: Value = site.until_run(1, "undoing").await;
    assert!(!whole["journal"].to_string().contains("undo_started"), "{whole:#}");
    // a pause of something else holds nothing, and this one holds on
    let said = site.quell.cli(&["pause", "rule:another"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(site.notes(), ["recommendations off", "reviews off"]);
    site.quell.cli(&["resume", "target:process/shop"]).await;
    site.until_run(1, "failed").await;
    let noted = ["recommendations off", "reviews off", "reviews on", "recommendations on"];
    assert_eq!(site.notes(), noted);
}

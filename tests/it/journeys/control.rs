//! People are in charge: pause, resume, approve, reject, cancel.

use std::fs;

use reqwest::Method;
use serde_json::json;

use crate::journeys::fixture::BOSS;
use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::decided;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::shop::Fault;

/// Starts a run of several effects with a breath between them, stops it by `pause` after the first, and lets it go on
/// by `resume`.
async fn pauses_and_goes_on(pause: impl AsyncFn(&Site), resume: impl AsyncFn(&Site)) {
    let mut site = Site::new().await;
    site.quell = site.quell.with_env("RUST_LOG", "info,quell=debug");
    site.respond_with(&["drip"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.posts("firing").await;
    site.shop.affected(1).await;
    pause(&site).await;
    let paused_at = quell::clock::Clock::System.now();
    site.until_logged("held before a step", 2).await;
    let effects = site.shop.effects();
    let last = effects.last().unwrap().at;
    assert!(effects.len() < 4, "the pause came too late to be seen: {effects:?}");
    assert!(last <= paused_at + jiff::SignedDuration::from_secs(1), "{last} after {paused_at}");
    assert_eq!(site.quell.metric("quell_paused").await, Some(1.0));

    resume(&site).await;
    site.shop.affected(4).await;
    let whole = site.until("it ends", |it| runs(it) == ran(&[("drip", "fixed")])).await;
    assert_eq!(whole["incident"]["status"], "open");
    assert_eq!(site.shop.effects().len(), 4);
    assert_eq!(site.quell.metric("quell_paused").await, Some(0.0));
}

#[tokio::test]
async fn pause_stops_effects_within_a_second_and_resume_goes_on() {
    pauses_and_goes_on(
        async |site| {
            let said = site.quell.cli(&["pause", "--by", "dana", "--reason", "fire drill"]).await;
            assert_eq!(
                (said.code, said.out.as_str()),
                (0, "all: paused: nothing begins until `quell resume`\n")
            );
        },
        async |site| {
            let said = site.quell.cli(&["resume"]).await;
            assert_eq!(
                (said.code, said.out.as_str()),
                (0, "all: resumed; what waited is judged again\n")
            );
        },
    )
    .await;
}

#[tokio::test]
async fn the_pause_file_does_the_same() {
    pauses_and_goes_on(
        async |site| site.quell.write("quell.pause", ""),
        async |site| fs::remove_file(site.quell.folder().join("quell.pause")).unwrap(),
    )
    .await;
}

#[tokio::test]
async fn pause_finds_the_server_from_any_folder_or_says_that_nothing_is_paused() {
    let mut site = Site::new().await;
    site.serve().await;
    let elsewhere = tempfile::TempDir::new().unwrap();
    let said = site.quell.cli_in(elsewhere.path(), &["pause"]).await;
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("nothing was paused") && said.err.contains("--config"), "{said:?}");
    assert_eq!(site.quell.metric("quell_paused").await, Some(0.0));

    let config = site.quell.folder().join("quell.yml");
    let config = config.to_str().unwrap();
    for (command, expected) in [("pause", 1.0), ("resume", 0.0)] {
        let said = site.quell.cli_in(elsewhere.path(), &[command, "--config", config]).await;
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(site.quell.metric("quell_paused").await, Some(expected));
    }
    // without a database the file does, and it is the one that the server looks at
    let database = site.quell.folder().join("quell.db");
    fs::rename(&database, site.quell.folder().join("away.db")).unwrap();
    let said = site.quell.cli_in(elsewhere.path(), &["pause", "--config", config]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("paused by the file"), "{said:?}");
    assert_eq!(site.quell.metric("quell_paused").await, Some(1.0));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_pause_outlives_a_restart_and_what_it_held_is_handled_after_resume() {
    let mut site = Site::new().await;
    site.serve().await;
    site.quell.cli(&["pause", "rule:shop-errors", "--by", "dana"]).await;
    site.quell.restart().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    let whole = site.until("it is held", |it| decided(it).0 == "hold").await;
    let (_, reason) = decided(&whole);
    assert!(reason.starts_with("kill switch: rule:shop-errors is paused by dana"), "{reason}");
    assert_eq!(runs(&whole), []);
    site.quell.cli(&["resume", "rule:shop-errors"]).await;
    site.until("it is mended", |it| runs(it) == ran(&[("flush-cache", "fixed")])).await;
}

#[tokio::test]
async fn mode_approve_waits_for_a_person_of_the_right_tier_and_the_right_plan() {
    let mut site = Site::new().await;
    site.config["mode"] = json!("approve");
    site.respond_with(&["restart"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.posts("firing").await;
    let whole = site.until_run(1, "awaiting approval").await;
    site.told(
        SLACK,
        "proposes restart on process/shop (remedy 1 of 1): needs one person of tier 2",
    )
    .await;
    let digest = whole["run"]["digest"].as_str().unwrap();
    let short = &digest[..8];

    for (by, digest, expected) in [
        ("kim", short, "r-1 needs one person of tier 2, and kim has tier 1"),
        ("eve", short, "`eve` is no operator in quell.yml"),
        ("dana", "00000000", "the plan of r-1 has another digest"),
    ] {
        let said = site.quell.cli(&["approve", "r-1", "--by", by, "--digest", digest]).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains(expected), "{said:?}");
    }
    assert_eq!(site.shop.effects().len(), 0);

    let said = site.quell.cli(&["approve", "r-1", "--by", "dana", "--digest", short]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let whole = site.until_run(1, "fixed").await;
    assert_eq!(site.shop.effects().len(), 1);
    let journal = whole["journal"].to_string();
    assert!(journal.contains(r#""approved":{"by":"dana""#), "{journal}");
    let again = site.quell.cli(&["approve", "r-1", "--by", "dana", "--digest", short]).await;
    assert_eq!(again.code, 1, "{again:?}");
}

#[tokio::test]
async fn a_rejected_plan_never_runs_and_people_have_the_incident() {
    let mut site = Site::new().await;
    site.config["mode"] = json!("approve");
    site.config["severities"]["critical"]["escalate_to"] = json!(["boss"]);
    site.serve().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    site.until_run(1, "awaiting approval").await;
    let said = site.quell.cli(&["reject", "r-1", "not during the sale", "--by", "dana"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let whole = site.until("people are needed", |it| it["incident"]["escalated"] == true).await;
    assert_eq!(runs(&whole), ran(&[("flush-cache", "rejected")]));
    site.told(BOSS, "rejected by dana: not during the sale").await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
}

#[tokio::test]
async fn a_plan_that_waits_is_over_when_its_alert_resolves() {
    let mut site = Site::new().await;
    site.config["mode"] = json!("approve");
    site.serve().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    let whole = site.until_run(1, "awaiting approval").await;
    site.posts("resolved").await;
    site.until_run(1, "superseded").await;
    site.until_it_is("resolved").await;
    let digest = whole["run"]["digest"].as_str().unwrap();
    let said = site.quell.cli(&["approve", "r-1", "--by", "dana", "--digest", digest]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
}

#[tokio::test]
async fn cancel_stops_before_the_next_step_and_says_what_stands() {
    let mut site = Site::new().await;
    site.respond_with(&["drip", "flush-cache"]);
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.shop.gate().shut();
    site.posts("firing").await;
    site.shop.affected(1).await;
    let said = site.quell.cli(&["cancel", "r-1", "--by", "dana"]).await;
    assert_eq!((said.code, said.out.as_str()), (0, "r-1: stops before its next step\n"));
    site.shop.gate().open();

    site.until_run(1, "cancelled").await;
    let whole = site.until("people are needed", |it| it["incident"]["escalated"] == true).await;
    assert_eq!(site.shop.effects().len(), 1);
    assert_eq!(runs(&whole), ran(&[("drip", "cancelled")]), "the next remedy is not tried");
    site.told(SLACK, "stopped between steps: cancelled by dana; done and not undone: first").await;
}

#[tokio::test]
async fn operators_act_over_http_with_their_own_token_only() {
    let mut site = Site::new().await;
    site.config["mode"] = json!("approve");
    site.respond_with(&["restart"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.posts("firing").await;
    let whole = site.until_run(1, "awaiting approval").await;
    let digest = json!({ "digest": whole["run"]["digest"] });
    let path = "/api/v1/runs/r-1/approve";
    for (token, expected) in
        [(None, 401), (Some("hush-nobody-0123456789"), 401), (Some("hush-kim-0123456789"), 403)]
    {
        let request = site.quell.request(Method::POST, path).json(&digest);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), expected, "{token:?}: {}", reply.text().await.unwrap());
    }
    site.quell = site.quell.with_token("hush-dana-0123456789");
    site.quell.post(path, &digest).await;
    site.until_run(1, "fixed").await;
    assert_eq!(site.shop.effects().len(), 1);
}

//! Files that change while quell runs: all or nothing, and what failed is seen by whoever looks.

use std::fs;
use std::os::unix::fs::symlink;

use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use crate::journeys::fixture::BOSS;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::delivery;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::quell::Quell;
use crate::support::shop::Fault;
use crate::support::wait;

const SUCCESSFUL: &str = "quell_config_last_reload_successful";
const FAILURES: &str = "quell_config_reloads_total{result=\"failure\"}";

async fn metric_is(quell: &Quell, series: &str, expected: f64) {
    wait::until(&format!("{series} is {expected}"), wait::PATIENCE, async || {
        match quell.metric(series).await {
            Some(value) if value.total_cmp(&expected).is_eq() => Ok(()),
            other => Err((other, quell.log())),
        }
    })
    .await;
}

/// The name of the first rule in force.
async fn rule_in_force(quell: &Quell) -> Value {
    quell.get("/api/v1/rules").await["items"][0]["name"].clone()
}

async fn until_rule(quell: &Quell, name: &str) {
    wait::until(&format!("{name} is in force"), wait::PATIENCE, async || {
        let found = rule_in_force(quell).await;
        if found == name { Ok(()) } else { Err((found, quell.log())) }
    })
    .await;
}

fn one_rule(name: &str) -> String {
    format!("rules: [{{ name: {name}, match: [alertname=A], target: t }}]\n")
}

/// Messages to the channel of unmatched alerts that have `text`.
fn told(site: &Site, text: &str) -> usize {
    site.messages(BOSS).iter().filter(|it| it.contains(text)).count()
}

#[tokio::test]
async fn a_reload_with_an_error_keeps_what_was_in_force_and_is_told_once_until_it_is_mended() {
    let mut site = Site::new().await;
    site.config["unmatched"] = json!(["boss"]);
    site.serve().await;
    metric_is(&site.quell, SUCCESSFUL, 1.0).await;
    let before = site.quell.get("/version").await["rules"].clone();

    let good = site.rules.clone();
    site.rule()["tarrget"] = json!("x");
    site.write();
    site.quell.hang_up();
    metric_is(&site.quell, SUCCESSFUL, 0.0).await;
    let log = site.quell.log();
    assert!(log.contains("tarrget") && log.contains("rules/shop.yml"), "{log}");
    assert_eq!(rule_in_force(&site.quell).await, "shop-errors");
    let ready = site.quell.get("/health/ready").await;
    assert_eq!((&ready["status"], &ready["rules"]), (&json!("ok"), &before), "{ready:#}");
    let first = ready["reload_failed"]["first"].as_str().unwrap();
    assert!(first.contains("rules/shop.yml:1:") && first.contains("tarrget"), "{first}");

    // whoever asks why their new rule does nothing is told that it is not in force
    let url = site.quell.url("");
    let said = site.quell.cli(&["explain", "--server", &url, "-l", "alertname=A"]).await;
    let expected = "files        older than on disk: the files on disk have errors since ";
    assert!(said.out.contains(expected) && said.out.contains("rules/shop.yml:1:"), "{said:?}");

    // asked again, the same files are refused again, and told to whoever asks
    let reply = site.quell.request(Method::POST, "/-/reload").send().await.unwrap();
    assert_eq!(reply.status(), 409);
    let problem: Value = reply.json().await.unwrap();
    let mut found = problem["diagnostics"].as_array().unwrap().iter();
    let error = found.find(|it| it["severity"] == "error").unwrap();
    assert_eq!(error["code"], "Q0104", "{problem:#}");
    assert!(problem["detail"].as_str().unwrap().contains("did you mean `target`"), "{problem:#}");
    assert_eq!(site.quell.metric(FAILURES).await, Some(2.0));

    // the old rule works
    site.shop.poison_cache().await;
    site.posts("firing").await;
    site.until_run(1, "fixed").await;

    site.rules = good;
    site.rule()["name"] = json!("renamed");
    site.write();
    site.quell.hang_up();
    metric_is(&site.quell, SUCCESSFUL, 1.0).await;
    assert_eq!(rule_in_force(&site.quell).await, "renamed");
    let ready = site.quell.get("/health/ready").await;
    assert_eq!(ready["reload_failed"], Value::Null);
    assert_ne!(ready["rules"], before);
    let at = site.quell.metric("quell_config_last_reload_success_timestamp_seconds").await.unwrap();
    let now = quell::clock::Clock::System.now().as_duration().as_secs_f64();
    assert!((now - 60.0..=now).contains(&at), "{at} of {now}");

    site.told(BOSS, "resolved after").await;
    assert_eq!(told(&site, "QuellReloadFailed"), told(&site, ""), "{:#?}", site.messages(BOSS));
    assert_eq!(told(&site, "is firing"), 1, "{:#?}", site.messages(BOSS));
    assert_eq!(told(&site, "tarrget"), 1, "{:#?}", site.messages(BOSS));
}

#[tokio::test]
async fn a_start_with_good_files_ends_what_a_reload_before_it_raised() {
    let mut site = Site::new().await;
    site.config["unmatched"] = json!(["boss"]);
    site.serve().await;
    let good = site.rules.clone();
    site.rule()["tarrget"] = json!("x");
    site.write();
    site.quell.hang_up();
    site.told(BOSS, "tarrget").await;
    site.rules = good;
    site.write();
    site.quell.restart().await;
    site.told(BOSS, "resolved after").await;
}

#[tokio::test]
async fn watched_files_are_loaded_when_they_changed_and_are_whole() {
    let config = "watch: 500ms\nrules: [rules]\nplaybooks: []\n";
    let quell = Quell::start(config, &[("rules/a.yml", &one_rule("old"))]).await;
    assert_eq!(rule_in_force(&quell).await, "old");
    // a file that is being written is no file yet
    quell.write("rules/a.yml", "rules: [{ name: new, match: [alertn");
    quell.write("rules/a.yml", &one_rule("new"));
    until_rule(&quell, "new").await;
    quell.write("rules/0.yml", &one_rule("before"));
    until_rule(&quell, "before").await;
    fs::remove_file(quell.folder().join("rules/0.yml")).unwrap();
    until_rule(&quell, "new").await;
    assert_eq!(quell.metric(FAILURES).await, None);

    quell.write("rules/a.yml", "rules: [{ nam: x }]\n");
    metric_is(&quell, SUCCESSFUL, 0.0).await;
    // back to what is in force: the error on disk is gone, and so must be the alarm about it
    quell.write("rules/a.yml", &one_rule("new"));
    metric_is(&quell, SUCCESSFUL, 1.0).await;
    assert_eq!(quell.metric(FAILURES).await, Some(1.0), "one try a set");
}

#[tokio::test]
async fn a_swapped_link_is_a_change_as_kubernetes_makes_it() {
    let config = "watch: 100ms\nrules: [rules]\nplaybooks: []\n";
    let mut quell = Quell::prepare(config, &[("rules/..1/a.yml", &one_rule("old"))]);
    let rules = quell.folder().join("rules");
    symlink("..1", rules.join("..data")).unwrap();
    symlink("..data/a.yml", rules.join("a.yml")).unwrap();
    quell.serve().await;
    assert_eq!(rule_in_force(&quell).await, "old");
    quell.write("rules/..2/a.yml", &one_rule("new"));
    symlink("..2", rules.join("..data_tmp")).unwrap();
    fs::rename(rules.join("..data_tmp"), rules.join("..data")).unwrap();
    until_rule(&quell, "new").await;
}

#[tokio::test]
async fn a_run_under_way_keeps_its_steps_and_the_next_has_the_new_ones() {
    let mut site = Site::new().await;
    site.respond_with(&["drip"]);
    site.serve().await;
    let old = site.quell.get("/version").await["rules"].clone();
    site.shop.inject(Fault::LeakedPool);
    site.shop.gate().shut();
    site.posts("firing").await;
    site.shop.affected(1).await;
    let changed = "playbook: drip\nsteps:\n  - { name: only, http: { server: shop, method: POST, url: /restart } }\n";
    site.quell.write("playbooks/drip.yml", changed);
    site.quell.post("/-/reload", &json!({})).await;
    let new = site.quell.get("/version").await["rules"].clone();
    assert_ne!(old, new);
    site.shop.gate().open();
    let run = site.until_run(1, "fixed").await;
    assert_eq!(site.shop.effects().len(), 4, "the steps that it began with");
    assert_eq!(run["plan"]["rules_digest"], old);
    let shown = site.quell.cli(&["runs", "r-1"]).await;
    assert!(shown.out.contains(&format!("rules      {}", old.as_str().unwrap())), "{}", shown.out);

    site.posts("resolved").await;
    site.until_it_is("resolved").await;
    site.shop.inject(Fault::LeakedPool);
    let now = quell::clock::Clock::System.now().to_string();
    site.quell.post("/api/v1/webhook/alertmanager", &delivery("firing", "shop", &now)).await;
    let run = site.until_run(2, "fixed").await;
    assert_eq!(site.shop.effects().len(), 5, "one step more");
    assert_eq!(run["plan"]["rules_digest"], new);
    assert_eq!(runs(&site.incident(1).await), ran(&[("drip", "fixed")]));
}

//! Alerts and places that a remedy cannot work with: a person gets the incident, in words, and nothing is done.

use std::fs;

use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use crate::bad_input::shown;
use crate::support::process;
use crate::support::quell::Quell;
use crate::support::quell::webhook;
use crate::support::recorder::Recorder;
use crate::support::shop::Fault;
use crate::support::shop::Shop;
use crate::support::wait;

const RULES: &str = r#"
rules:
  - name: errors
    match: [alertname="HighErrorRate"]
    target: service/TARGET
    response: [{ playbook: remedy, with: { service: "{{ labels.service }}" } }]
    verify:
      scrape: { url: SHOP/metrics, select: shop_error_ratio }
      healthy: value < 0.05
      within: 1s
      hold: 1s
"#;

const PLAYBOOK: &str = "
playbook: remedy
parameters:
  service: { type: string, pattern: '[a-z0-9-]+', required: true }
steps:
  - name: remedy
";

struct Case {
    quell: Quell,
    people: Recorder,
    shop: Shop,
}

impl Case {
    /// quell with a rule for this target whose only remedy is this step.
    async fn new(target: &str, step: &str) -> Self {
        let (shop, people) = (Shop::start().await, Recorder::start().await);
        shop.inject(Fault::LeakedPool);
        let config = format!(
            "
storage: sqlite:quell.db
mode: auto
targets: {{ redis: {{ cache: {{ url: \"redis://:hush@127.0.0.1:{}\" }} }} }}
channels: {{ people: {{ webhook: {{ url: {} }} }} }}
severities: {{ critical: {{ notify: [people] }} }}
",
            process::port(),
            people.url("/hook")
        );
        let rules = RULES.replace("TARGET", target).replace("SHOP", &shop.url(""));
        let step = step.replace("SHOP", &shop.url(""));
        let playbook = format!("{PLAYBOOK}{step}");
        let files = [("rules/r.yml", rules.as_str()), ("playbooks/p.yml", playbook.as_str())];
        let quell = Quell::start(&config, &files).await;
        Self { quell, people, shop }
    }

    /// Posts an alert, and gives what people are told when they have to act.
    async fn told(&self, labels: Value) -> String {
        let mut all = json!({ "alertname": "HighErrorRate", "severity": "critical" });
        all.as_object_mut().unwrap().extend(labels.as_object().unwrap().clone());
        let path = "/api/v1/webhook/alertmanager";
        let reply = self
            .quell
            .request(Method::POST, path)
            .json(&webhook("firing", &all))
            .send()
            .await
            .unwrap();
        assert!(reply.status().is_success(), "{reply:#?}");
        let notice = wait::until("a person is asked", wait::PATIENCE, async || {
            let requests = self.people.requests("/hook");
            let mut notices = requests.iter().map(|request| request.json()["notice"].take());
            notices.find(|it| it["kind"] == "needs_you").ok_or_else(|| self.quell.log())
        })
        .await;
        assert!(!self.quell.log().contains("hush"), "a credential was logged");
        let mut lines = vec![notice["headline"].as_str().unwrap()];
        lines.extend(notice["tried"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()));
        shown(&self.quell, &lines.join("\n"))
    }
}

#[tokio::test]
async fn a_parameter_that_fails_its_pattern() {
    let case = Case::new("shop", "    http: { method: POST, url: SHOP/restart }").await;
    let told = case.told(json!({ "service": "x; rm -rf /" })).await;
    insta::assert_snapshot!(told, @"parameter `service`: `x; rm -rf /` does not match the pattern [a-z0-9-]+: a person must take over");
    assert!(case.shop.effects().is_empty());
    let runs = case.quell.cli(&["runs", "--json"]).await.json();
    assert_eq!(runs, json!([]));
}

#[tokio::test]
async fn a_template_that_reads_a_label_the_alert_lacks() {
    let case =
        Case::new("{{ labels.servcie }}", "    http: { method: POST, url: SHOP/restart }").await;
    let told = case.told(json!({ "service": "shop" })).await;
    insta::assert_snapshot!(told, @"label `servcie` is not on this alert, did you mean `service`? (template `service/{{ labels.servcie }}`): a person must take over");
    assert!(case.shop.effects().is_empty());
}

#[tokio::test]
async fn a_redis_that_is_not_there() {
    let case = Case::new("shop", "    redis.flush: { server: cache }").await;
    let told = case.told(json!({ "service": "shop" })).await;
    insta::assert_snapshot!(without_times(&told), @"
    the only remedy did not help: a person must take over
    remedy on service/shop: step 1 (remedy) failed: could not reach redis `cache`: connection refused (r-1, [time] UTC)
    ");
}

#[tokio::test]
async fn a_program_that_is_not_there() {
    let case =
        Case::new("shop", "    command: { argv: [quell-no-such-program, \"{{ service }}\"] }")
            .await;
    let told = case.told(json!({ "service": "shop" })).await;
    insta::assert_snapshot!(without_times(&told), @"
    the only remedy did not help: a person must take over
    remedy on service/shop: step 1 (remedy) failed: could not start `quell-no-such-program`: no such program in PATH; write its whole path, or add its folder to PATH (r-1, [time] UTC)
    ");
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_its_group() {
    let folder = tempfile::TempDir::new().unwrap();
    let shell = "echo $$ > leader; sleep 600 & echo $! > child; wait";
    let step = format!(
        "    command: {{ shell: \"{shell}\", directory: \"{}\" }}\n    timeout: 1s",
        folder.path().display()
    );
    let case = Case::new("shop", &step).await;
    let told = case.told(json!({ "service": "shop" })).await;
    insta::assert_snapshot!(told, @"remedy on service/shop: in doubt: step 1 (remedy): killed after 1s with its whole process group; nobody knows how far it came; a person must say whether it happened: quell answer r-1 happened|did-not-happen");
    for name in ["leader", "child"] {
        let pid = fs::read_to_string(folder.path().join(name)).unwrap();
        let works_here = fs::read_link(format!("/proc/{}/cwd", pid.trim()));
        assert_ne!(works_here.ok().as_deref(), Some(folder.path()), "{name} lives");
    }
}

/// Run ids and clock times vary; `(r-1, 10:00:00 UTC)` becomes `(r-1, [time])`.
fn without_times(text: &str) -> String {
    let is_time = |word: &&str| word.len() == 8 && word.split(':').count() == 3;
    let times: Vec<&str> = text.split(' ').filter(is_time).collect();
    times.iter().fold(text.to_owned(), |text, time| text.replace(*time, "[time]"))
}

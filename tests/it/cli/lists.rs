//! `incidents`, `runs`, `notifications` and `audit`, before and after a story.

use std::fmt::Write as _;

use regex::Regex;
use reqwest::Method;
use serde_json::json;

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
    target: service/{{ labels.service }}
    response: [{ playbook: restart }]
    verify:
      scrape: { url: SHOP/metrics, select: shop_error_ratio }
      healthy: value < 0.05
      within: 1s
      hold: 1s
"#;

const PLAYBOOK: &str = "
playbook: restart
steps:
  - name: restart
    http: { method: POST, url: SHOP/restart }
";

async fn story() -> (Quell, Shop, Recorder) {
    let (shop, people) = (Shop::start().await, Recorder::start().await);
    let config = format!(
        "
storage: sqlite:quell.db
mode: auto
channels: {{ people: {{ webhook: {{ url: {} }} }} }}
severities: {{ critical: {{ notify: [people] }} }}
",
        people.url("/hook")
    );
    let fill = |text: &str| text.replace("SHOP", &shop.url(""));
    let (rules, playbook) = (fill(RULES), fill(PLAYBOOK));
    let files = [("rules/r.yml", rules.as_str()), ("playbooks/p.yml", playbook.as_str())];
    let quell = Quell::start(&config, &files).await;
    (quell, shop, people)
}

/// What differs from run to run, in place of it.
fn steady(text: &str) -> String {
    [
        (r"\d{4}-\d\d-\d\dT?", "[date]"),
        (r"\d\d:\d\d:\d\d(\.\d+)?Z?", "[time]"),
        (r"\b\d+ ?(s|ms|m)\b( ago)?( \d+(s|ms)\b)?", "[span]"),
        (r"127\.0\.0\.1:\d+", "[address]"),
        (r"\b[0-9a-f]{64}\b", "[digest]"),
        (r"log: .*: the log holds", "log: [so much]: the log holds"),
        // columns are as wide as what is in them
        (r"(\S) {2,}", "$1  "),
    ]
    .iter()
    .fold(text.to_owned(), |text, (pattern, with)| {
        Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned()
    })
}

/// Some commands as they would look in a terminal.
async fn session(quell: &Quell, lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        let said = quell.cli(&line.split(' ').collect::<Vec<_>>()).await;
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{line}: {said:#?}");
        write!(text, "$ quell {line}\n{}", said.out).unwrap();
    }
    steady(&text)
}

#[tokio::test]
async fn nothing_has_happened_yet() {
    let (quell, _shop, _people) = story().await;
    let lines =
        ["incidents", "incidents --all", "runs", "notifications", "audit verify", "runs --json"];
    insta::assert_snapshot!(session(&quell, &lines).await, @"
    $ quell incidents
    no open incidents; --all shows resolved ones
    $ quell incidents --all
    no incidents
    $ quell runs
    no runs
    $ quell notifications
    no dead notifications
    $ quell audit verify
    0 runs, 0 events: every chain holds
    log: [so much]: the log holds
    $ quell runs --json
    []
    ");
}

#[tokio::test]
async fn after_a_story() {
    let (quell, shop, people) = story().await;
    shop.inject(Fault::LeakedPool);
    let labels = json!({ "alertname": "HighErrorRate", "service": "shop", "severity": "critical" });
    let post = async |status: &str| {
        let request = quell.request(Method::POST, "/api/v1/webhook/alertmanager");
        let reply = request.json(&webhook(status, &labels)).send().await.unwrap();
        assert!(reply.status().is_success(), "{reply:#?}");
    };
    post("firing").await;
    let fixed = async || {
        let runs = quell.cli(&["runs", "--json"]).await.json();
        if runs[0]["state"] == "fixed" { Ok(()) } else { Err(runs) }
    };
    wait::until("the run has fixed it", wait::PATIENCE, fixed).await;
    insta::assert_snapshot!(session(&quell, &["incidents"]).await, @"
    $ quell incidents
    incident  status  for  what  rule
    i-1  open  [span]  shop: HighErrorRate, critical  errors
    ");
    post("resolved").await;
    people.received("/hook", 3).await;
    let told = async || {
        let pending = quell.cli(&["notifications", "--state", "pending", "--json"]).await.json();
        if pending == json!([]) { Ok(()) } else { Err(pending) }
    };
    wait::until("everybody is told", wait::PATIENCE, told).await;
    let lines = [
        "incidents",
        "incidents --all",
        "incidents i-1",
        "runs",
        "runs r-1",
        "notifications --state sent",
        "audit verify",
    ];
    insta::assert_snapshot!(session(&quell, &lines).await, @r#"
    $ quell incidents
    no open incidents; --all shows resolved ones
    $ quell incidents --all
    incident  status  for  what  rule
    i-1  resolved  [span]  shop: HighErrorRate, critical  errors
    $ quell incidents i-1
    i-1  shop: HighErrorRate, critical  resolved
      rule  errors
      opened  [date] [time] UTC ([span])
      resolved  [date] [time] UTC (after [span])
      e-1  HighErrorRate{service="shop", severity="critical"} resolved, by local
      decision  restart proceed: 30 of 30 guards proceed
      r-1  restart on service/shop: verified: 0.001 (healthy: value < 0.05)
      told  people: sent: HighErrorRate{service="shop", severity="critical"} is firing; rule errors has one remedy, which quell judges now
      told  people: sent: restart on service/shop: verified: 0.001 (healthy: value < 0.05)
      told  people: sent: resolved after [span]: restart helped
    $ quell runs
    run  state  started  incident  what
    r-1  fixed  [date] [time] UTC  i-1  restart on service/shop: verified: 0.001 (healthy: value < 0.05)
    $ quell runs r-1
    r-1  restart on service/shop: verified: 0.001 (healthy: value < 0.05)
      state  fixed
      incident  i-1, rule errors, remedy 1 of 1
      rules  [digest]
      plan  restart mode auto, tier 1, digest [digest]
                 step 1 restart: http
      did  step 1/1 restart: `http://[address]` answered 200 in [span]
        1  [time]  planned: restart on service/shop
        2  [time]  step 1/1 restart: http POST http://[address]/restart
        3  [time]  step 1/1 restart: `http://[address]` answered 200 in [span]
        4  [time]  verifying
        5  [time]  healthy: 0.001 (healthy: value < 0.05)
        6  [time]  healthy: 0.001 (healthy: value < 0.05)
    $ quell notifications --state sent
    incident  channel  tries  since  what  error
    i-1  people  1  [date] [time] UTC  resolved after [span]: restart helped
    i-1  people  1  [date] [time] UTC  restart on service/shop: verified: 0.001 (healthy: value < 0.05)
    i-1  people  1  [date] [time] UTC  HighErrorRate{service="shop", severity="critical"} is firing; rule errors has one remedy, which quell judges now
    $ quell audit verify
    1 run, 6 events: every chain holds
    log: [so much]: the log holds
    "#);
}

//! The story that is interrupted: the pool of the shop leaks; a flush does not help, a restart does.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::quell::Quell;
use crate::support::quell::step_of;
use crate::support::recorder::Recorder;
use crate::support::shop::Fault;
use crate::support::shop::Shop;
use crate::support::wait;

const CONFIG: &str = "
storage: sqlite:quell.db
mode: auto
rules: [rules/]
playbooks: [playbooks/]
channels: { people: { webhook: { url: HOOK } } }
severities: { critical: { notify: [people] } }
";

const RULES: &str = r#"
checks:
  - name: error-rate
    cron: "* * * * * *"
    probe: { scrape: { url: SHOP/metrics, select: shop_error_ratio }, healthy: value < 0.05 }
    consecutive: 1
    labels: { alertname: HighErrorRate, service: shop, severity: critical }
rules:
  - name: error-rate
    match: [alertname="HighErrorRate"]
    target: process/shop
    response: [{ playbook: flush }, { playbook: restart }]
    verify:
      scrape: { url: SHOP/metrics, select: shop_error_ratio }
      healthy: value < 0.05
      within: 1s
      hold: 1s
      unharmed:
        - name: errors
          scrape: { url: SHOP/metrics, select: shop_error_ratio }
          worse: value > before + 0.5
"#;

const FLUSH: &str = "
playbook: flush
steps:
  - name: flush
    http: { method: DELETE, url: SHOP/cache }
    on_unknown: retry
";

/// `on_resolve` is the last effect of the story.
const RESTART: &str = "
playbook: restart
steps:
  - name: restart
    http: { method: POST, url: SHOP/restart }
    on_unknown: ON_UNKNOWN
on_resolve:
  - name: flush what piled up
    http: { method: DELETE, url: SHOP/cache }
    on_unknown: retry
";

/// Notices of the whole story.
pub(crate) const TOLD: usize = 5;

/// Everything it takes place in; quell is not started yet.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) shop: Shop,
    pub(crate) people: Recorder,
    pub(crate) quell: Quell,
}

impl Story {
    /// With this `on_unknown` of the restart.
    pub(crate) async fn new(on_unknown: &str) -> Self {
        let (shop, people) = (Shop::start().await, Recorder::start().await);
        let fill = |text: &str| {
            text.replace("SHOP", &shop.url(""))
                .replace("HOOK", &people.url("/hook"))
                .replace("ON_UNKNOWN", on_unknown)
        };
        let files = [
            ("rules/shop.yml", fill(RULES)),
            ("playbooks/flush.yml", fill(FLUSH)),
            ("playbooks/restart.yml", fill(RESTART)),
        ];
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let quell = Quell::prepare(&fill(CONFIG), &files);
        shop.inject(Fault::LeakedPool);
        Self { shop, people, quell }
    }

    /// Waits for the end of the story, or that of the process: then with its exit status.
    pub(crate) async fn plays(&mut self) -> Option<std::process::ExitStatus> {
        wait::until("the end of the story", wait::PATIENCE, async || {
            if let Some(status) = self.quell.ended() {
                return Ok(Some(status));
            }
            let (told, keys) = (self.told(), self.effects());
            let over = told.len() == TOLD && keys.contains_key("r-3/1");
            if over { Ok(None) } else { Err((told, keys)) }
        })
        .await
    }

    /// Effects on the shop: how often each key was used.
    pub(crate) fn effects(&self) -> BTreeMap<String, usize> {
        let mut keys = BTreeMap::new();
        for effect in self.shop.effects() {
            let key = step_of(effect.headers["idempotency-key"].to_str().unwrap()).to_owned();
            *keys.entry(key).or_default() += 1;
        }
        keys
    }

    /// Kinds of the notices that people got, each notice once, in order of arrival.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let new = |request: &crate::support::recorder::Request| {
            let key = request.header("idempotency-key").to_owned();
            let kind = request.json()["notice"]["kind"].as_str().unwrap().to_owned();
            seen.insert(key).then_some(kind)
        };
        self.people.requests("/hook").iter().filter_map(new).collect()
    }

    /// A run's journal, as events.
    pub(crate) async fn journal(&self, run: &str) -> Vec<Value> {
        let shown = self.quell.cli(&["runs", run, "--json"]).await.json();
        let journal = shown["journal"].as_array().unwrap();
        journal.iter().map(|entry| entry["event"].clone()).collect()
    }
}

//! What every experiment starts with: units that fall ill, people to be told, and quell with its limits as they ship.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::support::plant::Plant;
use crate::support::quell::Quell;
use crate::support::recorder::Answer;
use crate::support::recorder::Recorder;
use crate::support::wait;

/// Where the recorder stands for `PagerDuty` and Slack.
pub(crate) const PAGER: &str = "/v2/enqueue";
pub(crate) const SLACK: &str = "/slack/T00/B00/hush-slack";

pub(super) const RESTART: &str = r#"
playbook: restart
parameters: { unit: { type: string, pattern: "[a-z0-9-]+", required: true } }
steps:
  - name: restart
    http: { server: plant, method: POST, url: "/restart/{{ unit }}" }
    on_unknown: retry
"#;

/// The target and the people; quell is made of it as often as needed.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) plant: Plant,
    pub(crate) people: Recorder,
    /// quell.yml, to be changed before [`Self::quell`].
    pub(crate) config: Value,
    /// The rules.
    pub(crate) rules: Value,
    /// Playbooks, by file name.
    pub(crate) playbooks: Vec<(&'static str, String)>,
}

impl Rig {
    /// One rule: a unit that is ill is restarted, and it helped when the unit says that it is healthy. Everything is at its
    /// default but the mode.
    pub(crate) async fn new() -> Self {
        let (plant, people) = (Plant::start().await, Recorder::start().await);
        people.always(PAGER, Answer::status(202));
        let config = json!({
            "storage": "sqlite:quell.db",
            "mode": "auto",
            "targets": { "http": { "plant": { "url": plant.url("") } } },
            "operators": [
                { "name": "dana", "tier": 4, "token": "hush-dana-0123456789" },
                { "name": "kim", "tier": 4, "token": "hush-kim-0123456789" },
            ],
            "channels": {
                "slack": { "slack": { "webhook_url": people.url(SLACK) } },
                "pager": { "pagerduty": {
                    "routing_key": "0123456789abcdef0123456789abcdef", "url": people.url("") } },
            },
            "severities": { "critical": { "notify": ["slack", "pager"] } },
            "link_key": "hush-0123456789abcdef0123456789abcdef",
        });
        let rules = json!({ "rules": [{
            "name": "ill",
            "match": ["alertname=\"UnitIll\"", "unit!=\"\""],
            "group_by": ["unit"],
            "target": "unit/{{ labels.unit }}",
            "response": [{ "playbook": "restart", "with": { "unit": "{{ labels.unit }}" } }],
            "verify": {
                "scrape": { "url": plant.url("/metrics/{{ labels.unit }}"), "select": "unit_healthy" },
                "healthy": "value == 1.0", "within": "2s", "hold": "1s",
            },
        }] });
        let playbooks = vec![("restart.yml", RESTART.to_owned())];
        Self { plant, people, config, rules, playbooks }
    }

    /// The first rule.
    pub(crate) fn rule(&mut self) -> &mut Value {
        &mut self.rules["rules"][0]
    }

    /// quell with these files, in a folder and on a port of its own; nothing serves yet.
    pub(crate) fn quell(&self) -> Quell {
        let quell = Quell::prepare("", &[]);
        self.write(&quell);
        quell
    }

    /// Writes the files again.
    pub(crate) fn write(&self, quell: &Quell) {
        let mut config = self.config.clone();
        config["listen"] = json!(quell.address());
        config["external_url"] = json!(quell.url(""));
        quell.write("quell.yml", &config.to_string());
        quell.write("rules/rules.yml", &self.rules.to_string());
        for (name, text) in &self.playbooks {
            quell.write(&format!("playbooks/{name}"), text);
        }
    }

    /// quell with these files, serving.
    pub(crate) async fn serve(&self) -> Quell {
        let mut quell = self.quell();
        quell.serve().await;
        quell
    }

    /// Incidents that `PagerDuty` was told to page for.
    pub(crate) fn pages(&self) -> usize {
        let requests = self.people.requests(PAGER);
        let events = requests.iter().map(crate::support::recorder::Request::json);
        let triggers = events.filter(|it| it["event_action"] == "trigger");
        triggers.map(|it| it["dedup_key"].to_string()).collect::<BTreeSet<_>>().len()
    }

    /// What `PagerDuty` was told to page for, in words.
    pub(crate) fn page_words(&self) -> Vec<String> {
        let requests = self.people.requests(PAGER);
        let events = requests.iter().map(crate::support::recorder::Request::json);
        let triggers = events.filter(|it| it["event_action"] == "trigger");
        triggers.map(|it| it["payload"]["summary"].to_string()).collect()
    }

    /// Waits until `PagerDuty` pages for `count` incidents, or more.
    pub(crate) async fn paged(&self, count: usize) {
        wait::until(&format!("{count} pages"), wait::PATIENCE, async || {
            let pages = self.pages();
            if pages >= count { Ok(()) } else { Err(pages) }
        })
        .await;
    }

    /// Waits until Slack is told something with `text` in it; gives it back.
    pub(crate) async fn told(&self, text: &str) -> String {
        wait::until(&format!("people are told: {text}"), wait::PATIENCE, async || {
            let messages = self.messages();
            messages.iter().find(|it| it.contains(text)).cloned().ok_or(messages)
        })
        .await
    }

    /// What Slack was told, each message as its JSON.
    pub(crate) fn messages(&self) -> Vec<String> {
        let requests = self.people.requests(SLACK);
        requests.iter().map(|it| String::from_utf8_lossy(&it.body).into_owned()).collect()
    }

    /// Prints what the experiment came to, for people: effects, pages, and how long it took to stop, where it had to.
    pub(crate) fn report(&self, number: u32, name: &str, stopped: Option<Duration>) {
        let (effects, pages) = (self.plant.effects().len(), self.pages());
        let stopped = stopped.map_or("nothing to stop".to_owned(), |it| {
            format!("stopped after {:.2} s", it.as_secs_f64())
        });
        #[expect(clippy::print_stdout, reason = "this line is what the experiment is for")]
        {
            println!("experiment {number}, {name}: {effects} effects, {pages} pages, {stopped}");
        }
    }
}

/// When the alerts of experiments began, unless they say otherwise.
pub(crate) const STARTED: &str = "2026-01-05T10:00:00Z";

/// One alert of a unit, as Alertmanager would put it into a body.
pub(crate) fn alert(status: &str, unit: &str, starts_at: &str) -> Value {
    let ends_at =
        if status == "resolved" { "2026-01-05T10:05:00Z" } else { "0001-01-01T00:00:00Z" };
    json!({
        "status": status,
        "labels": { "alertname": "UnitIll", "unit": unit, "severity": "critical" },
        "annotations": {}, "startsAt": starts_at, "endsAt": ends_at,
    })
}

/// A webhook body with these alerts.
pub(crate) fn body(status: &str, alerts: &[Value]) -> Value {
    json!({ "version": "4", "receiver": "quell", "status": status, "alerts": alerts })
}

/// Posts the alert of a unit.
pub(crate) async fn post(quell: &Quell, status: &str, unit: &str) -> Value {
    let alert = alert(status, unit, STARTED);
    quell.post("/api/v1/webhook/alertmanager", &body(status, &[alert])).await
}

/// The states of all runs, in order of start: `r-1 restart fixed`.
pub(crate) async fn runs(quell: &Quell) -> Vec<String> {
    let mut listed = Vec::new();
    let mut path = "/api/v1/runs?limit=500".to_owned();
    loop {
        let page = quell.get(&path).await;
        let items = page["items"].as_array().unwrap_or_else(|| panic!("{page:#}"));
        let word = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
        for it in items {
            let number: u64 = word(it, "id").trim_start_matches("r-").parse().unwrap();
            listed.push((
                number,
                format!("{} {} {}", word(it, "id"), word(it, "playbook"), word(it, "state")),
            ));
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/runs?limit=500&cursor={next}"),
            None => break,
        }
    }
    listed.sort();
    listed.into_iter().map(|(_, it)| it).collect()
}

/// Waits until the runs are these.
pub(crate) async fn until_runs(quell: &Quell, expected: &[&str]) {
    wait::until(&format!("runs are {expected:?}"), wait::PATIENCE, async || {
        let runs = runs(quell).await;
        if runs == expected { Ok(()) } else { Err(runs) }
    })
    .await;
}

/// The reasons of the last decisions, the newest first.
pub(crate) async fn reasons(quell: &Quell) -> Vec<String> {
    let page = quell.get("/api/v1/decisions?limit=500").await;
    let items = page["items"].as_array().unwrap_or_else(|| panic!("{page:#}"));
    items.iter().map(|it| it["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Waits until `count` decisions have `text` in their reason; gives back the reasons of all.
pub(crate) async fn decided(quell: &Quell, text: &str, count: usize) -> Vec<String> {
    wait::until(&format!("{count} decisions say: {text}"), wait::PATIENCE, async || {
        let reasons = reasons(quell).await;
        let found = reasons.iter().filter(|it| it.contains(text)).count();
        if found >= count { Ok(reasons) } else { Err(reasons) }
    })
    .await
}

/// Now, by the clock that the target notes effects by.
pub(crate) fn now() -> Timestamp {
    quell::clock::Clock::System.now()
}

/// `audit verify` finds nothing.
pub(crate) async fn audit_holds(quell: &Quell) {
    let audit = quell.cli(&["audit", "verify"]).await;
    assert_eq!(audit.code, 0, "{audit:#?}");
}

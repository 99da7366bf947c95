//! A shop whose cache is a real Redis, the people around it, and quell: what every journey starts with.

use std::fs;

use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use crate::support::alertmanager::Alertmanager;
use crate::support::prometheus::Prometheus;
use crate::support::prometheus::Watch;
use crate::support::quell::Quell;
use crate::support::recorder::Answer;
use crate::support::recorder::Recorder;
use crate::support::redis::Redis;
use crate::support::shop::Shop;
use crate::support::smtp::Security;
use crate::support::smtp::Smtp;
use crate::support::wait;

/// Where the recorder stands for Slack, for a second room of it, and for `PagerDuty`.
pub(crate) const SLACK: &str = "/slack/T00/B00/hush-slack";
pub(crate) const BOSS: &str = "/slack/T00/B11/hush-boss";
pub(crate) const PAGER: &str = "/v2/enqueue";

const RATIO: &str =
    r#"sum(rate(shop_requests_total{status="503"}[3s])) / sum(rate(shop_requests_total[3s]))"#;

const PLAYBOOKS: [(&str, &str); 5] = [
    ("playbooks/flush-cache.yml", include_str!("playbooks/flush-cache.yml")),
    ("playbooks/restart.yml", include_str!("playbooks/restart.yml")),
    ("playbooks/degrade.yml", include_str!("playbooks/degrade.yml")),
    ("playbooks/maintenance.yml", include_str!("playbooks/maintenance.yml")),
    ("playbooks/drip.yml", include_str!("playbooks/drip.yml")),
];

/// Everything of one journey.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) quell: Quell,
    pub(crate) shop: Shop,
    pub(crate) redis: Redis,
    /// Slack and `PagerDuty`.
    pub(crate) people: Recorder,
    mail: Option<Smtp>,
    alertmanager: Option<Alertmanager>,
    prometheus: Option<Prometheus>,
    /// quell.yml. JSON is YAML, and a test can change it before `serve` or `write`.
    pub(crate) config: Value,
    /// The only rule, until a test adds another.
    pub(crate) rules: Value,
}

impl Site {
    /// One rule: flush the cache, and look at the shop's own metrics whether that helped. Nothing serves yet.
    pub(crate) async fn new() -> Self {
        let redis = Redis::start().await;
        let shop = Shop::caching_in(&redis).await;
        let people = Recorder::start().await;
        people.always(PAGER, Answer::status(202));
        let quell = Quell::prepare("", &[("note.sh", "echo \"$*\" >> notes\n")]);
        for (path, text) in PLAYBOOKS {
            quell.write(path, &text.replace("@shop@", &shop.url("")));
        }
        let config = json!({
            "listen": quell.address(),
            "external_url": quell.url(""),
            "storage": "sqlite:quell.db",
            "mode": "auto",
            "rules": ["rules/"],
            "playbooks": ["playbooks/"],
            "targets": {
                "redis": { "cache": { "url": redis.url() } },
                "http": { "shop": { "url": shop.url("") } },
            },
            "operators": [
                { "name": "dana", "tier": 3, "token": "hush-dana-0123456789" },
                { "name": "kim", "tier": 1, "token": "hush-kim-0123456789" },
            ],
            "channels": {
                "slack": { "slack": { "webhook_url": people.url(SLACK) } },
                "boss": { "slack": { "webhook_url": people.url(BOSS) } },
                "pager": { "pagerduty": {
                    "routing_key": "0123456789abcdef0123456789abcdef", "url": people.url("") } },
            },
            "severities": { "critical": { "notify": ["slack", "pager"] } },
            "limits": { "cooldown": "1s", "rate": "100 per 1h" },
        });
        let rules = json!({ "rules": [{
            "name": "shop-errors",
            "match": ["alertname=\"HighErrorRate\""],
            "group_by": ["service"],
            "target": "process/{{ labels.service }}",
            "response": [{ "playbook": "flush-cache" }],
            "verify": {
                "scrape": { "url": shop.url("/metrics"), "select": "shop_error_ratio" },
                "healthy": "value < 0.05", "within": "2s", "hold": "1s",
            },
        }] });
        let (mail, alertmanager, prometheus) = (None, None, None);
        Self { quell, shop, redis, people, mail, alertmanager, prometheus, config, rules }
    }

    /// Mail is told too, over real SMTP.
    pub(crate) async fn with_mail(mut self) -> Self {
        let smtp = Smtp::start(Security::Plain).await;
        self.config["channels"]["mail"] = json!({ "email": {
            "smtp": smtp.url(), "from": "quell@example.com", "to": ["oncall@example.com"] } });
        self.config["severities"]["critical"]["notify"] = json!(["slack", "pager", "mail"]);
        self.mail = Some(smtp);
        self
    }

    /// A real Alertmanager sends alerts here, and is asked for silences.
    pub(crate) async fn with_alertmanager(mut self) -> Self {
        let alertmanager = Alertmanager::sending_to(&self.quell.webhook()).await;
        self.config["alertmanager"] = json!({ "url": alertmanager.url("") });
        self.alertmanager = Some(alertmanager);
        self
    }

    /// A real Prometheus watches the shop, tells the Alertmanager if there is one, and is asked whether a remedy helped.
    pub(crate) async fn with_prometheus(mut self) -> Self {
        let watch = Watch {
            targets: vec![("shop", self.shop.address())],
            rules: prometheus_rules(),
            alertmanager: self.alertmanager.as_ref().map(Alertmanager::address),
            ..Watch::default()
        };
        let prometheus = Prometheus::start(&watch).await;
        self.config["prometheus"] = json!({ "url": prometheus.url("") });
        // twice what the rate looks back, and one scrape
        self.rule()["verify"] = json!({
            "promql": RATIO, "healthy": "value < 0.05", "within": "7s", "hold": "1s" });
        self.prometheus = Some(prometheus);
        self
    }

    /// The first rule, to be changed before `serve`.
    pub(crate) fn rule(&mut self) -> &mut Value {
        &mut self.rules["rules"][0]
    }

    /// These playbooks in this order.
    pub(crate) fn respond_with(&mut self, playbooks: &[&str]) {
        self.rule()["response"] = playbooks.iter().map(|it| json!({ "playbook": it })).collect();
    }

    /// Writes quell.yml and the rules.
    pub(crate) fn write(&self) {
        self.quell.write("quell.yml", &self.config.to_string());
        self.quell.write("rules/shop.yml", &self.rules.to_string());
    }

    /// Writes the files and serves.
    pub(crate) async fn serve(&mut self) {
        self.write();
        self.quell.serve().await;
    }

    pub(crate) fn mail(&self) -> &Smtp {
        self.mail.as_ref().unwrap()
    }

    pub(crate) fn alertmanager(&mut self) -> &mut Alertmanager {
        self.alertmanager.as_mut().unwrap()
    }

    pub(crate) fn prometheus(&mut self) -> &mut Prometheus {
        self.prometheus.as_mut().unwrap()
    }

    /// What Alertmanager would post of the shop's alert.
    pub(crate) async fn posts(&self, status: &str) -> Value {
        self.quell.post("/api/v1/webhook/alertmanager", &delivery(status, "shop", STARTED)).await
    }

    /// Everything stored of incident `number`; null while there is none.
    pub(crate) async fn incident(&self, number: u32) -> Value {
        let request = self.quell.request(Method::GET, &format!("/api/v1/incidents/i-{number}"));
        let reply = request.send().await.unwrap();
        if reply.status() == 404 { Value::Null } else { reply.json().await.unwrap() }
    }

    /// The `number`th incident of an alert that is not about quell itself, such as a disk that is nearly full where the tests run.
    pub(crate) async fn of_shop(&self, number: usize) -> Value {
        let page = self.quell.get("/api/v1/incidents?limit=100").await;
        let all = page["items"].as_array().unwrap().iter().rev();
        let name = |it: &Value| it["labels"]["alertname"].as_str().unwrap_or_default().to_owned();
        let mut theirs = all.filter(|it| !name(it).starts_with("Quell"));
        let id = theirs.nth(number - 1).and_then(|it| it["id"].as_str()).map(str::to_owned);
        match id {
            Some(id) => self.quell.get(&format!("/api/v1/incidents/{id}")).await,
            None => Value::Null,
        }
    }

    /// Waits until that incident is `open`, `acknowledged` or `resolved`.
    pub(crate) async fn until_of_shop(&self, number: usize, status: &str) -> Value {
        wait::until(&format!("incident {number} is {status}"), wait::PATIENCE, async || {
            let whole = self.of_shop(number).await;
            if whole["incident"]["status"] == status {
                Ok(whole)
            } else {
                Err((brief(&whole), self.last_words()))
            }
        })
        .await
    }

    /// Waits until incident 1, with everything of it, is as `check` wants it.
    pub(crate) async fn until(&self, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        wait::until(what, wait::PATIENCE, async || {
            let whole = self.incident(1).await;
            if check(&whole) { Ok(whole) } else { Err((brief(&whole), self.last_words())) }
        })
        .await
    }

    /// Waits until incident 1 is `open`, `acknowledged` or `resolved`.
    pub(crate) async fn until_it_is(&self, status: &str) -> Value {
        self.until(&format!("the incident is {status}"), |it| it["incident"]["status"] == status)
            .await
    }

    /// Waits until run `number` is in `state`; gives it back with plan and journal.
    pub(crate) async fn until_run(&self, number: u32, state: &str) -> Value {
        wait::until(&format!("run {number} is {state}"), wait::PATIENCE, async || {
            let request = self.quell.request(Method::GET, &format!("/api/v1/runs/r-{number}"));
            let whole: Value = request.send().await.unwrap().json().await.unwrap();
            if whole["run"]["state"] == state {
                Ok(whole)
            } else {
                Err((whole["run"].clone(), self.last_words()))
            }
        })
        .await
    }

    /// Waits until the server's log has `text` at least `count` times.
    pub(crate) async fn until_logged(&self, text: &str, count: usize) {
        wait::until(&format!("{count} times in the log: {text}"), wait::PATIENCE, async || {
            let seen = self.quell.log().matches(text).count();
            if seen >= count { Ok(()) } else { Err((seen, self.last_words())) }
        })
        .await;
    }

    fn last_words(&self) -> String {
        let log = self.quell.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Waits until a message to this room of Slack has `text`; gives it back.
    pub(crate) async fn told(&self, room: &str, text: &str) -> String {
        wait::until(&format!("{room} is told: {text}"), wait::PATIENCE, async || {
            let messages = self.messages(room);
            messages.iter().find(|it| it.contains(text)).cloned().ok_or(messages)
        })
        .await
    }

    /// The messages to this room of Slack: every text of each, and the URL of each button.
    pub(crate) fn messages(&self, room: &str) -> Vec<String> {
        let requests = self.people.requests(room);
        requests.iter().map(|it| texts(&it.json()).join("\n")).collect()
    }

    /// The events that `PagerDuty` got.
    pub(crate) fn pages(&self) -> Vec<Value> {
        self.people.requests(PAGER).iter().map(crate::support::recorder::Request::json).collect()
    }

    /// Waits for an event of this kind, and gives back the last one.
    pub(crate) async fn paged(&self, action: &str) -> Value {
        wait::until(&format!("PagerDuty gets {action}"), wait::PATIENCE, async || {
            let pages = self.pages();
            pages.iter().rfind(|it| it["event_action"] == action).cloned().ok_or(pages)
        })
        .await
    }

    /// What `note.sh` noted, in order.
    pub(crate) fn notes(&self) -> Vec<String> {
        let text = fs::read_to_string(self.quell.folder().join("notes")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// The rules file of the real Prometheus.
pub(crate) fn prometheus_rules() -> String {
    json!({ "groups": [{ "name": "shop", "rules": [{
        "alert": "HighErrorRate",
        "expr": format!("{RATIO} > 0.05"),
        "labels": { "severity": "critical", "service": "shop" },
        "annotations": { "summary": "{{ $value | humanizePercentage }} of requests <fail> & more" },
    }] }] })
    .to_string()
}

/// When the alert of `delivery` began: before the test, as evidence that is fresh all the same.
pub(crate) const STARTED: &str = "2026-01-05T10:00:00.000Z";

/// A webhook body of Alertmanager 0.25, as captured, for this service's alert.
pub(crate) fn delivery(status: &str, service: &str, starts_at: &str) -> Value {
    let labels =
        json!({ "alertname": "HighErrorRate", "service": service, "severity": "critical" });
    let annotations = json!({ "summary": "37 % of requests <fail> & more" });
    let ends_at =
        if status == "firing" { "0001-01-01T00:00:00Z" } else { "2026-01-05T10:05:00.000Z" };
    json!({
        "receiver": "quell",
        "status": status,
        "alerts": [{
            "status": status, "labels": labels, "annotations": annotations,
            "startsAt": starts_at, "endsAt": ends_at,
            "generatorURL": "http://prometheus.example.com/graph?g0.expr=up&g0.tab=1",
        }],
        "groupLabels": labels, "commonLabels": labels, "commonAnnotations": annotations,
        "externalURL": "http://alertmanager.example.com",
        "version": "4",
        "groupKey": "{}:{alertname=\"HighErrorRate\", service=\"shop\", severity=\"critical\"}",
        "truncatedAlerts": 0,
    })
}

/// Playbook and state of each run, in order of start.
pub(crate) fn runs(whole: &Value) -> Vec<(String, String)> {
    let mut runs: Vec<&Value> = whole["runs"].as_array().into_iter().flatten().collect();
    runs.sort_by_key(|it| {
        it["id"].as_str().unwrap().trim_start_matches("r-").parse::<u32>().unwrap()
    });
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    runs.into_iter().map(|it| (text(&it["playbook"]), text(&it["state"]))).collect()
}

/// `runs` of these.
pub(crate) fn ran(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |it: &(&str, &str)| (it.0.to_owned(), it.1.to_owned());
    expected.iter().map(owned).collect()
}

/// The last decision: its verdict and reason.
pub(crate) fn decided(whole: &Value) -> (&str, &str) {
    let last = &whole["decisions"][0];
    (last["verdict"]["is"].as_str().unwrap_or(""), last["reason"].as_str().unwrap_or(""))
}

/// A mail's body with its quoted-printable taken back, as far as ASCII goes.
pub(crate) fn body(mail: &str) -> String {
    let text = mail.replace("\r\n", "\n");
    let (_, body) = text.split_once("\n\n").unwrap();
    body.replace("=\n", "").replace("=3D", "=")
}

/// What a test that waits in vain needs to see.
fn brief(whole: &Value) -> Value {
    let headlines = whole["notifications"].as_array().into_iter().flatten();
    json!({
        "status": whole["incident"]["status"],
        "decided": decided(whole),
        "runs": runs(whole),
        "told": headlines.map(|it| it["notice"]["headline"].clone()).collect::<Vec<_>>(),
    })
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, field)| match field {
                Value::String(text) if name == "text" || name == "url" => vec![text.clone()],
                _ => texts(field),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

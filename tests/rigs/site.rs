//! One runbook's site: real Prometheus, Alertmanager and SMTP, quell with the runbook's files, and people who are told.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::rigs::hurry::hurried;
use crate::support::alertmanager::Alertmanager;
use crate::support::prometheus::Prometheus;
use crate::support::prometheus::Watch;
use crate::support::quell::Quell;
use crate::support::recorder::Answer;
use crate::support::recorder::Recorder;
use crate::support::smtp::Security;
use crate::support::smtp::Smtp;
use crate::support::wait;

/// Longer than [`wait::PATIENCE`]: an alert has to be scraped, evaluated, grouped and sent first.
pub(super) const PATIENCE: Duration = Duration::from_secs(150);

/// Settings whose paths and times are of the real site: a test has its own folder and port, and may run on a Sunday.
const LEFT_OUT: [&str; 8] =
    ["listen", "external_url", "storage", "windows", "archive", "audit", "retention", "heartbeat"];

/// Beside the runbook's own alerts: the one that always fires.
const WATCHDOG: &str = "
  - name: watchdog
    rules:
      - { alert: Watchdog, expr: vector(1), labels: { severity: none } }
";

/// What is known before anything starts; see [`Plan::start`].
#[derive(Debug)]
pub(crate) struct Plan {
    name: &'static str,
    replaced: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    targets: Vec<(&'static str, String)>,
    labelled: Vec<(&'static str, String, BTreeMap<String, String>)>,
}

/// Everything of one runbook, serving.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) quell: Quell,
    pub(crate) prometheus: Prometheus,
    pub(crate) alertmanager: Alertmanager,
    /// Webhook, Slack and `PagerDuty`.
    pub(crate) people: Recorder,
    pub(crate) mail: Smtp,
}

impl Plan {
    /// The site of `docs/runbooks/NAME.quell.yml`.
    pub(crate) fn of(name: &'static str) -> Self {
        Self {
            name,
            replaced: Vec::new(),
            environment: Vec::new(),
            targets: Vec::new(),
            labelled: Vec::new(),
        }
    }

    /// Writes `new` for `old`, which must occur, in settings, rules, playbooks and alerting rules, before they are hurried: for
    /// addresses that are no credentials.
    pub(crate) fn replacing(mut self, old: &str, new: &str) -> Self {
        self.replaced.push((old.to_owned(), new.to_owned()));
        self
    }

    /// What `${env:NAME}` stands for. Those that nobody sets and this does not know are made up: credentials.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Prometheus scrapes `HOST:PORT` as this job.
    pub(crate) fn scraping(mut self, job: &'static str, address: String) -> Self {
        self.targets.push((job, address));
        self
    }

    /// The same, with labels beside job and instance.
    pub(crate) fn scraping_with(
        mut self,
        job: &'static str,
        address: String,
        labels: &[(&str, &str)],
    ) -> Self {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.labelled.push((job, address, labels.collect()));
        self
    }

    /// Starts everything, and waits until quell serves.
    pub(crate) async fn start(self) -> Site {
        let people = Recorder::start().await;
        people.always("/v2/enqueue", Answer::status(202));
        let mail = Smtp::start(Security::Plain).await;
        let mut quell = Quell::prepare("", &[]);
        let posts_to = "http://127.0.0.1:9797/api/v1/webhook/alertmanager";
        let alertmanager = read("alertmanager/alertmanager.yml");
        assert!(alertmanager.contains(posts_to), "it posts to quell");
        let alertmanager = hurried(&alertmanager).replace(posts_to, &quell.webhook());
        let alertmanager = Alertmanager::start(&alertmanager).await;
        let rules = self.text(&format!("alertmanager/rules/{}.yml", self.name)) + WATCHDOG;
        let prometheus = Prometheus::start(&Watch {
            targets: self.targets.clone(),
            labelled: self.labelled.clone(),
            rules,
            alertmanager: Some(alertmanager.address()),
        })
        .await;
        let known = [
            ("QUELL_PROMETHEUS_URL", prometheus.url("")),
            ("QUELL_ALERTMANAGER_URL", alertmanager.url("")),
            ("QUELL_SMTP_URL", mail.url().to_owned()),
            ("QUELL_WEBHOOK_URL", people.url("/told")),
            ("QUELL_SLACK_WEBHOOK", people.url("/slack")),
            ("QUELL_PAGERDUTY_URL", people.url("")),
        ];
        let mut environment = self.environment.clone();
        environment.extend(known.map(|(name, value)| (name.to_owned(), value)));
        let settings = self.text(&format!("docs/runbooks/{}.quell.yml", self.name));
        for name in between(&settings, "${env:", "}") {
            if environment.iter().all(|(known, _)| known != name) {
                environment.push((name.to_owned(), made_up(environment.len())));
            }
        }
        for (name, value) in &environment {
            quell = quell.with_env(name, value);
        }
        self.copy_files(&quell, &settings);
        self.every_replacement_was_made();
        quell.serve().await;
        Site { quell, prometheus, alertmanager, people, mail }
    }

    /// quell.yml, and the rules and playbooks that it names.
    fn copy_files(&self, quell: &Quell, settings: &str) {
        let own = format!(
            "listen: {}\nexternal_url: {}\nstorage: sqlite:quell.db\n",
            quell.address(),
            quell.url("")
        );
        quell.write("quell.yml", &(own + &without(settings, &LEFT_OUT).replace("../../", "")));
        let mut found = 0;
        for path in files(settings) {
            quell.write(path.to_str().unwrap(), &self.text(path.to_str().unwrap()));
            found += 1;
        }
        assert!(
            found > 1,
            "the settings name rules and playbooks as ../../rules/… and ../../playbooks/…"
        );
    }

    /// A file of the repository with its addresses and times.
    fn text(&self, path: &str) -> String {
        let replace = |text: String, (old, new): &(String, String)| text.replace(old, new);
        hurried(&self.replaced.iter().fold(read(path), replace))
    }

    fn every_replacement_was_made(&self) {
        let settings = format!("docs/runbooks/{}.quell.yml", self.name);
        let rules = format!("alertmanager/rules/{}.yml", self.name);
        let text = read(&settings);
        let rest = files(&text).into_iter().map(|it| read(it.to_str().unwrap()));
        let all: String = rest.chain([text.clone(), read(&rules)]).collect();
        for (old, _) in &self.replaced {
            assert!(all.contains(old), "nothing in the files of {} says {old}", self.name);
        }
    }
}

impl Site {
    /// Every incident with its decisions and runs, the oldest first; those about quell itself, such as a disk that is nearly
    /// full where the tests run, are not among them.
    pub(crate) async fn incidents(&self) -> Vec<Value> {
        let page = self.quell.get("/api/v1/incidents?limit=100").await;
        let mut found = Vec::new();
        for it in page["items"].as_array().unwrap().iter().rev() {
            if !it["labels"]["alertname"].as_str().unwrap_or_default().starts_with("Quell") {
                found.push(
                    self.quell
                        .get(&format!("/api/v1/incidents/{}", it["id"].as_str().unwrap()))
                        .await,
                );
            }
        }
        found
    }

    /// Waits until the last incident of this alert is as `check` wants it; gives it back.
    pub(crate) async fn until(
        &self,
        alert: &str,
        what: &str,
        check: impl Fn(&Value) -> bool,
    ) -> Value {
        wait::until(&format!("{alert}: {what}"), PATIENCE, async || {
            let all = self.incidents().await;
            let last = all.iter().rfind(|it| it["incident"]["labels"]["alertname"] == alert);
            match last {
                Some(whole) if check(whole) => Ok(whole.clone()),
                _ => Err((brief(&all), self.last_words())),
            }
        })
        .await
    }

    /// Waits until the last incident of this alert is `open`, `acknowledged` or `resolved`.
    pub(crate) async fn until_it_is(&self, alert: &str, status: &str) -> Value {
        self.until(alert, status, |it| it["incident"]["status"] == status).await
    }

    /// Waits until a run of this playbook is in `state`; gives it back with plan and journal.
    pub(crate) async fn until_run(&self, playbook: &str, state: &str) -> Value {
        wait::until(&format!("{playbook} is {state}"), PATIENCE, async || {
            let page = self.quell.get("/api/v1/runs?limit=100").await;
            let items = page["items"].as_array().unwrap();
            match items.iter().find(|it| it["playbook"] == playbook && it["state"] == state) {
                Some(run) => {
                    let path = format!("/api/v1/runs/{}", run["id"].as_str().unwrap());
                    Ok(self.quell.get(&path).await)
                }
                None => Err((
                    items.iter().map(run_words).collect::<Vec<_>>(),
                    brief(&self.incidents().await),
                    self.last_words(),
                )),
            }
        })
        .await
    }

    /// Waits until the last decision about this alert gives `verdict` for a reason with `text` in it, such as the name of a guard.
    pub(crate) async fn until_decided(&self, alert: &str, verdict: &str, text: &str) -> Value {
        self.until(alert, &format!("{verdict} for {text}"), |it| {
            let last = &it["decisions"][0];
            last["verdict"]["is"] == verdict
                && last["reason"].as_str().is_some_and(|it| it.contains(text))
        })
        .await
    }

    /// Waits until this query of Prometheus gives `at_least`, or more.
    pub(crate) async fn shows(&self, query: &str, at_least: u32) {
        wait::until(&format!("{query} is {at_least}"), PATIENCE, async || {
            let samples = self.prometheus.query(query).await;
            let enough = samples.iter().any(|(_, value)| *value >= f64::from(at_least));
            if enough { Ok(()) } else { Err(samples) }
        })
        .await;
    }

    /// Waits until Prometheus says that this alert fires, whatever came of it afterwards.
    pub(crate) async fn prometheus_fires(&self, alert: &str) {
        let query = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
        wait::until(&format!("{alert} fires"), PATIENCE, async || {
            let firing = self.prometheus.query(&query).await;
            if firing.is_empty() { Err(firing) } else { Ok(()) }
        })
        .await;
    }

    /// A person says yes to the run of this playbook that waits for it.
    pub(crate) async fn approve(&self, playbook: &str, by: &str) {
        let whole = self.until_run(playbook, "awaiting approval").await;
        let (id, digest) =
            (whole["run"]["id"].as_str().unwrap(), whole["run"]["digest"].as_str().unwrap());
        let said = self.quell.cli(&["approve", id, "--by", by, "--digest", digest]).await;
        assert_eq!(said.code, 0, "{said:#?}");
    }

    /// Waits until the webhook was told something with `text` in it; gives that back as JSON.
    pub(crate) async fn told(&self, text: &str) -> String {
        wait::until(&format!("people are told: {text}"), PATIENCE, async || {
            let bodies = self.people.requests("/told");
            let bodies: Vec<String> =
                bodies.iter().map(|it| String::from_utf8_lossy(&it.body).into_owned()).collect();
            bodies.iter().find(|it| it.contains(text)).cloned().ok_or(bodies)
        })
        .await
    }

    /// Waits until a mail with `text` in it has arrived.
    pub(crate) async fn mailed(&self, text: &str) -> String {
        wait::until(&format!("a mail says: {text}"), PATIENCE, async || {
            let mails: Vec<String> = self.mail.mails().into_iter().map(|it| it.data).collect();
            mails.iter().find(|it| it.replace("=\r\n", "").contains(text)).cloned().ok_or(mails)
        })
        .await
    }

    /// Nothing was recorded that the audit does not show.
    pub(crate) async fn audit_holds(&self) {
        let audit = self.quell.cli(&["audit", "verify"]).await;
        assert_eq!(audit.code, 0, "{audit:#?}");
    }

    fn last_words(&self) -> String {
        let log = self.quell.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

/// A credential: long enough for a token, and of the length that an integration key must have.
fn made_up(number: usize) -> String {
    format!("{number:032x}")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The rules and playbooks that the settings name as `../../…`, relative to the repository.
fn files(settings: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in settings.split("../../").skip(1) {
        let end =
            path.find(|c: char| c.is_whitespace() || ",]\"".contains(c)).unwrap_or(path.len());
        walk(&root().join(&path[..end]), &mut found);
    }
    found
}

fn walk(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            walk(&entry.unwrap().path(), found);
        }
    } else {
        found.push(path.strip_prefix(root()).unwrap().to_owned());
    }
}

/// Without these keys of the outermost level and all that is below them.
fn without(settings: &str, keys: &[&str]) -> String {
    let mut kept = Vec::new();
    let mut leaves_out = false;
    for line in settings.lines() {
        if let Some((key, _)) = line.split_once(':')
            && line.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            leaves_out = keys.contains(&key);
        }
        if !leaves_out {
            kept.push(line);
        }
    }
    kept.join("\n") + "\n"
}

fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |it| it.split_once(close)).map(|(inside, _)| inside)
}

/// What a test that waits in vain needs to see.
fn brief(incidents: &[Value]) -> Vec<String> {
    let each = incidents.iter().map(|whole| {
        let runs: Vec<String> =
            whole["runs"].as_array().into_iter().flatten().map(run_words).collect();
        format!(
            "{} {}: {} ({}); runs {runs:?}",
            whole["incident"]["labels"]["alertname"].as_str().unwrap_or_default(),
            whole["incident"]["status"].as_str().unwrap_or_default(),
            whole["decisions"][0]["verdict"]["is"].as_str().unwrap_or_default(),
            whole["decisions"][0]["reason"].as_str().unwrap_or_default(),
        )
    });
    each.collect()
}

fn run_words(run: &Value) -> String {
    let word = |key: &str| run[key].as_str().unwrap_or_default();
    format!("{} {} {} {}", word("id"), word("playbook"), word("state"), word("outcome"))
}

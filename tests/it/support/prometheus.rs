//! A real Prometheus that looks every second.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::http;
use crate::support::process;
use crate::support::process::Process;

/// What it watches, and whom it tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    /// Jobs and the `HOST:PORT` of each.
    pub(crate) targets: Vec<(&'static str, String)>,
    /// The same, each with labels of its own.
    pub(crate) labelled: Vec<(&'static str, String, BTreeMap<String, String>)>,
    /// A rules file; may be empty.
    pub(crate) rules: String,
    /// The `HOST:PORT` of an Alertmanager.
    pub(crate) alertmanager: Option<String>,
}

/// The server.
#[derive(Debug)]
pub(crate) struct Prometheus {
    url: String,
    client: reqwest::Client,
    process: Option<Process>,
    data: TempDir,
}

impl Prometheus {
    /// Scrapes and evaluates each second; tells the Alertmanager of each alert every five.
    pub(crate) async fn start(watch: &Watch) -> Self {
        let data = TempDir::new().unwrap();
        let url = format!("http://127.0.0.1:{}", process::port());
        write(&data, watch);
        let mut this = Self { url, client: http::client(), process: None, data };
        this.start_again().await;
        this
    }

    /// On the same port and data; after `stop`.
    pub(crate) async fn start_again(&mut self) {
        let path = |name: &str| self.data.path().join(name).to_str().unwrap().to_owned();
        let mut process = Process::start(
            [
                "prometheus",
                &format!("--config.file={}", path("prometheus.json")),
                &format!("--storage.tsdb.path={}", path("tsdb")),
                &format!("--web.listen-address={}", self.url.trim_start_matches("http://")),
                "--web.enable-lifecycle",
                "--rules.alert.resend-delay=5s",
                "--log.level=warn",
            ],
            &[],
            &self.data.path().join("log"),
        );
        let ready = self.url("/-/ready");
        process.ready(async || http::answers(&self.client, &ready).await).await;
        self.process = Some(process);
    }

    /// As an administrator would: what it has seen stays.
    pub(crate) async fn stop(&mut self) {
        self.process.take().unwrap().terminate().await;
    }

    /// The URL of `path`, which begins with a slash or is empty.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Changes what it watches, without losing what it has seen.
    pub(crate) async fn reload(&self, watch: &Watch) {
        write(&self.data, watch);
        let reply = self.client.post(self.url("/-/reload")).send().await.unwrap();
        assert!(
            reply.status().is_success(),
            "{}\n{}",
            reply.status(),
            self.process.as_ref().unwrap().log()
        );
    }

    /// The samples of an instant query, as labels and value.
    pub(crate) async fn query(&self, promql: &str) -> Vec<(Value, f64)> {
        let request = self.client.get(self.url("/api/v1/query")).query(&[("query", promql)]);
        let answer = http::json(request).await;
        let samples = answer["data"]["result"].as_array().unwrap();
        let value = |it: &Value| it["value"][1].as_str().unwrap().parse().unwrap();
        samples.iter().map(|it| (it["metric"].clone(), value(it))).collect()
    }
}

/// JSON is YAML, and needs no care with what the values contain.
fn write(data: &TempDir, watch: &Watch) {
    // a job has all its targets, with labels or without
    let mut jobs: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (job, address) in &watch.targets {
        jobs.entry(job).or_default().push(serde_json::json!({ "targets": [address] }));
    }
    for (job, address, labels) in &watch.labelled {
        let target = serde_json::json!({ "targets": [address], "labels": labels });
        jobs.entry(job).or_default().push(target);
    }
    let jobs =
        jobs.iter().map(|(job, all)| serde_json::json!({ "job_name": job, "static_configs": all }));
    let alertmanagers = watch.alertmanager.iter();
    let alertmanagers =
        alertmanagers.map(|it| serde_json::json!({ "static_configs": [{ "targets": [it] }] }));
    let config = serde_json::json!({
        "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
        "rule_files": [data.path().join("rules.yml")],
        "scrape_configs": jobs.collect::<Vec<_>>(),
        "alerting": { "alertmanagers": alertmanagers.collect::<Vec<_>>() },
    });
    fs::write(data.path().join("rules.yml"), &watch.rules).unwrap();
    fs::write(data.path().join("prometheus.json"), config.to_string()).unwrap();
}

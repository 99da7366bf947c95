//! A real Alertmanager that does not wait; it can be stopped and started again on the same data.

use std::fs;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::support::http;
use crate::support::process;
use crate::support::process::Process;

/// The server.
#[derive(Debug)]
pub(crate) struct Alertmanager {
    port: u16,
    client: reqwest::Client,
    process: Option<Process>,
    data: TempDir,
}

impl Alertmanager {
    /// Sends every alert to `url` by itself, a change of it after a second.
    pub(crate) async fn sending_to(url: &str) -> Self {
        let config = json!({
            "route": {
                "receiver": "quell", "group_by": ["..."],
                "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h",
            },
            "receivers": [{ "name": "quell", "webhook_configs": [{ "url": url }] }],
        });
        Self::start(&config.to_string()).await
    }

    /// With this `alertmanager.yml`.
    pub(crate) async fn start(config: &str) -> Self {
        let data = TempDir::new().unwrap();
        fs::write(data.path().join("alertmanager.yml"), config).unwrap();
        let client = http::client();
        let mut this = Self { port: process::port(), client, process: None, data };
        this.start_again().await;
        this
    }

    /// On the same port and data; after `stop`.
    pub(crate) async fn start_again(&mut self) {
        let path = |name: &str| self.data.path().join(name).to_str().unwrap().to_owned();
        let mut process = Process::start(
            [
                "prometheus-alertmanager",
                &format!("--config.file={}", path("alertmanager.yml")),
                &format!("--storage.path={}", path("data")),
                &format!("--web.listen-address={}", self.address()),
                "--cluster.listen-address=",
            ],
            &[],
            &self.data.path().join("log"),
        );
        let ready = self.url("/-/ready");
        process.ready(async || http::answers(&self.client, &ready).await).await;
        self.process = Some(process);
    }

    /// As an administrator would: it saves silences and what it sent, and forgets the alerts.
    pub(crate) async fn stop(&mut self) {
        self.process.take().unwrap().terminate().await;
    }

    /// `127.0.0.1:PORT`, as Prometheus wants it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of `path`, which begins with a slash or is empty.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Does what Prometheus does: alerts of the API's shape, such as `[{"labels": {…}}]`.
    pub(crate) async fn post(&self, alerts: &Value) {
        let reply = self.client.post(self.url("/api/v2/alerts")).json(alerts).send().await.unwrap();
        let status = reply.status();
        assert!(status.is_success(), "{status}: {}", reply.text().await.unwrap());
    }

    /// Every alert it knows, silenced ones too, each with its `status`.
    pub(crate) async fn alerts(&self) -> Vec<Value> {
        let answer = http::get_json(&self.client, &self.url("/api/v2/alerts")).await;
        answer.as_array().unwrap().clone()
    }

    /// Silences alerts with all these labels for an hour; gives back the silence's id.
    pub(crate) async fn silence(&self, labels: &[(&str, &str)]) -> String {
        let matchers = labels.iter().map(|(name, value)| {
            json!({ "name": name, "value": value, "isRegex": false, "isEqual": true })
        });
        let now = quell::clock::Clock::System.now();
        let silence = json!({
            "matchers": matchers.collect::<Vec<_>>(),
            "startsAt": now,
            "endsAt": now + jiff::SignedDuration::from_hours(1),
            "createdBy": "a test",
            "comment": "while somebody works on it",
        });
        let answer = self.client.post(self.url("/api/v2/silences")).json(&silence);
        http::json(answer).await["silenceID"].as_str().unwrap().to_owned()
    }

    /// Ends a silence.
    pub(crate) async fn unsilence(&self, id: &str) {
        let url = self.url(&format!("/api/v2/silence/{id}"));
        let reply = self.client.delete(url).send().await.unwrap();
        assert!(reply.status().is_success(), "{}", reply.status());
    }
}

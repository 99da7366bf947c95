//! What the tests of the edge share: a real server on loopback over a real store, and a client.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::http::HeaderMap;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::api::Explain;
use crate::api::State;
use crate::api::router;
use crate::clock::Clock;
use crate::decide::explain;
use crate::decide::explain::slot;
use crate::decide::machine;
use crate::library::Library;
use crate::model::action::Action;
use crate::model::action::Command;
use crate::model::config::Channel;
use crate::model::config::Config;
use crate::model::config::Ingest;
use crate::model::config::Operator;
use crate::model::config::Secret;
use crate::model::config::Severity;
use crate::model::explain::Asked;
use crate::model::explain::Question;
use crate::model::incident::Episode;
use crate::model::incident::EpisodeId;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::Notice;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;
use crate::model::incident::RunId;
use crate::model::labels::Labels;
use crate::model::playbook::Mode;
use crate::model::playbook::OnFailure;
use crate::model::playbook::OnUnknown;
use crate::model::playbook::Playbook;
use crate::model::playbook::Retry;
use crate::model::playbook::Step;
use crate::model::playbook::What;
use crate::model::run::Entry;
use crate::model::run::Event;
use crate::model::run::Intent;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::alerts::Intake;
use crate::store::runs::Row;
use crate::telemetry::Metrics;
use crate::wake::Reloaded;
use crate::wake::Wake;

/// When the tests happen: shortly after the captures were taken.
pub(super) const START: &str = "2026-11-21T02:40:00Z";
pub(super) const DANA: &str = "dana-token";
pub(super) const WEBHOOK: &str = "/api/v1/webhook/alertmanager";

/// A running server. Its tasks end when it is dropped.
pub(super) struct Quell {
    pub(super) state: State,
    pub(super) base: String,
    pub(super) reloads: mpsc::Receiver<oneshot::Sender<Reloaded>>,
    _folder: TempDir,
    client: reqwest::Client,
    writer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    tasks: JoinSet<()>,
}

/// A reply, read.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    /// Status, what a problem says, on one line.
    pub(super) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let json = self.json();
        assert_eq!(json["status"], self.status);
        assert_eq!(json["request_id"], self.header("x-request-id"));
        let word = |key: &str| json[key].as_str().unwrap().to_owned();
        format!("{} {} {}: {}", self.status, word("type"), word("title"), word("detail"))
    }
}

/// dana of tier 3 with a token, erin of tier 1 with one, and a Slack channel.
pub(super) fn config() -> Config {
    let operator = |name: &str, tier, token: &str| Operator {
        name: name.into(),
        email: None,
        slack_id: None,
        tier,
        token: Some(Secret::new(token)),
    };
    let critical = Severity { notify: vec!["slack".into()], ..Severity::default() };
    let slack = |url: &str| Channel::Slack { webhook_url: Secret::new(url) };
    Config {
        external_url: "https://quell.example.com".into(),
        operators: vec![operator("dana", 3, DANA), operator("erin", 1, "erin-token")],
        channels: [("slack".into(), slack("http://127.0.0.1:9/slack"))].into(),
        severities: [("critical".into(), critical)].into(),
        pause_file: "/nonexistent/quell.pause".into(),
        ingest: Ingest { max_wait: Duration::from_mins(1), ..Config::default().ingest },
        ..Config::default()
    }
}

impl Quell {
    pub(super) async fn start(library: Library) -> Self {
        let mut quell = Self::with(library, router).await;
        quell.write();
        quell
    }

    pub(super) async fn configured(config: Config) -> Self {
        Self::start(Library { config, ..Library::default() }).await
    }

    /// A server whose routes are made by `routes`, and whose store does not write alerts yet.
    pub(super) async fn with(library: Library, routes: fn(State) -> Router) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(START.parse().unwrap());
        let url = format!("sqlite:{}", folder.path().join("quell.db").display());
        let store = Store::open(&url, clock.clone()).await.unwrap();
        let limit = library.config.ingest.max_waiting_alerts;
        let (intake, writer) = Intake::new(store.clone(), limit, || {});
        let (wake, reloads) = Wake::new();
        let library = Arc::new(ArcSwap::from_pointee(library));
        let state = State {
            store,
            explain: by_files(&library),
            library,
            intake,
            wake: Arc::new(wake),
            metrics: Arc::new(Metrics::default()),
            link_key: Arc::from(&b"a key of the tests"[..]),
            clock,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let service = routes(state.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, service).await.unwrap() });
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let writer: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = Some(Box::pin(writer));
        Self { state, base, reloads, _folder: folder, client, writer, tasks }
    }

    /// Begins to write alerts that were accepted.
    pub(super) fn write(&mut self) {
        self.tasks.spawn(self.writer.take().unwrap());
    }

    /// Ends the writer before it wrote anything, as at a stop.
    /// The store has begun to write what waits, and stands still.
    pub(super) async fn write_and_stand_still(&mut self) {
        let writer = self.writer.as_mut().unwrap();
        assert!(futures_util::poll!(writer).is_pending());
    }

    pub(super) fn never_write(&mut self) {
        self.writer = None;
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let method: Method = method.parse().unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, text: response.text().await.unwrap() }
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    /// As dana.
    pub(super) async fn post(&self, path: &str, body: &str) -> Reply {
        let bearer = format!("Bearer {DANA}");
        self.send("POST", path, &[("authorization", &bearer)], body.to_owned()).await
    }

    /// Posts alerts from this machine.
    pub(super) async fn webhook(&self, body: impl Into<reqwest::Body>) -> Reply {
        self.send("POST", WEBHOOK, &[("content-type", "application/json")], body).await
    }

    /// An open incident of one episode, of which Slack was told.
    pub(super) async fn incident(&self) -> Incident {
        let labels: Labels =
            [("alertname", "HighErrorRate"), ("service", "<api>")].into_iter().collect();
        let new = incident(labels);
        let alert = r#"{"alerts":[{"status":"firing","labels":{"alertname":"HighErrorRate","service":"<api>"},"startsAt":"2026-11-21T02:28:00Z"}]}"#;
        assert_eq!(self.webhook(alert).await.status, 200);
        let owed = |it: &Incident| vec![told(it)];
        let (incident, opened) =
            self.state.store.incident_for(&new, EpisodeId(1), None, |_| false, owed).await.unwrap();
        assert!(opened);
        incident
    }

    /// A run of tier 3 for that incident, which waits for a person's yes. Returns its digest.
    pub(super) async fn awaiting_approval(&self) -> String {
        self.awaiting(1).await
    }

    /// The same for the yes of several people.
    pub(super) async fn awaiting(&self, approvals: u8) -> String {
        let incident = self.incident().await;
        let store = &self.state.store;
        let version = store.facts_version().await.unwrap();
        let plan = Plan { approvals, ..plan(&incident) };
        let id = store.create_run(version, &plan, 1, |_| Vec::new()).await.unwrap();
        store.run(id).await.unwrap().unwrap().digest
    }

    /// A run in the middle of a step of which nobody knows whether it happened.
    pub(super) async fn in_doubt(&self) {
        self.awaiting_approval().await;
        let store = &self.state.store;
        let digest = store.run(RunId(1)).await.unwrap().unwrap().digest;
        let claim = store.claim_run("test", Duration::from_mins(1)).await.unwrap();
        let mut claim = claim.unwrap();
        let intent =
            Intent { action: None, previous: None, timeout: Duration::ZERO, key: "r-1/1".into() };
        let by = "erin".to_owned();
        for event in [
            Event::Approved { by, digest },
            Event::StepStarted { step: 0, item: None, attempt: 1, intent },
            Event::Interrupted,
        ] {
            let row = Row {
                state: RunState::InDoubt,
                outcome: String::new(),
                inconclusive: false,
                due_at: None,
            };
            let seq = claim.entries.last().map_or(1, |last| last.seq + 1);
            let entry = Entry { seq, at: store.clock().now(), event };
            store.append(&mut claim, entry, &row, Vec::new()).await.unwrap();
        }
        let state = machine::fold(&claim.plan, &claim.entries).unwrap();
        assert_eq!(state.summary(), RunState::InDoubt);
    }
}

/// Explains by the files alone, which the edge cannot tell from the engine.
fn by_files(library: &Arc<ArcSwap<Library>>) -> Explain {
    let library = Arc::clone(library);
    Arc::new(move |question| {
        let library = library.load_full();
        Box::pin(async move {
            let Question { of, at } = question;
            let now = at.unwrap_or(START.parse().unwrap());
            let files = library.in_force();
            match of {
                Asked::Alert { labels, annotations, firing_for } => {
                    let episode = Episode::unstored("test", labels, annotations, now);
                    Ok(explain::offline(files, &episode, firing_for, now))
                }
                Asked::Schedule(name) => {
                    let first = slot::first(files, &name, now).map_err(StoreError::Missing)?;
                    Ok(slot::offline(files, &first.0, &first.1))
                }
            }
        })
    })
}

/// Waits until `condition` holds, for at most ten seconds.
pub(super) async fn until(condition: impl Fn() -> bool) {
    let deadline = tokio::time::timeout(Duration::from_secs(10), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    deadline.await.expect("the condition never held");
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn incident(labels: Labels) -> Incident {
    Incident {
        id: IncidentId(1),
        rule: "api-error-rate".into(),
        group_key: "g".into(),
        title: "<api>: HighErrorRate, critical".into(),
        severity: "critical".into(),
        labels,
        ..Incident::unstored(at("2026-11-21T02:28:00Z"))
    }
}

fn told(incident: &Incident) -> Owed {
    Owed {
        channel: "slack".into(),
        recipient: String::new(),
        notice: Notice {
            kind: NoticeKind::Opened,
            incident: incident.id,
            title: incident.title.clone(),
            severity: incident.severity.clone(),
            headline: "is firing".into(),
            details: Vec::new(),
            tried: Vec::new(),
            proposes: None,
            labels: incident.labels.clone(),
            opened_at: incident.opened_at,
            at: incident.opened_at,
        },
    }
}

fn plan(incident: &Incident) -> Plan {
    let restart = Step {
        name: "restart".into(),
        what: What::Action(Action::Command(Command {
            argv: vec!["systemctl".into(), "restart".into(), "api".into()],
            ..Command::default()
        })),
        condition: None,
        each: None,
        hold: None,
        timeout: Duration::from_secs(30),
        retry: Retry::default(),
        on_failure: OnFailure::Abort,
        on_unknown: OnUnknown::Ask,
        undo: None,
        line: 4,
    };
    Plan {
        incident: incident.id,
        episode: EpisodeId(1),
        fingerprint: incident.labels.fingerprint(),
        rule: incident.rule.clone(),
        remedy: 1,
        remedies: 1,
        target: "kubernetes/prod/deployment/api".into(),
        mode: Mode::Approve,
        tier: 3,
        approvals: 1,
        proposed_by: String::new(),
        lists: BTreeMap::new(),
        playbook: playbook(vec![restart]),
        parameters: BTreeMap::new(),
        labels: incident.labels.clone(),
        annotations: Labels::default(),
        verify: None,
        glass: None,
        group: String::new(),
        left_version: String::new(),
        approve_until: Some(at("2026-11-21T03:00:00Z")),
        rules_digest: String::new(),
        taken: serde_json::Map::new(),
    }
}

pub(super) fn playbook(steps: Vec<Step>) -> Playbook {
    Playbook {
        name: "restart".into(),
        description: "Restart the service.".into(),
        tier: 3,
        file: "playbooks/restart.yml".into(),
        ..machine::tests::playbook(steps)
    }
}

//! An HTTP server that keeps every request and answers as told: what stands for Slack, `PagerDuty`, or quell.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;

use crate::support::http::Gate;
use crate::support::http::Served;
use crate::support::wait;

/// What came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A header's value; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What goes back.
#[derive(Debug, Clone)]
pub(crate) struct Answer(StatusCode, HeaderMap, String);

impl Answer {
    /// With this status and an empty body.
    pub(crate) fn status(status: u16) -> Self {
        Self(StatusCode::from_u16(status).unwrap(), HeaderMap::new(), String::new())
    }

    /// And this header.
    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.1.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// And this body.
    pub(crate) fn body(self, body: impl Into<String>) -> Self {
        Self(self.0, self.1, body.into())
    }
}

/// The server.
#[derive(Debug)]
pub(crate) struct Recorder {
    served: Served,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    gate: Gate,
    requests: Mutex<Vec<Request>>,
    next: Mutex<BTreeMap<String, VecDeque<Answer>>>,
    always: Mutex<BTreeMap<String, Answer>>,
}

impl Recorder {
    /// Answers 200 `ok` everywhere until told otherwise.
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared {
            gate: Gate::new(),
            requests: Mutex::default(),
            next: Mutex::default(),
            always: Mutex::default(),
        });
        let router = Router::new().fallback(record).with_state(Arc::clone(&shared));
        Self { served: Served::start(router).await, shared }
    }

    /// The URL of `path`, which begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        self.served.url(path)
    }

    /// The answer to every request of `path`.
    pub(crate) fn always(&self, path: &str, answer: Answer) {
        self.shared.always.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// The answer to the next request of `path`, after those that wait already; then the usual one again.
    pub(crate) fn next(&self, path: &str, answer: Answer) {
        self.shared.next.lock().unwrap().entry(path.to_owned()).or_default().push_back(answer);
    }

    /// Requests are recorded at once; their answers wait while the gate is shut.
    pub(crate) fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// Those of `path` so far, in order of arrival.
    pub(crate) fn requests(&self, path: &str) -> Vec<Request> {
        let requests = self.shared.requests.lock().unwrap();
        let of_path = |it: &&Request| it.target.split('?').next() == Some(path);
        requests.iter().filter(of_path).cloned().collect()
    }

    /// Waits until `path` was requested `count` times, or more.
    pub(crate) async fn received(&self, path: &str, count: usize) -> Vec<Request> {
        wait::until(&format!("{count} requests of {path}"), wait::PATIENCE, async || {
            let requests = self.requests(path);
            if requests.len() >= count { Ok(requests) } else { Err(requests) }
        })
        .await
    }
}

async fn record(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request { method, target: uri.to_string(), headers, body };
    shared.requests.lock().unwrap().push(request);
    let next = shared.next.lock().unwrap().get_mut(uri.path()).and_then(VecDeque::pop_front);
    let answer = next.or_else(|| shared.always.lock().unwrap().get(uri.path()).cloned());
    shared.gate.pass().await;
    answer.map_or_else(
        || "ok".into_response(),
        |Answer(status, headers, body)| (status, headers, body).into_response(),
    )
}

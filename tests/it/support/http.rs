//! HTTP both ways: a client that talks to loopback only, and servers inside the test process.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::wait;

/// Follows no redirect, uses no proxy, gives up after ten seconds.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

/// Whether `url` answers 2xx; for waiting until a server does.
pub(crate) async fn answers(client: &reqwest::Client, url: &str) -> Result<(), String> {
    let reply = client.get(url).send().await.map_err(|e| format!("{e:?}"))?;
    let status = reply.status();
    if status.is_success() { Ok(()) } else { Err(format!("{url} answers {status}")) }
}

/// GET, and the JSON of a 2xx answer.
pub(crate) async fn get_json(client: &reqwest::Client, url: &str) -> serde_json::Value {
    json(client.get(url)).await
}

/// The JSON of a 2xx answer; panics with the body of any other. What an overloaded quell did not take is sent again.
pub(crate) async fn json(request: reqwest::RequestBuilder) -> serde_json::Value {
    let deadline = Instant::now() + wait::PATIENCE;
    loop {
        let reply = request.try_clone().unwrap().send().await.unwrap();
        let (url, status) = (reply.url().clone(), reply.status());
        let body = reply.text().await.unwrap();
        if status.as_u16() == 503 && body.contains("Q0510") && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        assert!(status.is_success(), "{url} answers {status}: {body}");
        return serde_json::from_str(&body).unwrap_or_else(|e| panic!("{url}: {e}: {body}"));
    }
}

/// A server inside the test process; stops listening when dropped.
#[derive(Debug)]
pub(crate) struct Served {
    address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Served {
    /// Serves `router` on a loopback port of its own.
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, _accepting: accepting }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// The URL of `path`, which begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Answers wait while it is shut: what a test does meanwhile happens in the middle of a request.
#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    /// Open.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// From now on answers wait.
    pub(crate) fn shut(&self) {
        self.0.send_replace(true);
    }

    /// Lets those go that wait.
    pub(crate) fn open(&self) {
        self.0.send_replace(false);
    }

    /// Returns when it is open.
    pub(crate) async fn pass(&self) {
        self.0.subscribe().wait_for(|shut| !shut).await.unwrap();
    }
}

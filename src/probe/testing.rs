//! A server for the tests of probes: a real one, with answers made by hand.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::routing::any;
use tokio::net::TcpListener;

use crate::model::config::Endpoint;
use crate::model::config::Secret;

/// Runs `test` beside a server.
pub(super) async fn beside<T>(router: Router, test: impl AsyncFnOnce(String) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::select! {
        result = test(url) => result,
        stopped = async { axum::serve(listener, router).await } => panic!("{stopped:?}"),
    }
}

/// Runs `test` beside a server that gives one answer to everything.
pub(super) async fn answering<T>(
    status: u16,
    content_type: &'static str,
    body: &str,
    test: impl AsyncFnOnce(String) -> T,
) -> T {
    let body = body.to_owned();
    let status = StatusCode::from_u16(status).unwrap();
    let router =
        Router::new().fallback(any(async move || (status, [("content-type", content_type)], body)));
    beside(router, test).await
}

/// Answers with `body` and keeps what it was asked: path and query, headers, body.
pub(super) type Asked = std::sync::Arc<std::sync::Mutex<Option<(String, HeaderMap, String)>>>;

/// A server that gives one answer and keeps the last question in `asked`.
pub(super) fn keeping(asked: &Asked, body: &'static str) -> Router {
    let asked = asked.clone();
    Router::new().fallback(any(async move |uri: Uri, headers: HeaderMap, sent: Bytes| {
        let sent = String::from_utf8(sent.to_vec()).unwrap();
        *asked.lock().unwrap() = Some((uri.to_string(), headers, sent));
        body
    }))
}

/// An endpoint with a tenant header.
pub(super) fn endpoint(url: &str) -> Endpoint {
    let headers = BTreeMap::from([("X-Scope-OrgID".to_owned(), Secret::new("shop"))]);
    Endpoint { url: url.to_owned(), headers }
}

/// A port of the loopback on which nothing listens.
pub(super) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

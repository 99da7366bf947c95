//! The limit: an axum handler that reads the body of a webhook into types, answers 200, and stores nothing.
//!
//! `bare PORT`. It has as many threads as the machine has cores, as quell has, and the same allocator.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::ExitCode;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use quell_bench_tools::Arguments;
use quell_bench_tools::ended;
use serde::Deserialize;

type Pairs<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

/// What Alertmanager posts; borrowed where the text has no escapes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read, and let go of")]
struct Webhook<'a> {
    #[serde(borrow)]
    receiver: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    alerts: Vec<Alert<'a>>,
    #[serde(borrow)]
    group_labels: Pairs<'a>,
    #[serde(borrow)]
    common_labels: Pairs<'a>,
    #[serde(borrow)]
    common_annotations: Pairs<'a>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    group_key: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read, and let go of")]
struct Alert<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    labels: Pairs<'a>,
    #[serde(borrow)]
    annotations: Pairs<'a>,
    #[serde(borrow)]
    starts_at: Cow<'a, str>,
    #[serde(borrow)]
    ends_at: Cow<'a, str>,
    #[serde(rename = "generatorURL", borrow)]
    generator_url: Cow<'a, str>,
    #[serde(borrow)]
    fingerprint: Cow<'a, str>,
}

async fn take(body: Bytes) -> StatusCode {
    match serde_json::from_slice::<Webhook<'_>>(&body) {
        Ok(webhook) => {
            black_box(webhook.alerts.len());
            StatusCode::OK
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

#[tokio::main]
async fn serve(port: u16) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("bare: port {port}: {error}");
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.map_err(failed)?;
    axum::serve(listener, Router::new().route("/", post(take))).await.map_err(failed)
}

fn main() -> ExitCode {
    let port = Arguments::of_process(&[]).and_then(|it| match it.others.as_slice() {
        [port] => port.parse().map_err(|_| format!("bare: {port:?} is no port")),
        _ => Err("usage: bare PORT".to_owned()),
    });
    ended(port.and_then(serve))
}

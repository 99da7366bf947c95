//! Against a server that answers as Prometheus does, from samples that it is given.

use std::sync::Arc;
use std::sync::Mutex;

use axum::Form;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::model::alert::AlertStatus;
use crate::model::time::before;
use crate::model::time::parse_duration;

const START: i64 = 1_767_607_200;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

/// What the server holds, and how it behaves.
#[derive(Default)]
struct Server {
    /// Alert name and seconds of its samples.
    series: Vec<(&'static str, Vec<i64>)>,
    /// Refuses spans longer than this many seconds.
    most: Option<u64>,
    /// Answers this instead.
    fault: Option<(u16, serde_json::Value)>,
    /// Spans asked for.
    asked: Mutex<Vec<u64>>,
}

async fn query(
    State(server): State<Arc<Server>>,
    Form(form): Form<Vec<(String, String)>>,
) -> (StatusCode, String) {
    let field = |name: &str| form.iter().find(|it| it.0 == name).unwrap().1.clone();
    let span = field("query");
    let span = span.strip_prefix("ALERTS{alertstate=\"firing\"}[").unwrap().trim_end_matches(']');
    let span = parse_duration(span).unwrap();
    server.asked.lock().unwrap().push(span.as_secs());
    if let Some((status, body)) = &server.fault {
        return (StatusCode::from_u16(*status).unwrap(), body.to_string());
    }
    if server.most.is_some_and(|most| span.as_secs() > most) {
        let error = "query processing would load too many samples into memory in query execution";
        let body = json!({ "status": "error", "errorType": "execution", "error": error });
        return (StatusCode::UNPROCESSABLE_ENTITY, body.to_string());
    }
    let to: Timestamp = field("time").parse().unwrap();
    let from = before(to, span);
    let result: Vec<_> = server
        .series
        .iter()
        .map(|(name, samples)| {
            let inside = samples.iter().filter(|it| at(**it) >= from && at(**it) <= to);
            let values: Vec<_> = inside.map(|it| json!([START + it, "1"])).collect();
            let metric = json!({ "__name__": "ALERTS", "alertname": name, "alertstate": "firing" });
            json!({ "metric": metric, "values": values })
        })
        .filter(|series| series["values"] != json!([]))
        .collect();
    let body = json!({ "status": "success", "data": { "resultType": "matrix", "result": result } });
    (StatusCode::OK, body.to_string())
}

/// All transitions of the first `seconds`, as `seconds firing labels`.
async fn read(server: Server, seconds: i64) -> (Result<Vec<String>, String>, Vec<u64>) {
    let server = Arc::new(server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/api/v1/query", post(query)).with_state(Arc::clone(&server));
    let serving = tokio_util::task::TaskTracker::new();
    let serving = serving.spawn(async move {
        axum_server::from_tcp(listener.into_std().unwrap())
            .unwrap()
            .serve(router.into_make_service())
            .await
    });
    let labels = [("cluster", "eu"), ("alertname", "external")].into_iter().collect();
    let (since, until) = (at(0), at(seconds));
    let source = Source { url, headers: Vec::new(), since, until, gap: None, labels };
    let mut reader = Reader::new(source);
    let mut lines = Vec::new();
    let mut settled = Timestamp::MIN;
    let result = loop {
        match reader.read().await {
            Ok(None) => break Ok(lines),
            Err(error) => break Err(error.replace(&reader.source.url, "URL")),
            Ok(Some(chunk)) => {
                assert!((0.0..=1.0).contains(&chunk.done), "{}", chunk.done);
                for it in chunk.transitions {
                    assert!(it.at >= settled, "{} is before {settled}", it.at);
                    settled = it.at;
                    let firing = it.alert.status == AlertStatus::Firing;
                    let seconds = it.at.as_second() - START;
                    lines.push(format!("{seconds} {firing} {}", it.alert.labels));
                }
            }
        }
    };
    serving.abort();
    let asked = server.asked.lock().unwrap().clone();
    (result, asked)
}

fn every(step: usize, from: i64, to: i64) -> Vec<i64> {
    (from..=to).step_by(step).collect()
}

#[tokio::test]
async fn firings_are_put_together_over_spans_and_external_labels_are_added() {
    let day = 86_400;
    let series = vec![
        ("Watchdog", every(60, 0, day)),
        ("Flaps", [every(60, 600, 900), every(60, 1200, 1500)].concat()),
        // over the edge of the first span
        ("Long", every(60, 21_000, 22_200)),
    ];
    let (found, asked) = read(Server { series, ..Server::default() }, day).await;
    assert_eq!(
        found.unwrap(),
        [
            "0 true Watchdog{cluster=\"eu\"}",
            "600 true Flaps{cluster=\"eu\"}",
            "960 false Flaps{cluster=\"eu\"}",
            "1200 true Flaps{cluster=\"eu\"}",
            "1560 false Flaps{cluster=\"eu\"}",
            "21000 true Long{cluster=\"eu\"}",
            "22260 false Long{cluster=\"eu\"}",
        ]
    );
    assert_eq!(asked, [21_601; 4]);
}

#[tokio::test]
async fn a_span_that_is_too_much_is_halved() {
    let series = vec![("A", every(15, 100, 10_000))];
    let (found, asked) =
        read(Server { series, most: Some(6000), ..Server::default() }, 20_000).await;
    assert_eq!(found.unwrap(), ["100 true A{cluster=\"eu\"}", "10015 false A{cluster=\"eu\"}"]);
    assert_eq!(asked[..3], [20_001, 10_801, 5_401]);
}

#[tokio::test]
async fn what_is_no_history_is_said() {
    let partial = json!({ "status": "success", "data": { "resultType": "matrix", "result": [] }, "warnings": ["remote read failed"] });
    for (status, body, expected) in [
        (401, json!({}), "it refuses the credentials"),
        (
            400,
            json!({ "status": "error", "errorType": "bad_data", "error": "no" }),
            "Prometheus answered 400 bad_data: no",
        ),
        (404, json!("404 page not found"), "expected the answer of a Prometheus query, got 404"),
        (200, partial, "the answer is partial: remote read failed"),
        (
            200,
            json!({ "status": "success", "data": { "resultType": "vector" } }),
            "expected a matrix of ALERTS, got a vector",
        ),
    ] {
        let server = Server { fault: Some((status, body)), ..Server::default() };
        let error = read(server, 60).await.0.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

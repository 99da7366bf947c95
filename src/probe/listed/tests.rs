use std::collections::BTreeMap;

use axum::Router;
use axum::routing::any;
use serde_json::Value;
use serde_json::json;

use super::super::testing::beside;
use super::super::testing::endpoint;
use super::super::testing::nobody;
use super::*;

const DATE: &str = "Mon, 05 Jan 2026 10:00:00 GMT";

/// As Alertmanager 0.25 lists it; later ones add `mutedBy`.
fn gettable(name: &str, silenced: &[&str], muted: Option<&[&str]>) -> Value {
    let state = if silenced.is_empty() { "active" } else { "suppressed" };
    let mut status = json!({ "inhibitedBy": [], "silencedBy": silenced, "state": state });
    if let Some(muted) = muted {
        status["mutedBy"] = json!(muted);
    }
    json!({
        "annotations": { "summary": "errors" },
        "endsAt": "2026-01-05T10:09:00.000Z",
        "fingerprint": "1a2b3c4d5e6f7a8b",
        "receivers": [{ "name": "quell" }],
        "startsAt": "2026-01-05T11:30:00.123456789+02:00",
        "status": status,
        "updatedAt": "2026-01-05T10:05:00.000Z",
        "generatorURL": "http://prometheus:9090/graph",
        "labels": { "alertname": name, "empty": "" },
    })
}

fn group(receiver: &str, alerts: &[Value]) -> Value {
    json!({ "labels": {}, "receiver": { "name": receiver }, "alerts": alerts })
}

fn status(cluster: &str, config: &str) -> Value {
    json!({
        "cluster": { "name": "01", "peers": [], "status": cluster },
        "config": { "original": config },
        "uptime": "2026-01-05T08:00:00.000Z",
        "versionInfo": { "version": "0.25.0" },
    })
}

/// A server with these answers.
async fn seen(status: Value, groups: Value, alerts: Value) -> Result<Listing, String> {
    let answers: BTreeMap<&str, String> = [
        ("/api/v2/status", status.to_string()),
        ("/api/v2/alerts/groups", groups.to_string()),
        ("/api/v2/alerts", alerts.to_string()),
    ]
    .into();
    let router = answers.into_iter().fold(Router::new(), |router, (path, body)| {
        router.route(path, any(async move || ([("date", DATE)], body)))
    });
    beside(router, async |url| listing(&endpoint(&url)).await).await
}

#[tokio::test]
async fn joins_what_is_listed_with_where_it_would_be_sent() {
    let (a, b) = (gettable("A", &[], Some(&[])), gettable("B", &["s-1"], Some(&[])));
    let groups =
        json!([group("quell", std::slice::from_ref(&a)), group("mail", std::slice::from_ref(&a))]);
    let listing = seen(status("ready", ""), groups, json!([a, b])).await.unwrap();
    assert_eq!(listing.now.to_string(), "2026-01-05T10:00:00Z");
    assert_eq!(listing.up_since.to_string(), "2026-01-05T08:00:00Z");
    assert_eq!((&listing.unsettled, &listing.unrouted), (&None, &None));
    let [a, b] = listing.alerts.as_slice() else { panic!("{listing:#?}") };
    assert_eq!(a.receivers, ["mail", "quell"]);
    assert_eq!(a.alert.starts_at.unwrap().to_string(), "2026-01-05T09:30:00.123456Z");
    assert_eq!(a.alert.labels, [("alertname", "A")].into_iter().collect());
    assert_eq!(a.alert.annotations.get("summary"), "errors");
    assert_eq!(b.receivers, Vec::<String>::new(), "silenced, and known all the same");
}

#[tokio::test]
async fn what_is_muted_is_sent_nowhere_and_old_ones_that_mute_do_not_say() {
    let muted = gettable("A", &[], Some(&["weekend"]));
    let times = "route: { mute_time_intervals: [weekend] }";
    let groups = json!([group("quell", std::slice::from_ref(&muted))]);
    let new = seen(status("ready", times), groups, json!([muted])).await.unwrap();
    assert_eq!((new.alerts[0].receivers.len(), new.unrouted), (0, None));
    let old = gettable("A", &[], None);
    let groups = json!([group("quell", std::slice::from_ref(&old))]);
    let unsaid = seen(status("disabled", times), groups.clone(), json!([old])).await.unwrap();
    assert!(unsaid.unrouted.unwrap().contains("Alertmanager 0.25.0 does not say"));
    let without = seen(status("disabled", "route: {}"), groups, json!([old])).await.unwrap();
    assert_eq!((without.alerts[0].receivers.len(), without.unrouted), (1, None));
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let a = gettable("A", &[], None);
    let settling = seen(status("settling", ""), json!([]), json!([a])).await.unwrap();
    assert!(settling.unsettled.is_some());
    let mut broken = a.clone();
    broken["startsAt"] = json!("soon");
    for (status, groups, alerts) in [
        (json!({}), json!([]), json!([a])),
        (status("ready", ""), json!({}), json!([a])),
        (status("ready", ""), json!([]), json!([a, broken])),
        (status("ready", ""), json!([]), json!({ "status": "success" })),
    ] {
        let error = seen(status, groups, alerts).await.unwrap_err();
        assert!(error.contains("not its API"), "{error}");
    }
    let away = endpoint(&format!("http://{}", nobody().await));
    let error = listing(&away).await.unwrap_err();
    assert_eq!(error, "no answer from Alertmanager: connection refused");
}

#[tokio::test]
async fn what_prometheus_fires_is_whole_or_unknown() {
    let answer = |body: Value| {
        let body = body.to_string();
        let router = Router::new().fallback(any(async move || body));
        beside(router, async |url| firing(&endpoint(&url)).await)
    };
    let series = json!([{ "metric": { "alertname": "A" }, "value": [1_767_607_200, "1"] }]);
    let data = json!({ "resultType": "vector", "result": series });
    let whole = answer(json!({ "status": "success", "data": data.clone() })).await.unwrap();
    assert_eq!(whole, [[("alertname", "A")].into_iter().collect::<Labels>()]);
    let partial = json!({ "status": "success", "data": data, "warnings": ["results truncated due to limit"] });
    assert!(answer(partial).await.unwrap_err().contains("the answer is partial"));
}

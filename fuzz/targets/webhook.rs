//! Bodies of the webhook: none loses an alert. One that is read has every alert that it lists, and is read the same
//! when sent again as Alertmanager would write it; one that has alerts with labels is never refused.
#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use quell::model::alert::Alert;
use quell::model::alert::AlertStatus;
use quell::model::alert::Delivery;
use quell::webhook::Refused;
use quell::webhook::delivery;
use serde_json::Value;
use serde_json::json;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fuzz_target!(|bytes: &[u8]| {
    let read = delivery(bytes, "fuzz".into(), NOW);
    assert_eq!(read, delivery(bytes, "fuzz".into(), NOW));
    match &read {
        Ok(read) => {
            read.alerts.iter().for_each(is_whole);
            assert_eq!(Ok(read), delivery(&written(read), "fuzz".into(), NOW).as_ref());
        }
        Err(Refused::NotJson(reason) | Refused::NotAWebhook(reason)) => assert!(!reason.is_empty()),
    }
    let Ok(body) = serde_json::from_slice::<Value>(bytes) else { return };
    match (&read, listed(&body)) {
        (Ok(read), Some(alerts)) => assert_eq!(read.alerts.len(), alerts.len()),
        (Ok(_), None) => panic!("read, and lists no alerts"),
        // a key that is here twice is gone from what is sent again
        (Err(error), Some(alerts)) if plain(&body, alerts) => {
            let again = delivery(body.to_string().as_bytes(), "fuzz".into(), NOW);
            assert!(again.is_ok(), "refused: {error}");
        }
        (Err(_), _) => {}
    }
});

fn listed(body: &Value) -> Option<&Vec<Value>> {
    body.get("alerts")?.as_array()
}

/// Whether a body is what Alertmanager sends, as far as it matters.
fn plain(body: &Value, alerts: &[Value]) -> bool {
    let texts = |it: &Value| it.as_object().is_some_and(|it| it.values().all(Value::is_string));
    body.get("version").is_none_or(|it| it == "4")
        && alerts.iter().all(|alert| {
            let labels = alert.get("labels").filter(|it| texts(it)).and_then(Value::as_object);
            labels.is_some_and(|it| it.values().any(|value| value != ""))
                && alert.get("annotations").is_none_or(texts)
        })
}

fn is_whole(alert: &Alert) {
    assert!(!alert.labels.is_empty());
    let mut pairs = alert.labels.iter().chain(alert.annotations.iter());
    assert!(pairs.all(|(_, value)| !value.is_empty()));
    assert!(alert.ends_at.is_none() || alert.status == AlertStatus::Resolved);
    assert!(!alert.generator_url.contains(char::is_control));
    for at in alert.starts_at.iter().chain(&alert.ends_at) {
        assert_eq!(Timestamp::from_microsecond(at.as_microsecond()).ok(), Some(*at));
    }
}

/// As Alertmanager writes it (`protocols.md §1`): every field, the receiver quoted, zero times for absent ones.
fn written(delivery: &Delivery) -> Vec<u8> {
    let time =
        |at: Option<Timestamp>| at.map_or("0001-01-01T00:00:00Z".into(), |it| it.to_string());
    let alerts = delivery.alerts.iter().map(|alert| {
        json!({
            "status": alert.status,
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": time(alert.starts_at),
            "endsAt": time(alert.ends_at),
            "generatorURL": alert.generator_url,
            "fingerprint": alert.labels.fingerprint(),
        })
    });
    let body = json!({
        "version": "4",
        "receiver": quoted(&delivery.receiver),
        "truncatedAlerts": delivery.truncated,
        "alerts": alerts.collect::<Vec<_>>(),
    });
    body.to_string().into_bytes()
}

/// Go's `regexp.QuoteMeta`.
fn quoted(name: &str) -> String {
    let mut text = String::new();
    for char in name.chars() {
        if r"\.+*?()|[]{}^$".contains(char) {
            text.push('\\');
        }
        text.push(char);
    }
    text
}

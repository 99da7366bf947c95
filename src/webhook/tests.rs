use proptest::prelude::*;
use serde_json::json;

use super::*;

fn now() -> Timestamp {
    "2026-11-21T02:40:00Z".parse().unwrap()
}

fn parse(body: &str) -> Result<Delivery, String> {
    delivery(body.as_bytes(), "am".into(), now()).map_err(|refused| refused.to_string())
}

fn one(alert: &str) -> Alert {
    let delivery = parse(&format!(r#"{{"version":"4","alerts":[{alert}]}}"#)).unwrap();
    delivery.alerts.into_iter().next().unwrap()
}

#[test]
fn foreign_bodies_are_refused_with_what_was_got() {
    for (body, expected) in [
        (
            r#"{"text":"x","channel":"y"}"#,
            "expected version \"4\" with an alerts array, got an object with keys text, channel; a `payload:` in the receiver's webhook_config replaces the body: remove it",
        ),
        (
            "{}",
            "expected version \"4\" with an alerts array, got an object with no keys; a `payload:` in the receiver's webhook_config replaces the body: remove it",
        ),
        (
            r#"{"alerts":[{"labels":{"alertname":"A"}}],"alerts":[]}"#,
            "`alerts` is here twice, and one of them would be lost",
        ),
        (
            r#"[{"labels":{"alertname":"A"}}]"#,
            "expected an object with version \"4\" and an alerts array, got an array, as Alertmanager's own /api/v2/alerts takes; or a `payload:` in the receiver's webhook_config replaces the body: remove it",
        ),
        (
            "\"hello\"",
            "invalid type: string \"hello\", expected an object with version \"4\" and an alerts array",
        ),
        ("null", "invalid type: null, expected an object with version \"4\" and an alerts array"),
        (
            r#"{"version":"5","alerts":[]}"#,
            "expected version \"4\" with an alerts array, got version \"5\"",
        ),
        (
            r#"{"version":"4","alerts":{"a":1}}"#,
            "invalid type: map, expected alerts to be an array of objects",
        ),
        (
            r#"{"version":"4","alerts":[{"labels":{"a":"b"}},7]}"#,
            "alerts[1]: invalid type: integer `7`, expected an object with labels",
        ),
        (
            r#"{"version":"4","alerts":[{"labels":"a"}]}"#,
            "alerts[0]: invalid type: string \"a\", expected an object of texts",
        ),
        (
            r#"{"version":"4","alerts":[{"labels":{"a":"b"}},{"status":"firing"}]}"#,
            "alerts[1] has no labels, and an alert is known by them; nothing of the body was kept",
        ),
        (
            r#"{"version":"4","alerts":[{"labels":{"a":""}}]}"#,
            "alerts[0] has no labels, and an alert is known by them; nothing of the body was kept",
        ),
        (
            "{\"version\":\"4\",\n\"alerts\":[{\"labels\":{\"a\" \"b\"}}]}",
            "not JSON: expected `:` at line 2 column 26",
        ),
        (r#"{"alerts":["#, "not JSON: EOF while parsing a list at line 1 column 11"),
    ] {
        assert_eq!(parse(body).unwrap_err(), expected, "{body}");
    }
}

#[test]
fn a_long_list_of_keys_is_cut() {
    let body: serde_json::Map<String, Value> =
        (10..40).map(|n| (format!("k{n}"), Value::Null)).collect();
    let words = parse(&Value::Object(body).to_string()).unwrap_err();
    assert!(words.contains("k20, k21 and 18 more;"), "{words}");
}

#[test]
fn other_senders_versions_are_read() {
    for version in [r#""4""#, "4", "null", r#""1""#, r#""""#] {
        let body = format!(r#"{{"version":{version},"alerts":[{{"labels":{{"a":"b"}}}}]}}"#);
        assert_eq!(parse(&body).unwrap().alerts.len(), 1, "{version}");
    }
}

#[test]
fn status_comes_from_the_alert_or_its_end() {
    use AlertStatus::{Firing, Resolved};
    for (status, ends_at, expected) in [
        (r#""firing""#, r#""0001-01-01T00:00:00Z""#, Firing),
        (r#""Resolved""#, r#""2026-11-21T02:39:00Z""#, Resolved),
        (r#""firing""#, r#""2026-11-21T02:39:00Z""#, Firing),
        ("null", r#""2026-11-21T02:39:00Z""#, Resolved),
        ("null", r#""2026-11-21T02:41:00Z""#, Firing),
        (r#""alerting""#, r#""0001-01-01T00:00:00Z""#, Firing),
        ("null", "null", Firing),
        (r#""resolved""#, r#""garbage""#, Resolved),
    ] {
        let alert =
            one(&format!(r#"{{"status":{status},"labels":{{"a":"b"}},"endsAt":{ends_at}}}"#));
        assert_eq!(alert.status, expected, "{status} {ends_at}");
        assert!(alert.ends_at.is_none() || expected == Resolved, "a firing alert has no end");
    }
    let alert = one(r#"{"labels":{"a":"b"}}"#);
    assert_eq!(alert.status, Firing, "both absent");
}

#[test]
fn timestamps_are_read_in_every_form_and_kept_to_the_microsecond() {
    for (text, expected) in [
        (r#""2026-11-21T02:23:36Z""#, Some("2026-11-21T02:23:36Z")),
        (r#""2026-11-21T02:23:36.269179087Z""#, Some("2026-11-21T02:23:36.269179Z")),
        (r#""2026-11-21T03:23:36.2+01:00""#, Some("2026-11-21T02:23:36.2Z")),
        (r#""2026-11-20T21:53:36-04:30""#, Some("2026-11-21T02:23:36Z")),
        (r#""0001-01-01T00:00:00Z""#, None),
        (r#""1970-01-01T00:00:00Z""#, None),
        (r#""yesterday""#, None),
        (r#""""#, None),
        ("null", None),
        ("1767600000", None),
        ("{}", None),
        (r#""99999-01-01T00:00:00Z""#, None),
    ] {
        let alert = one(&format!(r#"{{"labels":{{"a":"b"}},"startsAt":{text}}}"#));
        assert_eq!(alert.starts_at, expected.map(|it| it.parse().unwrap()), "{text}");
    }
}

#[test]
fn label_values_become_text_and_empty_ones_go() {
    let alert = one(
        r#"{"labels":{"a":"b","n":5,"f":0.5,"t":true,"z":null,"e":"","l":[1,"x"],"a":"last"},"annotations":null,"extra":{"deep":[{}]}}"#,
    );
    let expected: Labels =
        [("a", "last"), ("n", "5"), ("f", "0.5"), ("t", "true"), ("l", "[1,\"x\"]")]
            .into_iter()
            .collect();
    assert_eq!(alert.labels, expected);
    assert!(alert.annotations.is_empty());
}

#[test]
fn what_a_database_cannot_hold_is_taken_out_of_plain_texts() {
    let alert = one("{\"labels\":{\"a\":\"b\"},\"generatorURL\":\"http://x\\u0000/y\\n\"}");
    assert_eq!(alert.generator_url, "http://x/y");
}

#[test]
fn truncation_is_never_read_as_none_when_something_was_said() {
    for (text, expected) in
        [("3", 3), ("\"3\"", 3), ("0", 0), ("null", 0), ("-1", 1), ("\"many\"", 1)]
    {
        let body = format!(r#"{{"truncatedAlerts":{text},"alerts":[]}}"#);
        assert_eq!(parse(&body).unwrap().truncated, expected, "{text}");
    }
    assert_eq!(parse(r#"{"alerts":[]}"#).unwrap().truncated, 0, "absent before 0.21");
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert!(parse("\u{feff}{\"version\":\"4\",\"alerts\":[]}").is_ok());
}

proptest! {
    /// `unquote` takes back what `regexp.QuoteMeta` did, whatever the name.
    #[test]
    fn receiver_names_survive_quoting(name in any::<String>()) {
        let mut quoted = String::new();
        for char in name.chars() {
            if r"\.+*?()|[]{}^$".contains(char) {
                quoted.push('\\');
            }
            quoted.push(char);
        }
        prop_assert_eq!(unquote(&quoted), name);
    }

    /// No bytes make it panic; what it takes has labels.
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(delivery) = delivery(&bytes, String::new(), now()) {
            prop_assert!(delivery.alerts.iter().all(|alert| !alert.labels.is_empty()));
        }
    }

    /// Every alert with labels comes through, with its own labels.
    #[test]
    fn no_alert_is_lost(
        sets in prop::collection::vec(prop::collection::btree_map("[a-zé]{1,3}", ".{1,8}", 1..4), 0..8),
    ) {
        let alerts: Vec<Value> = sets.iter().map(|set| json!({ "labels": set })).collect();
        let delivery = parse(&json!({ "alerts": alerts }).to_string()).unwrap();
        let got: Vec<Labels> = delivery.alerts.into_iter().map(|alert| alert.labels).collect();
        let sent: Vec<Labels> = sets.into_iter().map(Labels::from_iter).collect();
        prop_assert_eq!(got, sent);
    }
}

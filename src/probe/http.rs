//! The probe `http`: a request whose answer must be as expected.

use serde_json::Value;

use crate::model::probe::HttpProbe;
use crate::model::run::Observation;
use crate::net;
use crate::net::Answer;
use crate::net::Call;
use crate::net::Failure;

/// Asks once. A service that refuses, does not answer in time, breaks off or answers 5xx is unhealthy. What
/// says nothing about the service is unknown: no address, no TLS, a refused credential (G19), a redirect,
/// a rate limit, a body that is not JSON where fields of it are expected.
pub(super) async fn observe(probe: &HttpProbe) -> Observation {
    match net::send(Call::get(&probe.url, probe.timeout)).await {
        Ok(answer) => judge(probe, &answer),
        Err(failure) => {
            let measured = format!("{}: {failure}", net::place(&probe.url));
            match failure {
                Failure::Refused
                | Failure::ConnectTimeout(_)
                | Failure::Timeout(_)
                | Failure::Lost(_) => super::unhealthy(measured),
                Failure::Invalid(_)
                | Failure::Dns
                | Failure::Tls(_)
                | Failure::Connect(_)
                | Failure::TooLarge { .. } => super::unknown(measured),
            }
        }
    }
}

fn judge(probe: &HttpProbe, answer: &Answer) -> Observation {
    let status = answer.status;
    let expected = probe.status.map_or_else(|| "2xx".to_owned(), |status| status.to_string());
    if !probe.status.map_or_else(|| answer.is_success(), |wanted| wanted == status) {
        let measured = format!("status {} (healthy: {expected})", answer.describe());
        return match status {
            401 | 403 => super::denied(format!("{measured}; the probe's credential is refused")),
            407 => super::unknown(format!("{measured}; a proxy wants a credential")),
            300..=399 => super::unknown(format!("{measured}; redirects are not followed")),
            429 => super::unknown(format!("{measured}; the probe is asked too often")),
            _ => super::unhealthy(measured),
        };
    }
    if probe.json.is_empty() {
        return super::healthy(format!("status {status} in {} ms", answer.took.as_millis()));
    }
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        return super::unknown(format!("status {}; expected JSON", answer.describe()));
    };
    let mut seen = vec![format!("status {status}")];
    for (path, wanted) in &probe.json {
        match find(&body, path) {
            Some(found) if same(found, wanted) => seen.push(format!("{path} {found}")),
            Some(found) => {
                return super::unhealthy(format!("{path} {found} (healthy: {wanted})"));
            }
            None => return super::unhealthy(format!("{path} is missing (healthy: {wanted})")),
        }
    }
    super::healthy(seen.join(", "))
}

/// A field by its name, or by a path of names and list positions: `checks.0.state`.
fn find<'a>(body: &'a Value, path: &str) -> Option<&'a Value> {
    body.get(path).or_else(|| {
        path.split('.').try_fold(body, |value, part| match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            other => other.get(part),
        })
    })
}

/// Whether two values are the same; `1` and `1.0` are.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found.as_f64(), wanted.as_f64()) {
        (Some(found), Some(wanted)) => found.total_cmp(&wanted).is_eq(),
        _ => found == wanted,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde_json::json;
    use tokio::net::TcpListener;

    use super::super::testing::answering;
    use super::super::testing::nobody;
    use super::*;
    use crate::model::run::Health;

    fn probe(url: &str) -> HttpProbe {
        let timeout = Duration::from_secs(20);
        HttpProbe { url: url.to_owned(), status: None, json: BTreeMap::new(), timeout }
    }

    async fn check(
        answer: (u16, &str),
        status: Option<u16>,
        json: &Value,
        health: Health,
        words: &str,
    ) {
        answering(answer.0, "application/json", answer.1, async |url| {
            let json: BTreeMap<String, Value> =
                json.as_object().unwrap().clone().into_iter().collect();
            let seen = observe(&HttpProbe { status, json, ..probe(&url) }).await;
            assert_eq!(seen.health, health, "{answer:?}: {}", seen.measured);
            assert!(seen.measured.contains(words), "{answer:?}: {}", seen.measured);
            let refused = words.contains("credential is refused");
            assert_eq!(seen.denied, refused, "{answer:?}: {}", seen.measured);
        })
        .await;
    }

    /// Given a probe, when it is answered 401 or 403, then it is unknown, never unhealthy: the target was not seen.
    #[tokio::test]
    async fn g19_a_refused_credential_is_never_evidence_that_the_target_is_sick() {
        for status in [401, 403] {
            answering(status, "text/plain", "", async |url| {
                let seen = observe(&probe(&url)).await;
                assert_eq!((seen.health, seen.denied), (Health::Unknown, true), "{status}");
                assert!(seen.measured.contains("the probe's credential is refused"));
            })
            .await;
        }
    }

    #[tokio::test]
    async fn judges_by_the_status() {
        let any = json!({});
        check((200, "ok"), None, &any, Health::Healthy, "status 200 in ").await;
        check((204, ""), None, &any, Health::Healthy, "status 204 in ").await;
        check((503, "busy"), Some(503), &any, Health::Healthy, "status 503 in ").await;
        check((401, ""), Some(401), &any, Health::Healthy, "status 401 in ").await;
        check((204, ""), Some(200), &any, Health::Unhealthy, "status 204 (healthy: 200)").await;
        check((503, "busy"), None, &any, Health::Unhealthy, "status 503 \"busy\" (healthy: 2xx)")
            .await;
        check((404, ""), None, &any, Health::Unhealthy, "status 404 (healthy: 2xx)").await;
        check((401, ""), None, &any, Health::Unknown, "credential is refused").await;
        check((403, ""), None, &any, Health::Unknown, "credential is refused").await;
        check((407, ""), None, &any, Health::Unknown, "a proxy wants a credential").await;
        check((302, ""), None, &any, Health::Unknown, "redirects are not followed").await;
        check((429, ""), None, &any, Health::Unknown, "asked too often").await;
    }

    #[tokio::test]
    async fn judges_by_fields_of_the_body() {
        let body =
            r#"{"status":"healthy","db":{"up":true,"lag":2},"a.b":"c","checks":[{"ok":1.0}]}"#;
        let all = json!({ "status": "healthy", "db.up": true, "a.b": "c", "checks.0.ok": 1 });
        check(
            (200, body),
            Some(200),
            &all,
            Health::Healthy,
            "status 200, a.b \"c\", checks.0.ok 1.0",
        )
        .await;
        let wrong = json!({ "status": "healthy", "db.lag": 0 });
        check((200, body), None, &wrong, Health::Unhealthy, "db.lag 2 (healthy: 0)").await;
        let missing = json!({ "db.down": false });
        check(
            (200, body),
            None,
            &missing,
            Health::Unhealthy,
            "db.down is missing (healthy: false)",
        )
        .await;
        let typed = json!({ "db.lag": "2" });
        check((200, body), None, &typed, Health::Unhealthy, "db.lag 2 (healthy: \"2\")").await;
        check((500, body), None, &all, Health::Unhealthy, "status 500").await;
        check((200, "<html>"), None, &all, Health::Unknown, "200 \"<html>\"; expected JSON").await;
    }

    #[tokio::test]
    async fn a_service_that_does_not_answer_is_unhealthy() {
        let away = nobody().await;
        let seen = observe(&probe(&format!("http://u:s3cret@{away}/"))).await;
        assert_eq!(seen.health, Health::Unhealthy);
        assert_eq!(seen.measured, format!("http://{away}: connection refused"));

        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let timeout = Duration::from_millis(200);
        let seen = observe(&HttpProbe { timeout, ..probe(&url) }).await;
        assert_eq!(seen.health, Health::Unhealthy);
        assert!(seen.measured.ends_with(": timed out after 200ms"), "{}", seen.measured);
    }

    #[tokio::test]
    async fn what_says_nothing_about_the_service_is_unknown() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let plain = format!("https://{}", listener.local_addr().unwrap());
        let closing = async {
            loop {
                drop(listener.accept().await.unwrap());
            }
        };
        for url in ["http://no-such-host.invalid/", "no URL"] {
            let seen = observe(&probe(url)).await;
            assert_eq!(seen.health, Health::Unknown, "{url}: {}", seen.measured);
        }
        let seen = tokio::select! {
            seen = async { observe(&probe(&plain)).await } => seen,
            () = closing => panic!(),
        };
        assert_eq!(seen.health, Health::Unknown, "no TLS: {}", seen.measured);
    }
}

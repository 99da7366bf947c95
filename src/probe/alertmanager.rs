//! What Alertmanager says of an alert now: API v2, which all versions since 0.16 have (`protocols.md §1`).
//!
//! Its list is one replica's view of this moment. An alert that is not in it is *gone*, which does not say
//! that what it was about is well.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::TIMEOUT;
use crate::model::action::tell::MADE_BY;
use crate::model::config::Endpoint;
use crate::model::decision::Standing;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::matcher::Op;
use crate::model::run::Observation;
use crate::net;
use crate::net::Answer;
use crate::net::Call;

/// Longest query sent. Filters only make the answer smaller: what comes back is compared whole.
const MAX_QUERY_BYTES: usize = 4_000;

/// Silences of one alert that are asked for one by one; more are taken for those of people.
const MOST_SILENCES: usize = 10;

/// The probe `alert`: gone is healthy; muted is not.
pub(super) async fn observe(alert: &Labels, alertmanager: Option<&Endpoint>) -> Observation {
    match standing(alert, alertmanager).await {
        Standing::Active => super::unhealthy("the alert still fires"),
        Standing::Silenced { by } => {
            super::unhealthy(format!("the alert still fires, silenced by {}", by.join(", ")))
        }
        Standing::Inhibited => super::unhealthy("the alert still fires, inhibited"),
        Standing::Gone => super::healthy("Alertmanager no longer lists the alert"),
        Standing::Unknown { reason } => super::unknown(reason),
        Standing::NotAsked => {
            super::unknown("no Alertmanager is configured: set `alertmanager` in quell.yml")
        }
    }
}

/// Asks Alertmanager whether an alert is active, silenced, inhibited or gone.
pub async fn standing(alert: &Labels, alertmanager: Option<&Endpoint>) -> Standing {
    let Some(alertmanager) = alertmanager else { return Standing::NotAsked };
    match ask(alert, alertmanager).await {
        Ok(standing) => standing,
        Err(reason) => Standing::Unknown { reason },
    }
}

/// The parts of a `gettableAlert` that matter.
#[derive(Deserialize)]
struct Listed {
    labels: BTreeMap<String, String>,
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    silenced_by: Vec<String>,
    inhibited_by: Vec<String>,
}

async fn ask(alert: &Labels, alertmanager: &Endpoint) -> Result<Standing, String> {
    let url = format!("{}/api/v2/alerts?{}", alertmanager.url, query(alert)?);
    let mut call = Call::get(&url, TIMEOUT).header("Accept", "application/json");
    for (name, value) in &alertmanager.headers {
        call = call.header(name, value.reveal());
    }
    let answer = net::send(call)
        .await
        .map_err(|failure| format!("no answer from Alertmanager: {failure}"))?;
    match read(&answer, alert)? {
        Standing::Silenced { by } => by_people(by, alertmanager).await,
        standing => Ok(standing),
    }
}

/// A silence that quell made itself is no word of a person: it still fires.
async fn by_people(by: Vec<String>, alertmanager: &Endpoint) -> Result<Standing, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Silence {
        created_by: String,
    }
    for id in by.iter().take(MOST_SILENCES) {
        let url = format!("{}/api/v2/silence/{id}", alertmanager.url);
        let mut call = Call::get(&url, TIMEOUT).header("Accept", "application/json");
        for (name, value) in &alertmanager.headers {
            call = call.header(name, value.reveal());
        }
        // one that cannot be asked for counts as that of a person
        let silence = net::send(call).await.ok().filter(Answer::is_success);
        let silence: Option<Silence> =
            silence.and_then(|answer| serde_json::from_slice(&answer.body).ok());
        if silence.is_none_or(|it| it.created_by != MADE_BY) {
            return Ok(Standing::Silenced { by });
        }
    }
    if by.len() > MOST_SILENCES { Ok(Standing::Silenced { by }) } else { Ok(Standing::Active) }
}

/// A filter for each label, as far as there is room: `filter=service="api"`.
fn query(alert: &Labels) -> Result<String, String> {
    if alert.is_empty() {
        return Err("an alert without labels cannot be found".into());
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for state in ["active", "silenced", "inhibited"] {
        query.append_pair(state, "true");
    }
    let mut text = query.finish();
    for (name, value) in alert.iter() {
        let matcher = Matcher::new(name, Op::Equal, value).map_err(|error| error.message)?;
        let filter = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("filter", &matcher.to_string())
            .finish();
        if text.len() + filter.len() < MAX_QUERY_BYTES {
            text = format!("{text}&{filter}");
        }
    }
    Ok(text)
}

/// Whether Alertmanager answered what it was asked; the error says what it said instead.
pub(super) fn accepted(answer: &Answer) -> Result<(), String> {
    match answer.status {
        200 => Ok(()),
        401 | 403 => Err(format!(
            "Alertmanager answered {}; it refuses the headers in `alertmanager` of quell.yml",
            answer.status
        )),
        _ => Err(format!("Alertmanager answered {}", answer.describe())),
    }
}

fn read(answer: &Answer, alert: &Labels) -> Result<Standing, String> {
    accepted(answer)?;
    let listed: Vec<Listed> = serde_json::from_slice(&answer.body)
        .map_err(|_| format!("Alertmanager answered {}, not its list", answer.describe()))?;
    // an alert with more labels is another one; an empty label is none
    let same = |labels: &BTreeMap<String, String>| {
        labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Labels>()
            == *alert
    };
    let Some(it) = listed.into_iter().find(|it| same(&it.labels)) else {
        return Ok(Standing::Gone);
    };
    Ok(if !it.status.silenced_by.is_empty() {
        Standing::Silenced { by: it.status.silenced_by }
    } else if !it.status.inhibited_by.is_empty() {
        Standing::Inhibited
    } else {
        Standing::Active
    })
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use serde_json::json;

    use super::super::testing::Asked;
    use super::super::testing::answering;
    use super::super::testing::beside;
    use super::super::testing::endpoint;
    use super::super::testing::keeping;
    use super::super::testing::nobody;
    use super::*;
    use crate::model::run::Health;

    fn alert() -> Labels {
        [("alertname", "HighErrorRate"), ("service", "api")].into_iter().collect()
    }

    /// As Alertmanager 0.33 lists it.
    fn listed(
        labels: &serde_json::Value,
        state: &str,
        silenced: &[&str],
        inhibited: &[&str],
    ) -> serde_json::Value {
        json!({
            "annotations": { "summary": "errors" },
            "endsAt": "2026-01-05T10:09:00.000Z",
            "fingerprint": "1a2b3c4d5e6f7a8b",
            "receivers": [{ "name": "quell" }],
            "startsAt": "2026-01-05T10:00:00.000Z",
            "status": { "inhibitedBy": inhibited, "mutedBy": [], "silencedBy": silenced, "state": state },
            "updatedAt": "2026-01-05T10:05:00.000Z",
            "generatorURL": "http://prometheus:9090/graph",
            "labels": labels,
        })
    }

    async fn check(list: serde_json::Value, expected: Standing, health: Health, words: &str) {
        answering(200, "application/json", &list.to_string(), async |url| {
            let alertmanager = endpoint(&url);
            assert_eq!(standing(&alert(), Some(&alertmanager)).await, expected);
            let seen = observe(&alert(), Some(&alertmanager)).await;
            assert_eq!((seen.health, seen.measured.as_str()), (health, words));
        })
        .await;
    }

    #[tokio::test]
    async fn what_only_quell_silenced_still_fires() {
        let same = json!({ "alertname": "HighErrorRate", "service": "api" });
        for (by, expected) in [
            (&["mine"][..], Standing::Active),
            (&["mine", "dana"], Standing::Silenced { by: vec!["mine".into(), "dana".into()] }),
            (&["gone"], Standing::Silenced { by: vec!["gone".into()] }),
        ] {
            let list = json!([listed(&same, "suppressed", by, &[])]).to_string();
            let made = |by: &str| {
                let silence = json!({ "createdBy": by, "comment": "c" }).to_string();
                get(async move || silence)
            };
            let router = Router::new()
                .route("/api/v2/alerts", get(async move || list))
                .route("/api/v2/silence/mine", made("quell"))
                .route("/api/v2/silence/dana", made("dana"));
            beside(router, async |url| {
                assert_eq!(standing(&alert(), Some(&endpoint(&url))).await, expected);
            })
            .await;
        }
    }

    #[tokio::test]
    async fn tells_active_silenced_inhibited_and_gone_apart() {
        let same = json!({ "alertname": "HighErrorRate", "service": "api" });
        let active = listed(&same, "active", &[], &[]);
        check(json!([active]), Standing::Active, Health::Unhealthy, "the alert still fires").await;
        let unprocessed = listed(&same, "unprocessed", &[], &[]);
        check(json!([unprocessed]), Standing::Active, Health::Unhealthy, "the alert still fires")
            .await;
        let silenced = listed(&same, "suppressed", &["s-1", "s-2"], &["a-1"]);
        let by = vec!["s-1".to_owned(), "s-2".to_owned()];
        let words = "the alert still fires, silenced by s-1, s-2";
        check(json!([silenced]), Standing::Silenced { by }, Health::Unhealthy, words).await;
        let inhibited = listed(&same, "suppressed", &[], &["a-1"]);
        let words = "the alert still fires, inhibited";
        check(json!([inhibited]), Standing::Inhibited, Health::Unhealthy, words).await;
        let words = "Alertmanager no longer lists the alert";
        check(json!([]), Standing::Gone, Health::Healthy, words).await;
    }

    #[tokio::test]
    async fn an_alert_with_other_labels_is_another_alert() {
        let more = json!({ "alertname": "HighErrorRate", "service": "api", "pod": "api-1" });
        let less = json!({ "alertname": "HighErrorRate" });
        let same = json!({ "service": "api", "alertname": "HighErrorRate", "empty": "" });
        let words = "Alertmanager no longer lists the alert";
        let others = json!([listed(&more, "active", &[], &[]), listed(&less, "active", &[], &[])]);
        check(others, Standing::Gone, Health::Healthy, words).await;
        let among =
            json!([listed(&more, "suppressed", &["s"], &[]), listed(&same, "active", &[], &[])]);
        check(among, Standing::Active, Health::Unhealthy, "the alert still fires").await;
    }

    #[tokio::test]
    async fn asks_with_a_filter_for_each_label() {
        let asked = Asked::default();
        let alert: Labels = [("alertname", "A"), ("path", "C:\\x \"y\"\n&z"), ("le gal", "b")]
            .into_iter()
            .collect();
        let seen = beside(keeping(&asked, "[]"), async |url| {
            standing(&alert, Some(&endpoint(&format!("{url}/am")))).await
        })
        .await;
        assert_eq!(seen, Standing::Gone);
        let (path, headers, _) = asked.lock().unwrap().take().unwrap();
        assert_eq!(headers["x-scope-orgid"], "shop");
        let url = url::Url::parse(&format!("http://host{path}")).unwrap();
        assert_eq!(url.path(), "/am/api/v2/alerts");
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(
            pairs,
            [
                ("active", "true"),
                ("silenced", "true"),
                ("inhibited", "true"),
                ("filter", r#"alertname="A""#),
                ("filter", r#""le gal"="b""#),
                ("filter", r#"path="C:\\x \"y\"\n&z""#),
            ]
        );
    }

    #[test]
    fn a_query_stays_short_enough_for_any_server() {
        let mut alert = alert();
        for index in 0..50 {
            alert.set(format!("label_{index}"), "x".repeat(500));
        }
        let query = query(&alert).unwrap();
        assert!(query.len() < MAX_QUERY_BYTES && query.contains("alertname"), "{query}");
        assert!(super::query(&Labels::default()).is_err(), "no filter would list every alert");
    }

    #[tokio::test]
    async fn an_alertmanager_that_does_not_say_is_unknown() {
        for (status, body, words) in [
            (500, "boom", "Alertmanager answered 500 \"boom\""),
            (410, "", "Alertmanager answered 410"),
            (301, "", "Alertmanager answered 301"),
            (401, "", "refuses the headers in `alertmanager` of quell.yml"),
            (200, "<html>login", "Alertmanager answered 200 \"<html>login\", not its list"),
            (200, "{\"status\":\"success\"}", "not its list"),
            (200, "[{\"labels\":{}}]", "not its list"),
        ] {
            answering(status, "application/json", body, async |url| {
                let Standing::Unknown { reason } = standing(&alert(), Some(&endpoint(&url))).await
                else {
                    panic!("{status} {body}")
                };
                assert!(reason.contains(words), "{reason}");
            })
            .await;
        }
        let away = endpoint(&format!("http://{}", nobody().await));
        let reason = "no answer from Alertmanager: connection refused".to_owned();
        assert_eq!(standing(&alert(), Some(&away)).await, Standing::Unknown { reason });
        assert_eq!(observe(&alert(), Some(&away)).await.health, Health::Unknown);
        assert_eq!(standing(&alert(), None).await, Standing::NotAsked);
        assert_eq!(observe(&alert(), None).await.health, Health::Unknown);
    }
}

//! The probe `promql`: an instant query (`protocols.md §2`).

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Blind;
use super::TIMEOUT;
use super::samples;
use super::samples::Age;
use super::samples::Point;
use super::samples::Wanted;
use crate::model::config::Endpoint;
use crate::model::labels::Labels;
use crate::model::run::Observation;
use crate::net;
use crate::net::Answer;
use crate::net::Call;
use crate::net::Limit;

/// Most samples asked for. Prometheus warns when there are more, and a warning is *unknown*; old
/// versions (2.42) ignore the limit.
const LIMIT: &str = "1000";

/// Longest part of an error of Prometheus that is shown, in characters.
const SHOWN: usize = 300;

/// Asks Prometheus.
pub(super) async fn observe(
    query: &str,
    wanted: Wanted<'_>,
    prometheus: Option<&Endpoint>,
    age: Age,
) -> Observation {
    match ask(query, prometheus).await {
        Ok(points) => samples::judge(&points, wanted, age),
        Err(blind) => blind.into(),
    }
}

/// The number that a query counts: one sample, now, whole and not below zero; or why there is no trusting it.
pub(super) async fn count(
    query: &str,
    prometheus: Option<&Endpoint>,
    age: Age,
) -> Result<u64, String> {
    let points = ask(query, prometheus).await.map_err(|blind| blind.reason)?;
    let [point] = points.as_slice() else {
        return Err(match points.len() {
            0 => "no sample: write `or vector(0)` where none means zero".to_owned(),
            several => format!("{several} samples where one number was expected"),
        });
    };
    samples::fresh(point, age)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number below 2^53"
    )]
    match point.value {
        count if count.fract() == 0.0 && (0.0..9e15).contains(&count) => Ok(count as u64),
        odd => Err(format!("{odd} is not a count")),
    }
}

/// The samples of an instant query, or why there is no trusting them.
pub(super) async fn ask(query: &str, prometheus: Option<&Endpoint>) -> Result<Vec<Point>, Blind> {
    ask_up_to(query, prometheus, LIMIT, net::MAX_BODY_BYTES).await
}

/// The same for an answer that may be large: so many samples, in so many bytes.
pub(super) async fn ask_up_to(
    query: &str,
    prometheus: Option<&Endpoint>,
    limit: &str,
    bytes: usize,
) -> Result<Vec<Point>, Blind> {
    let Some(prometheus) = prometheus else {
        return Err("no Prometheus is configured: set `prometheus` in quell.yml".into());
    };
    let url = format!("{}/api/v1/query", prometheus.url);
    let timeout = format!("{}s", TIMEOUT.as_secs());
    let form: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("query", query)
        .append_pair("timeout", &timeout)
        .append_pair("limit", limit)
        .finish();
    let mut call = Call::post(&url, form.into_bytes(), TIMEOUT)
        .header("Content-Type", "application/x-www-form-urlencoded");
    call.limit = Limit::Refuse(bytes);
    for (name, value) in &prometheus.headers {
        call = call.header(name, value.reveal());
    }
    let answer =
        net::send(call).await.map_err(|failure| format!("no answer from Prometheus: {failure}"))?;
    read(&answer)
}

/// `{status, data, errorType, error, warnings[]}`; `infos` says nothing about the data.
#[derive(Deserialize)]
struct Envelope<'a> {
    status: String,
    #[serde(borrow)]
    data: Option<Data<'a>>,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "resultType")]
    result_type: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Deserialize)]
struct Series {
    metric: Labels,
    /// Absent when it is a native histogram.
    value: Option<Value>,
}

/// Seconds since 1970, and a number as text: `[1700000000.123, "0.372"]`.
type Value = (f64, String);

fn read(answer: &Answer) -> Result<Vec<Point>, Blind> {
    if matches!(answer.status, 401 | 403) {
        let reason = format!(
            "Prometheus answered {}; it refuses the headers in `prometheus` of quell.yml",
            answer.status
        );
        return Err(Blind { reason, denied: true });
    }
    let envelope: Envelope<'_> = serde_json::from_slice(&answer.body)
        .map_err(|_| format!("Prometheus answered {}, not its JSON", answer.describe()))?;
    if envelope.status != "success" || !answer.is_success() {
        return Err(format!(
            "Prometheus answered {} {}: {}",
            answer.status,
            envelope.error_type,
            cut(&envelope.error)
        )
        .into());
    }
    if let Some(warning) = envelope.warnings.first() {
        return Err(format!("the answer is partial: {}", cut(warning)).into());
    }
    let data = envelope.data.ok_or("Prometheus answered success without data")?;
    let odd = |_| format!("Prometheus answered a {} that is none", data.result_type);
    match data.result_type.as_str() {
        "vector" => {
            let series: Vec<Series> = serde_json::from_str(data.result.get()).map_err(odd)?;
            Ok(series.into_iter().map(|it| point(it.metric, it.value)).collect::<Result<_, _>>()?)
        }
        "scalar" => {
            let value: Value = serde_json::from_str(data.result.get()).map_err(odd)?;
            Ok(vec![point(Labels::default(), Some(value))?])
        }
        other => Err(format!("the query gives a {other}; write one that gives numbers now").into()),
    }
}

fn point(labels: Labels, value: Option<Value>) -> Result<Point, String> {
    let (time, text) = value.ok_or("a sample is a native histogram, not a number")?;
    let at = SignedDuration::try_from_secs_f64(time).ok().map(Timestamp::from_duration);
    let Some(Ok(at)) = at else { return Err(format!("a sample has the time {time:?}")) };
    let value = text.parse().map_err(|_| format!("a sample has the value {text:?}"))?;
    Ok(Point { value, labels, at: Some(at) })
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::Asked;
    use super::super::testing::answering;
    use super::super::testing::beside;
    use super::super::testing::endpoint;
    use super::super::testing::keeping;
    use super::super::testing::nobody;
    use super::*;
    use crate::model::run::Health;

    fn age() -> Age {
        Age { now: Timestamp::from_second(1_700_000_010).unwrap(), max: Duration::from_mins(1) }
    }

    async fn check(status: u16, kind: &'static str, body: &str, health: Health, measured: &str) {
        answering(status, kind, body, async |url| {
            let seen = observe("q", "value < 0.05".into(), Some(&endpoint(&url)), age()).await;
            assert_eq!(seen.health, health, "{body}: {}", seen.measured);
            assert!(seen.measured.contains(measured), "{body}: {}", seen.measured);
        })
        .await;
    }

    async fn success(data: &str, health: Health, measured: &str) {
        let body = format!(r#"{{"status":"success","data":{data}}}"#);
        check(200, "application/json", &body, health, measured).await;
    }

    #[tokio::test]
    async fn sends_a_form_with_the_endpoints_headers() {
        let asked = Asked::default();
        let body = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        beside(keeping(&asked, body), async |url| {
            let prometheus = endpoint(&format!("{url}/prefix"));
            observe(r#"up{a="ü&b"} > 1"#, "value < 1".into(), Some(&prometheus), age()).await;
        })
        .await;
        let (path, headers, body) = asked.lock().unwrap().take().unwrap();
        assert_eq!(path, "/prefix/api/v1/query");
        assert_eq!(headers["x-scope-orgid"], "shop");
        assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
        assert_eq!(body, "query=up%7Ba%3D%22%C3%BC%26b%22%7D+%3E+1&timeout=10s&limit=1000");
    }

    #[tokio::test]
    async fn reads_vectors_and_scalars() {
        let one = r#"{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[1700000000.123,"0.01"]}]}"#;
        success(one, Health::Healthy, "0.01 (healthy: value < 0.05)").await;
        let two = r#"{"resultType":"vector","result":[
            {"metric":{"__name__":"up","job":"a"},"value":[1700000000,"0.01"]},
            {"metric":{"job":"b"},"value":[1700000000,"3.72e1"]}]}"#;
        success(two, Health::Unhealthy, "37.2 on 1 of 2 samples").await;
        let scalar = r#"{"resultType":"scalar","result":[1700000000.123,"0"]}"#;
        success(scalar, Health::Healthy, "0 (healthy").await;
    }

    #[tokio::test]
    async fn g03_a_count_is_one_whole_number_of_now() {
        for (data, expected) in [
            (r#"{"resultType":"scalar","result":[1700000000,"12"]}"#, Ok(12)),
            (r#"{"resultType":"vector","result":[{"metric":{},"value":[1700000000,"0"]}]}"#, Ok(0)),
            (
                r#"{"resultType":"vector","result":[]}"#,
                Err("no sample: write `or vector(0)` where none means zero"),
            ),
            (
                r#"{"resultType":"vector","result":[{"metric":{},"value":[1699999000,"9"]}]}"#,
                Err("the sample is 16m50s old, more than 1m"),
            ),
            (r#"{"resultType":"scalar","result":[1700000000,"2.5"]}"#, Err("2.5 is not a count")),
            (r#"{"resultType":"scalar","result":[1700000000,"-1"]}"#, Err("-1 is not a count")),
            (r#"{"resultType":"scalar","result":[1700000000,"NaN"]}"#, Err("NaN is not a count")),
            (
                r#"{"resultType":"vector","result":[{"metric":{"a":"1"},"value":[1700000000,"1"]},
                    {"metric":{"a":"2"},"value":[1700000000,"1"]}]}"#,
                Err("2 samples where one number was expected"),
            ),
        ] {
            let body = format!(r#"{{"status":"success","data":{data}}}"#);
            answering(200, "application/json", &body, async |url| {
                let found = count("q", Some(&endpoint(&url)), age()).await;
                assert_eq!(found, expected.map_err(str::to_owned), "{body}");
            })
            .await;
        }
    }

    #[tokio::test]
    async fn what_is_no_evidence_is_unknown() {
        success(r#"{"resultType":"vector","result":[]}"#, Health::Unknown, "no sample").await;
        for word in ["NaN", "+Inf", "-Inf"] {
            let body = format!(r#"{{"resultType":"scalar","result":[1700000000,"{word}"]}}"#);
            success(&body, Health::Unknown, &format!("{word}: not a finite number")).await;
        }
        let stale = r#"{"resultType":"vector","result":[{"metric":{},"value":[1699999000,"0"]}]}"#;
        success(stale, Health::Unknown, "the sample is 16m50s old, more than 1m").await;
        let histogram = r#"{"resultType":"vector","result":[{"metric":{},
            "histogram":[1700000000,{"count":"1","sum":"1","buckets":[]}]}]}"#;
        success(histogram, Health::Unknown, "native histogram").await;
        let matrix = r#"{"resultType":"matrix","result":[]}"#;
        success(matrix, Health::Unknown, "the query gives a matrix").await;
        let text = r#"{"resultType":"string","result":[1700000000,"x"]}"#;
        success(text, Health::Unknown, "the query gives a string").await;
        let odd = r#"{"resultType":"vector","result":[{"metric":{},"value":[1700000000,"x"]}]}"#;
        success(odd, Health::Unknown, "a sample has the value \"x\"").await;
        let odder = r#"{"resultType":"vector","result":[{"metric":{},"value":[1e300,"1"]}]}"#;
        success(odder, Health::Unknown, "a sample has the time 1e300").await;
        success(r#"{"resultType":"vector","result":7}"#, Health::Unknown, "a vector that is none")
            .await;
    }

    #[tokio::test]
    async fn an_answer_with_a_warning_is_partial() {
        let body = r#"{"status":"success","warnings":["results truncated due to limit"],
            "data":{"resultType":"scalar","result":[1700000000,"0"]}}"#;
        let words = "the answer is partial: results truncated due to limit";
        check(200, "application/json", body, Health::Unknown, words).await;
        let body = r#"{"status":"success","infos":["metric might not be a counter"],"warnings":[],
            "data":{"resultType":"scalar","result":[1700000000,"0"]}}"#;
        check(200, "application/json", body, Health::Healthy, "0 (healthy").await;
    }

    #[tokio::test]
    async fn errors_are_unknown_and_named() {
        let bad = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error"}"#;
        check(400, "application/json", bad, Health::Unknown, "400 bad_data: invalid parameter")
            .await;
        let slow = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
        check(503, "application/json", slow, Health::Unknown, "503 timeout: query timed out").await;
        check(
            404,
            "text/plain",
            "404 page not found",
            Health::Unknown,
            "404 \"404 page not found\", not its JSON",
        )
        .await;
        check(
            200,
            "text/html",
            "<html>\n<body>login",
            Health::Unknown,
            "200 \"<html> <body>login\", not its JSON",
        )
        .await;
        check(
            401,
            "text/plain",
            "Unauthorized",
            Health::Unknown,
            "refuses the headers in `prometheus`",
        )
        .await;
        check(302, "text/plain", "", Health::Unknown, "Prometheus answered 302, not its JSON")
            .await;
        let partial =
            r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000,"0"]}}"#;
        check(500, "application/json", partial, Health::Unknown, "Prometheus answered 500").await;
        check(200, "application/json", r#"{"status":"success"}"#, Health::Unknown, "without data")
            .await;
    }

    #[tokio::test]
    async fn g19_a_refused_credential_of_prometheus_is_told_from_other_errors() {
        for (status, denied) in [(401, true), (403, true), (404, false), (503, false)] {
            answering(status, "text/plain", "no", async |url| {
                let seen = observe("q", "value < 1".into(), Some(&endpoint(&url)), age()).await;
                assert_eq!((seen.health, seen.denied), (Health::Unknown, denied), "{status}");
            })
            .await;
        }
    }

    #[tokio::test]
    async fn nobody_to_ask_is_unknown() {
        let seen = observe("q", "value < 1".into(), None, age()).await;
        assert_eq!(seen.health, Health::Unknown);
        assert!(seen.measured.contains("set `prometheus` in quell.yml"));
        let away = endpoint(&format!("http://{}", nobody().await));
        let seen = observe("q", "value < 1".into(), Some(&away), age()).await;
        assert_eq!(seen.health, Health::Unknown);
        assert_eq!(seen.measured, "no answer from Prometheus: connection refused");
    }
}

//! The probe `scrape`: samples from a metrics page.

use super::Blind;
use super::TIMEOUT;
use super::exposition;
use super::exposition::Format;
use super::samples;
use super::samples::Age;
use super::samples::Point;
use super::samples::Wanted;
use crate::model::matcher;
use crate::model::matcher::Grammar;
use crate::model::matcher::Matcher;
use crate::model::run::Observation;
use crate::net;
use crate::net::Answer;
use crate::net::Call;

/// Reads a page and judges the samples that `select` chooses.
pub(super) async fn observe(url: &str, select: &str, wanted: Wanted<'_>, age: Age) -> Observation {
    match read(url, select).await {
        Ok(points) if points.is_empty() => super::unknown(format!(
            "no sample of `{select}` on the page (healthy: {})",
            wanted.healthy
        )),
        Ok(points) => samples::judge(&points, wanted, age),
        Err(blind) => blind.into(),
    }
}

pub(super) async fn read(url: &str, select: &str) -> Result<Vec<Point>, Blind> {
    let select = Select::parse(select)?;
    let call = Call::get(url, TIMEOUT).header("Accept", "text/plain;version=0.0.4");
    let place = net::place(url);
    let answer =
        net::send(call).await.map_err(|failure| format!("no page from {place}: {failure}"))?;
    if !answer.is_success() {
        let reason = format!("{place} answered {}", answer.describe());
        return Err(Blind { reason, denied: matches!(answer.status, 401 | 403) });
    }
    let format = format_of(&answer).map_err(|kind| {
        format!("{place} answered with {kind}: {}; expected a metrics page", answer.describe())
    })?;
    let page = std::str::from_utf8(&answer.body)
        .map_err(|error| format!("the page is not UTF-8 at byte {}", error.valid_up_to()))?;
    let samples = exposition::parse(page, format)
        .map_err(|broken| format!("the page is not what its format says: {broken}"))?;
    let points = samples.into_iter().filter(|it| {
        it.name == select.name && select.matchers.iter().all(|matcher| matcher.matches(&it.labels))
    });
    Ok(points.map(|it| Point { value: it.value, labels: it.labels, at: it.at }).collect())
}

/// By its media type; a page without one is read as text, as Prometheus before 3 did.
fn format_of(answer: &Answer) -> Result<Format, String> {
    let header = answer.header("content-type");
    let kind = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/openmetrics-text" => Ok(Format::OpenMetrics),
        "" | "text/plain" | "application/octet-stream" => Ok(Format::Text),
        _ => Err(kind),
    }
}

/// `http_errors_ratio{service="shop"}`.
#[derive(Debug)]
pub(super) struct Select {
    name: String,
    matchers: Vec<Matcher>,
}

impl Select {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, matchers) = text.find('{').map_or((text, ""), |brace| text.split_at(brace));
        if name.trim().is_empty() {
            return Err(format!(
                "select `{text}`: expected a metric name, then matchers in braces"
            ));
        }
        let matchers = if matchers.is_empty() {
            Vec::new()
        } else if !matchers.trim_end().ends_with('}') {
            return Err(format!("select `{text}`: expected `}}` at its end"));
        } else {
            matcher::parse_many(matchers, Grammar::Fallback)
                .map_err(|error| format!("select `{text}`: {}", error.message))?
        };
        Ok(Self { name: name.trim().to_owned(), matchers })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::super::testing::Asked;
    use super::super::testing::answering;
    use super::super::testing::beside;
    use super::super::testing::keeping;
    use super::super::testing::nobody;
    use super::*;
    use crate::model::run::Health;

    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const PAGE: &str = "# TYPE errors gauge\n\
        errors{service=\"shop\",code=\"500\"} 0.4\n\
        errors{service=\"shop\",code=\"404\"} 0.2\n\
        errors{service=\"mail\"} 0.01 1699999990000\n\
        errors_total 7\n\
        old 1 1699990000000\n\
        strange NaN\n";

    fn age() -> Age {
        Age { now: Timestamp::from_second(1_700_000_000).unwrap(), max: Duration::from_mins(1) }
    }

    async fn check(kind: &'static str, page: &str, select: &str, health: Health, measured: &str) {
        answering(200, kind, page, async |url| {
            let seen =
                observe(&format!("{url}/metrics"), select, "value < 0.05".into(), age()).await;
            assert_eq!(seen.health, health, "{select}: {}", seen.measured);
            assert!(seen.measured.contains(measured), "{select}: {}", seen.measured);
        })
        .await;
    }

    #[tokio::test]
    async fn selects_by_name_and_matchers() {
        let healthy = "0.01 (healthy: value < 0.05)";
        check(TEXT, PAGE, r#"errors{service="mail"}"#, Health::Healthy, healthy).await;
        check("", PAGE, r#"errors{service!="shop"}"#, Health::Healthy, healthy).await;
        check(TEXT, PAGE, "errors", Health::Unhealthy, "0.4 on 2 of 3 samples").await;
        check(TEXT, PAGE, r#"errors{code=~"5.."}"#, Health::Unhealthy, "0.4 (healthy").await;
        check(
            TEXT,
            PAGE,
            r#"errors{service="shop",code="404"}"#,
            Health::Unhealthy,
            "0.2 (healthy",
        )
        .await;
        check(TEXT, PAGE, "errors_total{}", Health::Unhealthy, "7 (healthy").await;
        check(OPEN, "errors 0 1699999990.5\n# EOF\n", "errors", Health::Healthy, "0 (healthy")
            .await;
    }

    #[tokio::test]
    async fn what_is_no_evidence_is_unknown() {
        for (kind, page, select, measured) in [
            (TEXT, PAGE, "error", "no sample of `error` on the page"),
            (TEXT, PAGE, r#"errors{service="chat"}"#, "no sample of `errors{service=\"chat\"}`"),
            (TEXT, PAGE, "old", "the sample is 2h46m old, more than 1m"),
            (TEXT, PAGE, "strange", "NaN: not a finite number"),
            (TEXT, "", "errors", "no sample"),
            (TEXT, "errors 0\nerrors{", "errors", "line 2, column 8: expected a label name"),
            (OPEN, "errors 0\n", "errors", "must end with `# EOF`"),
            ("text/html", "<html>", "errors", "answered with text/html: 200 \"<html>\""),
            ("application/vnd.google.protobuf", "x", "errors", "vnd.google.protobuf"),
            (
                TEXT,
                PAGE,
                "errors{service=}x",
                "select `errors{service=}x`: expected `}` at its end",
            ),
            (TEXT, PAGE, r#"errors{service~"x"}"#, "select `errors{service~\"x\"}`: "),
            (TEXT, PAGE, r#"{service="mail"}"#, "expected a metric name"),
        ] {
            check(kind, page, select, Health::Unknown, measured).await;
        }
    }

    #[tokio::test]
    async fn g19_a_refused_credential_of_a_page_is_unknown_and_said() {
        for (status, denied) in [(401, true), (403, true), (404, false)] {
            let seen = answering(status, TEXT, PAGE, async |url| {
                observe(&url, "errors", "value < 1".into(), age()).await
            })
            .await;
            assert_eq!((seen.health, seen.denied), (Health::Unknown, denied), "{status}");
        }
    }

    #[tokio::test]
    async fn asks_for_the_text_format() {
        let asked = Asked::default();
        let seen = beside(keeping(&asked, "up 1\n"), async |url| {
            observe(&format!("{url}/metrics?a=1"), "up", "value == 1".into(), age()).await
        })
        .await;
        assert_eq!(seen.health, Health::Healthy);
        let (path, headers, _) = asked.lock().unwrap().take().unwrap();
        assert_eq!(path, "/metrics?a=1");
        assert_eq!(headers["accept"], "text/plain;version=0.0.4");
    }

    #[tokio::test]
    async fn a_page_that_cannot_be_had_is_unknown() {
        let seen = answering(503, TEXT, PAGE, async |url| {
            observe(&url, "errors", "value < 1".into(), age()).await
        })
        .await;
        assert_eq!(seen.health, Health::Unknown);
        assert!(seen.measured.contains(" answered 503 "), "{}", seen.measured);
        let away = nobody().await;
        let seen =
            observe(&format!("http://u:s3cret@{away}/x"), "errors", "value < 1".into(), age())
                .await;
        assert_eq!(seen.health, Health::Unknown);
        assert_eq!(seen.measured, format!("no page from http://{away}: connection refused"));
    }
}

//! One POST of JSON, and what its answer means.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::Sent;
use super::message;
use crate::net;
use crate::net::Answer;
use crate::net::Call;
use crate::net::Failure;
use crate::net::Limit;

/// From connecting to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Largest part of an answer that is read, in bytes.
const MAX_ANSWER: usize = 16 << 10;
/// Largest part of an answer that a reason quotes, in characters.
const MAX_QUOTE: usize = 300;
/// Longest `Retry-After` that is honoured: a wrong one must not keep people in the dark for a day.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Posts JSON. `who` names the other side in reasons; the URL is never shown, since some are
/// credentials. Redirects are not followed: a 301 or 302 would turn the POST into a GET whose 200 counts
/// as delivered (`protocols.md §1`, Retry).
pub(super) async fn post(
    who: &str,
    url: &str,
    headers: Vec<(&str, &str)>,
    json: Vec<u8>,
) -> Result<Answer, Sent> {
    let call = Call::post(url, json, TIMEOUT).header("content-type", "application/json");
    let mut call = Call { limit: Limit::Cut(MAX_ANSWER), ..call };
    call.headers.extend(headers);
    net::send(call).await.map_err(|failure| match failure {
        Failure::Invalid(reason) => Sent::refused(format!("{who}: {reason}")),
        Failure::Dns
        | Failure::Refused
        | Failure::ConnectTimeout(_)
        | Failure::Tls(_)
        | Failure::Connect(_)
        | Failure::Timeout(_)
        | Failure::Lost(_)
        | Failure::TooLarge { .. } => Sent::retry(format!("{who}: {failure}")),
    })
}

/// What an answer other than the expected success means: 408, 425, 429 and 5xx are worth another try,
/// and so is a 2xx that is not the expected one, which a proxy in between may have made. `why` is the
/// part of the body that says why.
pub(super) fn failure(who: &str, answer: &Answer, why: &str) -> Sent {
    let status = answer.status;
    let why = message::cut(&message::one_line(why), MAX_QUOTE);
    let reason = if matches!(status, 300..=399) {
        format!(
            "{who} answered {status}: redirects are not followed, configure the address it leads to"
        )
    } else if why.is_empty() {
        format!("{who} answered {status}")
    } else {
        format!("{who} answered {status}: {why}")
    };
    match status {
        200..=299 | 408 | 425 | 429 | 500.. => Sent::Retry { reason, after: retry_after(answer) },
        _ => Sent::Refused { reason },
    }
}

/// `Retry-After` (RFC 9110 §10.2.3). A date is read against the answer's own `Date`, so that neither
/// clock needs to be right.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let value = answer.header("retry-after").trim();
    let wait = if let Ok(seconds) = value.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let until = http_date(value)?.duration_since(http_date(answer.header("date"))?);
        Duration::try_from(until).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_WAIT))
}

fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Server;
    use super::*;

    async fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let server = Server::answering(status, headers, body).await;
        post("it", &server.url, Vec::new(), b"{}".to_vec()).await.unwrap()
    }

    #[tokio::test]
    async fn retry_after_is_read_in_seconds_and_as_a_date() {
        const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (value, seconds) in [
            ("30", Some(30)),
            ("0", Some(0)),
            ("999999999", Some(3_600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let answer = answer(429, &[DATE, ("retry-after", value)], "").await;
            assert_eq!(retry_after(&answer), seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[tokio::test]
    async fn what_an_answer_means_follows_from_its_status() {
        for (status, body, expected) in [
            (429, "", Sent::retry("it answered 429")),
            (408, "", Sent::retry("it answered 408")),
            (500, "a\nb", Sent::retry("it answered 500: a b")),
            (503, "", Sent::retry("it answered 503")),
            (400, "bad", Sent::refused("it answered 400: bad")),
            (404, "", Sent::refused("it answered 404")),
            (
                302,
                "moved",
                Sent::refused(
                    "it answered 302: redirects are not followed, configure the address it \
                     leads to",
                ),
            ),
        ] {
            let headers: &[_] = if status == 302 { &[("location", "/other")] } else { &[] };
            assert_eq!(failure("it", &answer(status, headers, body).await, body), expected);
        }
    }

    #[tokio::test]
    async fn only_the_beginning_of_a_long_answer_is_kept() {
        let answer = answer(400, &[], &"x".repeat(1 << 20)).await;
        assert_eq!(answer.body.len(), MAX_ANSWER);
        let Sent::Refused { reason } = failure("it", &answer, &answer.text()) else {
            panic!("{answer:?}")
        };
        assert!(reason.len() < 400, "{reason}");
    }

    #[tokio::test]
    async fn a_host_that_is_down_is_tried_again_and_its_url_is_not_shown() {
        let sent = post("it", "http://127.0.0.1:1/secret", Vec::new(), Vec::new()).await;
        let Err(Sent::Retry { reason, after: None }) = sent else { panic!("{sent:?}") };
        assert!(reason.starts_with("it: "), "{reason}");
        assert!(reason.contains("refused") && !reason.contains("secret"), "{reason}");
    }

    #[tokio::test]
    async fn a_url_that_is_none_is_refused() {
        for url in ["", "secret", "ftp://host/secret", "data:secret"] {
            let sent = post("it", url, Vec::new(), Vec::new()).await;
            let Err(refused) = sent else { panic!("{sent:?}") };
            let Sent::Refused { reason } = &refused else { panic!("{refused:?}") };
            assert!(reason.starts_with("it: the URL") && !reason.contains("secret"), "{reason}");
        }
    }
}

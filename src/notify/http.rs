//! One POST of JSON, and what its answer means.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::Client;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::DATE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use reqwest::header::RETRY_AFTER;
use url::Url;

use super::Sent;
use super::message;

/// From connecting to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// To a connection; a host that is down must not hold up the others for longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest part of an answer that is read, in bytes.
const MAX_ANSWER: usize = 16 << 10;
/// Largest part of an answer that a reason quotes, in characters.
const MAX_QUOTE: usize = 300;
/// Longest `Retry-After` that is honoured: a wrong one must not keep people in the dark for a day.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// The answer to a POST.
#[derive(Debug)]
pub(super) struct Answer {
    /// Status code.
    pub(super) status: StatusCode,
    /// `Retry-After`, in seconds or as a date.
    pub(super) after: Option<Duration>,
    /// Body, cut to [`MAX_ANSWER`].
    pub(super) body: String,
}

/// Posts JSON. `who` names the other side in reasons; the URL is never shown, since some are
/// credentials.
pub(super) async fn post(
    who: &str,
    url: &str,
    headers: HeaderMap,
    json: Vec<u8>,
) -> Result<Answer, Sent> {
    let url = Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| Sent::refused(format!("{who}: expected an http:// or https:// URL")))?;
    let request = client()
        .map_err(Sent::retry)?
        .post(url)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .headers(headers)
        .body(json);
    let failed = |error: reqwest::Error| {
        Sent::retry(format!("{who} was not reached: {}", chain(&error.without_url())))
    };
    let mut response = request.send().await.map_err(failed)?;
    let (status, after) = (response.status(), retry_after(&response));
    let mut body = Vec::new();
    // an answer that breaks off still has its status, and that is what counts
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= MAX_ANSWER {
            body.truncate(MAX_ANSWER);
            break;
        }
    }
    Ok(Answer { status, after, body: String::from_utf8_lossy(&body).into_owned() })
}

impl Answer {
    /// What an answer other than the expected success means: 408, 425, 429 and 5xx are worth another try,
    /// and so is a 2xx that is not the expected one, which a proxy in between may have made.
    pub(super) fn failure(&self, who: &str) -> Sent {
        self.failure_because(who, &self.body)
    }

    /// The same, with the part of the body that says why.
    pub(super) fn failure_because(&self, who: &str, why: &str) -> Sent {
        let status = self.status;
        let mut reason = format!("{who} answered {}", status.as_u16());
        if let Some(name) = status.canonical_reason() {
            reason = format!("{reason} {name}");
        }
        let why = message::cut(&message::one_line(why), MAX_QUOTE);
        if status.is_redirection() {
            reason.push_str(": redirects are not followed, configure the address it leads to");
        } else if !why.is_empty() {
            reason = format!("{reason}: {why}");
        }
        let again = status.is_server_error()
            || status.is_success()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
            );
        if again { Sent::Retry { reason, after: self.after } } else { Sent::Refused { reason } }
    }
}

/// `Retry-After` (RFC 9110 §10.2.3). A date is read against the answer's own `Date`, so that neither
/// clock needs to be right.
fn retry_after(response: &Response) -> Option<Duration> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let value = header(RETRY_AFTER)?.trim();
    let wait = if let Ok(seconds) = value.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let until = http_date(value)?.duration_since(http_date(header(DATE)?)?);
        Duration::try_from(until).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_WAIT))
}

fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

/// All causes in one line; reqwest's own text stops before the one that matters.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// The client of all channels. Redirects are off: a 301 or 302 would turn the POST into a GET whose 200
/// counts as delivered (`protocols.md §1`, Retry).
fn client() -> Result<&'static Client, String> {
    static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    let built = CLIENT.get_or_init(|| {
        Client::builder()
            .user_agent(concat!("quell/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| format!("no HTTP client: {}", chain(&error)))
    });
    built.as_ref().map_err(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Server;
    use super::*;

    async fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let server = Server::answering(status, headers, body).await;
        post("it", &server.url, HeaderMap::new(), b"{}".to_vec()).await.unwrap()
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
            assert_eq!(answer.after, seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[tokio::test]
    async fn what_an_answer_means_follows_from_its_status() {
        for (status, body, expected) in [
            (429, "", Sent::retry("it answered 429 Too Many Requests")),
            (408, "", Sent::retry("it answered 408 Request Timeout")),
            (500, "a\nb", Sent::retry("it answered 500 Internal Server Error: a b")),
            (503, "", Sent::retry("it answered 503 Service Unavailable")),
            (400, "bad", Sent::refused("it answered 400 Bad Request: bad")),
            (404, "", Sent::refused("it answered 404 Not Found")),
            (
                302,
                "moved",
                Sent::refused(
                    "it answered 302 Found: redirects are not followed, configure the address it \
                     leads to",
                ),
            ),
        ] {
            let headers: &[_] = if status == 302 { &[("location", "/other")] } else { &[] };
            assert_eq!(answer(status, headers, body).await.failure("it"), expected);
        }
    }

    #[tokio::test]
    async fn only_the_beginning_of_a_long_answer_is_kept() {
        let answer = answer(400, &[], &"x".repeat(1 << 20)).await;
        assert_eq!(answer.body.len(), MAX_ANSWER);
        let Sent::Refused { reason } = answer.failure("it") else { panic!("{answer:?}") };
        assert!(reason.len() < 400, "{reason}");
    }

    #[tokio::test]
    async fn a_host_that_is_down_is_tried_again_and_its_url_is_not_shown() {
        let sent = post("it", "http://127.0.0.1:1/secret", HeaderMap::new(), Vec::new()).await;
        let Err(Sent::Retry { reason, after: None }) = sent else { panic!("{sent:?}") };
        assert!(reason.starts_with("it was not reached: "), "{reason}");
        assert!(reason.contains("refused") && !reason.contains("secret"), "{reason}");
    }

    #[tokio::test]
    async fn a_url_that_is_none_is_refused() {
        for url in ["", "secret", "ftp://host/secret", "data:secret"] {
            let sent = post("it", url, HeaderMap::new(), Vec::new()).await;
            let Err(refused) = sent else { panic!("{sent:?}") };
            assert_eq!(refused, Sent::refused("it: expected an http:// or https:// URL"));
        }
    }
}

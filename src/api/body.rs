//! Reads bodies: bounded in size and time, as JSON.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header;
use bytes::Bytes;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde::de::IgnoredAny;

use crate::api::problem;
use crate::api::problem::Problem;
use crate::model::time::show_duration;

/// Longest time in which a body must arrive.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long the rest of a body that is too large is read away, so that its sender gets to read the refusal.
const DISCARD: Duration = Duration::from_secs(2);
/// Largest body of an act: words of people.
const MAX_ACT_BYTES: usize = 64 << 10;

/// Reads a whole body of at most `limit` bytes; `key` is where that limit is set.
pub(super) async fn read(request: Request, limit: usize, key: &str) -> Result<Bytes, Problem> {
    read_within(request, limit, key, DEADLINE).await
}

async fn read_within(
    request: Request,
    limit: usize,
    key: &str,
    deadline: Duration,
) -> Result<Bytes, Problem> {
    let (head, body) = request.into_parts();
    if let Some(encoding) = head.headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let detail =
            format!("content-encoding {encoding:?} is not understood: send the body plain");
        return Err(Problem::new(problem::MEDIA_TYPE, detail));
    }
    let declared = declared_length(&head.headers);
    let waits_for_leave = head.headers.contains_key(header::EXPECT);
    let too_large = |length: Option<usize>| {
        let got = length.map_or_else(String::new, |length| format!(", got {length}"));
        let detail = format!("expected at most {limit} bytes{got}; the limit is {key}");
        Problem::new(problem::TOO_LARGE, detail)
    };
    if declared.is_some_and(|length| length > limit) {
        if !waits_for_leave {
            discard(body).await;
        }
        return Err(too_large(declared));
    }
    let mut body = body;
    match tokio::time::timeout(deadline, collect(&mut body, limit, declared)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => {
            discard(body).await;
            Err(too_large(declared))
        }
        Ok(Err(error)) => {
            let detail = "the connection ended before the body did";
            Err(Problem::new(problem::BAD_REQUEST, detail).because(error.to_string()))
        }
        Err(_) => {
            let detail = format!("expected the whole body within {}", show_duration(deadline));
            Err(Problem::new(problem::BODY_TOO_SLOW, detail).retry_after(1))
        }
    }
}

/// The body of an act as JSON; no body reads as `{}`.
pub(super) async fn act<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let bytes = read(request, MAX_ACT_BYTES, "fixed").await?;
    let text = if bytes.trim_ascii().is_empty() { b"{}" } else { bytes.as_ref() };
    serde_json::from_slice(text).map_err(|error| {
        not_json(text).unwrap_or_else(|| Problem::new(problem::BAD_REQUEST, error.to_string()))
    })
}

/// Says where a text stops being JSON; `None` when it is JSON.
pub(super) fn not_json(text: &[u8]) -> Option<Problem> {
    let error = serde_json::from_slice::<IgnoredAny>(text).err()?;
    let (line, column) = (error.line(), error.column());
    let before: usize = text
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let words = error.to_string();
    let what = words.split(" at line ").next().unwrap_or_default();
    let detail = format!(
        "expected JSON: {what} at line {line} column {column}, byte {} of {}",
        before + column,
        text.len()
    );
    Some(Problem::new(problem::NOT_JSON, detail))
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The whole body; `None` when it is longer than `limit`.
async fn collect(
    body: &mut Body,
    limit: usize,
    declared: Option<usize>,
) -> Result<Option<Bytes>, axum::Error> {
    let mut chunks = std::mem::take(body).into_data_stream();
    let Some(first) = chunks.next().await.transpose()? else { return Ok(Some(Bytes::new())) };
    // most bodies arrive in one piece, which needs no copy
    if declared == Some(first.len()) && first.len() <= limit {
        return Ok(Some(first));
    }
    let mut whole = BytesMut::with_capacity(declared.unwrap_or(first.len()).min(1 << 20));
    whole.extend_from_slice(&first);
    while whole.len() <= limit {
        match chunks.next().await.transpose()? {
            Some(chunk) => whole.extend_from_slice(&chunk),
            None => return Ok(Some(whole.freeze())),
        }
    }
    *body = Body::from_stream(chunks);
    Ok(None)
}

async fn discard(body: Body) {
    let mut chunks = body.into_data_stream();
    let away = async { while let Some(Ok(_)) = chunks.next().await {} };
    // in time or not: what is left is cut off with the connection
    drop(tokio::time::timeout(DISCARD, away).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up_and_may_be_sent_again() {
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("{"))]);
        let endless = first.chain(futures_util::stream::pending());
        let request = Request::new(Body::from_stream(endless));
        let problem = read_within(request, 100, "k", Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(problem.kind, problem::BODY_TOO_SLOW);
        assert_eq!(problem.detail, "expected the whole body within 20ms");
        assert_eq!(problem.retry_after, Some(1));
    }

    #[tokio::test]
    async fn bodies_in_pieces_are_put_together() {
        for (pieces, limit, expected) in [
            (vec![], 3, Some("")),
            (vec!["abc"], 3, Some("abc")),
            (vec!["a", "", "bc"], 3, Some("abc")),
            (vec!["ab", "cd"], 3, None),
            (vec!["abcd"], 3, None),
        ] {
            let pieces = pieces.into_iter().map(|it| Ok::<_, std::io::Error>(Bytes::from(it)));
            let request = Request::new(Body::from_stream(futures_util::stream::iter(pieces)));
            let read = read(request, limit, "k").await;
            assert_eq!(read.ok().as_deref(), expected.map(str::as_bytes));
        }
    }

    #[test]
    fn bad_json_is_located_by_line_column_and_byte() {
        for (text, expected) in [
            (
                "{\"a\":\n 1,}",
                "expected JSON: key must be a string at line 2 column 4, byte 10 of 10",
            ),
            ("", "expected JSON: EOF while parsing a value at line 1 column 0, byte 0 of 0"),
            ("{} x", "expected JSON: trailing characters at line 1 column 4, byte 4 of 4"),
        ] {
            assert_eq!(not_json(text.as_bytes()).unwrap().detail, expected, "{text}");
        }
        assert!(not_json(b"[1, {\"a\": null}]").is_none());
    }
}

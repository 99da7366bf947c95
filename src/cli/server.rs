//! Requests to a running server.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;
use crate::net;
use crate::net::Call;

/// How long an answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// One request, a POST when there is a body; a problem's words become the error.
pub(super) async fn call(
    url: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> Result<Value, Error> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut call = match body {
        Some(body) => Call::post(url, body.to_string().into_bytes(), ANSWER_WITHIN)
            .header("content-type", "application/json"),
        None => Call::get(url, ANSWER_WITHIN),
    };
    if let Some(bearer) = &bearer {
        call = call.header("authorization", bearer);
    }
    let answer = net::send(call).await.map_err(|failure| {
        Error::new("Q0702", format!("could not reach {}: {failure}", net::place(url)))
            .hint("is `quell serve` running there? name another with --server")
    })?;
    let json: Value = serde_json::from_slice(&answer.body)
        .unwrap_or_else(|_| Value::String(answer.text().into_owned()));
    if answer.is_success() {
        return Ok(json);
    }
    let detail = json.pointer("/detail").or_else(|| json.pointer("/title")).unwrap_or(&json);
    let words = text(detail, "");
    Err(Error::problems(
        "Q0703",
        format!("{} answered {}: {words}", net::place(url), answer.status),
    ))
}

/// An answer as what it should be.
pub(super) fn read<T: DeserializeOwned>(url: &str, answer: Value) -> Result<T, Error> {
    serde_json::from_value(answer).map_err(|error| {
        Error::new("Q0704", format!("{} answered something else: {error}", net::place(url)))
            .hint("is that a quell of this version?")
    })
}

/// The text at a pointer; empty when there is none.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

//! Refusals as `application/problem+json` (RFC 9457), each with a stable code.
//!
//! A handler returns a [`Problem`]; [`super::edge`] writes its body, since only it knows the request's id, and logs
//! its cause, once.

use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use crate::store::StoreError;

/// A row of the table of refusals.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Stable code; `/errors/CODE` is the problem's type.
    pub(super) code: &'static str,
    /// HTTP status.
    pub(super) status: StatusCode,
    /// The same for every occurrence.
    pub(super) title: &'static str,
}

macro_rules! table {
    ($($name:ident $code:literal $status:ident $title:literal)*) => {
        $(pub(super) const $name: &Kind =
            &Kind { code: $code, status: StatusCode::$status, title: $title };)*
        /// The whole table.
        #[cfg(test)]
        const ALL: &[&Kind] = &[$($name),*];
    };
}

table! {
    INTERNAL         "Q0500" INTERNAL_SERVER_ERROR  "internal error"
    NOT_JSON         "Q0501" BAD_REQUEST            "not JSON"
    NOT_A_WEBHOOK    "Q0502" UNPROCESSABLE_ENTITY   "not an Alertmanager webhook body"
    TOO_LARGE        "Q0503" PAYLOAD_TOO_LARGE      "body too large"
    // 503 and not 408, which Alertmanager does not retry (protocols.md §1)
    BODY_TOO_SLOW    "Q0504" SERVICE_UNAVAILABLE    "body did not arrive in time"
    WHO              "Q0505" UNAUTHORIZED           "credentials needed"
    FORBIDDEN        "Q0506" FORBIDDEN              "not allowed"
    NO_SUCH          "Q0507" NOT_FOUND              "no such thing"
    METHOD           "Q0508" METHOD_NOT_ALLOWED     "method not allowed"
    CONFLICT         "Q0509" CONFLICT               "not possible now"
    // 503 and never 429, which Alertmanager does not retry (protocols.md §1)
    OVERLOADED       "Q0510" SERVICE_UNAVAILABLE    "overloaded"
    STOPPING         "Q0511" SERVICE_UNAVAILABLE    "stopping"
    STORAGE          "Q0512" SERVICE_UNAVAILABLE    "could not be stored or read"
    BAD_REQUEST      "Q0513" BAD_REQUEST            "request not understood"
    LINK_EXPIRED     "Q0514" GONE                   "link expired"
    LINK_FORGED      "Q0515" FORBIDDEN              "link not valid"
    RELOAD_FAILED    "Q0516" CONFLICT               "reload failed"
    CROSS_SITE       "Q0517" FORBIDDEN              "sent from another site"
    MEDIA_TYPE       "Q0518" UNSUPPORTED_MEDIA_TYPE "content type not understood"
}

/// What is sent, in the order in which people read it.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Value::is_null")]
    diagnostics: &'a Value,
}

/// One refusal.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    /// Which.
    pub(super) kind: &'static Kind,
    /// What was expected, what was got and what to do next; shown.
    pub(super) detail: String,
    /// For the log, never shown.
    pub(super) cause: String,
    /// Seconds after which to try again. Alertmanager ignores it and retries 5xx by itself; other senders heed it.
    pub(super) retry_after: Option<u16>,
    /// What is wrong in the files, one entry each; null when it is not about files.
    pub(super) diagnostics: Value,
}

impl Problem {
    /// A refusal with its words.
    pub(super) fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            cause: String::new(),
            retry_after: None,
            diagnostics: Value::Null,
        }
    }

    /// An error that should not be: the words go to the log only.
    pub(super) fn internal(cause: impl Into<String>) -> Self {
        let detail = "internal error; the log says more under this request id";
        Self { cause: cause.into(), ..Self::new(INTERNAL, detail) }
    }

    /// Adds what only the log may say.
    pub(super) fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = cause.into();
        self
    }

    /// Adds when to try again.
    pub(super) fn retry_after(mut self, seconds: u16) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The body.
    pub(super) fn body(&self, request_id: &str) -> String {
        let body = Body {
            kind: format!("/errors/{}", self.kind.code),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: &self.detail,
            request_id,
            diagnostics: &self.diagnostics,
        };
        // texts and a number cannot fail to be written
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// Status and headers around a body that is not problem+json, such as a page.
    pub(super) fn around(&self, body: impl IntoResponse) -> Response {
        let mut response = body.into_response();
        *response.status_mut() = self.kind.status;
        if self.kind == WHO {
            // Basic is understood for ingest tokens too, but naming it makes a browser ask for a password
            let challenge = HeaderValue::from_static("Bearer realm=\"quell\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.around(());
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing(words) => Self::new(NO_SUCH, words),
            StoreError::Conflict(words) => Self::new(CONFLICT, words),
            StoreError::Forbidden(words) => Self::new(FORBIDDEN, words),
            StoreError::Invalid(words) => Self::new(BAD_REQUEST, words),
            StoreError::Fenced | StoreError::Changed => {
                Self::new(CONFLICT, "somebody else was changing it at the same time; look again")
                    .because(error.to_string())
            }
            StoreError::Corrupt(_) => Self::internal(error.to_string()),
            StoreError::Database(_) => Self::new(
                STORAGE,
                "the database could not be asked; the log says more under this request id",
            )
            .because(error.to_string())
            .retry_after(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_nothing_is_429() {
        let codes: BTreeSet<&str> = ALL.iter().map(|kind| kind.code).collect();
        assert_eq!(codes.len(), ALL.len());
        assert!(ALL.iter().all(|kind| kind.status != StatusCode::TOO_MANY_REQUESTS));
        assert!(
            ALL.iter().all(|kind| kind.status.is_client_error() || kind.status.is_server_error())
        );
    }

    #[test]
    fn what_only_the_log_may_say_is_not_shown() {
        let problem = Problem::from(StoreError::Corrupt("labels: secret".into()));
        assert!(!problem.body("r").contains("secret"));
        assert!(problem.cause.contains("secret"));
    }
}

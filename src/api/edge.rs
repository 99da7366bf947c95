//! Around every handler: the request's id, a tidy path, panics, and the bodies of problems.

use std::any::Any;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::Uri;
use axum::http::header;
use axum::middleware::Next;
use axum::middleware::from_fn;
use axum::response::IntoResponse;
use axum::response::Response;
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::problem;
use crate::api::problem::Problem;
use crate::clock::random_key;

/// Names one request in replies and logs; a sender may choose it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken from a sender.
const MAX_ID: usize = 64;

/// Puts the edge around routes. The path is rewritten before routing, so the routes become an inner service.
pub(super) fn around(routes: Router) -> Router {
    let routes = routes
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(CatchPanicLayer::custom(panicked));
    Router::new().fallback_service(routes).layer(from_fn(edge))
}

async fn edge(mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    tidy_path(request.uri_mut());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let id = id.to_str().unwrap_or_default();
        log(&problem, &method, &uri, id);
        // a page for people has its words already
        if !response.headers().contains_key(header::CONTENT_TYPE) {
            *response.body_mut() = Body::from(problem.body(id));
            let json = HeaderValue::from_static("application/problem+json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The sender's id if it is one word of sane characters, else a random one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sane = |id: &&HeaderValue| {
        let id = id.as_bytes();
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (1..=MAX_ID).contains(&id.len()) && id.iter().all(fits)
    };
    headers.get(REQUEST_ID).filter(sane).cloned().unwrap_or_else(|| {
        let random =
            random_key().into_iter().take(8).fold(0_u64, |id, byte| id << 8 | u64::from(byte));
        HeaderValue::from_str(&format!("{random:016x}"))
            .unwrap_or(HeaderValue::from_static("unknown"))
    })
}

/// `//api/v1/x/` becomes `/api/v1/x`. A redirect instead would turn Alertmanager's POST into a GET whose 200 it
/// counts as delivered (`protocols.md §1`, Retry).
fn tidy_path(uri: &mut Uri) {
    let path = uri.path();
    if !path.contains("//") && (path.len() < 2 || !path.ends_with('/')) {
        return;
    }
    let mut tidy: String =
        path.split('/').filter(|part| !part.is_empty()).flat_map(|part| ["/", part]).collect();
    if tidy.is_empty() {
        tidy.push('/');
    }
    if let Some(query) = uri.query() {
        tidy.push('?');
        tidy.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = tidy.parse().ok();
    if let Ok(tidied) = Uri::from_parts(parts) {
        *uri = tidied;
    }
}

/// Logs a refusal once. Refused alerts are loud: somebody believes that they arrive.
fn log(problem: &Problem, method: &Method, uri: &Uri, request_id: &str) {
    // the token in the path of a link is a credential
    let path = if uri.path().starts_with("/act/") { "/act/…" } else { uri.path() };
    let (code, status) = (problem.kind.code, problem.kind.status.as_u16());
    let (detail, cause) = (&problem.detail, &problem.cause);
    if problem.kind == problem::INTERNAL {
        tracing::error!(%method, path, status, code, request_id, cause, "internal error");
    } else if problem.kind.status.is_server_error() || path.starts_with("/api/v1/webhook/") {
        tracing::warn!(%method, path, status, code, request_id, cause, "refused: {detail}");
    } else {
        tracing::debug!(%method, path, status, code, request_id, cause, "refused: {detail}");
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that tower-http asks for")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let words = panic
        .downcast_ref::<&str>()
        .map(|words| (*words).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Problem::internal(format!("a handler panicked: {words}")).into_response()
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::new(problem::NO_SUCH, format!("there is nothing at {}", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let detail =
        format!("{} does not take {method}; the header Allow says what it takes", uri.path());
    Problem::new(problem::METHOD, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tidied_without_a_redirect() {
        for (given, tidy) in [
            ("/api/v1/x", "/api/v1/x"),
            ("/api/v1/x/", "/api/v1/x"),
            ("//api/v1//x", "/api/v1/x"),
            ("/api/v1/x/?a=b//c/", "/api/v1/x?a=b//c/"),
            ("/x?a=//", "/x?a=//"),
            ("/", "/"),
            ("//", "/"),
        ] {
            // as the server sees it; `//host/path` alone would be parsed as an authority
            let mut uri: Uri = format!("http://q{given}").parse().unwrap();
            tidy_path(&mut uri);
            assert_eq!(uri.path_and_query().unwrap().as_str(), tidy, "{given}");
        }
    }

    #[test]
    fn only_sane_request_ids_are_taken_over() {
        let with = |id: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(id).unwrap());
            request_id(&headers)
        };
        assert_eq!(with(b"am-1.7_x"), "am-1.7_x");
        for hostile in [&b""[..], b"a b", b"<b>", b"\xff", &[b'a'; 65]] {
            let made = with(hostile);
            assert_ne!(made.as_bytes(), hostile);
            assert_eq!(made.len(), 16);
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}

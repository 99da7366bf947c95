use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::routing::any;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;
use crate::model::config::Endpoint;
use crate::model::config::Secret;

/// Repeats what it was asked; the status is the last segment of the path.
async fn echo(
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, String) {
    let status = uri.path().rsplit('/').next().and_then(|it| it.parse().ok()).unwrap_or(200);
    let mut answer = HeaderMap::new();
    answer.insert("location", "https://elsewhere.example/secret-path".parse().unwrap());
    let shown: BTreeMap<&str, &str> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let said = json!({ "method": method.as_str(), "uri": uri.to_string(), "headers": shown, "body": body });
    (StatusCode::from_u16(status).unwrap(), answer, said.to_string())
}

/// Runs `test` beside a server that answers with `router`.
async fn beside<T>(router: Router, test: impl AsyncFnOnce(String) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::select! {
        result = test(url) => result,
        stopped = async { axum::serve(listener, router).await } => panic!("{stopped:?}"),
    }
}

fn targets(url: &str) -> Targets {
    let headers = BTreeMap::from([
        ("Authorization".to_owned(), Secret::new("Bearer s3cret-token")),
        ("X-Tenant".to_owned(), Secret::new("shop")),
    ]);
    let server = Endpoint { url: url.to_owned(), headers };
    Targets { http: BTreeMap::from([("shop".to_owned(), server)]), ..Targets::default() }
}

fn call(method: &str, path: &str) -> HttpCall {
    HttpCall {
        server: Some("shop".into()),
        method: method.into(),
        url: path.into(),
        headers: BTreeMap::new(),
        body: None,
        json: None,
        sealed: crate::model::action::Sealed::default(),
        status: Vec::new(),
    }
}

async fn go(call: &HttpCall, targets: &Targets, timeout: Duration) -> Outcome {
    let intent = Intent { action: None, previous: None, timeout, key: "r-12/3".into() };
    let outcome = perform(call, &intent, 7, targets, &Mask::default()).await;
    assert!(!format!("{outcome:?}").contains("s3cret"), "{outcome:?}");
    outcome
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn joins_the_base_url_sends_the_servers_headers_and_the_key() {
    beside(Router::new().fallback(any(echo)), async |url| {
        let targets = targets(&format!("{url}/base/"));
        let mut post = call("POST", "/restart?soft=1");
        post.json = Some(json!({ "who": "a \"b\"" }));
        post.headers.insert("x-tenant".into(), "other".into());
        let Outcome::Done { summary, output } = go(&post, &targets, LONG).await else { panic!() };
        assert!(summary.starts_with("`shop` answered 200 in "), "{summary}");
        assert_eq!(output["status"], 200);
        let seen = &output["json"];
        assert_eq!(seen["uri"], "/base/restart?soft=1");
        assert_eq!(seen["body"], r#"{"who":"a \"b\""}"#);
        let headers = &seen["headers"];
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(
            (&headers["idempotency-key"], &headers["quell-attempt"]),
            (&json!("r-12/3"), &json!("7"))
        );
        assert_eq!(headers["x-tenant"], "other", "the step's header wins");
        assert_eq!(headers["authorization"], "Bearer [secret]", "sent, and never shown");

        let mut get = call("GET", "status");
        get.body = Some("plain".into());
        let Outcome::Done { output, .. } = go(&get, &targets, LONG).await else { panic!() };
        assert_eq!(output["json"]["uri"], "/base/status");
        assert_eq!(output["json"]["body"], "plain");
        assert_eq!(
            output["json"]["headers"]["idempotency-key"],
            json!(null),
            "GET changes nothing"
        );
    })
    .await;
}

#[tokio::test]
async fn judges_by_the_status() {
    const DONE: &str = "done";
    const NEVER: &str = "failed";
    const DENIED: &str = "denied";
    const LATER: &str = "failed for now";
    const UNKNOWN: &str = "unknown";
    beside(Router::new().fallback(any(echo)), async |url| {
        let targets = targets(&url);
        for (method, status, expected, outcome, words) in [
            ("POST", 200, &[][..], DONE, "`shop` answered 200"),
            ("POST", 204, &[], DONE, "`shop` answered 204"),
            ("POST", 202, &[200, 202], DONE, "`shop` answered 202"),
            ("POST", 302, &[302], DONE, "`shop` answered 302"),
            ("POST", 409, &[409], DONE, "`shop` answered 409"),
            ("POST", 202, &[200], NEVER, "`shop` answered 202"),
            (
                "POST",
                302,
                &[],
                NEVER,
                "write the address it leads to, at https://elsewhere.example",
            ),
            ("POST", 400, &[], NEVER, "`shop` answered 400 \"{"),
            ("POST", 401, &[], DENIED, "refuses the credential in targets.http.shop of quell.yml"),
            ("POST", 403, &[], DENIED, "refuses the credential in targets.http.shop of quell.yml"),
            ("POST", 404, &[], NEVER, "`shop` answered 404"),
            ("POST", 408, &[], LATER, "`shop` answered 408"),
            ("POST", 425, &[], LATER, "`shop` answered 425"),
            ("POST", 429, &[], LATER, "`shop` answered 429"),
            ("POST", 500, &[], LATER, "`shop` answered 500"),
            ("POST", 503, &[], LATER, "`shop` answered 503"),
            ("POST", 504, &[], UNKNOWN, "nobody knows whether the server behind it did it"),
            ("GET", 504, &[], LATER, "`shop` answered 504"),
        ] {
            let mut call = call(method, &format!("/{status}"));
            call.status = expected.to_vec();
            let (what, text) = match go(&call, &targets, LONG).await {
                Outcome::Done { summary, .. } => (DONE, summary),
                Outcome::Failed { reason, retryable: false } => (NEVER, reason),
                Outcome::Denied { reason, .. } => (DENIED, reason),
                Outcome::Failed { reason, retryable: true } => (LATER, reason),
                Outcome::Unknown { reason } => (UNKNOWN, reason),
            };
            assert_eq!(what, outcome, "{method} {status} {expected:?}: {text}");
            assert!(text.contains(words) && !text.contains("secret-path"), "{status}: {text}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_long_answer_is_cut() {
    let router = Router::new().fallback(any(async || "0123456789".repeat(10_000)));
    beside(router, async |url| {
        let Outcome::Done { output, .. } = go(&call("POST", "/"), &targets(&url), LONG).await
        else {
            panic!()
        };
        assert_eq!(output["body"].as_str().map(str::len), Some(MAX_OUTPUT_BYTES));
        assert_eq!(output["cut"], true);
    })
    .await;
}

#[tokio::test]
async fn what_was_not_sent_failed_and_what_may_have_been_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let silent = async {
        let (mut first, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        assert!(first.read(&mut buffer).await.unwrap() > 0);
        std::future::pending::<()>().await;
    };
    let impatient = Duration::from_millis(300);
    let targets = targets(&url);
    let post = call("POST", "/");
    let outcome = tokio::select! {
        outcome = go(&post, &targets, impatient) => outcome,
        () = silent => panic!(),
    };
    let timed_out =
        "no answer from `shop`: timed out after 300ms; nobody knows whether it happened";
    assert_eq!(outcome, super::super::unknown(timed_out));

    let dropping = async {
        let (mut second, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        assert!(second.read(&mut buffer).await.unwrap() > 0);
        drop(second);
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = go(&post, &targets, LONG) => outcome,
        () = dropping => panic!(),
    };
    let Outcome::Unknown { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("no answer from `shop`: connection lost: "), "{reason}");

    drop(listener);
    let refused = super::super::failed_for_now("could not reach `shop`: connection refused");
    assert_eq!(go(&post, &targets, LONG).await, refused);
}

#[tokio::test]
async fn a_call_that_cannot_be_made_is_not_tried_again() {
    let targets = targets("http://127.0.0.1:1/base");
    let nowhere = HttpCall { server: Some("shpo".into()), ..call("POST", "/") };
    let ftp = HttpCall { server: None, url: "ftp://user:s3cret@host/".into(), ..call("POST", "/") };
    let mut split = call("POST", "/");
    split.headers.insert("X-Label".into(), "a\r\nX-Other: b".into());
    for (call, words) in [
        (nowhere, "no server `shpo` in targets.http of quell.yml; there are: shop"),
        (ftp, "must begin with http:// or https://"),
        (split, "header `x-label` holds a line break"),
        (call("POST", "/a/../../admin"), "holds `.` or `..` as a segment"),
        (call("POST", "/a/%2E%2e/admin"), "holds `.` or `..` as a segment"),
    ] {
        let outcome = go(&call, &targets, LONG).await;
        let Outcome::Failed { reason, retryable: false } = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn a_redirect_names_no_more_than_a_host() {
    let absolute = advice("https://user:s3cret@elsewhere.example/?token=s3cret");
    assert_eq!(absolute, "write the address it leads to, at https://elsewhere.example");
    for relative in ["/login?token=s3cret", "", "//elsewhere.example/s3cret"] {
        assert_eq!(advice(relative), "write the path it leads to");
    }
}

#[test]
fn a_path_cannot_leave_the_base_url() {
    for (path, joined) in [
        ("/x", "http://shop:80/base/x"),
        ("x", "http://shop:80/base/x"),
        ("@evil.example/", "http://shop:80/base/@evil.example/"),
        ("//evil.example/", "http://shop:80/base//evil.example/"),
        ("", "http://shop:80/base/"),
    ] {
        let url = join("http://shop:80/base", path);
        assert_eq!(url, joined);
        assert!(!climbs(&url));
    }
    for path in ["..", "/a/..", "/a/.%2E/b", r"/a\..\b", "/./b"] {
        assert!(climbs(&join("http://shop", path)), "{path}");
    }
    for path in ["/a..b", "/...", "/a?b=/../c", "/a#/.."] {
        assert!(!climbs(&join("http://shop", path)), "{path}");
    }
}

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;

const LONG: Duration = Duration::from_secs(20);

/// Answers one connection with `answer` once a whole request head was read, holds the connection open when
/// `hold`, and gives the request.
async fn serve(answer: &'static [u8], hold: bool) -> (String, impl Future<Output = String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.windows(4).any(|it| it == b"\r\n\r\n") {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "the client went away");
            request.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(answer).await.unwrap();
        if hold {
            std::future::pending::<()>().await;
        }
        stream.shutdown().await.unwrap();
        String::from_utf8(request).unwrap()
    };
    (url, serving)
}

async fn fails(answer: &'static [u8], hold: bool, timeout: Duration) -> Failure {
    let (url, serving) = serve(answer, hold).await;
    let call = Call { limit: Limit::Refuse(10), ..Call::get(&url, timeout) };
    tokio::pin!(serving);
    let sending = send(call);
    tokio::pin!(sending);
    tokio::select! {
        it = &mut sending => it.unwrap_err(),
        _ = serving => sending.await.unwrap_err(),
    }
}

#[tokio::test]
async fn sends_what_it_was_told_and_reads_the_answer() {
    let (url, serving) =
        serve(b"HTTP/1.1 307 x\r\nLocation: /next\r\nContent-Length: 5\r\n\r\nmoved", false).await;
    let url = url.replace("http://", "http://user:secret@");
    let call = Call::post(&url, b"{}".to_vec(), LONG).header("X-A", "1").header("x-a", "é");
    let (answer, request) = tokio::join!(send(call), serving);
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.header("location")), (307, "/next"), "never followed");
    assert_eq!(answer.describe(), "307 \"moved\"");
    let request = request.to_lowercase();
    assert!(request.starts_with("post / http/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nx-a: é\r\n") && !request.contains("x-a: 1"), "{request}");
    assert!(request.contains("\r\nauthorization: basic "), "{request}");
    assert!(
        request.contains(concat!("user-agent: quell/", env!("CARGO_PKG_VERSION"))),
        "{request}"
    );
}

#[tokio::test]
async fn a_large_body_is_refused_or_cut() {
    let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n12345678901";
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n3\r\n901\r\n0\r\n\r\n";
    for answer in [whole.as_slice(), chunked.as_slice()] {
        let failure = fails(answer, false, LONG).await;
        assert_eq!(failure, Failure::TooLarge { status: 200, limit: 10 });
        assert!(failure.sent());
        assert_eq!(failure.to_string(), "answered 200 with more than 10 bytes");
        let (url, serving) = serve(answer, false).await;
        let call = Call { limit: Limit::Cut(10), ..Call::get(&url, LONG) };
        let (answer, _) = tokio::join!(send(call), serving);
        let answer = answer.unwrap();
        assert_eq!((answer.text().as_ref(), answer.cut), ("1234567890", true));
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_whole() {
    let (url, serving) = serve(b"HTTP/1.1 200 OK\r\n\r\n1234567890", false).await;
    let (answer, _) =
        tokio::join!(send(Call { limit: Limit::Refuse(10), ..Call::get(&url, LONG) }), serving);
    let answer = answer.unwrap();
    assert_eq!((answer.text().as_ref(), answer.cut), ("1234567890", false));
}

#[tokio::test]
async fn knows_whether_a_request_may_have_arrived() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = send(Call::get(&format!("http://{free}/?token=s3cret"), LONG)).await.unwrap_err();
    assert_eq!((&refused, refused.sent()), (&Failure::Refused, false));

    let dns = send(Call::get("http://no-such-host.invalid/", LONG)).await.unwrap_err();
    assert_eq!((&dns, dns.sent()), (&Failure::Dns, false));

    let short = Duration::from_millis(300);
    let slow = fails(b"", true, short).await;
    assert_eq!((&slow, slow.sent()), (&Failure::Timeout(short), true));
    assert_eq!(slow.to_string(), "timed out after 300ms");
    let slow_body = fails(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", true, short).await;
    assert_eq!((&slow_body, slow_body.sent()), (&Failure::Timeout(short), true));

    let lost = fails(b"", false, LONG).await;
    assert!(matches!(lost, Failure::Lost(_)) && lost.sent(), "{lost:?}");
    let half = fails(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", false, LONG).await;
    assert!(half.to_string().ends_with("in the body of a 200") && half.sent(), "{half}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_a_tls_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap_or_default()
    };
    let (failure, _) = tokio::join!(send(Call::get(&url, LONG)), serving);
    let failure = failure.unwrap_err();
    assert!(matches!(failure, Failure::Tls(_)) && !failure.sent(), "{failure:?}");
    assert_eq!(
        failure.to_string(),
        "no secure connection: received corrupt message of type InvalidContentType"
    );
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_says_why_without_its_values() {
    let url = "http://127.0.0.1:1/";
    for (call, words) in [
        (Call::get("127.0.0.1:1", LONG), "the URL: relative URL without a base"),
        (Call::get("ftp://host/", LONG), "must begin with http:// or https://"),
        (Call { method: "G T", ..Call::get(url, LONG) }, "`G T` is not an HTTP method"),
        (Call::get(url, LONG).header("bad name", "x"), "\"bad name\" is not a header name"),
        (Call::get(url, LONG).header("X-Key", "s3cret\nx"), "header `X-Key` holds a line break"),
    ] {
        let failure = send(call).await.unwrap_err();
        let text = failure.to_string();
        assert!(text.contains(words) && !text.contains("s3cret"), "{text}");
        assert!(!failure.sent());
    }
}

#[test]
fn only_the_place_of_a_url_is_shown() {
    for (url, shown) in [
        (
            "https://user:pass@hooks.example.com/services/T0/B0/key?token=x",
            "https://hooks.example.com",
        ),
        ("http://127.0.0.1:9090/api", "http://127.0.0.1:9090"),
        ("http://[::1]:80/", "http://[::1]"),
        ("not a url", "an invalid URL"),
    ] {
        assert_eq!(place(url), shown);
        assert!(!format!("{:?}", Call::get(url, LONG)).contains("pass"));
    }
}

#[test]
fn an_answer_is_described_in_one_line() {
    let answer = |body: &str| Answer {
        status: 502,
        headers: HeaderMap::new(),
        body: body.into(),
        cut: false,
        took: Duration::ZERO,
    };
    assert_eq!(answer("").describe(), "502");
    assert_eq!(answer("<html>\n  bad \"gateway\"\n").describe(), r#"502 "<html> bad \"gateway\"""#);
    assert_eq!(answer(&"é".repeat(121)).describe(), format!("502 \"{}\"…", "é".repeat(120)));
}

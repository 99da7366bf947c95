//! The HTTP client all outgoing calls share; and in files of their own what else is spoken with: `docker`, `systemd`.
//!
//! What a caller must know when a call fails is whether the request may have arrived: [`Failure::sent`].
//! Redirects are never followed (they would carry credentials and effects to places nobody named), proxies
//! in the environment are ignored, answers are capped, and no text of an error holds more of a URL than its
//! scheme, host and port.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Client;
use reqwest::Method;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;
use reqwest::header::HeaderValue;
use reqwest::redirect;
use tokio::time::Instant;

pub mod docker;
mod failure;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod postgres;
pub mod redis;
#[cfg(feature = "systemd")]
pub mod systemd;
mod trouble;

pub use failure::Failure;
pub use trouble::Kind;
pub use trouble::Trouble;

/// Longest time for a connection, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer read by default, in bytes.
pub const MAX_BODY_BYTES: usize = 10 << 20;

/// One HTTP request.
pub struct Call<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// Whole URL; user and password in it are sent as basic auth.
    pub url: &'a str,
    /// Headers; a later one replaces an earlier one of the same name.
    pub headers: Vec<(&'a str, &'a str)>,
    /// Body.
    pub body: Option<Vec<u8>>,
    /// Longest time for the whole exchange, the answer's body included.
    pub timeout: Duration,
    /// How much of an answer's body is read.
    pub limit: Limit,
}

/// What to do with a large body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// More than this many bytes is an error.
    Refuse(usize),
    /// The first this many bytes are enough.
    Cut(usize),
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, as far as it was read.
    pub body: Vec<u8>,
    /// Whether there was more of it.
    pub cut: bool,
    /// How long it took.
    pub took: Duration,
}

/// Names neither headers nor the URL, which may hold credentials.
impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("place", &place(self.url))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl<'a> Call<'a> {
    /// A GET without headers; answers beyond [`MAX_BODY_BYTES`] are refused.
    pub fn get(url: &'a str, timeout: Duration) -> Self {
        let limit = Limit::Refuse(MAX_BODY_BYTES);
        Self { method: "GET", url, headers: Vec::new(), body: None, timeout, limit }
    }

    /// A POST of `body`, without headers.
    pub fn post(url: &'a str, body: Vec<u8>, timeout: Duration) -> Self {
        Self { method: "POST", body: Some(body), ..Self::get(url, timeout) }
    }

    /// Adds a header, instead of an earlier one of the same name.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Answer {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body, decoded lossily.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// A header's value; empty when it is missing or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Status and the beginning of the body in one line, for people: `502 "<html> <head> bad gateway"`.
    pub fn describe(&self) -> String {
        const SHOWN: usize = 120;
        let text = self.text();
        let line: String =
            text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN + 1).collect();
        match line.char_indices().nth(SHOWN) {
            _ if line.is_empty() => self.status.to_string(),
            Some((end, _)) => {
                format!("{} {:?}…", self.status, line.get(..end).unwrap_or_default())
            }
            None => format!("{} {line:?}", self.status),
        }
    }
}

/// Scheme, host and port of a URL: what of it may be shown. Its path and query may hold credentials.
pub fn place(url: &str) -> String {
    let Ok(url) = url::Url::parse(url) else { return "an invalid URL".into() };
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

/// Sends a request and reads the answer, whatever its status.
pub async fn send(call: Call<'_>) -> Result<Answer, Failure> {
    let began = Instant::now();
    let timeout = call.timeout;
    let limit = call.limit;
    let request = request(call)?;
    let mut response = client()?
        .execute(request)
        .await
        .map_err(|error| Failure::of(&error, timeout, began.elapsed()))?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let (max, refuse) = match limit {
        Limit::Refuse(max) => (max, true),
        Limit::Cut(max) => (max, false),
    };
    let too_large = || Failure::TooLarge { status, limit: max };
    if refuse && response.content_length().is_some_and(|length| length > max as u64) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    let mut cut = false;
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| Failure::of(&error, timeout, began.elapsed()).while_reading(status))?
    {
        let room = max - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            if refuse {
                return Err(too_large());
            }
            cut = true;
            break;
        }
    }
    Ok(Answer { status, headers, body, cut, took: began.elapsed() })
}

/// Builds the request; what is wrong with it is named without its values.
fn request(call: Call<'_>) -> Result<reqwest::Request, Failure> {
    let invalid = |text: String| Failure::Invalid(text);
    let method = Method::from_bytes(call.method.as_bytes())
        .map_err(|_| invalid(format!("`{}` is not an HTTP method", call.method)))?;
    let url = url::Url::parse(call.url).map_err(|error| invalid(format!("the URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(invalid("the URL must begin with http:// or https:// and name a host".into()));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in call.headers {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| invalid(format!("{name:?} is not a header name")))?;
        // any UTF-8 text but control characters: values of labels are not always ASCII
        let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            invalid(format!("header `{name}` holds a line break or another control character"))
        })?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    let mut builder = client()?.request(method, url).headers(headers).timeout(call.timeout);
    if let Some(body) = call.body {
        builder = builder.body(body);
    }
    builder.build().map_err(|_| invalid("the request could not be built".into()))
}

fn shared() -> &'static Result<Client, String> {
    static SHARED: OnceLock<Result<Client, String>> = OnceLock::new();
    SHARED.get_or_init(|| {
        builder()
            .build()
            // a system without certificates (an empty container): plain HTTP still works
            .or_else(|_| builder().tls_certs_only([]).build())
            .map_err(|error| chain(&error))
    })
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .user_agent(concat!("quell/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .no_proxy()
        .referer(false)
        // a connection that the server closed meanwhile would make an effect's outcome unknown
        .pool_max_idle_per_host(0)
}

/// The shared client, for callers that need more than [`send`].
pub fn client() -> Result<&'static Client, Failure> {
    shared().as_ref().map_err(|reason| Failure::Invalid(format!("no HTTP client: {reason}")))
}

/// All causes in one line.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;

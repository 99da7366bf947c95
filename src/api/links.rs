//! What the links in messages open: `GET /act/{token}` shows, `POST` does.
//!
//! Link previews and mail scanners follow every link, so GET and HEAD change nothing, ever. Who has the link may use
//! it, once: it proves no more than that its bearer could read the channel, and that is how the act is recorded.

mod page;
#[cfg(test)]
mod tests;

use axum::Json;
use axum::extract::Path;
use axum::extract::Request;
use axum::extract::State as With;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::header;
use axum::http::uri::Authority;
use axum::response::Html;
use axum::response::IntoResponse as _;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;
use url::Url;
use url::form_urlencoded;

use crate::api::State;
use crate::api::act::acknowledge_as;
use crate::api::body;
use crate::api::links::page::Page;
use crate::api::problem;
use crate::api::problem::Problem;
use crate::decide::link;
use crate::decide::link::Act;
use crate::decide::link::Invalid;
use crate::decide::link::Link;
use crate::model::incident::Incident;
use crate::model::incident::IncidentStatus;

/// Longest name that a person may give, in characters.
const MAX_NAME: usize = 80;
/// Largest form.
const MAX_FORM_BYTES: usize = 4 << 10;
/// A link's page runs nothing, is kept nowhere, framed by nobody, and does not pass its own address on.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
];

/// What a link may be used for now.
struct Opened {
    link: Link,
    incident: Incident,
    /// Hides the token, which is a credential, from the store.
    digest: String,
}

/// `GET /act/{token}`: what it is about and what the button would do.
pub(super) async fn show(
    With(api): With<State>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    let json = wants_json(&headers);
    let shown = open(&api, &token).await.map(|opened| {
        let Opened { link, incident, .. } = &opened;
        if json {
            let (act, channel) = ("acknowledge", &link.channel);
            return Json(json!({ "act": act, "channel": channel, "incident": incident }))
                .into_response();
        }
        let now = api.clock.now();
        let page = match incident.status {
            IncidentStatus::Open => Page::ask(incident, link, &token, now),
            IncidentStatus::Acknowledged | IncidentStatus::Resolved => {
                Page::about(incident, &over(incident), now)
            }
        };
        Html(page.html()).into_response()
    });
    reply(shown, json)
}

/// `POST /act/{token}`: does it.
pub(super) async fn act(
    With(api): With<State>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let json = wants_json(request.headers());
    let done = perform(&api, &token, request).await.map(|(incident, by)| {
        if json {
            return Json(json!({ "acknowledged": true, "incident": incident })).into_response();
        }
        Html(Page::done(&incident, &by, api.clock.now()).html()).into_response()
    });
    reply(done, json)
}

async fn perform(
    api: &State,
    token: &str,
    request: Request,
) -> Result<(Incident, String), Problem> {
    let external = api.library.load().config.external_url.clone();
    let (parts, content) = request.into_parts();
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(Authority::as_str));
    same_origin(&parts.headers, host, &external)?;
    let form = parts.headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    if !form.is_some_and(|it| it.starts_with("application/x-www-form-urlencoded")) {
        let detail =
            "expected content-type application/x-www-form-urlencoded, as the page's form sends";
        return Err(Problem::new(problem::MEDIA_TYPE, detail));
    }
    let opened = open(api, token).await?;
    let bytes = body::read(Request::from_parts(parts, content), MAX_FORM_BYTES, "fixed").await?;
    let channel = &opened.link.channel;
    let by = match name(&bytes) {
        Some(name) => format!("{name}, by the link in {channel}"),
        None => format!("the link in {channel}"),
    };
    // one arm an act: a link does nothing else
    let Act::Ack = opened.link.act;
    if let Some((by, at)) = api.store.link_used(&opened.digest).await? {
        return Err(Problem::new(problem::CONFLICT, acknowledged(&by, at)));
    }
    let (incident, done) =
        acknowledge_as(api, opened.incident.id, &by, Some(&opened.digest)).await?;
    if done { Ok((incident, by)) } else { Err(Problem::new(problem::CONFLICT, over(&incident))) }
}

/// What a token stands for.
async fn open(api: &State, token: &str) -> Result<Opened, Problem> {
    let link =
        link::verify(token, &api.link_key, api.clock.now()).map_err(|invalid| match invalid {
            Invalid::Forged => Problem::new(
                problem::LINK_FORGED,
                "this quell did not make this link; copy all of it, or use the newest message",
            ),
            Invalid::Expired => Problem::new(
                problem::LINK_EXPIRED,
                "this link is too old; use the newest message, or quell ack",
            ),
        })?;
    let Some(incident) = api.store.incident(link.incident).await? else {
        let detail = format!("there is no incident {}", link.incident);
        return Err(Problem::new(problem::NO_SUCH, detail));
    };
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(token));
    Ok(Opened { link, incident, digest })
}

/// Why there is nothing left to acknowledge.
fn over(incident: &Incident) -> String {
    match (incident.status, incident.resolved_at, incident.acked_at) {
        (IncidentStatus::Resolved, Some(at), _) => format!("resolved at {}", page::clock(at)),
        (_, _, Some(at)) => acknowledged(&incident.acked_by, at),
        (status, _, None) => format!("it is {}", status.as_str()),
    }
}

fn acknowledged(by: &str, at: Timestamp) -> String {
    format!("already acknowledged by {by} at {}", page::clock(at))
}

/// The name in the form: one line, without what could forge or break one.
fn name(form: &[u8]) -> Option<String> {
    let (_, name) = form_urlencoded::parse(form).find(|(key, _)| key == "name")?;
    let name: String = name.chars().filter(|char| !char.is_control()).take(MAX_NAME).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Refuses a form that another site's page sent. The token is what authorises; this keeps pages that learnt one from
/// using it through somebody's browser.
fn same_origin(headers: &HeaderMap, host: Option<&str>, external_url: &str) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).map(|it| it.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site")
        && !matches!(site, "same-origin" | "none")
    {
        let detail = format!("sec-fetch-site is {site}; open the link itself and use its button");
        return Err(Problem::new(problem::CROSS_SITE, detail));
    }
    // our own form says `null`, since its page forbids to tell where it stands (referrer-policy: no-referrer)
    let Some(origin) = text("origin").filter(|it| *it != "null") else { return Ok(()) };
    let sent = Url::parse(origin).ok().map(|url| url.origin());
    let external = Url::parse(external_url).ok().map(|url| url.origin());
    // behind a proxy that ends TLS the scheme differs, so only the authority must agree
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    if (sent.is_some() && sent == external) || (authority.is_some() && authority == host) {
        return Ok(());
    }
    let detail = format!("origin is {origin}; open the link itself and use its button");
    Err(Problem::new(problem::CROSS_SITE, detail))
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|it| {
        it.contains("application/json") || it.contains("application/problem+json")
    })
}

fn reply(result: Result<Response, Problem>, json: bool) -> Response {
    let mut response = match result {
        Ok(response) => response,
        Err(problem) if json => problem.into_response(),
        Err(problem) => {
            let mut page = problem.around(Html(Page::problem(&problem).html()));
            page.extensions_mut().insert(problem);
            page
        }
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    response
}

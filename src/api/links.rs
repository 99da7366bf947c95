//! What the links in messages open: `GET /act/{token}` shows, `POST` does.
//!
//! Link previews and mail scanners follow every link, so GET and HEAD change nothing, ever. Each link works once. Who has one
//! may acknowledge or take over with it: it proves no more than that its bearer could read the channel, and that is how the
//! act is recorded. To approve or reject, it must be known who says so: the operator whose mail address alone the link was
//! sent to, else whoever gives an operator's token in the form. So no link lets anybody count twice, or choose a tier.

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
use crate::api::act::say_as;
use crate::api::act::take_as;
use crate::api::auth;
use crate::api::body;
use crate::api::links::page::Page;
use crate::api::links::page::Proposal;
use crate::api::problem;
use crate::api::problem::Problem;
use crate::decide::approval;
use crate::decide::link;
use crate::decide::link::Act;
use crate::decide::link::Invalid;
use crate::decide::link::Link;
use crate::decide::machine;
use crate::decide::tell;
use crate::model::config::Config;
use crate::model::config::Operator;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::incident::RunId;
use crate::model::run::RunState;
use crate::store::people::Speaker;
use crate::store::people::Word;
use crate::store::runs::RunRow;

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
    about: About,
    /// Hides the token, which is a credential, from the store.
    digest: String,
}

/// What it is about.
enum About {
    /// An incident, to acknowledge or to take over.
    Incident(Box<Incident>),
    /// A plan, to approve or to reject.
    Plan(Box<Proposal>),
}

/// What a POST came to.
enum Done {
    /// Acknowledged, or taken over, by this person.
    Incident { incident: Incident, words: String },
    /// The run as it is now.
    Run { row: RunRow, incident: Incident, words: String },
}

/// `GET /act/{token}`: what it is about and what the button would do.
pub(super) async fn show(
    With(api): With<State>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    let json = wants_json(&headers);
    reply(shown(&api, &token, json).await, json)
}

async fn shown(api: &State, token: &str, json: bool) -> Result<Response, Problem> {
    let Opened { link, about, digest } = open(api, token).await?;
    let used = api.store.link_used(&digest).await?;
    let now = api.clock.now();
    let channel = &link.channel;
    let page = match &about {
        About::Incident(incident) => {
            let take = matches!(link.act, Act::Take(_));
            if json {
                let act = if take { "take over" } else { "acknowledge" };
                return Ok(Json(json!({ "act": act, "channel": channel, "incident": incident }))
                    .into_response());
            }
            match nothing_to_do(incident, take) {
                Some(words) => Page::about(incident, &words, now),
                None if take => Page::ask_to_take(incident, &link, token, now),
                None => Page::ask(incident, &link, token, now),
            }
        }
        About::Plan(proposal) => {
            if json {
                let Proposal { run, plan, state, .. } = proposal.as_ref();
                return Ok(Json(json!({
                    "act": "decide", "channel": channel, "operator": link.operator, "run": run,
                    "proposes": tell::plan_in_full(plan, &run.id.to_string()), "needs": approval::needs(plan, state),
                    "approved_by": state.approved_by, "until": state.approve_until,
                }))
                .into_response());
            }
            match (used, run_over(&proposal.run)) {
                (Some((by, at)), _) => Page::about(&proposal.incident, &used_by(&by, at), now),
                (None, Some(words)) => Page::about(&proposal.incident, &words, now),
                (None, None) => Page::ask_to_decide(proposal, &link, token, now),
            }
        }
    };
    Ok(Html(page.html()).into_response())
}

/// `POST /act/{token}`: does it.
pub(super) async fn act(
    With(api): With<State>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let json = wants_json(request.headers());
    let now = api.clock.now();
    let done = perform(&api, &token, request).await.map(|done| match done {
        Done::Incident { incident, words } if json => {
            let taken = incident.taken_by.as_str();
            Json(json!({ "acknowledged": true, "done": words, "taken_by": taken, "incident": incident }))
                .into_response()
        }
        Done::Run { row, words, .. } if json => {
            Json(json!({ "done": words, "run": row })).into_response()
        }
        Done::Incident { incident, words } | Done::Run { incident, words, .. } => {
            Html(Page::about(&incident, &words, now).html()).into_response()
        }
    });
    reply(done, json)
}

async fn perform(api: &State, token: &str, request: Request) -> Result<Done, Problem> {
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
    let form = body::read(Request::from_parts(parts, content), MAX_FORM_BYTES, "fixed").await?;
    // one arm an act: a link does nothing else
    match (&opened.link.act, &opened.about) {
        (Act::Decide { digest, .. }, About::Plan(proposal)) => {
            decide(api, &opened, proposal, digest, &form).await
        }
        (Act::Ack(_), About::Incident(incident)) => {
            acknowledge(api, &opened, incident, &form).await
        }
        (Act::Take(_), About::Incident(incident)) => take(api, &opened, incident, &form).await,
        (Act::Ack(_) | Act::Take(_), About::Plan(_)) | (Act::Decide { .. }, About::Incident(_)) => {
            Err(Problem::internal("a link that is about something else than its act"))
        }
    }
}

async fn acknowledge(
    api: &State,
    opened: &Opened,
    incident: &Incident,
    form: &[u8],
) -> Result<Done, Problem> {
    let by = bearer(&opened.link, form);
    if let Some((by, at)) = api.store.link_used(&opened.digest).await? {
        return Err(Problem::new(problem::CONFLICT, acknowledged(&by, at)));
    }
    let (incident, done) = acknowledge_as(api, incident.id, &by, Some(&opened.digest)).await?;
    if done {
        let words = format!("acknowledged by {by}");
        return Ok(Done::Incident { incident, words });
    }
    Err(Problem::new(problem::CONFLICT, over(&incident)))
}

async fn take(
    api: &State,
    opened: &Opened,
    incident: &Incident,
    form: &[u8],
) -> Result<Done, Problem> {
    let by = bearer(&opened.link, form);
    if let Some((by, at)) = api.store.link_used(&opened.digest).await? {
        return Err(Problem::new(problem::CONFLICT, used_by(&by, at)));
    }
    let (incident, done) = take_as(api, incident.id, &by, Some(&opened.digest)).await?;
    if done {
        let id = incident.id;
        let words = format!("taken over by {by}; `quell give-back {id}` lets quell act again");
        return Ok(Done::Incident { incident, words });
    }
    let words = nothing_to_do(&incident, true).unwrap_or_else(|| over(&incident));
    Err(Problem::new(problem::CONFLICT, words))
}

/// Approves or rejects, as the operator that the link or the form names.
async fn decide(
    api: &State,
    opened: &Opened,
    proposal: &Proposal,
    digest: &str,
    form: &[u8],
) -> Result<Done, Problem> {
    let operator = decider(&api.library.load().config, &opened.link, form)?;
    let word = match field(form, "say").as_deref() {
        Some("approve") => Word::Approve { digest: digest.to_owned() },
        Some("reject") => Word::Reject { reason: field(form, "reason").unwrap_or_default() },
        Some(_) | None => {
            let detail =
                "expected say=approve, or say=reject and a reason, as the page's forms send";
            return Err(Problem::new(problem::BAD_REQUEST, detail));
        }
    };
    let speaker = Speaker { name: &operator.name, tier: operator.tier, link: Some(&opened.digest) };
    let row = say_as(api, proposal.run.id, speaker, word).await?;
    let words = if row.outcome.is_empty() {
        format!("approved by {}: it begins", operator.name)
    } else {
        row.outcome.clone()
    };
    Ok(Done::Run { row, incident: proposal.incident.clone(), words })
}

/// Who approves or rejects: whom the link was sent to alone, else whose token the form holds.
fn decider(config: &Config, link: &Link, form: &[u8]) -> Result<Operator, Problem> {
    if !link.operator.is_empty() {
        let known = config.operators.iter().find(|it| it.name == link.operator);
        return known.cloned().ok_or_else(|| {
            let detail = format!("{} is no operator any more", link.operator);
            Problem::new(problem::FORBIDDEN, detail)
        });
    }
    let token = field(form, "token").unwrap_or_default();
    auth::by_token(config, token.trim()).cloned().ok_or_else(|| {
        let detail = "this is the token of no operator; nothing was done, and the link still works";
        Problem::new(problem::FORBIDDEN, detail)
    })
}

/// Who has the link, as it is kept.
fn bearer(link: &Link, form: &[u8]) -> String {
    let channel = &link.channel;
    if !link.operator.is_empty() {
        return format!("{}, by the link in {channel}", link.operator);
    }
    match name(form) {
        Some(name) => format!("{name}, by the link in {channel}"),
        None => format!("the link in {channel}"),
    }
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
                "this link is too old; use the newest message, or the command line",
            ),
        })?;
    let about = match &link.act {
        Act::Ack(id) | Act::Take(id) => About::Incident(Box::new(incident(api, *id).await?)),
        Act::Decide { run, digest } => About::Plan(Box::new(proposal(api, *run, digest).await?)),
    };
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(token));
    Ok(Opened { link, about, digest })
}

async fn incident(api: &State, id: IncidentId) -> Result<Incident, Problem> {
    api.store
        .incident(id)
        .await?
        .ok_or_else(|| Problem::new(problem::NO_SUCH, format!("there is no incident {id}")))
}

async fn proposal(api: &State, run: RunId, digest: &str) -> Result<Proposal, Problem> {
    let missing = || Problem::new(problem::NO_SUCH, format!("there is no run {run}"));
    let row = api.store.run(run).await?.ok_or_else(missing)?;
    let plan = api.store.plan(run).await?.ok_or_else(missing)?;
    if row.digest != digest {
        let detail = format!("the plan of {run} is not the one of this link");
        return Err(Problem::new(problem::CONFLICT, detail));
    }
    let journal = api.store.journal(run).await?;
    let state =
        machine::fold(&plan, &journal).map_err(|illegal| Problem::internal(illegal.to_string()))?;
    let incident = incident(api, row.incident).await?;
    Ok(Proposal { incident, run: row, plan, state })
}

/// Why a plan is not to be decided on; `None` while it waits.
fn run_over(run: &RunRow) -> Option<String> {
    if run.state == RunState::AwaitingApproval {
        return None;
    }
    let words = if run.outcome.is_empty() { run.state.as_str() } else { &run.outcome };
    Some(format!("{} waits for nobody: {words}", run.id))
}

/// Why an incident is not to be acknowledged or taken over; `None` when it is.
fn nothing_to_do(incident: &Incident, take: bool) -> Option<String> {
    match incident.status {
        IncidentStatus::Resolved => Some(over(incident)),
        IncidentStatus::Acknowledged if !take => Some(over(incident)),
        IncidentStatus::Acknowledged | IncidentStatus::Open => {
            let at = incident.taken_at.filter(|_| !incident.taken_by.is_empty())?;
            Some(format!("already taken over by {} at {}", incident.taken_by, page::clock(at)))
        }
    }
}

fn used_by(by: &str, at: Timestamp) -> String {
    format!("this link was used by {by} at {}; each works once", page::clock(at))
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
    let name: String = line(&field(form, "name")?).chars().take(MAX_NAME).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// A field of the form, on one line.
fn field(form: &[u8], name: &str) -> Option<String> {
    let (_, value) = form_urlencoded::parse(form).find(|(key, _)| key == name)?;
    Some(line(&value))
}

fn line(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).collect()
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

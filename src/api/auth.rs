//! Who may post alerts, read, and act (`formats.md`, quell.yml).
//!
//! | | with a token configured | without |
//! |---|---|---|
//! | post alerts | senders of `ingest.tokens`, operators | this machine, operators |
//! | read | operators, and this machine | this machine |
//! | act | operators | nobody |
//! | tell of changes | operators, senders of `ingest.tokens` | this machine |

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::Method;
use axum::http::header;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;
use sha2::Sha256;
use subtle::Choice;
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::api::State;
use crate::api::problem;
use crate::api::problem::Problem;
use crate::decide::approval::OPERATOR;
use crate::model::alert::LOCAL;
use crate::model::config::Config;
use crate::model::config::IngestToken;
use crate::model::config::Operator;
use crate::model::config::Secret;

/// A request with one of these came through a proxy, which is what connects from this machine.
const FORWARDED: [HeaderName; 4] = [
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
    header::VIA,
];

/// An operator, known by a token: may act.
#[derive(Debug)]
pub(super) struct Acting(pub(super) Operator);

/// An operator, or somebody on this machine: may read.
#[derive(Debug)]
pub(super) struct Reading;

/// An operator, or somebody on this machine, who changes how the server runs but not what it does to targets.
#[derive(Debug)]
pub(super) struct Operating;

impl FromRequestParts<State> for Acting {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let library = state.library.load();
        if library.config.operators.iter().all(|operator| operator.token.is_none()) {
            let detail = "nobody may act over HTTP: add an operator with a token to quell.yml";
            return Err(Problem::new(problem::FORBIDDEN, detail));
        }
        operator(&library.config, &parts.headers)?.cloned().map(Self).ok_or_else(|| {
            let detail = "acting needs an operator: send `Authorization: Bearer` with the token of one of operators in quell.yml";
            Problem::new(problem::WHO, detail)
        })
    }
}

impl FromRequestParts<State> for Reading {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        operator_or_local(parts, state, "reading").map(|()| Self)
    }
}

/// Who may tell of changes: an operator, or a sender of alerts; by name.
#[derive(Debug)]
pub(super) struct Telling(pub(super) String);

impl FromRequestParts<State> for Telling {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let config = &state.library.load().config;
        if let Ok(Some(operator)) = operator(config, &parts.headers) {
            return Ok(Self(operator.name.clone()));
        }
        sender(parts, config).map(Self)
    }
}

impl FromRequestParts<State> for Operating {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        operator_or_local(parts, state, "this").map(|()| Self)
    }
}

fn operator_or_local(parts: &Parts, state: &State, what: &str) -> Result<(), Problem> {
    let config = &state.library.load().config;
    if operator(config, &parts.headers)?.is_some() {
        return Ok(());
    }
    not_local(parts, config).map_or(Ok(()), |why| {
        let detail = format!(
            "{what} needs an operator (`Authorization: Bearer` with the token of one of operators in quell.yml) or a request from this machine: {why}"
        );
        Err(Problem::new(problem::WHO, detail))
    })
}

/// The operator whose bearer token this is; `None` without credentials.
fn operator<'a>(config: &'a Config, headers: &HeaderMap) -> Result<Option<&'a Operator>, Problem> {
    let Some(given) = credentials(headers)? else { return Ok(None) };
    let found = match given {
        Given::Bearer(token) => by_token(config, &token),
        Given::Basic { .. } => None,
    };
    found.map(Some).ok_or_else(|| {
        let detail = "the credentials are of no operator: expected `Authorization: Bearer` with the token of one of operators in quell.yml";
        Problem::new(problem::WHO, detail)
    })
}

/// The operator with this token.
pub(super) fn by_token<'a>(config: &'a Config, token: &str) -> Option<&'a Operator> {
    let token = Sha256::digest(token);
    // every token is compared, so that time does not tell which one was near
    config.operators.iter().fold(None, |found, operator| match &operator.token {
        Some(known) if bool::from(same(&token, known)) => Some(operator),
        Some(_) | None => found,
    })
}

/// Who posts alerts: an operator, the name of the ingest token, or [`LOCAL`].
pub(super) fn sender(parts: &Parts, config: &Config) -> Result<String, Problem> {
    let tokens = &config.ingest.tokens;
    // what a person asks for is not theirs to approve, so it is kept who it was
    if let Ok(Some(Given::Bearer(token))) = credentials(&parts.headers)
        && let Some(operator) = by_token(config, &token)
    {
        return Ok(format!("{OPERATOR}{}", operator.name));
    }
    if tokens.is_empty() {
        return not_local(parts, config).map_or(Ok(LOCAL.to_owned()), |why| {
            let detail = format!(
                "without ingest.tokens in quell.yml only this machine may post alerts: {why}; add a token there, and http_config.authorization.credentials to the receiver's webhook_config"
            );
            Err(Problem::new(problem::WHO, detail))
        });
    }
    let found = match credentials(&parts.headers)? {
        None => {
            let detail = "expected the header Authorization with a token of ingest.tokens in quell.yml: set http_config.authorization.credentials in the receiver's webhook_config";
            return Err(Problem::new(problem::WHO, detail));
        }
        Some(Given::Bearer(token)) => {
            let token = Sha256::digest(token);
            find(tokens, |known| known.user.is_none() && bool::from(same(&token, &known.token)))
        }
        Some(Given::Basic { user, password }) => {
            let (user, password) = (Sha256::digest(user), Sha256::digest(password));
            find(tokens, |known| {
                let Some(name) = &known.user else { return false };
                bool::from(same(&user, &Secret::new(name.as_str())) & same(&password, &known.token))
            })
        }
    };
    found.map(|known| known.name.clone()).ok_or_else(|| {
        let detail = "the credentials are not in ingest.tokens of quell.yml";
        Problem::new(problem::WHO, detail)
    })
}

/// The match among all tokens, each of which is compared.
fn find(tokens: &[IngestToken], matches: impl Fn(&IngestToken) -> bool) -> Option<&IngestToken> {
    tokens.iter().fold(None, |found, known| if matches(known) { Some(known) } else { found })
}

enum Given {
    Bearer(String),
    Basic { user: String, password: String },
}

/// What the header Authorization says; `None` without one.
fn credentials(headers: &HeaderMap) -> Result<Option<Given>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let wrong = || {
        let detail = "the header Authorization is neither `Bearer TOKEN` nor `Basic` with base64 of USER:PASSWORD";
        Problem::new(problem::WHO, detail)
    };
    let (scheme, rest) = value.to_str().ok().and_then(|it| it.split_once(' ')).ok_or_else(wrong)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Given::Bearer(rest.to_owned())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(wrong());
    }
    let decoded = STANDARD.decode(rest).ok().and_then(|it| String::from_utf8(it).ok());
    let decoded = decoded.ok_or_else(wrong)?;
    let (user, password) = decoded.split_once(':').ok_or_else(wrong)?;
    Ok(Some(Given::Basic { user: user.to_owned(), password: password.to_owned() }))
}

/// Compares hashes, so that neither content nor length leaks by time. An empty secret matches nothing.
fn same(given: &[u8], known: &Secret) -> Choice {
    let known_hash = Sha256::digest(known.reveal());
    given.ct_eq(known_hash.as_slice()) & Choice::from(u8::from(!known.reveal().is_empty()))
}

/// Why a request is not one of this machine's own; `None` when it is. A browser here may be sent by any page of the
/// web, so what pages can make it send does not count: a POST with an `Origin`, a GET under a name that is not ours.
fn not_local(parts: &Parts, config: &Config) -> Option<String> {
    let peer = match parts.extensions.get::<ConnectInfo<SocketAddr>>() {
        Some(ConnectInfo(peer)) => peer.ip().to_canonical(),
        None => return Some("the peer's address is not known".into()),
    };
    if !peer.is_loopback() {
        return Some(format!("it came from {peer}"));
    }
    if let Some(name) = FORWARDED.iter().find(|name| parts.headers.contains_key(*name)) {
        return Some(format!("the header {name} says that a proxy forwarded it"));
    }
    let reads = parts.method == Method::GET || parts.method == Method::HEAD;
    if !reads && parts.headers.contains_key(header::ORIGIN) {
        return Some("the header Origin says that a web page sent it".into());
    }
    let ours = !reads || host(parts).is_some_and(|host| is_ours(&host, config));
    (!ours).then(|| "the header Host names neither this machine nor external_url".into())
}

/// The host that the client meant, without its port.
pub(super) fn host(parts: &Parts) -> Option<String> {
    let authority = match parts.headers.get(header::HOST) {
        Some(host) => host.to_str().ok()?.to_owned(),
        None => parts.uri.authority()?.to_string(),
    };
    Url::parse(&format!("http://{authority}")).ok()?.host_str().map(str::to_owned)
}

fn is_ours(host: &str, config: &Config) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.to_canonical().is_loopback());
    let external = Url::parse(&config.external_url).ok();
    loopback || host == "localhost" || external.is_some_and(|url| url.host_str() == Some(host))
}

#[cfg(test)]
mod tests;

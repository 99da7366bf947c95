//! The actions `alertmanager.silence` and `alertmanager.unsilence`, by Alertmanager's API v2.
//!
//! A silence is found again by the key of its intent, which stands in its comment: made twice it is one, and it can be ended by who
//! never heard its identifier. What people silenced is never touched.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use super::Prepared;
use crate::model::action::Action;
use crate::model::action::Silence;
use crate::model::action::Unsilence;
use crate::model::action::tell::MADE_BY;
use crate::model::config::Endpoint;
use crate::model::matcher::Grammar;
use crate::model::matcher::Matcher;
use crate::model::matcher::Op;
use crate::model::matcher::parse_one;
use crate::model::run::Outcome;
use crate::model::time::show_duration;
use crate::net;
use crate::net::Answer;
use crate::net::Call;
use crate::net::Failure;

/// Longest silence. Nothing is told of an alert that ends while it is silenced, so one is short.
const LONGEST: Duration = Duration::from_hours(24);
/// Longest identifier, in characters.
const LONGEST_ID: usize = 100;

/// A `gettableSilence`, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    created_by: String,
    comment: String,
    ends_at: Timestamp,
    status: Status,
}

#[derive(Debug, Clone, Deserialize)]
struct Status {
    state: String,
}

impl Listed {
    fn is_over(&self) -> bool {
        self.status.state == "expired"
    }

    /// Whether quell made it, for the intent with this key.
    fn is_of(&self, key: &str) -> bool {
        self.created_by == MADE_BY && self.comment.ends_with(&mark(key))
    }
}

/// What stands at the end of the comment.
fn mark(key: &str) -> String {
    format!("[quell {key}]")
}

/// Says when it ends, and what ends it before. The error is the outcome of the step.
pub(super) fn prepare(silence: &Silence, key: &str, now: Timestamp) -> Result<Prepared, Outcome> {
    matchers(silence).map_err(super::failed)?;
    let lasts = silence.lasts.read().map_err(|error| super::failed(format!("`for`: {error}")))?;
    if lasts.is_zero() || lasts > LONGEST {
        return Err(super::failed(format!(
            "`for`: a silence lasts at most {}, got {}",
            show_duration(LONGEST),
            show_duration(lasts)
        )));
    }
    let lasts = SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX);
    let ends_at = Some(now.saturating_add(lasts).unwrap_or(Timestamp::MAX));
    let action = Action::Silence(Silence { ends_at, ..silence.clone() });
    let end = Unsilence { id: String::new(), made_by: Some(key.to_owned()) };
    Ok(Prepared { action, previous: Some(Action::Unsilence(end)) })
}

/// Makes it, unless the intent with this key already did.
pub(super) async fn perform(
    silence: &Silence,
    key: &str,
    timeout: Duration,
    alertmanager: Option<&Endpoint>,
) -> Outcome {
    let (server, matchers, ends_at) = match checked(silence, timeout, alertmanager) {
        Ok(checked) => checked,
        Err(reason) => return super::failed(reason),
    };
    match server.made_for(key).await {
        Err(outcome) => return outcome,
        Ok(made) => {
            if let Some(it) = made.iter().find(|it| !it.is_over()) {
                return done(format!("silence {} was made before", it.id), &it.id, it.ends_at);
            }
            if !made.is_empty() {
                return super::failed("the silence was made before, and somebody ended it");
            }
        }
    }
    let words = silence.comment.trim();
    let body = json!({
        "matchers": matchers.iter().map(written).collect::<Vec<_>>(),
        // Alertmanager takes its own time for one that is past
        "startsAt": Timestamp::UNIX_EPOCH,
        "endsAt": ends_at,
        "createdBy": MADE_BY,
        "comment": format!("{words} {}", mark(key)).trim(),
    });
    match server.send("POST", "/api/v2/silences", Some(&body)).await {
        Err(failure) if failure.sent() => server.after_loss(key, &failure).await,
        Err(failure) => super::failed_for_now(format!("no answer from Alertmanager: {failure}")),
        Ok(answer) => {
            if let Some(outcome) = refused(&answer) {
                return outcome;
            }
            let made: Option<Value> = serde_json::from_slice(&answer.body).ok();
            let id = made.as_ref().and_then(|it| it.get("silenceID")?.as_str());
            let id = id.unwrap_or_default();
            done(format!("silenced until {}", shown(ends_at)), id, ends_at)
        }
    }
}

/// Ends one that quell made. One that is over, or was never made, is done.
pub(super) async fn end(
    unsilence: &Unsilence,
    timeout: Duration,
    alertmanager: Option<&Endpoint>,
) -> Outcome {
    let server = match Server::new(timeout, alertmanager) {
        Ok(server) => server,
        Err(reason) => return super::failed(reason),
    };
    let found = match &unsilence.made_by {
        Some(key) => server.made_for(key).await,
        None => server.by_id(unsilence.id.trim()).await,
    };
    let found = match found {
        Ok(found) => found,
        Err(outcome) => return outcome,
    };
    let mut ended = Vec::new();
    for it in found.iter().filter(|it| !it.is_over()) {
        if it.created_by != MADE_BY {
            return super::failed(format!(
                "silence {} was made by {}: quell ends only what it made",
                it.id,
                short(&it.created_by)
            ));
        }
        match server.send("DELETE", &format!("/api/v2/silence/{}", it.id), None).await {
            // to end it again changes nothing
            Err(failure) => {
                return super::failed_for_now(format!("no answer from Alertmanager: {failure}"));
            }
            Ok(answer) if answer.status == 404 => {}
            Ok(answer) => {
                if let Some(outcome) = refused(&answer) {
                    return outcome;
                }
                ended.push(it.id.clone());
            }
        }
    }
    let summary = match ended.as_slice() {
        [] => "there is no such silence any more".to_owned(),
        ids => format!("ended silence {}", ids.join(", ")),
    };
    Outcome::Done { summary, output: json!({ "ended": ended }) }
}

fn done(summary: String, id: &str, ends_at: Timestamp) -> Outcome {
    Outcome::Done { summary, output: json!({ "id": id, "ends_at": ends_at }) }
}

fn checked<'a>(
    silence: &Silence,
    timeout: Duration,
    alertmanager: Option<&'a Endpoint>,
) -> Result<(Server<'a>, Vec<Matcher>, Timestamp), String> {
    let ends_at = silence.ends_at.ok_or("nobody said when the silence ends")?;
    Ok((Server::new(timeout, alertmanager)?, matchers(silence)?, ends_at))
}

/// The matchers. A value of an alert becomes one value at most, and never a silence of everything.
fn matchers(silence: &Silence) -> Result<Vec<Matcher>, String> {
    let mut matchers = Vec::with_capacity(silence.matchers.len());
    for text in &silence.matchers {
        let matcher = parse_one(text, Grammar::Fallback)
            .map_err(|error| format!("`match`: {} is no matcher: {error}", short(text)))?;
        matchers.push(matcher);
    }
    if !matchers.iter().any(|it| it.op() == Op::Equal && !it.value().is_empty()) {
        return Err(
            "`match`: a silence needs at least one matcher with `=` and a value, so that it does not silence everything"
                .into(),
        );
    }
    Ok(matchers)
}

fn written(matcher: &Matcher) -> Value {
    let op = matcher.op();
    json!({
        "name": matcher.name(),
        "value": matcher.value(),
        "isRegex": matches!(op, Op::Regex | Op::NotRegex),
        "isEqual": matches!(op, Op::Equal | Op::Regex),
    })
}

/// The Alertmanager, and how long it may take.
struct Server<'a> {
    endpoint: &'a Endpoint,
    timeout: Duration,
}

impl<'a> Server<'a> {
    fn new(timeout: Duration, endpoint: Option<&'a Endpoint>) -> Result<Self, String> {
        let endpoint =
            endpoint.ok_or("there is no `alertmanager` in quell.yml to silence alerts at")?;
        Ok(Self { endpoint, timeout })
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let url = format!("{}{path}", self.endpoint.url);
        let mut call = Call { method, ..Call::get(&url, self.timeout) };
        if let Some(body) = body {
            call.body = Some(body.to_string().into_bytes());
            call = call.header("Content-Type", "application/json");
        }
        call = call.header("Accept", "application/json");
        for (name, value) in &self.endpoint.headers {
            call = call.header(name, value.reveal());
        }
        net::send(call).await
    }

    /// Silences by a path; the error is the outcome of the step, which changed nothing.
    async fn read(&self, path: &str) -> Result<Option<Answer>, Outcome> {
        let answer = self.send("GET", path, None).await.map_err(|failure| {
            super::failed_for_now(format!("no answer from Alertmanager: {failure}"))
        })?;
        if answer.status == 404 {
            return Ok(None);
        }
        refused(&answer).map_or(Ok(Some(answer)), Err)
    }

    async fn made_for(&self, key: &str) -> Result<Vec<Listed>, Outcome> {
        let Some(answer) = self.read("/api/v2/silences").await? else {
            return Err(super::failed("Alertmanager answered 404: it has no API v2 there"));
        };
        let all: Vec<Listed> = parse(&answer)?;
        Ok(all.into_iter().filter(|it| it.is_of(key)).collect())
    }

    async fn by_id(&self, id: &str) -> Result<Vec<Listed>, Outcome> {
        let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if id.is_empty() || id.len() > LONGEST_ID || !plain {
            let said = short(id);
            return Err(super::failed(format!("expected the identifier of a silence, got {said}")));
        }
        let found = self.read(&format!("/api/v2/silence/{id}")).await?;
        found.map_or(Ok(Vec::new()), |answer| Ok(vec![parse(&answer)?]))
    }

    /// Looks what became of a request that nobody answered.
    async fn after_loss(&self, key: &str, failure: &Failure) -> Outcome {
        let made = self.made_for(key).await.ok().and_then(|it| it.into_iter().next());
        match made {
            Some(it) => done(format!("silenced until {}", shown(it.ends_at)), &it.id, it.ends_at),
            None => super::unknown(format!(
                "no answer from Alertmanager: {failure}; it may have made the silence yet"
            )),
        }
    }
}

fn parse<T: for<'de> Deserialize<'de>>(answer: &Answer) -> Result<T, Outcome> {
    serde_json::from_slice(&answer.body).map_err(|_| {
        super::failed_for_now(format!(
            "Alertmanager answered {}, not its silences",
            answer.describe()
        ))
    })
}

/// What another answer than 2xx means.
fn refused(answer: &Answer) -> Option<Outcome> {
    let said = format!("Alertmanager answered {}", answer.describe());
    match answer.status {
        200..=299 => None,
        401 | 403 => Some(super::denied(format!(
            "{said}; it refuses the headers in `alertmanager` of quell.yml"
        ))),
        500..=599 => Some(super::failed_for_now(said)),
        _ => Some(super::failed(said)),
    }
}

fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A text for people that may be long.
fn short(text: &str) -> String {
    const SHOWN: usize = 80;
    format!("{:?}", text.chars().take(SHOWN).collect::<String>())
}

#[cfg(test)]
mod tests;

//! What people say: acknowledge, take over, approve, reject, cancel, answer, pause, resume. Each is written, then the engine is
//! woken; nothing is done here.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Path;
use axum::extract::Request;
use axum::extract::State as With;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::api::State;
use crate::api::auth::Acting;
use crate::api::body;
use crate::api::problem;
use crate::api::problem::Problem;
use crate::api::read;
use crate::decide::audience;
use crate::decide::tell;
use crate::library::Library;
use crate::model::config::Operator;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::incident::RunId;
use crate::store::people::Speaker;
use crate::store::people::Spoken;
use crate::store::people::Word;
use crate::store::runs::RunRow;

type Answer = Result<Json<Value>, Problem>;

/// A reason that nobody gave.
const NO_REASON: &str = "no reason given";

/// `POST /api/v1/incidents/{id}/ack`. A second one changes nothing and says who has it.
pub(super) async fn acknowledge(
    Acting(operator): Acting,
    With(api): With<State>,
    Path(text): Path<String>,
) -> Answer {
    let id: IncidentId = read::id(&text)?;
    let (incident, done) = acknowledge_as(&api, id, &operator.name, None).await?;
    if incident.status == IncidentStatus::Resolved {
        let detail = format!("{id} is resolved: there is nothing to acknowledge");
        return Err(Problem::new(problem::CONFLICT, detail));
    }
    Ok(Json(json!({ "acknowledged": done, "incident": incident })))
}

/// Acknowledges, and owes the news to every channel that was told of the incident. `link` is the digest of the link
/// that was used, if one was.
pub(super) async fn acknowledge_as(
    api: &State,
    id: IncidentId,
    by: &str,
    link: Option<&str>,
) -> Result<(Incident, bool), Problem> {
    let library = api.library.load_full();
    let told = api.store.channels_told(id).await?;
    let now = api.clock.now();
    let owed = |incident: &Incident| {
        let notice = tell::acknowledged(incident, by, now);
        audience::to_channels(&library.config, &notice, &told)
    };
    let (incident, done) = api.store.acknowledge(id, by, link, owed).await?;
    if done {
        tracing::info!(incident = %id, by, "acknowledged");
        api.wake.all();
    }
    Ok((incident, done))
}

/// `POST /api/v1/incidents/{id}/take`: automation stops, and does nothing more for it.
pub(super) async fn take(
    Acting(operator): Acting,
    With(api): With<State>,
    Path(text): Path<String>,
) -> Answer {
    let id: IncidentId = read::id(&text)?;
    let (incident, done) = take_as(&api, id, &operator.name, None).await?;
    if incident.status == IncidentStatus::Resolved {
        let detail = format!("{id} is resolved: there is nothing to take over");
        return Err(Problem::new(problem::CONFLICT, detail));
    }
    Ok(Json(json!({ "taken": done, "incident": incident })))
}

/// Takes an incident over, and owes the news to every channel that was told of it.
pub(super) async fn take_as(
    api: &State,
    id: IncidentId,
    by: &str,
    link: Option<&str>,
) -> Result<(Incident, bool), Problem> {
    let library = api.library.load_full();
    let told = api.store.channels_told(id).await?;
    let now = api.clock.now();
    let owed = |incident: &Incident| {
        audience::to_channels(&library.config, &tell::taken(incident, by, now), &told)
    };
    let (incident, done) = api.store.take_incident(id, by, link, owed).await?;
    if done {
        tracing::warn!(incident = %id, by, "taken over");
        api.wake.all();
    }
    Ok((incident, done))
}

/// `POST /api/v1/incidents/{id}/give-back`: automation may act for it again.
pub(super) async fn give_back(
    Acting(operator): Acting,
    With(api): With<State>,
    Path(text): Path<String>,
) -> Answer {
    let id: IncidentId = read::id(&text)?;
    let library = api.library.load_full();
    let told = api.store.channels_told(id).await?;
    let (by, now) = (operator.name.as_str(), api.clock.now());
    let owed = |incident: &Incident| {
        audience::to_channels(&library.config, &tell::given_back(incident, by, now), &told)
    };
    let (incident, done) = api.store.give_back_incident(id, owed).await?;
    if !done {
        let detail = format!("nobody has taken {id} over");
        return Err(Problem::new(problem::CONFLICT, detail));
    }
    tracing::warn!(incident = %id, by, "given back");
    api.wake.all();
    Ok(Json(json!({ "incident": incident })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approve {
    digest: String,
}

/// `POST /api/v1/runs/{id}/approve`: yes, to the plan with this digest.
pub(super) async fn approve(
    Acting(operator): Acting,
    With(api): With<State>,
    Path(text): Path<String>,
    request: Request,
) -> Answer {
    let id: RunId = read::id(&text)?;
    let Approve { digest } = body::act(request).await?;
    say(&api, id, &operator, Word::Approve { digest }).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reject {
    reason: Option<String>,
}

/// `POST /api/v1/runs/{id}/reject`: no, for a reason.
pub(super) async fn reject(
    Acting(operator): Acting,
    With(api): With<State>,
    Path(text): Path<String>,
    request: Request,
) -> Answer {
    let id: RunId = read::id(&text)?;
    let Reject { reason } = body::act(request).await?;
    say(&api, id, &operator, Word::Reject { reason: reason.unwrap_or_default() }).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    happened: Option<bool>,
    answers: Option<BTreeMap<String, Value>>,
    /// Name of the step that asks.
    step: Option<String>,
}

/// `POST /api/v1/runs/{id}/answer`: whether the step in doubt happened, or answers to what a step asks.
pub(super) async fn answer(
    Acting(operator): Acting,
    With(api): With<State>,
    Path(text): Path<String>,
    request: Request,
) -> Answer {
    let id: RunId = read::id(&text)?;
    let word = match body::act(request).await? {
        Answered { happened: Some(happened), answers: None, step: None } => {
            Word::Settle { happened }
        }
        Answered { happened: None, answers: Some(answers), step } => Word::Answer { step, answers },
        Answered { .. } => {
            let detail = "expected {\"happened\": true} for a step in doubt, or {\"answers\": {\"NAME\": …}, \"step\": …} for a question";
            return Err(Problem::new(problem::BAD_REQUEST, detail));
        }
    };
    say(&api, id, &operator, word).await
}

async fn say(api: &State, id: RunId, operator: &Operator, word: Word) -> Answer {
    let speaker = Speaker { name: &operator.name, tier: operator.tier, link: None };
    let row = say_as(api, id, speaker, word).await?;
    Ok(run(api, &row))
}

/// Writes a person's word, and owes what people are told of it.
pub(super) async fn say_as(
    api: &State,
    id: RunId,
    speaker: Speaker<'_>,
    word: Word,
) -> Result<RunRow, Problem> {
    let said = format!("{word:?}");
    let library = api.library.load_full();
    let owed = |spoken: &Spoken<'_>| spoken.owed(&library.config);
    let row = api.store.say(id, speaker, word, owed).await?;
    tracing::info!(run = %id, by = speaker.name, said, "a person spoke");
    api.wake.all();
    Ok(row)
}

/// `POST /api/v1/runs/{id}/cancel`: stop before the next step.
pub(super) async fn cancel(
    Acting(operator): Acting,
    With(api): With<State>,
    Path(text): Path<String>,
) -> Answer {
    let id: RunId = read::id(&text)?;
    let row = api.store.cancel_run(id, &operator.name).await?;
    tracing::info!(run = %id, by = operator.name, "a person asked that it stop");
    Ok(run(&api, &row))
}

fn run(api: &State, row: &RunRow) -> Json<Value> {
    api.wake.all();
    Json(json!({ "run": row }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    scope: String,
    reason: Option<String>,
}

/// `POST /api/v1/pause`: the kill switch. What is paused already stays as it is.
pub(super) async fn pause(
    Acting(operator): Acting,
    With(api): With<State>,
    request: Request,
) -> Answer {
    let Pause { scope, reason } = body::act(request).await?;
    check_scope(&api.library.load(), &scope)?;
    let reason = reason_or_none(reason);
    if api.store.pause(&scope, &operator.name, &reason).await? {
        tracing::warn!(scope, by = operator.name, reason, "paused");
    }
    api.wake.all();
    read::paused(&api).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    scope: String,
}

/// `POST /api/v1/resume`: clears a pause; open episodes are judged again.
pub(super) async fn resume(
    Acting(operator): Acting,
    With(api): With<State>,
    request: Request,
) -> Answer {
    let Resume { scope } = body::act(request).await?;
    if !api.store.resume(&scope).await? {
        let pauses = api.store.pauses().await?;
        let scopes: Vec<&str> = pauses.iter().map(|it| it.scope.as_str()).collect();
        let others = if scopes.is_empty() { "nothing is".into() } else { scopes.join(", ") };
        let detail = format!("`{scope}` is not paused; paused now: {others}");
        return Err(Problem::new(problem::CONFLICT, detail));
    }
    tracing::warn!(scope, by = operator.name, "resumed");
    api.store.wake_all_episodes().await?;
    api.wake.all();
    read::paused(&api).await
}

/// A pause of something that does not exist would look like safety and be none.
pub(super) fn check_scope(library: &Library, scope: &str) -> Result<(), Problem> {
    let bad = |words: String| Err(Problem::new(problem::BAD_REQUEST, words));
    match scope.split_once(':') {
        None if scope == "all" => Ok(()),
        Some(("rule", name)) if library.rules.rules().iter().all(|rule| rule.name != name) => {
            bad(format!("there is no rule `{name}`; GET /api/v1/rules lists them"))
        }
        Some(("playbook", name)) if !library.playbooks.contains_key(name) => {
            bad(format!("there is no playbook `{name}`; GET /api/v1/playbooks lists them"))
        }
        Some(("rule" | "playbook", _)) => Ok(()),
        // targets are named by rules when they match: any name may come
        Some(("target", name)) if !name.trim().is_empty() => Ok(()),
        _ => bad(format!(
            "scope is `{scope}`; expected all, rule:NAME, playbook:NAME or target:NAME"
        )),
    }
}

fn reason_or_none(reason: Option<String>) -> String {
    reason.filter(|it| !it.trim().is_empty()).unwrap_or_else(|| NO_REASON.to_owned())
}

#[cfg(test)]
mod tests;

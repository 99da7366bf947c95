//! What is stored and what is in force, for people and scripts. Lists are paged by cursor: `next` of one page is
//! `cursor` of the following one, and `null` on the last.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State as With;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::json;

use crate::api::State as Api;
use crate::api::auth::Reading;
use crate::api::problem;
use crate::api::problem::Problem;
use crate::api::views::CheckView;
use crate::api::views::PlaybookView;
use crate::api::views::RuleView;
use crate::api::views::ScheduleView;
use crate::decide::answer;
use crate::decide::machine;
use crate::decide::machine::Phase;
use crate::decide::machine::State;
use crate::decide::tell;
use crate::decide::trust::evidence;
use crate::decide::trust::evidence::Standing;
use crate::model::decision::Decision;
use crate::model::incident::Episode;
use crate::model::incident::EpisodeId;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::incident::RunId;
use crate::model::playbook::Parameter;
use crate::model::run::Entry;
use crate::model::run::Plan;
use crate::model::run::Stop;
use crate::model::time::before;
use crate::store::audit::Audit;
use crate::store::outbox::Notification;
use crate::store::reconcile::Found;
use crate::store::runs::RunRow;

/// Items of a page when `limit` says nothing.
const DEFAULT_LIMIT: u32 = 50;
/// Most items of a page.
const MAX_LIMIT: u32 = 500;

type Answer<T> = Result<Json<T>, Problem>;

/// A page of a list.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T> Page<T> {
    /// From one item more than fits, if there is one.
    fn cut(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Json<Self> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Json(Self { items, next })
    }

    pub(super) fn all(items: Vec<T>) -> Json<Self> {
        Json(Self { items, next: None })
    }
}

fn limit(given: Option<u32>) -> Result<u32, Problem> {
    match given {
        None => Ok(DEFAULT_LIMIT),
        Some(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
        Some(limit) => {
            let detail = format!("limit is {limit}; expected 1 to {MAX_LIMIT}");
            Err(Problem::new(problem::BAD_REQUEST, detail))
        }
    }
}

/// The query of the URL. A key that is not known is refused: a filter that is ignored would mislead.
#[derive(Debug)]
pub(super) struct Filter<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Filter<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri).map(|Query(query)| Self(query)).map_err(|error| {
            let words = error.body_text();
            let words = words.split_once("query string: ").map_or(words.as_str(), |it| it.1);
            Problem::new(problem::BAD_REQUEST, format!("in the query: {words}"))
        })
    }
}

/// An id in the path.
pub(super) fn id<T: FromStr<Err = String>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|words| Problem::new(problem::BAD_REQUEST, words))
}

fn missing(what: &str) -> Problem {
    Problem::new(problem::NO_SUCH, format!("there is no {what}"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Incidents {
    status: Option<IncidentStatus>,
    limit: Option<u32>,
    cursor: Option<IncidentId>,
}

/// `GET /api/v1/incidents`
pub(super) async fn incidents(
    _: Reading,
    With(api): With<Api>,
    Filter(by): Filter<Incidents>,
) -> Answer<Page<Incident>> {
    let limit = limit(by.limit)?;
    let items = api.store.incidents(by.status, by.cursor, limit + 1).await?;
    Ok(Page::cut(items, limit, |it| it.id.to_string()))
}

/// An incident with all that belongs to it.
#[derive(Debug, Serialize)]
pub(super) struct WholeIncident {
    incident: Incident,
    episodes: Vec<Episode>,
    /// How it was found that episodes opened or ended, where no webhook told of it.
    found: Vec<Found>,
    decisions: Vec<Decision>,
    runs: Vec<RunRow>,
    notifications: Vec<Notification>,
}

/// `GET /api/v1/incidents/{id}`
pub(super) async fn incident(
    _: Reading,
    With(api): With<Api>,
    Path(text): Path<String>,
) -> Answer<WholeIncident> {
    let id: IncidentId = id(&text)?;
    let store = &api.store;
    let incident = store.incident(id).await?.ok_or_else(|| missing(&format!("incident {id}")))?;
    let episodes = store.episodes_of(id).await?;
    let mut decisions = Vec::new();
    for episode in &episodes {
        decisions.extend(store.last_decision(episode.id, &incident.rule).await?);
    }
    let runs = store.runs(Some(id), None, MAX_LIMIT).await?;
    let notifications = store.notifications_of(id).await?;
    let found = store.found_of(id).await?;
    Ok(Json(WholeIncident { incident, episodes, found, decisions, runs, notifications }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Episodes {
    #[serde(default)]
    open: bool,
    fingerprint: Option<String>,
    limit: Option<u32>,
    cursor: Option<EpisodeId>,
}

/// `GET /api/v1/episodes`; with `fingerprint`, the latest of that alert.
pub(super) async fn episodes(
    _: Reading,
    With(api): With<Api>,
    Filter(by): Filter<Episodes>,
) -> Answer<Page<Episode>> {
    let limit = limit(by.limit)?;
    if let Some(fingerprint) = by.fingerprint {
        let latest = api.store.latest_episode(&fingerprint).await?;
        return Ok(Page::all(latest.into_iter().filter(|it| it.open || !by.open).collect()));
    }
    let items = api.store.episodes(by.open, by.cursor, limit + 1).await?;
    Ok(Page::cut(items, limit, |it| it.id.to_string()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Runs {
    incident: Option<IncidentId>,
    limit: Option<u32>,
    cursor: Option<RunId>,
}

/// `GET /api/v1/runs`
pub(super) async fn runs(
    _: Reading,
    With(api): With<Api>,
    Filter(by): Filter<Runs>,
) -> Answer<Page<RunRow>> {
    let limit = limit(by.limit)?;
    let items = api.store.runs(by.incident, by.cursor, limit + 1).await?;
    Ok(Page::cut(items, limit, |it| it.id.to_string()))
}

/// A run with its plan, its journal, and both in words.
#[derive(Debug, Serialize)]
pub(super) struct WholeRun {
    run: RunRow,
    /// Who asked that it stop, while it has not yet.
    cancelled_by: Option<String>,
    /// What it would do, a line a step.
    proposes: Vec<String>,
    /// What it did, a line a step.
    did: Vec<String>,
    /// What it waits for people to answer.
    asks: Option<Asks>,
    plan: Plan,
    journal: Vec<Entry>,
}

/// A question that waits for its answer.
#[derive(Debug, Serialize)]
struct Asks {
    /// Name of the step that asks; an answer must name it when the playbook asks more than once.
    step: String,
    question: String,
    /// What is answered, declared as parameters are.
    answers: BTreeMap<String, Parameter>,
    /// The tier that an operator needs.
    tier: u8,
    /// Until when.
    until: Timestamp,
}

fn asks(plan: &Plan, state: &State) -> Option<Asks> {
    let answer::Question { step, ask, text, .. } = answer::question(plan, state)?;
    let Phase::Asking { until, .. } = state.phase else { return None };
    let (step, question) = (step.to_owned(), text.to_owned());
    Some(Asks { step, question, answers: answer::declared(ask), tier: ask.tier, until })
}

/// `GET /api/v1/runs/{id}`
pub(super) async fn run(
    _: Reading,
    With(api): With<Api>,
    Path(text): Path<String>,
) -> Answer<WholeRun> {
    let id: RunId = id(&text)?;
    let store = &api.store;
    let (Some(run), Some(plan)) = (store.run(id).await?, store.plan(id).await?) else {
        return Err(missing(&format!("run {id}")));
    };
    let journal = store.journal(id).await?;
    let (did, asks) = match machine::fold(&plan, &journal) {
        Ok(state) => (tell::step_lines(&plan, &state), asks(&plan, &state)),
        // the journal itself is shown all the same: somebody must look at it
        Err(illegal) => (vec![format!("the journal cannot be followed: {illegal}")], None),
    };
    let cancelled_by = store.stop_requested(id).await?.and_then(|why| match why {
        Stop::Cancelled { by } | Stop::TakenOver { by } => Some(by),
        Stop::Resolved
        | Stop::AlreadyHealthy { .. }
        | Stop::Changed { .. }
        | Stop::Refused { .. } => None,
    });
    let proposes = tell::plan_lines(&plan);
    Ok(Json(WholeRun { run, cancelled_by, proposes, did, asks, plan, journal }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Decisions {
    episode: Option<EpisodeId>,
    limit: Option<u32>,
    cursor: Option<i64>,
}

/// `GET /api/v1/decisions`
pub(super) async fn decisions(
    _: Reading,
    With(api): With<Api>,
    Filter(by): Filter<Decisions>,
) -> Answer<Page<crate::store::decisions::Stored>> {
    let limit = limit(by.limit)?;
    let items = api.store.decisions(by.episode, by.cursor, limit + 1).await?;
    Ok(Page::cut(items, limit, |it| it.id.to_string()))
}

/// `GET /api/v1/rules`: those in force, in order.
pub(super) async fn rules(_: Reading, With(api): With<Api>) -> Answer<Page<StandingRule>> {
    let from = before(api.clock.now(), evidence::SPAN);
    let mut runs = api.store.runs_by_rule(from).await?;
    let mut trusts = api.store.trusts().await?;
    let library = api.library.load();
    let shown = library.rules.rules().iter().map(|rule| {
        let judged = runs.remove(&rule.name).unwrap_or_default();
        let trust = trusts.remove(&rule.name);
        let standing = evidence::standing(&library.config, rule, trust, &judged);
        StandingRule { rule: RuleView::from(&**rule), standing }
    });
    Ok(Page::all(shown.collect()))
}

/// A rule, and how it stands.
#[derive(Debug, Serialize)]
pub(super) struct StandingRule {
    #[serde(flatten)]
    rule: RuleView,
    #[serde(flatten)]
    standing: Standing,
}

/// `GET /api/v1/playbooks`
pub(super) async fn playbooks(_: Reading, With(api): With<Api>) -> Json<Page<PlaybookView>> {
    let library = api.library.load();
    Page::all(library.playbooks.values().map(|it| PlaybookView::from(&**it)).collect())
}

/// `GET /api/v1/checks`: those in force, each with what it saw last.
pub(super) async fn checks(_: Reading, With(api): With<Api>) -> Answer<Page<CheckView>> {
    let states = api.store.checks().await?;
    let mut states: BTreeMap<_, _> =
        states.into_iter().map(|state| (state.name.clone(), state)).collect();
    let library = api.library.load();
    let shown = library.checks.iter().map(|it| CheckView::new(it, states.remove(&it.name)));
    Ok(Page::all(shown.collect()))
}

/// `GET /api/v1/schedules`: those in force, each with its next slot.
pub(super) async fn schedules(_: Reading, With(api): With<Api>) -> Answer<Page<ScheduleView>> {
    let states = api.store.schedules().await?;
    let mut states: BTreeMap<_, _> =
        states.into_iter().map(|state| (state.name.clone(), state)).collect();
    let library = api.library.load();
    let shown = library.schedules.iter().map(|it| ScheduleView::new(it, states.remove(&it.name)));
    Ok(Page::all(shown.collect()))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Delivered {
    Pending,
    Sent,
    Dead,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notifications {
    state: Option<Delivered>,
    limit: Option<u32>,
}

/// `GET /api/v1/notifications`: the newest of a state; dead ones when `state` says nothing.
pub(super) async fn notifications(
    _: Reading,
    With(api): With<Api>,
    Filter(by): Filter<Notifications>,
) -> Answer<Page<Notification>> {
    let state = match by.state {
        Some(Delivered::Pending) => "pending",
        Some(Delivered::Sent) => "sent",
        Some(Delivered::Dead) | None => "dead",
    };
    Ok(Page::all(api.store.notifications(state, limit(by.limit)?).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Only {
    run: Option<RunId>,
}

/// `GET /api/v1/audit`: checks the hash chains, of all runs or of one.
pub(super) async fn audit(
    _: Reading,
    With(api): With<Api>,
    Filter(by): Filter<Only>,
) -> Answer<Audit> {
    Ok(Json(api.store.audit(by.run).await?))
}

/// `GET /api/v1/pause`: what is paused.
pub(super) async fn pauses(_: Reading, With(api): With<Api>) -> Answer<Value> {
    paused(&api).await
}

/// Pauses in force, and whether the pause file pauses everything besides. A file that cannot be looked at counts as
/// there.
pub(super) async fn paused(api: &Api) -> Answer<Value> {
    let file = api.library.load().config.pause_file.clone();
    let by_file = tokio::fs::try_exists(&file).await.unwrap_or(true);
    let pauses = api.store.pauses().await?;
    let file = by_file.then(|| file.display().to_string());
    Ok(Json(
        json!({ "paused": file.is_some() || !pauses.is_empty(), "pauses": pauses, "pause_file": file }),
    ))
}

#[cfg(test)]
pub(super) mod tests;

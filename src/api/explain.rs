//! Why quell did, would or would not act: the explanation that `quell explain` shows.

use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::extract::Request;
use axum::extract::State as With;
use jiff::Timestamp;
use serde::Deserialize;

use crate::api::State;
use crate::api::auth::Reading;
use crate::api::body;
use crate::api::problem;
use crate::api::problem::Problem;
use crate::api::read::Page;
use crate::model::explain::About;
use crate::model::explain::Asked;
use crate::model::explain::Explanation;
use crate::model::explain::Question;
use crate::model::labels::Labels;
use crate::model::time::parse_duration;

/// How long an alert that was not received is taken to have been firing.
const FIRING_FOR: Duration = Duration::from_mins(5);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    annotations: Labels,
    schedule: Option<String>,
    at: Option<Timestamp>,
    since: Option<String>,
}

/// `POST /api/v1/explain` with `{"labels": {…}, "annotations": {…}, "at": "…", "since": "5m"}`, all but the labels
/// optional, or with `{"schedule": "…", "at": "…"}`: explains an alert, or the next slot of a schedule, by what is known
/// now. It asks outside what a judgement would ask, and writes nothing.
pub(super) async fn alert(
    _: Reading,
    With(api): With<State>,
    request: Request,
) -> Result<Json<Explanation>, Problem> {
    let body: Body = body::act(request).await?;
    let at = body.at;
    let of = asked(body).map_err(|words| Problem::new(problem::BAD_REQUEST, words))?;
    Ok(Json((api.explain)(Question { of, at }).await?))
}

fn asked(body: Body) -> Result<Asked, String> {
    let Body { labels, annotations, schedule, since, .. } = body;
    match schedule {
        Some(name) if labels.is_empty() && annotations.is_empty() && since.is_none() => {
            return Ok(Asked::Schedule(name));
        }
        Some(_) => return Err("expected `schedule` with no more than `at`, or labels".into()),
        None => {}
    }
    if labels.is_empty() {
        let example = "{\"labels\": {\"alertname\": \"HighErrorRate\"}}";
        return Err(format!("expected labels, such as {example}"));
    }
    let since = since.map(|it| parse_duration(&it)).transpose();
    let since = since.map_err(|words| format!("since: {words}"))?;
    // built anew, since an empty label is none
    let labels = labels.iter().collect();
    Ok(Asked::Alert { labels, annotations, firing_for: since.unwrap_or(FIRING_FOR) })
}

/// `GET /api/v1/explain/{id}`: what was decided of an incident, an episode, or before a run.
pub(super) async fn stored(
    _: Reading,
    With(api): With<State>,
    Path(text): Path<String>,
) -> Result<Json<Page<Explanation>>, Problem> {
    let about: About =
        text.parse().map_err(|words: String| Problem::new(problem::BAD_REQUEST, words))?;
    let library = api.library.load_full();
    Ok(Page::all(api.store.explain(library.in_force(), about).await?))
}

#[cfg(test)]
mod tests;

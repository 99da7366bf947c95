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
use crate::model::explain::Explanation;
use crate::model::explain::Question;
use crate::model::labels::Labels;
use crate::model::time::parse_duration;

/// How long an alert that was not received is taken to have been firing.
const FIRING_FOR: Duration = Duration::from_mins(5);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    labels: Labels,
    #[serde(default)]
    annotations: Labels,
    at: Option<Timestamp>,
    since: Option<String>,
}

/// `POST /api/v1/explain` with `{"labels": {…}, "annotations": {…}, "at": "…", "since": "5m"}`, all but the labels
/// optional: explains an alert by what is known now. It asks outside what a judgement would ask, and writes nothing.
pub(super) async fn alert(
    _: Reading,
    With(api): With<State>,
    request: Request,
) -> Result<Json<Explanation>, Problem> {
    let asked: Asked = body::act(request).await?;
    if asked.labels.is_empty() {
        let detail = "expected labels, such as {\"labels\": {\"alertname\": \"HighErrorRate\"}}";
        return Err(Problem::new(problem::BAD_REQUEST, detail));
    }
    let since = asked.since.map(|it| parse_duration(&it)).transpose();
    let since =
        since.map_err(|words| Problem::new(problem::BAD_REQUEST, format!("since: {words}")))?;
    let question = Question {
        labels: asked.labels.iter().collect(),
        annotations: asked.annotations,
        at: asked.at,
        firing_for: since.unwrap_or(FIRING_FOR),
    };
    Ok(Json((api.explain)(question).await?))
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

//! Break-glass: `POST /api/v1/break-glass`, the list, and its end before its time.

use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::extract::Request;
use axum::extract::State as With;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::api::State;
use crate::api::act::check_scope;
use crate::api::auth::Acting;
use crate::api::auth::Reading;
use crate::api::body;
use crate::api::problem;
use crate::api::problem::Problem;
use crate::decide::glass;
use crate::decide::glass::Asked;
use crate::decide::glass::Refused;
use crate::model::time::parse_duration;

/// Most of them that the list shows.
const LISTED: u32 = 100;

type Answer = Result<Json<Value>, Problem>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Smash {
    /// `rule:NAME`, `target:NAME` or `incident:i-12`.
    scope: String,
    reason: String,
    /// `30m`.
    r#for: Option<String>,
}

/// `POST /api/v1/break-glass`: lifts approval, windows and the sickness ceiling for a time, and pages everybody.
pub(super) async fn smash(
    Acting(operator): Acting,
    With(api): With<State>,
    request: Request,
) -> Answer {
    let Smash { scope, reason, r#for } = body::act(request).await?;
    let lasts = lasts(r#for.as_deref())?;
    let library = api.library.load_full();
    if !scope.starts_with("incident:") {
        check_scope(&library, &scope)?;
    }
    let by = (operator.name.as_str(), operator.tier);
    let asked = Asked { scope: &scope, by, reason: &reason, lasts };
    let new =
        glass::ask(&library.config, asked, api.clock.now()).map_err(|refused| match refused {
            Refused::Forbidden(words) => Problem::new(problem::FORBIDDEN, words),
            Refused::Invalid(words) => Problem::new(problem::BAD_REQUEST, words),
        })?;
    let make = |it: &_| (glass::incident(it), glass::told(&library.config, it));
    let broken = api.store.break_glass(&new, make).await?;
    tracing::warn!(scope, by = operator.name, reason, until = %broken.until, "the glass is broken");
    api.wake.all();
    Ok(Json(json!({ "glass": broken })))
}

fn lasts(text: Option<&str>) -> Result<Duration, Problem> {
    let Some(text) = text else { return Ok(glass::SILENT) };
    parse_duration(text)
        .map_err(|words| Problem::new(problem::BAD_REQUEST, format!("for: {words}")))
}

/// `GET /api/v1/break-glass`: the newest first, those that are over too.
pub(super) async fn list(_: Reading, With(api): With<State>) -> Answer {
    let now = api.clock.now();
    let items: Vec<Value> = api
        .store
        .glass(LISTED)
        .await?
        .iter()
        .map(|it| json!({ "glass": it, "in_force": it.holds(now) }))
        .collect();
    Ok(Json(json!({ "items": items })))
}

/// `POST /api/v1/break-glass/{id}/revoke`: ends it now.
pub(super) async fn revoke(
    Acting(operator): Acting,
    With(api): With<State>,
    Path(text): Path<String>,
) -> Answer {
    let id: i64 = text.parse().map_err(|_| {
        Problem::new(problem::BAD_REQUEST, format!("`{text}` is no number of a break-glass"))
    })?;
    let broken = api.store.revoke_glass(id, &operator.name).await?;
    tracing::warn!(id, by = operator.name, "break-glass ended before its time");
    api.wake.all();
    Ok(Json(json!({ "glass": broken })))
}

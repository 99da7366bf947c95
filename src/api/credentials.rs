//! Credentials that were refused: which, and a person's word that one works again.

use axum::Json;
use axum::extract::Request;
use axum::extract::State as With;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::api::State;
use crate::api::auth::Acting;
use crate::api::auth::Reading;
use crate::api::body;
use crate::api::problem;
use crate::api::problem::Problem;
use crate::store::credentials::Denial;

type Answer = Result<Json<Value>, Problem>;

/// `GET /api/v1/credentials`: those that were refused, also those that were cleared. No value of any is known here.
pub(super) async fn list(_: Reading, With(api): With<State>) -> Answer {
    listed(&api).await
}

async fn listed(api: &State) -> Answer {
    let denials = api.store.denials().await?;
    let denied = denials.iter().any(|it| it.cleared_at.is_none());
    Ok(Json(json!({ "denied": denied, "items": denials })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clear {
    credential: String,
}

/// `POST /api/v1/credentials/clear`: it works again; open episodes are judged again.
pub(super) async fn clear(
    Acting(operator): Acting,
    With(api): With<State>,
    request: Request,
) -> Answer {
    let Clear { credential } = body::act(request).await?;
    if !api.store.clear_denial(&credential, &operator.name).await? {
        let names = names(&api.store.denied().await?);
        return Err(Problem::new(
            problem::CONFLICT,
            format!("`{credential}` does not count as refused; refused now: {names}"),
        ));
    }
    tracing::warn!(credential, by = operator.name, "a credential that was refused is cleared");
    api.store.wake_all_episodes().await?;
    api.wake.all();
    listed(&api).await
}

fn names(denied: &[Denial]) -> String {
    let names: Vec<&str> = denied.iter().map(|it| &*it.credential).collect();
    if names.is_empty() { "none is".to_owned() } else { names.join(", ") }
}

//! Changes that people make to targets: told by operators, and by senders of alerts, such as a deploy pipeline.

use axum::Json;
use axum::extract::Request;
use axum::extract::State as With;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::api::State;
use crate::api::auth::Reading;
use crate::api::auth::Telling;
use crate::api::body;
use crate::api::problem;
use crate::api::problem::Problem;
use crate::api::read::Page;
use crate::decide::changed;
use crate::model::change::Changed;

/// Changes that are listed.
const LISTED: u32 = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tell {
    target: String,
    reason: Option<String>,
    /// Who made it, when a pipeline tells of it.
    by: Option<String>,
}

/// `GET /api/v1/changes`: the newest first.
pub(super) async fn list(
    _: Reading,
    With(api): With<State>,
) -> Result<Json<Page<Changed>>, Problem> {
    Ok(Page::all(api.store.changes(LISTED).await?))
}

/// `POST /api/v1/changes`: somebody changed a target.
pub(super) async fn tell(
    Telling(who): Telling,
    With(api): With<State>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let Tell { target, reason, by } = body::act(request).await?;
    let by = match by.map(|by| by.trim().to_owned()).filter(|by| !by.is_empty()) {
        Some(by) if by != who => format!("{by} (says {who})"),
        _ => who,
    };
    let reason = reason.unwrap_or_default();
    let change = changed::told(&target, &by, &reason, api.clock.now())
        .map_err(|words| Problem::new(problem::BAD_REQUEST, words))?;
    api.store.add_change(&change).await?;
    tracing::info!(target = change.target, by, reason, "a target was changed");
    Ok(Json(json!({ "change": change })))
}

#[cfg(test)]
mod tests {
    use crate::api::testing::Quell;
    use crate::api::testing::config;
    use crate::model::config::Config;
    use crate::model::config::Ingest;
    use crate::model::config::IngestToken;
    use crate::model::config::Secret;

    #[tokio::test]
    async fn operators_and_senders_of_alerts_tell_of_changes() {
        let token = Secret::new("ci-token");
        let tokens = vec![IngestToken { name: "ci".into(), token, user: None }];
        let config = config();
        let ingest = Ingest { tokens, ..config.ingest.clone() };
        let quell = Quell::configured(Config { ingest, ..config }).await;
        let reply = quell.post("/api/v1/changes", r#"{"target":"kubernetes/prod"}"#).await;
        insta::assert_snapshot!(reply.text, @r#"{"change":{"at":"2026-11-21T02:40:00Z","by":"dana","reason":"","target":"kubernetes/prod"}}"#);
        let ci = [("authorization", "Bearer ci-token")];
        let body = r#"{"target":"kubernetes/prod/deployment/api","reason":"deploy 41","by":"kim"}"#;
        let reply = quell.send("POST", "/api/v1/changes", &ci, body.to_owned()).await;
        insta::assert_snapshot!(reply.text, @r#"{"change":{"at":"2026-11-21T02:40:00Z","by":"kim (says ci)","reason":"deploy 41","target":"kubernetes/prod/deployment/api"}}"#);
        insta::assert_snapshot!(quell.get("/api/v1/changes").await.text, @r#"{"items":[{"target":"kubernetes/prod/deployment/api","by":"kim (says ci)","reason":"deploy 41","at":"2026-11-21T02:40:00Z"},{"target":"kubernetes/prod","by":"dana","reason":"","at":"2026-11-21T02:40:00Z"}],"next":null}"#);
        let stranger = [("authorization", "Bearer nobody")];
        let reply = quell.send("POST", "/api/v1/changes", &stranger, body.to_owned()).await;
        assert_eq!(reply.status, 401, "{}", reply.text);
        let reply = quell.send("POST", "/api/v1/changes", &[], body.to_owned()).await;
        assert_eq!(reply.status, 401, "{}", reply.text);
        let nothing = quell.post("/api/v1/changes", r#"{"target":"a//b"}"#).await;
        insta::assert_snapshot!(nothing.problem(), @r#"400 /errors/Q0513 request not understood: "a//b" is no target: write one like kubernetes/prod/deployment/api, or kubernetes/prod for all below it"#);
    }
}

//! Windows that operators add, list and end. What waits is judged again at once.

use axum::Json;
use axum::extract::Path;
use axum::extract::Request;
use axum::extract::State as With;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::api::State;
use crate::api::auth::Acting;
use crate::api::auth::Reading;
use crate::api::body;
use crate::api::problem;
use crate::api::problem::Problem;
use crate::api::read::Page;
use crate::decide::window::list;
use crate::decide::window::list::Listed;
use crate::decide::window::one_off;
use crate::model::time::parse_duration;
use crate::model::window::Effect;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    name: String,
    effect: Effect,
    reason: String,
    /// How long, such as `2h`; or `until`.
    #[serde(rename = "for")]
    lasts: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    #[serde(rename = "match", default)]
    matchers: Vec<String>,
}

/// `GET /api/v1/windows`: those of quell.yml, then those that were added.
pub(super) async fn list(
    _: Reading,
    With(api): With<State>,
) -> Result<Json<Page<Listed>>, Problem> {
    let added = api.store.windows().await?;
    let library = api.library.load();
    Ok(Page::all(list::list(&library.config.windows, &added, api.clock.now())))
}

/// `POST /api/v1/windows`
pub(super) async fn add(
    Acting(operator): Acting,
    With(api): With<State>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let asked: Add = body::act(request).await?;
    let bad = |words: String| Problem::new(problem::BAD_REQUEST, words);
    let lasts = asked.lasts.as_deref().map(parse_duration).transpose().map_err(bad)?;
    let request = one_off::Request {
        name: asked.name,
        lasts,
        from: asked.from,
        until: asked.until,
        effect: asked.effect,
        matchers: asked.matchers,
        reason: asked.reason,
        by: operator.name,
    };
    let known = api.library.load_full();
    let window = one_off::one_off(&known.config.windows, request, api.clock.now()).map_err(bad)?;
    api.store.add_window(&window).await?;
    tracing::warn!(window = window.name, by = window.by, reason = window.reason, "window added");
    api.wake.all();
    Ok(Json(json!({ "window": window })))
}

/// `DELETE /api/v1/windows/{name}`: ends one that was added, now.
pub(super) async fn end(
    Acting(operator): Acting,
    With(api): With<State>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let known = api.library.load_full();
    if let Some(words) = one_off::not_added(&known.config.windows, &name) {
        return Err(Problem::new(problem::CONFLICT, words));
    }
    api.store.end_window(&name, &operator.name).await?;
    tracing::warn!(window = name, by = operator.name, "window ended");
    api.wake.all();
    Ok(Json(json!({ "ended": name })))
}

#[cfg(test)]
mod tests {
    use crate::api::testing::Quell;
    use crate::api::testing::config;

    #[tokio::test]
    async fn an_operator_adds_a_window_that_is_listed_until_it_is_ended() {
        let quell = Quell::configured(config()).await;
        let asked = r#"{"name":"deploy","for":"2h","effect":"refuse","match":["service=\"shop\""],"reason":"deploy 41"}"#;
        let reply = quell.post("/api/v1/windows", asked).await;
        insta::assert_snapshot!(reply.text, @r#"{"window":{"at":"2026-11-21T02:40:00Z","by":"dana","effect":"refuse","ended_by":null,"from":"2026-11-21T02:40:00Z","match":["service=\"shop\""],"name":"deploy","reason":"deploy 41","until":"2026-11-21T04:40:00Z"}}"#);
        insta::assert_snapshot!(quell.post("/api/v1/windows", asked).await.problem(), @"409 /errors/Q0509 not possible now: there is a window deploy until 2026-11-21T04:40:00Z: end it, or take another name");
        insta::assert_snapshot!(quell.get("/api/v1/windows").await.text, @r#"{"items":[{"name":"deploy","effect":"refuse","match":["service=\"shop\""],"reason":"deploy 41","when":"once","set_in":"added by dana","inside":true,"begins":null,"ends":"2026-11-21T04:40:00Z","ended_by":null}],"next":null}"#);
        let ended = quell.send("DELETE", "/api/v1/windows/deploy", &dana(), String::new()).await;
        assert_eq!(ended.status, 200, "{}", ended.text);
        insta::assert_snapshot!(quell.get("/api/v1/windows").await.text, @r#"{"items":[{"name":"deploy","effect":"refuse","match":["service=\"shop\""],"reason":"deploy 41","when":"once","set_in":"added by dana","inside":false,"begins":null,"ends":null,"ended_by":"dana"}],"next":null}"#);
        let again = quell.send("DELETE", "/api/v1/windows/deploy", &dana(), String::new()).await;
        insta::assert_snapshot!(again.problem(), @"404 /errors/Q0507 no such thing: there is no window deploy that was added and is not over");
    }

    fn dana() -> [(&'static str, &'static str); 1] {
        [("authorization", "Bearer dana-token")]
    }

    #[tokio::test]
    async fn what_makes_no_window_is_refused_and_so_is_who_may_not() {
        let quell = Quell::configured(config()).await;
        let asked = r#"{"name":"deploy","for":"2x","effect":"refuse","reason":"r"}"#;
        insta::assert_snapshot!(quell.post("/api/v1/windows", asked).await.problem(), @"400 /errors/Q0513 request not understood: `2x` is not a duration; write one like 90s, 5m or 1h30m");
        let asked = r#"{"name":"deploy","effect":"refuse","reason":"r"}"#;
        insta::assert_snapshot!(quell.post("/api/v1/windows", asked).await.problem(), @"400 /errors/Q0513 request not understood: say how long the window lasts, or until when: one of the two");
        let asked = r#"{"name":"deploy","for":"2h","effect":"freeze","reason":"r"}"#;
        insta::assert_snapshot!(quell.post("/api/v1/windows", asked).await.problem(), @"400 /errors/Q0513 request not understood: unknown variant `freeze`, expected one of `observe`, `refuse`, `allow_only` at line 1 column 45");
        let stranger = [("authorization", "Bearer nobody")];
        for (method, path) in [("POST", "/api/v1/windows"), ("DELETE", "/api/v1/windows/deploy")] {
            let reply = quell.send(method, path, &stranger, asked.to_owned()).await;
            assert_eq!(reply.status, 401, "{method}: {}", reply.text);
        }
        assert!(quell.state.store.windows().await.unwrap().is_empty());
    }
}

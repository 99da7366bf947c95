//! `POST /api/v1/rules/{name}/promote`: a person trusts a rule again.

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
use crate::decide::trust;
use crate::model::playbook::Mode;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Promote {
    /// One rung more when silent.
    to: Option<Mode>,
    reason: String,
}

/// The handler. Open episodes are judged again.
pub(super) async fn promote(
    Acting(operator): Acting,
    With(api): With<State>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let Promote { to, reason } = body::act(request).await?;
    let library = api.library.load_full();
    let rule = library.rules.rules().iter().find(|rule| rule.name == name);
    let Some(rule) = rule else {
        let detail = format!("there is no rule `{name}`; GET /api/v1/rules lists them");
        return Err(Problem::new(problem::NO_SUCH, detail));
    };
    let last = api.store.trust(&name).await?;
    let (config, by, now) = (&library.config, &operator.name, api.clock.now());
    let trust = trust::promotion(config, rule, last.as_ref(), to, by, &reason, now)
        .map_err(|words| Problem::new(problem::CONFLICT, words))?;
    api.store.promote(last.as_ref(), &trust).await?;
    tracing::warn!(rule = name, mode = trust.mode.as_str(), by, reason, "promoted");
    api.wake.all();
    Ok(Json(json!({ "trust": trust })))
}

#[cfg(test)]
mod tests {
    use crate::api::testing::Quell;
    use crate::api::testing::config;
    use crate::decide::matching::Index;
    use crate::decide::trust;
    use crate::library::Library;
    use crate::model::config::Config;
    use crate::model::playbook::Mode;
    use crate::model::rule::Set;
    use crate::model::trust::Trust;

    #[tokio::test]
    async fn an_operator_promotes_a_demoted_rule_and_no_further_than_the_files_allow() {
        let rule = crate::api::read::tests::rule();
        let config = Config { mode: Set::default_of(Mode::Approve), ..config() };
        let rules = Index::new(vec![rule.into()]).into();
        let quell = Quell::start(Library { config, rules, ..Library::default() }).await;
        let path = "/api/v1/rules/api-error-rate/promote";
        let asked = r#"{"reason":"the probe is fixed"}"#;
        insta::assert_snapshot!(quell.post(path, asked).await.problem(), @"409 /errors/Q0509 not possible now: api-error-rate is not demoted: it may do approve at most, set by mode (default)");
        let store = &quell.state.store;
        let demoted = Trust {
            rule: "api-error-rate".into(),
            mode: Mode::Observe,
            why: "3 of 3 runs did not help".into(),
            at: store.clock().now(),
            by: trust::BY.into(),
        };
        store.demote(store.facts_version().await.unwrap(), &demoted, Vec::new()).await.unwrap();
        let rules = quell.get("/api/v1/rules").await.json();
        let shown = &rules["items"][0];
        insta::assert_snapshot!(format!("{} {} {}", shown["may"], shown["set_by"], shown["evidence"]), @r#""observe" "demoted: quell promote api-error-rate" {"at_work":0,"disagreed":0,"failed":0,"helped":0,"ineffective":0,"last_at":null,"median_seconds":null,"observed":0,"runs":0,"success":null}"#);
        let too_far = r#"{"to":"auto","reason":"the probe is fixed"}"#;
        insta::assert_snapshot!(quell.post(path, too_far).await.problem(), @"409 /errors/Q0509 not possible now: api-error-rate may not do auto: mode (default) allows approve at most");
        insta::assert_snapshot!(quell.post(path, r#"{"reason":""}"#).await.problem(), @"409 /errors/Q0509 not possible now: a promotion needs a reason: what is different now");
        insta::assert_snapshot!(quell.post(path, asked).await.text, @r#"{"trust":{"at":"2026-11-21T02:40:00Z","by":"dana","mode":"approve","rule":"api-error-rate","why":"the probe is fixed"}}"#);
        insta::assert_snapshot!(quell.post(path, asked).await.problem(), @"409 /errors/Q0509 not possible now: api-error-rate may not do auto: mode (default) allows approve at most");
        let nobody = [("authorization", "Bearer nobody")];
        assert_eq!(quell.send("POST", path, &nobody, asked).await.status, 401);
        let missing = quell.post("/api/v1/rules/x/promote", asked).await;
        insta::assert_snapshot!(missing.problem(), @"404 /errors/Q0507 no such thing: there is no rule `x`; GET /api/v1/rules lists them");
    }
}

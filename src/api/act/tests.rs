use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::api::testing::Quell;
use crate::api::testing::Reply;
use crate::api::testing::WEBHOOK;
use crate::api::testing::config;
use crate::api::testing::playbook;
use crate::library::Library;
use crate::model::incident::EpisodeId;
use crate::model::incident::IncidentId;
use crate::model::incident::NoticeKind;
use crate::model::incident::RunId;
use crate::model::run::Event;

async fn plain() -> Quell {
    Quell::configured(config()).await
}

async fn erin(quell: &Quell, path: &str, body: &str) -> Reply {
    quell.send("POST", path, &[("authorization", "Bearer erin-token")], body.to_owned()).await
}

#[tokio::test]
async fn an_acknowledgement_is_told_once_to_who_was_told_of_the_incident() {
    let quell = plain().await;
    quell.incident().await;
    let first = quell.post("/api/v1/incidents/i-1/ack", "").await;
    assert_eq!(first.json()["acknowledged"], true, "{}", first.text);
    assert_eq!(first.json()["incident"]["acked_by"], "dana");
    let second = erin(&quell, "/api/v1/incidents/1/ack", "{}").await;
    assert_eq!(second.json()["acknowledged"], false);
    assert_eq!(second.json()["incident"]["acked_by"], "dana", "the first has it");
    let told = quell.state.store.notifications_of(IncidentId(1)).await.unwrap();
    let acks: Vec<_> =
        told.iter().filter(|it| it.notice.kind == NoticeKind::Acknowledged).collect();
    let [ack] = acks.as_slice() else { panic!("{acks:?}") };
    assert_eq!(ack.channel, "slack");
    insta::assert_snapshot!(ack.notice.headline, @"acknowledged by dana after 12m");
    let missing = quell.post("/api/v1/incidents/i-9/ack", "").await;
    insta::assert_snapshot!(missing.problem(), @"404 /errors/Q0507 no such thing: there is no incident i-9");
}

#[tokio::test]
async fn a_resolved_incident_takes_no_acknowledgement() {
    let quell = plain().await;
    quell.incident().await;
    let resolved = json!({ "alerts": [{ "status": "resolved", "labels": { "alertname": "HighErrorRate", "service": "<api>" } }] });
    assert_eq!(quell.webhook(resolved.to_string()).await.json()["closed"], 1);
    assert!(quell.state.store.resolve_incident(IncidentId(1), Vec::new()).await.unwrap());
    let reply = quell.post("/api/v1/incidents/i-1/ack", "").await;
    insta::assert_snapshot!(reply.problem(), @"409 /errors/Q0509 not possible now: i-1 is resolved: there is nothing to acknowledge");
}

#[tokio::test]
async fn an_approval_needs_the_tier_and_the_digest_of_what_was_looked_at() {
    let quell = plain().await;
    let digest = quell.awaiting_approval().await;
    let body = json!({ "digest": digest }).to_string();
    let path = "/api/v1/runs/r-1/approve";
    insta::assert_snapshot!(erin(&quell, path, &body).await.problem(), @"403 /errors/Q0506 not allowed: r-1 needs one person of tier 3, and erin has tier 1");
    let other = json!({ "digest": "0".repeat(64) }).to_string();
    insta::assert_snapshot!(quell.post(path, &other).await.problem(), @"409 /errors/Q0509 not possible now: the plan of r-1 is not the one that was looked at; look again");
    insta::assert_snapshot!(quell.post(path, "{}").await.problem(), @"400 /errors/Q0513 request not understood: missing field `digest` at line 1 column 2");
    insta::assert_snapshot!(quell.post(path, "{\"digest\":").await.problem(), @"400 /errors/Q0501 not JSON: expected JSON: EOF while parsing a value at line 1 column 10, byte 10 of 10");
    insta::assert_snapshot!(quell.post("/api/v1/runs/r-9/approve", &body).await.problem(), @"404 /errors/Q0507 no such thing: there is no run r-9");
    assert_eq!(quell.state.store.journal(RunId(1)).await.unwrap().len(), 1, "nothing was written");
    let reply = quell.post(path, &body).await;
    assert_eq!((reply.status, &reply.json()["run"]["state"]), (200, &json!("running")));
    let journal = quell.state.store.journal(RunId(1)).await.unwrap();
    let Some(Event::Approved { by, digest: to }) = journal.last().map(|it| &it.event) else {
        panic!("{journal:?}")
    };
    assert_eq!((by.as_str(), to), ("dana", &digest));
    insta::assert_snapshot!(quell.post(path, &body).await.problem(), @"409 /errors/Q0509 not possible now: r-1 is running, not awaiting approval");
}

#[tokio::test]
async fn a_rejection_keeps_its_reason_and_ends_the_run() {
    let quell = plain().await;
    quell.awaiting_approval().await;
    for body in ["", r#"{"reason":" "}"#] {
        let reply = erin(&quell, "/api/v1/runs/r-1/reject", body).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(reply.problem(), @"400 /errors/Q0513 request not understood: say why r-1 is rejected: people are told the reason");
        }
    }
    let reply = erin(&quell, "/api/v1/runs/r-1/reject", r#"{"reason":"deploy first"}"#).await;
    assert_eq!(reply.json()["run"]["state"], "rejected", "{}", reply.text);
    let outcome = reply.json()["run"]["outcome"].as_str().unwrap().to_owned();
    assert!(outcome.contains("rejected by erin: deploy first"), "{outcome}");
    let told = quell.state.store.notifications_of(IncidentId(1)).await.unwrap();
    assert!(told.last().unwrap().notice.headline.ends_with("rejected by erin: deploy first"));
}

#[tokio::test]
async fn g11_two_people_approve_and_one_of_them_twice_does_not() {
    let quell = plain().await;
    let digest = quell.awaiting(2).await;
    let body = json!({ "digest": digest }).to_string();
    let path = "/api/v1/runs/r-1/approve";
    let first = quell.post(path, &body).await;
    assert_eq!(first.json()["run"]["state"], "awaiting approval", "{}", first.text);
    insta::assert_snapshot!(first.json()["run"]["outcome"].as_str().unwrap(), @"restart on kubernetes/prod/deployment/api: approved by dana; needs one more person of tier 3");
    insta::assert_snapshot!(quell.post(path, &body).await.problem(), @"409 /errors/Q0509 not possible now: dana has approved already; it needs one more person of tier 3");
    assert_eq!(quell.state.store.journal(RunId(1)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn g11_what_an_operator_posts_is_asked_for_by_them() {
    let quell = plain().await;
    let alert = r#"{"alerts":[{"status":"firing","labels":{"alertname":"Down"}}]}"#;
    let headers = [("authorization", "Bearer dana-token"), ("content-type", "application/json")];
    assert_eq!(quell.send("POST", WEBHOOK, &headers, alert).await.status, 200);
    let episode = quell.state.store.episode(EpisodeId(1)).await.unwrap().unwrap();
    assert_eq!(episode.source, "operator:dana");
}

#[tokio::test]
async fn g15_an_incident_is_taken_over_once_and_given_back() {
    let quell = plain().await;
    quell.awaiting_approval().await;
    let path = |what: &str| format!("/api/v1/incidents/i-1/{what}");
    let taken = quell.post(&path("take"), "").await.json();
    assert_eq!((&taken["taken"], &taken["incident"]["taken_by"]), (&json!(true), &json!("dana")));
    assert_eq!(taken["incident"]["acked_by"], "dana", "it is acknowledged, too");
    let second = erin(&quell, &path("take"), "").await.json();
    assert_eq!(
        (&second["taken"], &second["incident"]["taken_by"]),
        (&json!(false), &json!("dana"))
    );
    assert_eq!(quell.get("/api/v1/runs/r-1").await.json()["cancelled_by"], "dana");
    let back = erin(&quell, &path("give-back"), "").await.json();
    assert_eq!(back["incident"]["taken_by"], "");
    let told = quell.state.store.notifications_of(IncidentId(1)).await.unwrap();
    let told: Vec<&str> = told.iter().map(|it| it.notice.headline.as_str()).collect();
    insta::assert_debug_snapshot!(told, @r#"
    [
        "is firing",
        "taken over by dana after 12m: quell does nothing more for it until `quell give-back i-1`",
        "given back by erin: quell judges it again",
    ]
    "#);
    insta::assert_snapshot!(quell.post(&path("give-back"), "").await.problem(), @"409 /errors/Q0509 not possible now: nobody has taken i-1 over");
    insta::assert_snapshot!(quell.post("/api/v1/incidents/i-9/take", "").await.problem(), @"404 /errors/Q0507 no such thing: there is no incident i-9");
}

#[tokio::test]
async fn g11_the_glass_is_broken_for_a_reason_by_tier_4_for_a_time_and_with_a_page() {
    let mut config = config();
    config.operators[0].tier = 4;
    let quell = Quell::configured(config.clone()).await;
    let path = "/api/v1/break-glass";
    let body = |lasts: &str, reason: &str| {
        json!({ "scope": "target:db/main", "for": lasts, "reason": reason }).to_string()
    };
    insta::assert_snapshot!(erin(&quell, path, &body("30m", "outage")).await.problem(), @"403 /errors/Q0506 not allowed: breaking the glass needs an operator of tier 4, and erin has tier 1");
    insta::assert_snapshot!(quell.post(path, &body("61m", "outage")).await.problem(), @"400 /errors/Q0513 request not understood: break-glass lasts from 1s to 1h, got 1h1m");
    insta::assert_snapshot!(quell.post(path, &body("0s", "outage")).await.problem(), @"400 /errors/Q0513 request not understood: break-glass lasts from 1s to 1h, got 0s");
    insta::assert_snapshot!(quell.post(path, &body("30m", "  ")).await.problem(), @"400 /errors/Q0513 request not understood: say why the glass is broken: everybody is told the reason");
    insta::assert_snapshot!(quell.post(path, r#"{"scope":"all","reason":"x"}"#).await.problem(), @"400 /errors/Q0513 request not understood: expected rule:NAME, target:NAME or incident:i-12, got `all`");
    insta::assert_snapshot!(quell.post(path, r#"{"scope":"rule:none","reason":"x"}"#).await.problem(), @"400 /errors/Q0513 request not understood: there is no rule `none`; GET /api/v1/rules lists them");
    assert_eq!(quell.get(path).await.json()["items"], json!([]));
    let broken = quell.post(path, &body("1h", "outage")).await;
    insta::assert_snapshot!(broken.text, @r#"{"glass":{"at":"2026-11-21T02:40:00Z","by":"dana","ended_at":null,"ended_by":"","id":1,"incident":"i-1","reason":"outage","scope":"target:db/main","until":"2026-11-21T03:40:00Z"}}"#);
    let told = quell.state.store.notifications_of(IncidentId(1)).await.unwrap();
    insta::assert_snapshot!(told[0].notice.headline, @"dana broke the glass for target:db/main for 1h: outage");
    assert_eq!(told[0].notice.kind, NoticeKind::NeedsYou);
    assert_eq!(quell.get(path).await.json()["items"][0]["in_force"], true);
    let revoked = erin(&quell, "/api/v1/break-glass/1/revoke", "").await;
    assert_eq!(revoked.json()["glass"]["ended_by"], "erin", "anybody may end it");
    assert_eq!(quell.get(path).await.json()["items"][0]["in_force"], false);
    insta::assert_snapshot!(quell.post("/api/v1/break-glass/1/revoke", "").await.problem(), @"409 /errors/Q0509 not possible now: break-glass 1 is over since 2026-11-21T02:40:00Z");
    config.channels.clear();
    let silent = Quell::configured(config).await;
    insta::assert_snapshot!(silent.post(path, &body("30m", "outage")).await.problem(), @"400 /errors/Q0513 request not understood: breaking the glass pages people, and quell.yml has no channel: add one under `channels:`");
}

#[tokio::test]
async fn a_doubt_is_settled_by_a_person() {
    let quell = plain().await;
    quell.in_doubt().await;
    let path = "/api/v1/runs/r-1/answer";
    insta::assert_snapshot!(quell.post(path, r#"{"happened":"yes"}"#).await.problem(), @r#"400 /errors/Q0513 request not understood: invalid type: string "yes", expected a boolean at line 1 column 17"#);
    let reply = quell.post(path, r#"{"happened":true}"#).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let journal = quell.state.store.journal(RunId(1)).await.unwrap();
    let settled = Event::Settled { by: "dana".into(), happened: true };
    assert_eq!(journal.last().map(|it| &it.event), Some(&settled));
}

#[tokio::test]
async fn a_cancellation_is_asked_for_and_shown() {
    let quell = plain().await;
    quell.awaiting_approval().await;
    assert_eq!(erin(&quell, "/api/v1/runs/r-1/cancel", "").await.status, 200);
    assert_eq!(quell.get("/api/v1/runs/r-1").await.json()["cancelled_by"], "erin");
    let reason = r#"{"reason":"no"}"#;
    assert_eq!(quell.post("/api/v1/runs/r-1/reject", reason).await.status, 200);
    insta::assert_snapshot!(quell.post("/api/v1/runs/r-1/cancel", "").await.problem(), @"409 /errors/Q0509 not possible now: r-1 has ended: rejected");
}

#[tokio::test]
async fn pause_and_resume_are_the_kill_switch() {
    let playbooks = [("restart".to_owned(), playbook(Vec::new()).into())].into();
    let quell = Quell::start(Library { config: config(), playbooks, ..Library::default() }).await;
    let reply = quell.post("/api/v1/pause", r#"{"scope":"all","reason":"bad deploy"}"#).await;
    insta::assert_snapshot!(reply.text, @r#"{"pause_file":null,"paused":true,"pauses":[{"at":"2026-11-21T02:40:00Z","by":"dana","reason":"bad deploy","scope":"all"}]}"#);
    let again = erin(&quell, "/api/v1/pause", r#"{"scope":"all"}"#).await;
    assert_eq!(again.json()["pauses"], reply.json()["pauses"], "it stays as it is");
    for scope in ["playbook:restart", "target:kubernetes/prod/deployment/api"] {
        let body = json!({ "scope": scope }).to_string();
        assert_eq!(quell.post("/api/v1/pause", &body).await.status, 200, "{scope}");
    }
    assert_eq!(quell.get("/api/v1/pause").await.json()["pauses"].as_array().unwrap().len(), 3);
    for scope in ["rule:typo", "playbook:typo", "target:", "everything", "", "ALL"] {
        let body = json!({ "scope": scope }).to_string();
        assert_eq!(quell.post("/api/v1/pause", &body).await.status, 400, "{scope}");
    }
    let typo = quell.post("/api/v1/pause", r#"{"scope":"rule:typo"}"#).await;
    insta::assert_snapshot!(typo.problem(), @"400 /errors/Q0513 request not understood: there is no rule `typo`; GET /api/v1/rules lists them");
    let resumed = quell.post("/api/v1/resume", r#"{"scope":"all"}"#).await;
    assert_eq!(resumed.json()["paused"], true, "two scopes still are");
    let again = quell.post("/api/v1/resume", r#"{"scope":"all"}"#).await;
    insta::assert_snapshot!(again.problem(), @"409 /errors/Q0509 not possible now: `all` is not paused; paused now: playbook:restart, target:kubernetes/prod/deployment/api");
}

#[tokio::test]
async fn a_resume_makes_open_episodes_due() {
    let quell = plain().await;
    quell.incident().await;
    let claimed = quell.state.store.claim_episode(Duration::from_mins(1)).await.unwrap();
    quell.state.store.episode_due(&claimed.unwrap(), None).await.unwrap();
    quell.post("/api/v1/pause", r#"{"scope":"all"}"#).await;
    quell.post("/api/v1/resume", r#"{"scope":"all"}"#).await;
    let due = quell.state.store.claim_episode(Duration::from_mins(1)).await.unwrap();
    assert_eq!(due.unwrap().episode.id.to_string(), "e-1");
}

#[tokio::test]
async fn the_pause_file_is_shown_and_outlives_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.pause_file = folder.path().join("quell.pause");
    std::fs::write(&config.pause_file, "").unwrap();
    let quell = Quell::configured(config).await;
    let shown: Value = quell.get("/api/v1/pause").await.json();
    assert_eq!(shown["paused"], true);
    assert!(shown["pause_file"].as_str().unwrap().ends_with("quell.pause"));
    quell.post("/api/v1/pause", r#"{"scope":"all"}"#).await;
    let resumed = quell.post("/api/v1/resume", r#"{"scope":"all"}"#).await.json();
    assert_eq!((&resumed["paused"], &resumed["pauses"]), (&json!(true), &json!([])));
}

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::api::testing::Quell;
use crate::api::testing::Reply;
use crate::api::testing::config;
use crate::api::testing::playbook;
use crate::library::Library;
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
    for (body, reason) in
        [(r#"{"reason":"deploy first"}"#, "deploy first"), ("", "no reason given")]
    {
        let quell = plain().await;
        quell.awaiting_approval().await;
        let reply = erin(&quell, "/api/v1/runs/r-1/reject", body).await;
        assert_eq!(reply.json()["run"]["state"], "rejected", "{}", reply.text);
        let outcome = reply.json()["run"]["outcome"].as_str().unwrap().to_owned();
        assert!(outcome.contains("erin") && outcome.contains(reason), "{outcome}");
    }
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
    assert_eq!(quell.post("/api/v1/runs/r-1/reject", "").await.status, 200);
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

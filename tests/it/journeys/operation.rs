//! What an administrator does: stop, send a test alert, verify the audit.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use serde_json::json;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::task::JoinSet;

use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::STARTED;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::delivery;
use crate::journeys::fixture::runs;
use crate::support::http;
use crate::support::quell::Quell;
use crate::support::shop::Fault;

#[tokio::test]
async fn a_stop_ends_the_step_under_way_and_the_next_start_goes_on_after_it() {
    let mut site = Site::new().await;
    site.respond_with(&["restart"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.shop.gate().shut();
    site.posts("firing").await;
    site.shop.affected(1).await;

    let mut process = site.quell.begin_to_stop();
    site.until_logged("stopping: what was accepted is finished first", 1).await;
    assert!(process.ended().is_none());
    site.shop.gate().open();
    let status = process.wait().await;
    assert!(status.success(), "{status}");
    assert!(site.quell.log().contains("\"stopped\""), "{}", site.quell.log());

    site.quell.serve().await;
    site.until_run(1, "fixed").await;
    assert_eq!(site.shop.effects().len(), 1);
    assert_eq!(runs(&site.incident(1).await).len(), 1);
}

#[tokio::test]
async fn every_alert_answered_with_200_before_a_stop_is_there_after_it() {
    let mut quell = Quell::start("", &[]).await;
    let mut posts = JoinSet::new();
    for number in 0..60 {
        let request = http::client().post(quell.webhook());
        let body = delivery("firing", &format!("service-{number}"), STARTED);
        let request = request.json(&body);
        posts.spawn(async move {
            // a connection that the stop refuses or cuts is as good as 503: Alertmanager sends again
            let status = request.send().await.ok().map(|it| it.status().as_u16());
            (number, status)
        });
        if number == 20 {
            quell.get("/health/live").await;
        }
    }
    let first = posts.join_next().await.unwrap().unwrap();
    let mut process = quell.begin_to_stop();
    let mut answers = posts.join_all().await;
    answers.push(first);
    assert!(process.wait().await.success());
    let accepted: BTreeSet<String> = answers
        .iter()
        .filter(|(_, status)| *status == Some(200))
        .map(|(number, _)| format!("service-{number}"))
        .collect();
    assert!(!accepted.is_empty());
    let odd: Vec<_> = answers.iter().filter(|it| !matches!(it.1, Some(200 | 503) | None)).collect();
    assert!(odd.is_empty(), "{odd:?}");

    quell.serve().await;
    let episodes = quell.get("/api/v1/episodes?limit=500").await;
    let stored: BTreeSet<String> = episodes["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["labels"]["service"].as_str().unwrap().to_owned())
        .collect();
    assert!(stored.is_superset(&accepted), "lost: {:?}", accepted.difference(&stored));
}

#[tokio::test]
async fn a_server_whose_files_have_errors_does_not_start_and_names_them_all() {
    let mut site = Site::new().await;
    site.config["mod"] = json!("auto");
    site.rule()["response"] = json!([{ "playbook": "flush-cahce" }]);
    site.write();
    let (status, said) = site.quell.refuses_to_serve().await;
    assert_eq!(status.code(), Some(2), "{said}");
    for text in ["unknown key `mod`", "flush-cahce", "did you mean `flush-cache`"] {
        assert!(said.contains(text), "`{text}` is not in\n{said}");
    }
    let said = site.quell.cli(&["check"]).await;
    assert_eq!(said.code, 1, "{said:?}");
}

#[tokio::test]
async fn send_prints_the_match_the_verdicts_and_the_plan() {
    let mut site = Site::new().await;
    site.serve().await;
    site.shop.poison_cache().await;
    let labels = ["alertname=HighErrorRate", "service=shop", "severity=critical"];
    let arguments = [&["send"][..], &["-l", labels[0], "-l", labels[1], "-l", labels[2]]].concat();
    let said = site.quell.cli(&arguments).await;
    assert_eq!(said.code, 0, "{said:?}");
    for text in [
        "1 opened",
        "shop-errors  rules/shop.yml:1  selected",
        "verdict      proceed: 30 of 30 guards proceed",
        "cooldown",
        "remedy 1 of 1, flush-cache (playbooks/flush-cache.yml:1), mode auto",
        "redis.flush cache",
        "Next:  quell incidents i-1",
    ] {
        assert!(said.out.contains(text), "`{text}` is not in\n{}", said.out);
    }
    site.until_run(1, "fixed").await;
    let said = site.quell.cli(&[&arguments[..], &["--resolved"]].concat()).await;
    assert_eq!(said.code, 0, "{said:?}");
    site.until_it_is("resolved").await;
    site.told(SLACK, "flush-cache helped").await;
}

#[tokio::test]
async fn the_audit_verifies_until_somebody_edits_the_journal() {
    let mut site = Site::new().await;
    site.respond_with(&["flush-cache", "restart"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.posts("firing").await;
    site.until_run(2, "fixed").await;
    site.posts("resolved").await;
    site.until_it_is("resolved").await;
    let said = site.quell.cli(&["audit", "verify"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let json: Value = site.quell.cli(&["audit", "verify", "--json"]).await.json();
    assert_eq!(json["runs"], 2, "{json:#}");
    assert!(site.quell.stop().await.success());

    let database = site.quell.folder().join("quell.db");
    let mut connection =
        SqliteConnection::connect(&format!("sqlite:{}", database.display())).await.unwrap();
    let edited = sqlx::query(
        "UPDATE run_events SET body = replace(body, '0.25', '0.01') WHERE run = 1 AND body LIKE '%0.25%'",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    assert!(edited.rows_affected() > 0);
    connection.close().await.unwrap();
    let said = site.quell.cli(&["audit", "verify"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(format!("{}{}", said.out, said.err).contains("r-1"), "{said:?}");
}

#[tokio::test]
async fn no_secret_is_in_the_log_or_the_database() {
    let mut site = Site::new().await.with_mail().await;
    site.respond_with(&["flush-cache", "restart"]);
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.people.next(SLACK, crate::support::recorder::Answer::status(500));
    site.posts("firing").await;
    site.until("people are needed", |it| it["incident"]["escalated"] == true).await;
    assert!(site.quell.stop().await.success());
    let mut everything = site.quell.log().into_bytes();
    for file in fs::read_dir(site.quell.folder()).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_str().unwrap().starts_with("quell.db") {
            everything.extend(fs::read(file.path()).unwrap());
        }
    }
    let everything = String::from_utf8_lossy(&everything);
    for secret in ["hush", "0123456789abcdef0123456789abcdef"] {
        assert!(!everything.contains(secret), "{secret}");
    }
}

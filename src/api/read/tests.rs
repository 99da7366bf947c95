use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::api::testing::Quell;
use crate::api::testing::at;
use crate::api::testing::config;
use crate::api::testing::playbook;
use crate::decide::matching::Index;
use crate::library::Library;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::matcher::Op;
use crate::model::playbook::Mode;
use crate::model::playbook::Rate;
use crate::model::playbook::Verification;
use crate::model::probe::Probe;
use crate::model::rule::Check;
use crate::model::rule::Place;
use crate::model::rule::Remedy;
use crate::model::rule::Rule;
use crate::model::rule::RuleLimits;
use crate::model::rule::Set;

async fn plain() -> Quell {
    Quell::configured(config()).await
}

async fn json(quell: &Quell, path: &str) -> Value {
    let reply = quell.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-store");
    reply.json()
}

#[tokio::test]
async fn lists_are_paged_by_cursor_to_the_end() {
    let quell = plain().await;
    let alerts: Vec<Value> =
        (0..5).map(|n| json!({ "labels": { "alertname": "A", "n": n } })).collect();
    quell.webhook(json!({ "alerts": alerts }).to_string()).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    let mut pages = 0;
    loop {
        let page = json(&quell, &format!("/api/v1/episodes?open=true&limit=2{cursor}")).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|it| it["id"].clone()));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["e-5", "e-4", "e-3", "e-2", "e-1"], "the newest first");
    assert_eq!(pages, 3);
    let fingerprint =
        json(&quell, "/api/v1/episodes?limit=1").await["items"][0]["fingerprint"].clone();
    let path = format!("/api/v1/episodes?fingerprint={}", fingerprint.as_str().unwrap());
    assert_eq!(json(&quell, &path).await["items"][0]["id"], "e-5");
    assert_eq!(json(&quell, "/api/v1/episodes?fingerprint=0").await["items"], json!([]));
}

#[tokio::test]
async fn a_filter_that_is_not_known_is_refused() {
    let quell = plain().await;
    for path in [
        "/api/v1/incidents?state=open",
        "/api/v1/incidents?status=closed",
        "/api/v1/incidents?limit=0",
        "/api/v1/incidents?limit=501",
        "/api/v1/incidents?cursor=x",
        "/api/v1/episodes?open=yes",
        "/api/v1/notifications?state=lost",
        "/api/v1/runs/x",
    ] {
        let reply = quell.get(path).await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.text);
        assert!(reply.problem().starts_with("400 /errors/Q0513 "), "{path}");
    }
    insta::assert_snapshot!(quell.get("/api/v1/incidents?status=closed").await.problem(), @"400 /errors/Q0513 request not understood: in the query: status: unknown variant `closed`, expected one of `open`, `acknowledged`, `resolved`");
    insta::assert_snapshot!(quell.get("/api/v1/incidents?limit=501").await.problem(), @"400 /errors/Q0513 request not understood: limit is 501; expected 1 to 500");
    insta::assert_snapshot!(quell.get("/api/v1/runs/x").await.problem(), @"400 /errors/Q0513 request not understood: `x` is not an id like r-12");
    insta::assert_snapshot!(quell.get("/api/v1/runs/r-7").await.problem(), @"404 /errors/Q0507 no such thing: there is no run r-7");
    insta::assert_snapshot!(quell.get("/api/v2/alerts").await.problem(), @"404 /errors/Q0507 no such thing: there is nothing at /api/v2/alerts");
}

#[tokio::test]
async fn an_incident_shows_all_that_belongs_to_it() {
    let quell = plain().await;
    quell.awaiting_approval().await;
    let whole = json(&quell, "/api/v1/incidents/i-1").await;
    assert_eq!(whole["incident"]["status"], "open");
    assert_eq!(whole["episodes"][0]["labels"]["service"], "<api>");
    assert_eq!(whole["runs"][0]["state"], "awaiting approval");
    assert_eq!(whole["notifications"][0]["channel"], "slack");
    assert_eq!(whole["decisions"], json!([]));
    assert_eq!(json(&quell, "/api/v1/incidents?status=open").await["items"][0]["id"], "i-1");
    assert_eq!(json(&quell, "/api/v1/incidents?status=resolved").await["items"], json!([]));
    assert_eq!(json(&quell, "/api/v1/runs?incident=i-1").await["items"][0]["id"], "r-1");
    assert_eq!(json(&quell, "/api/v1/runs?incident=2").await["items"], json!([]));
    assert_eq!(json(&quell, "/api/v1/notifications?state=pending").await["items"][0]["id"], 1);
    assert_eq!(json(&quell, "/api/v1/notifications").await["items"], json!([]));
}

#[tokio::test]
async fn a_run_shows_its_plan_its_journal_and_both_in_words() {
    let quell = plain().await;
    quell.in_doubt().await;
    let run = json(&quell, "/api/v1/runs/r-1").await;
    assert_eq!(run["proposes"], json!(["step 1 restart: command"]));
    assert_eq!(run["plan"]["tier"], 3);
    assert_eq!(run["run"]["digest"].as_str().unwrap().len(), 64);
    let events: Vec<String> = run["journal"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| match &entry["event"] {
            Value::String(word) => word.clone(),
            event => event.as_object().unwrap().keys().next().unwrap().clone(),
        })
        .collect();
    assert_eq!(events, ["planned", "approved", "step_started", "interrupted"]);
    let audit = json(&quell, "/api/v1/audit").await;
    assert_eq!(audit, json!({ "runs": 1, "events": 4, "broken": [] }));
    assert_eq!(json(&quell, "/api/v1/audit?run=r-9").await["runs"], 0);
}

#[tokio::test]
async fn rules_playbooks_and_checks_in_force_are_shown_in_words() {
    let playbooks = [("restart".to_owned(), Arc::new(playbook(Vec::new())))].into();
    let rules = Arc::new(Index::new(vec![Arc::new(rule())]));
    let probe = Probe::Scrape {
        url: "http://user:secret@occ/metrics".into(),
        select: "errors".into(),
        healthy: "value < 1".into(),
        min_sources: None,
    };
    let checks = vec![Arc::new(Check {
        name: "occ-health".into(),
        cron: "*/30 * * * * *".into(),
        timezone: "UTC".into(),
        probe,
        consecutive: 3,
        unknown_alerts: true,
        labels: [("alertname", "occ_down")].into_iter().collect(),
        annotations: Labels::default(),
        place: Place { file: "rules/occ.yml".into(), line: 3 },
    })];
    let library = Library { config: config(), playbooks, rules, checks, ..Library::default() };
    let quell = Quell::start(library).await;
    quell.state.store.know_check("occ-health", at("2026-11-21T02:40:30Z")).await.unwrap();
    insta::assert_snapshot!(quell.get("/api/v1/playbooks").await.text, @r#"{"items":[{"name":"restart","description":"Restart the service.","tier":3,"mode":"auto","parameters":[],"limits":{},"steps":[],"on_resolve":[],"place":"playbooks/restart.yml:1"}],"next":null}"#);
    insta::assert_snapshot!(quell.get("/api/v1/rules").await.text, @r#"{"items":[{"name":"api-error-rate","description":"Restart the API.","match":["alertname=\"HighErrorRate\""],"when":"labels.env != \"dev\"","group_by":["service"],"target":"kubernetes/prod/deployment/{{ labels.service }}","mode":"auto","response":[{"playbook":"restart","with":{"namespace":"shop"},"mode":"approve","tier":3}],"verify":{"probe":"promql up, healthy: value == 1","within":"5m","hold":"1m"},"limits":{"cooldown":"15m","rate":"3 per 1h"},"continue":false,"page":null,"place":"rules/api.yml:12","may":"observe","set_by":"mode (default)","trust":null,"evidence":{"runs":0,"helped":0,"failed":0,"ineffective":0,"success":null,"median_seconds":null,"disagreed":0,"observed":0,"at_work":0,"last_at":null}}],"next":null}"#);
    insta::assert_snapshot!(quell.get("/api/v1/checks").await.text, @r#"{"items":[{"name":"occ-health","cron":"*/30 * * * * *","timezone":"UTC","probe":"scrape errors, healthy: value < 1","consecutive":3,"labels":{"alertname":"occ_down"},"place":"rules/occ.yml:3","state":{"name":"occ-health","due_at":"2026-11-21T02:40:30Z","health":"unknown","streak":0,"firing":false,"blind":false,"measured":"","at":"2026-11-21T02:40:00Z"}}],"next":null}"#);
    insta::assert_snapshot!(quell.get("/api/v1/decisions").await.text, @r#"{"items":[],"next":null}"#);
}

#[tokio::test]
async fn a_store_that_fails_says_so_without_its_words() {
    let quell = plain().await;
    quell.state.store.close().await;
    let reply = quell.get("/api/v1/incidents").await;
    assert_eq!(reply.header("retry-after"), "5");
    insta::assert_snapshot!(reply.problem(), @"503 /errors/Q0512 could not be stored or read: the database could not be asked; the log says more under this request id");
}

pub(in crate::api) fn rule() -> Rule {
    let set = |value| Set { value, place: Place::default() };
    Rule {
        name: "api-error-rate".into(),
        description: "Restart the API.".into(),
        matchers: vec![Matcher::new("alertname", Op::Equal, "HighErrorRate").unwrap()],
        when: Some("labels.env != \"dev\"".into()),
        group_by: vec!["service".into()],
        target: "kubernetes/prod/deployment/{{ labels.service }}".into(),
        response: vec![Remedy {
            playbook: "restart".into(),
            with: [("namespace".to_owned(), "shop".into())].into(),
            mode: Some(Set::default_of(Mode::Approve)),
            tier: Some(3),
            approvals: None,
            place: Place::default(),
        }],
        verify: Some(Verification {
            probe: Probe::Promql {
                query: "up".into(),
                healthy: "value == 1".into(),
                min_sources: None,
            },
            within: Duration::from_mins(5),
            hold: Duration::from_mins(1),
            unharmed: Vec::new(),
        }),
        limits: RuleLimits {
            settle: None,
            cooldown: Some(set(Duration::from_mins(15))),
            rate: Some(Set::default_of(Rate { count: 3, per: Duration::from_hours(1) })),
            ..RuleLimits::default()
        },
        population: None,
        redundancy_group: None,
        mode: Set::default_of(Mode::Auto),
        go_on: false,
        page: None,
        updates: None,
        place: Place { file: "rules/api.yml".into(), line: 12 },
    }
}

//! Somebody always hears of it: links, acknowledgements, channels that fail, nobody who answers.

use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use crate::journeys::fixture::BOSS;
use crate::journeys::fixture::PAGER;
use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::STARTED;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::body;
use crate::journeys::fixture::delivery;
use crate::support::recorder::Answer;
use crate::support::shop::Fault;
use crate::support::wait;

/// A site whose alert nobody but a person can end.
fn for_people(mut site: Site) -> Site {
    site.rule().as_object_mut().unwrap().remove("response");
    site.rule().as_object_mut().unwrap().remove("verify");
    site
}

/// Path of the link in the first message of Slack.
async fn link(site: &Site) -> String {
    let message = site.told(SLACK, "/act/").await;
    let line = message.lines().find(|line| line.contains("/act/")).unwrap();
    line.strip_prefix(&site.quell.url("")).unwrap().to_owned()
}

/// What an `/act/` link answers: status and page.
async fn open(site: &Site, method: Method, path: &str, agent: &str) -> (u16, String) {
    let request = site.quell.request(method.clone(), path).header("user-agent", agent);
    let request = if method == Method::POST { request.form(&[("name", "Dana")]) } else { request };
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

#[tokio::test]
async fn the_link_in_slack_changes_nothing_when_looked_at_and_acknowledges_once() {
    let mut site = for_people(Site::new().await.with_mail().await);
    site.serve().await;
    site.posts("firing").await;
    let path = link(&site).await;
    let browser = "Mozilla/5.0";
    let crawler = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)";

    for agent in [browser, crawler] {
        for method in [Method::GET, Method::HEAD] {
            let (status, page) = open(&site, method.clone(), &path, agent).await;
            assert_eq!(status, 200, "{method} by {agent}: {page}");
            assert!(method == Method::HEAD || page.contains("shop: HighErrorRate"), "{page}");
        }
    }
    assert_eq!(site.incident(1).await["incident"]["status"], "open");
    assert_eq!(site.pages().iter().filter(|it| it["event_action"] != "trigger").count(), 0);

    let (status, page) = open(&site, Method::POST, &path, browser).await;
    assert_eq!(status, 200, "{page}");
    let whole = site.until_it_is("acknowledged").await;
    assert_eq!(whole["incident"]["acked_by"], "Dana, by the link in slack");
    let event = site.paged("acknowledge").await;
    assert_eq!(event["dedup_key"], site.pages()[0]["dedup_key"]);
    let mails = site.mail().received(2).await;
    assert!(body(&mails[1].data).contains("acknowledged by Dana"), "{:?}", mails[1]);
    site.told(SLACK, "acknowledged by Dana").await;

    let (status, page) = open(&site, Method::POST, &path, browser).await;
    assert_eq!(status, 409, "{page}");
    assert!(page.contains("Already acknowledged by Dana"), "{page}");
}

#[tokio::test]
async fn forged_and_expired_links_are_refused_in_words_and_change_nothing() {
    let mut site = for_people(Site::new().await);
    site.serve().await;
    site.posts("firing").await;
    let path = link(&site).await;
    let key = std::fs::read(site.quell.folder().join("quell.db.link-key")).unwrap();
    let expired = quell::decide::link::Link {
        act: quell::decide::link::Act::Ack(quell::model::incident::IncidentId(1)),
        operator: String::new(),
        channel: "slack".into(),
        message: 1,
        expires_at: quell::clock::Clock::System.now() - jiff::SignedDuration::from_secs(60),
    };
    let expired = format!("/act/{}", quell::decide::link::sign(&expired, &key));
    let other_incident = path.replacen("ayIsMSwi", "ayIsMiwi", 1);
    assert_ne!(other_incident, path, "the token begins with `[2,\"ack\",1,` in base64");

    for (path, expected) in [
        (format!("{path}x"), "This quell did not make this link"),
        (other_incident, "This quell did not make this link"),
        (expired, "This link is too old"),
    ] {
        for method in [Method::GET, Method::POST] {
            let (status, page) = open(&site, method.clone(), &path, "Mozilla/5.0").await;
            assert!((400..500).contains(&status), "{method} {path}: {status}");
            assert!(page.contains(expected), "{method} {path}: {page}");
        }
    }
    assert_eq!(site.incident(1).await["incident"]["status"], "open");
}

#[tokio::test]
async fn a_page_that_pagerduty_refuses_is_dead_in_sight_and_the_next_channel_is_told() {
    let mut site = for_people(Site::new().await);
    let refusal = r#"{"status":"invalid event","message":"Event object is invalid","errors":["no such key"]}"#;
    site.people.always(PAGER, Answer::status(400).body(refusal));
    site.config["severities"]["critical"]["notify"] = json!(["pager", "slack"]);
    site.serve().await;
    site.posts("firing").await;

    let instead = site.told(BOSS, "sent here because channel pager could not be reached").await;
    assert!(instead.contains("shop: HighErrorRate"), "{instead}");
    let listed = site.quell.cli(&["notifications", "--json"]).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed:#}");
    assert_eq!(listed[0]["channel"], "pager");
    let error = listed[0]["error"].as_str().unwrap();
    assert!(error.contains("PagerDuty answered 400") && error.contains("no such key"), "{error}");
    let said = site.quell.cli(&["notifications"]).await;
    assert!(said.out.contains("no such key"), "{said:?}");
    let metric = |series: &'static str| site.quell.metric(series);
    assert_eq!(metric(r#"quell_outbox{kind="dead"}"#).await, Some(1.0));
    let dead = r#"quell_notifications_total{channel="pager",result="dead"}"#;
    assert_eq!(metric(dead).await, Some(1.0));
    // what the shipped alert rule looks at
    assert_eq!(metric(r#"quell_notifications_dead_total{channel="pager"}"#).await, Some(1.0));
    assert!(!site.quell.log().contains("hush"), "{}", site.quell.log());
}

#[tokio::test]
async fn a_page_that_fails_is_sent_again() {
    let mut site = for_people(Site::new().await);
    site.people.next(PAGER, Answer::status(500));
    site.people.next(PAGER, Answer::status(429));
    site.serve().await;
    site.posts("firing").await;

    let requests = site.people.received(PAGER, 3).await;
    assert!(requests.iter().all(|it| it.body == requests[0].body), "{requests:?}");
    wait::until("it is sent", wait::PATIENCE, async || {
        let listed = site.quell.cli(&["notifications", "--state", "sent", "--json"]).await.json();
        let pages: Vec<&Value> =
            listed.as_array().unwrap().iter().filter(|it| it["channel"] == "pager").collect();
        if pages.len() == 1 { Ok(()) } else { Err(listed) }
    })
    .await;
    let retried = r#"quell_notifications_total{channel="pager",result="retry"}"#;
    assert_eq!(site.quell.metric(retried).await, Some(2.0));
    assert_eq!(site.quell.metric(r#"quell_outbox{kind="dead"}"#).await, Some(0.0));
}

#[tokio::test]
async fn an_incident_that_nobody_acknowledges_is_told_further_up_and_an_acknowledged_one_is_not() {
    let mut site = for_people(Site::new().await);
    site.config["severities"]["critical"]["ack_within"] = json!("2s");
    site.config["severities"]["critical"]["escalate_to"] = json!(["boss"]);
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    site.until_it_is("open").await;
    let said = site.quell.cli(&["ack", "i-1", "--by", "dana"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    site.told(SLACK, "acknowledged by dana").await;
    let other = delivery("firing", "stock", STARTED);
    site.quell.post("/api/v1/webhook/alertmanager", &other).await;

    // its time ends after that of the first
    let told = site.told(BOSS, "nobody has acknowledged it within").await;
    assert!(told.contains("stock: HighErrorRate"), "{told}");
    let messages = site.messages(BOSS);
    assert!(!messages.iter().any(|it| it.contains("shop: HighErrorRate")), "{messages:#?}");
}

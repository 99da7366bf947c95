//! G19: a credential that is refused stops what uses it, is told once, and says nothing of the target's health.

use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use crate::journeys::fixture::PAGER;
use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::decided;
use crate::journeys::fixture::delivery;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::recorder::Answer;
use crate::support::shop::Fault;
use crate::support::wait;

const API: &str = "targets.http.api";

/// Purges through an API that refuses its token; tried again up to twice, if trying again were of use.
const PURGE: &str = "
playbook: purge
steps:
  - name: purge
    http: { server: api, method: POST, url: /purge }
    retry: { times: 2, backoff: 10ms }
    timeout: 5s
";

/// A site whose only remedy calls an API that answers 401.
async fn site() -> Site {
    let mut site = Site::new().await;
    site.people.always("/purge", Answer::status(401).body("who are you"));
    site.quell.write("playbooks/purge.yml", PURGE);
    site.config["targets"]["http"]["api"] = json!({
        "url": site.people.url(""), "headers": { "authorization": "Bearer hush-purge-token" } });
    site.respond_with(&["purge"]);
    // nothing helps, so that a remedy is always wanted
    site.shop.inject(Fault::Unfixable);
    site
}

/// The incidents about quell itself of this alert.
async fn own(site: &Site, alertname: &str) -> Vec<Value> {
    let all = site.quell.get("/api/v1/incidents").await;
    let items = all["items"].as_array().unwrap().iter();
    items.filter(|it| it["labels"]["alertname"] == alertname).cloned().collect()
}

/// Waits until there is one such incident with this status; gives it back.
async fn until_own(site: &Site, alertname: &str, status: &str) -> Value {
    wait::until(&format!("{alertname} is {status}"), wait::PATIENCE, async || {
        let found = own(site, alertname).await;
        match &found[..] {
            [one] if one["status"] == status => Ok(one.clone()),
            _ => Err((found, site.quell.log())),
        }
    })
    .await
}

/// Given 401, when a step calls out, then no retry, that credential's playbooks stop, people are paged once; a person clears it.
#[tokio::test]
async fn g19_a_refused_credential_stops_its_playbooks_and_pages_once_until_a_person_clears_it() {
    let mut site = site().await;
    site.serve().await;
    site.posts("firing").await;
    site.until_run(1, "failed").await;
    assert_eq!(site.people.requests("/purge").len(), 1, "not tried again");

    let incident = until_own(&site, "QuellCredentialDenied", "open").await;
    assert_eq!(
        (&incident["severity"], &incident["labels"]["credential"]),
        (&json!("critical"), &json!(API))
    );
    let told = site.told(SLACK, "QuellCredentialDenied").await;
    assert!(told.contains(&format!("quell credential clear {API}")), "{told}");
    let pages = async || {
        let pages = site.people.requests(PAGER);
        pages.iter().filter(|it| it.json().to_string().contains("QuellCredentialDenied")).count()
    };
    wait::until("PagerDuty is told", wait::PATIENCE, async || match pages().await {
        0 => Err(()),
        _ => Ok(()),
    })
    .await;

    // another alert of the same playbook: held, with the reason, and nothing is called
    site.quell
        .post(
            "/api/v1/webhook/alertmanager",
            &delivery("firing", "mail", "2026-01-05T10:00:00.000Z"),
        )
        .await;
    let held = wait::until("the second episode is held", wait::PATIENCE, async || {
        for number in 2..=4 {
            let whole = site.incident(number).await;
            if whole["incident"]["labels"]["service"] == "mail" && decided(&whole).0 == "hold" {
                return Ok(whole);
            }
        }
        Err(site.quell.log())
    })
    .await;
    let (_, reason) = decided(&held);
    assert!(reason.starts_with("credential: ") && reason.contains(API), "{reason}");
    assert_eq!(runs(&held), ran(&[]));

    // it holds over a restart, and nobody is paged a second time
    site.quell.kill9();
    site.quell.serve().await;
    let listed = site.quell.get("/api/v1/credentials").await;
    assert_eq!((&listed["denied"], &listed["items"][0]["credential"]), (&json!(true), &json!(API)));
    assert_eq!(listed["items"][0]["run"], "r-1");
    until_own(&site, "QuellCredentialDenied", "open").await;
    assert_eq!(pages().await, 1);
    assert_eq!(site.people.requests("/purge").len(), 1);

    site.people.always("/purge", Answer::status(200));
    let shown = site.quell.cli(&["credential", "list"]).await;
    assert!(shown.out.contains(API) && shown.out.contains("refused"), "{shown:?}");
    let wrong =
        site.quell.cli(&["credential", "clear", "targets.http.nobody", "--by", "dana"]).await;
    assert!(
        wrong.err.contains("does not count as refused") && wrong.err.contains(API),
        "{wrong:?}"
    );
    let cleared = site.quell.cli(&["credential", "clear", API, "--by", "dana"]).await;
    assert!(cleared.out.contains("cleared by dana"), "{cleared:?}");
    site.people.received("/purge", 2).await;
    until_own(&site, "QuellCredentialDenied", "resolved").await;
    let database = std::fs::read(site.quell.folder().join("quell.db")).unwrap();
    let secret = b"hush-purge-token";
    assert!(!database.windows(secret.len()).any(|it| it == secret), "no value is stored");
    assert!(!site.quell.log().contains("hush-purge-token"));
}

/// It clears itself when quell.yml has another one; the same file loaded again changes nothing.
#[tokio::test]
async fn g19_a_credential_that_is_changed_clears_itself_on_reload() {
    let mut site = site().await;
    site.serve().await;
    site.posts("firing").await;
    until_own(&site, "QuellCredentialDenied", "open").await;
    let reloads = "quell_config_reloads_total{result=\"success\"}";
    let reloaded = async |count: f64| {
        wait::until("the files are loaded", wait::PATIENCE, async || {
            match site.quell.metric(reloads).await {
                Some(value) if value >= count => Ok(()),
                other => Err(other),
            }
        })
        .await;
    };
    site.quell.hang_up();
    reloaded(1.0).await;
    let listed = site.quell.get("/api/v1/credentials").await;
    assert_eq!(listed["denied"], true, "{listed}");

    let mut config = site.config.clone();
    config["targets"]["http"]["api"]["headers"]["authorization"] = json!("Bearer hush-new-token");
    site.quell.write("quell.yml", &config.to_string());
    site.quell.hang_up();
    until_own(&site, "QuellCredentialDenied", "resolved").await;
    let listed = site.quell.get("/api/v1/credentials").await;
    assert_eq!(listed["items"][0]["cleared_by"], "a change of quell.yml");
}

/// Given two runs that use it, when one is refused, then the other stops before its next step; over the API a person clears it.
#[tokio::test]
async fn g19_a_run_at_work_stops_before_its_next_step() {
    let mut site = site().await;
    let slow = "
playbook: slow-purge
steps:
  - name: first
    http: { server: api, method: POST, url: /first }
  - name: pause
    wait: 3s
  - name: second
    http: { server: api, method: POST, url: /second }
";
    site.quell.write("playbooks/slow-purge.yml", slow);
    let mut other = site.rule().clone();
    other["name"] = json!("mail-errors");
    other["match"] = json!(["alertname=\"HighErrorRate\"", "service=\"mail\""]);
    other["response"] = json!([{ "playbook": "slow-purge" }]);
    site.rule()["match"] = json!(["alertname=\"HighErrorRate\"", "service=\"shop\""]);
    site.rules["rules"].as_array_mut().unwrap().push(other);
    site.serve().await;
    site.quell
        .post(
            "/api/v1/webhook/alertmanager",
            &delivery("firing", "mail", "2026-01-05T10:00:00.000Z"),
        )
        .await;
    site.people.received("/first", 1).await;
    site.posts("firing").await;
    site.people.received("/purge", 1).await;
    let stopped = wait::until("the other run stopped", wait::PATIENCE, async || {
        let whole = site.quell.get("/api/v1/runs").await;
        let found =
            whole["items"].as_array().unwrap().iter().find(|it| it["playbook"] == "slow-purge");
        match found {
            Some(run) if run["state"] == "cancelled" => Ok(run.clone()),
            other => Err((other.cloned(), site.quell.log())),
        }
    })
    .await;
    assert!(stopped["outcome"].as_str().unwrap().contains(API), "{stopped}");
    assert_eq!(site.people.requests("/second").len(), 0);

    let clear = async |credential: &str, token: &str| {
        let request = site.quell.request(Method::POST, "/api/v1/credentials/clear");
        let request = request.bearer_auth(token).json(&json!({ "credential": credential }));
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    let (status, _) = clear(API, "nobody-0123456789").await;
    assert_eq!(status, 401);
    let (status, text) = clear("targets.http.shop", "hush-kim-0123456789").await;
    assert!(status == 409 && text.contains(&format!("refused now: {API}")), "{status} {text}");
    let (status, text) = clear(API, "hush-kim-0123456789").await;
    assert!(status == 200 && text.contains("\"cleared_by\":\"kim\""), "{status} {text}");
}

//! People's hands: two who approve, links that are prefetched and replayed, who asked for it, a take-over between two
//! steps, a silence between two steps, and glass that is broken.

use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::decided;
use crate::journeys::fixture::delivery;
use crate::support::shop::Fault;
use crate::support::wait;

const DANA: &str = "hush-dana-0123456789";
const KIM: &str = "hush-kim-0123456789";

/// Notes when it does something, with time between, so that a person can come between.
const SLOW: &str = r#"
playbook: slow
parameters: { service: { type: string, pattern: "[a-z]+", required: true } }
steps:
  - { name: first, command: { argv: [/bin/sh, note.sh, first, "{{ service }}"] } }
  - { name: breathe, wait: 3s }
  - { name: second, command: { argv: [/bin/sh, note.sh, second, "{{ service }}"] } }
"#;

fn slow(mut site: Site) -> Site {
    site.quell.write("playbooks/slow.yml", SLOW);
    let with = json!({ "service": "{{ labels.service }}" });
    site.rule()["response"] = json!([{ "playbook": "slow", "with": with }]);
    site.shop.inject(Fault::Unfixable);
    site
}

/// Paths of links in messages of Slack, the newest message last.
fn links(site: &Site) -> Vec<String> {
    let messages = site.messages(SLACK).join("\n");
    let url = site.quell.url("");
    let lines = messages.lines().filter_map(|line| line.strip_prefix(&url));
    lines.filter(|path| path.starts_with("/act/")).map(str::to_owned).collect()
}

/// Paths of links that decide on a plan.
async fn to_decide(site: &Site) -> Vec<String> {
    let mut found = Vec::new();
    for path in links(site) {
        let request = site.quell.request(Method::GET, &path).header("accept", "application/json");
        let shown: Value = request.send().await.unwrap().json().await.unwrap();
        if shown["act"] == "decide" {
            found.push(path);
        }
    }
    found
}

async fn decide(site: &Site, path: &str, form: &[(&str, &str)]) -> (u16, String) {
    let reply = site.quell.request(Method::POST, path).form(form).send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

/// Given a plan that two people must approve, when one has, by whatever way and however often, then nothing runs; when the
/// other has, then it runs.
#[tokio::test]
async fn g11_two_people_approve_by_links_that_are_prefetched_and_replayed() {
    let mut site = Site::new().await;
    site.config["mode"] = json!("approve");
    site.rule()["response"] = json!([{ "playbook": "flush-cache", "approvals": 2 }]);
    site.serve().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    site.until_run(1, "awaiting approval").await;
    site.told(SLACK, "needs 2 people of tier").await;
    let path = to_decide(&site).await.pop().unwrap();
    for agent in ["Slackbot-LinkExpanding 1.0", "Mozilla/5.0 (compatible; MailScanner)"] {
        for method in [Method::GET, Method::HEAD] {
            let looked = site.quell.request(method, &path).header("user-agent", agent);
            assert_eq!(looked.send().await.unwrap().status(), 200);
        }
    }
    let yes = |token| [("say", "approve"), ("token", token)];
    let (status, page) = decide(&site, &path, &yes(DANA)).await;
    assert!(status == 200 && page.contains("approved by dana; needs one more person"), "{page}");
    let (status, page) = decide(&site, &path, &yes(KIM)).await;
    assert!(status == 409 && page.contains("This link was used by dana"), "{page}");
    let again =
        site.quell.cli(&["approve", "r-1", "--by", "dana", "--digest", &digest(&site).await]).await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("dana has approved already; it needs one more person"), "{again:?}");
    site.told(SLACK, "approved by dana; needs one more person").await;
    let links = wait::until("a new link", wait::PATIENCE, async || {
        let found = to_decide(&site).await;
        if found.len() > 1 { Ok(found) } else { Err(found) }
    })
    .await;
    assert_ne!(links[1], path, "each message has a link of its own");
    let (status, page) = decide(&site, &links[1], &yes(DANA)).await;
    assert!(status == 409 && page.contains("Dana has approved already"), "{page}");
    site.until_run(1, "awaiting approval").await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 0, "one person is not two");
    let (status, page) = decide(&site, &links[1], &yes(KIM)).await;
    assert_eq!(status, 200, "{page}");
    site.until_run(1, "fixed").await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 1);
}

async fn digest(site: &Site) -> String {
    let whole = site.until_run(1, "awaiting approval").await;
    whole["run"]["digest"].as_str().unwrap().to_owned()
}

/// Given an alert that an operator posted, when that operator approves what it leads to, then it does not count.
#[tokio::test]
async fn g11_who_asks_for_it_does_not_approve_it() {
    let mut site = Site::new().await;
    site.config["mode"] = json!("approve");
    site.serve().await;
    site.shop.poison_cache().await;
    let url = site.quell.url("");
    let labels = ["alertname=HighErrorRate", "service=shop", "severity=critical"];
    let mut args = vec!["send", "--by", "dana", "--server", &url];
    args.extend(labels.iter().flat_map(|label| ["--label", label]));
    let sent = site.quell.cli(&args).await;
    assert_eq!(sent.code, 0, "{sent:?}");
    let digest = digest(&site).await;
    site.told(SLACK, "(not dana, who asked for it)").await;
    let no = site.quell.cli(&["approve", "r-1", "--by", "dana", "--digest", &digest]).await;
    assert_eq!(no.code, 1, "{no:?}");
    assert!(no.err.contains("dana asked for r-1"), "{no:?}");
    let yes = site.quell.cli(&["approve", "r-1", "--by", "kim", "--digest", &digest]).await;
    assert_eq!(yes.code, 0, "{yes:?}");
    site.until_run(1, "fixed").await;
}

/// Given a run between two steps, when a person takes its incident over, then it stops there, nothing new begins for it, and
/// what is at work for another incident goes on.
#[tokio::test]
async fn g15_a_take_over_between_two_steps_stops_one_incident_and_no_other() {
    let mut site = slow(Site::new().await);
    site.serve().await;
    site.posts("firing").await;
    site.until("the first step is done", |_| site.notes() == ["first shop"]).await;
    let other = delivery("firing", "web", crate::journeys::fixture::STARTED);
    site.quell.post("/api/v1/webhook/alertmanager", &other).await;
    let taken = site.quell.cli(&["take", "i-1", "--by", "dana"]).await;
    assert_eq!(taken.code, 0, "{taken:?}");
    let whole = site.until_run(1, "cancelled").await;
    let outcome = whole["run"]["outcome"].as_str().unwrap();
    assert!(outcome.ends_with("taken over by dana; done and not undone: first"), "{outcome}");
    site.told(SLACK, "taken over by dana").await;
    wait::until("the other goes on", wait::PATIENCE, async || {
        let notes = site.notes();
        let done = notes.iter().any(|it| it == "second web");
        if done { Ok(()) } else { Err(notes) }
    })
    .await;
    let mut notes = site.notes();
    notes.sort();
    assert_eq!(notes, ["first shop", "first web", "second web"]);
    let back = site.quell.cli(&["give-back", "i-1", "--by", "dana"]).await;
    assert_eq!(back.code, 0, "{back:?}");
    site.told(SLACK, "given back by dana: quell judges it again").await;
}

/// An incident of which nothing has begun, since everything is paused.
async fn held(site: &mut Site) {
    site.serve().await;
    site.quell.cli(&["pause"]).await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    site.until("it is held", |it| decided(it).0 == "hold").await;
}

/// Given an incident that a person took over before anything began, when it is judged, then automation leaves it to them.
#[tokio::test]
async fn g15_what_was_taken_over_is_left_until_it_is_given_back() {
    let mut site = Site::new().await;
    held(&mut site).await;
    site.quell.cli(&["take", "i-1", "--by", "dana"]).await;
    site.quell.cli(&["resume"]).await;
    let whole = site.until("it is refused", |it| decided(it).1.starts_with("people: ")).await;
    assert!(decided(&whole).1.contains("dana took the incident over"), "{whole:#}");
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
    site.quell.cli(&["give-back", "i-1", "--by", "dana"]).await;
    site.until_run(1, "fixed").await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 1);
}

/// Given a run between two steps, when a person silences its alert, then it stops there.
#[tokio::test]
async fn g15_a_silence_between_two_steps_stops_the_run() {
    let mut site = slow(Site::new().await).with_alertmanager().await;
    let labels = json!({ "alertname": "HighErrorRate", "service": "shop", "severity": "critical" });
    site.alertmanager().post(&json!([{ "labels": labels }])).await;
    site.serve().await;
    site.posts("firing").await;
    site.until("the first step is done", |_| site.notes() == ["first shop"]).await;
    site.alertmanager().silence(&[("service", "shop")]).await;
    let whole = site.until_run(1, "cancelled").await;
    let outcome = whole["run"]["outcome"].as_str().unwrap();
    assert!(outcome.contains("silence: silenced in Alertmanager"), "{outcome}");
    assert_eq!(site.notes(), ["first shop"]);
}

/// Given an acknowledgement, when a remedy in mode auto is due, then it is only proposed.
#[tokio::test]
async fn g15_an_acknowledgement_makes_what_follows_a_proposal() {
    let mut site = Site::new().await;
    held(&mut site).await;
    site.quell.cli(&["ack", "i-1", "--by", "kim"]).await;
    site.quell.cli(&["resume"]).await;
    let digest = digest(&site).await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
    let yes = site.quell.cli(&["approve", "r-1", "--by", "kim", "--digest", &digest]).await;
    assert_eq!(yes.code, 0, "{yes:?}");
    site.until_run(1, "fixed").await;
}

/// Given a plan that waits for approval, when an operator of tier 4 breaks the glass, then it begins, whoever is paged is
/// paged, and told again when it is over.
#[tokio::test]
async fn g11_broken_glass_begins_what_waits_pages_people_and_ends() {
    let mut site = Site::new().await;
    site.config["mode"] = json!("approve");
    site.config["operators"][0]["tier"] = json!(4);
    site.serve().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    site.until_run(1, "awaiting approval").await;
    let smash = |by: &'static str, reason: &'static str| {
        ["break-glass", "--rule", "shop-errors", "--for", "50m", "--by", by, "--reason", reason]
    };
    let no = site.quell.cli(&smash("kim", "outage")).await;
    assert_eq!(no.code, 1, "{no:?}");
    assert!(no.err.contains("needs an operator of tier 4, and kim has tier 1"), "{no:?}");
    let no = site.quell.cli(&smash("dana", "")).await;
    assert_eq!(no.code, 1, "{no:?}");
    let yes = site.quell.cli(&smash("dana", "outage")).await;
    assert_eq!(yes.code, 0, "{yes:?}");
    let whole = site.until_run(1, "fixed").await;
    assert!(whole["journal"].to_string().contains("\"lifted\""), "{whole:#}");
    wait::until("it is paged", wait::PATIENCE, async || {
        let pages = site.pages();
        let told =
            |it: &&Value| it.to_string().contains("dana broke the glass for rule:shop-errors");
        if pages.iter().any(|it| told(&it)) { Ok(()) } else { Err(pages) }
    })
    .await;
    let ended = site.quell.cli(&["break-glass", "--revoke", "1", "--by", "kim"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    wait::until("its end is told", wait::PATIENCE, async || {
        let resolved =
            site.pages().into_iter().filter(|it| it["event_action"] == "resolve").count();
        if resolved > 0 { Ok(()) } else { Err(site.pages()) }
    })
    .await;
    let listed = site.quell.cli(&["break-glass"]).await;
    assert!(
        listed.out.contains("1: break-glass for rule:shop-errors by dana: outage; ended by kim"),
        "{listed:?}"
    );
}

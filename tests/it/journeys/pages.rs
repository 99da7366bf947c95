//! A page that is held while a remedy is tried: nobody is woken for what is fixed in time, and somebody for all else.

use serde_json::Value;
use serde_json::json;

use crate::journeys::fixture::BOSS;
use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::shop::Fault;

/// A site whose pager is held for this long, and whose remedies are these.
async fn held_for(time: &str, remedies: &[&str]) -> Site {
    let mut site = Site::new().await.with_mail().await;
    site.respond_with(remedies);
    site.rule()["page"] = json!({ "unless_fixed_within": time });
    site
}

/// The headlines of what a channel was told, in order.
fn headlines<'a>(whole: &'a Value, channel: &str) -> Vec<&'a str> {
    let all = whole["notifications"].as_array().into_iter().flatten();
    all.filter(|it| it["channel"] == channel)
        .filter_map(|it| it["notice"]["headline"].as_str())
        .collect()
}

/// Waits for the page, and gives back its details.
async fn details_of_page(site: &Site) -> String {
    let whole = site.until("the page is owed", |whole| !headlines(whole, "pager").is_empty()).await;
    site.paged("trigger").await;
    let all = whole["notifications"].as_array().unwrap();
    let page = all.iter().find(|it| it["channel"] == "pager").unwrap();
    format!("{}: {}", page["notice"]["headline"], page["notice"]["details"])
}

#[tokio::test]
async fn nobody_is_paged_for_what_is_fixed_in_time_and_the_others_are_told() {
    let mut site = held_for("1m", &["flush-cache", "restart"]).await;
    // mail pages too here: by its own word, not by its kind
    site.config["channels"]["boss"]["slack"]["pages"] = json!(true);
    site.config["severities"]["critical"]["notify"] = json!(["slack", "pager", "mail", "boss"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.posts("firing").await;
    let whole = site.until("the second remedy helped", |whole| {
        runs(whole) == ran(&[("flush-cache", "failed"), ("restart", "fixed")])
    });
    let whole = whole.await;
    assert_ne!(whole["incident"]["held_until"], Value::Null, "{whole:#}");
    let said = site.quell.cli(&["incidents", "i-1"]).await;
    assert!(said.out.contains("page       held until"), "{said:?}");
    site.posts("resolved").await;
    let whole = site.until_it_is("resolved").await;
    site.told(SLACK, "resolved after").await;
    let mails = site.mail().received(4).await;
    assert!(mails.iter().any(|mail| mail.data.contains("is firing")), "{mails:?}");
    for held in ["pager", "boss"] {
        assert_eq!(headlines(&whole, held), Vec::<&str>::new());
    }
    assert!(headlines(&whole, "slack").len() >= 4, "{whole:#}");
    assert_eq!((site.pages().len(), site.messages(BOSS).len()), (0, 0));
}

#[tokio::test]
async fn the_page_is_sent_when_the_time_is_over_and_the_alert_is_not_fixed() {
    let mut site = held_for("2s", &["restart"]).await;
    site.rule()["verify"]["within"] = json!("1m");
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let page = details_of_page(&site).await;
    assert!(page.contains("not fixed within 2s"), "{page}");
    assert!(page.contains("the page was held for 2s while restart was tried"), "{page}");
    let whole = site.incident(1).await;
    assert_eq!(runs(&whole), ran(&[("restart", "verifying")]), "the remedy goes on");
    site.told(SLACK, "the page was held for").await;
}

#[tokio::test]
async fn the_page_does_not_wait_when_the_remedy_is_seen_not_to_help() {
    let mut site = held_for("1h", &["restart"]).await;
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let page = details_of_page(&site).await;
    assert!(page.contains("the only remedy did not help"), "{page}");
    assert!(page.contains("while restart was tried"), "{page}");
}

#[tokio::test]
async fn the_page_does_not_wait_for_what_cannot_begin() {
    let approve = async |site: &mut Site| site.rule()["mode"] = json!("approve");
    let observe = async |site: &mut Site| site.config["mode"] = json!("observe");
    let pause = async |site: &mut Site| site.quell.write("quell.pause", "");
    let wait = async |site: &mut Site| site.rule()["limits"] = json!({ "settle": "50y" });
    let mut cases = 0;
    for expected in ["needs one person of tier", "mode observe", "paused by", "firing for"] {
        let mut site = held_for("1h", &["restart"]).await;
        match expected {
            "needs one person of tier" => approve(&mut site).await,
            "mode observe" => observe(&mut site).await,
            "paused by" => pause(&mut site).await,
            _ => wait(&mut site).await,
        }
        site.serve().await;
        site.shop.inject(Fault::Unfixable);
        site.posts("firing").await;
        let page = details_of_page(&site).await;
        assert!(page.contains(expected), "{page}");
        cases += 1;
    }
    assert_eq!(cases, 4);
}

#[tokio::test]
async fn a_page_whose_time_ends_while_quell_is_dead_is_sent_by_the_next_start() {
    let mut site = held_for("3s", &["restart"]).await;
    site.rule()["verify"]["within"] = json!("1m");
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.shop.gate().shut();
    site.posts("firing").await;
    site.shop.affected(1).await;
    site.quell.kill9();
    assert_eq!(site.pages().len(), 0);
    // what the remedy would have fixed is fixed meanwhile, so that only the clock speaks for the page
    site.shop.gate().open();
    let over = quell::clock::Clock::System.now() + jiff::SignedDuration::from_secs(4);
    crate::support::wait::until("the time is over", crate::support::wait::PATIENCE, async || {
        let now = quell::clock::Clock::System.now();
        if now > over { Ok(()) } else { Err(now) }
    })
    .await;
    site.quell.serve().await;
    let page = details_of_page(&site).await;
    assert!(page.contains("not fixed within 3s"), "{page}");
}

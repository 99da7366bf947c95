//! From an error rate in the shop to a resolved incident: Prometheus, Alertmanager, quell, people.

use crate::journeys::fixture::PAGER;
use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::body;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::shop::Fault;
use crate::support::smtp::Mail;

/// A header of a mail; empty when there is none.
fn header<'a>(mail: &'a Mail, name: &str) -> &'a str {
    let (head, _) =
        mail.data.split_once("\r\n\r\n").or_else(|| mail.data.split_once("\n\n")).unwrap();
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or("")
}

#[tokio::test]
async fn a_fault_is_mended_and_everybody_is_told_once_in_one_thread() {
    let site = Site::new().await.with_mail().await.with_alertmanager().await;
    let mut site = site.with_prometheus().await;
    site.serve().await;
    site.shop.poison_cache().await;

    let whole = site.until_it_is("resolved").await;
    assert_eq!(runs(&whole), ran(&[("flush-cache", "fixed")]), "{whole:#}");
    assert_eq!(site.redis.executed("FLUSHDB").await, 1);
    assert_eq!(site.shop.fault(), Fault::None);
    assert_eq!(whole["episodes"].as_array().unwrap().len(), 1);

    site.paged("resolve").await;
    let pages = site.pages();
    let actions: Vec<_> = pages.iter().map(|it| it["event_action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    assert_eq!(pages[0]["dedup_key"], pages[1]["dedup_key"]);
    assert!(site.people.requests(PAGER).iter().all(|it| it.method == "POST"));

    let mails = site.mail().received(3).await;
    let subjects: Vec<_> = mails.iter().map(|it| header(it, "Subject")).collect();
    assert_eq!(
        subjects,
        [
            "[quell] shop: HighErrorRate, critical: open",
            "[quell] shop: HighErrorRate, critical: update",
            "[quell] shop: HighErrorRate, critical: resolved",
        ]
    );
    let root = header(&mails[0], "Message-ID");
    assert!(root.starts_with('<') && root.ends_with('>'), "{root}");
    assert_eq!(header(&mails[0], "References"), "");
    for mail in &mails {
        assert_eq!(header(mail, "Auto-Submitted"), "auto-generated");
        assert_eq!(mail.to, ["oncall@example.com"]);
    }
    for mail in &mails[1..] {
        assert_eq!((header(mail, "In-Reply-To"), header(mail, "References")), (root, root));
    }
    let last = body(&mails[2].data);
    assert!(last.contains("flush-cache helped"), "{last}");

    let opened = site.told(SLACK, "open").await;
    assert!(opened.contains("of requests &lt;fail&gt; &amp; more"), "{opened}");
    assert!(!opened.contains("<fail>"), "{opened}");
    site.told(SLACK, "resolved after").await;
    let audit = site.quell.cli(&["audit", "verify"]).await;
    assert_eq!(audit.code, 0, "{audit:?}");
}

#[tokio::test]
async fn the_second_remedy_follows_when_the_first_does_not_help() {
    let mut site = Site::new().await.with_alertmanager().await.with_prometheus().await;
    site.respond_with(&["flush-cache", "restart"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);

    let whole = site.until_it_is("resolved").await;
    assert_eq!(runs(&whole), ran(&[("flush-cache", "failed"), ("restart", "fixed")]), "{whole:#}");
    assert_eq!(site.redis.executed("FLUSHDB").await, 1);
    assert_eq!(site.shop.effects().len(), 1);
    assert_eq!(whole["incident"]["escalated"], false);
    let end = site.told(SLACK, "resolved after").await;
    assert!(end.contains("restart helped"), "{end}");
    assert!(end.contains("flush-cache on process/shop: did not help"), "{end}");
}

#[tokio::test]
async fn when_nothing_helps_steps_are_undone_and_people_read_everything_that_was_tried() {
    let mut site = Site::new().await.with_mail().await.with_alertmanager().await;
    site.respond_with(&["flush-cache", "degrade"]);
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    let labels = serde_json::json!({ "alertname": "HighErrorRate", "service": "shop", "severity": "critical" });
    site.alertmanager().post(&serde_json::json!([{ "labels": labels }])).await;

    let whole = site.until("people are needed", |it| it["incident"]["escalated"] == true).await;
    assert_eq!(runs(&whole), ran(&[("flush-cache", "failed"), ("degrade", "failed")]), "{whole:#}");
    assert_eq!(whole["incident"]["status"], "open");
    let undone = ["recommendations off", "reviews off", "reviews on", "recommendations on"];
    assert_eq!(site.notes(), undone);

    let said = site.told(SLACK, "none of 2 remedies helped: a person must take over").await;
    let page = site.people.received(PAGER, 2).await[1].json();
    assert_eq!(page["event_action"], "trigger");
    let page = page["payload"].to_string();
    let mails = site.mail().received(4).await;
    let mail = body(&mails[3].data);
    for text in [&said, &page, &mail] {
        assert!(text.contains("flush-cache on process/shop: did not help: 0.5"), "{text}");
        assert!(text.contains("degrade on process/shop: did not help: 0.5"), "{text}");
        assert!(text.contains("undone"), "{text}");
    }
}

//! The outbox: in order per incident, channel and recipient; delivered, or visibly dead with another owed instead.

use quell::store::outbox::Notification;

use super::*;

on_each_engine!(
    a_later_notice_waits_for_the_one_before_it,
    other_incidents_channels_and_recipients_do_not_wait,
    a_retry_keeps_its_place,
    a_dead_one_is_visible_and_another_is_owed_instead,
    a_stale_sender_changes_nothing,
    a_notice_is_stored_as_it_was_owed,
    counts_and_lists_tell_what_became_of_them,
    g18_a_notice_falls_back_once_for_all_recipients_of_a_channel,
    g18_the_same_notice_is_owed_to_a_recipient_once,
    g18_a_page_that_is_late_is_found_until_another_channel_was_told,
    g18_what_somebody_has_is_not_late,
    g18_a_channel_is_in_trouble_until_a_delivery_succeeds,
);

const ONE: IncidentId = IncidentId(1);

async fn claim(store: &Store) -> Option<Notification> {
    store.claim_notification(LEASE).await.unwrap()
}

async fn claim_headline(store: &Store) -> Option<String> {
    claim(store).await.map(|it| it.notice.headline)
}

async fn a_later_notice_waits_for_the_one_before_it(db: Database) {
    let store = db.store().await;
    store.tell(vec![owed(ONE, "slack", "first"), owed(ONE, "slack", "second")]).await.unwrap();
    let first = claim(&store).await.unwrap();
    assert_eq!(first.notice.headline, "first");
    assert!(claim(&store).await.is_none(), "the first is on its way");
    store.notification_sent(&first).await.unwrap();
    assert_eq!(claim_headline(&store).await.as_deref(), Some("second"));
    assert!(claim(&store).await.is_none());
}

async fn other_incidents_channels_and_recipients_do_not_wait(db: Database) {
    let store = db.store().await;
    let mail =
        |recipient: &str| Owed { recipient: recipient.into(), ..owed(ONE, "mail", recipient) };
    let all =
        vec![owed(ONE, "slack", "a"), owed(IncidentId(2), "slack", "b"), mail("ada"), mail("bob")];
    store.tell(all).await.unwrap();
    let mut found = Vec::new();
    while let Some(headline) = claim_headline(&store).await {
        found.push(headline);
    }
    assert_eq!(found, ["a", "b", "ada", "bob"]);
}

async fn a_retry_keeps_its_place(db: Database) {
    let store = db.store().await;
    store.tell(vec![owed(ONE, "slack", "first"), owed(ONE, "slack", "second")]).await.unwrap();
    let first = claim(&store).await.unwrap();
    store.notification_retry(&first, "503", at(10)).await.unwrap();
    assert!(claim(&store).await.is_none(), "the second does not overtake");
    db.advance(10);
    let again = claim(&store).await.unwrap();
    assert_eq!((again.id, again.tries, again.error.as_str()), (first.id, 2, "503"));
    store.notification_sent(&again).await.unwrap();
    assert_eq!(claim_headline(&store).await.as_deref(), Some("second"));
}

async fn a_dead_one_is_visible_and_another_is_owed_instead(db: Database) {
    let store = db.store().await;
    store.tell(vec![owed(ONE, "slack", "first"), owed(ONE, "slack", "second")]).await.unwrap();
    let first = claim(&store).await.unwrap();
    db.advance(3);
    let instead = vec![owed(ONE, "mail", "first, by mail")];
    store.notification_dead(&first, "404 a\0b", instead).await.unwrap();
    let dead = store.notifications("dead", 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].error.as_str(), dead[0].ended_at), ("404 a\u{fffd}b", Some(at(3))));
    assert_eq!(claim_headline(&store).await.as_deref(), Some("second"));
    assert_eq!(claim_headline(&store).await.as_deref(), Some("first, by mail"));
    let mut told = store.channels_told(ONE).await.unwrap();
    told.sort();
    assert_eq!(told, ["mail", "slack"]);
}

async fn a_stale_sender_changes_nothing(db: Database) {
    let store = db.store().await;
    store.tell(vec![owed(ONE, "slack", "first")]).await.unwrap();
    let stale = claim(&store).await.unwrap();
    db.advance(30);
    let fresh = claim(&store).await.unwrap();
    assert_eq!((fresh.id, fresh.tries), (stale.id, 2));
    store.notification_retry(&stale, "late", at(0)).await.unwrap();
    store.notification_dead(&stale, "late", vec![owed(ONE, "mail", "instead")]).await.unwrap();
    store.notification_sent(&stale).await.unwrap();
    let all = store.notifications_of(ONE).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].state.as_str(), all[0].error.as_str()), ("pending", ""));
    store.notification_sent(&fresh).await.unwrap();
    store.notification_dead(&fresh, "no", Vec::new()).await.unwrap();
    assert_eq!(store.notifications_of(ONE).await.unwrap()[0].state, "sent");
}

async fn a_notice_is_stored_as_it_was_owed(db: Database) {
    let store = db.store().await;
    let mut owed = owed(ONE, "slack", "it's \"broken\" 🔥 a\0b");
    owed.notice.kind = NoticeKind::NeedsYou;
    owed.notice.details = vec!["<script>".into(), "zwei\nZeilen".into()];
    owed.notice.tried = vec!["restart: failed".into()];
    owed.notice.labels = labels("A");
    store.tell(vec![owed.clone()]).await.unwrap();
    let stored = claim(&store).await.unwrap();
    assert_eq!(stored.notice, owed.notice);
    assert_eq!((stored.created_at, stored.ended_at, stored.tries), (at(0), None, 1));
}

async fn counts_and_lists_tell_what_became_of_them(db: Database) {
    let store = db.store().await;
    store.tell(Vec::new()).await.unwrap();
    let all = (1..=3).map(|incident| owed(IncidentId(incident), "slack", "x"));
    store.tell(all.collect()).await.unwrap();
    let (first, second) = (claim(&store).await.unwrap(), claim(&store).await.unwrap());
    store.notification_sent(&first).await.unwrap();
    store.notification_dead(&second, "404", Vec::new()).await.unwrap();
    let mut counts = store.notification_counts().await.unwrap();
    counts.sort();
    let expected = [("dead", 1), ("pending", 1), ("sent", 1)];
    assert_eq!(counts, expected.map(|(state, count)| (state.to_owned(), count)));
    assert_eq!(store.notifications("pending", 10).await.unwrap()[0].id, 3);
}

fn page(incident: IncidentId, channel: &str, recipient: &str) -> Owed {
    let mut owed = owed(incident, channel, "help");
    (owed.recipient, owed.notice.kind) = (recipient.into(), NoticeKind::NeedsYou);
    owed
}

async fn g18_a_notice_falls_back_once_for_all_recipients_of_a_channel(db: Database) {
    let store = db.store().await;
    store.tell(vec![page(ONE, "mail", "ada"), page(ONE, "mail", "bob")]).await.unwrap();
    let (ada, bob) = (claim(&store).await.unwrap(), claim(&store).await.unwrap());
    assert_eq!((ada.origin, bob.origin), (ada.id, ada.id), "one notice");
    store.notification_dead(&ada, "550", vec![page(ONE, "slack", "")]).await.unwrap();
    store.notification_dead(&bob, "550", vec![page(ONE, "hook", "")]).await.unwrap();
    let mut told = store.channels_of_notice(ada.origin).await.unwrap();
    told.sort();
    assert_eq!(told, ["mail", "slack"], "a second recipient needs no third channel");
    // what stands in may fail as well
    let slack = claim(&store).await.unwrap();
    assert_eq!((slack.channel.as_str(), slack.origin), ("slack", ada.origin));
    store.notification_dead(&slack, "404", vec![page(ONE, "hook", "")]).await.unwrap();
    assert_eq!(claim(&store).await.unwrap().channel, "hook");
}

async fn g18_the_same_notice_is_owed_to_a_recipient_once(db: Database) {
    let store = db.store().await;
    store.tell(vec![page(ONE, "slack", ""), page(ONE, "pager", "")]).await.unwrap();
    let (slack, pager) = (claim(&store).await.unwrap(), claim(&store).await.unwrap());
    // two channels fail at the same time, and both choose the same third
    store.notification_dead(&slack, "404", vec![page(ONE, "mail", "ada")]).await.unwrap();
    store.notification_dead(&pager, "404", vec![page(ONE, "mail", "ada")]).await.unwrap();
    assert_eq!(claim(&store).await.unwrap().channel, "mail");
    assert!(claim(&store).await.is_none());
}

async fn g18_a_page_that_is_late_is_found_until_another_channel_was_told(db: Database) {
    let store = db.store().await;
    store.tell(vec![page(ONE, "pager", ""), owed(ONE, "pager", "progress")]).await.unwrap();
    let late = async |before| store.late_notifications("pager", at(before)).await.unwrap();
    assert_eq!(late(-1).await.len(), 0, "a second too early");
    let [page_of] = &late(0).await[..] else { panic!("progress need not arrive") };
    assert_eq!(store.late_notifications("slack", at(0)).await.unwrap().len(), 0);
    assert!(store.notification_late(page_of, vec![page(ONE, "slack", "")]).await.unwrap());
    assert!(!store.notification_late(page_of, vec![page(ONE, "hook", "")]).await.unwrap(), "once");
    assert_eq!(late(0).await.len(), 0);
    // tries on the first go on; given up, it does not fall back a second time
    let first = claim(&store).await.unwrap();
    assert_eq!(first.channel, "pager");
    store.notification_dead(&first, "late", vec![page(ONE, "mail", "")]).await.unwrap();
    let mut told = store.channels_of_notice(first.origin).await.unwrap();
    told.sort();
    assert_eq!(told, ["pager", "slack"]);
}

async fn g18_a_channel_is_in_trouble_until_a_delivery_succeeds(db: Database) {
    let store = db.store().await;
    store.tell(vec![page(ONE, "mail", "ada"), page(ONE, "mail", "bob")]).await.unwrap();
    let (ada, bob) = (claim(&store).await.unwrap(), claim(&store).await.unwrap());
    store.notification_retry(&ada, "503 a\0b", at(1)).await.unwrap();
    store.notification_sent(&bob).await.unwrap();
    let seen = async || {
        let troubles = store.channel_troubles().await.unwrap();
        let parts = troubles.into_iter().map(|it| (it.recipient, it.reason, it.since, it.gave_up));
        parts.collect::<Vec<_>>()
    };
    assert_eq!(seen().await, [("ada".into(), "503 a\u{fffd}b".into(), at(0), false)]);
    db.advance(2);
    let again = claim(&store).await.unwrap();
    store.notification_dead(&again, "550", Vec::new()).await.unwrap();
    assert_eq!(
        seen().await,
        [("ada".to_owned(), "550".to_owned(), at(0), true)],
        "since the first"
    );
    store.tell(vec![page(IncidentId(2), "mail", "ada")]).await.unwrap();
    let next = claim(&store).await.unwrap();
    store.notification_retry(&next, "503", at(9)).await.unwrap();
    assert!(seen().await[0].3, "a later try does not hide what was given up");
    db.advance(9);
    let next = claim(&store).await.unwrap();
    store.notification_sent(&next).await.unwrap();
    assert_eq!(seen().await, []);
}

async fn g18_what_somebody_has_is_not_late(db: Database) {
    let store = db.store().await;
    let (incident, _) = open_incident(&store, "A").await;
    let mut opened = page(incident.id, "pager", "");
    opened.notice.kind = NoticeKind::Opened;
    store.tell(vec![opened]).await.unwrap();
    let late = async || store.late_notifications("pager", at(0)).await.unwrap().len();
    assert_eq!(late().await, 1);
    store.acknowledge(incident.id, "dana", None, |_| Vec::new()).await.unwrap();
    assert_eq!(late().await, 0, "dana has it");
    store.tell(vec![page(incident.id, "pager", "")]).await.unwrap();
    assert_eq!(late().await, 1, "what needs a person must arrive all the same");
}

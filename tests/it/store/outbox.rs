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

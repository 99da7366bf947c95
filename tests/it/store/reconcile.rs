//! What is kept to find alerts that no webhook told, and what is done regularly.

use quell::decide::reconcile::Delivered;
use quell::model::listed::Evidence;
use quell::store::alerts::Intake;

use super::*;

on_each_engine!(
    what_was_found_is_stored_with_how_it_was_found,
    what_changed_since_it_was_found_is_left_alone,
    receivers_are_learned_from_webhooks_and_not_from_what_people_send,
    open_episodes_are_known_with_what_is_missing_and_what_was_sent_by_hand,
    a_duty_is_done_by_one_of_two_and_not_before_its_time,
);

fn evidence(words: &str, latest: Option<(EpisodeId, bool)>, asked: i64) -> Evidence {
    Evidence { words: words.into(), latest, asked_at: at(asked) }
}

async fn accept_found(store: &Store, alert: Alert, evidence: Evidence) -> Accepted {
    let (intake, writer) = Intake::new(store.clone(), 10_000, || {});
    let delivery = Delivery { receiver: String::new(), ..delivery(vec![alert]) };
    let (answer, ()) =
        tokio::join!(async move { intake.accept_found(delivery, vec![evidence]).await }, writer);
    answer.unwrap()
}

async fn words(store: &Store, episode: EpisodeId) -> Vec<(Timestamp, String)> {
    store.found(episode).await.unwrap().into_iter().map(|it| (it.at, it.words)).collect()
}

async fn what_was_found_is_stored_with_how_it_was_found(db: Database) {
    let store = db.store().await;
    let found = evidence("found by reconciliation", None, 0);
    assert_eq!(accept_found(&store, firing("A", -100), found.clone()).await.opened, 1);
    let episode = store.latest_episode(&labels("A").fingerprint()).await.unwrap().unwrap();
    assert_eq!((episode.source.as_str(), episode.starts_at), ("am", at(-100)));
    assert_eq!(words(&store, episode.id).await, [(at(0), "found by reconciliation".to_owned())]);
    // nothing new: it is open
    assert_eq!(accept_found(&store, firing("A", -100), found).await.unchanged, 1);
    db.advance(10);
    let over = evidence("found over", Some((episode.id, true)), 5);
    assert_eq!(accept_found(&store, resolved("A", -100, 5), over).await.closed, 1);
    let new = incident("r", "A");
    let (incident, _) =
        store.incident_for(&new, episode.id, None, |_| false, |_| Vec::new()).await.unwrap();
    let all = store.found_of(incident.id).await.unwrap();
    let all: Vec<_> = all.iter().map(|it| (it.episode, it.words.as_str())).collect();
    assert_eq!(all, [(episode.id, "found by reconciliation"), (episode.id, "found over")]);
    let ended = store.ended_unseen(incident.id).await.unwrap();
    assert_eq!(ended.as_deref(), Some("found over"));
    // it fires again by webhook, and that one tells its end
    db.advance(10);
    fire(&store, "A").await;
    db.advance(10);
    resolve(&store, "A").await;
    let last = store.latest_episode(&labels("A").fingerprint()).await.unwrap().unwrap();
    assert_ne!(last.id, episode.id);
    store.incident_for(&new, last.id, None, |_| false, |_| Vec::new()).await.unwrap();
    let incidents = store.incidents_of(&last).await.unwrap();
    assert_eq!(store.ended_unseen(incidents[0].id).await.unwrap(), None);
}

async fn what_changed_since_it_was_found_is_left_alone(db: Database) {
    let store = db.store().await;
    // a webhook opened it meanwhile
    let first = fire(&store, "A").await;
    let stale = evidence("found", None, 0);
    assert_eq!(accept_found(&store, firing("A", 0), stale).await.unchanged, 1);
    // a webhook said meanwhile that it fires
    db.advance(120);
    accept(&store, delivery(vec![firing("A", 0)])).await.unwrap();
    let stale = evidence("over", Some((first, true)), 119);
    assert_eq!(accept_found(&store, resolved("A", 0, 119), stale).await.closed, 0);
    // a webhook closed it meanwhile
    resolve(&store, "A").await;
    let stale = evidence("found", Some((first, true)), 300);
    assert_eq!(accept_found(&store, firing("A", 200), stale).await.unchanged, 1);
    assert_eq!(words(&store, first).await, []);
    let right = evidence("found", Some((first, false)), 300);
    assert_eq!(accept_found(&store, firing("A", 200), right).await.opened, 1);
}

async fn receivers_are_learned_from_webhooks_and_not_from_what_people_send(db: Database) {
    let store = db.store().await;
    let by = async |source: &str, receiver: &str, name: &str| {
        let (source, receiver) = (source.to_owned(), receiver.to_owned());
        let delivery = Delivery { source, receiver, ..delivery(vec![firing(name, 0)]) };
        accept(&store, delivery).await.unwrap();
        db.advance(7200);
    };
    by("am", "quell", "A").await;
    by("am", "quell send", "B").await;
    by("am", "", "C").await;
    by("check:x", "", "D").await;
    by("operator:dana", "quell send", "E").await;
    by("am", "web.hook", "F").await;
    by("am", "quell", "G").await;
    let delivered = |receiver: &str| Delivered { source: "am".into(), receiver: receiver.into() };
    assert_eq!(store.receivers().await.unwrap(), [delivered("quell"), delivered("web.hook")]);
}

async fn open_episodes_are_known_with_what_is_missing_and_what_was_sent_by_hand(db: Database) {
    let store = db.store().await;
    let first = fire(&store, "A").await;
    let by_hand = Delivery { receiver: "quell send".into(), ..delivery(vec![firing("B", 0)]) };
    accept(&store, by_hand).await.unwrap();
    fire(&store, "C").await;
    resolve(&store, "C").await;
    store.set_missing(&[(first, at(3))]).await.unwrap();
    let known = store.known_open().await.unwrap();
    assert_eq!(known.len(), 2);
    let of = |name: &str| {
        let it = &known[&labels(name).fingerprint()];
        (it.missing_since, it.by_hand, it.episode.open)
    };
    assert_eq!((of("A"), of("B")), ((Some(at(3)), false, true), (None, true, true)));
    store.set_missing(&[]).await.unwrap();
    let known = store.known_open().await.unwrap();
    assert_eq!(known[&labels("A").fingerprint()].missing_since, None);
}

async fn a_duty_is_done_by_one_of_two_and_not_before_its_time(db: Database) {
    let (one, other) = (db.store().await, db.store().await);
    let (minute, longest) = (Duration::from_mins(1), Duration::from_mins(5));
    assert_eq!(one.claim_duty("x", minute, longest).await.unwrap(), None, "nobody asked for it");
    one.duty_is_due("x").await.unwrap();
    other.duty_is_due("x").await.unwrap();
    let duty = one.claim_duty("x", minute, longest).await.unwrap().unwrap();
    assert_eq!(other.claim_duty("x", minute, longest).await.unwrap(), None);
    // the one died: the other does it when its lease is over
    db.advance(60);
    let taken = other.claim_duty("x", minute, longest).await.unwrap().unwrap();
    one.duty_done(duty, Duration::ZERO).await.unwrap();
    assert_eq!(one.claim_duty("x", minute, longest).await.unwrap(), None, "it was fenced");
    other.duty_done(taken, longest).await.unwrap();
    db.advance(299);
    assert_eq!(one.claim_duty("x", minute, longest).await.unwrap(), None);
    db.advance(1);
    let duty = one.claim_duty("x", minute, longest).await.unwrap().unwrap();
    // a clock that is set back by hours does not stop it for hours
    one.duty_done(duty, Duration::from_hours(3)).await.unwrap();
    assert!(one.claim_duty("x", minute, longest).await.unwrap().is_some());
}

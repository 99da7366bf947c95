//! Schedules: one slot begins once over all replicas, and is not lost between its claim and its episode.

use futures_util::future::join_all;
use quell::store::schedules::NextSlot;
use quell::store::schedules::ScheduleState;

use super::*;

on_each_engine!(
    a_schedule_is_known_once_and_begins_anew_when_its_cron_changes,
    replicas_claim_a_slot_once_and_it_moves_on_when_it_began,
    a_slot_whose_claimer_died_is_due_again_when_its_lease_ends,
    only_who_claimed_last_moves_the_slot,
    slots_that_are_left_out_are_counted_with_the_reason,
    a_slot_that_waits_is_looked_at_again,
    another_open_episode_of_the_source_is_seen,
);

fn slot(seconds: i64) -> NextSlot {
    NextSlot { slot: at(seconds), due_at: at(seconds) }
}

async fn only(store: &Store) -> ScheduleState {
    let mut all = store.schedules().await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

async fn a_schedule_is_known_once_and_begins_anew_when_its_cron_changes(db: Database) {
    let store = db.store().await;
    let first = NextSlot { slot: at(60), due_at: at(75) };
    store.know_schedule("backup", "0 * * * * UTC", first).await.unwrap();
    db.advance(600);
    // the slot that came meanwhile stays: it was missed
    store.know_schedule("backup", "0 * * * * UTC", slot(660)).await.unwrap();
    let expected = ScheduleState {
        name: "backup".into(),
        slot: at(60),
        waits: false,
        due_at: at(75),
        last_slot: None,
        skipped: 0,
        note: String::new(),
        attempt: 0,
    };
    assert_eq!(only(&store).await, expected);
    store.know_schedule("backup", "30 * * * * UTC", slot(690)).await.unwrap();
    let moved = only(&store).await;
    assert_eq!((moved.slot, moved.due_at, moved.attempt), (at(690), at(690), 1));
}

async fn replicas_claim_a_slot_once_and_it_moves_on_when_it_began(db: Database) {
    let stores = [db.store().await, db.store().await];
    stores[0].know_schedule("backup", "c", slot(60)).await.unwrap();
    assert!(stores[0].claim_schedule("backup", LEASE).await.unwrap().is_none(), "not due");
    assert!(stores[0].claim_schedule("other", LEASE).await.unwrap().is_none(), "not known");
    for number in 1..4 {
        db.advance(60);
        let all = (0..8).map(|store| stores[store % 2].claim_schedule("backup", LEASE));
        let claimed = join_all(all).await.into_iter().filter_map(|it| it.unwrap());
        let [claimed] = claimed.collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(claimed.slot, at(60 * number));
        let next = slot(60 * (number + 1));
        stores[1].slot_began(&claimed, Some(next), 0).await.unwrap();
        assert!(stores[0].claim_schedule("backup", LEASE).await.unwrap().is_none());
    }
    let state = only(&stores[0]).await;
    assert_eq!((state.slot, state.last_slot), (at(240), Some(at(180))));
}

async fn a_slot_whose_claimer_died_is_due_again_when_its_lease_ends(db: Database) {
    let store = db.store().await;
    store.know_schedule("backup", "c", slot(0)).await.unwrap();
    store.claim_schedule("backup", LEASE).await.unwrap().unwrap();
    db.advance(29);
    assert!(store.claim_schedule("backup", LEASE).await.unwrap().is_none());
    db.advance(1);
    let again = store.claim_schedule("backup", LEASE).await.unwrap().unwrap();
    assert_eq!((again.slot, again.attempt), (at(0), 2));
    // a process that has the database for itself need not wait
    assert_eq!(store.release_abandoned().await.unwrap(), 1);
    assert_eq!(store.claim_schedule("backup", LEASE).await.unwrap().unwrap().slot, at(0));
}

async fn only_who_claimed_last_moves_the_slot(db: Database) {
    let store = db.store().await;
    store.know_schedule("backup", "c", slot(0)).await.unwrap();
    let slow = store.claim_schedule("backup", LEASE).await.unwrap().unwrap();
    db.advance(30);
    let quick = store.claim_schedule("backup", LEASE).await.unwrap().unwrap();
    store.slot_began(&quick, Some(slot(60)), 0).await.unwrap();
    store.slot_skipped(&slow, Some(slot(120)), 1, "late").await.unwrap();
    store.slot_began(&slow, Some(slot(180)), 1).await.unwrap();
    store.slot_waits(&slow, at(1)).await.unwrap();
    let state = only(&store).await;
    assert_eq!((state.slot, state.due_at, state.skipped), (at(60), at(60), 0));
    assert!(!state.waits && state.note.is_empty(), "{state:?}");
}

async fn slots_that_are_left_out_are_counted_with_the_reason(db: Database) {
    let store = db.store().await;
    store.know_schedule("backup", "c", slot(0)).await.unwrap();
    let claimed = store.claim_schedule("backup", LEASE).await.unwrap().unwrap();
    store.slot_skipped(&claimed, Some(slot(0)), 3, "quell was not running").await.unwrap();
    let claimed = store.claim_schedule("backup", LEASE).await.unwrap().unwrap();
    // the last slot of all
    store.slot_began(&claimed, None, 2).await.unwrap();
    let state = only(&store).await;
    assert_eq!((state.skipped, state.note.as_str()), (5, "quell was not running"));
    assert_eq!((state.last_slot, state.due_at), (Some(at(0)), Timestamp::MAX));
    db.advance(999_999);
    assert!(store.claim_schedule("backup", LEASE).await.unwrap().is_none());
}

async fn a_slot_that_waits_is_looked_at_again(db: Database) {
    let store = db.store().await;
    store.know_schedule("backup", "c", slot(0)).await.unwrap();
    let claimed = store.claim_schedule("backup", LEASE).await.unwrap().unwrap();
    store.slot_waits(&claimed, at(1)).await.unwrap();
    assert!(store.claim_schedule("backup", LEASE).await.unwrap().is_none());
    db.advance(1);
    let claimed = store.claim_schedule("backup", LEASE).await.unwrap().unwrap();
    assert!(claimed.waits && claimed.slot == at(0), "{claimed:?}");
    store.slot_began(&claimed, Some(slot(60)), 0).await.unwrap();
    assert!(!only(&store).await.waits);
}

async fn another_open_episode_of_the_source_is_seen(db: Database) {
    let store = db.store().await;
    let from = |name: &str, status| {
        let alert =
            if status == AlertStatus::Firing { firing(name, 0) } else { resolved(name, 0, 5) };
        Delivery { source: "schedule:backup".into(), ..delivery(vec![alert]) }
    };
    let print = |name: &str| labels(name).fingerprint();
    accept(&store, from("A", AlertStatus::Firing)).await.unwrap();
    let seen = async |source: &str, name: &str| {
        store.is_open_elsewhere(source, &print(name)).await.unwrap()
    };
    assert!(seen("schedule:backup", "B").await);
    assert!(!seen("schedule:backup", "A").await, "its own");
    assert!(!seen("schedule:other", "B").await);
    accept(&store, from("A", AlertStatus::Resolved)).await.unwrap();
    assert!(!seen("schedule:backup", "B").await, "closed");
}

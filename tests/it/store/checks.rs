//! Checks: one slot is claimed once over all replicas, and only who claimed it writes what it saw.

use futures_util::future::join_all;
use quell::model::run::Health;
use quell::store::checks::CheckState;

use super::*;

on_each_engine!(
    a_check_is_known_once_with_its_first_slot,
    replicas_claim_a_slot_once,
    what_was_seen_is_written_by_who_claimed_last,
    a_schedule_moves_a_slot_only_earlier,
);

async fn only(store: &Store) -> CheckState {
    let mut all = store.checks().await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

async fn a_check_is_known_once_with_its_first_slot(db: Database) {
    let store = db.store().await;
    store.know_check("shop", at(60)).await.unwrap();
    store.know_check("shop", at(999)).await.unwrap();
    let expected = CheckState {
        name: "shop".into(),
        due_at: at(60),
        health: Health::Unknown,
        streak: 0,
        firing: false,
        blind: false,
        measured: String::new(),
        at: at(0),
        attempt: 0,
    };
    assert_eq!(only(&store).await, expected);
    store.know_check("api", at(60)).await.unwrap();
    let names: Vec<_> = store.checks().await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["api", "shop"]);
}

async fn replicas_claim_a_slot_once(db: Database) {
    let stores = [db.store().await, db.store().await];
    stores[0].know_check("shop", at(60)).await.unwrap();
    assert!(stores[0].claim_check("shop", at(120)).await.unwrap().is_none(), "not due");
    assert!(stores[0].claim_check("other", at(120)).await.unwrap().is_none(), "not known");
    for slot in [60, 120, 180] {
        db.clock.advance(Duration::from_mins(1));
        let all = (0..8).map(|number| stores[number % 2].claim_check("shop", at(slot + 60)));
        let claimed = join_all(all).await.into_iter().filter_map(|it| it.unwrap());
        assert_eq!(claimed.count(), 1);
    }
    assert_eq!(only(&stores[0]).await.due_at, at(240));
}

async fn what_was_seen_is_written_by_who_claimed_last(db: Database) {
    let store = db.store().await;
    store.know_check("shop", at(0)).await.unwrap();
    let slow = store.claim_check("shop", at(60)).await.unwrap().unwrap();
    db.advance(60);
    let quick = store.claim_check("shop", at(120)).await.unwrap().unwrap();
    let saw = |state: CheckState, health, measured: &str| CheckState {
        health,
        streak: 3,
        firing: true,
        blind: true,
        measured: measured.into(),
        at: at(60),
        ..state
    };
    let mut seen = saw(quick, Health::Unhealthy, "503 a\0b");
    store.check_seen(&seen).await.unwrap();
    store.check_seen(&saw(slow, Health::Healthy, "200")).await.unwrap();
    seen.measured = "503 a\u{fffd}b".into();
    assert_eq!(only(&store).await, seen);
}

async fn a_schedule_moves_a_slot_only_earlier(db: Database) {
    let store = db.store().await;
    store.know_check("shop", at(600)).await.unwrap();
    store.reschedule_check("shop", at(60)).await.unwrap();
    assert_eq!(only(&store).await.due_at, at(60));
    store.reschedule_check("shop", at(600)).await.unwrap();
    assert_eq!(only(&store).await.due_at, at(60));
}

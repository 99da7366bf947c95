//! What holds around all cases: targets in trouble, breakers, populations, the watchdog and the clock.

use quell::decide::surroundings::STORM;
use quell::model::decision::Jump;
use quell::model::decision::Trip;

use super::*;

on_each_engine!(
    g01_distinct_targets_in_trouble_are_counted_within_a_span,
    g01_a_breaker_is_changed_by_one_replica_and_survives_a_restart,
    g03_the_most_members_of_the_last_day_are_remembered,
    g03_the_watchdogs_last_arrival_is_remembered,
    g13_jumps_of_the_clock_are_remembered,
    what_no_limit_looks_at_is_forgotten,
    g07_a_store_has_a_name_of_its_own_that_stays,
);

async fn g07_a_store_has_a_name_of_its_own_that_stays(db: Database) {
    let (one, two) = (db.store().await, db.store().await);
    assert_eq!((one.name(), one.name().len()), (two.name(), 8));
    let other = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", other.path().join("other.db").display());
    let other = Store::open(&url, db.clock.clone()).await.unwrap();
    assert_ne!(other.name(), one.name());
}

async fn g01_distinct_targets_in_trouble_are_counted_within_a_span(db: Database) {
    let store = db.store().await;
    let first = fire(&store, "A").await;
    store.note_trouble(first, "r", "host/a").await.unwrap();
    store.note_trouble(first, "r", "host/a").await.unwrap();
    db.advance(60);
    let second = fire(&store, "B").await;
    store.note_trouble(second, "r", "host/a").await.unwrap();
    store.note_trouble(second, "other", "host/b").await.unwrap();
    assert_eq!(store.troubled_targets(at(-1)).await.unwrap(), 2, "each once");
    assert_eq!(store.some_troubled(at(-1), 1).await.unwrap(), ["host/a"]);
    assert_eq!(store.troubled_targets(at(59)).await.unwrap(), 2);
    assert_eq!(store.troubled_targets(at(60)).await.unwrap(), 0, "later than that");
    assert_eq!(store.open_targets("r").await.unwrap(), 1);
}

async fn g01_a_breaker_is_changed_by_one_replica_and_survives_a_restart(db: Database) {
    let store = db.store().await;
    let tripped = Trip { since: at(0), calm_since: None };
    let calm = Trip { calm_since: Some(at(60)), ..tripped.clone() };
    assert!(store.change_trip(STORM, None, Some(&tripped), "").await.unwrap());
    assert!(!store.change_trip(STORM, None, Some(&tripped), "").await.unwrap(), "the other one");
    let again = db.store().await;
    assert_eq!(again.trip(STORM).await.unwrap(), Some(tripped.clone()));
    assert!(again.change_trip(STORM, Some(&tripped), Some(&calm), "").await.unwrap());
    assert!(!store.change_trip(STORM, Some(&tripped), None, "").await.unwrap(), "it is calm now");
    assert!(store.change_trip(STORM, Some(&calm), None, "").await.unwrap());
    assert_eq!(again.trips().await.unwrap(), []);
}

async fn g03_the_most_members_of_the_last_day_are_remembered(db: Database) {
    let store = db.store().await;
    assert_eq!(store.count_population("g", 10).await.unwrap(), None, "the first count");
    assert_eq!(store.count_population("g", 12).await.unwrap(), Some(10));
    assert_eq!(store.count_population("g", 4).await.unwrap(), Some(12));
    assert_eq!(store.most_counted("other").await.unwrap(), None);
    db.advance(23 * 3600);
    assert_eq!(store.count_population("g", 4).await.unwrap(), Some(12));
    db.advance(2 * 3600);
    assert_eq!(store.most_counted("g").await.unwrap(), Some(4), "a day is over");
}

async fn g03_the_watchdogs_last_arrival_is_remembered(db: Database) {
    let store = db.store().await;
    assert_eq!(store.marked("watchdog").await.unwrap(), None);
    store.mark("watchdog", at(60)).await.unwrap();
    store.mark("watchdog", at(30)).await.unwrap();
    assert_eq!(store.marked("watchdog").await.unwrap(), Some(at(60)), "an earlier one is no news");
    store.unmark("watchdog").await.unwrap();
    assert_eq!(store.marked("watchdog").await.unwrap(), None);
}

async fn g13_jumps_of_the_clock_are_remembered(db: Database) {
    let store = db.store().await;
    let jump = Jump { at: at(60), by_ms: -3_600_000 };
    assert!(store.clock_was_set(jump).await.unwrap());
    assert_eq!(db.store().await.jumps(at(0)).await.unwrap(), [jump]);
    assert_eq!(store.jumps(at(60)).await.unwrap(), [], "later than that");
}

async fn what_no_limit_looks_at_is_forgotten(db: Database) {
    let store = db.store().await;
    let (open, closed) = (fire(&store, "A").await, fire(&store, "B").await);
    for episode in [open, closed] {
        store.note_trouble(episode, "r", &format!("host/{episode}")).await.unwrap();
    }
    resolve(&store, "B").await;
    store.count_population("g", 10).await.unwrap();
    assert!(store.clock_was_set(Jump { at: at(9), by_ms: 9000 }).await.unwrap());
    db.advance(15 * 24 * 3600);
    store.forget_surroundings(at(24 * 3600)).await.unwrap();
    assert_eq!(
        store.some_troubled(at(-1), 9).await.unwrap(),
        [format!("host/{open}")],
        "the open one"
    );
    assert_eq!(store.jumps(at(-1)).await.unwrap(), []);
}

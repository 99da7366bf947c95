//! Leases of a process that died: due at once for the next one, while what waits for a time of its own waits on.

use super::*;

on_each_engine!(
    what_a_dead_process_held_is_due_at_once,
    what_waits_for_a_time_of_its_own_waits_on,
    nothing_is_claimed_a_second_time_by_the_process_that_died,
);

async fn what_a_dead_process_held_is_due_at_once(db: Database) {
    let store = db.store().await;
    let episode = fire(&store, "A").await;
    let due = Some(Duration::ZERO);
    let new = incident("r", "A");
    let (incident, _) =
        store.incident_for(&new, episode, due, |_| false, |_| Vec::new()).await.unwrap();
    let run = create_for(&store, 7).await;
    store.tell(vec![owed(incident.id, "slack", "x")]).await.unwrap();
    for expected in [true, false, true] {
        let held = [
            store.claim_episode(LEASE).await.unwrap().is_some(),
            store.claim_incident(LEASE).await.unwrap().is_some(),
            store.claim_run("worker", LEASE).await.unwrap().is_some_and(|claim| claim.run == run),
            store.claim_notification(LEASE).await.unwrap().is_some(),
        ];
        assert_eq!(held, [expected; 4]);
        if !expected {
            assert_eq!(store.release_abandoned().await.unwrap(), 4);
        }
    }
}

async fn what_waits_for_a_time_of_its_own_waits_on(db: Database) {
    let store = db.store().await;
    let (incident, _) = open_incident(&store, "A").await;
    create_for(&store, 7).await;
    store.tell(vec![owed(incident.id, "slack", "x")]).await.unwrap();
    let soon = at(100);
    let episode = store.claim_episode(LEASE).await.unwrap().unwrap();
    store.episode_due(&episode, Some(soon)).await.unwrap();
    let run = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    store.release_run(&run, Some(soon)).await.unwrap();
    let notification = store.claim_notification(LEASE).await.unwrap().unwrap();
    store.notification_retry(&notification, "timed out", soon).await.unwrap();
    assert_eq!(store.release_abandoned().await.unwrap(), 0);
    for expected in [false, true] {
        let due = [
            store.claim_episode(LEASE).await.unwrap().is_some(),
            store.claim_run("worker", LEASE).await.unwrap().is_some(),
            store.claim_notification(LEASE).await.unwrap().is_some(),
        ];
        assert_eq!(due, [expected; 3]);
        db.advance(100);
    }
}

async fn nothing_is_claimed_a_second_time_by_the_process_that_died(db: Database) {
    let store = db.store().await;
    create_for(&store, 7).await;
    let mut dead = store.claim_run("dead", LEASE).await.unwrap().unwrap();
    store.release_abandoned().await.unwrap();
    store.claim_run("alive", LEASE).await.unwrap().unwrap();
    let late = append(
        &store,
        &mut dead,
        Event::Stopped { why: quell::model::run::Stop::Resolved },
        RunState::Superseded,
    );
    assert!(matches!(late.await, Err(StoreError::Fenced)));
}

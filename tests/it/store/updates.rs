//! Status updates: each is told once, on time, over replicas and restarts.

use futures_util::future::join_all;
use quell::model::decision::Jump;
use quell::model::time::moved;
use quell::store::updates::DueUpdate;

use super::*;

on_each_engine!(
    an_update_is_due_at_the_opening_and_again_at_its_time,
    replicas_tell_one_update_once,
    what_is_over_is_told_once_more_and_never_again,
    who_took_it_over_is_not_talked_over_until_it_is_given_back,
    updates_wait_as_long_when_the_clock_is_set,
);

async fn opened(store: &Store) -> IncidentId {
    let episode = fire(store, "A").await;
    let opened =
        store.incident_for(&incident("r", "A"), episode, None, |_| false, |_| Vec::new()).await;
    opened.unwrap().0.id
}

async fn due(store: &Store) -> Vec<DueUpdate> {
    store.due_updates().await.unwrap()
}

async fn told(store: &Store, incident: IncidentId) -> usize {
    store.notifications_of(incident).await.unwrap().len()
}

async fn an_update_is_due_at_the_opening_and_again_at_its_time(db: Database) {
    let store = db.store().await;
    let id = opened(&store).await;
    let first = due(&store).await;
    assert_eq!((first.len(), first[0].incident.id, first[0].number), (1, id, 0));
    let owed = vec![owed(id, "status", "Investigating")];
    assert!(store.tell_update(&first[0], Some(at(900)), owed).await.unwrap());
    assert!(due(&store).await.is_empty());
    db.advance(899);
    assert!(due(&store).await.is_empty());
    db.advance(1);
    // as another process sees it
    let again = due(&db.store().await).await;
    assert_eq!((again.len(), again[0].number, told(&store, id).await), (1, 1, 1));
}

async fn replicas_tell_one_update_once(db: Database) {
    let store = db.store().await;
    let id = opened(&store).await;
    for number in 0..2 {
        let replicas = [db.store().await, db.store().await, db.store().await];
        let found: Vec<DueUpdate> = due(&store).await;
        assert_eq!((found.len(), found[0].number), (1, number));
        let next = Some(at(900 * (number + 1)));
        let telling = replicas
            .iter()
            .map(|it| it.tell_update(&found[0], next, vec![owed(id, "status", "Identified")]));
        let all = join_all(telling).await;
        let told_by = all.into_iter().filter(|it| *it.as_ref().unwrap()).count();
        assert_eq!(told_by, 1);
        db.advance(900);
    }
    assert_eq!(told(&store, id).await, 2);
}

async fn what_is_over_is_told_once_more_and_never_again(db: Database) {
    let store = db.store().await;
    let id = opened(&store).await;
    let first = due(&store).await.remove(0);
    store.tell_update(&first, Some(at(900)), Vec::new()).await.unwrap();
    resolve(&store, "A").await;
    assert!(store.resolve_incident(id, Vec::new()).await.unwrap());
    let last = due(&store).await.remove(0);
    let over = || vec![owed(id, "status", "Resolved")];
    assert!(store.end_updates(&last, over()).await.unwrap());
    assert!(!store.end_updates(&last, over()).await.unwrap());
    db.advance(9_000);
    assert_eq!((due(&store).await.len(), told(&store, id).await), (0, 1));
    // one that was over before anybody was told of it is not told of at all
    let other = {
        let episode = fire(&store, "B").await;
        let opened =
            store.incident_for(&incident("r", "B"), episode, None, |_| false, |_| Vec::new()).await;
        opened.unwrap().0.id
    };
    resolve(&store, "B").await;
    assert!(store.resolve_incident(other, Vec::new()).await.unwrap());
    assert!(due(&store).await.is_empty());
}

async fn who_took_it_over_is_not_talked_over_until_it_is_given_back(db: Database) {
    let store = db.store().await;
    let id = opened(&store).await;
    let first = due(&store).await.remove(0);
    store.take_incident(id, "dana", None, |_| Vec::new()).await.unwrap();
    assert!(store.tell_update(&first, None, Vec::new()).await.unwrap());
    db.advance(100_000);
    assert!(due(&store).await.is_empty());
    store.give_back_incident(id, |_| Vec::new()).await.unwrap();
    let again = due(&store).await;
    assert_eq!((again.len(), again[0].number), (1, 1));
}

async fn updates_wait_as_long_when_the_clock_is_set(db: Database) {
    let store = db.store().await;
    opened(&store).await;
    let first = due(&store).await.remove(0);
    store.tell_update(&first, Some(at(100)), Vec::new()).await.unwrap();
    for by in [3_600, -7_200, 3_600] {
        let now = moved(store.clock().now(), by * 1000);
        assert!(store.clock_was_set(Jump { at: now, by_ms: by * 1000 }).await.unwrap());
        db.advance(33);
        assert!(due(&store).await.is_empty(), "early after {by}");
    }
    db.advance(1);
    assert_eq!(due(&store).await.len(), 1);
}

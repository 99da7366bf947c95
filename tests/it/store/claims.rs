//! Claims: each thing due is taken once; who was too slow is refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

use quell::decide::spread;
use quell::model::run::Stop;
use tokio::task::JoinSet;

use super::*;

on_each_engine!(
    eight_workers_claim_each_episode_once,
    eight_workers_claim_each_run_once,
    eight_workers_claim_each_notification_once,
    eight_workers_claim_each_incident_once,
    a_lease_that_ends_gives_the_run_to_another_and_fences_the_first,
    what_a_dead_process_held_is_due_at_once,
    a_renewed_lease_lasts_longer,
    a_released_run_comes_back_at_its_time,
    what_has_been_due_longest_is_claimed_first,
    an_alert_between_claim_and_answer_keeps_the_episode_due,
    waking_makes_open_episodes_due,
    g09_a_herd_that_is_woken_becomes_due_spread_over_a_time,
);

const THINGS: usize = 24;

/// Claims with eight workers on two replicas until everything is taken.
async fn claimed_by_eight<F>(db: &Database, claim: impl Fn(Store) -> F) -> Vec<i64>
where
    F: Future<Output = Option<i64>> + Send + 'static,
{
    let claim = &claim;
    let stores = [db.store().await, db.store().await];
    let taken = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for worker in 0..8 {
        // a claim may miss when two want the same: the next one finds another
        let tries: Vec<_> = (0..THINGS * 8).map(|_| claim(stores[worker % 2].clone())).collect();
        let taken = Arc::clone(&taken);
        workers.spawn(async move {
            let mut ids = Vec::new();
            let began = Instant::now();
            for claim in tries {
                if taken.load(Ordering::Acquire) >= THINGS || began.elapsed().as_secs() > 20 {
                    break;
                }
                if let Some(id) = claim.await {
                    taken.fetch_add(1, Ordering::AcqRel);
                    ids.push(id);
                }
            }
            ids
        });
    }
    let ids: Vec<i64> = workers.join_all().await.concat();
    assert_eq!(claim(stores[0].clone()).await, None, "something was left");
    ids
}

fn assert_each_once(ids: &[i64]) {
    let different: BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), different.len()), (THINGS, THINGS));
}

async fn eight_workers_claim_each_episode_once(db: Database) {
    let alerts = (0..THINGS).map(|number| firing(&format!("A{number}"), 0)).collect();
    accept(&db.store().await, delivery(alerts)).await.unwrap();
    let ids = claimed_by_eight(&db, |store| async move {
        store.claim_episode(LEASE).await.unwrap().map(|due| due.episode.id.0)
    });
    assert_each_once(&ids.await);
}

async fn eight_workers_claim_each_run_once(db: Database) {
    let store = db.store().await;
    for number in 1..=THINGS {
        create_for(&store, i64::try_from(number).unwrap()).await;
    }
    let ids = claimed_by_eight(&db, |store| async move {
        store.claim_run("worker", LEASE).await.unwrap().map(|claim| claim.run.0)
    });
    assert_each_once(&ids.await);
}

async fn eight_workers_claim_each_notification_once(db: Database) {
    let all = (1..=THINGS).map(|number| {
        owed(IncidentId(i64::try_from(number).unwrap()), "slack", "something happened")
    });
    db.store().await.tell(all.collect()).await.unwrap();
    let ids = claimed_by_eight(&db, |store| async move {
        store.claim_notification(LEASE).await.unwrap().map(|notification| notification.id)
    });
    assert_each_once(&ids.await);
}

async fn eight_workers_claim_each_incident_once(db: Database) {
    let store = db.store().await;
    for number in 0..THINGS {
        let new = incident("r", &format!("g{number}"));
        let soon = Some(Duration::from_secs(10));
        store.incident_for(&new, EpisodeId(1), soon, |_| false, |_| Vec::new()).await.unwrap();
    }
    assert!(store.claim_incident(LEASE).await.unwrap().is_none(), "not overdue yet");
    db.advance(10);
    let ids = claimed_by_eight(&db, |store| async move {
        store.claim_incident(LEASE).await.unwrap().map(|due| due.incident.id.0)
    });
    assert_each_once(&ids.await);
}

async fn a_lease_that_ends_gives_the_run_to_another_and_fences_the_first(db: Database) {
    let (slow, quick) = (db.store().await, db.store().await);
    create_for(&slow, 1).await;
    let mut stale = slow.claim_run("slow", LEASE).await.unwrap().unwrap();
    db.advance(29);
    assert!(quick.claim_run("quick", LEASE).await.unwrap().is_none());
    db.advance(1);
    let mut fresh = quick.claim_run("quick", LEASE).await.unwrap().unwrap();
    assert_eq!((fresh.run, fresh.attempt), (stale.run, stale.attempt + 1));

    let stop = || Event::Stopped { why: Stop::Resolved };
    let late = append(&slow, &mut stale, stop(), RunState::Superseded).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert!(matches!(slow.renew_run(&stale, LEASE).await, Err(StoreError::Fenced)));
    slow.release_run(&stale, Some(at(0))).await.unwrap();
    assert!(slow.claim_run("third", LEASE).await.unwrap().is_none(), "released what it lost");
    assert_eq!(slow.journal(stale.run).await.unwrap().len(), 1);

    append(&quick, &mut fresh, stop(), RunState::Superseded).await.unwrap();
    assert_eq!(quick.journal(stale.run).await.unwrap().len(), 2);
}

async fn what_a_dead_process_held_is_due_at_once(db: Database) {
    let store = db.store().await;
    fire(&store, "A").await;
    let soon = Some(Duration::ZERO);
    let new = incident("r", "g");
    store.incident_for(&new, EpisodeId(1), soon, |_| false, |_| Vec::new()).await.unwrap();
    store.tell(vec![owed(IncidentId(1), "slack", "x")]).await.unwrap();
    create_for(&store, 1).await;
    create_for(&store, 2).await;
    let waits = store.claim_run("dead", LEASE).await.unwrap().unwrap();
    store.release_run(&waits, Some(at(3_600))).await.unwrap();
    let take_all = || async {
        (
            store.claim_episode(LEASE).await.unwrap().is_some(),
            store.claim_incident(LEASE).await.unwrap().is_some(),
            store.claim_notification(LEASE).await.unwrap().is_some(),
            store.claim_run("worker", LEASE).await.unwrap().map(|claim| claim.run),
        )
    };
    assert_eq!(take_all().await, (true, true, true, Some(RunId(2))));
    assert_eq!(take_all().await, (false, false, false, None));
    assert_eq!(store.release_abandoned().await.unwrap(), 4);
    assert_eq!(take_all().await, (true, true, true, Some(RunId(2))), "and not what waits");
    assert_eq!(store.release_abandoned().await.unwrap(), 4);
}

async fn a_renewed_lease_lasts_longer(db: Database) {
    let store = db.store().await;
    create_for(&store, 1).await;
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    db.advance(20);
    store.renew_run(&claim, LEASE).await.unwrap();
    db.advance(29);
    assert!(store.claim_run("other", LEASE).await.unwrap().is_none());
    db.advance(1);
    assert!(store.claim_run("other", LEASE).await.unwrap().is_some());
}

async fn a_released_run_comes_back_at_its_time(db: Database) {
    let store = db.store().await;
    create_for(&store, 1).await;
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    store.release_run(&claim, Some(at(90))).await.unwrap();
    db.advance(89);
    assert!(store.claim_run("worker", LEASE).await.unwrap().is_none());
    db.advance(1);
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    store.release_run(&claim, None).await.unwrap();
    db.advance(1_000_000_000);
    assert!(store.claim_run("worker", LEASE).await.unwrap().is_none());
}

async fn what_has_been_due_longest_is_claimed_first(db: Database) {
    let store = db.store().await;
    for number in 1..=3 {
        create_for(&store, number).await;
    }
    for due in [30, 10, 20] {
        let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
        store.release_run(&claim, Some(at(due))).await.unwrap();
    }
    db.advance(60);
    let mut order = Vec::new();
    while let Some(claim) = store.claim_run("worker", LEASE).await.unwrap() {
        order.push(claim.run.0);
    }
    assert_eq!(order, [2, 3, 1]);
}

async fn an_alert_between_claim_and_answer_keeps_the_episode_due(db: Database) {
    let store = db.store().await;
    fire(&store, "A").await;
    let judged = store.claim_episode(LEASE).await.unwrap().unwrap();
    resolve(&store, "A").await;
    store.episode_due(&judged, None).await.unwrap();
    let again = store.claim_episode(LEASE).await.unwrap().unwrap();
    assert!(judged.episode.open && !again.episode.open);
    store.episode_due(&again, Some(at(50))).await.unwrap();
    assert!(store.claim_episode(LEASE).await.unwrap().is_none());
    db.advance(50);
    assert!(store.claim_episode(LEASE).await.unwrap().is_some());
}

async fn g09_a_herd_that_is_woken_becomes_due_spread_over_a_time(db: Database) {
    let store = db.store().await;
    for number in 0..40 {
        fire(&store, &format!("A{number}")).await;
    }
    let claim_all = || async {
        let mut ids = Vec::new();
        while let Some(due) = store.claim_episode(LEASE).await.unwrap() {
            store.episode_due(&due, None).await.unwrap();
            ids.push(due.episode.id);
        }
        ids
    };
    assert_eq!(claim_all().await.len(), 40);
    store.wake_all_episodes().await.unwrap();
    let over = spread::over(40);
    assert_eq!(over, Duration::from_secs(4));
    let mut seen = 0;
    for second in 0..4_u64 {
        let until = Duration::from_secs(second);
        for id in claim_all().await {
            let delay = spread::delay(id.0, over);
            assert!(delay <= until && delay + Duration::from_secs(1) > until, "{id} {delay:?}");
            seen += 1;
        }
        assert!(seen < 40 || second == 3, "all of them within {second}s");
        db.advance(1);
    }
    assert_eq!(seen + claim_all().await.len(), 40);
}

async fn waking_makes_open_episodes_due(db: Database) {
    let store = db.store().await;
    let (incident, of_incident) = open_incident(&store, "A").await;
    let other = fire(&store, "B").await;
    fire(&store, "C").await;
    resolve(&store, "C").await;
    let claim_all = || async {
        let mut ids = Vec::new();
        while let Some(due) = store.claim_episode(LEASE).await.unwrap() {
            store.episode_due(&due, None).await.unwrap();
            ids.push(due.episode.id);
        }
        ids
    };
    assert_eq!(claim_all().await.len(), 3);
    assert_eq!(claim_all().await, []);
    store.wake_incident(incident.id).await.unwrap();
    assert_eq!(claim_all().await, [of_incident]);
    store.wake_all_episodes().await.unwrap();
    assert_eq!(claim_all().await, [of_incident, other]);
}

//! Several replicas on `PostgreSQL`, where transactions overlap: each test holds one open, and lets another meet it.

use std::time::Instant;

use quell::model::run::Stop;

use super::*;

mod postgres {
    #[tokio::test(flavor = "multi_thread")]
    async fn an_episode_does_not_join_an_incident_that_is_being_resolved() {
        super::an_episode_does_not_join_an_incident_that_is_being_resolved().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_incident_is_not_resolved_while_an_episode_joins_it() {
        super::an_incident_is_not_resolved_while_an_episode_joins_it().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_end_of_a_run_and_a_new_one_on_its_target_do_not_lock_each_other_out() {
        super::the_end_of_a_run_and_a_new_one_on_its_target_do_not_lock_each_other_out().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_end_of_a_run_and_a_delivery_do_not_lock_each_other_out() {
        super::the_end_of_a_run_and_a_delivery_do_not_lock_each_other_out().await;
    }
}

/// Waits until some statement of this database waits for a lock.
async fn until_one_waits(raw: &AnyPool) {
    let began = Instant::now();
    loop {
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        if number(raw, waiting).await > 0 {
            return;
        }
        assert!(began.elapsed().as_secs() < 10, "nobody waits for a lock");
        tokio::task::yield_now().await;
    }
}

async fn an_episode_does_not_join_an_incident_that_is_being_resolved() {
    let db = Database::postgres().await;
    let (store, raw, watch) = (db.store().await, db.raw().await, db.raw().await);
    let (first, _) = open_incident(&store, "A").await;
    resolve(&store, "A").await;
    let joins = fire(&store, "B").await;
    let mut resolving = raw.begin().await.unwrap();
    sqlx::query("UPDATE incidents SET status = 'resolved'").execute(&mut *resolving).await.unwrap();
    let join = async {
        store
            .incident_for(&incident("r", "A"), joins, None, |_| false, |_| Vec::new())
            .await
            .unwrap()
    };
    let commit = async {
        until_one_waits(&watch).await;
        resolving.commit().await.unwrap();
    };
    let ((found, is_new), ()) = tokio::join!(join, commit);
    assert!(is_new && found.id != first.id, "the episode would be in an incident that is over");
}

async fn an_incident_is_not_resolved_while_an_episode_joins_it() {
    let db = Database::postgres().await;
    let (store, raw, watch) = (db.store().await, db.raw().await, db.raw().await);
    let (first, _) = open_incident(&store, "A").await;
    resolve(&store, "A").await;
    let joins = fire(&store, "B").await;
    // as incident_for does it
    let mut joining = raw.begin().await.unwrap();
    sqlx::query("UPDATE incidents SET attempt = attempt").execute(&mut *joining).await.unwrap();
    sqlx::query("INSERT INTO incident_episodes (incident, episode) VALUES (1, $1)")
        .bind(joins.0)
        .execute(&mut *joining)
        .await
        .unwrap();
    let resolve = async { store.resolve_incident(first.id, Vec::new()).await.unwrap() };
    let commit = async {
        until_one_waits(&watch).await;
        joining.commit().await.unwrap();
    };
    let (resolved, ()) = tokio::join!(resolve, commit);
    assert!(!resolved, "one of its episodes is open");
}

async fn the_end_of_a_run_and_a_new_one_on_its_target_do_not_lock_each_other_out() {
    let db = Database::postgres().await;
    let (store, raw, watch) = (db.store().await, db.raw().await, db.raw().await);
    create_for(&store, 1).await;
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    // as create_run does it
    let mut creating = raw.begin().await.unwrap();
    sqlx::query("UPDATE scopes SET version = version + 1").execute(&mut *creating).await.unwrap();
    let stop = Event::Stopped { why: Stop::Resolved };
    let end = append(&store, &mut claim, stop, RunState::Superseded);
    let create = async {
        until_one_waits(&watch).await;
        let inserted = sqlx::query(
            "INSERT INTO runs SELECT 2, incident, 2, rule, playbook, target, service, redundancy_group, left_version,
               remedy, round, state, is_final,
               inconclusive, outcome, plan, digest, seq, head, cancelled_by, owner, attempt, due_at, started_at,
               ended_at FROM runs WHERE id = 1 ON CONFLICT DO NOTHING",
        )
        .execute(&mut *creating)
        .await;
        let inserted = inserted.map(|done| done.rows_affected());
        creating.rollback().await.unwrap();
        inserted
    };
    let (ended, inserted) = tokio::join!(end, create);
    assert_eq!(inserted.unwrap(), 0, "the target is busy until the end is committed");
    ended.unwrap();
}

async fn the_end_of_a_run_and_a_delivery_do_not_lock_each_other_out() {
    let db = Database::postgres().await;
    let (store, raw, watch) = (db.store().await, db.raw().await, db.raw().await);
    let (first, episode) = open_incident(&store, "A").await;
    let other = fire(&store, "B").await;
    store.incident_for(&incident("r", "A"), other, None, |_| false, |_| Vec::new()).await.unwrap();
    create(&store, &plan("t", first.id, episode)).await;
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    // as an intake does it: the counter, then episodes in the order of the delivery
    let mut delivering = raw.begin().await.unwrap();
    for sql in [
        "UPDATE counters SET value = value WHERE name = 'episode'",
        "UPDATE episodes SET attempt = attempt WHERE id = 2",
    ] {
        sqlx::query(sql).execute(&mut *delivering).await.unwrap();
    }
    let stop = Event::Stopped { why: Stop::Resolved };
    let end = append(&store, &mut claim, stop, RunState::Superseded);
    let deliver = async {
        until_one_waits(&watch).await;
        let second = sqlx::query("UPDATE episodes SET attempt = attempt WHERE id = 1")
            .execute(&mut *delivering)
            .await;
        delivering.commit().await.unwrap();
        second
    };
    let (ended, delivered) = tokio::join!(end, deliver);
    delivered.unwrap();
    ended.unwrap();
    assert!(store.claim_episode(LEASE).await.unwrap().is_some(), "woken by the end");
}

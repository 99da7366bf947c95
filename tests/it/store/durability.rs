//! Opening: what was committed is there after a crash, replicas may start together, and errors say what to do.

use futures_util::future::join_all;

use super::*;

on_each_engine!(
    what_was_committed_is_there_after_a_crash,
    replicas_may_start_together,
    a_closed_store_says_so,
);

async fn what_was_committed_is_there_after_a_crash(db: Database) {
    let store = db.store().await;
    let (incident, episode) = open_incident(&store, "A").await;
    let run = create(&store, &plan("t", incident.id, episode)).await;
    store.tell(vec![owed(incident.id, "slack", "x")]).await.unwrap();
    store.pause("all", "ada", "release").await.unwrap();
    let journal = store.journal(run).await.unwrap();
    drop(store); // without closing: what it had in memory is lost

    let store = db.store().await;
    store.ping().await.unwrap();
    assert_eq!(store.incident(incident.id).await.unwrap(), Some(incident.clone()));
    assert!(store.episode(episode).await.unwrap().unwrap().open);
    assert_eq!(store.journal(run).await.unwrap(), journal);
    assert_eq!(store.notifications_of(incident.id).await.unwrap().len(), 1);
    assert_eq!(store.pauses().await.unwrap().len(), 1);
    assert_eq!(store.claim_run("worker", LEASE).await.unwrap().unwrap().run, run);
    assert_eq!(store.audit(None).await.unwrap().broken, []);
    assert_eq!(fire(&store, "B").await, EpisodeId(episode.0 + 1), "counters go on");
}

async fn replicas_may_start_together(db: Database) {
    let stores = join_all((0..4).map(|_| db.store())).await;
    for store in &stores {
        store.ping().await.unwrap();
    }
    let raw = db.raw().await;
    let tables = "SELECT COUNT(*) FROM counters WHERE name = 'run'";
    assert_eq!(number(&raw, tables).await, 1);
}

async fn a_closed_store_says_so(db: Database) {
    let store = db.store().await;
    store.close().await;
    let error = store.ping().await.unwrap_err();
    assert_eq!(error.to_string(), "the database is closed");
}

#[tokio::test]
async fn a_storage_of_another_kind_is_refused() {
    let clock = || Clock::manual(at(0));
    let error = Store::open("mysql://localhost/quell", clock()).await.unwrap_err();
    assert_eq!(error.code, "Q0401");
    let error = Store::open("sqlite:/no/such/folder/quell.db", clock()).await.unwrap_err();
    assert_eq!(error.code, "Q0402");
}

#[tokio::test]
async fn an_unreachable_server_is_named_without_its_password() {
    // nobody listens on port 1
    let url = "postgres://quell:s3cret@127.0.0.1:1/quell";
    let error = Store::open(url, Clock::manual(at(0))).await.unwrap_err();
    assert_eq!(error.code, "Q0402");
    assert!(error.message.contains("nothing listens where the storage URL says"), "{error}");
    let words = format!("{error} {error:?}");
    assert!(!words.contains("s3cret"), "{words}");
}

/// Replicas are upgraded one after another: older ones work on, and start, beside newer ones, until those say otherwise.
async fn is_used_until_it_says_otherwise(db: Database, tables: &'static str) {
    db.store().await.close().await;
    let raw = db.raw().await;
    upgrade(&raw, tables).await;
    let store = db.store().await;
    fire(&store, "A").await;
    change_one(&raw, "UPDATE compat SET value = 9999 WHERE name = 'oldest'").await;
    let error = Store::open(&db.url, db.clock.clone()).await.unwrap_err();
    assert_eq!(error.code, "Q0403");
    assert!(error.message.contains("only those that know migration 9999 may use it"), "{error}");
}

#[tokio::test]
async fn a_database_that_a_newer_quell_added_to_is_used() {
    is_used_until_it_says_otherwise(Database::sqlite(), SQLITE_TABLES).await;
}

#[tokio::test]
async fn a_database_that_a_newer_quell_added_to_is_used_postgres() {
    is_used_until_it_says_otherwise(Database::postgres().await, POSTGRES_TABLES).await;
}

//! Retention: what ended long ago goes whole, what has not stays, and the file does not grow for ever.

use std::sync::Mutex;

use quell::store::prune::Pruned;

use super::log::key;
use super::log::seal;
use super::*;

on_each_engine!(
    what_ended_before_goes_whole_and_the_rest_stays,
    what_is_not_over_stays_however_old,
    what_goes_is_archived_before_and_stays_when_it_cannot_be,
    single_rows_that_nobody_needs_go,
);

const DAY: u64 = 24 * 3600;

/// An incident with a run and a notice, all of which end now.
async fn over(store: &Store, name: &str) -> (IncidentId, RunId) {
    let (incident, episode) = open_incident(store, name).await;
    let run = create(store, &plan(name, incident.id, episode)).await;
    let mut claim = store.claim_run("w", LEASE).await.unwrap().unwrap();
    append(store, &mut claim, Event::VerifyStarted, RunState::Fixed).await.unwrap();
    store.tell(vec![owed(incident.id, "slack", "fixed")]).await.unwrap();
    let sent = store.claim_notification(LEASE).await.unwrap().unwrap();
    store.notification_sent(&sent).await.unwrap();
    resolve(store, name).await;
    assert!(store.resolve_incident(incident.id, Vec::new()).await.unwrap());
    (incident.id, run)
}

/// Prunes until nothing is left to go.
async fn prune(store: &Store, before: Timestamp) -> Pruned {
    while seal(store).await > 0 {}
    let mut all = Pruned::default();
    loop {
        let batch = store.prune(before, 3, None).await.unwrap();
        if !batch.any() {
            return all;
        }
        all.add(batch);
    }
}

async fn count(db: &Database, table: &str) -> i64 {
    let raw = db.raw().await;
    let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    sqlx::query_scalar(sql).fetch_one(&raw).await.unwrap()
}

const TABLES: [&str; 7] =
    ["incidents", "incident_episodes", "episodes", "runs", "run_events", "decisions", "outbox"];

async fn counts(db: &Database) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in TABLES {
        counts.push(count(db, table).await);
    }
    counts
}

async fn what_ended_before_goes_whole_and_the_rest_stays(db: Database) {
    let store = db.store().await;
    for number in 0..10 {
        over(&store, &format!("old-{number}")).await;
    }
    // nobody's, and over
    fire(&store, "untaken").await;
    db.advance(1);
    resolve(&store, "untaken").await;
    db.advance(10 * DAY);
    let (kept, run) = over(&store, "new").await;
    let pruned = prune(&store, at(5 * i64::try_from(DAY).unwrap())).await;
    assert_eq!((pruned.incidents, pruned.episodes, pruned.runs), (10, 11, 10));
    assert_eq!(counts(&db).await, [1, 1, 1, 1, 2, 0, 1]);
    assert!(store.incident(kept).await.unwrap().is_some());
    assert_eq!(store.journal(run).await.unwrap().len(), 2);
    assert_eq!(store.audit(None).await.unwrap().broken, []);
    // the log begins later, and what is left of it is as it was
    let (checked, found) = store.verify_log(&[key().public().clone()], &[]).await.unwrap();
    assert_eq!(found, []);
    assert_eq!((checked.begins, checked.leaves), (pruned.leaves, 2));
    assert_eq!(pruned.leaves, 20, "two entries of ten runs");
    // an alert of what is gone opens anew
    assert!(fire(&store, "old-1").await.0 > 11);
}

async fn what_is_not_over_stays_however_old(db: Database) {
    let store = db.store().await;
    // an episode of two incidents, one of which is open
    let (first, episode) = open_incident(&store, "shared").await;
    let other = incident("other", "shared");
    store.incident_for(&other, episode, None, |_| false, |_| Vec::new()).await.unwrap();
    // a run that waits for a person though its incident is over
    let (waiting, episode) = open_incident(&store, "waits").await;
    create(&store, &Plan { mode: Mode::Approve, ..plan("waits", waiting.id, episode) }).await;
    // a notice that was not sent
    let (owing, _) = open_incident(&store, "owes").await;
    store.tell(vec![owed(owing.id, "slack", "later")]).await.unwrap();
    // an alert that fires
    fire(&store, "fires").await;
    db.advance(60);
    for name in ["waits", "owes"] {
        resolve(&store, name).await;
    }
    for id in [waiting.id, owing.id] {
        assert!(store.resolve_incident(id, Vec::new()).await.unwrap());
    }
    db.advance(1000 * DAY);
    let before = counts(&db).await;
    let pruned = prune(&store, db.clock.now()).await;
    assert_eq!(pruned, Pruned { leaves: 1, ..Pruned::default() });
    assert_eq!(counts(&db).await, before);
    // it stays although its leaf is gone, and its own chain holds
    let (checked, found) = store.verify_log(&[key().public().clone()], &[]).await.unwrap();
    assert_eq!((checked.begins, found), (1, Vec::new()));
    assert_eq!(store.audit(None).await.unwrap().broken, []);
    // once it is over, too, it goes after as long again
    resolve(&store, "shared").await;
    store.resolve_incident(first.id, Vec::new()).await.unwrap();
    assert_eq!(prune(&store, db.clock.now()).await, Pruned::default());
    db.advance(DAY);
    let pruned = prune(&store, db.clock.now()).await;
    assert_eq!((pruned.incidents, pruned.episodes), (1, 0), "its episode belongs to another");
}

async fn what_goes_is_archived_before_and_stays_when_it_cannot_be(db: Database) {
    let store = db.store().await;
    let (incident, _) = over(&store, "A").await;
    db.advance(DAY);
    // what is not in the log yet is not let go
    assert_eq!(store.prune(db.clock.now(), 10, None).await.unwrap(), Pruned::default());
    seal(&store).await;
    let full = |_: &[u8]| Err(std::io::Error::other("the disk is full"));
    let before = counts(&db).await;
    let error = store.prune(db.clock.now(), 10, Some(&full)).await.unwrap_err();
    assert_eq!(error.to_string(), "the archive could not be written: the disk is full");
    assert_eq!(counts(&db).await, before, "nothing is gone");
    let kept = Mutex::new(Vec::new());
    let keep = |lines: &[u8]| {
        kept.lock().unwrap().extend_from_slice(lines);
        Ok(())
    };
    assert_eq!(store.prune(db.clock.now(), 10, Some(&keep)).await.unwrap().incidents, 1);
    let text = String::from_utf8(kept.into_inner().unwrap()).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut tables: Vec<&str> = lines.iter().map(|it| it["table"].as_str().unwrap()).collect();
    tables.sort_unstable();
    let expected = [
        "episodes",
        "incident_episodes",
        "incidents",
        "outbox",
        "run_events",
        "run_events",
        "runs",
    ];
    assert_eq!(tables, expected);
    let row = lines.iter().find(|it| it["table"] == "incidents").unwrap();
    assert_eq!(row["row"]["id"], incident.0);
    assert_eq!(row["row"]["title"], "api: HighErrorRate, critical");
}

async fn single_rows_that_nobody_needs_go(db: Database) {
    let store = db.store().await;
    let raw = db.raw().await;
    for sql in [
        "INSERT INTO used_links (digest, by_whom, at) VALUES ('a', 'dana', 1), ('b', 'dana', 9)",
        "INSERT INTO changes (id, target, by_whom, reason, at) VALUES (1, 't', 'dana', '', 1), (2, 't', 'dana', '', 9)",
        "INSERT INTO trust (id, rule, mode, why, by_whom, at) VALUES (1, 'r', 'approve', '', '', 1), (2, 'r', 'auto', '', 'dana', 2),
           (3, 'other', 'observe', '', '', 1)",
        "INSERT INTO chronic (rule, target, summary, told_at, over_at) VALUES ('r', 't', '', 1, 0), ('r', 'u', '', 1, 2)",
    ] {
        sqlx::query(sql).execute(&raw).await.unwrap();
    }
    let pruned = prune(&store, Timestamp::from_microsecond(5).unwrap()).await;
    assert_eq!((pruned.rows, pruned.leaves), (4, 4));
    let left = async |table: &str| count(&db, table).await;
    let left = [
        left("used_links").await,
        left("changes").await,
        left("trust").await,
        left("chronic").await,
    ];
    assert_eq!(left, [1, 1, 2, 1], "the last word on a rule holds for ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_filled_and_pruned_again_and_again_does_not_grow() {
    let db = Database::sqlite();
    let store = db.store().await;
    let mut sizes = Vec::new();
    for cycle in 0..10 {
        for number in 0..40 {
            over(&store, &format!("{cycle}-{number}")).await;
        }
        db.advance(DAY);
        assert_eq!(prune(&store, db.clock.now()).await.incidents, 40);
        let pages = number(&db.raw().await, "SELECT page_count FROM pragma_page_count").await;
        sizes.push(pages);
    }
    let (first, last) = (sizes[0], sizes[9]);
    assert!(last <= first + first / 10 + 4, "pages after each cycle: {sizes:?}");
    eprintln!("pages of the file after each of 10 cycles: {sizes:?}");
}

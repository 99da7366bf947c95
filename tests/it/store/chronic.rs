//! What is fixed again and again (G18), counted from the store.

use super::*;

on_each_engine!(
    g18_fixes_are_counted_with_the_time_from_the_alert_to_the_end,
    g18_what_is_chronic_is_told_once_in_the_span,
);

const DAY: Duration = Duration::from_hours(24);

/// A run that ends in this state after ten seconds of trouble.
async fn run(db: &Database, store: &Store, name: &str, state: RunState) {
    let episode = fire(store, name).await;
    db.advance(10);
    create(store, &plan("process/shop", IncidentId(episode.0), episode)).await;
    let mut claim = store.claim_run("w", LEASE).await.unwrap().unwrap();
    append(store, &mut claim, Event::VerifyStarted, state).await.unwrap();
}

async fn g18_fixes_are_counted_with_the_time_from_the_alert_to_the_end(db: Database) {
    let store = db.store().await;
    run(&db, &store, "A", RunState::Fixed).await;
    run(&db, &store, "B", RunState::Failed).await;
    run(&db, &store, "C", RunState::Fixed).await;
    let fixes = store.fixes(at(0)).await.unwrap();
    let seen: Vec<_> = fixes.iter().map(|it| (it.took.as_secs(), it.at)).collect();
    assert_eq!(seen, [(10, at(10)), (10, at(30))]);
    assert_eq!((fixes[0].rule.as_str(), fixes[0].target.as_str()), ("r", "process/shop"));
    assert_eq!(store.fixes(at(10)).await.unwrap().len(), 1, "later than that");
}

/// Given a target that is chronic, when it is fixed more often still, or was over and is again within a day, then nobody is told a
/// second time.
async fn g18_what_is_chronic_is_told_once_in_the_span(db: Database) {
    let store = db.store().await;
    let told = async || {
        let rows = store.chronic().await.unwrap();
        (rows[0].summary.clone(), rows[0].told_at, rows[0].over_at)
    };
    store.note_chronic("r", "process/shop", "6 times", DAY).await.unwrap();
    db.advance(60);
    store.note_chronic("r", "process/shop", "7 times", DAY).await.unwrap();
    assert_eq!(told().await, ("6 times".into(), at(0), None));
    store.end_chronic("r", "process/shop").await.unwrap();
    assert_eq!(told().await.2, Some(at(60)));
    db.advance(DAY.as_secs() - 61);
    store.note_chronic("r", "process/shop", "6 times again", DAY).await.unwrap();
    assert_eq!(told().await.1, at(0), "a second before a day is over");
    db.advance(1);
    store.note_chronic("r", "process/shop", "6 times again", DAY).await.unwrap();
    assert_eq!(told().await, ("6 times again".into(), at(86_400), None));
    store.note_chronic("other", "process/shop", "6 times", DAY).await.unwrap();
    assert_eq!(store.chronic().await.unwrap().len(), 2, "by rule and target");
}

//! The journal's hash chain: whatever is changed behind quell's back, an audit names the run and the entry.

use quell::model::run::Intent;
use quell::model::run::Outcome;
use quell::model::run::Stop;
use quell::store::audit::Broken;

use super::*;

on_each_engine!(
    an_untouched_journal_is_whole,
    an_audit_names_the_run_and_the_entry,
    a_missing_journal_and_a_wrong_end_are_found,
    one_run_can_be_audited_alone,
    a_run_at_work_is_no_broken_chain,
    entries_are_read_as_they_were_written,
);

fn started() -> Event {
    let intent = Intent {
        action: None,
        previous: None,
        timeout: Duration::from_millis(1_500),
        key: "r-1/1".into(),
    };
    Event::StepStarted { step: 0, item: None, attempt: 1, intent }
}

fn unknown() -> Event {
    let outcome = Outcome::Unknown { reason: "connection “reset” \\ by \u{1f4a5}".into() };
    Event::StepEnded { step: 0, item: None, outcome, jitter: 999 }
}

/// Two runs with five entries each.
async fn two_journals(db: &Database) -> Store {
    let store = db.store().await;
    for number in 1..=2 {
        create_for(&store, number).await;
        let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
        append(&store, &mut claim, started(), RunState::Running).await.unwrap();
        db.advance(1);
        append(&store, &mut claim, unknown(), RunState::InDoubt).await.unwrap();
        let settled = Event::Settled { by: "ada".into(), happened: false };
        append(&store, &mut claim, settled, RunState::Running).await.unwrap();
        let stop = Event::Stopped { why: Stop::Cancelled { by: "ada".into() } };
        append(&store, &mut claim, stop, RunState::Cancelled).await.unwrap();
    }
    store
}

async fn an_untouched_journal_is_whole(db: Database) {
    let audit = two_journals(&db).await.audit(None).await.unwrap();
    assert_eq!((audit.runs, audit.events, audit.broken), (2, 10, Vec::new()));
}

/// What is done to run 2, the entry at which it shows, and the words for it.
fn tampering() -> [(&'static str, &'static [&'static str], i64, &'static str); 10] {
    let changed = "the entry was changed";
    let missing = "an entry is missing";
    [
        (
            "an edited body",
            &["UPDATE run_events SET body = replace(body, 'ada', 'bob') WHERE run = 2 AND seq = 4"],
            4,
            changed,
        ),
        (
            "an edited time",
            &["UPDATE run_events SET at = at - 1 WHERE run = 2 AND seq = 3"],
            3,
            changed,
        ),
        (
            "an edited hash",
            &["UPDATE run_events SET hash = replace(hash, '0', '1') WHERE run = 2 AND seq = 2"],
            2,
            changed,
        ),
        (
            "the first entry dropped",
            &["DELETE FROM run_events WHERE run = 2 AND seq = 1"],
            1,
            missing,
        ),
        ("a dropped entry", &["DELETE FROM run_events WHERE run = 2 AND seq = 3"], 3, missing),
        (
            "a dropped entry, the others moved up",
            &[
                "DELETE FROM run_events WHERE run = 2 AND seq = 3",
                "UPDATE run_events SET seq = 3 WHERE run = 2 AND seq = 4",
                "UPDATE run_events SET seq = 4 WHERE run = 2 AND seq = 5",
            ],
            3,
            changed,
        ),
        (
            "a swapped order",
            &[
                "UPDATE run_events SET seq = 99 WHERE run = 2 AND seq = 3",
                "UPDATE run_events SET seq = 3 WHERE run = 2 AND seq = 4",
                "UPDATE run_events SET seq = 4 WHERE run = 2 AND seq = 99",
            ],
            3,
            changed,
        ),
        (
            "an entry of another run",
            &[
                "DELETE FROM run_events WHERE run = 2 AND seq = 2",
                "UPDATE run_events SET run = 2 WHERE run = 1 AND seq = 2",
            ],
            2,
            changed,
        ),
        (
            "a truncated tail",
            &["DELETE FROM run_events WHERE run = 2 AND seq = 5"],
            5,
            "the end of the journal is missing",
        ),
        (
            "an edited plan",
            &["UPDATE runs SET plan = replace(plan, '\"t-2\"', '\"t-9\"') WHERE id = 2"],
            0,
            "the plan is not the one that was approved",
        ),
    ]
}

async fn an_audit_names_the_run_and_the_entry(db: Database) {
    let store = two_journals(&db).await;
    let raw = db.raw().await;
    let save = [
        "CREATE TABLE saved_events AS SELECT * FROM run_events",
        "CREATE TABLE saved_runs AS SELECT * FROM runs",
    ];
    for sql in save {
        sqlx::query(sql).execute(&raw).await.unwrap();
    }
    for (name, tampering, seq, what) in tampering() {
        for sql in tampering {
            change_one(&raw, sql).await;
        }
        let broken = store.audit(None).await.unwrap().broken;
        let expected = Broken { run: RunId(2), seq, what: what.into() };
        assert!(broken.contains(&expected), "{name}: {broken:?}");
        assert!(broken.iter().all(|it| it.run == RunId(2) || name.contains("another")), "{name}");
        for sql in [
            "DELETE FROM run_events",
            "DELETE FROM runs",
            "INSERT INTO run_events SELECT * FROM saved_events",
            "INSERT INTO runs SELECT * FROM saved_runs",
        ] {
            sqlx::query(sql).execute(&raw).await.unwrap();
        }
    }
}

async fn a_missing_journal_and_a_wrong_end_are_found(db: Database) {
    let store = two_journals(&db).await;
    let raw = db.raw().await;
    sqlx::query("DELETE FROM run_events WHERE run = 2").execute(&raw).await.unwrap();
    change_one(&raw, "UPDATE runs SET head = 'x' WHERE id = 1").await;
    let broken = store.audit(None).await.unwrap().broken;
    let found: Vec<_> = broken.iter().map(|it| (it.run.0, it.seq, it.what.as_str())).collect();
    assert_eq!(
        found,
        [
            (1, 5, "the journal does not end as the run says"),
            (2, 1, "the end of the journal is missing")
        ]
    );
}

async fn one_run_can_be_audited_alone(db: Database) {
    let store = two_journals(&db).await;
    change_one(&db.raw().await, "DELETE FROM run_events WHERE run = 2 AND seq = 5").await;
    let (whole, broken) =
        (store.audit(Some(RunId(1))).await.unwrap(), store.audit(Some(RunId(2))).await.unwrap());
    assert_eq!((whole.runs, whole.events, whole.broken.len()), (1, 5, 0));
    assert_eq!((broken.runs, broken.events, broken.broken.len()), (1, 4, 1));
}

async fn a_run_at_work_is_no_broken_chain(db: Database) {
    let (store, worker) = (db.store().await, db.store().await);
    create_for(&store, 1).await;
    let mut claim = worker.claim_run("worker", LEASE).await.unwrap().unwrap();
    let work = async {
        for _ in 0..60 {
            append(&worker, &mut claim, started(), RunState::Running).await.unwrap();
            append(&worker, &mut claim, unknown(), RunState::Running).await.unwrap();
        }
    };
    let watch = async {
        loop {
            assert_eq!(store.audit(None).await.unwrap().broken, []);
        }
    };
    tokio::select! {
        () = work => {}
        () = watch => {}
    }
}

async fn entries_are_read_as_they_were_written(db: Database) {
    let store = db.store().await;
    let run = create_for(&store, 1).await;
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    for event in [started(), unknown()] {
        db.clock.advance(Duration::from_micros(333_333));
        append(&store, &mut claim, event, RunState::Running).await.unwrap();
    }
    let read = store.journal(run).await.unwrap();
    assert_eq!(read, claim.entries);
    let found: Vec<_> = read.into_iter().skip(1).map(|it| (it.seq, it.event)).collect();
    assert_eq!(found, [(2, started()), (3, unknown())]);
}

//! The audit's log: whatever is recorded becomes a leaf, once, whoever seals it, and checkpoints are signed over it.

use futures_util::future::join_all;
use quell::decide::audit::merkle::Range;
use quell::decide::audit::note::Checkpoint;
use quell::decide::audit::note::PrivateKey;
use quell::decide::audit::note::succession;
use quell::model::change::Changed;
use quell::store::audit::findings::Finding;
use quell::store::audit::verify::Verifier;

use super::*;

on_each_engine!(
    every_record_becomes_a_leaf_once,
    sealers_that_race_make_one_log,
    what_an_older_quell_writes_is_sealed_too,
    a_log_goes_on_without_its_beginning,
    a_log_that_is_corrupt_is_not_sealed,
    a_key_and_those_that_follow_it_are_written_down_once,
    checkpoints_of_one_minute_are_thinned_and_the_newest_is_anchored,
    a_log_that_grows_while_it_is_checked_is_sound,
    findings_stay_until_they_are_mended_or_accepted,
);

pub(super) fn key() -> PrivateKey {
    PrivateKey::of("quell.example.com", [7; 32]).unwrap()
}

/// Signs as a server does.
pub(super) fn sign(range: &Range) -> Option<String> {
    key().sign(&Checkpoint::of("quell.example.com", range).text())
}

pub(super) async fn seal(store: &Store) -> u64 {
    store.seal(1000, &sign).await.unwrap()
}

pub(super) async fn findings(store: &Store) -> Vec<Finding> {
    store.verify_log(&[key().public().clone()], &[]).await.unwrap().1
}

async fn every_record_becomes_a_leaf_once(db: Database) {
    let store = db.store().await;
    create_for(&store, 1).await;
    let change =
        Changed { target: "t".into(), by: "ada".into(), reason: "a \"b\"\nc".into(), at: at(1) };
    store.add_change(&change).await.unwrap();
    assert_eq!(store.standing().await.unwrap().waiting, 2);
    assert_eq!(seal(&store).await, 2);
    assert_eq!(seal(&store).await, 0);
    let standing = store.standing().await.unwrap();
    assert_eq!((standing.size, standing.waiting, standing.signed), (2, 0, 2));
    let (checked, found) = store.verify_log(&[key().public().clone()], &[]).await.unwrap();
    assert_eq!(found, []);
    assert_eq!((checked.leaves, checked.checkpoints, checked.signed), (2, 1, 2));
    // what is forgotten after a month is still in the log
    let raw = db.raw().await;
    change_one(&raw, "DELETE FROM changes").await;
    assert_eq!(findings(&store).await, []);
}

async fn sealers_that_race_make_one_log(db: Database) {
    let store = db.store().await;
    for number in 1..=40 {
        create_for(&store, number).await;
    }
    let sealers = (0..4).map(async |_| {
        let mut made = 0;
        while store.standing().await.unwrap().waiting > 0 {
            made += store.seal(3, &sign).await.unwrap();
        }
        made
    });
    let made: u64 = join_all(sealers).await.into_iter().sum();
    assert_eq!((made, store.log().await.unwrap().range.size()), (40, 40));
    assert_eq!(findings(&store).await, []);
}

async fn what_an_older_quell_writes_is_sealed_too(db: Database) {
    let store = db.store().await;
    create_for(&store, 1).await;
    seal(&store).await;
    let raw = db.raw().await;
    // as version 1 does it: it knows of no log
    change_one(
        &raw,
        "INSERT INTO changes (id, target, by_whom, reason, at) VALUES (9, 't', 'ada', 'why', 5)",
    )
    .await;
    assert_eq!(seal(&store).await, 1);
    assert_eq!(findings(&store).await, []);
}

async fn a_log_goes_on_without_its_beginning(db: Database) {
    let store = db.store().await;
    for number in 1..=7 {
        create_for(&store, number).await;
    }
    seal(&store).await;
    let five = {
        let mut range = Range::default();
        let raw = db.raw().await;
        for row in sqlx::query_scalar::<_, String>(
            "SELECT hash FROM log_leaves WHERE leaf < 5 ORDER BY leaf",
        )
        .fetch_all(&raw)
        .await
        .unwrap()
        {
            range.push(quell::decide::audit::merkle::from_hex(&row).unwrap());
        }
        range
    };
    let peaks: Vec<String> =
        five.peaks().iter().map(|hash| quell::decide::audit::merkle::hex(hash)).collect();
    let raw = db.raw().await;
    // what pruning does, in one transaction
    sqlx::query("UPDATE log SET pruned = 5, pruned_peaks = $1")
        .bind(peaks.join(" "))
        .execute(&raw)
        .await
        .unwrap();
    for sql in [
        "DELETE FROM log_leaves WHERE leaf < 5",
        "DELETE FROM run_events WHERE run <= 5",
        "DELETE FROM runs WHERE id <= 5",
    ] {
        sqlx::query(sql).execute(&raw).await.unwrap();
    }
    create_for(&store, 8).await;
    seal(&store).await;
    let (checked, found) = store.verify_log(&[key().public().clone()], &[]).await.unwrap();
    assert_eq!(found, []);
    assert_eq!((checked.begins, checked.leaves, checked.signed), (5, 3, 8));
}

async fn a_log_that_is_corrupt_is_not_sealed(db: Database) {
    let store = db.store().await;
    create_for(&store, 1).await;
    seal(&store).await;
    create_for(&store, 2).await;
    let raw = db.raw().await;
    for (sql, words) in [
        ("UPDATE log SET peaks = ''", "peaks of the audit log do not belong to its size"),
        ("UPDATE run_events SET logged = 0 WHERE run = 1", "r-1/1 cannot become leaf 1"),
        ("DELETE FROM log", "the row of the audit log is missing"),
    ] {
        let before: String =
            sqlx::query_scalar("SELECT peaks FROM log").fetch_one(&raw).await.unwrap();
        change_one(&raw, sql).await;
        let error = store.seal(1000, &sign).await.unwrap_err().to_string();
        assert!(error.contains(words), "{sql}: {error}");
        sqlx::query("UPDATE log SET peaks = $1").bind(before).execute(&raw).await.unwrap();
        sqlx::query("UPDATE run_events SET logged = 1 WHERE run = 1").execute(&raw).await.unwrap();
    }
    // nobody who records something is held up by that
    create_for(&store, 3).await;
    assert_eq!(store.audit(None).await.unwrap().broken, []);
}

async fn a_key_and_those_that_follow_it_are_written_down_once(db: Database) {
    let store = db.store().await;
    let new = PrivateKey::of("quell.example.com", [8; 32]).unwrap();
    assert!(store.add_key(key().public(), "", &sign).await.unwrap());
    assert!(!store.add_key(key().public(), "", &sign).await.unwrap());
    let note = succession(&key(), &new).unwrap();
    assert!(store.add_key(new.public(), &note, &sign).await.unwrap());
    create_for(&store, 1).await;
    let by_new = |range: &Range| new.sign(&Checkpoint::of("quell.example.com", range).text());
    store.seal(1000, &by_new).await.unwrap();
    let names: Vec<String> =
        store.log_keys().await.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(names, [key().public().to_string(), new.public().to_string()]);
    for trusted in [key().public(), new.public()] {
        let (checked, found) = store.verify_log(std::slice::from_ref(trusted), &[]).await.unwrap();
        assert_eq!(found, [], "{trusted}");
        assert_eq!((checked.leaves, checked.signed), (3, 3));
    }
    let stranger = PrivateKey::of("quell.example.com", [9; 32]).unwrap();
    let (checked, found) = store.verify_log(&[stranger.public().clone()], &[]).await.unwrap();
    assert_eq!(checked.checkpoints, 0);
    assert!(found[0].what.contains("no signature of it is by a key that is trusted"), "{found:?}");
}

async fn checkpoints_of_one_minute_are_thinned_and_the_newest_is_anchored(db: Database) {
    let store = db.store().await;
    for number in 1..=4 {
        create_for(&store, number).await;
        seal(&store).await;
        if number == 2 {
            let (size, note) = store.unanchored().await.unwrap().unwrap();
            assert_eq!(size, 2);
            assert!(Checkpoint::open(&note, &[key().public().clone()]).is_ok());
            store.anchored(size).await.unwrap();
            assert_eq!(store.unanchored().await.unwrap(), None);
        }
    }
    db.advance(60);
    create_for(&store, 5).await;
    seal(&store).await;
    let sizes: Vec<u64> =
        store.checkpoints(0).await.unwrap().into_iter().map(|(size, _)| size).collect();
    assert_eq!(sizes, [2, 4, 5]);
    assert_eq!(findings(&store).await, []);
}

async fn a_log_that_grows_while_it_is_checked_is_sound(db: Database) {
    let (store, other) = (db.store().await, db.store().await);
    let keys = [key().public().clone()];
    let write = async {
        for number in 1..=60 {
            create_for(&other, number).await;
            db.advance(20);
            seal(&other).await;
        }
    };
    let watch = async {
        let mut watched = Verifier::begin(&store, &keys, &[]).await.unwrap();
        loop {
            assert_eq!(store.verify_log(&keys, &[]).await.unwrap().1, []);
            while watched.step(&store, 7).await.unwrap() {}
            watched.finish();
            assert_eq!(watched.take(), []);
            watched.refresh(&store, &keys).await.unwrap();
        }
    };
    tokio::select! {
        () = write => {}
        () = watch => {}
    }
}

async fn findings_stay_until_they_are_mended_or_accepted(db: Database) {
    let store = db.store().await;
    let finding = |place: &str| Finding { place: place.into(), what: "changed".into() };
    store.note_findings(&[finding("r-1/1"), finding("r-1/2")]).await.unwrap();
    db.advance(10);
    let began = store.clock().now();
    store.note_findings(&[finding("r-1/2")]).await.unwrap();
    store.mend_findings(began).await.unwrap();
    let open = store.open_findings().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((&open[0].finding, open[0].since), (&finding("r-1/2"), at(0)));
    assert_eq!(store.accept_findings("ada").await.unwrap(), 1);
    db.advance(10);
    store.note_findings(&[finding("r-1/2")]).await.unwrap();
    assert_eq!(store.open_findings().await.unwrap(), []);
}

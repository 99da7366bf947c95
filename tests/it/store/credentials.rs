//! Credentials that were refused (G19): written with the entry of the call, until a person clears them.

use quell::model::run::Outcome;
use quell::store::credentials::Denial;
use quell::store::credentials::Refusal;

use super::*;

on_each_engine!(
    g19_a_refusal_is_written_with_the_entry_of_its_call_or_not_at_all,
    g19_the_first_refusal_counts_until_a_person_clears_it,
    g19_what_was_judged_before_a_refusal_is_judged_again,
);

const SHOP: &str = "targets.http.shop";

fn refusal(reason: &str, mark: &str) -> Refusal {
    Refusal { credential: SHOP.into(), reason: reason.into(), mark: mark.into() }
}

fn ended(reason: &str) -> Event {
    let outcome = Outcome::Denied { credentials: vec![SHOP.into()], reason: reason.into() };
    Event::StepEnded { step: 0, item: None, outcome, jitter: 0 }
}

async fn deny(store: &Store, claim: &mut Claim, refusal: Refusal) -> Result<(), StoreError> {
    let entry = entry(claim, store.clock().now(), ended(&refusal.reason));
    let row = row(RunState::Running);
    store.append_denied(claim, entry, &row, Vec::new(), &[refusal]).await
}

async fn claimed(store: &Store, number: i64) -> Claim {
    create_for(store, number).await;
    store.claim_run("w", LEASE).await.unwrap().unwrap()
}

async fn g19_a_refusal_is_written_with_the_entry_of_its_call_or_not_at_all(db: Database) {
    let store = db.store().await;
    let mut claim = claimed(&store, 1).await;
    let mut fenced = claim.clone();
    db.advance(5);
    deny(&store, &mut claim, refusal("answered 401 a\0b", "m1")).await.unwrap();
    let denial = Denial {
        credential: SHOP.into(),
        at: at(5),
        reason: "answered 401 a\u{fffd}b".into(),
        run: claim.run,
        playbook: "restart".into(),
        mark: "m1".into(),
        cleared_at: None,
        cleared_by: String::new(),
    };
    assert_eq!(store.denials().await.unwrap(), [denial]);
    assert_eq!(store.journal(claim.run).await.unwrap().len(), 2);
    store.clear_denial(SHOP, "dana").await.unwrap();
    let late = deny(&store, &mut fenced, refusal("late", "m2")).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert!(
        store.denials().await.unwrap()[0].cleared_at.is_some(),
        "nothing of a fenced entry is kept"
    );
}

async fn g19_the_first_refusal_counts_until_a_person_clears_it(db: Database) {
    let store = db.store().await;
    let mut claim = claimed(&store, 1).await;
    assert!(!store.clear_denial(SHOP, "dana").await.unwrap(), "there is nothing to clear");
    deny(&store, &mut claim, refusal("first", "m1")).await.unwrap();
    db.advance(10);
    deny(&store, &mut claim, refusal("second", "m2")).await.unwrap();
    let [kept] = &store.denials().await.unwrap()[..] else { panic!() };
    assert_eq!((kept.reason.as_str(), kept.at, kept.mark.as_str()), ("first", at(0), "m1"));
    // also after a restart, and for every replica
    let other = db.store().await;
    assert!(other.clear_denial(SHOP, "dana").await.unwrap());
    assert!(!store.clear_denial(SHOP, "kim").await.unwrap(), "once");
    let [cleared] = &store.denials().await.unwrap()[..] else { panic!() };
    assert_eq!((cleared.cleared_at, cleared.cleared_by.as_str()), (Some(at(10)), "dana"));
    db.advance(10);
    deny(&store, &mut claim, refusal("again", "m3")).await.unwrap();
    let [again] = &store.denials().await.unwrap()[..] else { panic!() };
    assert_eq!((again.reason.as_str(), again.at, again.cleared_at), ("again", at(20), None));
    assert_eq!(again.cleared_by, "");
}

async fn g19_what_was_judged_before_a_refusal_is_judged_again(db: Database) {
    let store = db.store().await;
    let mut claim = claimed(&store, 1).await;
    let version = store.facts_version().await.unwrap();
    deny(&store, &mut claim, refusal("answered 401", "")).await.unwrap();
    let plan = plan("t-2", IncidentId(2), EpisodeId(2));
    let created = store.create_run(version, &plan, 0, |_| Vec::new()).await;
    assert!(matches!(created, Err(StoreError::Changed)), "{created:?}");
}

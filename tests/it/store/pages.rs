//! Pages that are held: due at their deadline whoever lives, sent once, and sent with anything that needs a person.

use quell::model::incident::Incident;

use super::*;

on_each_engine!(
    a_held_page_is_due_at_its_deadline_and_acknowledgement_counts_from_the_page,
    a_page_is_sent_once,
    whatever_needs_a_person_ends_the_hold_in_the_same_transaction,
    a_page_that_is_spared_is_not_due_again_until_more_trouble_joins,
    an_acknowledged_or_resolved_incident_is_not_paged_at_the_deadline,
    a_schedule_is_silent_and_never_due_until_something_needs_a_person,
);

const ACK_WITHIN: Duration = Duration::from_mins(15);

/// An incident whose page is held for ten minutes.
async fn held(store: &Store) -> Incident {
    let episode = fire(store, "A").await;
    let new = Incident { held_until: Some(at(600)), ..incident("r", "A") };
    let opened =
        store.incident_for(&new, episode, Some(ACK_WITHIN), |_| false, |_| Vec::new()).await;
    opened.unwrap().0
}

async fn now(store: &Store, incident: &Incident) -> Incident {
    store.incident(incident.id).await.unwrap().unwrap()
}

fn needs_you(incident: &Incident, channel: &str) -> Owed {
    let mut owed = owed(incident.id, channel, "look");
    owed.notice.kind = NoticeKind::NeedsYou;
    owed
}

async fn told(store: &Store, incident: &Incident) -> usize {
    store.notifications_of(incident.id).await.unwrap().len()
}

async fn a_held_page_is_due_at_its_deadline_and_acknowledgement_counts_from_the_page(db: Database) {
    let store = db.store().await;
    let incident = held(&store).await;
    assert_eq!(incident.held_until, Some(at(600)));
    db.advance(599);
    assert!(store.claim_incident(LEASE).await.unwrap().is_none());
    db.advance(1);
    let due = store.claim_incident(LEASE).await.unwrap().unwrap();
    assert_eq!((due.incident.id, due.incident.held_until), (incident.id, Some(at(600))));
    // whoever claimed it died: it is due again when the lease ends
    assert!(store.claim_incident(LEASE).await.unwrap().is_none());
    db.advance(30);
    let due = store.claim_incident(LEASE).await.unwrap().unwrap();
    let page = vec![needs_you(&incident, "pager")];
    assert!(store.page_incident(due.incident.id, page).await.unwrap());
    assert_eq!(now(&store, &incident).await.held_until, None);
    db.advance(899);
    assert!(store.claim_incident(LEASE).await.unwrap().is_none());
    db.advance(1);
    let unanswered = store.claim_incident(LEASE).await.unwrap().unwrap();
    assert_eq!((unanswered.incident.id, unanswered.incident.held_until), (incident.id, None));
}

async fn a_page_is_sent_once(db: Database) {
    let store = db.store().await;
    let incident = held(&store).await;
    let page = || vec![needs_you(&incident, "pager"), needs_you(&incident, "slack")];
    assert!(store.page_incident(incident.id, page()).await.unwrap());
    assert!(!store.page_incident(incident.id, page()).await.unwrap());
    assert_eq!(told(&store, &incident).await, 2);
}

async fn whatever_needs_a_person_ends_the_hold_in_the_same_transaction(db: Database) {
    let store = db.store().await;
    let incident = held(&store).await;
    store.tell(vec![owed(incident.id, "slack", "progress")]).await.unwrap();
    assert_eq!(now(&store, &incident).await.held_until, Some(at(600)));
    let page = vec![needs_you(&incident, "pager"), needs_you(&incident, "slack")];
    assert!(store.escalate_incident(incident.id, page).await.unwrap());
    assert_eq!(now(&store, &incident).await.held_until, None);
    db.advance(600);
    assert!(store.claim_incident(LEASE).await.unwrap().is_none(), "no second page at the deadline");
    db.advance(300);
    assert!(store.claim_incident(LEASE).await.unwrap().is_some(), "nobody acknowledged");
}

async fn a_page_that_is_spared_is_not_due_again_until_more_trouble_joins(db: Database) {
    let store = db.store().await;
    let incident = held(&store).await;
    db.advance(600);
    let due = store.claim_incident(LEASE).await.unwrap().unwrap();
    store.spare_page(&due).await.unwrap();
    db.advance(100_000);
    assert!(store.claim_incident(LEASE).await.unwrap().is_none());
    assert_eq!(now(&store, &incident).await.held_until, Some(at(600)), "nobody was paged");

    let more = fire(&store, "B").await;
    let opened_at = store.clock().now();
    let held_until = Some(after(opened_at, Duration::from_mins(10)));
    let new = Incident { opened_at, held_until, ..super::incident("r", "A") };
    let (joined, opened) =
        store.incident_for(&new, more, None, |_| false, |_| Vec::new()).await.unwrap();
    assert!(!opened && joined.id == incident.id);
    assert_eq!(now(&store, &incident).await.held_until, held_until);
    db.advance(599);
    assert!(store.claim_incident(LEASE).await.unwrap().is_none());
    db.advance(1);
    assert!(store.claim_incident(LEASE).await.unwrap().is_some());
}

async fn an_acknowledged_or_resolved_incident_is_not_paged_at_the_deadline(db: Database) {
    let store = db.store().await;
    let incident = held(&store).await;
    store.acknowledge(incident.id, "dana", None, |_| Vec::new()).await.unwrap();
    db.advance(600);
    assert!(store.claim_incident(LEASE).await.unwrap().is_none());
    // what needs a person still ends the hold, and asks for no second acknowledgement
    store.tell(vec![needs_you(&incident, "pager")]).await.unwrap();
    assert_eq!(now(&store, &incident).await.held_until, None);
    db.advance(100_000);
    assert!(store.claim_incident(LEASE).await.unwrap().is_none());
    resolve(&store, "A").await;
    assert!(store.resolve_incident(incident.id, Vec::new()).await.unwrap());
}

async fn a_schedule_is_silent_and_never_due_until_something_needs_a_person(db: Database) {
    let store = db.store().await;
    let episode = fire(&store, "A").await;
    let new = Incident { held_until: Some(at(0)), ..incident("schedule:backup", "backup") };
    let (incident, _) = store
        .incident_for(&new, episode, Some(ACK_WITHIN), |_| false, |_| Vec::new())
        .await
        .unwrap();
    db.advance(100_000);
    assert!(store.claim_incident(LEASE).await.unwrap().is_none());
    store.escalate_incident(incident.id, vec![needs_you(&incident, "slack")]).await.unwrap();
    db.advance(900);
    assert!(store.claim_incident(LEASE).await.unwrap().is_some(), "nobody acknowledged");
}

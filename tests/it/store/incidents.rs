//! Incidents: one open for a rule and group, acknowledged once, escalated once, resolved when all is over.

use futures_util::future::join_all;
use quell::model::playbook::Rate;

use super::*;

on_each_engine!(
    episodes_of_one_group_share_an_incident,
    what_is_louder_makes_the_incident_it_joins_as_loud_and_is_told,
    a_group_of_odd_text_is_found_again,
    replicas_open_one_incident_and_tell_once,
    an_incident_resolves_only_when_all_its_episodes_are_closed,
    after_a_resolution_the_group_gets_a_new_incident,
    a_second_acknowledgement_changes_nothing,
    a_link_is_remembered_with_who_used_it,
    an_incident_is_escalated_once,
    who_does_not_answer_in_time_is_told_of_once,
    an_answer_in_time_stops_the_reminder,
    incidents_are_listed_by_status_and_cursor,
    g05_the_third_incident_of_a_group_within_the_span_is_the_last_one_again,
);

async fn g05_the_third_incident_of_a_group_within_the_span_is_the_last_one_again(db: Database) {
    let store = db.store().await;
    let limit = Rate { count: 2, per: Duration::from_mins(15) };
    let flaps = |incident: &Incident| vec![owed(incident.id, "slack", "flaps")];
    let new = |seconds: i64| Incident { opened_at: at(seconds), ..incident("r", "g") };
    for turn in 0..2 {
        let again = store.flaps(&new(turn * 60), limit, None, flaps).await.unwrap();
        assert!(!again, "{turn}: one more may open");
        let episode = fire(&store, "A").await;
        let opened =
            store.incident_for(&new(turn * 60), episode, None, |_| false, |_| Vec::new()).await;
        let id = opened.unwrap().0.id;
        resolve(&store, "A").await;
        assert!(store.resolve_incident(id, Vec::new()).await.unwrap());
        assert_eq!(store.flapped(id).await.unwrap(), None);
        db.advance(60);
    }
    assert!(
        !store.flaps(&Incident { rule: "q".into(), ..new(120) }, limit, None, flaps).await.unwrap()
    );
    assert!(store.flaps(&new(120), limit, None, flaps).await.unwrap());
    assert!(!store.flaps(&new(121), limit, None, flaps).await.unwrap(), "it is open already");
    let open = store.open_incident("r", "g").await.unwrap().unwrap();
    assert_eq!((open.id, open.resolved_at), (IncidentId(2), None));
    assert_eq!(told(&store, open.id).await, ["flaps"]);
    assert!(store.flapped(open.id).await.unwrap().is_some());
    // when the first of the two is old, another one may open
    store.resolve_incident(open.id, Vec::new()).await.unwrap();
    assert!(!store.flaps(&new(15 * 60), limit, None, flaps).await.unwrap());
}

async fn told(store: &Store, incident: IncidentId) -> Vec<String> {
    let all = store.notifications_of(incident).await.unwrap();
    all.into_iter().map(|it| it.notice.headline).collect()
}

async fn episodes_of_one_group_share_an_incident(db: Database) {
    let store = db.store().await;
    let (a, b) = (fire(&store, "A").await, fire(&store, "B").await);
    let opened = |incident: &Incident| vec![owed(incident.id, "slack", "opened")];
    let new = incident("r", "g");
    let (first, is_new) = store.incident_for(&new, a, None, |_| false, opened).await.unwrap();
    assert!(is_new);
    assert_eq!(first, Incident { id: IncidentId(1), ..new.clone() });
    for episode in [a, b, b] {
        let (found, is_new) =
            store.incident_for(&new, episode, None, |_| false, opened).await.unwrap();
        assert_eq!((found, is_new), (first.clone(), false));
    }
    assert_eq!(told(&store, first.id).await, ["opened"]);
    let episodes = store.episodes_of(first.id).await.unwrap();
    assert_eq!(episodes.iter().map(|it| it.id).collect::<Vec<_>>(), [a, b]);
    for other in [incident("r", "other"), incident("other", "g"), incident("", "g")] {
        let (_, is_new) = store.incident_for(&other, a, None, |_| false, opened).await.unwrap();
        assert!(is_new, "{other:?}");
    }
    let episode = store.episode(a).await.unwrap().unwrap();
    assert_eq!(store.incidents_of(&episode).await.unwrap().len(), 4);
}

async fn what_is_louder_makes_the_incident_it_joins_as_loud_and_is_told(db: Database) {
    let store = db.store().await;
    let (a, b, c) = (fire(&store, "A").await, fire(&store, "B").await, fire(&store, "C").await);
    let warning = Incident { severity: "warning".into(), ..incident("r", "g") };
    let critical = Incident { severity: "critical".into(), ..incident("r", "g") };
    let louder = |found: &Incident| found.severity != "critical";
    let opened = |it: &Incident| vec![owed(it.id, "pager", &format!("{} fires", it.severity))];
    let (day, minute) = (Some(Duration::from_hours(24)), Some(Duration::from_mins(1)));
    let (first, _) = store.incident_for(&warning, a, day, |_| true, opened).await.unwrap();
    let raised = store.incident_for(&critical, b, minute, louder, opened).await.unwrap();
    assert_eq!(raised, (Incident { severity: "critical".into(), ..first.clone() }, false));
    for episode in [b, c] {
        // what is in it already, or is no louder, is not told
        let again = store.incident_for(&critical, episode, minute, louder, opened).await.unwrap();
        assert_eq!(again, raised);
    }
    assert_eq!(told(&store, first.id).await, ["warning fires", "critical fires"]);
    assert_eq!(store.incident(first.id).await.unwrap().as_ref(), Some(&raised.0));
    db.advance(61);
    let due = store.claim_incident(LEASE).await.unwrap().unwrap();
    assert_eq!(due.incident.severity, "critical", "somebody must answer within its time");
}

async fn a_group_of_odd_text_is_found_again(db: Database) {
    let store = db.store().await;
    let odd = "it's \"odd\" \\ 🔥 a\0b";
    let new = Incident { title: odd.into(), severity: odd.into(), ..incident("r", odd) };
    for (episode, expected) in [(1, true), (1, false), (2, false)] {
        let episode = EpisodeId(episode);
        let (_, is_new) =
            store.incident_for(&new, episode, None, |_| false, |_| Vec::new()).await.unwrap();
        assert_eq!(is_new, expected);
    }
    let stored = store.open_incident("r", odd).await.unwrap().unwrap();
    assert_eq!(stored.title, odd.replace('\0', "\u{fffd}"));
}

async fn replicas_open_one_incident_and_tell_once(db: Database) {
    let stores = [db.store().await, db.store().await];
    let all = (1..=8).map(|episode| {
        let store = stores[usize::from(episode % 2 == 0)].clone();
        async move {
            let opened = |incident: &Incident| vec![owed(incident.id, "slack", "opened")];
            store
                .incident_for(&incident("r", "g"), EpisodeId(episode), None, |_| false, opened)
                .await
        }
    });
    let found: Vec<_> = join_all(all).await.into_iter().map(|it| it.unwrap()).collect();
    assert_eq!(found.iter().filter(|(_, is_new)| *is_new).count(), 1);
    let id = found[0].0.id;
    assert!(found.iter().all(|(incident, _)| incident.id == id));
    assert_eq!(told(&stores[0], id).await, ["opened"]);
    let raw = db.raw().await;
    assert_eq!(number(&raw, "SELECT COUNT(*) FROM incident_episodes").await, 8);
}

async fn an_incident_resolves_only_when_all_its_episodes_are_closed(db: Database) {
    let store = db.store().await;
    let (incident, _) = open_incident(&store, "A").await;
    let other = fire(&store, "B").await;
    let new = super::incident("r", "A");
    store.incident_for(&new, other, None, |_| false, |_| Vec::new()).await.unwrap();
    let over = || vec![owed(incident.id, "slack", "resolved")];
    resolve(&store, "A").await;
    assert!(!store.resolve_incident(incident.id, over()).await.unwrap());
    assert_eq!(told(&store, incident.id).await, [""; 0]);
    db.advance(7);
    resolve(&store, "B").await;
    assert!(store.resolve_incident(incident.id, over()).await.unwrap());
    assert!(!store.resolve_incident(incident.id, over()).await.unwrap(), "once");
    assert_eq!(told(&store, incident.id).await, ["resolved"]);
    let row = store.incident(incident.id).await.unwrap().unwrap();
    assert_eq!((row.status, row.resolved_at), (IncidentStatus::Resolved, Some(at(7))));
}

async fn after_a_resolution_the_group_gets_a_new_incident(db: Database) {
    let store = db.store().await;
    let (first, episode) = open_incident(&store, "A").await;
    resolve(&store, "A").await;
    assert!(store.resolve_incident(first.id, Vec::new()).await.unwrap());
    assert!(store.open_incident("r", "A").await.unwrap().is_none());
    let new = incident("r", "A");
    let (second, is_new) =
        store.incident_for(&new, episode, None, |_| false, |_| Vec::new()).await.unwrap();
    assert!(is_new && second.id != first.id);
    assert_eq!(store.open_incident("r", "A").await.unwrap(), Some(second));
}

async fn a_second_acknowledgement_changes_nothing(db: Database) {
    let store = db.store().await;
    let (incident, _) = open_incident(&store, "A").await;
    let acked = |incident: &Incident| vec![owed(incident.id, "slack", &incident.acked_by)];
    let (first, did) = store.acknowledge(incident.id, "ada", None, acked).await.unwrap();
    assert!(did);
    assert_eq!((first.status, first.acked_by.as_str()), (IncidentStatus::Acknowledged, "ada"));
    db.advance(9);
    let (second, did) = store.acknowledge(incident.id, "bob", None, acked).await.unwrap();
    assert!(!did);
    assert_eq!(second, first);
    assert_eq!(second.acked_at, Some(at(0)));
    assert_eq!(told(&store, incident.id).await, ["ada"]);
    let nobody = store.acknowledge(IncidentId(99), "ada", None, acked).await;
    assert!(matches!(nobody, Err(StoreError::Missing(_))), "{nobody:?}");
    resolve(&store, "A").await;
    assert!(store.resolve_incident(incident.id, Vec::new()).await.unwrap(), "also if acknowledged");
    let (late, did) = store.acknowledge(incident.id, "bob", None, acked).await.unwrap();
    assert_eq!((late.status, did), (IncidentStatus::Resolved, false));
}

async fn a_link_is_remembered_with_who_used_it(db: Database) {
    let store = db.store().await;
    let (incident, _) = open_incident(&store, "A").await;
    assert_eq!(store.link_used("d").await.unwrap(), None);
    store.acknowledge(incident.id, "ada", Some("d"), |_| Vec::new()).await.unwrap();
    store.acknowledge(incident.id, "bob", Some("d"), |_| Vec::new()).await.unwrap();
    assert_eq!(store.link_used("d").await.unwrap(), Some(("ada".to_owned(), at(0))));
}

async fn an_incident_is_escalated_once(db: Database) {
    let store = db.store().await;
    let (incident, _) = open_incident(&store, "A").await;
    let told_of = || vec![owed(incident.id, "pagerduty", "a person must take over")];
    assert!(store.escalate_incident(incident.id, told_of()).await.unwrap());
    assert!(!store.escalate_incident(incident.id, told_of()).await.unwrap());
    assert_eq!(told(&store, incident.id).await.len(), 1);
    assert!(store.incident(incident.id).await.unwrap().unwrap().escalated);
    let (over, _) = open_incident(&store, "B").await;
    resolve(&store, "B").await;
    store.resolve_incident(over.id, Vec::new()).await.unwrap();
    assert!(!store.escalate_incident(over.id, told_of()).await.unwrap(), "it is over");
}

async fn who_does_not_answer_in_time_is_told_of_once(db: Database) {
    let store = db.store().await;
    let soon = Some(Duration::from_mins(5));
    let new = incident("r", "g");
    let (incident, _) =
        store.incident_for(&new, EpisodeId(1), soon, |_| false, |_| Vec::new()).await.unwrap();
    db.advance(300);
    let stale = store.claim_incident(LEASE).await.unwrap().unwrap();
    db.advance(30);
    let due = store.claim_incident(LEASE).await.unwrap().unwrap();
    let told_of = || vec![owed(incident.id, "slack", "nobody answered")];
    assert!(!store.tell_unanswered(&stale, told_of()).await.unwrap());
    assert!(store.tell_unanswered(&due, told_of()).await.unwrap());
    db.advance(100_000);
    assert!(store.claim_incident(LEASE).await.unwrap().is_none());
    assert_eq!(told(&store, incident.id).await, ["nobody answered"]);
}

async fn an_answer_in_time_stops_the_reminder(db: Database) {
    let store = db.store().await;
    let soon = Some(Duration::from_mins(5));
    for group in ["acknowledged", "between"] {
        let new = incident("r", group);
        store.incident_for(&new, EpisodeId(1), soon, |_| false, |_| Vec::new()).await.unwrap();
    }
    store.acknowledge(IncidentId(1), "ada", None, |_| Vec::new()).await.unwrap();
    db.advance(300);
    let due = store.claim_incident(LEASE).await.unwrap().unwrap();
    assert_eq!(due.incident.id, IncidentId(2));
    store.acknowledge(IncidentId(2), "ada", None, |_| Vec::new()).await.unwrap();
    let told_of = vec![owed(IncidentId(2), "slack", "nobody answered")];
    assert!(!store.tell_unanswered(&due, told_of).await.unwrap());
    assert!(told(&store, IncidentId(2)).await.is_empty());
}

async fn incidents_are_listed_by_status_and_cursor(db: Database) {
    let store = db.store().await;
    for name in ["A", "B", "C"] {
        open_incident(&store, name).await;
    }
    store.acknowledge(IncidentId(2), "ada", None, |_| Vec::new()).await.unwrap();
    resolve(&store, "C").await;
    store.resolve_incident(IncidentId(3), Vec::new()).await.unwrap();
    for (status, cursor, limit, expected) in [
        (None, None, 10, vec![3, 2, 1]),
        (None, None, 1, vec![3]),
        (None, Some(IncidentId(3)), 10, vec![2, 1]),
        (Some(IncidentStatus::Open), None, 10, vec![1]),
        (Some(IncidentStatus::Acknowledged), None, 10, vec![2]),
        (Some(IncidentStatus::Resolved), Some(IncidentId(3)), 10, vec![]),
    ] {
        let found = store.incidents(status, cursor, limit).await.unwrap();
        assert_eq!(found.iter().map(|it| it.id.0).collect::<Vec<_>>(), expected, "{status:?}");
    }
    let mut counts = store.open_incident_counts().await.unwrap();
    counts.sort();
    assert_eq!(counts, [("acknowledged".to_owned(), 1), ("open".to_owned(), 1)]);
    assert!(store.incident(IncidentId(9)).await.unwrap().is_none());
}

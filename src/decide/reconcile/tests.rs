use std::time::Duration;

use super::*;
use crate::model::config::IngestToken;
use crate::model::config::Secret;
use crate::model::listed::ListedAlert;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_607_200 + seconds).unwrap()
}

const NOW: i64 = 100_000;

fn labels(name: &str) -> Labels {
    [("alertname", name), ("service", "api"), ("cluster", "eu")].into_iter().collect()
}

/// As `ALERTS` has it: without `external_labels`.
fn series(name: &str) -> Labels {
    let pairs = [("__name__", "ALERTS"), ("alertstate", "firing"), ("alertname", name)];
    pairs.into_iter().chain([("service", "api")]).collect()
}

fn alert(name: &str, starts: i64) -> Alert {
    Alert {
        status: AlertStatus::Firing,
        labels: labels(name),
        annotations: Labels::default(),
        starts_at: Some(at(starts)),
        ends_at: None,
        generator_url: "http://prometheus/graph".into(),
    }
}

fn listed(name: &str, starts: i64, receivers: &[&str]) -> ListedAlert {
    let receivers = receivers.iter().map(|it| (*it).to_owned()).collect();
    ListedAlert { alert: alert(name, starts), receivers }
}

fn listing(alerts: Vec<ListedAlert>) -> Listing {
    // by a clock that is an hour behind
    let (up_since, now) = (at(NOW - 3600 - 301), at(NOW - 3600));
    Listing { up_since, now, unsettled: None, unrouted: None, alerts }
}

fn outside(listing: Listing) -> Outside {
    Outside { listing: Ok(listing), firing: None }
}

fn reached() -> Reach {
    Reach {
        receivers: BTreeSet::from(["quell".to_owned()]),
        sources: BTreeSet::from(["am".to_owned()]),
        source: "am".into(),
    }
}

fn episode(name: &str, open: bool, starts: i64, ended: Option<i64>) -> Episode {
    Episode {
        id: EpisodeId(7),
        open,
        starts_at: at(starts),
        opened_at: at(starts),
        seen_at: at(starts),
        ended_at: ended.map(at),
        ..Episode::unstored("am", labels(name), Labels::default(), at(starts))
    }
}

fn known(episode: Episode, missing_since: Option<i64>) -> BTreeMap<String, Known> {
    let missing_since = missing_since.map(at);
    let known = Known { missing_since, by_hand: false, episode };
    BTreeMap::from([(known.episode.fingerprint.clone(), known)])
}

fn looked(known: &BTreeMap<String, Known>, outside: &Outside) -> Look {
    look(&Reconcile::default(), &reached(), known, outside, at(NOW))
}

/// An alert that is listed, and an open episode that has not been for long.
fn both() -> (BTreeMap<String, Known>, Vec<ListedAlert>) {
    let known = known(episode("Gone", true, 1000, None), Some(NOW - 300));
    (known, vec![listed("Missed", 1000, &["quell"])])
}

#[test]
fn a_missed_alert_is_opened_and_an_unseen_end_closes() {
    let (known, alerts) = both();
    let look = looked(&known, &outside(listing(alerts)));
    assert_eq!(look.blind, Vec::<String>::new());
    let [open] = look.opens.as_slice() else { panic!("{look:#?}") };
    assert_eq!((&open.alert, open.source.as_str()), (&alert("Missed", 1000), "am"));
    assert_eq!(
        open.evidence.words,
        "found by reconciliation: Alertmanager lists it as active for the receiver quell since 2026-01-05 10:16:40 UTC, \
         and no webhook told of it"
    );
    assert_eq!((open.evidence.latest, open.evidence.asked_at), (None, at(NOW)));
    let [close] = look.closes.as_slice() else { panic!("{look:#?}") };
    assert_eq!(close.alert.status, AlertStatus::Resolved);
    assert_eq!((close.alert.labels.get("alertname"), close.source.as_str()), ("Gone", "am"));
    assert_eq!(close.alert.ends_at, Some(at(NOW - 300)), "no earlier than anybody knows");
    assert_eq!(
        close.evidence.words,
        "found over by reconciliation: no webhook told of its end, but Alertmanager, up since 2026-01-06 12:41:39 UTC, \
         does not list it since 2026-01-06 13:41:40 UTC"
    );
    assert_eq!(close.evidence.latest, Some((EpisodeId(7), true)));
}

#[test]
fn what_is_unknown_opens_nothing_and_closes_nothing() {
    type Wrong = fn(&mut Outside);
    let cases: [(&str, Wrong); 4] = [
        ("no answer", |it| {
            it.listing = Err("no answer from Alertmanager: connection refused".into());
        }),
        ("started at 2026-01-06 12:41:41 UTC", |it| {
            let listing = it.listing.as_mut().unwrap();
            listing.up_since = at(NOW - 3600 - 299);
        }),
        // it is up since the future, by its own clock
        ("started at 2026-01-06 13:46:40 UTC", |it| {
            it.listing.as_mut().unwrap().up_since = at(NOW);
        }),
        ("not settled", |it| {
            it.listing.as_mut().unwrap().unsettled = Some("the cluster has not settled".into());
        }),
    ];
    for (words, change) in cases {
        let (known, alerts) = both();
        let mut outside = outside(listing(alerts));
        change(&mut outside);
        let look = looked(&known, &outside);
        assert_eq!((look.opens.len(), look.closes.len()), (0, 0), "{words}");
        assert_eq!(look.missing, [], "two looks in a row begin anew: {words}");
        assert!(look.blind.iter().any(|it| it.contains(words)), "{words}: {:?}", look.blind);
    }
}

#[test]
fn opens_only_what_alertmanager_would_send_to_quell_and_has_had_the_time_to() {
    let young = NOW - 359;
    let old = NOW - 360;
    let closed = |ended| known(episode("A", false, 1000, Some(ended)), None);
    let none = BTreeMap::new;
    let is_open = known(episode("A", true, old, None), None);
    for (name, known, listed, opens) in [
        ("active and old", none(), listed("A", old, &["quell"]), 1),
        ("for several receivers", none(), listed("A", old, &["mail", "quell"]), 1),
        ("for another receiver", none(), listed("A", old, &["mail"]), 0),
        ("silenced, inhibited or muted", none(), listed("A", old, &[]), 0),
        ("its webhook may be on its way", none(), listed("A", young, &["quell"]), 0),
        ("open already", is_open, listed("A", old, &["quell"]), 0),
        ("ended before", closed(old - 1), listed("A", old, &["quell"]), 1),
        ("ended, and goes on with the same start", closed(old), listed("A", 1000, &["quell"]), 1),
        ("its end came just now", closed(young), listed("A", 1000, &["quell"]), 0),
    ] {
        let look = looked(&known, &outside(listing(vec![listed])));
        assert_eq!(look.opens.len(), opens, "{name}");
        let latest = known.values().next().map(|it| (it.episode.id, it.episode.open));
        assert!(look.opens.iter().all(|it| it.evidence.latest == latest), "{name}");
    }
}

#[test]
fn opens_nothing_while_its_receiver_or_what_is_muted_is_not_known() {
    let (known, alerts) = both();
    let unknown = Reach { receivers: BTreeSet::new(), ..reached() };
    let outside_now = outside(listing(alerts.clone()));
    let looked = look(&Reconcile::default(), &unknown, &known, &outside_now, at(NOW));
    assert_eq!((looked.opens.len(), looked.closes.len()), (0, 1));
    assert!(looked.blind[0].contains("`alertmanager.receiver`"), "{:?}", looked.blind);
    let mut muting = listing(alerts);
    muting.unrouted = Some("Alertmanager 0.25.0 does not say what is muted".into());
    let looked = look(&Reconcile::default(), &reached(), &known, &outside(muting), at(NOW));
    assert_eq!((looked.opens.len(), looked.closes.len()), (0, 1));
    assert!(
        looked.blind[0].starts_with("opens nothing: Alertmanager 0.25.0"),
        "{:?}",
        looked.blind
    );
}

#[test]
fn closes_only_what_is_surely_over() {
    let gone = || episode("Gone", true, 1000, None);
    let of = |source: &str| Episode { source: source.into(), ..gone() };
    let missing = Some(NOW - 300);
    let heard = Episode { seen_at: at(NOW - 359), ..gone() };
    let by_hand = |known: &mut BTreeMap<String, Known>| {
        for it in known.values_mut() {
            it.by_hand = true;
        }
    };
    let mut sent = known(gone(), missing);
    by_hand(&mut sent);
    for (name, known, alerts, firing, closes, still_missing) in [
        ("not listed for two looks", known(gone(), missing), vec![], None, 1, 0),
        ("for one look", known(gone(), None), vec![], None, 0, 1),
        (
            "for two looks right after each other",
            known(gone(), Some(NOW - 149)),
            vec![],
            None,
            0,
            1,
        ),
        ("listed", known(gone(), missing), vec![listed("Gone", 1000, &["quell"])], None, 0, 0),
        (
            "listed, and silenced",
            known(gone(), missing),
            vec![listed("Gone", 1000, &[])],
            None,
            0,
            0,
        ),
        ("of a check", known(of("check:x"), missing), vec![], None, 0, 0),
        ("of another sender", known(of("am-us"), missing), vec![], None, 0, 0),
        ("of an operator", known(of("operator:dana"), missing), vec![], None, 0, 0),
        ("sent by hand", sent, vec![], None, 0, 0),
        ("heard of just now", known(heard, missing), vec![], None, 0, 0),
        ("Prometheus agrees", known(gone(), missing), vec![], Some(Ok(vec![series("Else")])), 1, 0),
        (
            "Prometheus fires it",
            known(gone(), missing),
            vec![],
            Some(Ok(vec![series("Gone")])),
            0,
            0,
        ),
        ("Prometheus is unknown", known(gone(), missing), vec![], Some(Err("boom".into())), 0, 0),
    ] {
        let outside = Outside { listing: Ok(listing(alerts)), firing };
        let look = looked(&known, &outside);
        assert_eq!((look.closes.len(), look.missing.len()), (closes, still_missing), "{name}");
    }
}

#[test]
fn several_senders_close_nothing_until_the_settings_say_who_is_who() {
    let (known, _) = both();
    let unknown = Reach { sources: BTreeSet::new(), ..reached() };
    let looked = look(&Reconcile::default(), &unknown, &known, &outside(listing(vec![])), at(NOW));
    assert_eq!(looked.closes, []);
    assert!(looked.blind[0].contains("`alertmanager.sources`"), "{:?}", looked.blind);
}

#[test]
fn a_series_of_prometheus_is_an_alert_unless_a_label_of_both_differs() {
    let with = |name: &'static str, value: &'static str| {
        let mut series = series("Gone");
        series.set(name, value);
        series
    };
    for (series, may) in [
        (series("Gone"), true),
        (with("replica", "a"), true),
        (with("cluster", "eu"), true),
        (with("cluster", "us"), false),
        (with("service", "web"), false),
        (series("Other"), false),
    ] {
        assert_eq!(may_be(&series, &labels("Gone")), may, "{series}");
    }
    let look = looked(
        &BTreeMap::new(),
        &Outside {
            listing: Ok(listing(vec![listed("A", 1000, &[])])),
            firing: Some(Ok(vec![series("A"), series("B"), series("C")])),
        },
    );
    assert_eq!(
        look.unlisted, 2,
        "an alert that reaches no Alertmanager is counted, and not opened"
    );
    assert_eq!(look.opens, []);
}

#[test]
fn receivers_and_sources_are_learned_unless_the_settings_say() {
    let token = |name: &str| IngestToken { name: name.into(), token: Secret::new("t"), user: None };
    let by = |source: &str, receiver: &str| Delivered {
        source: source.into(),
        receiver: receiver.into(),
    };
    let set = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<_>>();
    let mut config = Config::default();
    let delivered =
        [by("local", "quell"), by("local", "quell send"), by("gone", "old"), by("check:x", "")];
    let nobody = reach(&config, &[]);
    assert_eq!((nobody.receivers, nobody.sources), (set(&[]), set(&["local"])));
    let local = reach(&config, &delivered);
    assert_eq!(
        (local.receivers, local.sources, &*local.source),
        (set(&["quell"]), set(&["local"]), "local")
    );
    config.ingest.tokens = vec![token("eu"), token("us")];
    let delivered = [by("us", "quell-us"), by("eu", "quell"), by("local", "quell")];
    let two = reach(&config, &delivered);
    assert_eq!((two.receivers, two.sources), (set(&["quell", "quell-us"]), set(&[])));
    config.reconcile.sources = vec!["eu".into()];
    let said = reach(&config, &delivered);
    assert_eq!(
        (said.receivers, said.sources, &*said.source),
        (set(&["quell"]), set(&["eu"]), "eu")
    );
    config.reconcile.receiver = Some("ops".into());
    let said = reach(&config, &delivered);
    assert_eq!((said.receivers, &*said.source), (set(&["ops"]), "eu"));
}

#[test]
fn only_alerts_from_outside_are_alertmanagers() {
    for (source, outside) in [
        ("local", true),
        ("am-eu", true),
        ("check:x", false),
        ("quell:watch", false),
        ("schedule:x", false),
        ("operator:dana", false),
    ] {
        assert_eq!(is_outside(source), outside, "{source}");
    }
    assert!(
        is_by_hand("local", "quell send") && is_by_hand("am", "") && !is_by_hand("am", "quell")
    );
    assert!(!is_by_hand("check:x", ""), "quell's own alerts are no test alerts");
    assert_eq!(Reconcile::default().every, Duration::from_mins(5));
}

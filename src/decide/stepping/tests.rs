use super::*;
use crate::decide::guard::tests::around;
use crate::decide::guard::tests::now;
use crate::decide::guard::tests::subject;
use crate::model::decision::Circumstances;
use crate::model::decision::Denied;

const SHOP: &str = "targets.http.shop";

fn denied() -> Facts {
    let denied = Denied { credential: SHOP.into(), at: now(), reason: "401".into() };
    around(Circumstances { denied: vec![denied], ..Circumstances::default() })
}

/// Given a refused credential, when a run that uses it comes to its next step, then it stops; one that uses another goes on.
#[test]
fn g19_a_run_stops_before_its_next_step_and_what_takes_a_measure_back_waits() {
    let uses = |name: &str, remedy| Subject { credentials: vec![name.into()], remedy, ..subject() };
    let StillTrue::Stop(Stop::Refused { guard, reason }) =
        still_true(&uses(SHOP, 1), &denied(), now())
    else {
        panic!("it goes on")
    };
    assert_eq!(guard, guard::CREDENTIAL);
    assert!(reason.contains(SHOP), "{reason}");
    assert_eq!(still_true(&uses("targets.http.mail", 1), &denied(), now()), StillTrue::Go);
    let taking_back = still_true(&uses(SHOP, 0), &denied(), now());
    assert!(matches!(taking_back, StillTrue::Hold { .. }), "{taking_back:?}");
}

/// Given a probe step, when its credential is refused, then it ends at once: it is not looked at until its time is over.
#[test]
fn g19_a_probe_step_whose_credential_is_refused_is_not_asked_again() {
    let seen =
        |denied| Observation { health: Health::Unknown, measured: "status 401".into(), denied };
    let (soon, within) = (Duration::ZERO, Duration::from_mins(1));
    assert_eq!(looked("up", "http", &seen(false), 1, soon, within), None);
    let outcome = looked("up", "http", &seen(true), 1, soon, within).unwrap();
    let expected = Outcome::Denied {
        credentials: Vec::new(),
        reason: "up could not be observed: status 401".into(),
    };
    assert_eq!(outcome, expected);
}

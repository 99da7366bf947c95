use std::collections::BTreeMap;

use super::*;
use crate::model::action::host::Unit;
use crate::net::systemd::testing::Bus as Wire;
use crate::net::systemd::testing::Manager as Fake;

const LONG: Duration = Duration::from_secs(20);

fn targets(address: &str) -> Targets {
    let bus = Bus::Address(address.to_owned());
    Targets { systemd: BTreeMap::from([("web".to_owned(), bus)]), ..Targets::default() }
}

fn unit(name: &str) -> Unit {
    Unit { server: "web".into(), unit: name.into() }
}

fn restart(name: &str) -> Systemd {
    Systemd::Restart(unit(name))
}

#[tokio::test]
async fn a_job_that_is_done_is_done_and_says_what_the_unit_does() {
    let bus = Wire::start().await;
    let manager = Fake::on(&bus).await;
    let targets = targets(&bus.address());
    // also one that ended before its answer was sent
    for name in ["slow.service", "fast.service"] {
        let outcome = perform(&restart(name), LONG, &targets).await;
        let Outcome::Done { summary, output } = outcome else { panic!("{outcome:?}") };
        assert_eq!(summary, format!("{name} restarted: now active (running)"));
        let expected = json!({ "result": "done", "active": "active", "sub": "running", "service_result": "success" });
        assert_eq!(output, expected);
    }
    let stop = Systemd::Stop(unit("web.service"));
    let Outcome::Done { summary, .. } = perform(&stop, LONG, &targets).await else { panic!() };
    assert_eq!(summary, "web.service stopped: now inactive (dead)");
    let start = Systemd::Start(unit("web.service"));
    let Outcome::Done { summary, .. } = perform(&start, LONG, &targets).await else { panic!() };
    assert_eq!(summary, "web.service started: now active (running)");
    let asked = [
        "RestartUnit slow.service",
        "RestartUnit fast.service",
        "StopUnit web.service",
        "StartUnit web.service",
    ];
    assert_eq!(manager.asked(), asked);
}

#[tokio::test]
async fn the_result_of_the_job_says_why_it_failed() {
    let bus = Wire::start().await;
    let _manager = Fake::on(&bus).await;
    let targets = targets(&bus.address());
    for (name, again, words) in [
        ("failed.service", true, "the job failed: now failed (failed, exit-code)"),
        ("timeout.service", true, "the job took longer than systemd lets it"),
        ("canceled.service", true, "another job took the place of this one"),
        ("dependency.service", true, "a unit that it needs failed"),
        ("skipped.service", false, "the job did not apply to what the unit was doing"),
        ("assert.service", false, "the job ended as `assert`"),
        (
            "crash.service",
            true,
            "the job was done, but the unit failed right after it: now failed (failed, exit-code)",
        ),
        ("gone.service", false, "Unit gone.service not found. (NoSuchUnit)"),
    ] {
        let outcome = perform(&restart(name), LONG, &targets).await;
        let Outcome::Failed { reason, retryable } = outcome else { panic!("{outcome:?}") };
        assert!(reason.starts_with(name) && reason.contains(words), "{reason}");
        assert_eq!(retryable, again, "{reason}");
    }
}

#[tokio::test]
async fn who_may_not_manage_a_unit_is_denied() {
    let bus = Wire::start().await;
    let _manager = Fake::on(&bus).await;
    for name in ["secret.service", "polkit.service"] {
        let outcome = perform(&restart(name), LONG, &targets(&bus.address())).await;
        let Outcome::Denied { reason, .. } = outcome else { panic!("{outcome:?}") };
        assert!(reason.starts_with(&format!("{name}: quell may not manage it")), "{reason}");
    }
}

#[tokio::test]
async fn what_was_asked_and_not_answered_is_unknown() {
    let bus = Wire::start().await;
    let manager = Fake::on(&bus).await;
    let targets = targets(&bus.address());
    let outcome = perform(&restart("never.service"), Duration::from_millis(500), &targets).await;
    let Outcome::Unknown { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("the job did not end within 500ms"), "{reason}");
    // the manager goes in the middle of the call
    let outcome = perform(&restart("mute.service"), LONG, &targets).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(manager.asked(), ["RestartUnit never.service", "RestartUnit mute.service"]);
}

#[tokio::test]
async fn a_bus_that_is_lost_after_the_call_is_unknown() {
    let bus = Wire::start().await;
    let manager = Fake::on(&bus).await;
    let targets = targets(&bus.address());
    let losing = async {
        manager.until_asked().await;
        drop(bus);
    };
    let unit = restart("never.service");
    let (outcome, ()) = tokio::join!(perform(&unit, LONG, &targets), losing);
    let Outcome::Unknown { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("nobody knows whether the service manager did it"), "{reason}");
}

#[tokio::test]
async fn without_a_bus_or_a_manager_or_a_name_nothing_was_done() {
    let bus = Wire::start().await;
    let nowhere = targets("unix:path=/no/such/bus");
    let outcome = perform(&restart("web.service"), LONG, &nowhere).await;
    assert!(matches!(outcome, Outcome::Failed { retryable: true, .. }), "{outcome:?}");
    let outcome = perform(&restart("web.service"), LONG, &targets(&bus.address())).await;
    let Outcome::Failed { reason, retryable: true } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("there is no service manager on the bus"), "{reason}");
    let outcome = perform(&restart("--force"), LONG, &targets(&bus.address())).await;
    let Outcome::Failed { reason, retryable: false } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("expected the name of a unit"), "{reason}");
    let elsewhere = Systemd::Restart(Unit { server: "db".into(), unit: "web.service".into() });
    let outcome = perform(&elsewhere, LONG, &targets(&bus.address())).await;
    let Outcome::Failed { reason, retryable: false } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("no server `db` in targets.systemd"), "{reason}");
}

#[tokio::test]
async fn what_would_change_nothing_has_nothing_to_take_back() {
    let bus = Wire::start().await;
    let manager = Fake::on(&bus).await;
    let targets = targets(&bus.address());
    manager.set("down.service", "inactive");
    let (start, stop) = (|name| Systemd::Start(unit(name)), |name| Systemd::Stop(unit(name)));
    for (action, previous) in [
        (start("up.service"), None),
        (start("down.service"), Some(stop("down.service"))),
        (stop("up.service"), Some(start("up.service"))),
        (stop("down.service"), None),
        (restart("up.service"), None),
    ] {
        let prepared = prepare(&action, LONG, &targets).await.unwrap();
        assert_eq!(prepared.action, Action::Systemd(action));
        assert_eq!(prepared.previous, previous.map(Action::Systemd));
    }
    let outcome = prepare(&start("gone.service"), LONG, &targets).await.unwrap_err();
    assert!(matches!(outcome, Outcome::Failed { retryable: false, .. }), "{outcome:?}");
    assert_eq!(manager.asked(), Vec::<String>::new(), "it only looks");
}

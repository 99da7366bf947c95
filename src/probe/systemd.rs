//! The probe `systemd.active`: whether a unit is active.

use std::time::Duration;

use crate::model::action::host::Unit;
use crate::model::config::Bus;
use crate::model::config::Targets;
use crate::model::run::Observation;
use crate::net::systemd;
use crate::net::systemd::Failure;
use crate::net::systemd::Place;
use crate::net::systemd::State;

/// Looks once. What is on its way (activating, deactivating) is not active yet, or no longer.
pub(super) async fn observe(unit: &Unit, targets: &Targets, timeout: Duration) -> Observation {
    if let Err(reason) = systemd::check_name(&unit.unit) {
        return super::unknown(reason);
    }
    let place = match targets.bus(&unit.server) {
        Some(Bus::System) => Place::System,
        Some(Bus::User) => Place::User,
        Some(Bus::Address(address)) => Place::Address(address),
        None => {
            return super::unknown(format!("no server `{}` in targets.systemd", unit.server));
        }
    };
    let looking = async { systemd::connect(place).await?.state(&unit.unit).await };
    match tokio::time::timeout(timeout, looking).await {
        Ok(Ok(state)) => judge(&unit.unit, &state),
        Ok(Err(Failure::Denied(reason))) => super::denied(format!("{}: {reason}", unit.unit)),
        Ok(Err(
            Failure::Unreachable(reason) | Failure::Refused(reason) | Failure::Lost(reason),
        )) => super::unknown(format!("{}: {reason}", unit.unit)),
        Err(_) => super::unknown(format!("{}: no answer within {timeout:?}", unit.unit)),
    }
}

fn judge(unit: &str, state: &State) -> Observation {
    if state.load == "not-found" {
        // somebody named another unit than there is: that says nothing of the one that was meant
        return super::unknown(format!("{unit}: the service manager knows no such unit"));
    }
    let mut measured = format!("{unit} is {} ({})", state.active, state.sub);
    if !matches!(state.result.as_str(), "" | "success") {
        measured = format!("{measured}, last ended by {}", state.result);
    }
    match state.active.as_str() {
        "active" | "reloading" | "refreshing" => super::healthy(measured),
        "inactive" | "failed" | "activating" | "deactivating" | "maintenance" => {
            super::unhealthy(measured)
        }
        _ => super::unknown(measured),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::run::Health;
    use crate::net::systemd::testing::Bus as Wire;
    use crate::net::systemd::testing::Manager;

    #[tokio::test]
    async fn only_what_is_active_is_healthy() {
        let bus = Wire::start().await;
        let manager = Manager::on(&bus).await;
        let bus = Bus::Address(bus.address());
        let targets =
            Targets { systemd: BTreeMap::from([("web".to_owned(), bus)]), ..Targets::default() };
        manager.set("down.service", "inactive");
        manager.set("broken.service", "failed");
        manager.set("coming.service", "activating");
        for (server, name, health, words) in [
            ("web", "up.service", Health::Healthy, "up.service is active (running)"),
            ("web", "down.service", Health::Unhealthy, "down.service is inactive (dead)"),
            (
                "web",
                "broken.service",
                Health::Unhealthy,
                "failed (failed), last ended by exit-code",
            ),
            ("web", "coming.service", Health::Unhealthy, "coming.service is activating (start)"),
            ("web", "gone.service", Health::Unknown, "no such unit"),
            ("web", "/etc/passwd", Health::Unknown, "expected the name of a unit"),
            ("db", "up.service", Health::Unknown, "no server `db` in targets.systemd"),
        ] {
            let unit = Unit { server: server.into(), unit: name.into() };
            let seen = observe(&unit, &targets, Duration::from_secs(10)).await;
            assert_eq!(seen.health, health, "{}", seen.measured);
            assert!(seen.measured.contains(words), "{}", seen.measured);
        }
        assert_eq!(manager.asked(), Vec::<String>::new());
    }
}

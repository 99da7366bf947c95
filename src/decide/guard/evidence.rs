//! Evidence (G3): unknown never acts. Missing is not zero.

use jiff::Timestamp;

use crate::decide::check;
use crate::decide::guard::Subject;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::proceed;
use crate::decide::guard::refuse;
use crate::decide::own;
use crate::model::decision::Facts;
use crate::model::decision::Proof;
use crate::model::decision::ProofOf;
use crate::model::decision::Ruling;
use crate::model::decision::Standing;
use crate::model::run::Health;

/// This guard's name.
pub const NAME: &str = "evidence";

/// Grafana fires these when data is missing, and quell when a check cannot see: they say that nobody can see, not
/// that something is sick.
const MISSING_DATA: [&str; 3] = ["DatasourceNoData", "DatasourceError", check::BLIND];

/// Refuses on a cut-off alert list or a missing-data alert; holds while the precheck or Alertmanager cannot be
/// asked, or what must not get worse (G16) cannot be measured; refuses when the precheck finds nothing to remedy.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    if subject.remedy == 0 {
        return proceed(NAME, "not asked: takes a temporary measure back");
    }
    if MISSING_DATA.contains(&subject.alertname.as_str()) {
        let reason = format!("{} means missing data, not a sick target", subject.alertname);
        return refuse(NAME, reason, "missing data");
    }
    if own::is_name(&subject.alertname) {
        let reason = format!("{} is about quell itself, not a sick target", subject.alertname);
        return refuse(NAME, reason, "about quell itself");
    }
    if own::is_name(&subject.alertname) {
        let reason = format!("{} is about quell itself, not a sick target", subject.alertname);
        return refuse(NAME, reason, "about quell itself");
    }
    if facts.truncated > 0 {
        let cut = facts.truncated;
        return refuse(
            NAME,
            format!(
                "the sender left {cut} alerts out, so nobody knows how many are affected; set max_alerts: 0"
            ),
            format!("{cut} alerts missing"),
        )
        .limit("0", "max_alerts in the Alertmanager receiver");
    }
    if let Standing::Unknown { reason } = &facts.standing {
        let reason = format!("Alertmanager cannot say whether the alert is silenced: {reason}");
        return hold_for_now(NAME, now, reason, "unknown");
    }
    let knob = format!("verify of rule {}", subject.rule);
    let mut metrics = facts.proofs.iter().filter(|proof| proof.of == ProofOf::Baseline);
    if let Some(unseen) = metrics.find(|proof| proof.seen.health != Health::Healthy) {
        let Proof { name, seen, .. } = unseen;
        let reason = format!("{name} cannot be measured before acting: {}", seen.measured);
        return hold_for_now(NAME, now, reason, "unknown").limit("", knob);
    }
    let Some(seen) = &facts.precheck else { return proceed(NAME, "no precheck") };
    match seen.health {
        Health::Unhealthy => proceed(NAME, &seen.measured),
        Health::Unknown => {
            let reason = format!("the precheck is unknown: {}", seen.measured);
            hold_for_now(NAME, now, reason, "unknown")
        }
        Health::Healthy => {
            let reason = format!("the precheck is already healthy: {}", seen.measured);
            hold_for_now(NAME, now, reason, &seen.measured)
        }
    }
    .limit("", knob)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;
    use crate::model::run::Observation;

    fn with_precheck(health: Health) -> Facts {
        let measured = "no sample".to_owned();
        Facts { precheck: Some(Observation { health, measured, denied: false }), ..facts() }
    }

    #[test]
    fn only_an_unhealthy_precheck_proceeds() {
        let verdict = |health| judge(&subject(), &with_precheck(health), now()).verdict.as_str();
        assert_eq!(verdict(Health::Unhealthy), "proceed");
        assert_eq!(verdict(Health::Unknown), "hold");
        assert_eq!(verdict(Health::Healthy), "hold");
    }

    #[test]
    fn a_cut_off_list_is_missing_evidence() {
        let ruling = judge(&subject(), &Facts { truncated: 3, ..facts() }, now());
        assert_eq!(ruling.verdict.as_str(), "refuse");
        assert_eq!(ruling.measured, "3 alerts missing");
    }

    #[test]
    fn alerts_that_mean_missing_data_or_are_of_quell_itself_never_act() {
        for alertname in MISSING_DATA.into_iter().chain(own::NAMES) {
            let subject = Subject { alertname: alertname.into(), ..subject() };
            assert_eq!(judge(&subject, &facts(), now()).verdict.as_str(), "refuse");
        }
    }

    #[test]
    fn an_alertmanager_that_cannot_be_asked_holds() {
        let standing = Standing::Unknown { reason: "connection refused".into() };
        let ruling = judge(&subject(), &Facts { standing, ..facts() }, now());
        assert_eq!(ruling.verdict.as_str(), "hold");
        assert!(ruling.reason.contains("connection refused"));
    }
}

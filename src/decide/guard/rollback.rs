//! Rollback proof (G12): only to a version that is known to have been well, still exists, and was not itself left.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::proceed;
use crate::decide::guard::refuse;
use crate::model::decision::Facts;
use crate::model::decision::ProofOf;
use crate::model::decision::Ruling;
use crate::model::run::Health;
use crate::model::run::RunState;
use crate::model::time::before;
use crate::model::time::show_duration;

/// This guard's name.
pub const NAME: &str = "rollback proof";

/// Refuses while a proof of `rollback:` is missing, and for a version that was itself rolled back from within `memory`.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    let Some(rollback) = &subject.rollback else { return proceed(NAME, "no rollback") };
    let knob = || format!("rollback of playbook {}", subject.playbook);
    let to = &rollback.to;
    if to.trim().is_empty() {
        return refuse(NAME, "nobody says which version to return to", "no version")
            .limit("", knob());
    }
    let from = before(now, rollback.memory);
    let left = facts.runs.iter().find(|run| {
        run.target == subject.target
            && run.left_version == *to
            && run.started_at > from
            && !matches!(
                run.state,
                RunState::Superseded | RunState::Rejected | RunState::Expired | RunState::Observed
            )
    });
    if let Some(left) = left {
        let reason = format!(
            "version {to} was itself rolled back from at {:.0}, within {}",
            left.started_at,
            show_duration(rollback.memory)
        );
        return refuse(NAME, reason, format!("left at {:.0}", left.started_at))
            .limit(show_duration(rollback.memory), knob());
    }
    let mine: Vec<_> = facts.proofs.iter().filter(|it| it.of == ProofOf::Rollback).collect();
    let missing = mine.iter().find(|proof| proof.seen.health != Health::Healthy);
    match missing {
        _ if mine.is_empty() => {
            // asked only when nothing else is against it
            proceed(NAME, format!("to {to}: not asked yet")).limit("", knob())
        }
        Some(proof) => {
            let reason = format!("version {to}: {}: {}", proof.name, proof.seen.measured);
            refuse(NAME, reason, format!("{}: {}", proof.name, proof.seen.measured))
                .limit("", knob())
        }
        None => {
            let names: Vec<&str> = mine.iter().map(|proof| proof.name.as_str()).collect();
            proceed(NAME, format!("to {to}: {}", names.join(", "))).limit("", knob())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::guard::Rollback;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::proof;
    use crate::decide::guard::tests::run;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::PastRun;

    fn to(version: &str) -> Subject {
        let memory = Duration::from_hours(24);
        Subject { rollback: Some(Rollback { to: version.into(), memory }), ..subject() }
    }

    #[test]
    fn g12_rollback_proof_refuses_what_is_not_proved() {
        let ruled = |health| {
            let proofs = vec![
                proof(ProofOf::Rollback, "was healthy", Health::Healthy),
                proof(ProofOf::Rollback, "in the registry", health),
            ];
            judge(&to("40"), &Facts { proofs, ..facts() }, now())
        };
        assert_eq!(ruled(Health::Healthy).verdict.as_str(), "proceed");
        for missing in [Health::Unhealthy, Health::Unknown] {
            let ruling = ruled(missing);
            assert_eq!(ruling.verdict.as_str(), "refuse", "{missing:?}");
            assert_eq!(ruling.reason, "version 40: in the registry: 0.8");
        }
        assert_eq!(judge(&to(" "), &facts(), now()).verdict.as_str(), "refuse");
    }

    #[test]
    fn g12_a_version_that_was_left_is_not_returned_to_within_memory() {
        let left = |hours: u64| {
            let run = PastRun { left_version: "40".into(), ..run(hours * 3600) };
            judge(&to("40"), &Facts { runs: vec![run].into(), ..facts() }, now())
        };
        let ruling = left(23);
        assert_eq!(ruling.verdict.as_str(), "refuse");
        let words = "version 40 was itself rolled back from at 2026-01-04T11:00:00Z, within 1d";
        assert_eq!(ruling.reason, words);
        assert_eq!(left(24).verdict.as_str(), "proceed");
    }
}

//! Cache guard (G10): a cache is emptied only while the store behind it can bear the load.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::ProofOf;
use crate::model::decision::Ruling;
use crate::model::run::Health;

/// This guard's name.
const NAME: &str = "cache";

/// Held while a probe of `cache:` is anything but healthy.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    let knob = || format!("cache of playbook {}", subject.playbook);
    let mut mine = facts.proofs.iter().filter(|proof| proof.of == ProofOf::Cache).peekable();
    if mine.peek().is_none() {
        return proceed(NAME, "the playbook names none");
    }
    let measured =
        |proof: &crate::model::decision::Proof| format!("{}: {}", proof.name, proof.seen.measured);
    match mine.clone().find(|proof| proof.seen.health != Health::Healthy) {
        None => proceed(NAME, mine.map(measured).collect::<Vec<_>>().join("; ")).limit("", knob()),
        Some(proof) => {
            let is = match proof.seen.health {
                Health::Unknown => "is unknown",
                Health::Healthy | Health::Unhealthy => "does not allow it",
            };
            let reason = format!("{} {is}: {}", proof.name, proof.seen.measured);
            hold_for_now(NAME, now, reason, measured(proof)).limit("", knob())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::proof;
    use crate::decide::guard::tests::subject;

    #[test]
    fn g10_cache_guard_refuses_while_the_store_is_loaded_or_nobody_can_say() {
        let ruled = |load, ratio| {
            let proofs = vec![
                proof(ProofOf::Cache, "load", load),
                proof(ProofOf::Cache, "hit ratio", ratio),
            ];
            judge(&subject(), &Facts { proofs, ..facts() }, now())
        };
        assert_eq!(ruled(Health::Healthy, Health::Healthy).verdict.as_str(), "proceed");
        for bad in [Health::Unhealthy, Health::Unknown] {
            assert_eq!(ruled(bad, Health::Healthy).verdict.as_str(), "hold", "{bad:?}");
            assert_eq!(ruled(Health::Healthy, bad).verdict.as_str(), "hold", "{bad:?}");
        }
        let reason = ruled(Health::Unhealthy, Health::Healthy).reason;
        assert_eq!(reason, "load does not allow it: 0.8");
    }
}

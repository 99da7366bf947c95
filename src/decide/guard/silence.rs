//! Silences (G15): a person muted the alert, so nothing acts on it.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::proceed;
use crate::decide::guard::refuse;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::decision::Standing;

/// This guard's name.
pub const NAME: &str = "silence";

/// Refused while Alertmanager mutes the alert, by a silence or by inhibition.
pub(super) fn judge(_: &Subject, facts: &Facts, _: Timestamp) -> Ruling {
    match &facts.standing {
        Standing::Silenced { by } => {
            refuse(NAME, format!("silenced in Alertmanager ({})", by.join(", ")), "silenced")
                .limit("", "the silence in Alertmanager")
        }
        Standing::Inhibited => refuse(NAME, "inhibited by another alert", "inhibited")
            .limit("", "inhibit_rules of Alertmanager"),
        Standing::Active => proceed(NAME, "active"),
        Standing::NotAsked => proceed(NAME, "not asked"),
        Standing::Gone | Standing::Unknown { .. } => proceed(NAME, "see evidence"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;

    #[test]
    fn refuses_while_muted() {
        let verdict =
            |standing| judge(&subject(), &Facts { standing, ..facts() }, now()).verdict.as_str();
        assert_eq!(verdict(Standing::Silenced { by: vec!["4b1f".into()] }), "refuse");
        assert_eq!(verdict(Standing::Inhibited), "refuse");
        assert_eq!(verdict(Standing::Active), "proceed");
        assert_eq!(verdict(Standing::NotAsked), "proceed");
    }
}

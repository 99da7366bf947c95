//! Credentials (G19): one that was refused stops all playbooks that use it, until a person has mended it.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;

/// This guard's name.
const NAME: &str = "credential";

/// Held while a credential that the playbook uses is denied.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    let denied = &facts.around.denied;
    let Some(found) = denied.iter().find(|it| subject.credentials.contains(&it.credential)) else {
        return proceed(
            NAME,
            match subject.credentials.len() {
                0 => "it uses none".to_owned(),
                count => format!("{count} in use, none denied"),
            },
        );
    };
    let reason = format!(
        "{} was denied at {:.0} ({}); `quell credential clear {}` when it is mended",
        found.credential, found.at, found.reason, found.credential
    );
    hold_for_now(NAME, now, reason, format!("{} denied", found.credential))
        .limit("none denied", format!("quell credential clear {}", found.credential))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::around;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::Circumstances;
    use crate::model::decision::Denied;

    #[test]
    fn g19_a_denied_credential_stops_the_playbooks_that_use_it_and_no_other() {
        let denied = vec![Denied {
            credential: "targets.http.shop".into(),
            at: now(),
            reason: "HTTP 401".into(),
        }];
        let facts = around(Circumstances { denied, ..Circumstances::default() });
        let ruled = |uses: &str| {
            judge(&Subject { credentials: vec![uses.into()], ..subject() }, &facts, now())
        };
        assert_eq!(ruled("targets.http.other").verdict.as_str(), "proceed");
        let ruling = ruled("targets.http.shop");
        assert_eq!(ruling.verdict.as_str(), "hold");
        let words = "targets.http.shop was denied at 2026-01-05T10:00:00Z (HTTP 401); `quell credential clear targets.http.shop` when it is mended";
        assert_eq!(ruling.reason, words);
        assert_eq!(judge(&subject(), &facts, now()).measured, "it uses none");
    }
}

//! No self-harm (G14): what quell itself needs is acted on only with a person's yes.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::decision::Verdict;

const NAME: &str = "own dependency";

/// Asks for a target that quell depends on: itself, its database, its channels, its metrics.
pub(super) fn judge(subject: &Subject, _: &Facts, _: Timestamp) -> Ruling {
    let Some((what, knob)) = &subject.dependency else {
        return proceed(NAME, "quell needs it not");
    };
    let reason = format!("quell itself needs {what}: it is only proposed");
    Ruling { verdict: Verdict::Ask, reason, ..proceed(NAME, what) }.limit("", knob)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;

    #[test]
    fn g14_no_self_harm_proposes_only() {
        assert_eq!(judge(&subject(), &facts(), now()).verdict, Verdict::Proceed);
        let dependency = Some(("deployment/quell-db".into(), "dependencies (quell.yml:9)".into()));
        let ruling = judge(&Subject { dependency, ..subject() }, &facts(), now());
        assert_eq!(ruling.verdict, Verdict::Ask);
        assert_eq!(ruling.reason, "quell itself needs deployment/quell-db: it is only proposed");
    }
}

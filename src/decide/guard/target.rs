//! Target sanity (G4): one thing, of the kind that the playbook acts on. Empty or unbounded never means everything.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::proceed;
use crate::decide::guard::refuse;
use crate::decide::target;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;

/// This guard's name.
pub const NAME: &str = "target";

/// Refuses a target that is empty, or names more than one thing, or is of another kind than the playbook acts on.
pub(super) fn judge(subject: &Subject, _: &Facts, _: Timestamp) -> Ruling {
    let target = &subject.target;
    if let Err(reason) = target::is_one(target) {
        return refuse(NAME, reason, target)
            .limit("one thing", format!("target of rule {}", subject.rule));
    }
    if subject.acts_on.is_empty() {
        return proceed(NAME, target);
    }
    let kinds = subject.acts_on.join(", ");
    let knob = format!("acts_on of playbook {}", subject.playbook);
    if subject.acts_on.iter().any(|pattern| target::fits(pattern, target)) {
        return proceed(NAME, target).limit(kinds, knob);
    }
    let reason = format!("{} acts on {kinds}, not on {target}", subject.playbook);
    refuse(NAME, reason, target).limit(kinds, knob)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;

    fn ruled(target: &str, acts_on: &[&str]) -> Ruling {
        let acts_on = acts_on.iter().map(|it| (*it).to_owned()).collect();
        judge(&Subject { target: target.into(), acts_on, ..subject() }, &facts(), now())
    }

    #[test]
    fn g04_an_empty_or_unbounded_target_is_refused() {
        assert_eq!(ruled("kubernetes/prod/deployment/api", &[]).verdict.as_str(), "proceed");
        for target in
            ["", "kubernetes//api", "kubernetes/prod/deployment/*", "web-.*", "a,b", "a|b"]
        {
            assert_eq!(ruled(target, &[]).verdict.as_str(), "refuse", "{target:?}");
        }
    }

    #[test]
    fn g04_the_wrong_kind_of_target_is_refused() {
        let kinds = ["kubernetes/*/deployment/*"];
        assert_eq!(ruled("kubernetes/prod/deployment/api", &kinds).verdict.as_str(), "proceed");
        let ruling = ruled("kubernetes/prod/site/api", &kinds);
        assert_eq!(ruling.verdict.as_str(), "refuse");
        let words = "restart acts on kubernetes/*/deployment/*, not on kubernetes/prod/site/api";
        assert_eq!(ruling.reason, words);
        assert_eq!(ruled("kubernetes/prod/deployment/api/x", &kinds).verdict.as_str(), "refuse");
    }
}

//! The condition of a rule: what it says of labels, and whether it says anything.

use super::inside;
use crate::decide::condition::Condition;
use crate::decide::matching::WHEN_VARIABLES;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::yaml::Node;
use crate::model::matcher::Matcher;
use crate::model::matcher::Op;
use crate::model::rule::Rule;

/// Reports a `when` that looks at no alert; gives what it says that labels are.
pub(super) fn look(at: At<'_>, node: &Node, rule: &Rule) -> Vec<Matcher> {
    let Some((when, written)) = rule.when.as_deref().zip(node.get("when")) else {
        return Vec::new();
    };
    if !WHEN_VARIABLES.iter().any(|it| when.contains(it)) {
        let message = "this looks at no alert: it says the same of every one";
        let found = Diagnostic::warning(codes::COMPARES_NOTHING, message);
        let label = "compare a label, as in `labels.env == \"prod\"`, or remove it";
        at.report(inside(at, written, 0), found.label(label));
        return Vec::new();
    }
    let Ok(condition) = Condition::new(when, &WHEN_VARIABLES) else { return Vec::new() };
    let labels = condition.equal().into_iter().filter(|((of, _), _)| of == "labels");
    labels.filter_map(|((_, name), value)| Matcher::new(&name, Op::Equal, &value).ok()).collect()
}

//! Matchers that no alert satisfies together.

use std::collections::BTreeMap;

use super::inside;
use super::items;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::yaml::Node;
use crate::model::labels::Labels;
use crate::model::matcher;
use crate::model::matcher::Matcher;
use crate::model::matcher::Op;

/// Reports matchers of one label that exclude one another, of a `rule` or a `window`. Whether there were any.
/// `equal` are what its `when` asks for besides.
pub(super) fn check(
    at: At<'_>,
    node: &Node,
    what: &str,
    matchers: &[Matcher],
    equal: &[Matcher],
) -> bool {
    let mut by_label: BTreeMap<&str, Vec<&Matcher>> = BTreeMap::new();
    for matcher in matchers.iter().chain(equal) {
        by_label.entry(matcher.name()).or_default().push(matcher);
    }
    let mut found = false;
    for (label, matchers) in by_label {
        let Some((one, other)) = contradiction(&matchers) else { continue };
        found = true;
        let by_when = [Some(one), other].into_iter().flatten().find(|it| equal.contains(it));
        let of_when = by_when.zip(node.get("when"));
        let span = match of_when {
            Some((matcher, when)) => inside(at, when, when.text.find(matcher.name()).unwrap_or(0)),
            None => place(node, one).unwrap_or(node.span),
        };
        let message = match other {
            Some(other) => {
                format!("no alert has both {other} and {one}: this {what} never matches")
            }
            None => format!("no label `{label}` satisfies {one}: this {what} never matches"),
        };
        let hint = "remove one, or write what both mean in one matcher";
        let label = match other {
            _ if of_when.is_some() => "`match` says otherwise: change one of them",
            Some(_) => hint,
            None => "remove it",
        };
        at.report(span, Diagnostic::warning(codes::CONTRADICTION, message).label(label));
    }
    found
}

/// The matcher that cannot hold, and the one it excludes; `None` when it excludes everything by itself.
fn contradiction<'a>(matchers: &[&'a Matcher]) -> Option<(&'a Matcher, Option<&'a Matcher>)> {
    for one in matchers {
        if refuses_all(one) {
            return Some((one, None));
        }
        let Some(values) = values(one) else { continue };
        // a set of values that one other matcher refuses whole; together they could only be said about three
        let excluded = |other: &&&Matcher| !values.iter().any(|value| satisfies(other, value));
        if let Some(other) = matchers.iter().filter(|it| *it != one).find(excluded) {
            return Some((other, Some(one)));
        }
    }
    let nonempty = matchers.iter().find(|it| !it.matches(&Labels::default()))?;
    let empty = matchers.iter().find(|it| it.op() == Op::NotRegex && it.value() == ".+")?;
    Some((empty, Some(nonempty)))
}

/// Whether an alert whose label has this value satisfies a matcher of that label.
pub(super) fn satisfies(matcher: &Matcher, value: &str) -> bool {
    matcher.matches(&Labels::from_iter([(matcher.name(), value)]))
}

/// Every value that satisfies it, when they can be listed: those of `a="x"` and of `a=~"x|y"`.
pub(super) fn values(matcher: &Matcher) -> Option<Vec<&str>> {
    match matcher.op() {
        Op::Equal => Some(vec![matcher.value()]),
        Op::Regex => literals(matcher.value()),
        Op::NotEqual | Op::NotRegex => None,
    }
}

/// `x` and `y` of `x|y`.
pub(crate) fn literals(pattern: &str) -> Option<Vec<&str>> {
    let plain = |c: char| c.is_alphanumeric() || "_-:/@ ,=|".contains(c);
    pattern.chars().all(plain).then(|| pattern.split('|').collect())
}

/// `a!~".*"`
fn refuses_all(matcher: &Matcher) -> bool {
    matcher.op() == Op::NotRegex && matches!(matcher.value(), ".*" | "(.*)" | ".*.*")
}

/// The item of `match:` that holds a matcher.
fn place(node: &Node, wanted: &Matcher) -> Option<super::Span> {
    let items = items(node, "match");
    let holds = |item: &&&Node| {
        matcher::parse_many(&item.text, matcher::Grammar::Fallback)
            .is_ok_and(|matchers| matchers.contains(wanted))
    };
    items.iter().rfind(holds).map(|it| it.span)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::prop_assert;
    use proptest::prelude::proptest;

    use super::*;
    use crate::model::matcher::Grammar;
    use crate::model::matcher::parse_many;

    fn found(text: &str) -> bool {
        let matchers = parse_many(text, Grammar::Fallback).expect(text);
        contradiction(&matchers.iter().collect::<Vec<_>>()).is_some()
    }

    #[test]
    fn only_what_can_never_match_is_a_contradiction() {
        for (matchers, expected) in [
            (r#"a="x", a="y""#, true),
            (r#"a="x", a="x""#, false),
            (r#"a="x", a!="x""#, true),
            (r#"a="", a!="""#, true),
            (r#"a="", a=~".+""#, true),
            (r#"a="x", a=~"y.*""#, true),
            (r#"a="x", a!~"x|y""#, true),
            (r#"a="x", a!~"xx""#, false),
            (r#"a=~"x|y", a=~"z|w""#, true),
            (r#"a=~"x|y", a=~"y|z""#, false),
            (r#"a=~"x|y", a!="x""#, false),
            (r#"a=~"x|y", a!~"x|y|z""#, true),
            (r#"a=~"x|", a!="x""#, false),
            (r#"a=~"x.*", a=~"y.*""#, false), // true, and not looked for
            (r#"a!~".*""#, true),
            (r#"a!~".+""#, false),
            (r#"a!~".+", a!="""#, true),
            (r#"a!~".+", a=~"x.*""#, true),
            (r#"a=~"""#, false),
            (r#"a=~"", a="x""#, true),
            (r#"a!="x", a!="y""#, false),
        ] {
            assert_eq!(found(matchers), expected, "{matchers}");
        }
    }

    proptest! {
        /// The one thing that must never happen: a rule that matches something is called one that never does.
        #[test]
        fn what_is_called_a_contradiction_matches_nothing(
            picks in proptest::collection::vec((0..4_usize, 0..6_usize), 1..4),
            value in 0..6_usize,
        ) {
            const OPS: [Op; 4] = [Op::Equal, Op::NotEqual, Op::Regex, Op::NotRegex];
            const VALUES: [&str; 6] = ["", "x", "y", "x|y", ".+", "x.*"];
            let matchers: Vec<Matcher> = picks
                .into_iter()
                .map(|(op, value)| Matcher::new("a", OPS[op], VALUES[value]).expect("a matcher"))
                .collect();
            let labels = Labels::from_iter([("a", VALUES[value])]);
            let all_match = matchers.iter().all(|it| it.matches(&labels));
            let found = contradiction(&matchers.iter().collect::<Vec<_>>()).is_some();
            prop_assert!(!(found && all_match), "{matchers:?} match {labels}");
        }
    }
}

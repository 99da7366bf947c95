//! Changes that people make (G15): what makes one, and which targets it covers.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::change::Changed;
use crate::model::config::Config;
use crate::model::decision::Hand;
use crate::model::decision::HandKind;
use crate::model::rule::Rule;

/// Characters of a target, at most.
const MAX_TARGET: usize = 500;
/// Characters of a reason, at most.
const MAX_REASON: usize = 500;

/// The change that is told of, or what is wrong with it.
pub fn told(target: &str, by: &str, reason: &str, now: Timestamp) -> Result<Changed, String> {
    if target.split('/').any(|part| part.trim().is_empty()) || target.chars().any(char::is_control)
    {
        return Err(format!(
            "{target:?} is no target: write one like kubernetes/prod/deployment/api, or kubernetes/prod for all below it"
        ));
    }
    if target.chars().count() > MAX_TARGET {
        return Err(format!("the name of a target has at most {MAX_TARGET} characters"));
    }
    if reason.chars().count() > MAX_REASON {
        return Err(format!("the reason of a change has at most {MAX_REASON} characters"));
    }
    let (target, by, reason) = (target.to_owned(), by.to_owned(), reason.trim().to_owned());
    Ok(Changed { target, by, reason, at: now })
}

/// Whether a change of `changed` is one of `target`: the same, or a part of its name from the beginning.
pub fn covers(changed: &str, target: &str) -> bool {
    target.strip_prefix(changed).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// How long a change counts for a rule; the guard itself looks at the exact time.
pub fn quiet(config: &Config, rule: Option<&Rule>) -> Duration {
    let own = rule.and_then(|rule| rule.limits.quiet.as_ref());
    own.map_or(Duration::ZERO, |own| own.value).max(config.limits.quiet.value)
}

/// People who changed the target.
pub fn hands(changes: &[Changed], target: &str) -> Vec<Hand> {
    let mine = changes.iter().filter(|change| covers(&change.target, target));
    mine.map(|change| Hand {
        kind: HandKind::Changed,
        by: change.by.clone(),
        at: change.at,
        what: match change.reason.as_str() {
            "" => change.target.clone(),
            reason => format!("{}: {reason}", change.target),
        },
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rule::Set;

    #[test]
    fn a_change_covers_its_target_and_all_below_it() {
        for (changed, target, expected) in [
            ("kubernetes/prod", "kubernetes/prod", true),
            ("kubernetes/prod", "kubernetes/prod/deployment/api", true),
            ("kubernetes", "kubernetes/prod/deployment/api", true),
            ("kubernetes/prod", "kubernetes/production/deployment/api", false),
            ("kubernetes/prod/deployment/api", "kubernetes/prod", false),
            ("deployment/api", "kubernetes/prod/deployment/api", false),
        ] {
            assert_eq!(covers(changed, target), expected, "{changed} {target}");
        }
    }

    #[test]
    fn whoever_changed_the_target_is_a_hand_with_what_they_changed() {
        let now = Timestamp::UNIX_EPOCH;
        let changes = [
            told("kubernetes/prod", "dana", "deploy 41", now).unwrap(),
            told("kubernetes/stage", "kim", "", now).unwrap(),
            told("kubernetes/prod/deployment/api", "eve", "", now).unwrap(),
        ];
        let hands = hands(&changes, "kubernetes/prod/deployment/api");
        let shown: Vec<_> = hands.iter().map(|it| (it.by.as_str(), it.what.as_str())).collect();
        let expected =
            [("dana", "kubernetes/prod: deploy 41"), ("eve", "kubernetes/prod/deployment/api")];
        assert_eq!(shown, expected);
    }

    #[test]
    fn changes_are_looked_for_as_far_back_as_the_longer_quiet() {
        let mut config = Config::default();
        assert_eq!(quiet(&config, None), Duration::from_mins(30));
        config.limits.quiet = Set::default_of(Duration::from_hours(2));
        assert_eq!(quiet(&config, None), Duration::from_hours(2));
    }

    #[test]
    fn a_target_without_a_name_is_refused() {
        let now = Timestamp::UNIX_EPOCH;
        assert!(told("kubernetes/prod", "dana", "deploy 41", now).is_ok());
        let long = "x".repeat(501);
        for target in ["", " ", "/", "a//b", "a/", "/a", "a/\u{0}", long.as_str()] {
            assert!(told(target, "dana", "", now).is_err(), "{target:?}");
        }
        assert!(told("a", "dana", &long, now).is_err());
    }
}

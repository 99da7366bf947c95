//! Settle: an alert that has only just begun may end by itself.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::time::after;
use crate::model::time::show_duration;

const NAME: &str = "settle";

/// Held until the alert has been firing for `settle`.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    let measured = format!("firing for {}", show_duration(facts.firing_for));
    let Some(settle) = &subject.limits.settle else { return proceed(NAME, measured) };
    let ruling = match settle.value.checked_sub(facts.firing_for) {
        Some(left) if !left.is_zero() => hold(
            NAME,
            after(now, left),
            format!(
                "firing for {} of {}",
                show_duration(facts.firing_for),
                show_duration(settle.value)
            ),
            measured,
        ),
        _ => proceed(NAME, measured),
    };
    ruling.limit(show_duration(settle.value), format!("settle ({})", settle.place))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::Verdict;
    use crate::model::rule::Set;

    #[test]
    fn holds_exactly_as_long_as_is_missing() {
        let mut subject = subject();
        subject.limits.settle = Some(Set::default_of(Duration::from_mins(1)));
        let verdict = |seconds| {
            let firing_for = Duration::from_secs(seconds);
            judge(&subject, &Facts { firing_for, ..facts() }, now()).verdict
        };
        assert_eq!(verdict(45), Verdict::Hold { until: after(now(), Duration::from_secs(15)) });
        assert_eq!(verdict(60), Verdict::Proceed);
    }
}

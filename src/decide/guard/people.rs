//! Yield to humans (G15): where a person is at work, automation only proposes, and what a person took over it leaves.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::proceed;
use crate::decide::guard::refuse;
use crate::model::decision::Facts;
use crate::model::decision::Hand;
use crate::model::decision::HandKind;
use crate::model::decision::Ruling;
use crate::model::decision::Verdict;
use crate::model::playbook::Mode;
use crate::model::time::after;
use crate::model::time::show_duration;

/// This guard's name.
const NAME: &str = "people";

/// Refuses what a person took over; asks while a person has acknowledged the incident, or changed the target within
/// `quiet`.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    if subject.remedy == 0 {
        return proceed(NAME, "not asked: takes a temporary measure back");
    }
    let quiet = &subject.limits.quiet;
    let hand = at_work(facts, quiet.value, now);
    let Some(hand) = hand else {
        return proceed(NAME, "nobody is at it")
            .limit(show_duration(quiet.value), format!("quiet ({})", quiet.place));
    };
    let (what, measured) = words(hand);
    match hand.kind {
        HandKind::TakenOver => {
            refuse(NAME, format!("{what}: automation leaves it to them"), measured)
                .limit("", "quell give-back")
        }
        HandKind::Acknowledged => {
            let ask = Verdict::Ask;
            let reason = format!("{what}: it is only proposed");
            Ruling { verdict: ask, reason, ..proceed(NAME, measured) }
                .limit("", "an acknowledgement")
        }
        HandKind::Changed => {
            let reason = format!("{what}: it is only proposed");
            Ruling { verdict: Verdict::Ask, reason, ..proceed(NAME, measured) }
                .limit(show_duration(quiet.value), format!("quiet ({})", quiet.place))
        }
    }
}

/// Before a step: what a person took over stops; a run in mode auto that nobody approved is given up while a person is at
/// it, so that it is proposed instead. One that has acted goes on, since half of it would be worse; its caller gives no
/// hands but take-overs then.
pub(super) fn before_step(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    let ruling = judge(subject, facts, now);
    let waited = subject.modes.iter().any(|(_, mode)| *mode != Mode::Auto);
    match ruling.verdict {
        Verdict::Ask if waited => proceed(NAME, ruling.measured).limit(ruling.limit, ruling.knob),
        Verdict::Proceed | Verdict::Ask | Verdict::Hold { .. } | Verdict::Refuse => ruling,
    }
}

/// The person who matters most: one who took it over, else the one who came last.
fn at_work(facts: &Facts, quiet: std::time::Duration, now: Timestamp) -> Option<&Hand> {
    let counts = |hand: &&Hand| match hand.kind {
        HandKind::TakenOver | HandKind::Acknowledged => true,
        HandKind::Changed => after(hand.at, quiet) > now,
    };
    let taken = |hand: &&Hand| hand.kind == HandKind::TakenOver;
    let hands = || facts.around.hands.iter().filter(counts);
    hands().find(taken).or_else(|| hands().max_by_key(|hand| hand.at))
}

/// What they did, and how it is measured.
fn words(hand: &Hand) -> (String, String) {
    let what = if hand.what.is_empty() { String::new() } else { format!(" ({})", hand.what) };
    let did = match hand.kind {
        HandKind::TakenOver => "took the incident over",
        HandKind::Acknowledged => "acknowledged the incident",
        HandKind::Changed => "changed the target",
    };
    let at = format!("{:.0}", hand.at);
    (format!("{} {did} at {at}{what}", hand.by), format!("{} since {at}", hand.by))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::guard::tests::around;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::Circumstances;
    use crate::model::time::before;

    fn hand(kind: HandKind, minutes: u64) -> Hand {
        let at = before(now(), Duration::from_mins(minutes));
        Hand { kind, by: "dana".into(), at, what: String::new() }
    }

    fn ruled(hands: Vec<Hand>) -> Ruling {
        judge(&subject(), &around(Circumstances { hands, ..Circumstances::default() }), now())
    }

    #[test]
    fn g15_yields_to_humans_by_what_they_did() {
        assert_eq!(ruled(vec![]).verdict, Verdict::Proceed);
        assert_eq!(ruled(vec![hand(HandKind::Acknowledged, 600)]).verdict, Verdict::Ask);
        assert_eq!(ruled(vec![hand(HandKind::TakenOver, 600)]).verdict, Verdict::Refuse);
        let both = vec![hand(HandKind::TakenOver, 600), hand(HandKind::Acknowledged, 1)];
        assert_eq!(ruled(both).verdict, Verdict::Refuse);
    }

    #[test]
    fn g15_a_change_counts_until_quiet_is_over() {
        let ruling = ruled(vec![hand(HandKind::Changed, 29)]);
        assert_eq!(ruling.verdict, Verdict::Ask);
        let words = "dana changed the target at 2026-01-05T09:31:00Z: it is only proposed";
        assert_eq!((ruling.reason.as_str(), ruling.limit.as_str()), (words, "30m"));
        assert_eq!(ruled(vec![hand(HandKind::Changed, 30)]).verdict, Verdict::Proceed);
    }

    #[test]
    fn g15_before_a_step_an_approved_run_goes_on_and_an_automatic_one_asks() {
        let hands = vec![hand(HandKind::Acknowledged, 1)];
        let facts = around(Circumstances { hands, ..Circumstances::default() });
        assert_eq!(before_step(&subject(), &facts, now()).verdict, Verdict::Ask);
        let modes = vec![("plan".into(), Mode::Approve)];
        let approved = Subject { modes, ..subject() };
        assert_eq!(before_step(&approved, &facts, now()).verdict, Verdict::Proceed);
        let hands = vec![hand(HandKind::TakenOver, 1)];
        let facts = around(Circumstances { hands, ..Circumstances::default() });
        assert_eq!(before_step(&approved, &facts, now()).verdict, Verdict::Refuse);
    }
}

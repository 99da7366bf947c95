//! A page that is held while a remedy is tried: `page: { unless_fixed_within: 10m }`.
//!
//! Channels that page are told nothing of the incident until the time is over. Verified fixed by then, they are never
//! told. Anything that needs a person sends the page at once: every notice that says "needs you", and whatever shows
//! that nothing is being tried.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::guard;
use crate::decide::response::DECAY;
use crate::decide::response::Next;
use crate::model::config::Config;
use crate::model::decision::Decision;
use crate::model::decision::Verdict;
use crate::model::incident::Incident;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;
use crate::model::rule::Rule;
use crate::model::time::after;
use crate::model::time::show_duration;
use crate::model::time::since;

/// Until when the page of an incident that opens at `now` is held; `None` when it is sent at once: the rule does not
/// hold it, or there is nothing to try.
pub fn hold(rule: &Rule, now: Timestamp) -> Option<Timestamp> {
    let within = rule.page.as_ref().filter(|_| !rule.response.is_empty())?;
    Some(after(now, within.value))
}

/// The page of an incident that opens while a breaker covers its rule waits for that, too: one page explains all of them.
pub fn hold_in_trip(held: Option<Timestamp>, cooldown: Duration, now: Timestamp) -> Timestamp {
    let until = after(now, cooldown);
    held.map_or(until, |held| held.max(until))
}

/// What is owed to those who may be told: while the page is held, only what needs a person reaches channels that page.
pub fn held(config: &Config, incident: &Incident, mut owed: Vec<Owed>) -> Vec<Owed> {
    if incident.held_until.is_some() {
        owed.retain(|it| {
            it.notice.kind == NoticeKind::NeedsYou || !config.paging.contains(&it.channel)
        });
    }
    owed
}

/// Whether what the response of an open episode says at the deadline means that it was verified fixed in time.
pub fn fixed_in_time(next: &Next, deadline: Timestamp) -> bool {
    matches!(next, Next::Fixed { until } if *until <= after(deadline, DECAY))
}

/// Why nothing can be verified before `deadline`, if the decision says so: automation is paused, or held for longer.
pub fn in_vain(decision: &Decision, deadline: Timestamp) -> Option<String> {
    let Verdict::Hold { until } = decision.verdict else { return None };
    let paused = decision
        .rulings
        .iter()
        .any(|it| it.guard == guard::KILL_SWITCH && it.verdict.caution() > 0);
    (paused || until >= deadline).then(|| format!("quell does not act: {}", decision.reason))
}

/// Adds to what needs a person how long the page was held, and for what.
pub fn explain(owed: &mut [Owed], words: Option<&str>) {
    let Some(words) = words else { return };
    for it in owed.iter_mut().filter(|it| it.notice.kind == NoticeKind::NeedsYou) {
        it.notice.details.insert(0, words.to_owned());
    }
}

/// `the page was held for 10m while restart was tried`
pub fn words(incident: &Incident, tried: &[String], now: Timestamp) -> String {
    let time: Duration = since(now, incident.opened_at);
    let mut playbooks: Vec<&str> = Vec::new();
    for playbook in tried {
        if !playbooks.contains(&playbook.as_str()) {
            playbooks.push(playbook);
        }
    }
    let what = match playbooks.as_slice() {
        [] => "and nothing was tried".to_owned(),
        [one] => format!("while {one} was tried"),
        [first @ .., last] => format!("while {} and {last} were tried", first.join(", ")),
    };
    format!("the page was held for {} {what}", show_duration(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decision::Ruling;
    use crate::model::incident::EpisodeId;
    use crate::model::incident::IncidentId;
    use crate::model::incident::Notice;
    use crate::model::labels::Labels;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_607_200 + seconds).unwrap()
    }

    fn incident(held_until: Option<Timestamp>) -> Incident {
        Incident {
            id: IncidentId(1),
            rule: "r".into(),
            group_key: "t".into(),
            title: "t".into(),
            severity: "critical".into(),
            held_until,
            ..Incident::unstored(at(0))
        }
    }

    #[test]
    fn while_the_page_is_held_only_what_needs_a_person_reaches_channels_that_page() {
        let config = Config { paging: ["pager".to_owned()].into(), ..Config::default() };
        let told = |kind, held_until| -> Vec<String> {
            let incident = incident(held_until);
            let notice = Notice {
                kind,
                incident: incident.id,
                title: String::new(),
                severity: String::new(),
                headline: String::new(),
                details: Vec::new(),
                tried: Vec::new(),
                proposes: None,
                labels: Labels::default(),
                opened_at: at(0),
                at: at(0),
            };
            let owed = |channel: &str| Owed {
                channel: channel.into(),
                recipient: String::new(),
                notice: notice.clone(),
            };
            let owed = held(&config, &incident, vec![owed("slack"), owed("pager")]);
            owed.into_iter().map(|it| it.channel).collect()
        };
        for kind in [NoticeKind::Opened, NoticeKind::Progress, NoticeKind::Acknowledged] {
            assert_eq!(told(kind, Some(at(600))), ["slack"], "{kind:?}");
            assert_eq!(told(kind, None), ["slack", "pager"], "{kind:?}");
        }
        assert_eq!(told(NoticeKind::NeedsYou, Some(at(600))), ["slack", "pager"]);
    }

    #[test]
    fn only_what_was_verified_by_the_deadline_was_fixed_in_time() {
        let fixed = |ended: i64| Next::Fixed { until: after(at(ended), DECAY) };
        for (next, expected) in [
            (fixed(599), true),
            (fixed(600), true),
            (fixed(601), false),
            (Next::Busy, false),
            (Next::Observed { at: at(5), remedy: 1, round: 1 }, false),
            (Next::People("x".into()), false),
            (Next::NoResponse, false),
            (Next::Remedy { remedy: 1, round: 0 }, false),
        ] {
            assert_eq!(fixed_in_time(&next, at(600)), expected, "{next:?}");
        }
    }

    #[test]
    fn a_hold_is_in_vain_when_paused_or_when_it_lasts_beyond_the_deadline() {
        let decision = |guard: &str, verdict: Verdict| Decision {
            episode: EpisodeId(1),
            incident: None,
            rule: "r".into(),
            playbook: "p".into(),
            target: "t".into(),
            verdict: verdict.clone(),
            reason: "because".into(),
            rulings: vec![Ruling {
                guard: guard.into(),
                verdict,
                reason: String::new(),
                measured: String::new(),
                limit: String::new(),
                knob: String::new(),
            }],
            at: at(0),
        };
        let hold = |seconds| Verdict::Hold { until: at(seconds) };
        for (guard, verdict, expected) in [
            ("settle", hold(60), false),
            ("cooldown", hold(599), false),
            ("cooldown", hold(600), true),
            ("kill switch", hold(1), true),
            ("evidence", Verdict::Refuse, false),
            ("mode", Verdict::Proceed, false),
        ] {
            let found = in_vain(&decision(guard, verdict), at(600));
            assert_eq!(found.is_some(), expected, "{guard}");
        }
    }

    #[test]
    fn the_page_says_how_long_it_was_held_and_for_what() {
        let check = |tried: &[&str], expected: &str| {
            let tried: Vec<String> = tried.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!(words(&incident(None), &tried, at(600)), expected);
        };
        check(&[], "the page was held for 10m and nothing was tried");
        check(&["restart", "restart"], "the page was held for 10m while restart was tried");
        check(
            &["flush", "restart"],
            "the page was held for 10m while flush and restart were tried",
        );
    }
}

//! Windows: which cover an alert, whether an instant is inside, and when that ends.

pub mod list;
pub mod one_off;

use jiff::Timestamp;

use crate::decide::slots;
use crate::decide::slots::Slots;
use crate::model::decision::InWindow;
use crate::model::labels::Labels;
use crate::model::playbook::Mode;
use crate::model::time::after;
use crate::model::time::before;
use crate::model::window::Effect;
use crate::model::window::Span;
use crate::model::window::Window;

/// Slots that are joined into one stay, at most. What lasts longer is looked at again when these end.
const JOINED: usize = 100;

/// The windows whose matchers the labels satisfy, and where each stands at `now`.
pub fn covering(windows: &[Window], labels: &Labels, now: Timestamp) -> Vec<InWindow> {
    let covers = |window: &&Window| window.matchers.iter().all(|it| it.matches(labels));
    windows
        .iter()
        .filter(covers)
        .map(|window| {
            let ends = ends(&window.span, now);
            InWindow {
                name: window.name.clone(),
                effect: window.effect,
                reason: window.reason.clone(),
                place: window.place.clone(),
                ends,
                begins: if ends.is_none() { begins(&window.span, now) } else { None },
            }
        })
        .collect()
}

/// When the stay in the window that `now` is inside of ends; `None` when it is outside.
pub fn ends(span: &Span, now: Timestamp) -> Option<Timestamp> {
    match span {
        Span::Once { from, until } => (*from <= now && now < *until).then_some(*until),
        Span::Recurring { cron, timezone, lasts } => {
            let slots = Slots::new(cron, timezone)?;
            // the earliest slot whose window `now` is inside of
            let mut slot = slots.next(before(now, *lasts)).filter(|slot| *slot <= now)?;
            // a slot that begins before the one before it has ended prolongs the stay
            for _ in 0..JOINED {
                match slots.next(slot) {
                    Some(following) if following <= after(slot, *lasts) => slot = following,
                    _ => break,
                }
            }
            Some(after(slot, *lasts))
        }
    }
}

/// When the window begins next after `now`; `None` when it never does again.
pub fn begins(span: &Span, now: Timestamp) -> Option<Timestamp> {
    match span {
        Span::Once { from, .. } => (*from > now).then_some(*from),
        Span::Recurring { cron, timezone, .. } => slots::next(cron, timezone, now),
    }
}

/// The modes that the windows impose now, each with its knob.
pub fn modes(windows: &[InWindow]) -> impl Iterator<Item = (String, Mode)> {
    windows
        .iter()
        .filter(|window| window.effect == Effect::Observe && window.ends.is_some())
        .map(|window| (knob(window), Mode::Observe))
}

/// When the stay in a window that observes, which `at` is inside of, ends: after it, a remedy that was only observed
/// is judged again. `None` when no such window was in force.
pub fn observed_until(windows: &[Window], labels: &Labels, at: Timestamp) -> Option<Timestamp> {
    covering(windows, labels, at)
        .into_iter()
        .filter(|window| window.effect == Effect::Observe)
        .filter_map(|window| window.ends)
        .max()
}

/// `window freeze (quell.yml:31)`
pub fn knob(window: &InWindow) -> String {
    format!("window {} ({})", window.name, window.place)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::model::matcher::Grammar;
    use crate::model::matcher::parse_many;
    use crate::model::rule::Place;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn recurring(cron: &str, timezone: &str, lasts: Duration) -> Span {
        Span::Recurring { cron: cron.into(), timezone: timezone.into(), lasts }
    }

    const HOUR: Duration = Duration::from_hours(1);

    /// `Some` when inside: the end.
    fn check(span: &Span, now: &str, expected: Option<&str>) {
        assert_eq!(ends(span, time(now)), expected.map(time), "{span:?} at {now}");
    }

    #[test]
    fn a_window_is_from_its_slot_on_and_before_its_end() {
        let nightly = recurring("0 2 * * *", "UTC", 2 * HOUR);
        check(&nightly, "2026-01-05T01:59:59.999999Z", None);
        check(&nightly, "2026-01-05T02:00:00Z", Some("2026-01-05T04:00:00Z"));
        check(&nightly, "2026-01-05T02:00:00.000001Z", Some("2026-01-05T04:00:00Z"));
        check(&nightly, "2026-01-05T03:59:59.999999Z", Some("2026-01-05T04:00:00Z"));
        check(&nightly, "2026-01-05T04:00:00Z", None);
        assert_eq!(
            begins(&nightly, time("2026-01-05T04:00:00Z")),
            Some(time("2026-01-06T02:00:00Z"))
        );
        let once =
            Span::Once { from: time("2026-01-05T10:00:00Z"), until: time("2026-01-05T12:00:00Z") };
        check(&once, "2026-01-05T09:59:59Z", None);
        check(&once, "2026-01-05T10:00:00Z", Some("2026-01-05T12:00:00Z"));
        check(&once, "2026-01-05T12:00:00Z", None);
        assert_eq!(begins(&once, time("2026-01-05T09:00:00Z")), Some(time("2026-01-05T10:00:00Z")));
        assert_eq!(begins(&once, time("2026-01-05T12:00:00Z")), None);
    }

    #[test]
    fn windows_of_one_schedule_that_overlap_or_touch_are_one_stay() {
        let overlapping = recurring("0 2,3 * * *", "UTC", 2 * HOUR);
        check(&overlapping, "2026-01-05T02:30:00Z", Some("2026-01-05T05:00:00Z"));
        check(&overlapping, "2026-01-05T04:30:00Z", Some("2026-01-05T05:00:00Z"));
        let touching = recurring("0 2,4 * * *", "UTC", 2 * HOUR);
        check(&touching, "2026-01-05T03:00:00Z", Some("2026-01-05T06:00:00Z"));
        let always = recurring("* * * * * *", "UTC", HOUR);
        let end = ends(&always, time("2026-01-05T03:00:00Z")).unwrap();
        assert!(end > time("2026-01-05T03:00:00Z"), "{end}");
    }

    #[test]
    fn a_window_that_lasts_over_a_change_of_summer_time_lasts_as_long_as_it_says() {
        let berlin = |cron| recurring(cron, "Europe/Berlin", 2 * HOUR);
        let toronto = |cron| recurring(cron, "America/Toronto", 2 * HOUR);
        // 29 March 2026 in Berlin: 02:00 CET is 03:00 CEST
        check(&berlin("0 1 * * *"), "2026-03-29T00:00:00Z", Some("2026-03-29T02:00:00Z"));
        // 02:30 does not exist that day: the window begins when the gap ends
        check(&berlin("30 2 * * *"), "2026-03-29T00:59:59Z", None);
        check(&berlin("30 2 * * *"), "2026-03-29T01:00:00Z", Some("2026-03-29T03:00:00Z"));
        check(&berlin("30 2 * * *"), "2026-03-30T00:30:00Z", Some("2026-03-30T02:30:00Z"));
        // 25 October 2026 in Berlin: 03:00 CEST is 02:00 CET, so 02:30 is twice and the window once
        check(&berlin("30 2 * * *"), "2026-10-25T00:30:00Z", Some("2026-10-25T02:30:00Z"));
        check(&berlin("30 2 * * *"), "2026-10-25T01:30:00Z", Some("2026-10-25T02:30:00Z"));
        check(&berlin("30 2 * * *"), "2026-10-25T02:30:00Z", None);
        // 8 March 2026 in Toronto: 02:00 EST is 03:00 EDT
        check(&toronto("30 2 * * SUN"), "2026-03-08T06:59:59Z", None);
        check(&toronto("30 2 * * SUN"), "2026-03-08T07:00:00Z", Some("2026-03-08T09:00:00Z"));
        // 1 November 2026 in Toronto: 02:00 EDT is 01:00 EST
        check(&toronto("30 1 * * SUN"), "2026-11-01T05:30:00Z", Some("2026-11-01T07:30:00Z"));
        check(&toronto("30 1 * * SUN"), "2026-11-01T06:30:00Z", Some("2026-11-01T07:30:00Z"));
        check(&toronto("30 1 * * SUN"), "2026-11-01T07:30:00Z", None);
    }

    fn window(name: &str, effect: Effect, matchers: &str, span: Span) -> Window {
        Window {
            name: name.into(),
            span,
            effect,
            matchers: parse_many(matchers, Grammar::Fallback).unwrap(),
            reason: String::new(),
            place: Place { file: "quell.yml".into(), line: 3 },
        }
    }

    #[test]
    fn only_windows_that_match_the_alert_cover_it_and_only_inside_do_they_bind_its_mode() {
        let nightly = || recurring("0 2 * * *", "UTC", HOUR);
        let windows = [
            window("all", Effect::Observe, "", nightly()),
            window("api", Effect::Refuse, "service=api", nightly()),
            window("web", Effect::Refuse, "service=web", nightly()),
        ];
        let labels: Labels = [("service", "api")].into_iter().collect();
        let at = |text| covering(&windows, &labels, time(text));
        let inside = at("2026-01-05T02:30:00Z");
        let names: Vec<&str> = inside.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["all", "api"]);
        assert_eq!((inside[0].ends, inside[0].begins), (Some(time("2026-01-05T03:00:00Z")), None));
        let bound: Vec<_> = modes(&inside).collect();
        assert_eq!(bound, [("window all (quell.yml:3)".to_owned(), Mode::Observe)]);
        let outside = at("2026-01-05T03:00:00Z");
        assert_eq!(
            (outside[1].ends, outside[1].begins),
            (None, Some(time("2026-01-06T02:00:00Z")))
        );
        assert_eq!(modes(&outside).count(), 0);
        let until = |text| observed_until(&windows, &labels, time(text));
        assert_eq!(until("2026-01-05T02:30:00Z"), Some(time("2026-01-05T03:00:00Z")));
        assert_eq!(until("2026-01-05T03:30:00Z"), None);
    }

    const CRONS: [&str; 8] = [
        "0 2 * * *",
        "30 2 * * *",
        "*/20 * * * *",
        "15 1,2,3 * * SUN",
        "0 */2 * * *",
        "59 23 * * *",
        "0 3 29 3 *",
        "10 30 1 * * *",
    ];
    /// Days around which clocks change, and one on which none does.
    const DAYS: [&str; 5] = [
        "2026-03-28T12:00:00Z",
        "2026-10-24T12:00:00Z",
        "2026-03-07T12:00:00Z",
        "2026-10-31T12:00:00Z",
        "2026-01-05T00:00:00Z",
    ];

    proptest! {
        #[test]
        fn inside_means_that_a_slot_began_and_has_not_ended(
            cron in prop::sample::select(&CRONS[..]),
            zone in prop::sample::select(&["UTC", "Europe/Berlin", "America/Toronto", "Australia/Lord_Howe"][..]),
            day in prop::sample::select(&DAYS[..]),
            offset in 0_u64..48 * 3600,
            minutes in 1_u64..360,
        ) {
            let lasts = Duration::from_mins(minutes);
            let now = after(time(day), Duration::from_secs(offset));
            // every slot from long before, one after the other
            let mut slots = Vec::new();
            let mut at = before(now, Duration::from_hours(26));
            while let Some(slot) = slots::next(cron, zone, at).filter(|slot| *slot <= now) {
                slots.push(slot);
                at = slot;
            }
            let expected = slots.iter().any(|slot| now < after(*slot, lasts));
            let found = ends(&recurring(cron, zone, lasts), now);
            prop_assert_eq!(found.is_some(), expected);
            if let Some(end) = found {
                prop_assert!(end > now);
                // nothing of the stay is outside
                prop_assert!(ends(&recurring(cron, zone, lasts), before(end, Duration::from_micros(1))).is_some());
                // a stay that never ends is looked at again now and then
                if end < after(now, Duration::from_hours(30)) {
                    prop_assert_eq!(ends(&recurring(cron, zone, lasts), end), None);
                }
            }
        }
    }
}

//! Windows: maintenance and freezes of quell.yml.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::hold;
use crate::decide::guard::hold_for_now;
use crate::decide::guard::lowest_mode;
use crate::decide::guard::proceed;
use crate::decide::window::knob;
use crate::model::decision::Facts;
use crate::model::decision::InWindow;
use crate::model::decision::Ruling;
use crate::model::playbook::Mode;
use crate::model::window::Effect;

/// This guard's name.
pub const NAME: &str = "window";

/// Held inside a window that refuses until it ends, and outside of all that allow until the next begins. One that
/// observes binds the mode instead.
pub(super) fn judge(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    if subject.remedy == 0 {
        return proceed(NAME, "not asked: takes a temporary measure back");
    }
    rule(facts, now, |window| window.effect == Effect::Refuse)
}

/// The same before the first step: a run that was planned before a window which observes began waits until it ends.
pub(super) fn before_step(subject: &Subject, facts: &Facts, now: Timestamp) -> Ruling {
    if subject.remedy == 0 || lowest_mode(subject).0 == Mode::Observe {
        return proceed(NAME, "not asked");
    }
    rule(facts, now, |window| matches!(window.effect, Effect::Refuse | Effect::Observe))
}

fn rule(facts: &Facts, now: Timestamp, holds: impl Fn(&InWindow) -> bool) -> Ruling {
    if let Some(glass) = &facts.around.glass {
        return proceed(NAME, format!("lifted by {}", glass.by));
    }
    let inside = |window: &&InWindow| window.ends.is_some();
    let refusing = facts.windows.iter().filter(inside).filter(|window| holds(window));
    if let Some(window) = refusing.max_by_key(|window| window.ends)
        && let Some(ends) = window.ends
    {
        let reason = format!("refused by window {} until {ends:.0}{}", window.name, why(window));
        return hold(NAME, ends, reason, format!("inside {}", window.name))
            .limit(format!("outside {}", window.name), knob(window));
    }
    let allowing = || facts.windows.iter().filter(|window| window.effect == Effect::AllowOnly);
    if allowing().count() > 0 && !allowing().any(|window| window.ends.is_some()) {
        return outside(allowing(), now);
    }
    let names: Vec<&str> =
        facts.windows.iter().filter(inside).map(|window| window.name.as_str()).collect();
    match names.as_slice() {
        [] => proceed(NAME, "inside none"),
        names => proceed(NAME, format!("inside {}", names.join(", "))),
    }
}

/// Outside of every window that allows.
fn outside<'a>(allowing: impl Iterator<Item = &'a InWindow> + Clone, now: Timestamp) -> Ruling {
    let next = allowing.clone().filter(|it| it.begins.is_some()).min_by_key(|it| it.begins);
    if let Some(window) = next
        && let Some(begins) = window.begins
    {
        let reason = format!(
            "allowed only inside window {}, which begins next at {begins:.0}{}",
            window.name,
            why(window)
        );
        return hold(NAME, begins, reason, "outside")
            .limit(format!("inside {}", window.name), knob(window));
    }
    let knobs: Vec<String> = allowing.map(knob).collect();
    hold_for_now(NAME, now, "every window that allows it is over", "outside")
        .limit("inside", knobs.join(", "))
}

fn why(window: &InWindow) -> String {
    if window.reason.is_empty() { String::new() } else { format!(": {}", window.reason) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;
    use crate::model::decision::Verdict;
    use crate::model::rule::Place;
    use crate::model::time::after;

    fn at(minutes: u64) -> Timestamp {
        after(now(), std::time::Duration::from_mins(minutes))
    }

    /// Inside until, or outside until it begins.
    fn window(effect: Effect, ends: Option<u64>, begins: Option<u64>) -> InWindow {
        InWindow {
            name: "freeze".into(),
            effect,
            reason: "release week".into(),
            place: Place { file: "quell.yml".into(), line: 7 },
            ends: ends.map(at),
            begins: begins.map(at),
        }
    }

    type Guard = fn(&Subject, &Facts, Timestamp) -> Ruling;

    fn ruled(guard: Guard, subject: &Subject, windows: &[InWindow]) -> Ruling {
        guard(subject, &Facts { windows: windows.to_vec(), ..facts() }, now())
    }

    #[test]
    fn each_effect_inside_and_outside() {
        let inside = |effect| window(effect, Some(9), None);
        let outside = |effect| window(effect, None, Some(20));
        let hold = |minutes| Verdict::Hold { until: at(minutes) };
        let (observe, refuse, allow) = (Effect::Observe, Effect::Refuse, Effect::AllowOnly);
        for (windows, expected, before) in [
            (vec![], Verdict::Proceed, Verdict::Proceed),
            (vec![inside(refuse)], hold(9), hold(9)),
            (vec![outside(refuse)], Verdict::Proceed, Verdict::Proceed),
            (vec![inside(observe)], Verdict::Proceed, hold(9)),
            (vec![outside(observe)], Verdict::Proceed, Verdict::Proceed),
            (vec![inside(allow)], Verdict::Proceed, Verdict::Proceed),
            (vec![outside(allow)], hold(20), hold(20)),
            (vec![outside(allow), inside(allow)], Verdict::Proceed, Verdict::Proceed),
            (vec![outside(allow), window(allow, None, Some(5))], hold(5), hold(5)),
            (vec![inside(allow), inside(refuse)], hold(9), hold(9)),
            (vec![inside(refuse), window(refuse, Some(30), None)], hold(30), hold(30)),
        ] {
            assert_eq!(ruled(judge, &subject(), &windows).verdict, expected, "{windows:?}");
            assert_eq!(ruled(before_step, &subject(), &windows).verdict, before, "{windows:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_window_its_reason_and_where_it_is_set() {
        let ruling = ruled(judge, &subject(), &[window(Effect::Refuse, Some(9), None)]);
        let reason = "refused by window freeze until 2026-01-05T10:09:00Z: release week";
        assert_eq!(ruling.reason, reason);
        assert_eq!(
            (ruling.measured.as_str(), ruling.limit.as_str()),
            ("inside freeze", "outside freeze")
        );
        assert_eq!(ruling.knob, "window freeze (quell.yml:7)");
    }

    #[test]
    fn when_every_window_that_allows_is_over_nothing_begins() {
        let over = window(Effect::AllowOnly, None, None);
        assert_eq!(ruled(judge, &subject(), &[over]).verdict.as_str(), "hold");
    }

    #[test]
    fn taking_a_measure_back_and_what_only_observes_need_not_wait() {
        let windows = [window(Effect::Refuse, Some(9), None)];
        let back = Subject { remedy: 0, ..subject() };
        assert_eq!(ruled(judge, &back, &windows).verdict, Verdict::Proceed);
        assert_eq!(ruled(before_step, &back, &windows).verdict, Verdict::Proceed);
        let observes = Subject { modes: vec![("plan".into(), Mode::Observe)], ..subject() };
        assert_eq!(ruled(before_step, &observes, &windows).verdict, Verdict::Proceed);
    }
}

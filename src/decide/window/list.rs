//! Windows as they are listed: those of quell.yml and those that were added, each with where it stands now.

use jiff::Timestamp;
use serde::Serialize;

use crate::decide::window::begins;
use crate::decide::window::ends;
use crate::model::time::show_duration;
use crate::model::window::Effect;
use crate::model::window::OneOff;
use crate::model::window::Span;
use crate::model::window::Window;

/// A window, and the stay in it that is now or comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it does.
    pub effect: Effect,
    /// Its matchers; none: every alert.
    #[serde(rename = "match")]
    pub matchers: Vec<String>,
    /// Why.
    pub reason: String,
    /// `0 2 * * SUN America/Toronto for 2h`, or `once`.
    pub when: String,
    /// Where it is set: `quell.yml:31`, or `added by dana`.
    pub set_in: String,
    /// Whether it is now.
    pub inside: bool,
    /// The first instant of the stay that comes next; `None` while it is now, and when it is over.
    pub begins: Option<Timestamp>,
    /// The first instant after the stay that is now or comes next; `None` when it is over.
    pub ends: Option<Timestamp>,
    /// Who ended it early.
    pub ended_by: Option<String>,
}

impl Listed {
    /// Whether it never is again.
    pub fn is_over(&self) -> bool {
        self.ends.is_none()
    }
}

/// Those of quell.yml in its order, then those that were added.
pub fn list(config: &[Window], added: &[OneOff], now: Timestamp) -> Vec<Listed> {
    let config = config.iter().map(|window| listed(window, None, now));
    let added = added.iter().map(|it| listed(&it.window(), it.ended_by.clone(), now));
    config.chain(added).collect()
}

fn listed(window: &Window, ended_by: Option<String>, now: Timestamp) -> Listed {
    let inside = ends(&window.span, now);
    let next = if inside.is_none() { begins(&window.span, now) } else { None };
    Listed {
        name: window.name.clone(),
        effect: window.effect,
        matchers: window.matchers.iter().map(ToString::to_string).collect(),
        reason: window.reason.clone(),
        when: match &window.span {
            Span::Once { .. } => "once".to_owned(),
            Span::Recurring { cron, timezone, lasts } => {
                format!("{cron} {timezone} for {}", show_duration(*lasts))
            }
        },
        set_in: window.place.to_string(),
        inside: inside.is_some(),
        begins: next,
        ends: inside.or_else(|| ends(&window.span, next?)),
        ended_by,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::rule::Place;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn check(span: Span, now: &str, expected: (bool, Option<&str>, Option<&str>)) {
        let window = Window {
            name: "w".into(),
            span,
            effect: Effect::Refuse,
            matchers: Vec::new(),
            reason: String::new(),
            place: Place::default(),
        };
        let listed = listed(&window, None, time(now));
        let (inside, begins, ends) = expected;
        let expected = (inside, begins.map(time), ends.map(time));
        assert_eq!((listed.inside, listed.begins, listed.ends), expected, "{now}");
        assert_eq!(listed.is_over(), !inside && begins.is_none());
    }

    #[test]
    fn the_stay_that_is_now_or_comes_next_is_shown() {
        let once =
            Span::Once { from: time("2026-01-05T10:00:00Z"), until: time("2026-01-05T12:00:00Z") };
        let (ten, twelve) = (Some("2026-01-05T10:00:00Z"), Some("2026-01-05T12:00:00Z"));
        check(once.clone(), "2026-01-05T09:00:00Z", (false, ten, twelve));
        check(once.clone(), "2026-01-05T10:00:00Z", (true, None, twelve));
        check(once, "2026-01-05T12:00:00Z", (false, None, None));
        let sundays = Span::Recurring {
            cron: "30 2 * * SUN".into(),
            timezone: "Europe/Berlin".into(),
            lasts: Duration::from_hours(2),
        };
        // on 29 March 2026 there is no 02:30 in Berlin: it begins when the gap ends, and lasts as long as ever
        let (begins, ends) = (Some("2026-03-29T01:00:00Z"), Some("2026-03-29T03:00:00Z"));
        check(sundays.clone(), "2026-03-28T12:00:00Z", (false, begins, ends));
        check(sundays.clone(), "2026-03-29T02:59:59Z", (true, None, ends));
        // on 25 October 2026 there are two: it is once, from the first one on
        let (begins, ends) = (Some("2026-10-25T00:30:00Z"), Some("2026-10-25T02:30:00Z"));
        check(sundays.clone(), "2026-10-24T12:00:00Z", (false, begins, ends));
        check(sundays, "2026-10-25T01:30:00Z", (true, None, ends));
    }
}

//! Which alerts the tree of routes brings to quell, as Alertmanager walks it: into the first child that matches, and on
//! to the next after one that says `continue`; where no child matches, an alert ends.

use std::time::Duration;

use super::alertmanager::Placed;
use super::alertmanager::Route;
use super::alertmanager::Routing;
use super::labels::External;
use super::labels::Known;
use super::labels::Truth;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Sink;
use crate::library::diagnostic::Span;
use crate::model::config::Config;
use crate::model::config::Limits;
use crate::model::time::show_duration;

/// A change inside a group should be told within this time.
const PROMPT: Duration = Duration::from_mins(1);

/// Reports routes that never bring an alert to quell, and those that bring it late.
pub(super) fn check(sink: &Sink, config: Option<&Config>, routing: &Routing) {
    let at = At { file: &routing.file, text: "", sink };
    elsewhere(at, routing, &routing.root, false, true);
    let default = Limits::default();
    let max_age = config.map_or(&default, |it| &it.limits).max_age.value;
    late(at, routing, &routing.root, max_age);
}

/// Whether something that arrives at a route may be brought to quell.
fn may_reach(routing: &Routing, route: &Route) -> bool {
    route.routes.iter().any(|it| may_reach(routing, it))
        || routing.is_quell(&route.receiver) && !is_passed(route)
}

/// Whether some child takes everything, so that nothing ends at the route itself.
fn is_passed(route: &Route) -> bool {
    route.routes.iter().any(|it| it.matchers.is_empty())
}

/// `also`: whether what arrives here may be brought to quell on another way.
fn elsewhere(at: At<'_>, routing: &Routing, route: &Route, also: bool, root: bool) {
    for (count, child) in route.routes.iter().enumerate() {
        let before = route.routes.get(..count).unwrap_or_default();
        let after = route.routes.get(count + 1..).unwrap_or_default();
        let earlier = before.iter().any(|it| it.go_on && may_reach(routing, it));
        let later = child.go_on && after.iter().any(|it| may_reach(routing, it));
        elsewhere(at, routing, child, also || earlier || later, false);
    }
    if also || is_passed(route) || routing.is_quell(&route.receiver) {
        return;
    }
    let message = if root {
        format!("alerts that no other route takes go to `{}`, never to quell", route.receiver)
    } else {
        format!("alerts that end at this route go to `{}`, never to quell", route.receiver)
    };
    let found = Diagnostic::warning(codes::ROUTE_ELSEWHERE, message)
        .label("when quell is to know: a route to it before, with `continue: true`");
    at.report(route.span, found);
}

fn late(at: At<'_>, routing: &Routing, route: &Route, max_age: Duration) {
    for child in &route.routes {
        late(at, routing, child, max_age);
    }
    if !routing.is_quell(&route.receiver) || is_passed(route) {
        return;
    }
    let report = |span: Span, message: String, label: String| {
        at.report(span, Diagnostic::warning(codes::SLOW_ROUTE, message).label(label));
    };
    let Placed { value: interval, span } = &route.group_interval;
    if *interval > PROMPT {
        let message = format!(
            "quell hears of a change up to {} late: `group_interval`",
            show_duration(*interval)
        );
        report(*span, message, "write `group_interval: 30s`".to_owned());
    }
    // it is looked at only at these ticks (protocols.md §1)
    let ticks = route.repeat_interval.value.as_millis().div_ceil(interval.as_millis().max(1));
    let repeat = interval.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX));
    if repeat > max_age {
        let message = format!(
            "what fires is told again after {}, and older than {} it is not acted on",
            show_duration(repeat),
            show_duration(max_age)
        );
        let below = show_duration(max_age.mul_f64(2.0 / 3.0));
        report(route.repeat_interval.span, message, format!("write `repeat_interval: {below}`"));
    }
}

/// Whether an alert with these labels may be brought to quell.
pub(super) fn may_arrive(routing: &Routing, labels: &Known, external: &External) -> bool {
    arrives(routing, &routing.root, labels, external)
}

/// Whether an alert that arrives at a route may be brought to quell.
fn arrives(routing: &Routing, route: &Route, labels: &Known, external: &External) -> bool {
    let mut surely_taken = false;
    for child in &route.routes {
        let matches = matches(child, labels, external);
        if matches == Truth::No {
            continue;
        }
        if arrives(routing, child, labels, external) {
            return true;
        }
        if matches == Truth::Yes {
            surely_taken = true;
            if !child.go_on {
                break;
            }
        }
    }
    !surely_taken && routing.is_quell(&route.receiver)
}

fn matches(route: &Route, labels: &Known, external: &External) -> Truth {
    let mut all = Truth::Yes;
    for matcher in &route.matchers {
        let one = matcher.as_ref().map_or(Truth::Maybe, |it| labels.satisfies(it, external));
        match one {
            Truth::No => return Truth::No,
            Truth::Maybe => all = Truth::Maybe,
            Truth::Yes => {}
        }
    }
    all
}

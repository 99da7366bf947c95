//! A window that a person adds: `quell window add deploy --for 2h`. Read and checked before it is stored.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::matcher;
use crate::model::matcher::Grammar;
use crate::model::time::after;
use crate::model::time::since;
use crate::model::window::Effect;
use crate::model::window::LONGEST;
use crate::model::window::OneOff;
use crate::model::window::Window;

/// Characters of a name, at most.
const MAX_NAME: usize = 100;
/// Characters of a reason, at most.
const MAX_REASON: usize = 500;
/// Matchers of a window, at most.
const MAX_MATCHERS: usize = 20;
/// Bytes of one text of matchers, at most.
const MAX_MATCHER: usize = 1000;

/// What a person asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its name.
    pub name: String,
    /// How long it lasts; beside `until`, one of the two.
    pub lasts: Option<Duration>,
    /// When it begins; now when silent, and when that has passed.
    pub from: Option<Timestamp>,
    /// The first instant after it.
    pub until: Option<Timestamp>,
    /// What it does.
    pub effect: Effect,
    /// Texts of matchers, as in Alertmanager; none means every alert.
    pub matchers: Vec<String>,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
}

/// The window that is asked for, or what is wrong with it. `known` are the windows of quell.yml.
pub fn one_off(known: &[Window], request: Request, now: Timestamp) -> Result<OneOff, String> {
    let Request { name, lasts, from, until, effect, matchers, reason, by } = request;
    if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        return Err(format!("{name:?} is no name for a window: write one like deploy-41"));
    }
    if name.chars().count() > MAX_NAME {
        return Err(format!("the name of a window has at most {MAX_NAME} characters"));
    }
    if let Some(window) = known.iter().find(|window| window.name == name) {
        let place = &window.place;
        return Err(format!("a window `{name}` is in quell.yml ({place}): take another name"));
    }
    if reason.trim().is_empty() {
        return Err("a window needs a reason: who meets it must know why".into());
    }
    if reason.chars().count() > MAX_REASON {
        return Err(format!("the reason of a window has at most {MAX_REASON} characters"));
    }
    let from = from.unwrap_or(now);
    let until = match (lasts, until) {
        (Some(lasts), None) => after(from, lasts),
        (None, Some(until)) => until,
        _ => return Err("say how long the window lasts, or until when: one of the two".into()),
    };
    if until <= from {
        return Err("the window ends before it begins".into());
    }
    if until <= now {
        return Err(format!("the window is over: it ends at {until:.0}"));
    }
    // what has passed stays as it was
    let from = from.max(now);
    if since(until, from) > LONGEST {
        return Err("a window lasts at most a year".into());
    }
    if matchers.len() > MAX_MATCHERS || matchers.iter().any(|text| text.len() > MAX_MATCHER) {
        return Err(format!(
            "a window has at most {MAX_MATCHERS} matchers of at most {MAX_MATCHER} bytes"
        ));
    }
    let mut read = Vec::new();
    for text in &matchers {
        let found = matcher::parse_many(text, Grammar::Fallback)
            .map_err(|error| format!("`{text}` is no matcher: {}", error.message))?;
        if found.is_empty() {
            return Err(format!("`{text}` is no matcher: write service=\"shop\""));
        }
        read.extend(found);
    }
    let (at, ended_by) = (now, None);
    Ok(OneOff { name, effect, matchers: read, reason, by, at, from, until, ended_by })
}

/// Why a window of quell.yml cannot be ended; `None` when the name is none of those.
pub fn not_added(known: &[Window], name: &str) -> Option<String> {
    let window = known.iter().find(|window| window.name == name)?;
    Some(format!("window {name} is in quell.yml ({}): change it there", window.place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rule::Place;
    use crate::model::window::Span;

    fn now() -> Timestamp {
        "2026-01-05T10:00:00Z".parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn request() -> Request {
        Request {
            name: "deploy".into(),
            lasts: Some(Duration::from_hours(2)),
            from: None,
            until: None,
            effect: Effect::Refuse,
            matchers: vec!["service=\"shop\", env!=dev".into()],
            reason: "deploy 41".into(),
            by: "dana".into(),
        }
    }

    fn known() -> Vec<Window> {
        vec![Window {
            name: "nightly".into(),
            span: Span::Once { from: now(), until: now() },
            effect: Effect::Refuse,
            matchers: Vec::new(),
            reason: String::new(),
            place: Place { file: "quell.yml".into(), line: 31 },
        }]
    }

    /// The span, or what is wrong.
    fn check(request: Request, expected: Result<(&str, &str), &str>) {
        let read = one_off(&known(), request, now());
        let read = read.map(|it| (it.from.to_string(), it.until.to_string()));
        let expected = expected.map(|(from, until)| (from.to_owned(), until.to_owned()));
        assert_eq!(read, expected.map_err(str::to_owned));
    }

    #[test]
    fn a_window_begins_now_or_when_it_is_said_and_lasts_as_long_as_it_is_said() {
        let ten = "2026-01-05T10:00:00Z";
        check(request(), Ok((ten, "2026-01-05T12:00:00Z")));
        let eight = "2026-01-05T20:00:00Z";
        check(Request { from: Some(at(eight)), ..request() }, Ok((eight, "2026-01-05T22:00:00Z")));
        let until = Request { lasts: None, until: Some(at("2026-01-05T11:00:00Z")), ..request() };
        check(until, Ok((ten, "2026-01-05T11:00:00Z")));
        // what has passed is not changed, and `for` counts from `from`
        let begun = Request { from: Some(at("2026-01-05T09:30:00Z")), ..request() };
        check(begun, Ok((ten, "2026-01-05T11:30:00Z")));
    }

    #[test]
    fn what_makes_no_window_is_refused_with_what_to_write() {
        let name = |name: &str| Request { name: name.into(), ..request() };
        check(name(""), Err("\"\" is no name for a window: write one like deploy-41"));
        check(name("a\nb"), Err("\"a\\nb\" is no name for a window: write one like deploy-41"));
        check(name(&"x".repeat(101)), Err("the name of a window has at most 100 characters"));
        let taken = "a window `nightly` is in quell.yml (quell.yml:31): take another name";
        check(name("nightly"), Err(taken));
        let reason = Request { reason: " ".into(), ..request() };
        check(reason, Err("a window needs a reason: who meets it must know why"));
        let both = "say how long the window lasts, or until when: one of the two";
        check(Request { lasts: None, ..request() }, Err(both));
        check(Request { until: Some(at("2026-01-05T11:00:00Z")), ..request() }, Err(both));
        let zero = Request { lasts: Some(Duration::ZERO), ..request() };
        check(zero, Err("the window ends before it begins"));
        let over = Request { from: Some(at("2026-01-05T07:00:00Z")), ..request() };
        check(over, Err("the window is over: it ends at 2026-01-05T09:00:00Z"));
        let long = Request { lasts: Some(LONGEST + Duration::from_secs(1)), ..request() };
        check(long, Err("a window lasts at most a year"));
        let longest = Request { lasts: Some(LONGEST), ..request() };
        assert!(one_off(&known(), longest, now()).is_ok());
        let matchers = Request { matchers: vec!["{}".into()], ..request() };
        check(matchers, Err("`{}` is no matcher: write service=\"shop\""));
        let many = Request { matchers: vec!["a=b".into(); 21], ..request() };
        check(many, Err("a window has at most 20 matchers of at most 1000 bytes"));
        let broken = Request { matchers: vec!["service=~\"(\"".into()], ..request() };
        assert!(one_off(&known(), broken, now()).unwrap_err().starts_with("`service=~"));
    }

    #[test]
    fn guards_name_whoever_added_it() {
        let window = one_off(&[], request(), now()).unwrap().window();
        assert_eq!(window.place.to_string(), "added by dana");
        assert_eq!(window.matchers.len(), 2);
    }
}

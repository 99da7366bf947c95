//! `updates:` of a rule or a severity.

use std::time::Duration;

use super::text;
use super::text::Names;
use crate::decide::updates::VARIABLES;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::config::RawUpdates;
use crate::model::updates::Updates;

/// The shortest time between two: people read them.
const SHORTEST: Duration = Duration::from_mins(1);
/// The longest.
const LONGEST: Duration = Duration::from_hours(24);

/// The updates, and the names of their channels with their places, which are looked up when quell.yml is read.
pub(crate) fn updates(
    at: At<'_>,
    found: Found<RawUpdates>,
) -> Option<(Updates, Vec<Found<String>>)> {
    let RawUpdates { every, channels, text } = found.value;
    let every = every.need(at, found.span, "`updates`", "every");
    let channels = channels.need(at, found.span, "`updates`", "channels");
    let text = text.and_then(Field::found);
    let text = text.map(|text| text::template(at, text, Names::of(&VARIABLES)));
    let (every, channels) = (every?, channels?);
    let time = text::duration(at, &every)?;
    if time < SHORTEST || time > LONGEST {
        let message = "updates come at least 1m and at most 1d apart";
        at.report(every.span, Diagnostic::error(codes::VALUE, message));
    }
    let names: Vec<Found<String>> = channels.value.into_iter().filter_map(Field::found).collect();
    if names.is_empty() {
        let message = "`channels` names nobody who is told";
        at.report(channels.span, Diagnostic::error(codes::VALUE, message));
    }
    let channels = names.iter().map(|name| name.value.clone()).collect();
    Some((Updates { every: time, channels, text }, names))
}

//! The files as they are written, before they are validated. The name of each type is what people are told.

use serde::Deserialize;

use super::field::Field;

pub(crate) mod config;
pub(crate) mod playbook;
pub(crate) mod probe;
pub(crate) mod rule;
pub(crate) mod test;

/// A key that may be left out.
pub(crate) type Opt<T> = Option<Field<T>>;

/// A list whose items are read one by one: a wrong one does not hide the others.
pub(crate) type List<T> = Vec<Field<T>>;

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident $expected:literal)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(rename = $expected)]
        pub(crate) struct $name(pub(crate) String);
    )*};
}

texts! {
    /// `5m`
    DurationText "a duration such as 5m"
    /// `3 per 1h`
    RateText "a rate such as 3 per 1h"
    /// `severity="critical"`
    MatcherText "a matcher such as severity=\"critical\""
    /// CEL.
    ConditionText "a condition such as value < 0.05"
    /// Text with `{{ … }}`.
    TemplateText "text"
    /// Cron.
    ScheduleText "a schedule such as 0 2 * * *"
    /// An instant such as `2026-01-05T10:00:00Z`.
    InstantText "an instant such as 2026-01-05T10:00:00Z"
    /// Text with `${env:…}` and `${file:…}`.
    SecretText "text"
    /// CEL that gives a list.
    ListText "a list, or an expression such as steps.find.output.lines"
    /// `25%`
    ShareText "a count, or a part such as 25%"
    /// `40%`
    PercentText "a part such as 40%"
    /// `32MiB`
    SizeText "a size such as 32MiB"
}

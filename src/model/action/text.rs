//! Texts that stand for a value once they are rendered.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::time::parse_duration;

/// Text that may hold `{{ … }}`; checked when loaded, rendered when used. Rendered values are plain.
pub type Template = String;

/// A whole number that is not negative, or a template that becomes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Whole(pub Template);

impl Whole {
    /// The number, of a text that was rendered. The error says what was expected.
    pub fn read(&self) -> Result<u32, String> {
        let text = self.0.trim();
        let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or_else(|| {
            format!("expected a whole number from 0 to {}, got `{}`", u32::MAX, short(text))
        })
    }
}

impl From<u32> for Whole {
    fn from(number: u32) -> Self {
        Self(number.to_string())
    }
}

/// A span of time such as `5m`, or a template that becomes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub Template);

impl Span {
    /// The span, of a text that was rendered. The error says what was expected.
    pub fn read(&self) -> Result<Duration, String> {
        parse_duration(self.0.trim())
    }
}

/// The beginning of a text that may be long.
fn short(text: &str) -> String {
    const MOST: usize = 60;
    let mut shown: String = text.chars().take(MOST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_digits_and_fits() {
        for (text, expected) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("+7", None),
            ("-7", None),
            ("7.0", None),
            ("", None),
            ("{{ n }}", None),
        ] {
            assert_eq!(Whole(text.into()).read().ok(), expected, "{text:?}");
        }
        let error = Whole("x".repeat(100)).read().unwrap_err();
        assert!(error.starts_with("expected a whole number from 0 to 4294967295, got `xxx"));
        assert!(error.chars().count() < 120, "{error}");
    }

    #[test]
    fn a_span_of_time_reads_as_everywhere_else() {
        assert_eq!(Span(" 1h30m ".into()).read(), Ok(Duration::from_mins(90)));
        Span("5 minutes".into()).read().unwrap_err();
    }
}

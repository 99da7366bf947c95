//! Matchers: what was read prints as text that is read as the same, in the grammar that can say everything; where an
//! error is lies in the text; the default grammar prefers the classic reading.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quell::model::matcher::Grammar;
use quell::model::matcher::Matcher;
use quell::model::matcher::ParseError;
use quell::model::matcher::parse_many;
use quell::model::matcher::parse_one;

fuzz_target!(|text: &str| {
    let [utf8, classic, both] = [Grammar::Utf8, Grammar::Classic, Grammar::Fallback]
        .map(|grammar| (parse_many(text, grammar), parse_one(text, grammar)));
    for (many, one) in [&utf8, &classic, &both] {
        match many {
            Ok(matchers) => printed_again(matchers),
            Err(error) => points_into(text, error),
        }
        match one {
            Ok(one) => printed_again(std::slice::from_ref(one)),
            Err(error) => points_into(text, error),
        }
    }
    assert_eq!(both.0, classic.0.or(utf8.0), "{text:?}");
});

fn printed_again(matchers: &[Matcher]) {
    let printed: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    for (matcher, printed) in matchers.iter().zip(&printed) {
        assert_eq!(parse_one(printed, Grammar::Utf8).as_ref(), Ok(matcher), "{printed}");
    }
    let printed = format!("{{{}}}", printed.join(","));
    assert_eq!(parse_many(&printed, Grammar::Utf8).as_deref(), Ok(matchers), "{printed}");
}

fn points_into(text: &str, error: &ParseError) {
    assert!(text.is_char_boundary(error.at), "{text:?}: {error:?}");
    assert!(!error.message.is_empty());
}

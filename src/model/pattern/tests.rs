use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::prop;
use proptest::prelude::prop_assert;
use proptest::prelude::prop_assert_eq;
use proptest::prelude::prop_oneof;
use proptest::prelude::proptest;

use super::*;

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The form of a pattern, and its needs, as people read them.
fn shown(text: &str) -> String {
    let pattern = pattern(text);
    let list = |texts: &Texts| {
        let texts: Vec<_> = texts.iter().map(|it| String::from_utf8_lossy(it)).collect();
        texts.join(" ")
    };
    let form = match &pattern.form {
        Form::Words(words) => format!("words {}", words.join(" ")),
        Form::Globs { globs, .. } => format!("{} globs", globs.len()),
        Form::Regex { .. } => "regex".to_owned(),
    };
    let needs = pattern.needs().iter().map(|need| match need {
        Need::Prefix(texts) => format!("; begins {}", list(texts)),
        Need::Suffix(texts) => format!("; ends {}", list(texts)),
        Need::Inner(texts) => format!("; has {}", list(texts)),
    });
    form + &needs.collect::<String>()
}

#[test]
fn a_pattern_is_no_more_than_it_must_be() {
    for (text, expected) in [
        ("a|b|c", "words a b c"),
        ("foo|foobar|", "words  foo foobar"),
        ("", "words "),
        ("^api$", "words api"),
        ("(?:eu|us)-(?:1|2)", "words eu-1 eu-2 us-1 us-2"),
        ("colou?r", "words color colour"),
        ("(?i)ab", "words AB Ab aB ab"),
        (r"a\.b", "words a.b"),
        ("api-.*", "1 globs; begins api-; has api-"),
        ("^api-.+$", "1 globs; begins api-; has api-"),
        (".*-db", "1 globs; ends -db; has -db"),
        (".*lon.*", "1 globs; has lon"),
        ("a-.*-b.*-cd", "1 globs; begins a-; ends -cd; has -cd"),
        ("api-.*|web-.*|x", "3 globs; begins x api- web-; has x api- web-"),
        ("api-.*|api2-.*|api-x.*", "3 globs; begins api- api2-; has api- api2-"),
        (".*", "1 globs"),
        (".+", "1 globs"),
        ("(?s).+", "1 globs"),
        ("[a-z]+", "regex"),
        (r"db-\d+", "regex; begins db-; has db-"),
        (r"\w+-(?:db|cache)", "regex; ends -db -cache; has db cache"),
        (r"\w+(?:one|two)\d*", "regex; has one two"),
        ("a.b", "regex; begins a; ends b; has b"),
        ("a\n.*", "regex; begins a\n; has a\n"),
        (r"\bfoo", "regex; begins foo; ends foo; has foo"),
        ("(?:a$)|b", "words a b"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_needed() {
    for text in [r"(?:\pL{100}){10}", r"[\pL\d]{999}|x.*"] {
        let error = Pattern::new(text).expect_err(text);
        assert!(error.contains("more than 10 MiB"), "{error}");
    }
}

#[test]
fn equal_patterns_are_one() {
    let one = Pattern::shared("sh[0-9]red").unwrap();
    assert!(Arc::ptr_eq(&one, &Pattern::shared("sh[0-9]red").unwrap()));
}

#[test]
fn a_regex_is_compiled_when_a_value_passes_what_it_needs() {
    let pattern = pattern("db-[0-9]+-eu");
    let is_compiled = |pattern: &Pattern| {
        let Form::Regex { compiled, .. } = &pattern.form else { panic!("{pattern:?}") };
        compiled.get().is_some()
    };
    assert_eq!(pattern.matches("web-1-eu"), Some(false));
    assert_eq!(pattern.matches("db-1-us"), Some(false));
    assert!(!is_compiled(&pattern));
    assert_eq!(pattern.matches("db-1-eu"), Some(true));
    assert!(is_compiled(&pattern));
}

/// Patterns made of what people write, and of what they do not.
fn any_pattern() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        4 => "[abk.-]{1,3}".prop_map(|it| it.replace('.', r"\.")),
        2 => Just(".*".to_owned()),
        1 => Just(".+".to_owned()),
        1 => prop::sample::select(vec![
            ".", "a*", "b?", "[ab]", "[^a]", r"\d", r"\w+", "^", "$", r"\b", r"\B", "é", "(?i:k)", "(?s:.*)", "(?m:^)",
            "(?m:$)", "(?s:.)", ".{2,}", ".{1,2}", ".*?", r"\n", "(?U:.*)", r"\pL", "(?:ab){2}", "(?:)", "x{0}", "🙂",
            r"\x00", "[^\n]*",
        ]).prop_map(str::to_owned),
    ];
    let sequence = prop::collection::vec(atom, 0..5).prop_map(|parts| parts.concat());
    sequence.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|it| it.join("|")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}){b}")),
            (inner.clone(), "[?*+]").prop_map(|(a, repeat)| format!("(?:{a}){repeat}")),
            inner.prop_map(|it| format!("(?i){it}")),
        ]
    })
}

fn any_value() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a", "b", "ab", "k", "K", "\u{212a}", "-", ".", "é", "🙂", "\n", "7", " ", "aab", "", "\0",
    ]);
    prop::collection::vec(part, 0..7).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(500))]

    #[test]
    fn a_pattern_matches_what_its_regex_matches(
        text in any_pattern(),
        values in prop::collection::vec(any_value(), 1..8),
    ) {
        match (Pattern::new(&text), re2::compile_anchored(&text)) {
            (Ok(pattern), Ok(regex)) => {
                prop_assert_eq!(pattern.matches_empty(), regex.is_match(""));
                for value in values {
                    let matches = regex.is_match(&value);
                    prop_assert_eq!(pattern.matches(&value), Some(matches), "{} {:?} {:?}", &text, &value, &pattern);
                    if !matches {
                        continue;
                    }
                    if let Some(words) = pattern.words() {
                        prop_assert!(words.iter().any(|it| **it == *value));
                    }
                    for need in pattern.needs() {
                        let value = value.as_bytes();
                        let met = match need {
                            Need::Prefix(texts) => texts.iter().any(|it| value.starts_with(it)),
                            Need::Suffix(texts) => texts.iter().any(|it| value.ends_with(it)),
                            Need::Inner(texts) => {
                                texts.iter().any(|text| value.windows(text.len()).any(|it| it == &**text))
                            }
                        };
                        prop_assert!(met, "{} {:?} {:?}", &text, value, need);
                    }
                }
            }
            (pattern, regex) => prop_assert_eq!(pattern.err(), regex.err()),
        }
    }

    #[test]
    fn what_is_guessed_small_compiles(text in any_pattern(), times in 1..30_u32) {
        let text = format!("(?:{text}){{{times}}}");
        if let Ok(hir) = re2::parse_anchored(&text)
            && shape::weight(&hir) <= LAZY_BYTES
        {
            prop_assert!(re2::compile_anchored(&text).is_ok(), "{} {}", text, shape::weight(&hir));
        }
    }
}

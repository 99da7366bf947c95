//! Every case of Alertmanager's documented behaviour (`tests/conformance/matchers.json`), and our own.

use proptest::prelude::any;
use proptest::prelude::prop_assert_eq;
use proptest::prelude::proptest;
use serde_json::Value;

use super::*;

fn cases(kind: &str) -> Vec<Value> {
    let text =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/matchers.json"));
    let all: Value = serde_json::from_str(text).unwrap();
    let cases = all[kind].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{kind}");
    cases
}

fn op_of(sign: &Value) -> Op {
    match sign.as_str().unwrap() {
        "=" => Op::Equal,
        "!=" => Op::NotEqual,
        "=~" => Op::Regex,
        "!~" => Op::NotRegex,
        other => panic!("{other}"),
    }
}

fn matcher_of(case: &Value) -> Matcher {
    Matcher::new(
        case["name"].as_str().unwrap(),
        op_of(&case["op"]),
        case["value"].as_str().unwrap(),
    )
    .unwrap()
}

fn labels_of(case: &Value) -> Labels {
    case.as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect()
}

fn parse(text: &str, grammar: Grammar, arity: &str) -> Result<Vec<Matcher>, ParseError> {
    match arity {
        "one" => parse_one(text, grammar).map(|it| vec![it]),
        _ => parse_many(text, grammar),
    }
}

#[test]
fn texts_parse_as_in_alertmanager() {
    let mut wrong = Vec::new();
    for case in cases("parse_cases") {
        let text = case["input"].as_str().unwrap();
        let arity = case["arity"].as_str().unwrap();
        let expected = case["ok"]
            .as_bool()
            .unwrap()
            .then(|| case["expect"].as_array().unwrap().iter().map(matcher_of).collect::<Vec<_>>());
        let grammars: &[Grammar] = match case["grammar"].as_str().unwrap() {
            "utf8" => &[Grammar::Utf8],
            "classic" => &[Grammar::Classic],
            "fallback" => &[Grammar::Fallback],
            // what only the classic grammar reads, the fallback reads too
            "classic-only" => &[Grammar::Classic, Grammar::Fallback],
            other => panic!("{other}"),
        };
        for grammar in grammars {
            let found = parse(text, *grammar, arity);
            if found.as_ref().ok() != expected.as_ref() {
                wrong.push(format!(
                    "{grammar:?} {arity} {text:?}: {found:?}, expected {expected:?}"
                ));
            }
        }
        if case["grammar"] == "classic-only" && parse(text, Grammar::Utf8, arity).is_ok() {
            wrong.push(format!("{text:?} is read by the UTF-8 grammar"));
        }
    }
    assert!(wrong.is_empty(), "{} disagree:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn values_match_as_in_alertmanager() {
    let mut wrong = Vec::new();
    for case in cases("value_match_cases") {
        let matcher = matcher_of(&case["matcher"]);
        if matcher.matches(&labels_of(&case["labels"])) != case["expected"].as_bool().unwrap() {
            wrong.push(case.to_string());
        }
    }
    for case in cases("labelset_match_cases") {
        let labels = labels_of(&case["labels"]);
        let matchers = parse_many(case["matchers"].as_str().unwrap(), Grammar::Fallback).unwrap();
        if matchers.iter().all(|it| it.matches(&labels)) != case["expected"].as_bool().unwrap() {
            wrong.push(case.to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn matchers_print_as_in_alertmanager() {
    for case in cases("format_cases") {
        assert_eq!(matcher_of(&case["matcher"]).to_string(), case["string"].as_str().unwrap());
    }
}

#[test]
fn label_names_are_valid_as_in_alertmanager() {
    for case in cases("label_name_cases") {
        let name = case["label_name"].as_str().unwrap();
        let valid = match case["grammar"].as_str().unwrap() {
            "classic" => is_classic_label_name(name),
            _ => is_utf8_label_name(name),
        };
        assert_eq!(valid, case["valid"].as_bool().unwrap(), "{case}");
    }
}

#[test]
fn a_name_with_reserved_characters_is_quoted() {
    let check = |name: &str, value: &str, expected: &str| {
        assert_eq!(Matcher::new(name, Op::Equal, value).unwrap().to_string(), expected);
    };
    check("a b", "x", r#""a b"="x""#);
    check("a,b", "é\u{301}'", "\"a,b\"=\"é\u{301}'\"");
    check("a\"b", "t\tn\nb\\", r#""a\"b"="t\tn\nb\\""#);
    check("a b", "\u{0}\u{7f}\u{a0}\u{e0001}", r#""a b"="\x00\x7f\u00a0\U000e0001""#);
    check("", "x", r#"""="x""#);
}

#[test]
fn an_error_has_a_place_and_says_what_to_write() {
    let check = |text: &str, grammar: Grammar, at: usize, message: &str| {
        let error = parse_one(text, grammar).expect_err(text);
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
    };
    check("foo", Grammar::Utf8, 3, "an operator is missing");
    check("foo!bar", Grammar::Fallback, 3, "`!=` or `!~`");
    check("foo=", Grammar::Utf8, 4, "a value is missing");
    check("foo=\"bar", Grammar::Utf8, 4, "quote is not closed");
    check("foo=bar\"x\"", Grammar::Utf8, 7, "unexpected `\"x\"`");
    check("foo=~bar[", Grammar::Fallback, 5, "is not closed");
    check("foo=~\"a{1001}\"", Grammar::Classic, 5, "more than 1000");
    check("foo=\"\\d\"", Grammar::Utf8, 5, r"write a backslash as `\\`");
    check("{foo=bar}", Grammar::Fallback, 0, "without braces");
    check("foo=bar}", Grammar::Fallback, 7, "without braces");
    check("foo=a,b=c", Grammar::Utf8, 0, "2 found");
    check("foo'=a", Grammar::Utf8, 3, "inside double quotes");
    check("a-b=c", Grammar::Classic, 1, "an operator is expected");
    check(" =c", Grammar::Classic, 1, "a label name is expected");
    check("a=\"b\"c\"", Grammar::Classic, 4, "double quote");
    check("=c", Grammar::Utf8, 0, "expected a label name");

    let error = parse_many("a=\"1\", b=~\"(\"", Grammar::Fallback).unwrap_err();
    assert_eq!((error.at, error.message.contains("is not closed")), (10, true), "{error}");
    let error = parse_many("{a=1, b c}", Grammar::Classic).unwrap_err();
    assert_eq!(error.at, 8, "{error}");
}

#[test]
fn a_regex_is_anchored_and_a_missing_label_is_empty() {
    let check = |text: &str, labels: &[(&str, &str)], expected: bool| {
        let labels: Labels = labels.iter().copied().collect();
        assert_eq!(
            parse_one(text, Grammar::Fallback).unwrap().matches(&labels),
            expected,
            "{text} {labels}"
        );
    };
    check("a=~\"b\"", &[("a", "xb")], false);
    check("a!~\"b\"", &[("a", "xb")], true);
    check("a=~\".*\"", &[], true);
    check("a!~\".*\"", &[], false);
    check("a!=\"\"", &[], false);
    check("a=\"[\"", &[("a", "[")], true);
}

#[test]
fn the_classic_grammar_trims_unicode_space_around_the_last_matcher_alone() {
    let read = |text| parse_many(text, Grammar::Classic).map(|it| it.len());
    assert_eq!(read("a=1,\u{a0}b=2\u{a0}"), Ok(2));
    assert_eq!(read("\u{a0}a=1,b=2").unwrap_err().at, 0);
    assert_eq!(
        read("a=1,\u{a0}b"),
        Err(ParseError::new(
            7,
            "an operator is expected after the label name: `=`, `!=`, `=~` or `!~`"
        ))
    );
}

#[test]
fn a_clone_shares_its_regex() {
    let matcher = parse_one("a=~\"b\"", Grammar::Fallback).unwrap();
    let clone = matcher.clone();
    assert!(Arc::ptr_eq(matcher.pattern().unwrap(), clone.pattern().unwrap()));
    assert!(parse_one("a=\"b\"", Grammar::Fallback).unwrap().pattern().is_none());
}

fn any_op(number: u8) -> Op {
    [Op::Equal, Op::NotEqual, Op::Regex, Op::NotRegex][usize::from(number % 4)]
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same_matcher(name in any::<String>(), op in any::<u8>(), value in any::<String>()) {
        let op = any_op(op);
        // a text is a regex only when it compiles
        let value = if Matcher::new(&name, op, &value).is_ok() { value } else { "x|y".into() };
        let matcher = Matcher::new(&name, op, &value).unwrap();
        prop_assert_eq!(parse_one(&matcher.to_string(), Grammar::Utf8).unwrap(), matcher.clone());
        let json = serde_json::to_string(&matcher).unwrap();
        prop_assert_eq!(serde_json::from_str::<Matcher>(&json).unwrap(), matcher);
    }

    #[test]
    fn any_text_is_read_or_refused_at_a_place_in_it(text in r#"[a-c{}=!~,\\"'`é \n(]{0,16}"#) {
        for grammar in [Grammar::Utf8, Grammar::Classic, Grammar::Fallback] {
            for found in [parse_many(&text, grammar), parse_one(&text, grammar).map(|it| vec![it])] {
                if let Err(error) = found {
                    assert!(text.is_char_boundary(error.at) && error.at <= text.len(), "{text:?}: {error:?}");
                }
            }
        }
    }

    #[test]
    fn the_fallback_reads_what_either_grammar_reads(text in r#"[a-c{}=!~,\\" ]{0,12}"#) {
        let read = |grammar| parse_many(&text, grammar).ok();
        prop_assert_eq!(read(Grammar::Fallback), read(Grammar::Classic).or_else(|| read(Grammar::Utf8)));
    }
}

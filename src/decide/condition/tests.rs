//! Conditions over what a machine sees at night: missing labels, NaN, text that looks like a number.

use proptest::prelude::any;
use proptest::prelude::prop_assert;
use proptest::prelude::proptest;
use serde_json::json;

use super::*;
use crate::model::labels::Labels;

const VARIABLES: [&str; 5] = ["value", "labels", "annotations", "parameters", "steps"];

fn scope(value: f64) -> Scope {
    let labels: Labels =
        [("service", "api"), ("code", "500"), ("env", "prod")].into_iter().collect();
    Scope::new()
        .number("value", value)
        .labels("labels", &labels)
        .labels("annotations", &Labels::default())
        .json("parameters", &json!({ "replicas": 5, "name": "api", "ids": [1, 2], "big": 9_007_199_254_740_993_u64 }))
        .json("steps", &json!({ "flush": { "output": { "keys": 5, "ratio": 0.25, "ok": true, "none": null } } }))
}

fn evaluated(source: &str, value: f64) -> Result<bool, String> {
    let condition =
        Condition::new(source, &VARIABLES).unwrap_or_else(|error| panic!("{source}: {error:?}"));
    condition.evaluate(&scope(value))
}

/// `Ok` is what it must give over a value of 0.5; `Err` is part of the reason why it is unknown.
fn check_value(source: &str, expected: Result<bool, &str>) {
    let found = evaluated(source, 0.5);
    match (expected, &found) {
        (Ok(expected), Ok(found)) => assert_eq!(expected, *found, "{source}"),
        (Err(reason), Err(found)) => assert!(found.contains(reason), "{source}: {found}"),
        _ => panic!("{source}: {found:?}, expected {expected:?}"),
    }
}

#[test]
fn numbers_compare_whatever_their_kind() {
    check_value("value < 0.6", Ok(true));
    check_value("value < 5", Ok(true));
    check_value("5 > value", Ok(true));
    check_value("value > 0", Ok(true));
    check_value("value == 0.5", Ok(true));
    check_value("value != 1", Ok(true));
    check_value("steps.flush.output.keys == 5", Ok(true));
    check_value("steps.flush.output.keys > 4.5", Ok(true));
    check_value("1.0 in [1, 2]", Ok(true));
    check_value("2 in parameters.ids", Ok(true));
}

#[test]
fn arithmetic_of_a_double_and_an_integer_is_of_doubles() {
    check_value("value * 100 == 50", Ok(true));
    check_value("100 * value == 50.0", Ok(true));
    check_value("value + 1 > 1.4 && 1 - value == 0.5", Ok(true));
    check_value("steps.flush.output.keys / 2 == 2.5", Ok(true));
    check_value("5 / 2 == 2", Ok(true));
    check_value("size(labels) + 1 == 4", Ok(true));
    check_value("'a' + 'b' == 'ab'", Ok(true));
    check_value("1 / (size(labels) - 3) > 0", Err("division by zero"));
    check_value("7 % 4 == 3", Ok(true));
    check_value("steps.flush.output.keys % 2 == 1", Ok(true));
    check_value("labels.code % 2 == 1", Err("does not take"));
    check_value("labels - 1 == 1", Err("does not take"));
}

#[test]
fn large_integers_stay_exact() {
    check_value("parameters.big == 9007199254740993", Ok(true));
    check_value("parameters.big == 9007199254740992", Ok(false));
}

#[test]
fn a_number_that_is_not_finite_is_unknown() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for source in [
            "value < 0.05",
            "value > 0",
            "!(value > 0.05)",
            "value != 1.0",
            "true",
            "labels.service == 'api'",
        ] {
            let reason = evaluated(source, value).expect_err(source);
            assert!(
                reason.contains("`value` is") && reason.contains("not a finite number"),
                "{reason}"
            );
        }
    }
    let zero = "(value - 0.5)";
    for source in [
        format!("{zero} / {zero} < 0.05"),
        format!("!({zero} / {zero} > 0.05)"),
        format!("{zero} / {zero} != 1.0"),
        format!("1 / {zero} > 5"),
        format!("-1 / {zero} < 5.0"),
        "value * 1e308 * 10.0 > 1.0".into(),
        "double('NaN') != 1.0".into(),
        "double('inf') > 1.0".into(),
        "steps.flush.output.keys / 0 > 1".into(),
        "value % 0.0 != 1.0".into(),
    ] {
        assert!(evaluated(&source, 0.5).is_err(), "{source}");
    }
    assert!(check("value < 1e999", &VARIABLES).is_err());
}

#[test]
fn text_and_number_do_not_compare() {
    check_value("labels.code == '500'", Ok(true));
    for source in [
        "labels.code == 500",
        "labels.code != 500",
        "labels.code > 400",
        "labels.code in [400, 500]",
        "500 in [labels.code]",
        "labels.code + 1 == 501",
        "labels.service == true",
        "steps.flush.output.ok == 1",
        "steps == 'x'",
    ] {
        check_value(source, Err("does not take"));
    }
    check_value("int(labels.code) >= 500", Ok(true));
    check_value("double(labels.code) / 2 == 250", Ok(true));
    check_value("int(labels.service) > 1", Err("int"));
    check_value("steps.flush.output.none == null", Ok(true));
    check_value("labels.code != null", Ok(true));
    check_value("labels.code in ['400', '500']", Ok(true));
    check_value("'service' in labels", Ok(true));
    check_value("'nope' in labels", Ok(false));
}

#[test]
fn what_is_missing_is_unknown() {
    check_value("labels.team != 'x'", Err("test for it first, as in `has(labels.team)"));
    check_value("has(labels.team) && labels.team == 'x'", Ok(false));
    check_value("!has(labels.team) || labels.team == 'x'", Ok(true));
    check_value("labels[?'team'].orValue('none') == 'none'", Ok(true));
    check_value("steps.nope.output.x > 1", Err("there is no `nope`"));
    check_value("parameters.ids[7] == 1", Err("out of bounds"));
    check_value("annotations.summary.contains('x')", Err("summary"));
    let scope = Scope::new().number("value", 1.0);
    let condition = Condition::new("labels.a == 'b'", &VARIABLES).unwrap();
    assert!(condition.evaluate(&scope).unwrap_err().contains("`labels` has no value here"));
}

#[test]
fn and_or_decide_what_they_can_without_the_unknown() {
    check_value("labels.team == 'x' || labels.service == 'api'", Ok(true));
    check_value("labels.team == 'x' && labels.service == 'web'", Ok(false));
    check_value("labels.team == 'x' && labels.service == 'api'", Err("team"));
    check_value("labels.team == 'x' || labels.service == 'web'", Err("team"));
}

#[test]
fn text_functions_and_loops_work() {
    check_value("labels.service.startsWith('a') && labels.service.endsWith('i')", Ok(true));
    check_value("labels.env.matches('^(prod|live)$')", Ok(true));
    check_value("matches(labels.env, 'ro')", Ok(true));
    check_value(r"'٣'.matches('\\d')", Ok(false));
    check_value("parameters.ids.exists(id, id > 1) && parameters.ids.all(id, id > 0)", Ok(true));
    check_value("parameters.ids.filter(id, id > 1).map(id, id * 2)[0] == 4", Ok(true));
    check_value("parameters.ids.exists_one(id, id == 1)", Ok(true));
    check_value("labels.exists(name, name == 'service')", Ok(true));
    check_value("type(labels.service) == string", Ok(true));
    check_value("value < 1.0 // a comment ( with \"\n && true", Ok(true));
}

#[test]
fn what_is_not_true_or_false_is_unknown() {
    check_value("steps.flush.output.keys", Err("is a number, not true or false"));
    check_value("labels.service", Err("is text"));
    check_value("steps", Err("is a map"));
    check_value("steps.flush.output.ok ? true : labels", Ok(true));
}

/// What `check` says, and at which byte.
fn check_refused(source: &str, message: &str, at: Option<usize>) {
    let (found, place) = check(source, &VARIABLES).expect_err(source);
    assert!(found.contains(message), "{source}: {found}");
    assert_eq!(place, at, "{source}: {found}");
    assert!(!found.contains('\n'), "{source}: {found}");
}

#[test]
fn what_is_wrong_is_said_at_load() {
    check_refused("vlaue < 1", "unknown variable `vlaue`", Some(0));
    check_refused(
        "'é' == labels.a && foo.bar",
        "unknown variable `foo`; there are: value",
        Some(20),
    );
    check_refused("value = 1", "write `==`", Some(6));
    check_refused("value <", "ends too early", Some(7));
    check_refused("(value < 1", "ends too early", Some(10));
    check_refused("value <\n  & 1", "does not parse", Some(10));
    check_refused("", "empty", None);
    check_refused(" \n", "empty", None);
    check_refused("foo(1) == 1", "no function `foo`", Some(0));
    check_refused("foo_bar(1) == 1", "no function `foo_bar`", Some(0));
    check_refused("value.sqrt() == 1.0", "no function `sqrt`", Some(6));
    check_refused("now() > 1", "no function `now`", Some(0));
    check_refused("Foo{a: 1} == 1", "no messages", Some(0));
    check_refused("labels.a.matches('(')", "is not closed", Some(9));
    check_refused("value < 'x'", "does not take", None);
    check_refused("value == '1'", "does not take", None);
    check_refused("value", "a number, not true or false", None);
    check_refused("1 + 1", "a number", None);
    check_refused("'up'", "text", None);
    check_refused("[1].all(x, [2].exists(y, y > x))", "may not stand inside one another", Some(22));
    check_refused(
        "parameters.ids.map(x, labels.map(y, y)).size() > 1",
        "inside one another",
        Some(33),
    );
    let (message, _) = check("x > 1", &[]).unwrap_err();
    assert_eq!(message, "unknown variable `x`: there are none here");
}

#[test]
fn bounds_hold_before_the_parser_runs() {
    let depth = |count: usize, open: &str, close: &str| {
        format!("{}true{}", open.repeat(count), close.repeat(count))
    };
    assert!(check(&depth(32, "(", ")"), &[]).is_ok());
    check_refused(&depth(33, "(", ")"), "32 brackets", Some(32));
    check_refused(&depth(2000, "[", "]"), "32 brackets", Some(32));
    check_refused(&format!("'{}' == ''", "a".repeat(4096)), "4096 bytes", None);
    check_refused(&format!("1{} > 0", "+1".repeat(1500)), "512 words and signs", Some(512));
    check_refused(&format!("{}true", "!".repeat(3000)), "512 words and signs", Some(512));
    // brackets in texts are text; those behind a text are not
    let text = "((((((((((((((((((((((((((((((((((((((";
    for quoted in [
        format!("'{text}'"),
        format!("\"\"\"{text}\"\n\"\"\""),
        format!("r'{text}\\'"),
        format!("'\\'{text}'"),
    ] {
        assert_eq!(check(&format!("{quoted} != ''"), &[]), Ok(()), "{quoted}");
    }
    check_refused(&format!("r'\\' == '' || {}", depth(33, "(", ")")), "32 brackets", Some(46));
    check_refused(&format!("'a\n{}", depth(33, "(", ")")), "32 brackets", Some(35));
}

/// Whatever stays within the bounds fits the stack of a worker thread.
#[test]
fn the_deepest_sources_within_the_bounds_do_not_overflow_a_stack_of_2_mib() {
    let sources = [
        format!("1{} > 0", "+1".repeat(254)),
        format!("value{} > 0.0", "*value".repeat(253)),
        format!("{}true", "!".repeat(510)),
        format!("{}1 < 0", "-".repeat(500)),
        format!("{}true", "true?true:".repeat(90)),
        format!("true{}", "&&true".repeat(170)),
        format!("value{}", "<value".repeat(255)),
        format!("steps{}", ".a".repeat(255)),
        format!("steps{}", "[1]".repeat(170)),
        format!("{}true{}", "!(true?".repeat(32), ":true)".repeat(32)),
        format!("{}1{}", "[".repeat(32), "]".repeat(32)),
        format!("{}1{} == 0", "size([".repeat(16), "])".repeat(16)),
    ];
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            for source in sources {
                if let Ok(condition) = Condition::new(&source, &VARIABLES) {
                    // what it gives does not matter here, that it gives it does
                    drop(condition.evaluate(&scope(1.0)));
                }
            }
        })
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn the_free_functions_take_json() {
    let variables =
        BTreeMap::from([("steps", json!({"a": {"output": {"x": 3}}})), ("parameters", json!({}))]);
    assert_eq!(evaluate("steps.a.output.x < 5", &variables), Ok(true));
    assert!(evaluate("steps.a.output.x < '5'", &variables).is_err());
    assert!(evaluate("labels.x == 'a'", &variables).unwrap_err().contains("unknown variable"));
}

proptest! {
    #[test]
    fn any_source_is_refused_or_evaluated_without_a_panic(
        source in r"(value|labels|has|size|all|x|1|2\.5|'a'|true|\(|\)|\[|\]|\{|\}|\.|,|:|\?|\+|-|/|%|<|==|!|&&|\|\|| in | ){1,14}",
        value in any::<f64>(),
    ) {
        if let Ok(condition) = Condition::new(&source, &VARIABLES) {
            let result = condition.evaluate(&scope(value));
            prop_assert!(value.is_finite() || result.is_err());
        }
    }

    #[test]
    fn a_threshold_and_its_opposite_never_both_hold(value in any::<f64>(), limit in -1000i32..1000) {
        let over = evaluated(&format!("value > {limit}"), value);
        let not_over = evaluated(&format!("!(value > {limit})"), value);
        match (over, not_over) {
            (Ok(over), Ok(not_over)) => prop_assert!(over != not_over && over == (value > f64::from(limit))),
            (over, not_over) => prop_assert!(over.is_err() && not_over.is_err() && !value.is_finite()),
        }
    }
}

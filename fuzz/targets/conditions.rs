//! Conditions: evaluating twice gives the same; where an error is lies in the condition.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use quell::decide::condition::Condition;
use quell::decide::condition::evaluate;
use serde_json::Value;
use serde_json::json;

fuzz_target!(|source: &str| {
    let variables: BTreeMap<&str, Value> = BTreeMap::from([
        ("labels", json!({ "service": "api", "empty": "", "number": "17", "é": "🙂" })),
        ("annotations", json!({ "summary": "it broke" })),
        (
            "parameters",
            json!({ "replicas": 5, "ratio": 0.5, "names": ["a", "b"], "on": true, "none": null }),
        ),
        ("value", json!(1.5)),
    ]);
    let names: Vec<&str> = variables.keys().copied().collect();
    if let Err((message, at)) = Condition::new(source, &names) {
        assert!(!message.is_empty());
        assert!(at.is_none_or(|at| source.is_char_boundary(at)), "{message} at {at:?}");
    }
    assert_eq!(evaluate(source, &variables), evaluate(source, &variables));
});

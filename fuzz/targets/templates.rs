//! Templates: rendering twice gives the same; no value leaves its place; where an error is lies in the template.
//!
//! An input is a template, and after a line `---` the variables as JSON, if they are not the usual ones.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quell::decide::render::Escape;
use quell::decide::render::check;
use quell::decide::render::references;
use quell::decide::render::render;
use serde_json::Value;
use serde_json::json;

const VARIABLES: [&str; 4] = ["labels", "annotations", "parameters", "steps"];

fuzz_target!(|text: &str| {
    let split = text.split_once("\n---\n");
    let given =
        split.and_then(|(template, json)| Some((template, serde_json::from_str(json).ok()?)));
    let (template, variables) = given.unwrap_or_else(|| (text, usual()));

    let checked = check(template, &VARIABLES);
    if let Err((message, at)) = &checked {
        assert!(!message.is_empty());
        assert!(at.is_none_or(|at| template.is_char_boundary(at)), "{message} at {at:?}");
    }
    if checked.is_ok() {
        assert!(references(template).is_ok());
    }
    for escape in [Escape::None, Escape::Url, Escape::Quoted] {
        let rendered = render(template, &variables, escape);
        assert_eq!(rendered, render(template, &variables, escape));
        match rendered {
            // without braces there is nothing to fill in
            Ok(text) if !template.contains('{') => assert_eq!(text, template),
            Ok(text) if escape == Escape::Url => assert!(!climbs(&text), "{text}"),
            Ok(_) => {}
            Err(reason) => assert!(!reason.is_empty()),
        }
    }
});

/// Whether a client that follows RFC 3986 would leave the path that was written.
fn climbs(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.split('/').any(|it| matches!(&*it.to_lowercase().replace("%2e", "."), "." | ".."))
}

fn usual() -> Value {
    json!({
        "labels": {
            "service": "api", "path": "/a b?c=d&e", "quote": "a\"b\\c\nd", "dots": "..", "a-b": "x",
            "code": "{{ labels.service }}", "é": "🙂",
        },
        "annotations": { "summary": "it broke", "percent": "%2e%2e" },
        "parameters": {
            "replicas": 5, "ratio": 0.5, "empty": "", "names": ["a", "b"], "on": true, "none": null,
            "large": u64::MAX, "small": i64::MIN,
        },
        "steps": { "flush": { "output": { "keys": 3 } } },
    })
}

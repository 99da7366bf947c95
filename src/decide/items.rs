//! The items of a `for_each`: texts or numbers, each once. An empty set must never mean everything, and nobody means a list
//! that is too long, so both are refused (`guardrails.md` G4).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::decide::condition;
use crate::decide::machine::MOST_ITEMS;
use crate::decide::machine::item_words;
use crate::decide::render::Escape;
use crate::decide::render::render;
use crate::model::playbook::Items;

/// Bytes of one item.
const LONGEST: usize = 1024;

/// The items over the variables of a step. The error says what is wrong with the list.
pub fn resolve(items: &Items, context: &Value) -> Result<Vec<Value>, String> {
    let list = match items {
        Items::Listed(templates) => templates
            .iter()
            .map(|template| render(template, context, Escape::None).map(Value::String))
            .collect::<Result<Vec<_>, _>>()?,
        Items::Expression(source) => condition::list(source, context)?,
    };
    sane(list)
}

fn sane(list: Vec<Value>) -> Result<Vec<Value>, String> {
    match list.len() {
        0 => return Err("the list is empty: there is nothing to do it for".into()),
        count if count > MOST_ITEMS => {
            return Err(format!("the list has {count} items, more than {MOST_ITEMS}"));
        }
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for (at, item) in list.iter().enumerate() {
        let words = item_words(item);
        if words.trim().is_empty() {
            return Err(format!("item {} is empty", at + 1));
        }
        if words.len() > LONGEST {
            return Err(format!("item {} has {} bytes, more than {LONGEST}", at + 1, words.len()));
        }
        if !seen.insert(words.clone()) {
            return Err(format!("item {} ({words}) is in the list twice", at + 1));
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed(items: &[&str]) -> Items {
        Items::Listed(items.iter().map(ToString::to_string).collect())
    }

    fn expression(source: &str) -> Items {
        Items::Expression(source.into())
    }

    #[test]
    fn a_list_that_cannot_be_meant_is_refused() {
        let context = json!({
            "zone": "a", "empty": "",
            "steps": { "find": { "is": "done", "output": { "hosts": ["x", "y"], "none": [] } },
                       "skipped": { "is": "skipped", "output": null } },
            "many": (0..1001).collect::<Vec<_>>(), "full": (0..1000).collect::<Vec<_>>(),
            "long": ["e".repeat(1025)],
        });
        for (items, expected) in [
            (listed(&["web-{{ zone }}", "web-b"]), Ok(2)),
            (expression("steps.find.output.hosts"), Ok(2)),
            (expression("full"), Ok(1000)),
            (
                expression("steps.find.output.none"),
                Err("the list is empty: there is nothing to do it for"),
            ),
            (expression("many"), Err("the list has 1001 items, more than 1000")),
            (expression("long"), Err("item 1 has 1025 bytes, more than 1024")),
            (expression("[\"a\", zone]"), Err("item 2 (a) is in the list twice")),
            (expression("[5, \"5\"]"), Err("item 2 (5) is in the list twice")),
            (listed(&["a", "{{ empty }}"]), Err("item 2 is empty")),
            (expression("[\" \"]"), Err("item 1 is empty")),
            (expression("steps.skipped.output"), Err("`steps.skipped.output` is null, not a list")),
        ] {
            let found = resolve(&items, &context).map(|list| list.len());
            assert_eq!(found, expected.map_err(str::to_owned), "{items:?}");
        }
    }
}

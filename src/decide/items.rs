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
use crate::model::rule::Set;

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

/// The same list, unless it is longer than `max_targets` of quell.yml allows.
pub fn at_most(list: Vec<Value>, most: &Set<u32>) -> Result<Vec<Value>, String> {
    let count = list.len();
    if u32::try_from(count).is_ok_and(|count| count <= most.value) {
        return Ok(list);
    }
    let (most, place) = (most.value, &most.place);
    Err(format!("the list has {count} items, more than {most} (max_targets, {place})"))
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
    fn a_list_may_have_as_many_items_as_max_targets_and_not_one_more() {
        let list = |count: u32| (0..count).map(Value::from).collect::<Vec<_>>();
        let most = Set::default_of(3);
        assert_eq!(at_most(list(3), &most), Ok(list(3)));
        let error = at_most(list(4), &most).unwrap_err();
        assert_eq!(error, "the list has 4 items, more than 3 (max_targets, default)");
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

//! The items of a `for_each`: texts or numbers, each once. An empty set must never mean everything, and nobody means a list
//! that is too long, so both are refused (`guardrails.md` G4).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::decide::condition;
use crate::decide::machine::MOST_ITEMS;
use crate::decide::machine::item_words;
use crate::decide::render::Escape;
use crate::decide::render::render;
use crate::decide::target;
use crate::model::config::Limits;
use crate::model::playbook::Each;
use crate::model::playbook::Items;
use crate::model::playbook::Step;

/// Failure domains that a refusal names.
const MOST_SHOWN: usize = 4;
/// Bytes of one item.
const LONGEST: usize = 1024;

/// How long a list may be, and the knob that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Most {
    /// Items.
    pub items: usize,
    /// `limits.max_targets (quell.yml:12)`.
    pub knob: String,
}

impl Most {
    /// The lower of what quell.yml and the step say.
    pub fn of(limits: &Limits, step: &Step) -> Self {
        let global = &limits.max_targets;
        let own = step.each.as_ref().and_then(|each| each.max_targets);
        match own.filter(|own| *own < global.value) {
            Some(own) => Self { items: count(own), knob: format!("max_targets of {}", step.name) },
            None => Self {
                items: count(global.value),
                knob: format!("limits.max_targets ({})", global.place),
            },
        }
    }
}

fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// The items over the variables of a step. The error says what is wrong with the list.
pub fn resolve(each: &Each, context: &Value, most: &Most) -> Result<Vec<Value>, String> {
    let list = match &each.items {
        Items::Listed(templates) => templates
            .iter()
            .map(|template| render(template, context, Escape::None).map(Value::String))
            .collect::<Result<Vec<_>, _>>()?,
        Items::Expression(source) => condition::list(source, context)?,
    };
    let list = sane(list, most)?;
    match &each.domain {
        Some(domain) => one_domain(list, domain, context),
        None => Ok(list),
    }
}

fn sane(list: Vec<Value>, most: &Most) -> Result<Vec<Value>, String> {
    match list.len() {
        0 => return Err("the list is empty: there is nothing to do it for".into()),
        count if count > most.items => {
            return Err(format!(
                "the list has {count} items, more than {}: {}",
                most.items, most.knob
            ));
        }
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
        if let Some(c) = target::unbounded(&words) {
            return Err(format!("item {} (`{words}`) is not one thing: it holds {c:?}", at + 1));
        }
        if !seen.insert(words.clone()) {
            return Err(format!("item {} ({words}) is in the list twice", at + 1));
        }
    }
    Ok(list)
}

/// All items must be of one failure domain: what goes wrong with one wave must not reach another.
fn one_domain(list: Vec<Value>, domain: &str, context: &Value) -> Result<Vec<Value>, String> {
    let mut domains: Vec<(String, String)> = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let mut context = context.clone();
        if let Some(map) = context.as_object_mut() {
            map.insert("item".into(), item.clone());
            map.insert("index".into(), index.into());
        }
        let words = item_words(item);
        let of = render(domain, &context, Escape::None)?;
        if of.trim().is_empty() {
            return Err(format!("the failure domain of {words} is empty"));
        }
        if !domains.iter().any(|(it, _)| *it == of) {
            domains.push((of, words));
        }
    }
    if domains.len() <= 1 {
        return Ok(list);
    }
    let shown = domains.iter().take(MOST_SHOWN).map(|(of, item)| format!("{of} ({item})"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let more = if domains.len() > MOST_SHOWN { ", …" } else { "" };
    Err(format!("spans {} failure domains: {shown}{more}", domains.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed(items: &[&str]) -> Items {
        Items::Listed(items.iter().map(ToString::to_string).collect())
    }

    fn each(items: Items) -> Each {
        Each {
            items,
            waves: Vec::new(),
            bake: std::time::Duration::ZERO,
            between: None,
            max_targets: None,
            domain: None,
            among: None,
        }
    }

    fn of(count: usize) -> Most {
        Most { items: count, knob: "limits.max_targets (quell.yml:3)".into() }
    }

    #[test]
    fn g04_a_list_that_is_longer_than_max_targets_is_refused() {
        let each = each(listed(&["a", "b", "c"]));
        assert_eq!(resolve(&each, &json!({}), &of(3)).map(|it| it.len()), Ok(3));
        let reason = "the list has 3 items, more than 2: limits.max_targets (quell.yml:3)";
        assert_eq!(resolve(&each, &json!({}), &of(2)), Err(reason.into()));
    }

    #[test]
    fn g04_an_item_that_could_mean_more_than_one_thing_is_refused() {
        for (item, c) in [("web-*", '*'), ("a,b", ','), ("a|b", '|'), ("web-.?", '?')] {
            let reason = format!("item 2 (`{item}`) is not one thing: it holds {c:?}");
            let found = resolve(&each(listed(&["a", item])), &json!({}), &of(50));
            assert_eq!(found, Err(reason));
        }
        let fine = ["/var/lib/x", "web-1.example.com:9100", "deployment/api", "a b"];
        assert_eq!(resolve(&each(listed(&fine)), &json!({}), &of(50)).map(|it| it.len()), Ok(4));
    }

    #[test]
    fn g04_items_of_two_failure_domains_are_refused() {
        let context = json!({ "zones": { "web-1": "eu-1", "web-2": "eu-1", "web-9": "us-1" } });
        let check = |items: &[&str]| {
            let domain = Some("{{ zones[item] }}".to_owned());
            let each = Each { domain, ..each(listed(items)) };
            resolve(&each, &context, &of(50)).map(|list| list.len())
        };
        assert_eq!(check(&["web-1", "web-2"]), Ok(2));
        let reason = "spans 2 failure domains: eu-1 (web-1), us-1 (web-9)";
        assert_eq!(check(&["web-1", "web-2", "web-9"]), Err(reason.into()));
        assert!(check(&["web-1", "web-7"]).is_err(), "a domain that nobody knows");
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
            (
                expression("many"),
                Err("the list has 1001 items, more than 1000: limits.max_targets (quell.yml:3)"),
            ),
            (expression("long"), Err("item 1 has 1025 bytes, more than 1024")),
            (expression("[\"a\", zone]"), Err("item 2 (a) is in the list twice")),
            (expression("[5, \"5\"]"), Err("item 2 (5) is in the list twice")),
            (listed(&["a", "{{ empty }}"]), Err("item 2 is empty")),
            (expression("[\" \"]"), Err("item 1 is empty")),
            (expression("steps.skipped.output"), Err("`steps.skipped.output` is null, not a list")),
        ] {
            let most = Most { items: 1000, knob: "limits.max_targets (quell.yml:3)".into() };
            let found = resolve(&each(items.clone()), &context, &most).map(|list| list.len());
            assert_eq!(found, expected.map_err(str::to_owned), "{items:?}");
        }
    }
}

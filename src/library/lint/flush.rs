//! Caches that are emptied with nothing watching the store behind them (`guardrails.md` G10).

use super::items;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::yaml::Node;
use crate::model::action::Action;
use crate::model::playbook::Playbook;
use crate::model::playbook::What;

/// Reports the first step that empties a cache in a playbook without `cache`.
pub(super) fn check(at: At<'_>, node: &Node, playbook: &Playbook) {
    if playbook.cache.is_some() {
        return;
    }
    let empties = |what: &What| match what {
        What::Action(Action::RedisFlush(_)) => Some("redis.flush"),
        What::Action(Action::RedisDelete(delete)) if delete.pattern.is_some() => {
            Some("redis.delete")
        }
        What::Action(_) | What::Probe { .. } | What::Wait(_) | What::Ask(_) => None,
    };
    let found = playbook.steps.iter().find_map(|step| Some((&step.name, empties(&step.what)?)));
    let Some((name, key)) = found else { return };
    let written = items(node, "steps").into_iter();
    let mut written = written.filter(|it| it.get("name").is_some_and(|it| it.text == *name));
    let Some(written) = written.next().and_then(|step| step.get(key)) else { return };
    let message = "this empties a cache, and nothing says whether the store behind it bears that";
    let found = Diagnostic::warning(codes::UNGUARDED_FLUSH, message);
    at.report(written.span, found.label("add `cache: { load: … }` to the playbook"));
}

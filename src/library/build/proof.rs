//! What a playbook wants to be shown before it acts: `cache:` and `rollback:`.

use std::time::Duration;

use super::probe;
use super::text;
use super::text::Names;
use crate::library::diagnostic::At;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::Opt;
use crate::library::raw::playbook::RawCacheGuard;
use crate::library::raw::playbook::RawRollback;
use crate::library::raw::probe::RawProbe;
use crate::model::playbook::CacheGuard;
use crate::model::playbook::RollbackProof;
use crate::model::probe::Probe;

const MEMORY: Duration = Duration::from_hours(7 * 24);

pub(crate) fn cache(
    at: At<'_>,
    found: Found<RawCacheGuard>,
    names: Names<'_>,
) -> Option<CacheGuard> {
    let Found { value: raw, span, .. } = found;
    let load = raw.load.need(at, span, "`cache`", "load");
    let load = load.and_then(|it| one(at, it, names));
    let hit_ratio = optional(at, raw.hit_ratio, names);
    Some(CacheGuard { load: load?, hit_ratio })
}

pub(crate) fn rollback(
    at: At<'_>,
    found: Found<RawRollback>,
    names: Names<'_>,
) -> Option<RollbackProof> {
    let Found { value: raw, span, .. } = found;
    let to = raw.to.need(at, span, "`rollback`", "to");
    let from = raw.from.need(at, span, "`rollback`", "from");
    let was_healthy = raw.was_healthy.need(at, span, "`rollback`", "was_healthy");
    let in_registry = raw.in_registry.need(at, span, "`rollback`", "in_registry");
    let (was_healthy, in_registry) = (
        was_healthy.and_then(|it| one(at, it, names)),
        in_registry.and_then(|it| one(at, it, names)),
    );
    let schema_unchanged = optional(at, raw.schema_unchanged, names);
    let memory = text::duration_or(at, raw.memory.and_then(Field::found), MEMORY);
    Some(RollbackProof {
        to: text::template(at, to?, names),
        from: text::template(at, from?, names),
        was_healthy: was_healthy?,
        in_registry: in_registry?,
        schema_unchanged,
        memory,
    })
}

fn one(at: At<'_>, found: Found<RawProbe>, names: Names<'_>) -> Option<Probe> {
    probe::probe(at, "the probe", found.span, found.value, names)
}

fn optional(at: At<'_>, raw: Opt<RawProbe>, names: Names<'_>) -> Option<Probe> {
    raw.and_then(Field::found).and_then(|it| one(at, it, names))
}

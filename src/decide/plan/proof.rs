//! What is to be shown before a remedy acts: what its playbook wants, and what must not get worse.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use crate::decide::parameters;
use crate::decide::plan::alert_context;
use crate::decide::plan::render_measure;
use crate::decide::plan::render_probe;
use crate::model::decision::ProofOf;
use crate::model::incident::Episode;
use crate::model::playbook::Measure;
use crate::model::playbook::Playbook;
use crate::model::probe::Probe;
use crate::model::rule::Rule;
use crate::model::run::Plan;

/// Variables that `cache:` and `rollback:` of a playbook see: its parameters, `labels` and `annotations`.
pub(super) fn proof_context(
    playbook: &Playbook,
    with: &BTreeMap<String, Value>,
    episode: &Episode,
) -> Result<Value, String> {
    let mut context = alert_context(episode);
    let parameters = parameters::resolve(playbook, with, &context).map_err(|it| it.join("; "))?;
    if let Some(map) = context.as_object_mut() {
        map.extend(parameters);
    }
    Ok(context)
}

/// What is to be shown before acting; what cannot be rendered is seen as unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// For which guard.
    pub of: ProofOf,
    /// What it shows.
    pub name: String,
    /// What to look at, or why that cannot be said.
    pub look: Result<Look, String>,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Whether this is healthy.
    Probe(Probe),
    /// Whether this can be measured.
    Measure(Measure),
}

/// What is to be shown before the remedy is decided: what its playbook wants, and that what must not get worse can be
/// measured.
pub fn wanted(
    rule: &Rule,
    playbook: &Playbook,
    with: &BTreeMap<String, Value>,
    episode: &Episode,
) -> Vec<Wanted> {
    let asks = playbook.cache.is_some() || playbook.rollback.is_some();
    let context = if asks { proof_context(playbook, with, episode) } else { Ok(Value::Null) };
    let shown = proofs(playbook, true).into_iter().map(|(of, name, probe)| {
        let context = context.as_ref().map_err(Clone::clone);
        let look = context.and_then(|context| render_probe(probe, context)).map(Look::Probe);
        Wanted { of, name: name.to_owned(), look }
    });
    let unharmed = rule.verify.as_ref().map_or(&[][..], |verify| &verify.unharmed);
    let alert = alert_context(episode);
    let measured = unharmed.iter().map(|it| Wanted {
        of: ProofOf::Baseline,
        name: it.name.clone(),
        look: render_measure(&it.measure, &alert).map(Look::Measure),
    });
    shown.chain(measured).collect()
}

/// What the playbook of a run wants to be shown before a step: of the version only before anything was done.
pub fn wanted_before_step(plan: &Plan, acted: bool) -> Vec<Wanted> {
    let mut context = json!({ "labels": plan.labels, "annotations": plan.annotations });
    if let Some(map) = context.as_object_mut() {
        map.extend(plan.parameters.clone());
    }
    let wanted = |(of, name, probe): (ProofOf, &'static str, &Probe)| Wanted {
        of,
        name: name.to_owned(),
        look: render_probe(probe, &context).map(Look::Probe),
    };
    proofs(&plan.playbook, !acted).into_iter().map(wanted).collect()
}

fn proofs(playbook: &Playbook, rollback: bool) -> Vec<(ProofOf, &'static str, &Probe)> {
    let mut proofs = Vec::new();
    if let Some(cache) = &playbook.cache {
        proofs.push((ProofOf::Cache, "load", &cache.load));
        proofs.extend(cache.hit_ratio.as_ref().map(|it| (ProofOf::Cache, "hit ratio", it)));
    }
    if let Some(proof) = playbook.rollback.as_ref().filter(|_| rollback) {
        proofs.push((ProofOf::Rollback, "was healthy", &proof.was_healthy));
        proofs.push((ProofOf::Rollback, "in the registry", &proof.in_registry));
        let schema = proof.schema_unchanged.as_ref();
        proofs.extend(schema.map(|it| (ProofOf::Rollback, "schema unchanged", it)));
    }
    proofs
}

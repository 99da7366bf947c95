//! The trust ladder: lowers the trust in a rule whose runs come to nothing, and tells of it by an alert of quell's own, for
//! as long as it binds. Only people raise it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decide::audience;
use crate::decide::own;
use crate::decide::page;
use crate::decide::respond::Candidate;
use crate::decide::respond::Case;
use crate::decide::tell;
use crate::decide::trust;
use crate::decide::trust::Policy;
use crate::engine::Engine;
use crate::engine::watch;
use crate::model::alert::Alert;
use crate::model::config::Config;
use crate::model::decision::Facts;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::incident::Owed;
use crate::model::run::Entry;
use crate::model::trust::Trust;
use crate::store::Result;
use crate::store::StoreError;
use crate::store::credentials::Refusal;
use crate::store::runs::Claim;
use crate::store::runs::Follows;
use crate::store::runs::Row;
use crate::store::trust::Ending;

/// How often the alerts are compared with the trust that is stored: it is raised by other processes, too.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The loop.
pub async fn run(engine: Engine) {
    while !engine.stop.is_cancelled() {
        if let Err(error) = tell_of_all(&engine).await {
            engine.trouble("trust", &error).await;
        }
        engine.turned("trust");
        engine.pause(LOOK_EVERY).await;
    }
}

/// Lowers the trust in the rule of a case when its target is in trouble again too often; then it is judged again, by
/// [`StoreError::Changed`].
pub(super) async fn consider(
    engine: &Engine,
    case: Case<'_>,
    candidate: &Candidate,
    facts: &Facts,
) -> Result<()> {
    let Some(trust) = trust::again(case, candidate, facts) else { return Ok(()) };
    let owed = owed(case.config, case.incident, &trust);
    engine.store.demote(facts.version, &trust, owed).await?;
    tracing::warn!(rule = trust.rule, mode = trust.mode.as_str(), why = trust.why, "demoted");
    engine.wake.deliver.notify_one();
    Err(StoreError::Changed)
}

/// Writes the entry that ends a run, and in the same transaction what that means for the trust in its rule.
pub(super) async fn end(
    engine: &Engine,
    claim: &mut Claim,
    entry: Entry,
    row: &Row,
    tells: Vec<Owed>,
    refusals: &[Refusal],
) -> Result<()> {
    let library = engine.library.load_full();
    let config = &library.config;
    let plan = &claim.plan;
    let rule = library.rules.rules().iter().find(|rule| rule.name == plan.rule);
    let policy = rule.and_then(|it| Policy::of(config, it, plan.remedy, plan.playbook.mode));
    let incident = engine.store.incident(plan.incident).await?;
    let (Some(policy), Some(incident)) = (policy, incident) else {
        return engine.store.append_denied(claim, entry, row, tells, refusals).await;
    };
    let told = |trust: &Trust| {
        tracing::warn!(rule = trust.rule, mode = trust.mode.as_str(), why = trust.why, "demoted");
        owed(config, &incident, trust)
    };
    let ending = Ending { policy: &policy, told: &told };
    let follows = Follows::of(refusals, Some(ending));
    engine.store.append_with(claim, entry, row, tells, follows).await
}

/// What people are told of a demotion, on the incident that led to it.
pub(super) fn owed(config: &Config, incident: &Incident, trust: &Trust) -> Vec<Owed> {
    let owed = audience::owed(config, &tell::demoted(incident, trust), false);
    page::held(config, incident, owed)
}

/// Raises an alert for each rule that may do less than its files say, and ends those of the others.
pub(super) async fn tell_of_all(engine: &Engine) -> Result<()> {
    let library = engine.library.load_full();
    let trusts = engine.store.trusts().await?;
    let open = engine.store.open_episodes_from(own::TRUST).await?;
    let mut open: BTreeMap<String, Episode> =
        open.into_iter().map(|it| (it.fingerprint.clone(), it)).collect();
    let rules = library.rules.rules().iter();
    let demoted = rules
        .filter_map(|rule| Some((rule, trusts.get(&rule.name)?)))
        .filter(|(rule, trust)| trust::binds(&library.config, rule, trust));
    let mut alerts: Vec<Alert> = Vec::new();
    for (_, trust) in demoted {
        let alert = own::rule_demoted(trust);
        if open.remove(&alert.labels.fingerprint()).is_none() {
            alerts.push(alert);
        }
    }
    let now = engine.clock.now();
    let over = open.into_values();
    alerts.extend(over.map(|it| own::mended(it.labels, it.annotations, now)));
    // what is not told now is told at the next look
    watch::raise(engine, own::TRUST, alerts).await;
    Ok(())
}

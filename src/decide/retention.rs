//! How long what has ended is kept: as `retention` says, and never shorter than any limit looks back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::config::Config;
use crate::model::playbook::Playbook;
use crate::model::rule::Rule;

/// How long everything is kept that has ended. A run may last long beyond its start, so twice as far as the longest span.
pub fn kept(
    config: &Config,
    rules: &[Arc<Rule>],
    playbooks: &BTreeMap<String, Arc<Playbook>>,
) -> Duration {
    let limits = &config.limits;
    let mut longest = [
        limits.rate.value.per,
        limits.max_age.value,
        limits.cooldown.value,
        limits.service_rate.value.per,
        limits.storm.value.within,
        limits.storm.value.cooldown,
        limits.ineffective.value.per,
        limits.demote_after.value.per,
        limits.failures.value.per,
        limits.quiet.value,
        limits.flapping.value.per,
        limits.chronic.value.per,
    ]
    .into_iter()
    .max()
    .unwrap_or_default();
    for rule in rules {
        let limits = &rule.limits;
        let rates = [&limits.rate, &limits.ineffective, &limits.demote_after];
        let rates = rates.into_iter().flatten().map(|it| it.value.per);
        let times = [&limits.settle, &limits.cooldown, &limits.quiet];
        let times = times.into_iter().flatten().map(|it| it.value);
        let blast = limits.blast.iter().map(|it| it.value.within);
        longest = rates.chain(times).chain(blast).fold(longest, Duration::max);
    }
    for playbook in playbooks.values() {
        let rate = playbook.limits.rate.iter().map(|it| it.per);
        let memory = playbook.rollback.iter().map(|it| it.memory);
        longest = rate.chain(memory).fold(longest, Duration::max);
    }
    config.retention.keep.max(longest.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::playbook::Rate;
    use crate::model::rule::Set;

    #[test]
    fn what_a_limit_looks_back_on_is_kept_however_short_the_retention() {
        let day = Duration::from_hours(24);
        let mut config = Config::default();
        let kept_by = |config: &Config| kept(config, &[], &BTreeMap::new());
        assert_eq!(kept_by(&config), 90 * day);
        config.retention.keep = day;
        assert_eq!(kept_by(&config), 2 * day, "chronic looks back a day");
        config.limits.ineffective = Set::default_of(Rate { count: 3, per: 100 * day });
        assert_eq!(kept_by(&config), 200 * day);
    }
}

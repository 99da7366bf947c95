//! Loads rules, playbooks and quell.yml.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decide::matching::Index;
use crate::model::config::Config;
use crate::model::playbook::Playbook;
use crate::model::rule::Check;

/// One immutable set.
#[derive(Debug, Clone, Default)]
pub struct Library {
    /// quell.yml.
    pub config: Config,
    /// Rules.
    pub rules: Arc<Index>,
    /// Checks.
    pub checks: Vec<Arc<Check>>,
    /// Playbooks by name.
    pub playbooks: BTreeMap<String, Arc<Playbook>>,
    /// Digest over the files.
    pub digest: String,
}

//! Parameters of a playbook.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::playbook::Playbook;

/// Renders and checks the parameters of a remedy.
pub fn resolve(
    playbook: &Playbook,
    with: &BTreeMap<String, Value>,
    context: &Value,
) -> Result<BTreeMap<String, Value>, Vec<String>> {
    let _ = (playbook, with, context);
    Err(vec!["not written yet".into()])
}

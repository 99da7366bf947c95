//! What people and networks get wrong, and what quell says then: every message as an on-call engineer reads it.

mod disk;
mod effects;
mod http;
mod start;

use serde_json::Value;
use serde_json::json;

use crate::support::quell::Quell;

/// A message without what differs from run to run.
fn shown(quell: &Quell, text: &str) -> String {
    let folder = quell.folder().to_str().unwrap();
    text.replace(folder, "[folder]").replace(&quell.address(), "[address]")
}

/// A webhook body with one firing alert of these labels.
fn firing(labels: &Value) -> Value {
    json!({
        "version": "4", "receiver": "quell", "status": "firing",
        "alerts": [{
            "status": "firing", "labels": labels, "annotations": {},
            "startsAt": "2026-01-05T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
        }],
    })
}

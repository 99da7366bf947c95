//! What is stored: objects with versions, as etcd and the API server keep them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;

use super::Refused;

/// Names one object: resource, namespace (empty for what has none), name.
pub(super) type Key = (String, String, String);

/// Resource, API version, kind.
const KINDS: [(&str, &str, &str); 8] = [
    ("pods", "v1", "Pod"),
    ("nodes", "v1", "Node"),
    ("events", "v1", "Event"),
    ("deployments", "apps/v1", "Deployment"),
    ("replicasets", "apps/v1", "ReplicaSet"),
    ("statefulsets", "apps/v1", "StatefulSet"),
    ("daemonsets", "apps/v1", "DaemonSet"),
    ("poddisruptionbudgets", "policy/v1", "PodDisruptionBudget"),
];

/// API version and kind of a resource.
pub(super) fn kind(resource: &str) -> Option<(&'static str, &'static str)> {
    KINDS.iter().find(|(it, ..)| *it == resource).map(|(_, version, kind)| (*version, *kind))
}

/// All objects, and what the cluster's parts other than the API server know.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(super) all: BTreeMap<Key, Value>,
    version: u64,
    uids: u64,
    /// Pods of these images never become ready.
    pub(super) broken_images: BTreeSet<String>,
    /// Controllers do nothing: what is written is not yet so.
    pub(super) held: bool,
    /// Deleted pods stay until they are told to end.
    pub(super) lingering: bool,
    /// How many pods were ever made.
    pub(super) pods_made: u64,
    /// What containers printed, by pod.
    pub(super) logs: BTreeMap<String, String>,
}

impl Objects {
    /// The object, or 404.
    pub(super) fn get(&self, key: &Key) -> Result<&Value, Refused> {
        let (resource, _, name) = key;
        self.all.get(key).ok_or_else(|| {
            Refused::new(404, "NotFound", &format!("{resource} \"{name}\" not found"))
        })
    }

    /// Stores a new object with a UID and a version.
    pub(super) fn create(&mut self, resource: &str, mut object: Value) -> Value {
        let (version, kind) = kind(resource).unwrap();
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        self.uids += 1;
        object["metadata"]["uid"] = format!("uid-{:04}", self.uids).into();
        object["metadata"]["creationTimestamp"] = "2026-01-05T09:00:00Z".into();
        object["metadata"]["resourceVersion"] = self.next().into();
        if object.get("spec").is_some() {
            object["metadata"]["generation"] = 1.into();
        }
        self.all.insert(key_of(resource, &object), object.clone());
        object
    }

    /// Stores an object that is there already; one that is no different keeps its version.
    pub(super) fn store(&mut self, key: &Key, mut object: Value) -> Value {
        let before = &self.all[key];
        if *before == object {
            return object;
        }
        if before["spec"] != object["spec"] {
            let generation = before["metadata"]["generation"].as_u64().unwrap_or(1);
            object["metadata"]["generation"] = (generation + 1).into();
        }
        object["metadata"]["resourceVersion"] = self.next().into();
        self.all.insert(key.clone(), object.clone());
        object
    }

    /// A change of an object as a request makes it: versions and identity are checked, and what a type demands. Nothing is stored.
    pub(super) fn checked(&self, key: &Key, object: Value) -> Result<Value, Refused> {
        let before = self.get(key)?;
        let conflict = |what: &str| {
            let (resource, _, name) = key;
            let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {what}");
            Refused::new(409, "Conflict", &message)
        };
        let version = &object["metadata"]["resourceVersion"];
        if *version != before["metadata"]["resourceVersion"] {
            return Err(conflict(
                "the object has been modified; please apply your changes to the latest version and try again",
            ));
        }
        if object["metadata"]["uid"] != before["metadata"]["uid"] {
            return Err(conflict("Precondition failed: UID in precondition"));
        }
        if object["metadata"]["name"] != before["metadata"]["name"] {
            return Err(Refused::bad("the name of the object does not match the name on the URL"));
        }
        if let Some(replicas) = object["spec"].get("replicas")
            && replicas.as_u64().is_none()
        {
            return Err(Refused::new(
                422,
                "Invalid",
                "spec.replicas: must be greater than or equal to 0",
            ));
        }
        let containers = &object["spec"]["template"]["spec"]["containers"];
        for container in containers.as_array().into_iter().flatten() {
            if container["image"].as_str().is_none_or(str::is_empty) {
                let message = format!(
                    "spec.template.spec.containers[{}].image: Required value",
                    container["name"]
                );
                return Err(Refused::new(422, "Invalid", &message));
            }
            for variable in container["env"].as_array().into_iter().flatten() {
                if !variable["value"].is_null() && !variable["valueFrom"].is_null() {
                    let message = format!(
                        "env {}: valueFrom: may not be specified when `value` is not empty",
                        variable["name"]
                    );
                    return Err(Refused::new(422, "Invalid", &message));
                }
            }
        }
        let annotations = object["metadata"]["annotations"].as_object();
        let texts = annotations.into_iter().flatten().all(|(_, value)| value.is_string());
        if !texts {
            return Err(Refused::bad("annotations are texts"));
        }
        Ok(object)
    }

    /// Objects of a resource, in a namespace or in all (empty), that the selectors choose.
    pub(super) fn list(
        &self,
        resource: &str,
        namespace: &str,
        labels: &str,
        fields: &str,
    ) -> Vec<Value> {
        let chosen = self.all.iter().filter(|((it, of, _), object)| {
            it == resource
                && (namespace.is_empty() || of == namespace)
                && chooses(labels, |name| {
                    object["metadata"]["labels"][name].as_str().map(str::to_owned)
                })
                && chooses(fields, |path| {
                    let pointer = format!("/{}", path.replace('.', "/"));
                    Some(
                        object
                            .pointer(&pointer)
                            .and_then(Value::as_str)
                            .unwrap_or_default()
                            .to_owned(),
                    )
                })
        });
        chosen.map(|(_, object)| object.clone()).collect()
    }

    fn next(&mut self) -> String {
        self.version += 1;
        (1000 + self.version).to_string()
    }
}

/// Where an object is stored.
pub(super) fn key_of(resource: &str, object: &Value) -> Key {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (resource.to_owned(), text("namespace"), text("name"))
}

/// Whether a selector (`a=b,c!=d,e,f in (g,h)`) chooses what has these values.
pub(super) fn chooses(selector: &str, value: impl Fn(&str) -> Option<String>) -> bool {
    terms(selector).iter().all(|term| {
        if let Some((name, wanted)) = term.split_once("!=") {
            return value(name.trim()).as_deref() != Some(wanted.trim());
        }
        if let Some((name, wanted)) = term.split_once('=') {
            return value(name.trim()).as_deref() == Some(wanted.trim_start_matches('=').trim());
        }
        if let Some((name, set)) = term.split_once(" in ") {
            let found = value(name.trim());
            let set = set.trim().trim_matches(['(', ')']);
            return set.split(',').any(|it| found.as_deref() == Some(it.trim()));
        }
        value(term.trim()).is_some()
    })
}

/// The parts between commas that are in no parenthesis.
fn terms(selector: &str) -> Vec<String> {
    let (mut terms, mut depth) = (vec![String::new()], 0);
    for letter in selector.chars() {
        match letter {
            ',' if depth == 0 => terms.push(String::new()),
            _ => {
                depth += i32::from(letter == '(') - i32::from(letter == ')');
                terms.last_mut().unwrap().push(letter);
            }
        }
    }
    terms.retain(|term| !term.trim().is_empty());
    terms
}

/// The scale of a workload.
pub(super) fn scale(object: &Value) -> Value {
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {
            "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"],
            "uid": object["metadata"]["uid"], "resourceVersion": object["metadata"]["resourceVersion"],
        },
        "spec": { "replicas": object["spec"]["replicas"] },
        "status": { "replicas": object["status"]["replicas"] },
    })
}

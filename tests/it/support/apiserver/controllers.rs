//! What controllers, kubelets and the scheduler would do, at once after each change.

use std::fmt::Write as _;

use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use super::objects::Key;
use super::objects::Objects;

const REVISION: &str = "deployment.kubernetes.io/revision";

impl Objects {
    /// Brings everything to what is written.
    pub(super) fn settle(&mut self) {
        if self.held {
            return;
        }
        let keys: Vec<Key> = self.all.keys().cloned().collect();
        for key in keys {
            match key.0.as_str() {
                "deployments" => self.deployment(&key),
                "statefulsets" | "daemonsets" => self.set(&key),
                _ => {}
            }
        }
    }

    fn deployment(&mut self, key: &Key) {
        let deployment = self.all[key].clone();
        let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
        let mut updated = deployment.clone();
        let paused = deployment["spec"]["paused"] == true;
        let current = if paused { None } else { Some(self.replica_set(&mut updated)) };
        let owned: Vec<Value> = self.owned("replicasets", &deployment);
        let (mut ready, mut total, mut fresh) = (0, 0, 0);
        // the new one first: the old ones go when it is ready
        let newest = current.clone().or_else(|| newest(&owned));
        let fine = newest.as_ref().is_none_or(|set| !self.is_broken(set));
        for set in owned {
            let is_new =
                newest.as_ref().is_some_and(|it| it["metadata"]["uid"] == set["metadata"]["uid"]);
            let count = match (is_new, fine) {
                (true, true) => wanted,
                (true, false) => wanted.min(1),
                (false, true) => 0,
                (false, false) => set["spec"]["replicas"].as_u64().unwrap_or(0).min(wanted),
            };
            let key = super::objects::key_of("replicasets", &set);
            let mut scaled = self.all[&key].clone();
            scaled["spec"]["replicas"] = count.into();
            let scaled = self.store(&key, scaled);
            let (pods, running) = self.pods(&scaled, count);
            total += pods;
            ready += running;
            fresh += if is_new { pods } else { 0 };
        }
        updated["status"] = json!({
            "observedGeneration": updated["metadata"]["generation"],
            "replicas": total, "updatedReplicas": fresh, "readyReplicas": ready,
            "availableReplicas": ready, "unavailableReplicas": total.max(wanted) - ready,
        });
        self.store(key, updated);
    }

    /// The replica set of the deployment's template, made when there is none.
    fn replica_set(&mut self, deployment: &mut Value) -> Value {
        let template = &deployment["spec"]["template"];
        let owned = self.owned("replicasets", deployment);
        let highest = owned.iter().map(revision).max().unwrap_or(0);
        let found = owned.iter().find(|set| {
            let mut theirs = set["spec"]["template"].clone();
            theirs["metadata"]["labels"].as_object_mut().unwrap().remove("pod-template-hash");
            theirs == *template
        });
        let set = match found {
            Some(set) if revision(set) == highest => set.clone(),
            Some(set) => {
                let mut again = set.clone();
                again["metadata"]["annotations"][REVISION] = (highest + 1).to_string().into();
                self.store(&super::objects::key_of("replicasets", set), again)
            }
            None => {
                let hash = digest(template);
                let mut template = template.clone();
                template["metadata"]["labels"]["pod-template-hash"] = hash.clone().into();
                let name = deployment["metadata"]["name"].as_str().unwrap();
                self.create("replicasets", json!({
                    "metadata": {
                        "name": format!("{name}-{hash}"), "namespace": deployment["metadata"]["namespace"],
                        "labels": template["metadata"]["labels"],
                        "annotations": { REVISION: (highest + 1).to_string() },
                        "ownerReferences": [owner(deployment)],
                    },
                    "spec": {
                        "replicas": 0, "template": template,
                        "selector": { "matchLabels": template["metadata"]["labels"] },
                    },
                }))
            }
        };
        deployment["metadata"]["annotations"][REVISION] =
            set["metadata"]["annotations"][REVISION].clone();
        set
    }

    fn set(&mut self, key: &Key) {
        let set = self.all[key].clone();
        let wanted = set["spec"]["replicas"].as_u64().unwrap_or(1);
        let revision = digest(&set["spec"]["template"]);
        // pods of an older template are replaced
        for pod in self.owned("pods", &set) {
            if pod["metadata"]["labels"]["controller-revision-hash"] != revision.as_str() {
                self.all.remove(&super::objects::key_of("pods", &pod));
            }
        }
        let mut hashed = set.clone();
        hashed["spec"]["template"]["metadata"]["labels"]["controller-revision-hash"] =
            revision.clone().into();
        let (pods, ready) = self.pods(&hashed, wanted);
        let mut updated = set.clone();
        let generation = &set["metadata"]["generation"];
        updated["status"] = if key.0 == "daemonsets" {
            json!({
                "observedGeneration": generation, "desiredNumberScheduled": wanted,
                "currentNumberScheduled": pods, "updatedNumberScheduled": pods, "numberReady": ready,
                "numberAvailable": ready, "numberUnavailable": wanted - ready,
            })
        } else {
            json!({
                "observedGeneration": generation, "replicas": pods, "readyReplicas": ready, "availableReplicas": ready,
                "updatedReplicas": pods, "currentRevision": revision, "updateRevision": revision,
            })
        };
        self.store(key, updated);
    }

    /// Makes and removes pods until an owner has so many; says how many there are, and how many of them are ready.
    fn pods(&mut self, owning: &Value, wanted: u64) -> (u64, u64) {
        let mut mine = self.owned("pods", owning);
        mine.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        while mine.len() as u64 > wanted {
            let pod = mine.pop().unwrap();
            self.all.remove(&super::objects::key_of("pods", &pod));
        }
        while (mine.len() as u64) < wanted {
            let name = owning["metadata"]["name"].as_str().unwrap();
            let number = self.fresh_number();
            let broken = self.is_broken(owning);
            let node = self.schedulable();
            let ready = !broken && node.is_some();
            let mut spec = owning["spec"]["template"]["spec"].clone();
            if let Some(node) = node {
                spec["nodeName"] = node.into();
            }
            let pod = self.create("pods", json!({
                "metadata": {
                    "name": format!("{name}-{number}"), "namespace": owning["metadata"]["namespace"],
                    "labels": owning["spec"]["template"]["metadata"]["labels"],
                    "ownerReferences": [owner(owning)],
                },
                "spec": spec,
                "status": pod_status(ready),
            }));
            mine.push(pod);
        }
        let ready =
            mine.iter().filter(|pod| pod["status"]["conditions"][0]["status"] == "True").count();
        (mine.len() as u64, ready as u64)
    }

    /// What an object owns, by UID.
    fn owned(&self, resource: &str, owning: &Value) -> Vec<Value> {
        let uid = &owning["metadata"]["uid"];
        let all = self.all.iter().filter(|((it, ..), _)| it == resource);
        all.filter(|(_, object)| object["metadata"]["ownerReferences"][0]["uid"] == *uid)
            .map(|(_, object)| object.clone())
            .collect()
    }

    fn is_broken(&self, owning: &Value) -> bool {
        let containers = owning["spec"]["template"]["spec"]["containers"].as_array();
        let mut images = containers.into_iter().flatten().filter_map(|it| it["image"].as_str());
        images.any(|image| self.broken_images.contains(image))
    }

    fn schedulable(&self) -> Option<String> {
        let nodes = self.all.iter().filter(|((resource, ..), _)| resource == "nodes");
        let mut open = nodes.filter(|(_, node)| node["spec"]["unschedulable"] != true);
        open.next().map(|((_, _, name), _)| name.clone())
    }

    fn fresh_number(&mut self) -> String {
        self.pods_made += 1;
        format!("{:05}", self.pods_made)
    }
}

fn pod_status(ready: bool) -> Value {
    let reason = if ready {
        json!({ "running": {} })
    } else {
        json!({ "waiting": { "reason": "CrashLoopBackOff" } })
    };
    json!({
        "phase": if ready { "Running" } else { "Pending" },
        "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
        "containerStatuses": [{ "name": "app", "ready": ready, "restartCount": 0, "state": reason }],
    })
}

fn newest(sets: &[Value]) -> Option<Value> {
    sets.iter().max_by_key(|set| revision(set)).cloned()
}

/// The revision of a replica set.
fn revision(set: &Value) -> u64 {
    set["metadata"]["annotations"][REVISION].as_str().and_then(|it| it.parse().ok()).unwrap_or(0)
}

fn owner(object: &Value) -> Value {
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"], "name": object["metadata"]["name"],
        "uid": object["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    })
}

/// Ten letters that tell templates apart.
fn digest(template: &Value) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(template.to_string()).iter().take(5) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

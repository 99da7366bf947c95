//! What a rehearsal believes that a look at a target found.

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::Unit;
use serde_json::Map;
use serde_json::Value;

use super::Action;
use super::kubernetes::Kubernetes;
use super::kubernetes::Pod;
use super::kubernetes::Scale;
use super::postgres::Postgres;

impl Action {
    /// The action as a look at its target would have prepared it: with the fields of `found`, and of those that it does not name,
    /// such as are likely: a workload has one replica, a revision 1 comes before 2, a variable is not there, nothing is cordoned.
    /// The error says what does not fit.
    pub fn assumed(&self, found: &Map<String, Value>, now: Timestamp) -> Result<Self, String> {
        let mut action = self.with(found)?;
        match &mut action {
            Self::Kubernetes(it) => of_kubernetes(it, now)?,
            Self::Postgres(Postgres::KillIdle(it)) => drop(it.backends.get_or_insert_default()),
            Self::RedisConfigSet(it) => drop(it.before.get_or_insert_default()),
            Self::Silence(it) => {
                let lasts =
                    SignedDuration::try_from(it.lasts.read()?).unwrap_or(SignedDuration::MAX);
                it.ends_at.get_or_insert(now.saturating_add(lasts).unwrap_or(Timestamp::MAX));
            }
            _ => {}
        }
        Ok(action)
    }

    /// The same action with some of its fields replaced.
    fn with(&self, fields: &Map<String, Value>) -> Result<Self, String> {
        if fields.is_empty() {
            return Ok(self.clone());
        }
        let kind = self.kind();
        let wrong = |error: &dyn std::fmt::Display| format!("{kind} cannot find that: {error}");
        let mut written = serde_json::to_value(self).map_err(|error| wrong(&error))?;
        if let Some(Value::Object(known)) = written.get_mut(kind) {
            known.extend(fields.clone());
        }
        let action: Self =
            serde_json::from_value(written.clone()).map_err(|error| wrong(&error))?;
        // a field that the action does not know is not in it
        let kept = serde_json::to_value(&action).map_err(|error| wrong(&error))?;
        let known =
            |name: &&String| kept.get(kind).is_some_and(|it| it.get(name.as_str()).is_some());
        match fields.keys().find(|name| !known(name)) {
            Some(name) => Err(wrong(&format!("it has no `{name}`"))),
            None => Ok(action),
        }
    }
}

fn of_kubernetes(action: &mut Kubernetes, now: Timestamp) -> Result<(), String> {
    match action {
        Kubernetes::Scale(it) => scale(it)?,
        Kubernetes::Restart(it) => {
            let stamp = now.round(Unit::Second).unwrap_or(now);
            it.stamp.get_or_insert(stamp.to_string());
        }
        Kubernetes::Rollback(it) => {
            let wanted = it.revision.as_ref().map(super::Whole::read).transpose()?;
            let to = *it.to_revision.get_or_insert(wanted.map_or(1, u64::from));
            it.from_revision.get_or_insert(to.saturating_add(1));
        }
        Kubernetes::SetEnv(it) => {
            let absent = it.env.keys().map(|name| (name.clone(), None)).collect();
            it.before.get_or_insert(absent);
        }
        Kubernetes::Cordon(it) => drop(it.was.get_or_insert(false)),
        Kubernetes::Uncordon(it) => drop(it.was.get_or_insert(true)),
        Kubernetes::Drain(it) => drop(it.pods.get_or_insert_default()),
        Kubernetes::DeletePod(it) => {
            let namespace = it.namespace.clone();
            let pod = |name: &String| Pod { namespace, name: name.clone(), uid: "assumed".into() };
            it.pods.get_or_insert(it.pod.as_ref().map(pod).into_iter().collect());
        }
        Kubernetes::Events(_) | Kubernetes::Logs(_) | Kubernetes::Describe(_) => {}
    }
    Ok(())
}

fn scale(it: &mut Scale) -> Result<(), String> {
    let from = *it.from.get_or_insert(1);
    let to = it.target(from)?;
    it.to.get_or_insert(to);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scale(more: &Value) -> Action {
        let mut it = json!({ "cluster": "prod", "namespace": "shop", "workload": { "kind": "deployment", "name": "api" } });
        it.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(json!({ "kubernetes.scale": it })).unwrap()
    }

    fn found(fields: &Value) -> Map<String, Value> {
        fields.as_object().unwrap().clone()
    }

    fn numbers(action: &Action) -> (Option<u32>, Option<u32>) {
        let Action::Kubernetes(Kubernetes::Scale(it)) = action else { panic!("{action:?}") };
        (it.from, it.to)
    }

    #[test]
    fn what_a_script_found_stands_and_the_rest_is_likely() {
        let now = Timestamp::UNIX_EPOCH;
        for (keys, given, expected) in [
            (json!({ "by": 2 }), json!({}), (1, 3)),
            (json!({ "by": 2, "max": "4" }), json!({ "from": 3 }), (3, 4)),
            (json!({ "by": -5, "min": "2" }), json!({ "from": 3 }), (3, 2)),
            (json!({ "by": -5 }), json!({ "from": 3 }), (3, 1)),
            (json!({ "replicas": "6" }), json!({ "from": 3 }), (3, 6)),
        ] {
            let action = scale(&keys).assumed(&found(&given), now).unwrap();
            assert_eq!(numbers(&action), (Some(expected.0), Some(expected.1)), "{keys}");
        }
    }

    #[test]
    fn what_an_action_cannot_find_is_refused() {
        let now = Timestamp::UNIX_EPOCH;
        for (given, expected) in [
            (json!({ "form": 3 }), "kubernetes.scale cannot find that: it has no `form`"),
            (json!({ "from": "three" }), "kubernetes.scale cannot find that: "),
        ] {
            let error = scale(&json!({ "by": 1 })).assumed(&found(&given), now).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = scale(&json!({ "by": 1, "min": "5", "max": "4" }));
        let error = error.assumed(&Map::new(), now).unwrap_err();
        assert!(error.starts_with("min is 5, and max is 4"), "{error}");
    }
}

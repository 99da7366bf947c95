//! What takes an action back, of one that was prepared.

use super::Action;
use super::Whole;
use super::host::Systemd;
use super::kubernetes::Cordon;
use super::kubernetes::Kubernetes;
use super::kubernetes::Rollback;
use super::kubernetes::Scale;
use super::kubernetes::SetEnv;
use super::redis::RedisConfigSet;
use super::tell::Unsilence;

impl Action {
    /// The action that takes this one back, prepared as it is. `key` is that of its intent. `None` where the action does not know its
    /// reverse, was not prepared, or would change nothing.
    pub fn reverse(&self, key: &str) -> Option<Self> {
        match self {
            Self::Kubernetes(it) => of_kubernetes(it).map(Self::Kubernetes),
            Self::RedisConfigSet(it) => {
                let before = it.before.clone().filter(|before| *before != it.value)?;
                Some(Self::RedisConfigSet(RedisConfigSet {
                    before: Some(it.value.clone()),
                    value: before,
                    ..it.clone()
                }))
            }
            Self::Systemd(Systemd::Start(unit)) => Some(Self::Systemd(Systemd::Stop(unit.clone()))),
            Self::Systemd(Systemd::Stop(unit)) => Some(Self::Systemd(Systemd::Start(unit.clone()))),
            Self::Silence(_) => Some(Self::Unsilence(Unsilence {
                id: String::new(),
                made_by: Some(key.to_owned()),
            })),
            Self::Systemd(Systemd::Restart(_))
            | Self::Command(_)
            | Self::Http(_)
            | Self::RedisFlush(_)
            | Self::RedisDelete(_)
            | Self::DockerRestart(_)
            | Self::Ssh(_)
            | Self::Unsilence(_)
            | Self::Notify(_)
            | Self::Postgres(_) => None,
        }
    }
}

fn of_kubernetes(action: &Kubernetes) -> Option<Kubernetes> {
    Some(match action {
        Kubernetes::Scale(it) => {
            let (from, to) = (it.from?, it.to?);
            if from == to {
                return None;
            }
            Kubernetes::Scale(Scale {
                replicas: Some(Whole::from(from)),
                by: None,
                min: None,
                max: None,
                to: Some(from),
                from: Some(to),
                ..it.clone()
            })
        }
        Kubernetes::Rollback(it) => {
            let (from, to) = (it.from_revision?, it.to_revision?);
            if from == to {
                return None;
            }
            Kubernetes::Rollback(Rollback {
                revision: Some(Whole(from.to_string())),
                to_revision: Some(from),
                from_revision: Some(to),
                to_template: it.from_template.clone(),
                from_template: it.to_template.clone(),
                ..it.clone()
            })
        }
        Kubernetes::SetEnv(it) => {
            let before = it.before.clone().filter(|before| *before != it.env)?;
            Kubernetes::SetEnv(SetEnv { env: before, before: Some(it.env.clone()), ..it.clone() })
        }
        Kubernetes::Cordon(it) => {
            Kubernetes::Uncordon(Cordon { was: Some(true), ..changed(it, false)? })
        }
        Kubernetes::Uncordon(it) => {
            Kubernetes::Cordon(Cordon { was: Some(false), ..changed(it, true)? })
        }
        Kubernetes::Restart(_)
        | Kubernetes::Drain(_)
        | Kubernetes::DeletePod(_)
        | Kubernetes::Events(_)
        | Kubernetes::Logs(_)
        | Kubernetes::Describe(_) => return None,
    })
}

/// The node, if it was so.
fn changed(it: &Cordon, was: bool) -> Option<Cordon> {
    (it.was == Some(was)).then(|| it.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    /// The reverse of an action, both as they stand in a journal.
    fn reverse(action: Value) -> Value {
        let action: Action = serde_json::from_value(action).unwrap();
        assert!(action.reverse("r-1/2").is_none() || action.is_reversible(), "{action:?}");
        serde_json::to_value(action.reverse("r-1/2")).unwrap()
    }

    #[test]
    fn what_is_taken_back_is_what_was_there_before() {
        let api = json!({ "kind": "deployment", "name": "api" });
        let scale = |more: Value| {
            with(json!({ "cluster": "prod", "namespace": "shop", "workload": api }), more)
        };
        let of = |kind: &str, it: Value| json!({ kind: it });
        let plus_two = scale(json!({ "by": 2, "max": "9", "from": 3, "to": 5 }));
        let back = scale(json!({ "replicas": "3", "from": 5, "to": 3 }));
        assert_eq!(reverse(of("kubernetes.scale", plus_two)), of("kubernetes.scale", back));
        let nothing = scale(json!({ "replicas": "3", "from": 3, "to": 3 }));
        assert_eq!(reverse(of("kubernetes.scale", nothing)), Value::Null);
        let unprepared = scale(json!({ "replicas": "3" }));
        assert_eq!(reverse(of("kubernetes.scale", unprepared)), Value::Null);

        let set =
            scale(json!({ "env": { "A": "1", "B": null }, "before": { "A": null, "B": "2" } }));
        let back =
            scale(json!({ "env": { "A": null, "B": "2" }, "before": { "A": "1", "B": null } }));
        assert_eq!(reverse(of("kubernetes.set_env", set)), of("kubernetes.set_env", back));

        let node = |was: bool| json!({ "cluster": "prod", "node": "n1", "was": was });
        let open = of("kubernetes.uncordon", node(true));
        assert_eq!(reverse(of("kubernetes.cordon", node(false))), open);
        assert_eq!(reverse(of("kubernetes.cordon", node(true))), Value::Null);
        assert_eq!(reverse(open), of("kubernetes.cordon", node(false)));

        let rollback = |more: Value| {
            with(json!({ "cluster": "prod", "namespace": "shop", "deployment": "api" }), more)
        };
        let prepared = rollback(
            json!({ "to_revision": 4, "from_revision": 7, "to_template": "a", "from_template": "b" }),
        );
        let back = rollback(
            json!({ "revision": "7", "to_revision": 7, "from_revision": 4, "to_template": "b", "from_template": "a" }),
        );
        assert_eq!(reverse(of("kubernetes.rollback", prepared)), of("kubernetes.rollback", back));

        let memory = |value: &str, before: &str| json!({ "redis.config_set": { "server": "c", "setting": "maxmemory", "value": value, "before": before } });
        assert_eq!(reverse(memory("2gb", "1gb")), memory("1gb", "2gb"));
        assert_eq!(reverse(memory("2gb", "2gb")), Value::Null);

        let unit = json!({ "server": "local", "unit": "nginx.service" });
        assert_eq!(reverse(of("systemd.stop", unit.clone())), of("systemd.start", unit.clone()));
        assert_eq!(reverse(of("systemd.restart", unit)), Value::Null);

        let silence = json!({ "match": ["a=b"], "for": "1h", "comment": "c" });
        let end = json!({ "alertmanager.unsilence": { "id": "", "made_by": "r-1/2" } });
        assert_eq!(reverse(of("alertmanager.silence", silence)), end);
    }

    fn with(mut base: Value, more: Value) -> Value {
        if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
            base.extend(more);
        }
        base
    }
}

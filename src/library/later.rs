//! Keys and words whose meaning is settled and whose work is not done: refused, never ignored.

/// By the name that the raw type has for people.
const PLANNED: &[(&str, &[&str])] = &[
    ("quell.yml", &["tls"]),
    ("`targets`", &["kubernetes", "postgres", "ssh", "docker", "systemd"]),
    ("`slack`", &["bot_token", "signing_secret"]),
    ("an undo", ACTIONS),
    ("a probe", PROBES),
    ("`verify`", PROBES),
];

const ACTIONS: &[&str] = &[
    "kubernetes.scale",
    "kubernetes.restart",
    "kubernetes.rollback",
    "kubernetes.set_env",
    "kubernetes.cordon",
    "kubernetes.drain",
    "kubernetes.delete_pod",
    "kubernetes.events",
    "kubernetes.logs",
    "kubernetes.describe",
    "systemd.restart",
    "systemd.start",
    "systemd.stop",
    "docker.restart",
    "redis.config_set",
    "postgres.terminate",
    "postgres.execute",
    "postgres.kill_idle",
    "ssh",
    "alertmanager.silence",
    "alertmanager.unsilence",
    "notify",
];

const PROBES: &[&str] = &["tls", "postgres", "redis", "kubernetes.ready", "systemd.active"];

/// Whether a later version will take this key or word in this place.
pub(crate) fn is_planned(place: &str, key: &str) -> bool {
    PLANNED.iter().any(|(it, keys)| *it == place && keys.contains(&key))
        || place == "a step" && ACTIONS.contains(&key)
}

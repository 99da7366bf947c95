//! Keys and words whose meaning is settled and whose work is not done: refused, never ignored.

/// By the name that the raw type has for people.
const PLANNED: &[(&str, &[&str])] =
    &[("quell.yml", &["tls"]), ("`slack`", &["bot_token", "signing_secret"])];

/// Whether a later version will take this key or word in this place.
pub(crate) fn is_planned(place: &str, key: &str) -> bool {
    PLANNED.iter().any(|(it, keys)| *it == place && keys.contains(&key))
}

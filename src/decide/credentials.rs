//! Which credentials a playbook uses, and which of them a refusal was about (G19).
//!
//! A credential goes by where it is configured: `targets.http.shop`, `targets.redis.cache`, `secrets.deploy-token`,
//! `prometheus`. What a playbook writes itself, such as a URL with a password, goes by the playbook: `playbooks.restart`.
//! Its value is never looked at here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use serde_json::Value;

use crate::decide::link;
use crate::decide::parameters::is_template;
use crate::decide::render::Escape;
use crate::decide::render::render;
use crate::model::action::Action;
use crate::model::action::Piece;
use crate::model::action::Sealed;
use crate::model::action::TargetKind;
use crate::model::action::Template;
use crate::model::config::Config;
use crate::model::config::Targets;
use crate::model::playbook::Playbook;
use crate::model::playbook::Step;
use crate::model::playbook::Undo;
use crate::model::playbook::What;
use crate::model::probe::Probe;
use crate::model::run::Outcome;

const TARGETS: &str = "targets.";
const SECRETS: &str = "secrets.";
const PLAYBOOKS: &str = "playbooks.";
const PROMETHEUS: &str = "prometheus";
const ALERTMANAGER: &str = "alertmanager";

/// The credentials that any step of a playbook may use with these parameters, undos and `on_resolve` among them; in order.
/// A server whose name only a step before can say may be any server of its kind.
pub fn used(
    playbook: &Playbook,
    parameters: &BTreeMap<String, Value>,
    targets: &Targets,
) -> Vec<String> {
    let mut used = BTreeSet::new();
    let secret = playbook.parameters.iter().filter(|(_, parameter)| parameter.secret);
    let secret = secret.filter_map(|(name, _)| parameters.get(name)?.as_str());
    used.extend(secret.map(|name| format!("{SECRETS}{name}")));
    let context = Value::Object(parameters.clone().into_iter().collect());
    let mut target = |(kind, name): (TargetKind, &Template)| {
        let place = format!("{TARGETS}{}.", kind.as_str());
        if !is_template(name) {
            used.insert(format!("{place}{name}"));
            return;
        }
        match render(name, &context, Escape::None) {
            Ok(name) => drop(used.insert(format!("{place}{name}"))),
            Err(_) => {
                used.extend(targets.names(kind).iter().map(|name| format!("{place}{name}")));
            }
        }
    };
    let mut own = false;
    let mut prometheus = false;
    let mut alertmanager = false;
    for step in playbook.steps.iter().chain(&playbook.on_resolve) {
        for action in actions(step) {
            action.uses().into_iter().for_each(&mut target);
            if let Action::Http(call) = action {
                own |= call.server.is_none() && call.sealed.is_empty();
            }
            alertmanager |= matches!(action, Action::Silence(_) | Action::Unsilence(_));
        }
        for probe in probes(step) {
            probe.uses().into_iter().for_each(&mut target);
            prometheus |= matches!(probe, Probe::Promql { .. });
            own |= matches!(probe, Probe::Scrape { .. } | Probe::Http(_));
        }
    }
    used.extend(own.then(|| format!("{PLAYBOOKS}{}", playbook.name)));
    used.extend(prometheus.then(|| PROMETHEUS.to_owned()));
    used.extend(alertmanager.then(|| ALERTMANAGER.to_owned()));
    used.into_iter().collect()
}

/// The action of a step and the one that takes it back.
fn actions(step: &Step) -> impl Iterator<Item = &Action> {
    let action = match &step.what {
        What::Action(action) => Some(action),
        What::Probe { .. } | What::Wait(_) | What::Ask(_) => None,
    };
    action.into_iter().chain(step.undo.as_ref().and_then(Undo::action))
}

/// What a step observes, itself or between its waves.
fn probes(step: &Step) -> impl Iterator<Item = &Probe> {
    let probe = match &step.what {
        What::Probe { probe, .. } => Some(probe),
        What::Action(_) | What::Wait(_) | What::Ask(_) => None,
    };
    let between = step.each.as_ref().and_then(|each| each.between.as_ref());
    probe.into_iter().chain(between.map(|it| &it.probe))
}

/// Whether it takes parameters to say which credentials a playbook uses.
pub fn by_parameters(playbook: &Playbook) -> bool {
    let by_template =
        |used: Option<(TargetKind, &Template)>| used.is_some_and(|it| is_template(it.1));
    let mut steps = playbook.steps.iter().chain(&playbook.on_resolve);
    playbook.parameters.values().any(|parameter| parameter.secret)
        || steps.any(|step| {
            actions(step).any(|action| by_template(action.uses()))
                || probes(step).any(|probe| by_template(probe.uses()))
        })
}

/// What a call carries that may be refused: the secrets of the playbook, and the credential of its server.
fn carried(playbook: &str, action: &Action) -> Vec<String> {
    let mut names = action.sealed().map(sealed).unwrap_or_default();
    if matches!(action, Action::Silence(_) | Action::Unsilence(_)) {
        names.push(ALERTMANAGER.to_owned());
    }
    names.extend(action.uses().map(of_target));
    if names.is_empty() && matches!(action, Action::Http(_)) {
        names.push(format!("{PLAYBOOKS}{playbook}"));
    }
    names
}

/// `targets.redis.cache`
fn of_target((kind, name): (TargetKind, &Template)) -> String {
    format!("{TARGETS}{}.{name}", kind.as_str())
}

/// Secrets in the texts of an action, each once, in order.
fn sealed(sealed: &Sealed) -> Vec<String> {
    let texts = sealed.named.values().chain(&sealed.body).chain(sealed.json.values());
    let names = texts.flatten().filter_map(|piece| match piece {
        Piece::Secret(name) => Some(format!("{SECRETS}{name}")),
        Piece::Text(_) => None,
    });
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The outcome of an action, with the names of the credentials that were refused, if any were.
pub fn of_action(playbook: &str, action: Option<&Action>, outcome: Outcome) -> Outcome {
    let Outcome::Denied { reason, .. } = outcome else { return outcome };
    let mut credentials = action.map_or_else(Vec::new, |action| carried(playbook, action));
    if credentials.is_empty() {
        credentials.push(format!("{PLAYBOOKS}{playbook}"));
    }
    Outcome::Denied { credentials, reason }
}

/// The outcome of a probe step, with the name of the credential that was refused, if it was.
pub fn of_probe(playbook: &str, probe: &Probe, outcome: Outcome) -> Outcome {
    let Outcome::Denied { reason, .. } = outcome else { return outcome };
    let credential = match (probe, probe.uses()) {
        (Probe::Promql { .. }, _) => PROMETHEUS.to_owned(),
        (_, Some(target)) => of_target(target),
        (_, None) => format!("{PLAYBOOKS}{playbook}"),
    };
    Outcome::Denied { credentials: vec![credential], reason }
}

/// What an undo that would call out with a refused credential comes to: it is not tried. `None` when nothing is against it.
pub fn withheld<'a>(
    playbook: &str,
    action: Option<&Action>,
    mut denied: impl Iterator<Item = &'a str>,
) -> Option<Outcome> {
    let carried = carried(playbook, action?);
    let credential = denied.find(|name| carried.iter().any(|it| it == name))?;
    let reason = format!(
        "not tried: credential {credential} was refused; when it works again, `quell credential clear {credential}`"
    );
    Some(Outcome::Failed { reason, retryable: false })
}

/// What tells that a credential was changed, without keeping it: a digest under the key that signs links, after a digest of that
/// key's own. `None` for what quell.yml does not hold.
pub fn mark(config: &Config, credential: &str, key: &[u8]) -> Option<String> {
    let material = material(config, credential)?;
    let digest = |of: &[u8]| {
        let mac = link::mac("credential\0", key).chain_update(of);
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    };
    Some(format!("{}.{}", digest(b""), digest(&material)))
}

/// Whether a credential is another than the one with the mark `then`. A mark under another key says nothing.
pub fn changed(then: &str, now: &str) -> bool {
    let same_key = then.split_once('.').zip(now.split_once('.')).is_some_and(|(a, b)| a.0 == b.0);
    same_key && then != now
}

/// Its parts in a fixed order, each ended by a byte that none of them holds.
fn material(config: &Config, credential: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut add = |text: &str| {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    };
    if let Some(target) = credential.strip_prefix(TARGETS) {
        let (kind, name) = target.split_once('.')?;
        let kind = TargetKind::ALL.into_iter().find(|it| it.as_str() == kind)?;
        for part in config.targets.credential(kind, name)? {
            add(&part);
        }
    } else if let Some(name) = credential.strip_prefix(SECRETS) {
        add(config.secrets.get(name)?.reveal());
    } else if credential == PROMETHEUS || credential == ALERTMANAGER {
        let server =
            if credential == PROMETHEUS { &config.prometheus } else { &config.alertmanager };
        server.as_ref()?.parts().iter().for_each(|part| add(part));
    } else {
        return None;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;

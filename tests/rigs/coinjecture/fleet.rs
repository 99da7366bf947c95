//! What the network is at: which node is ill, what its metrics say, and what a command on one of its hosts does.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Mutex;

use tokio::time::Instant;

use super::NEW;
use super::OLD;
use crate::rigs::stand::Effects;

/// What goes wrong, or stops to.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// A node whose refactored code comes to another hash, until it is in legacy mode or runs the old version again.
    Drift(&'static str),
    /// The state of the chain is violated, again and again until production is halted.
    Violation,
    /// An IPFS node is away, and with it a third of the pins fail while two of three are wanted. Whether a restart brings it
    /// back.
    Away(&'static str, bool),
    /// It is back.
    Back(&'static str),
}

/// The network, shared by its metrics and its hosts.
#[derive(Debug)]
pub(super) struct Fleet {
    effects: Effects,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    drifting: BTreeSet<&'static str>,
    violated: bool,
    /// And whether a restart helps.
    away: BTreeMap<&'static str, bool>,
    quorum: String,
    modes: BTreeMap<String, String>,
    versions: BTreeMap<String, String>,
    counts: BTreeMap<String, Counts>,
}

/// What one daemon has counted.
#[derive(Debug, Clone)]
struct Counts {
    matches: f64,
    drifts: f64,
    violations: f64,
    requests: f64,
    pinned: f64,
    unpinned: f64,
    until: Instant,
}

/// How a command ended, and what it printed.
pub(super) type Ended = (i32, String);

/// The nodes of production with metrics.
pub(super) fn nodes() -> Vec<String> {
    let ipfs = (1..=3).map(|it| format!("ipfs-{it}"));
    daemons().into_iter().chain(ipfs).collect()
}

fn daemons() -> Vec<String> {
    std::iter::once("canary".to_owned()).chain((1..=20).map(|it| format!("node-{it:02}"))).collect()
}

impl Fleet {
    pub(super) fn new() -> Self {
        let none = Counts {
            matches: 0.0,
            drifts: 0.0,
            violations: 0.0,
            requests: 0.0,
            pinned: 0.0,
            unpinned: 0.0,
            until: Instant::now(),
        };
        let each = |value: &str| daemons().into_iter().map(|it| (it, value.to_owned())).collect();
        let inner = Inner {
            drifting: BTreeSet::new(),
            violated: false,
            away: BTreeMap::new(),
            quorum: "2/3".into(),
            modes: each("shadow"),
            versions: each(OLD),
            counts: daemons().into_iter().map(|it| (it, none.clone())).collect(),
        };
        Self { effects: Effects::new(), inner: Mutex::new(inner) }
    }

    pub(super) fn effects(&self) -> &Effects {
        &self.effects
    }

    pub(super) fn fault(&self, fault: &Fault) {
        let mut inner = self.inner.lock().unwrap();
        inner.count();
        match *fault {
            Fault::Drift(node) => {
                inner.drifting.insert(node);
            }
            Fault::Violation => inner.violated = true,
            Fault::Away(node, helps) => {
                inner.away.insert(node, helps);
            }
            Fault::Back(node) => {
                inner.away.remove(node);
            }
        }
    }

    /// The metrics page of a node; `None` while it is away.
    pub(super) fn page(&self, node: &str) -> Option<String> {
        let mut inner = self.inner.lock().unwrap();
        inner.count();
        if node.starts_with("ipfs") {
            let there = !inner.away.contains_key(node);
            return there.then(|| "ipfs_p2p_peers_total 40\n".to_owned());
        }
        let of = inner.counts.get(node)?;
        let whole = |name: &str, value: f64| format!("{name} {}\n", value.floor());
        let mut page = String::new();
        for (name, value) in [
            ("coinjecture_parity_matches_total", of.matches),
            ("coinjecture_parity_drifts_total", of.drifts),
            ("coinjecture_state_violations_total", of.violations),
            ("coinjecture_pin_quorum_success_total", of.pinned),
            ("coinjecture_pin_quorum_failures_total", of.unpinned),
            ("http_requests_total{status=\"200\"}", of.requests),
            ("http_request_duration_ms_bucket{le=\"50\"}", of.requests),
            ("http_request_duration_ms_bucket{le=\"+Inf\"}", of.requests),
        ] {
            page.push_str(&whole(name, value));
        }
        let mode = inner.modes.get(node)?;
        writeln!(page, "coinjecture_codec_mode{{mode=\"{mode}\"}} 1").unwrap();
        Some(page)
    }

    /// What a command on a host does and says. One that is not of the runbook is not found.
    pub(super) fn run(&self, host: &str, line: &str) -> Ended {
        let words: Vec<&str> = line.split_whitespace().collect();
        let silent = (0, String::new());
        let (changes, ended) = match words.as_slice() {
            ["journalctl", .., "DRIFT"] => (false, (1, String::new())),
            ["journalctl", ..] => {
                (false, (0, "PARITY DRIFT height=1042 legacy=ab12 refactored=cd34\n".into()))
            }
            ["systemctl", "is-active", ..]
            | ["curl", ..]
            | ["health_check.sh"]
            | ["git", "-C", _, "rev-parse", ..]
            | ["git", "fetch", ..] => (false, silent),
            ["coinjectured", "status"] => (false, (0, "peers: 12\n".into())),
            ["git", "-C", _, "describe", ..] => (false, (0, self.version(host) + "\n")),
            ["list_v4_nodes.sh"] => (false, (0, self.list())),
            ["verify_version.sh", ..] => {
                (false, (i32::from(!self.list().is_empty()), String::new()))
            }
            ["git", "checkout", version] => {
                self.set(host, |inner| &mut inner.versions, version);
                (true, silent)
            }
            ["set_codec_mode.sh", mode] => {
                self.set(host, |inner| &mut inner.modes, mode);
                (true, silent)
            }
            ["set_pin_quorum.sh", quorum] => {
                let mut inner = self.inner.lock().unwrap();
                inner.count();
                (*quorum).clone_into(&mut inner.quorum);
                (true, silent)
            }
            ["systemctl", "restart", "ipfs"] => {
                let mut inner = self.inner.lock().unwrap();
                inner.count();
                inner.away.retain(|node, helps| *node != host || !*helps);
                (true, silent)
            }
            ["emergency_halt.sh"] => {
                let mut inner = self.inner.lock().unwrap();
                inner.count();
                inner.violated = false;
                (true, silent)
            }
            ["systemctl", "restart", "coinjectured"]
            | ["coinjectured", "reorg", "--to-block", _]
            | [
                "halt_rollout.sh"
                | "build_and_install.sh"
                | "forensics.sh"
                | "recover_missing_cids.sh"
                | "audit_cids.sh"
                | "parity_diff_analysis.sh",
                ..,
            ] => (true, silent),
            _ => (true, (127, format!("{line}: not found\n"))),
        };
        if changes {
            self.effects.note(&format!("{host} {line}"));
        }
        ended
    }

    fn version(&self, host: &str) -> String {
        self.inner.lock().unwrap().versions.get(host).cloned().unwrap_or_default()
    }

    fn set(
        &self,
        host: &str,
        of: impl Fn(&mut Inner) -> &mut BTreeMap<String, String>,
        value: &str,
    ) {
        let mut inner = self.inner.lock().unwrap();
        inner.count();
        of(&mut inner).insert(host.to_owned(), value.to_owned());
    }

    /// Nodes with the new version, one a line.
    fn list(&self) -> String {
        let inner = self.inner.lock().unwrap();
        let with_new = inner.versions.iter().filter(|it| it.1 == NEW);
        with_new.map(|(node, _)| [node, "\n"].concat()).collect()
    }
}

impl Inner {
    /// Counts up to now.
    fn count(&mut self) {
        let lacks = self.quorum == "2/3" && !self.away.is_empty();
        for (node, of) in &mut self.counts {
            let now = Instant::now();
            let seconds = now.duration_since(of.until).as_secs_f64();
            let drifts = self.drifting.contains(node.as_str()) && self.modes[node] != "legacy_only";
            of.until = now;
            of.requests += 100.0 * seconds;
            of.matches += 100.0 * seconds;
            of.violations += if self.violated && node == "node-01" { seconds } else { 0.0 };
            of.drifts += if drifts { 5.0 * seconds } else { 0.0 };
            let failing = if lacks { 0.3 } else { 0.0 };
            of.pinned += 20.0 * (1.0 - failing) * seconds;
            of.unpinned += 20.0 * failing * seconds;
        }
    }
}

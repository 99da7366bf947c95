//! A COINjecture network: 21 nodes and three IPFS nodes with addresses of their own on loopback, which Prometheus scrapes, behind a
//! real sshd; what runs there are the stand-ins of `hosts.rs`, and what they do to each other is in `fleet.rs`.

mod fleet;
mod hosts;

use std::fs;
use std::sync::Arc;

use crate::rigs::coinjecture::fleet::Fleet;
use crate::rigs::coinjecture::hosts::Hosts;
use crate::rigs::site::Plan;
use crate::rigs::stand::Effects;
use crate::support::recorder::Recorder;

pub(crate) use fleet::Fault;

/// The version that runs everywhere at the beginning, and the one that is to be rolled out.
pub(crate) const OLD: &str = "v3.17.0";
pub(crate) const NEW: &str = "v4.0.0";

/// What the files of the runbook say of every host.
const ACCOUNT: &str =
    "user: quell, identity_file: /etc/quell/coin_ed25519, known_hosts: /etc/quell/coin_known_hosts";

/// The network.
#[derive(Debug)]
pub(crate) struct Coin {
    fleet: Arc<Fleet>,
    hosts: Hosts,
    /// GitHub.
    pub(crate) issues: Recorder,
}

impl Coin {
    /// All is well, and all nodes run the old version in legacy mode.
    pub(crate) async fn start() -> Self {
        let fleet = Arc::new(Fleet::new());
        let hosts = Hosts::start(&fleet).await;
        Self { fleet, hosts, issues: Recorder::start().await }
    }

    /// The runbook's site with this network in it.
    pub(crate) fn plan(&self) -> Plan {
        let home = self.hosts.path("opt");
        let account = format!(
            "port: {}, user: {}, identity_file: {}, known_hosts: {}",
            self.hosts.port(),
            self.hosts.user(),
            self.hosts.path("key").display(),
            self.hosts.path("known_hosts").display(),
        );
        let mut plan = Plan::of("coinjecture")
            .replacing(ACCOUNT, &account)
            .replacing("/opt/coinjecture", home.to_str().unwrap())
            .replacing("/var/log/coinjecture", self.hosts.path("log").to_str().unwrap())
            .replacing("/var/tmp", self.hosts.path("log").to_str().unwrap())
            .env("COIN_GITHUB_URL", &self.issues.url(""));
        for host in hosts::names() {
            let old = format!("host: {host}.coinjecture.com");
            plan = plan.replacing(&old, &format!("host: {}", hosts::address(&host)));
        }
        for node in fleet::nodes() {
            let labels =
                [("service", "coinjecture"), ("environment", "production"), ("node", &*node)];
            let job = if node.starts_with("ipfs") { "ipfs" } else { "coinjecture" };
            plan = plan.scraping_with(job, self.hosts.metrics_of(&node), &labels);
        }
        plan
    }

    /// Makes it ill, or well.
    pub(crate) fn fault(&self, fault: &Fault) {
        self.fleet.fault(fault);
    }

    /// What was done to it: `HOST COMMAND`, for commands that change something.
    pub(crate) fn effects(&self) -> &Effects {
        self.fleet.effects()
    }

    /// A person asks for something: writes a file that a check looks at, such as `rollout/requested`.
    pub(crate) fn request(&self, file: &str, text: &str) {
        fs::write(self.hosts.path("opt").join(file), format!("{text}\n")).unwrap();
    }
}
